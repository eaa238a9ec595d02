/* SPDX-License-Identifier: Apache-2.0 */
#include "server/delta_warm.h"

#include <stdlib.h>

#include "lib/json.h"
#include "server/store/artifact.h"
#include "server/store/rollout.h"

/* What the best tier may save of a download: a guess that puts pairs in order. */
#define GAIN_PART  8
#define ACTIVE_MAX 256

static enum fl_code key_of(
	struct store *store, const struct plan_artifact *a, int64_t *id, struct fl_err *err)
{
	struct artifact row;
	enum fl_code code;

	*id = a->id;
	if (a->id != 0 || store == NULL)
		return FL_OK;
	code = artifact_find(store, a->sha256, &row, err);
	if (code == FL_OK)
		*id = row.id;
	return code;
}

/* Pair i of the plan as two needs, there and back. */
static enum fl_code needs_of(struct store *store, const struct plan *plan, uint32_t i,
	struct delta_need need[2], struct fl_err *err)
{
	const struct plan_pair *p = &plan->pairs[i];
	uint32_t last = plan->n_layers;
	int64_t from, to;
	enum fl_code code = key_of(store, p->from, &from, err);

	if (code == FL_OK)
		code = key_of(store, p->to, &to, err);
	if (code != FL_OK)
		return code;
	need[0] = (struct delta_need){ { from, to }, p->layer + 1, p->devices,
		p->to->size / GAIN_PART };
	need[1] = (struct delta_need){ { to, from }, 2 * last + 1 - p->layer, p->devices,
		p->from->size / GAIN_PART };
	return FL_OK;
}

/* The ranks of a way back that is taken now: 0, in its order. */
static void hurry(struct delta_need *needs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		needs[i].rank = 0;
}

enum fl_code delta_warm_plan(struct delta_service *d, struct store *store, const struct plan *plan,
	enum delta_way way, size_t *n, struct fl_err *err)
{
	size_t pairs = plan->n_pairs, there = 0, back = 0;
	FL_AUTOFREE struct delta_need *needs = calloc(2 * pairs + 1, sizeof(*needs));
	enum fl_code code = FL_OK;

	*n = 0;
	if (needs == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for %zu pairs", pairs);
	/* pairs come layer by layer; the way back begins with the last */
	for (uint32_t i = 0; i < pairs && code == FL_OK; i++) {
		struct delta_need need[2];

		code = needs_of(store, plan, i, need, err);
		if (code != FL_OK)
			break;
		if ((way & DELTA_THERE) != 0)
			needs[there++] = need[0];
		if ((way & DELTA_BACK) != 0)
			needs[2 * pairs - ++back] = need[1];
	}
	if (code != FL_OK)
		return code;
	if (way == DELTA_BACK)
		hurry(needs + 2 * pairs - back, back);
	*n = delta_service_warm(d, needs, there);
	*n += delta_service_warm(d, needs + 2 * pairs - back, back);
	return FL_OK;
}

enum fl_code delta_warm_rollout(struct delta_service *d, struct store *store, int64_t rollout,
	enum delta_way way, size_t *n, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	FL_AUTO_JSON json_t *json = NULL;
	struct plan plan = { 0 };
	struct fl_err none = { 0 };
	enum fl_code code = rollout_plan_text(store, rollout, &text, &none);

	*n = 0;
	if (code == FL_NOT_FOUND)
		return FL_OK;
	if (code != FL_OK)
		return fl_fail(err, code, "%s", none.msg);
	code = fl_json_parse((struct fl_bytes){ text.p, text.n }, &json, err);
	if (code == FL_OK)
		code = plan_read(json, &plan, err);
	if (code == FL_OK)
		code = delta_warm_plan(d, store, &plan, way, n, err);
	plan_fini(&plan);
	return code;
}

enum fl_code delta_warm_active(struct delta_service *d, struct store *store, struct fl_err *err)
{
	int64_t ids[ACTIVE_MAX];
	size_t n = 0, pairs;
	enum fl_code code = rollout_active(store, ids, ACTIVE_MAX, &n, err);

	for (size_t i = 0; i < n && code == FL_OK; i++)
		code = delta_warm_rollout(d, store, ids[i], DELTA_BOTH, &pairs, err);
	return code;
}
