/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void world_init(const struct world_setup *setup, struct world *w)
{
	size_t devices = (size_t)setup->devices;

	w->rollout = (struct engine_rollout){ .id = 1,
		.state = setup->rules.approval ? ROLLOUT_WAITING_APPROVAL : ROLLOUT_READY,
		.back_wave = ENGINE_ALL_WAVES };
	for (int i = 0; i < world_stages(setup); i++) {
		w->stages[i] = (struct engine_stage){ .id = i + 1,
			.wave = i / setup->rules.layers,
			.layer = i % setup->rules.layers,
			.state = STAGE_PENDING };
		for (int d = 0; d < setup->devices; d++)
			w->stages[i].expected += setup->wave_of[d] == w->stages[i].wave;
		memset(w->steps[i], 0, devices * sizeof(w->steps[i][0]));
		memset(w->present[i], 0, devices * sizeof(w->present[i][0]));
		memset(w->cursor[i], 0, sizeof(w->cursor[i]));
	}
}

void world_copy(const struct world_setup *setup, struct world *to, const struct world *from)
{
	size_t devices = (size_t)setup->devices, n = (size_t)world_stages(setup);

	to->rollout = from->rollout;
	memcpy(to->stages, from->stages, n * sizeof(to->stages[0]));
	memcpy(to->cursor, from->cursor, n * sizeof(to->cursor[0]));
	for (size_t i = 0; i < n; i++) {
		memcpy(to->steps[i], from->steps[i], devices * sizeof(to->steps[i][0]));
		memcpy(to->present[i], from->present[i], devices * sizeof(to->present[i][0]));
	}
}

/* ---- which edges were taken, over all worlds */

static bool rollout_taken[ROLLOUT_STATE_MAX][ROLLOUT_STATE_MAX];
static bool stage_taken[STAGE_STATE_MAX][STAGE_STATE_MAX];
static bool step_taken[ENGINE_TURN + 1][STEP_STATE_MAX][STEP_STATE_MAX];

static void note_step(const struct engine_step *before, const struct engine_step *after)
{
	enum engine_way way = before->back != after->back ? ENGINE_TURN
		: after->back                             ? ENGINE_BACKWARD
							  : ENGINE_FORWARD;

	if (before->state != after->state || way == ENGINE_TURN)
		step_taken[way][before->state][after->state] = true;
}

/* Facts that are not of this world: planning, a plan without stages, a defect. */
static bool foreign(enum rollout_state from, enum rollout_state to)
{
	return from == ROLLOUT_DRAFT || from == ROLLOUT_PLANNING ||
		from == ROLLOUT_WAITING_APPROVAL ||
		(from == ROLLOUT_STARTING && to == ROLLOUT_COMPLETED) ||
		(from == ROLLOUT_STOPPING && to == ROLLOUT_PAUSED) ||
		(from == ROLLOUT_PAUSED && to == ROLLOUT_STARTING);
}

int world_untaken(void)
{
	int n = 0;

	for (int from = 0; from < ROLLOUT_STATE_MAX; from++)
		for (int to = 0; to < ROLLOUT_STATE_MAX; to++) {
			enum rollout_state a = (enum rollout_state)from, b = (enum rollout_state)to;

			if (engine_rollout_edge(a, b) == NULL || rollout_taken[from][to] ||
				foreign(a, b))
				continue;
			printf("never taken: a rollout from %s to %s\n", rollout_state_text(a),
				rollout_state_text(b));
			n++;
		}
	for (int from = 0; from < STAGE_STATE_MAX; from++)
		for (int to = 0; to < STAGE_STATE_MAX; to++) {
			enum stage_state a = (enum stage_state)from, b = (enum stage_state)to;

			if (engine_stage_edge(a, b) == NULL || stage_taken[from][to])
				continue;
			printf("never taken: a stage from %s to %s\n", stage_state_text(a),
				stage_state_text(b));
			n++;
		}
	for (int i = 0; i < (ENGINE_TURN + 1) * STEP_STATE_MAX * STEP_STATE_MAX; i++) {
		enum engine_way way = (enum engine_way)(i / (STEP_STATE_MAX * STEP_STATE_MAX));
		enum step_state a = (enum step_state)(i / STEP_STATE_MAX % STEP_STATE_MAX);
		enum step_state b = (enum step_state)(i % STEP_STATE_MAX);

		if (engine_step_edge(way, a, b) == NULL || step_taken[way][a][b])
			continue;
		printf("never taken: a step (way %d) from %s to %s\n", (int)way, step_state_text(a),
			step_state_text(b));
		n++;
	}
	return n;
}

