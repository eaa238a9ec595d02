/* SPDX-License-Identifier: Apache-2.0
 *
 * How far the fleet has moved away from what a plan was made for. A million devices are looked at in
 * parts, in the read lane, so that neither the writer nor a long snapshot waits for it. */
#include "server/api/rollout_json.h"

#include "server/rollout/strategy.h"

#include <stdlib.h>
#include <string.h>

struct look {
	struct assignment_drift drift;
	int64_t rollout_id;
	handler_fn then;
};

static enum fl_code look_on(struct request *rq, struct fl_err *err)
{
	struct look *l = rq->state;
	enum fl_code code = assignment_drift_more(rq->store, l->rollout_id, &l->drift, err);

	if (code == FL_OK && l->drift.whole)
		request_then(rq, LANE_WRITE, l->then);
	else if (code == FL_OK)
		request_then(rq, LANE_READ, look_on);
	return code;
}

enum fl_code rollout_drift_look(
	struct request *rq, int64_t rollout_id, handler_fn then, struct fl_err *err)
{
	struct look *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return fl_fail(err, FL_NOMEM, "no memory to compare the devices");
	*l = (struct look){ .rollout_id = rollout_id, .then = then };
	FL_BUG_IF(rq->state != NULL);
	rq->state = l;
	rq->drop = free;
	request_then(rq, LANE_READ, look_on);
	return FL_OK;
}

bool rollout_drift_known(const struct request *rq)
{
	return rq->state != NULL;
}

enum fl_code rollout_drift_check(
	const struct request *rq, const struct rollout *r, struct fl_err *err)
{
	const struct look *l = rq->state;
	struct strategy s = { 0 };
	FL_AUTO_JSON json_t *json = NULL;
	enum fl_code code = fl_json_parse(
		(struct fl_bytes){ (const uint8_t *)r->strategy, strlen(r->strategy) }, &json, err);

	FL_BUG_IF(l == NULL || !l->drift.whole);
	if (code == FL_OK)
		code = strategy_read(json, 0, &s, err);
	if (code == FL_OK && l->drift.drifted * STRATEGY_PPM > s.max_drift_ppm * l->drift.of)
		code = fl_fail(err, FL_REFUSED,
			"%lld of %lld devices have changed since the plan was made; plan anew "
			"under "
			"another name, or start with \"accept_drift\": they are left out",
			(long long)l->drift.drifted, (long long)l->drift.of);
	strategy_fini(&s);
	return code;
}
