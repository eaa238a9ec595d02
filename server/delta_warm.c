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

/* Pair i of the plan as two needs, there and back; their ranks are still to come. */
static enum fl_code needs_of(struct store *store, const struct plan_pair *p,
	struct delta_need *there, struct delta_need *back, struct fl_err *err)
{
	int64_t from, to;
	enum fl_code code = key_of(store, p->from, &from, err);

	if (code == FL_OK)
		code = key_of(store, p->to, &to, err);
	if (code != FL_OK)
		return code;
	*there = (struct delta_need){ { from, to }, 0, p->devices, p->to->size / GAIN_PART };
	*back = (struct delta_need){ { to, from }, 0, p->devices, p->from->size / GAIN_PART };
	return FL_OK;
}

/* Give ranks: the stages there in their order, then those back in the opposite one; pairs of one stage
 * have the same. A way back that is taken now comes before all else. */
static void rank(const struct plan *plan, enum delta_way way, struct delta_need *there,
	struct delta_need *back)
{
	uint32_t stages = 0, last;

	for (uint32_t i = 0; i < plan->n_pairs; i++) {
		const struct plan_pair *p = &plan->pairs[i];

		stages += i == 0 || p->layer != p[-1].layer || p->wave != p[-1].wave;
		there[i].rank = stages;
	}
	last = 2 * stages + 1;
	for (uint32_t i = 0; i < plan->n_pairs; i++)
		back[plan->n_pairs - 1 - i].rank = way == DELTA_BACK ? 0 : last - there[i].rank;
}

enum fl_code delta_warm_plan(struct delta_service *d, struct store *store, const struct plan *plan,
	enum delta_way way, size_t *n, struct fl_err *err)
{
	size_t pairs = plan->n_pairs;
	FL_AUTOFREE struct delta_need *there = calloc(2 * pairs + 1, sizeof(*there));
	struct delta_need *back = there + pairs; /* from the last pair to the first */
	enum fl_code code = FL_OK;

	*n = 0;
	if (there == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for %zu pairs", pairs);
	for (size_t i = 0; i < pairs && code == FL_OK; i++)
		code = needs_of(store, &plan->pairs[i], &there[i], &back[pairs - 1 - i], err);
	if (code != FL_OK)
		return code;
	rank(plan, way, there, back);
	if ((way & DELTA_THERE) != 0)
		*n += delta_service_warm(d, there, pairs);
	if ((way & DELTA_BACK) != 0)
		*n += delta_service_warm(d, back, pairs);
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