/* ---- giving facts to the engine */

struct turn {
	const struct world_setup *setup;
	struct world *w;
	const char *broken;
};

static void broken(struct turn *t, const char *what)
{
	if (t->broken == NULL)
		t->broken = what;
}

static void check_gate(struct turn *t, int i);
static void check_completed(struct turn *t);
static void check_starved(struct turn *t, int i);

/* A fact about the rollout (stage -1) or a stage. */
static void give(struct turn *t, int stage, const struct engine_fact *fact)
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
		broken(t, out.broken);
		return;
	}
	if (out.rollout_changed) {
		enum rollout_state before = t->w->rollout.state;

		rollout_taken[before][out.rollout.state] = true;
		t->w->rollout = out.rollout;
		if (before != ROLLOUT_COMPLETED && out.rollout.state == ROLLOUT_COMPLETED)
			check_completed(t);
	}
	for (int i = 0; i < world_stages(t->setup); i++) {
		enum stage_state before = t->w->stages[i].state;

		if (!changed[i])
			continue;
		stage_taken[before][next[i].state] = true;
		t->w->stages[i] = next[i];
		/* attention is no part of this world: every device may ask at any time */
		t->w->stages[i].jobs &= ~(unsigned)ENGINE_ATTEND;
		for (int b = 0; b < ENGINE_JOBS; b++)
			if ((start[i] & 1u << b) != 0 || (next[i].jobs & 1u << b) == 0)
				t->w->cursor[i][b] = 0;
		if (before != STAGE_SUCCEEDED && next[i].state == STAGE_SUCCEEDED &&
			fact->kind != FACT_PROMOTE)
			check_gate(t, i);
		if (before != STAGE_INCONCLUSIVE && next[i].state == STAGE_INCONCLUSIVE)
			check_starved(t, i);
	}
}

static int by_place(const void *a, const void *b)
{
	const struct engine_step *const *x = a, *const *y = b;

	return (*x)->delivered < (*y)->delivered ? -1 : (*x)->delivered > (*y)->delivered;
}

/* The delivered steps of a stage in the order of delivery; returns how many. */
static int in_order(const struct world *w, int devices, int stage, const struct engine_step **out)
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
	int n = in_order(t->w, t->setup->devices, stage, order);

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
			give(t, i, &(struct engine_fact){ .kind = FACT_COUNTED });
		}
}

/* What the runner does once per commit. */
static void count(struct turn *t, int stage, const struct figures_sums *delta, unsigned done)
{
	struct engine_stage *g = &t->w->stages[stage];
	struct engine_fact fact = { .kind = FACT_COUNTED };
	static const struct figures_sums none;
	unsigned jobs = g->jobs;
	const char *what = engine_count(g, delta == NULL ? &none : delta);

	if (what != NULL)
		broken(t, what);
	if (t->broken != NULL)
		return;
	g->jobs &= ~done;
	take_outcomes(t, stage);
	g->jobs = jobs;
	for (int b = 0; b < ENGINE_JOBS; b++)
		if ((done & 1u << b) != 0)
			give(t, stage,
				&(struct engine_fact){
					.kind = FACT_JOB_DONE, .job = (enum engine_job)(1u << b) });
	give(t, stage, &fact);
	wake_upper(t, stage);
}

/* ---- facts about steps */

static void make(struct turn *t, int stage, int device);

