/* SPDX-License-Identifier: Apache-2.0
 *
 * What rollouts and builds of deltas have taken so far, for the forecast of the next. */
#include "server/planning_load.h"

#include "server/rollout/figures.h"
#include "server/store/plan.h"

#include <stdlib.h>
#include <string.h>

#define DOWNTIMES_MAX 4096

struct history {
	struct figures_sums sums;
	/* the report before, to pair installing with installed */
	int64_t device_no, stage_id, at;
	int64_t downtimes[DOWNTIMES_MAX];
	size_t n;
};

static enum fl_code on_stage(void *context, const struct figures_sums *sums, struct fl_err *err)
{
	struct history *h = context;

	(void)err;
	figures_add(&h->sums, sums, 1);
	return FL_OK;
}

static enum fl_code on_switch(void *context, const struct plan_switch *s, struct fl_err *err)
{
	struct history *h = context;

	(void)err;
	if (s->begins) {
		h->device_no = s->device_no;
		h->stage_id = s->stage_id;
		h->at = s->at;
	} else if (h->device_no == s->device_no && h->stage_id == s->stage_id &&
		h->n < DOWNTIMES_MAX) {
		h->downtimes[h->n++] = s->at - h->at;
		h->device_no = 0;
	}
	return FL_OK;
}

static int by_time(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static int64_t to_ms(double seconds)
{
	return seconds < 0 ? -1 : (int64_t)(seconds * 1000);
}

enum fl_code planning_load_history(struct planning_loader *l, struct fl_err *err)
{
	struct plan_history *out = &l->s->in.history;
	struct history *h = calloc(1, sizeof(*h));
	enum fl_code code = h == NULL ? fl_fail(err, FL_NOMEM, "no memory to plan") : FL_OK;

	if (code == FL_OK)
		code = plan_each_sums(l->store, on_stage, h, err);
	if (code == FL_OK)
		code = plan_each_switch(l->store, on_switch, h, err);
	if (code == FL_OK)
		code = plan_build_rate(l->store, &out->build_us_per_kib, err);
	if (code == FL_OK) {
		if (h->n > 0)
			qsort(h->downtimes, h->n, sizeof(*h->downtimes), by_time);
		out->downtime_ms = h->n > 0 ? h->downtimes[h->n / 2] : -1;
		out->took_median_ms = to_ms(figures_time(&h->sums, 0.5));
		out->took_p95_ms = to_ms(figures_time(&h->sums, 0.95));
	}
	free(h);
	return code;
}
