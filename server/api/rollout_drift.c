/* SPDX-License-Identifier: Apache-2.0
 *
 * How far the fleet has moved away from what a plan was made for. A million devices are looked at in
 * parts, in the read lane, so that neither the writer nor a long snapshot waits for it. */
#include "server/api/rollout_json.h"

#include "server/rollout/strategy.h"

#include <stdlib.h>
#include <string.h>

struct look {
	struct rollouts_drift *drift; /* owned */
	handler_fn then;
};

static void drop(void *state)
{
	struct look *l = state;

	rollouts_drift_free(l->drift);
	free(l);
}

static enum fl_code look_on(struct request *rq, struct fl_err *err)
{
	struct look *l = rq->state;
	enum fl_code code = rollouts_drift_more(rq->server, rq->store, l->drift, err);

	if (code == FL_OK && rollouts_drift_seen(l->drift)->whole)
		request_then(rq, LANE_WRITE, l->then);
	else if (code == FL_OK)
		request_then(rq, LANE_READ, look_on);
	return code;
}

enum fl_code rollout_drift_look(
	struct request *rq, int64_t rollout_id, handler_fn then, struct fl_err *err)
{
	struct look *l = calloc(1, sizeof(*l));

	FL_BUG_IF(rq->state != NULL);
	if (l != NULL)
		*l = (struct look){ .drift = rollouts_drift_new(rollout_id), .then = then };
	if (l == NULL || l->drift == NULL) {
		free(l);
		return fl_fail(err, FL_NOMEM, "no memory to compare the devices");
	}
	rq->state = l;
	rq->drop = drop;
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

	if (code == FL_OK)
		code = strategy_read(json, 0, &s, err);
	if (code == FL_OK)
		code = rollouts_drift_judge(l->drift, s.max_drift_ppm, err);
	strategy_fini(&s);
	return code;
}