/* A device behind a gateway never has what the gateway has not (any more). */
static void check_gateway(struct turn *t, int stage, int device)
{
	int layer = t->w->stages[stage].layer;
	bool back = t->w->steps[stage][device].back;

	for (int d = 1; d < t->setup->devices && back && device == 0; d++)
		for (int i = stage + 1; i < stage - layer + t->setup->rules.layers; i++)
			if (world_behind(t->setup, d) && t->w->present[i][d] &&
				t->w->steps[i][d].state == STEP_CONFIRMED)
				broken(t, "a gateway goes back below what a device behind it has");
	for (int i = stage - layer; i < stage && !back && world_behind(t->setup, device); i++)
		if (!t->w->present[i][0] || !engine_ready_for_next(&t->w->steps[i][0]))
			broken(t, "a device is offered what its gateway is not ready for");
}

/* Whether the engine may offer this step: what must be true of the world, said anew. */
static void check_offer(struct turn *t, int stage, int device)
{
	const struct engine_step *s = &t->w->steps[stage][device];
	const struct engine_stage *g = &t->w->stages[stage];
	enum rollout_state r = t->w->rollout.state;
	int first = g->wave * t->setup->rules.layers;

	if (!s->back && r != ROLLOUT_RUNNING && r != ROLLOUT_COMPLETED)
		broken(t, "I3: offered although the rollout does not run");
	if (s->back && r != ROLLOUT_ROLLING_BACK && r != ROLLOUT_ROLLED_BACK &&
		r != ROLLOUT_STOPPED)
		broken(t, "I3: taken back although the rollout does not go back");
	for (int l = 0; l < t->setup->rules.layers; l++) {
		const struct engine_step *o = &t->w->steps[first + l][device];

		if (!t->w->present[first + l][device])
			continue;
		if (!s->back && l < g->layer && !engine_ready_for_next(o))
			broken(t,
				"a version is offered whose requirements the device does not meet");
		if (s->back && l > g->layer && o->delivered != 0 && o->state != STEP_ROLLED_BACK &&
			o->state != STEP_REMOVED && o->state != STEP_SUPERSEDED)
			broken(t, "I8: a device goes back below a layer that it still has");
	}
	check_gateway(t, stage, device);
	for (int d = 0; d < t->setup->devices; d++)
		if (d != device && t->w->present[stage][d] &&
			t->w->steps[stage][d].delivered >= s->delivered)
			broken(t, "I5: a place in the order of delivery is not the last one");
}

/* What must be true of any change of a step. */
static void check_change(struct turn *t, const struct engine_step *before,
	const struct engine_step *after, const struct engine_fact *fact)
{
	bool again = fact->kind == FACT_AGAIN || fact->kind == FACT_BACK;

	if (step_ended(before->state) && before->state != STEP_UNREACHED &&
		(before->state != STEP_HELD || before->back) && before->state != after->state &&
		!again)
		broken(t, "I4: a closed step has moved");
	if (fact->kind == FACT_REPORTED && fact->manifest != before->manifest &&
		before->state != after->state)
		broken(t, "I4: a report about a void order has moved a step");
	if (fact->kind == FACT_OVERTAKEN && before->state >= STEP_INSTALLING &&
		before->state <= STEP_INSTALLED && before->state != after->state)
		broken(t, "I12: a device was taken over while it installs");
	if (fact->kind == FACT_INSTALL_DUE && t->w->rollout.paused_at != 0 &&
		before->state != after->state)
		broken(t, "I6: a deadline has fired while the clock stands still");
}

static void give_step(struct turn *t, int stage, int device, const struct engine_fact *fact)
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
		broken(t, out.broken);
		return;
	}
	if (out.offer)
		engine_tell(&t->w->stages[stage], &out.told);
	if (!out.step_changed)
		return;
	t->w->steps[stage][device] = out.step;
	t->w->present[stage][device] = true;
	if (fact->kind != FACT_MADE) {
		note_step(&before, &out.step);
		check_change(t, &before, &out.step, fact);
	}
	if (fact->kind == FACT_OVERTAKEN && before.deadline != 0 && !out.withdraw)
		broken(t, "I12: an order that was taken over has not been called back");
	if (out.offer)
		check_offer(t, stage, device);
	count(t, stage, &sums, 0);
	if (out.follow)
		make(t, stage + 1, device);
}

