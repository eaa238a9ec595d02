/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/world_in.h"

/* A device behind a gateway never has what the gateway has not (any more). */
static void check_gateway(struct turn *t, int stage, int device)
{
	int layer = t->w->stages[stage].layer;
	bool back = t->w->steps[stage][device].back;

	for (int d = 1; d < t->setup->devices && back && device == 0; d++)
		for (int i = stage + 1; i < stage - layer + t->setup->rules.layers; i++)
			if (world_behind(t->setup, d) && t->w->present[i][d] &&
				t->w->steps[i][d].state == STEP_CONFIRMED)
				world_broken(
					t, "a gateway goes back below what a device behind it has");
	for (int i = stage - layer; i < stage && !back && world_behind(t->setup, device); i++)
		if (!t->w->present[i][0] || !engine_ready_for_next(&t->w->steps[i][0]))
			world_broken(t, "a device is offered what its gateway is not ready for");
}

/* Whether the engine may offer this step: what must be true of the world, said anew. */
void world_check_offer(struct turn *t, int stage, int device)
{
	const struct engine_step *s = &t->w->steps[stage][device];
	const struct engine_stage *g = &t->w->stages[stage];
	enum rollout_state r = t->w->rollout.state;
	int first = g->wave * t->setup->rules.layers;

	if (!s->back && r != ROLLOUT_RUNNING && r != ROLLOUT_COMPLETED)
		world_broken(t, "I3: offered although the rollout does not run");
	if (s->back && r != ROLLOUT_ROLLING_BACK && r != ROLLOUT_ROLLED_BACK &&
		r != ROLLOUT_STOPPED)
		world_broken(t, "I3: taken back although the rollout does not go back");
	for (int l = 0; l < t->setup->rules.layers; l++) {
		const struct engine_step *o = &t->w->steps[first + l][device];

		if (!t->w->present[first + l][device])
			continue;
		if (!s->back && l < g->layer && !engine_ready_for_next(o))
			world_broken(t,
				"a version is offered whose requirements the device does not meet");
		if (s->back && l > g->layer && o->delivered != 0 && o->state != STEP_ROLLED_BACK &&
			o->state != STEP_REMOVED && o->state != STEP_SUPERSEDED)
			world_broken(t, "I8: a device goes back below a layer that it still has");
	}
	check_gateway(t, stage, device);
	for (int d = 0; d < t->setup->devices; d++)
		if (d != device && t->w->present[stage][d] &&
			t->w->steps[stage][d].delivered >= s->delivered)
			world_broken(t, "I5: a place in the order of delivery is not the last one");
}

/* What must be true of any change of a step. */
void world_check_change(struct turn *t, const struct engine_step *before,
	const struct engine_step *after, const struct engine_fact *fact)
{
	bool again = fact->kind == FACT_AGAIN || fact->kind == FACT_BACK;

	if (step_ended(before->state) && before->state != STEP_UNREACHED &&
		(before->state != STEP_HELD || before->back) && before->state != after->state &&
		!again)
		world_broken(t, "I4: a closed step has moved");
	if (fact->kind == FACT_REPORTED && fact->manifest != before->manifest &&
		before->state != after->state)
		world_broken(t, "I4: a report about a void order has moved a step");
	if (fact->kind == FACT_OVERTAKEN && before->state >= STEP_INSTALLING &&
		before->state <= STEP_INSTALLED && before->state != after->state)
		world_broken(t, "I12: a device was taken over while it installs");
	if (fact->kind == FACT_INSTALL_DUE && t->w->rollout.paused_at != 0 &&
		before->state != after->state)
		world_broken(t, "I6: a deadline has fired while the clock stands still");
}
/* ---- checks of the world as a whole */

/* A gate that let its stage pass by itself was right to: judged anew from the outcomes, not further
 * than the first that is open. */
void world_check_gate(struct turn *t, int i)
{
	const struct engine_step *order[WORLD_DEVICES];
	const struct figures_sums *f = &t->w->stages[i].sums;
	int n = world_in_order(t->w, t->setup->devices, i, order);
	struct gate_tally tally = { 0 };
	struct gate_feed feed = { .open = f->steps[STEP_QUEUED] +
			engine_in_flight(&t->w->stages[i], 1) };
	char text[GATE_TEXT_MAX];

	for (int k = 0; k < n; k++)
		if (!gate_take(&t->setup->rules.gate, &tally, order[k]->delivered, order[k]->state,
			    order[k]->cause))
			break;
	feed.silent = f->steps[STEP_UNREACHED] + f->steps[STEP_REJECTED] +
		f->steps[STEP_INELIGIBLE] + f->steps[STEP_HELD] + f->steps[STEP_SUPERSEDED] +
		f->outcome_failed + f->outcome_timed_out - tally.failures;
	if (gate_judge(&t->setup->rules.gate, &tally, &feed, text) != GATE_HOLDS)
		world_broken(t, "a gate has passed although its outcomes do not allow it");
}

