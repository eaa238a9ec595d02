/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/world_in.h"

#include <stdlib.h>
#include <string.h>

/* A fact about the rollout (stage -1) or a stage. */
void world_give(struct turn *t, int stage, const struct engine_fact *fact)
{
	struct engine_stage next[WORLD_STAGES];
	bool changed[WORLD_STAGES];
	unsigned start[WORLD_STAGES];
	struct engine_out out = { .stages = next, .changed = changed, .start = start };
	struct engine_view view = { .rules = &t->setup->rules,
		.rollout = &t->w->rollout,
		.stages = t->w->stages,
		.stage = stage < 0 ? NULL : &t->w->stages[stage],
		.now_ms = WORLD_NOW };

	t->setup->engine(&view, fact, &out);
	if (out.broken != NULL) {
		world_broken(t, out.broken);
		return;
	}
	if (out.rollout_changed) {
		enum rollout_state before = t->w->rollout.state;

		world_note_rollout(before, out.rollout.state);
		t->w->rollout = out.rollout;
		if (before != ROLLOUT_COMPLETED && out.rollout.state == ROLLOUT_COMPLETED)
			world_check_completed(t);
	}
	for (int i = 0; i < world_stages(t->setup); i++) {
		enum stage_state before = t->w->stages[i].state;

		if (!changed[i])
			continue;
		world_note_stage(before, next[i].state);
		t->w->stages[i] = next[i];
		/* attention is no part of this world: every device may ask at any time */
		t->w->stages[i].jobs &= ~(unsigned)ENGINE_ATTEND;
		for (int b = 0; b < ENGINE_JOBS; b++)
			if ((start[i] & 1u << b) != 0 || (next[i].jobs & 1u << b) == 0)
				t->w->cursor[i][b] = 0;
		if (before != STAGE_SUCCEEDED && next[i].state == STAGE_SUCCEEDED &&
			fact->kind != FACT_PROMOTE)
			world_check_gate(t, i);
		if (before != STAGE_INCONCLUSIVE && next[i].state == STAGE_INCONCLUSIVE)
			world_check_starved(t, i);
	}
}

static int by_place(const void *a, const void *b)
{
	const struct engine_step *const *x = a, *const *y = b;

	return (*x)->delivered < (*y)->delivered ? -1 : (*x)->delivered > (*y)->delivered;
}

/* The delivered steps of a stage in the order of delivery; returns how many. */
int world_in_order(const struct world *w, int devices, int stage, const struct engine_step **out)
{
	int n = 0;

	for (int d = 0; d < devices; d++)
		if (w->present[stage][d] && w->steps[stage][d].delivered != 0)
			out[n++] = &w->steps[stage][d];
	qsort(out, (size_t)n, sizeof(*out), by_place);
	return n;
}

static void take_outcomes(struct turn *t, int stage)
{
	const struct engine_step *order[WORLD_DEVICES];
	struct engine_stage *g = &t->w->stages[stage];
	int n = world_in_order(t->w, t->setup->devices, stage, order);

	if ((g->state != STAGE_RUNNING && g->state != STAGE_SOAKING) ||
		(g->jobs & ENGINE_RETRY) != 0)
		return;
	for (int i = 0; i < n; i++)
		if (order[i]->delivered > g->tally.cursor &&
			!gate_take(&t->setup->rules.gate, &g->tally, order[i]->delivered,
				order[i]->state, order[i]->cause))
			return;
}

/* The gates above that wait for nobody any more. */
static void wake_upper(struct turn *t, int stage)
{
	int layers = t->setup->rules.layers, first = stage / layers * layers;

	for (int i = stage + 1; i < first + layers && t->broken == NULL; i++)
		if (engine_starves(&t->w->stages[i], &t->w->stages[first])) {
			take_outcomes(t, i);
			world_give(t, i, &(struct engine_fact){ .kind = FACT_COUNTED });
		}
}

/* What the runner does once per commit. */
void world_count(struct turn *t, int stage, const struct figures_sums *delta, unsigned done)
{
	struct engine_stage *g = &t->w->stages[stage];
	struct engine_fact fact = { .kind = FACT_COUNTED };
	static const struct figures_sums none;
	unsigned jobs = g->jobs;
	const char *what = engine_count(g, delta == NULL ? &none : delta);

	if (what != NULL)
		world_broken(t, what);
	if (t->broken != NULL)
		return;
	g->jobs &= ~done;
	take_outcomes(t, stage);
	g->jobs = jobs;
	for (int b = 0; b < ENGINE_JOBS; b++)
		if ((done & 1u << b) != 0)
			world_give(t, stage,
				&(struct engine_fact){
					.kind = FACT_JOB_DONE, .job = (enum engine_job)(1u << b) });
	world_give(t, stage, &fact);
	wake_upper(t, stage);
}

/* ---- facts about steps */
/* ---- facts about steps */

void world_give_step(struct turn *t, int stage, int device, const struct engine_fact *fact)
{
	struct figures_sums sums = { 0 };
	struct engine_out out = { .sums = &sums };
	struct engine_step before = t->w->steps[stage][device];
	struct engine_view view = { .rules = &t->setup->rules,
		.rollout = &t->w->rollout,
		.stage = &t->w->stages[stage],
		.step = &before,
		.now_ms = WORLD_NOW };

	if (t->broken != NULL)
		return;
	t->setup->engine(&view, fact, &out);
	if (out.broken != NULL) {
		world_broken(t, out.broken);
		return;
	}
	if (out.offer)
		engine_tell(&t->w->stages[stage], &out.told);
	if (!out.step_changed)
		return;
	t->w->steps[stage][device] = out.step;
	t->w->present[stage][device] = true;
	if (fact->kind != FACT_MADE) {
		world_note_step(&before, &out.step);
		world_check_change(t, &before, &out.step, fact);
	}
	if (fact->kind == FACT_OVERTAKEN && before.deadline != 0 && !out.withdraw)
		world_broken(t, "I12: an order that was taken over has not been called back");
	if (out.offer)
		world_check_offer(t, stage, device);
	world_count(t, stage, &sums, 0);
	if (out.follow)
		world_make(t,
			stage - view.stage->layer +
				world_next_layer(t->setup, device, view.stage->layer, 1),
			device, ENGINE_FITS);
}

/* The row of a device in a stage, if it is time for it. */
void world_make(struct turn *t, int stage, int device, enum engine_fit fit)
{
	const struct engine_stage *g = &t->w->stages[stage];
	int below = world_next_layer(t->setup, device, g->layer, -1);
	int under = stage - g->layer + below;
	const struct engine_step *lower = below < 0 ? NULL : &t->w->steps[under][device];
	struct engine_step *s = &t->w->steps[stage][device];

	if (t->w->present[stage][device] || g->state == STAGE_PENDING ||
		g->state == STAGE_SKIPPED || !world_takes_part(t->setup, device, g->layer))
		return;
	if (lower != NULL && (!t->w->present[under][device] || !engine_ready_for_next(lower)))
		return;
	*s = (struct engine_step){ .stage_id = g->id,
		.device_no = device + 1,
		.flags = world_next_layer(t->setup, device, g->layer, 1) < 0 ? ENGINE_LAST : 0 };
	if (lower != NULL && (lower->flags & (ENGINE_SWITCHED | ENGINE_SWITCHED_BEFORE)) != 0)
		s->flags |= ENGINE_SWITCHED_BEFORE;
	world_give_step(t, stage, device, &(struct engine_fact){ .kind = FACT_MADE, .fit = fit });
}