/* The row of a device in a stage, if it is time for it. */
static void make_as(struct turn *t, int stage, int device, enum engine_fit fit)
{
	const struct engine_stage *g = &t->w->stages[stage];
	const struct engine_step *lower = g->layer == 0 ? NULL : &t->w->steps[stage - 1][device];
	struct engine_step *s = &t->w->steps[stage][device];

	if (t->w->present[stage][device] || g->state == STAGE_PENDING || g->state == STAGE_SKIPPED)
		return;
	if (lower != NULL && (!t->w->present[stage - 1][device] || !engine_ready_for_next(lower)))
		return;
	*s = (struct engine_step){ .stage_id = g->id,
		.device_no = device + 1,
		.flags = g->layer == t->setup->rules.layers - 1 ? ENGINE_LAST : 0 };
	if (lower != NULL && (lower->flags & (ENGINE_SWITCHED | ENGINE_SWITCHED_BEFORE)) != 0)
		s->flags |= ENGINE_SWITCHED_BEFORE;
	give_step(t, stage, device, &(struct engine_fact){ .kind = FACT_MADE, .fit = fit });
}

static void make(struct turn *t, int stage, int device)
{
	make_as(t, stage, device, ENGINE_FITS);
}

/* ---- actions */

/* Whether a step may go back, as the layers above say. */
static enum engine_fit look_above(
	const struct world_setup *setup, const struct world *w, int stage, int device)
{
	int end = (w->stages[stage].wave + 1) * setup->rules.layers;
	struct engine_step upper[WORLD_STAGES * WORLD_DEVICES];
	size_t n = 0;

	for (int i = stage + 1; i < end; i++)
		for (int d = 0; d < setup->devices; d++) {
			bool needs = d == device || (device == 0 && world_behind(setup, d));

			/* of those behind it only what goes back, as the store finds them */
			if (needs && w->present[i][d] && (d == device || w->steps[i][d].back))
				upper[n++] = w->steps[i][d];
		}
	return engine_back_fit(upper, n);
}

/* Whether the gateway has all that the device's step needs. */
static bool gateway_ready(const struct world *w, int stage)
{
	for (int i = stage - w->stages[stage].layer; i < stage; i++)
		if (!w->present[i][0] || !engine_ready_for_next(&w->steps[i][0]))
			return false;
	return true;
}

static void do_job(struct turn *t, int stage, unsigned job, int device, enum engine_fit fit)
{
	struct engine_fact fact = { .kind = job == ENGINE_REACH ? FACT_REACH_DUE
			: job == ENGINE_CANCEL                  ? FACT_CANCEL
			: job == ENGINE_BACK                    ? FACT_BACK
			: job == ENGINE_RETRY                   ? FACT_AGAIN
			: fit == ENGINE_NOT_OURS                ? FACT_OVERTAKEN
								: FACT_REVIEWED,
		.fit = fit,
		.causes = t->w->stages[stage].retry_causes };

	if (job == ENGINE_BACK && fit != ENGINE_NOT_OURS) {
		enum engine_fit above = look_above(t->setup, t->w, stage, device);

		fact.fit = above == ENGINE_FITS ? fit : above;
	}
	/* as the runner does: who took itself back above is not counted again */
	for (int l = t->w->stages[stage].layer + 1, i = stage + 1; l < t->setup->rules.layers;
		l++, i++)
		if (t->w->present[i][device])
			fact.flags |= (t->w->steps[i][device].flags &
					      (ENGINE_BACK_BY_DEVICE | ENGINE_BACK_COUNTED)) != 0
				? ENGINE_BACK_COUNTED
				: 0;
	if (job == ENGINE_OPEN && t->setup->wave_of[device] == t->w->stages[stage].wave)
		make_as(t, stage, device, fit);
	else if (job != ENGINE_OPEN && t->w->present[stage][device])
		give_step(t, stage, device, &fact);
}