/* I12, said anew: where only devices are missing that were taken over, nobody is asked to decide. */
void world_check_starved(struct turn *t, int i)
{
	bool taken = false;

	for (int d = 0; d < t->setup->devices; d++) {
		const struct engine_step *s = &t->w->steps[i][d];

		if (t->setup->wave_of[d] != t->w->stages[i].wave ||
			!world_takes_part(t->setup, d, t->w->stages[i].layer))
			continue;
		/* who never came is missing too */
		if (!t->w->present[i][d] ||
			(s->state != STEP_SUPERSEDED && s->state != STEP_CONFIRMED))
			return;
		taken = taken || s->state == STEP_SUPERSEDED;
	}
	if (taken && t->w->rollout.state == ROLLOUT_PAUSED)
		world_broken(t, "I12: a gate that starves asks for a decision");
}

/* I11, said anew. */
void world_check_completed(struct turn *t)
{
	for (int i = 0; i < world_stages(t->setup); i++)
		for (int d = 0; d < t->setup->devices; d++) {
			enum step_state s = t->w->steps[i][d].state;

			if (t->w->present[i][d] && !step_ended(s) && s != STEP_REJECTED)
				world_broken(t, "I11: completed while a device is under way");
		}
}

static bool share(double v)
{
	return v < 0 || (v <= 1.0);
}

static void check_figures(struct turn *t)
{
	for (int wave = 0; wave < t->setup->rules.waves; wave++) {
		struct figures_sums sums = { 0 };
		struct figures f;
		int64_t devices = 0;

		for (int d = 0; d < t->setup->devices; d++)
			devices += t->setup->wave_of[d] == wave;
		for (int l = 0; l < t->setup->rules.layers; l++)
			figures_add(
				&sums, &t->w->stages[wave * t->setup->rules.layers + l].sums, 1);
		figures_derive(&sums, devices, FIGURES_WAVE, &f);
		if (f.targets < 0 || f.confirmed > devices || !share(f.completion) ||
			!share(f.failure) || !share(f.rollback) || !share(f.rollback_failure))
			world_broken(t, "a wave's figures are impossible");
	}
}

/* A rollout that is under way waits for something that can still come. */
static void check_alive(struct turn *t)
{
	enum rollout_state r = t->w->rollout.state;
	bool alive = false;

	if (r != ROLLOUT_STARTING && r != ROLLOUT_RUNNING && r != ROLLOUT_STOPPING &&
		r != ROLLOUT_ROLLING_BACK)
		return;
	for (int i = 0; i < world_stages(t->setup); i++) {
		const struct engine_stage *g = &t->w->stages[i];
		const struct figures_sums *f = &g->sums;
		int64_t flying_here = engine_in_flight(g, 1);

		if (g->jobs != 0)
			alive = true;
		else if (r == ROLLOUT_STOPPING)
			alive = alive || flying_here > 0;
		else if (r == ROLLOUT_ROLLING_BACK)
			alive = alive || (g->state == STAGE_ROLLING_BACK && f->back > 0);
		else if (g->state == STAGE_SOAKING)
			alive = alive || g->soak_until != 0;
		else
			alive = alive || flying_here > 0 ||
				(f->steps[STEP_QUEUED] > 0 && g->reach_at != 0);
	}
	if (!alive)
		world_broken(t, "the rollout hangs: nothing can come any more");
}

void world_check_all(struct turn *t)
{
	struct engine_step steps[WORLD_STAGES * WORLD_DEVICES];
	size_t n = 0;
	const char *what;

	for (int i = 0; i < world_stages(t->setup); i++)
		for (int d = 0; d < t->setup->devices; d++)
			if (t->w->present[i][d])
				steps[n++] = t->w->steps[i][d];
	what = engine_check(&(struct engine_view){ .rules = &t->setup->rules,
				    .rollout = &t->w->rollout,
				    .stages = t->w->stages,
				    .now_ms = WORLD_NOW },
		steps, n);
	if (what != NULL)
		world_broken(t, what);
	check_figures(t);
	check_alive(t);
}

/* Nothing comes of it: nobody is offered anything forward, and no time is over. */