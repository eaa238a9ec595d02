/* SPDX-License-Identifier: Apache-2.0
 *
 * The strata of a rollout: how its outcomes lie, which are held, and releasing one. */
#include "server/http/handlers.h"

#include <stdio.h>
#include <string.h>

#include "server/api/list.h"
#include "server/events.h"
#include "server/rollouts.h"
#include "server/store/rollout.h"
#include "server/store/stratum.h"

static enum fl_code add_stratum(void *context, const struct stratum *s, struct fl_err *err)
{
	const char *state = s->held_at == 0 ? "open" : s->released_at == 0 ? "held" : "released";

	return json_array_append_new(context,
		       json_pack("{s:s++, s:I, s:I, s:s, s:s, s:o, s:o}", "stratum", s->field,
			       "==", s->value, "successes", (json_int_t)s->count.successes,
			       "failures", (json_int_t)s->count.failures, "state", state, "why",
			       s->why, "held_at", list_time(s->held_at), "released_at",
			       list_time(s->released_at))) == 0
		? FL_OK
		: fl_fail(err, FL_NOMEM, "no memory for strata");
}

enum fl_code api_rollout_strata(struct request *rq, struct fl_err *err)
{
	FL_AUTO_JSON json_t *items = json_array();
	struct rollout r = { 0 };
	enum fl_code code = rollout_get(rq->store, rq->param[0], &r, err);

	if (code == FL_OK)
		code = stratum_each(rq->store, r.engine.id, add_stratum, items, err);
	if (code == FL_OK)
		reply_json(rq, 200, json_pack("{s:O}", "items", items));
	rollout_fini(&r);
	return code;
}

/* ---- releasing */

struct body {
	const char *stratum;
};

static const struct fl_json_field fields[] = {
	FL_FIELD(struct body, stratum, "stratum", STRING, .required = true, .min = 4, .max = 512),
};

static enum fl_code release(
	struct request *rq, const struct rollout *r, const char *stratum, struct fl_err *err)
{
	const char *value = strstr(stratum, "==");
	char field[128];
	bool changed = false;
	enum fl_code code;

	if (value == NULL)
		return fl_fail(err, FL_INVALID, "\"stratum\" looks like attribute.hw==rev2");
	snprintf(field, sizeof(field), "%.*s", (int)(value - stratum), stratum);
	code = stratum_release(rq->store, r->engine.id, field, value + 2, &changed, err);
	if (code == FL_OK && changed)
		code = events_write(rq->store, rq->effects,
			&(struct events_line){ .kind = EVENT_STRATUM_RELEASED,
				.actor = rq->who.name,
				.subject = r->name,
				.data = json_pack("{s:s}", "stratum", stratum) },
			err);
	if (code == FL_OK && changed)
		code = rollouts_stratum_released(
			rq->server, rq->store, rq->effects, r->engine.id, err);
	if (code == FL_OK)
		reply_json(rq, 200, json_pack("{s:b}", "changed", changed));
	return code;
}

enum fl_code api_rollout_stratum_release(struct request *rq, struct fl_err *err)
{
	struct body b = { 0 };
	struct rollout r = { 0 };
	enum fl_code code = request_read(rq, fields, FL_COUNT(fields), &b, err);

	if (code == FL_OK)
		code = list_unlimited(rq, "steer a rollout", err);
	if (code == FL_OK)
		code = rollout_get(rq->store, rq->param[0], &r, err);
	if (code == FL_OK)
		code = release(rq, &r, b.stratum, err);
	rollout_fini(&r);
	return code;
}