static void slice(struct turn *t, int stage, unsigned job, enum engine_fit fit)
{
	int *cursor = &t->w->cursor[stage][__builtin_ctz(job)];

	while (*cursor < t->setup->devices) {
		do_job(t, stage, job, (*cursor)++, fit);
		if ((t->w->stages[stage].jobs & job) == 0 || t->broken != NULL)
			return;
		if (t->setup->sliced && *cursor < t->setup->devices)
			return;
	}
	count(t, stage, NULL, job);
}

int world_chosen(
	const struct world_setup *setup, const struct world *w, int device, enum engine_fit *fit)
{
	int first = setup->wave_of[device] * setup->rules.layers, choice = -1;

	*fit = ENGINE_FITS;
	for (int l = 0; l < setup->rules.layers; l++) {
		const struct engine_step *s = &w->steps[first + l][device];
		bool waits = s->state == STEP_QUEUED || s->state == STEP_UNREACHED;

		if (!w->present[first + l][device])
			continue;
		if (s->state >= STEP_OFFERED && s->state <= STEP_INSTALLED &&
			s->state != STEP_REJECTED)
			return -1;
		/* backward the upper layer first, forward the lower */
		if (waits && (choice < 0 || s->back))
			choice = first + l;
	}
	if (choice >= 0 && w->steps[choice][device].back)
		*fit = look_above(setup, w, choice, device);
	else if (choice >= 0 && world_behind(setup, device) && !gateway_ready(w, choice))
		*fit = ENGINE_LATER;
	return choice;
}

static int64_t flying(const struct world_setup *setup, const struct world *w)
{
	return engine_may_switch(w->stages, (size_t)world_stages(setup));
}

static void recount(struct turn *t)
{
	for (int i = 0; i < world_stages(t->setup); i++) {
		enum stage_state g = t->w->stages[i].state;

		if (i == 0 || g == STAGE_RUNNING || g == STAGE_SOAKING || g == STAGE_ROLLING_BACK)
			count(t, i, NULL, 0);
	}
}

static void act(struct turn *t, const struct world_action *a)
{
	static const struct window never = { .until = WORLD_NOW + 1000000 };
	struct engine_fact fact = a->fact;
	struct world *w = t->w;

	if (a->closed)
		fact.window = fact.install_window = &never;
	switch (a->kind) {
	case WORLD_VERB:
		give(t, -1, &fact);
		recount(t);
		break;
	case WORLD_POLL:
		fact.kind = FACT_POLLED;
		fact.in_flight = flying(t->setup, w);
		fact.manifest = 1;
		give_step(t, a->stage, a->device, &fact);
		break;
	case WORLD_REPORT:
		fact.kind = FACT_REPORTED;
		give_step(t, a->stage, a->device, &fact);
		break;
	case WORLD_STEP_DUE:
		w->steps[a->stage][a->device].deadline = WORLD_NOW;
		fact.kind = FACT_INSTALL_DUE;
		give_step(t, a->stage, a->device, &fact);
		break;
	case WORLD_STAGE_DUE:
		*(a->soak ? &w->stages[a->stage].soak_until : &w->stages[a->stage].reach_at) =
			WORLD_NOW;
		fact.opened = !a->closed;
		fact.kind = FACT_STAGE_DUE;
		give(t, a->stage, &fact);
		break;
	case WORLD_SLICE:
		slice(t, a->stage, a->job, a->fact.fit);
		break;
	case WORLD_RETIRE:
		fact.kind = FACT_REMOVED;
		for (int l = 0; l < t->setup->rules.layers; l++) {
			int i = t->setup->wave_of[a->device] * t->setup->rules.layers + l;

			if (w->present[i][a->device])
				give_step(t, i, a->device, &fact);
		}
		break;
	case WORLD_OVERTAKE:
		fact.kind = FACT_OVERTAKEN;
		give_step(t, a->stage, a->device, &fact);
		break;
	case WORLD_AWAY:
	default:
		fact = (struct engine_fact){
			.kind = FACT_AWAY, .from = WORLD_NOW - 500, .grace_ms = 10
		};
		give(t, -1, &fact);
	}
}

/* ---- checks of the world as a whole */

/* A gate that let its stage pass by itself was right to: judged anew from the outcomes, not further
 * than the first that is open. */
static void check_gate(struct turn *t, int i)
{
	const struct engine_step *order[WORLD_DEVICES];
	const struct figures_sums *f = &t->w->stages[i].sums;
	int n = in_order(t->w, t->setup->devices, i, order);
	struct gate_tally tally = { 0 };
	struct gate_feed feed = { .open = f->steps[STEP_QUEUED] +
			engine_may_switch(&t->w->stages[i], 1) };
	char text[GATE_TEXT_MAX];

	for (int k = 0; k < n; k++)
		if (!gate_take(&t->setup->rules.gate, &tally, order[k]->delivered, order[k]->state,
			    order[k]->cause))
			break;
	feed.silent = f->steps[STEP_UNREACHED] + f->steps[STEP_REJECTED] +
		f->steps[STEP_INELIGIBLE] + f->steps[STEP_HELD] + f->steps[STEP_SUPERSEDED] +
		f->outcome_failed + f->outcome_timed_out - tally.failures;
	if (gate_judge(&t->setup->rules.gate, &tally, &feed, text) != GATE_HOLDS)
		broken(t, "a gate has passed although its outcomes do not allow it");
}

/* I12, said anew: where only devices are missing that were taken over, nobody is asked to decide. */
static void check_starved(struct turn *t, int i)
{
	bool taken = false;

	for (int d = 0; d < t->setup->devices; d++) {
		const struct engine_step *s = &t->w->steps[i][d];

		if (t->setup->wave_of[d] != t->w->stages[i].wave)
			continue;
		/* who never came is missing too */
		if (!t->w->present[i][d] ||
			(s->state != STEP_SUPERSEDED && s->state != STEP_CONFIRMED))
			return;
		taken = taken || s->state == STEP_SUPERSEDED;
	}
	if (taken && t->w->rollout.state == ROLLOUT_PAUSED)
		broken(t, "I12: a gate that starves asks for a decision");
}

/* I11, said anew. */
static void check_completed(struct turn *t)
{
	for (int i = 0; i < world_stages(t->setup); i++)
		for (int d = 0; d < t->setup->devices; d++) {
			enum step_state s = t->w->steps[i][d].state;

			if (t->w->present[i][d] && !step_ended(s) && s != STEP_REJECTED)
				broken(t, "I11: completed while a device is under way");
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
			broken(t, "a wave's figures are impossible");
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
		int64_t flying_here = engine_may_switch(g, 1);

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
		broken(t, "the rollout hangs: nothing can come any more");
}

static void check_world(struct turn *t)
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
		broken(t, what);
	check_figures(t);
	check_alive(t);
}

/* Nothing comes of it: nobody is offered anything forward, and no time is over. */
static void check_closed(struct turn *t, const struct world_action *a,
	const struct engine_step *was, const struct engine_stage *stage)
{
	const struct engine_stage *now = &t->w->stages[a->stage];

	if (a->kind == WORLD_POLL && !was->back &&
		t->w->steps[a->stage][a->device].state != was->state)
		broken(t, "a step moves although its window is closed");
	if (a->kind == WORLD_STEP_DUE && t->w->steps[a->stage][a->device].state != was->state)
		broken(t, "the time to install is over although the window was closed");
	if (a->kind == WORLD_STAGE_DUE && stage->state != STAGE_ROLLING_BACK &&
		(now->state != stage->state || (now->jobs & ~stage->jobs) != 0))
		broken(t, "a stage's time is over although the window was closed");
}

const char *world_apply(
	const struct world_setup *setup, struct world *w, const struct world_action *a)
{
	struct turn t = { .setup = setup, .w = w };
	enum rollout_state before = w->rollout.state;
	struct engine_step was = w->steps[a->stage][a->device];
	struct engine_stage stage = w->stages[a->stage];

	act(&t, a);
	if (t.broken == NULL && a->closed)
		check_closed(&t, a, &was, &stage);
	if (t.broken == NULL && a->kind == WORLD_AWAY && w->rollout.state != before)
		broken(&t, "I6: an absence has changed a state");
	if (t.broken == NULL)
		check_world(&t);
	return t.broken;
}
