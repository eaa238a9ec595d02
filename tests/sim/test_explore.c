/* SPDX-License-Identifier: Apache-2.0
 *
 * Every state that a small rollout can reach, breadth first, with every invariant checked in each; and
 * engines that are broken on purpose, which must be found out. Prints the number of states. */
#include "tests/sim/search.h"
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STATES 3000000 /* that there is room for */

struct exploration {
	const struct world_setup *setup;
	struct search search;
	size_t transitions;
	const char *broken;
};

static void *need(void *p)
{
	FL_BUG_IF(p == NULL);
	return p;
}

/* Print how a state was reached: the actions are found again by trying them. */
static void trace(const struct exploration *s, uint32_t state)
{
	struct world_action *actions = need(calloc(WORLD_ACTIONS, sizeof(*actions)));
	uint8_t key[WORLD_KEY];
	uint32_t from = s->search.parent[state];

	if (state == from) {
		free(actions);
		return;
	}
	trace(s, from);
	struct world w;
	int n;

	world_decode(s->setup, search_key(&s->search, from), &w);
	n = world_actions(s->setup, &w, actions);
	for (int i = 0; i < n; i++) {
		world_decode(s->setup, search_key(&s->search, from), &w);
		if (world_apply(s->setup, &w, &actions[i]) != NULL)
			continue;
		world_encode(s->setup, &w, key);
		if (memcmp(key, search_key(&s->search, state), s->search.key_bytes) == 0) {
			world_print(&actions[i]);
			break;
		}
	}
	free(actions);
}

static void expand(struct exploration *s, uint32_t state, struct world_action *actions, bool tell)
{
	uint8_t key[WORLD_KEY];
	struct world w, start;
	int n;

	world_decode(s->setup, search_key(&s->search, state), &start);
	n = world_actions(s->setup, &start, actions);
	for (int i = 0; i < n && s->broken == NULL; i++) {
		const char *broken;

		world_copy(s->setup, &w, &start);
		broken = world_apply(s->setup, &w, &actions[i]);
		s->transitions++;
		if (broken == NULL) {
			world_encode(s->setup, &w, key);
			if (!search_add(&s->search, key, state))
				s->broken = "there are more states than this test has room for";
			continue;
		}
		s->broken = broken;
		if (!tell)
			continue;
		trace(s, state);
		world_print(&actions[i]);
	}
}

/* Only those with this in their name; NULL: all. */
static const char *only;

/* Explore everything; returns what is broken, NULL if nothing is. */
static const char *explore(const char *name, const struct world_setup *setup, bool tell)
{
	if (only != NULL && strstr(name, only) == NULL)
		return NULL;
	struct world_action *actions = need(calloc(WORLD_ACTIONS, sizeof(*actions)));
	struct exploration s = { .setup = setup };
	struct world w;
	uint8_t key[WORLD_KEY];
	clock_t began = clock();

	world_init(setup, &w);
	search_init(&s.search, world_encode(setup, &w, key), STATES);
	(void)search_add(&s.search, key, 0);
	for (uint32_t i = 0; i < s.search.n && s.broken == NULL; i++)
		expand(&s, i, actions, tell);
	printf("%-38s %8zu states %9zu transitions %6.1f s  %s\n", name, s.search.n, s.transitions,
		(double)(clock() - began) / CLOCKS_PER_SEC, s.broken == NULL ? "holds" : s.broken);
	(void)fflush(stdout);
	search_fini(&s.search);
	free(actions);
	return s.broken;
}

/* ---- setups */

static struct world_setup setup(int waves, int layers, const char *waves_of)
{
	struct world_setup s = {
		.rules = { .layers = layers,
			.waves = waves,
			.gate = { .success_ppm = 600000,
				.error_ppm = 500000,
				.error_minimum = 1,
				.causes = 1u << CAUSE_RELEASE | 1u << CAUSE_UNKNOWN },
			.reach_ms = 1000,
			.install_ms = 1000,
			.back_reach_ms = 1000,
			.pace = { .back_first = 1,
				.back_error_ppm = 500000,
				.back_error_minimum = 1 } },
		.devices = (int)strlen(waves_of),
		.attempts = 1,
		.engine = engine_step,
	};

	for (int i = 0; i < s.devices; i++)
		s.wave_of[i] = waves_of[i] - '0';
	return s;
}

/* ---- broken engines: each does one thing wrong */

static void forgets_canceled(
	const struct engine_view *v, const struct engine_fact *f, struct engine_out *o)
{
	engine_step(v, f, o);
	if (o->step_changed && o->step.state == STEP_CANCELED)
		*o->sums = (struct figures_sums){ 0 };
}

static void opens_early(
	const struct engine_view *v, const struct engine_fact *f, struct engine_out *o)
{
	engine_step(v, f, o);
	if (f->kind == FACT_COUNTED && v->stages[1].state == STAGE_PENDING && !o->changed[1] &&
		v->rollout->state == ROLLOUT_RUNNING && !o->rollout_changed) {
		o->stages[1] = v->stages[1];
		o->stages[1].state = STAGE_RUNNING;
		o->stages[1].jobs = ENGINE_OPEN;
		o->changed[1] = true;
	}
}

static void offers_while_paused(
	const struct engine_view *v, const struct engine_fact *f, struct engine_out *o)
{
	struct engine_rollout r = *v->rollout;
	struct engine_view view = *v;

	if (f->kind == FACT_POLLED && r.state == ROLLOUT_PAUSED)
		r.state = r.resume_to;
	view.rollout = &r;
	engine_step(&view, f, o);
}

static void takes_late_reports(
	const struct engine_view *v, const struct engine_fact *f, struct engine_out *o)
{
	struct engine_step s;
	struct engine_view view = *v;

	if (f->kind == FACT_REPORTED && v->step->state == STEP_TIMED_OUT) {
		s = *v->step;
		s.state = STEP_OFFERED;
		view.step = &s;
	}
	engine_step(&view, f, o);
}

static void takes_void_reports(
	const struct engine_view *v, const struct engine_fact *f, struct engine_out *o)
{
	struct engine_fact fact = *f;

	if (f->kind == FACT_REPORTED)
		fact.manifest = v->step->manifest;
	engine_step(v, &fact, o);
}

static void clock_runs_on(
	const struct engine_view *v, const struct engine_fact *f, struct engine_out *o)
{
	struct engine_rollout r = *v->rollout;
	struct engine_view view = *v;

	if (f->kind == FACT_INSTALL_DUE)
		r.paused_at = 0;
	view.rollout = &r;
	engine_step(&view, f, o);
}

static void repeats_places(
	const struct engine_view *v, const struct engine_fact *f, struct engine_out *o)
{
	engine_step(v, f, o);
	if (o->offer && o->step.delivered > 1) {
		o->step.delivered--;
		o->told.delivered--;
	}
}

static void skips_the_silent(
	const struct engine_view *v, const struct engine_fact *f, struct engine_out *o)
{
	struct engine_stage *g;

	engine_step(v, f, o);
	if (f->kind != FACT_COUNTED || v->stage->state != STAGE_RUNNING || v->stage->jobs != 0 ||
		o->rollout_changed || v->rollout->state != ROLLOUT_RUNNING ||
		v->stage->sums.outcome_confirmed == 0)
		return;
	g = &o->stages[v->stage - v->stages];
	*g = *v->stage;
	g->state = STAGE_SUCCEEDED;
	o->changed[v->stage - v->stages] = true;
}

static void goes_back_from_below(
	const struct engine_view *v, const struct engine_fact *f, struct engine_out *o)
{
	engine_step(v, f, o);
	if (f->kind == FACT_ROLLBACK && o->did == ENGINE_CHANGED &&
		o->stages[1].state == STAGE_ROLLING_BACK && o->changed[0]) {
		o->stages[0].state = STAGE_ROLLING_BACK;
		o->stages[0].jobs = ENGINE_BACK;
	}
}

static void forgets_to_judge(
	const struct engine_view *v, const struct engine_fact *f, struct engine_out *o)
{
	struct engine_fact fact = *f;

	/* only devices' own outcomes are judged, not those that time ends */
	engine_step(v, &fact, o);
	if (f->kind == FACT_COUNTED && v->stage->sums.outcome_timed_out > 0 &&
		v->rollout->state == ROLLOUT_RUNNING) {
		o->rollout_changed = false;
		memset(o->changed, 0, (size_t)(v->rules->layers * v->rules->waves));
	}
}

static void deadline_stays(
	const struct engine_view *v, const struct engine_fact *f, struct engine_out *o)
{
	engine_step(v, f, o);
	if (o->step_changed && o->step.state == STEP_CONFIRMED)
		o->step.deadline = 1;
}

static void completes_early(
	const struct engine_view *v, const struct engine_fact *f, struct engine_out *o)
{
	engine_step(v, f, o);
	if (f->kind == FACT_PROMOTE && o->changed[1] && o->stages[1].state == STAGE_SUCCEEDED &&
		v->rollout->state == ROLLOUT_RUNNING) {
		o->rollout = *v->rollout;
		o->rollout.state = ROLLOUT_COMPLETED;
		o->rollout_changed = true;
	}
}

static void ignores_the_gateway(
	const struct engine_view *v, const struct engine_fact *f, struct engine_out *o)
{
	struct engine_fact fact = *f;

	if (f->kind == FACT_POLLED && f->fit == ENGINE_LATER)
		fact.fit = ENGINE_FITS;
	engine_step(v, &fact, o);
}

static void waits_without_a_term(
	const struct engine_view *v, const struct engine_fact *f, struct engine_out *o)
{
	engine_step(v, f, o);
	if (f->kind == FACT_MADE && o->step.state == STEP_UNREACHED) {
		o->step.state = STEP_QUEUED;
		o->sums->steps[STEP_UNREACHED]--;
		o->sums->steps[STEP_QUEUED]++;
	}
}

static void offers_while_closed(
	const struct engine_view *v, const struct engine_fact *f, struct engine_out *o)
{
	struct engine_fact fact = *f;

	if (f->kind == FACT_POLLED)
		fact.window = NULL;
	engine_step(v, &fact, o);
}

static void counts_closed_time(
	const struct engine_view *v, const struct engine_fact *f, struct engine_out *o)
{
	struct engine_fact fact = *f;

	if (f->kind == FACT_INSTALL_DUE)
		fact.install_window = NULL;
	engine_step(v, &fact, o);
}

/* Takes over who is installing. */
static void overtakes_who_installs(
	const struct engine_view *v, const struct engine_fact *f, struct engine_out *o)
{
	struct engine_view view = *v;
	struct engine_step step;

	if (f->kind != FACT_OVERTAKEN || v->step->state != STEP_INSTALLING) {
		engine_step(v, f, o);
		return;
	}
	step = *v->step;
	step.state = STEP_DOWNLOADED;
	view.step = &step;
	engine_step(&view, f, o);
	o->sums->steps[STEP_DOWNLOADED]++;
	o->sums->steps[STEP_INSTALLING]--;
}

static void leaves_overtaken_orders(
	const struct engine_view *v, const struct engine_fact *f, struct engine_out *o)
{
	engine_step(v, f, o);
	if (f->kind == FACT_OVERTAKEN)
		o->withdraw = false;
}

/* Asks a person about a gate whose devices were taken over. */
static void asks_the_starved(
	const struct engine_view *v, const struct engine_fact *f, struct engine_out *o)
{
	engine_step(v, f, o);
	if (!o->rollout_changed || strncmp(o->rollout.reason, "superseded", 10) != 0)
		return;
	o->rollout = *v->rollout;
	o->rollout.state = ROLLOUT_PAUSED;
	o->rollout.resume_to = ROLLOUT_RUNNING;
	o->rollout.pause = ENGINE_BY_GATE;
	o->rollout.paused_at = v->now_ms;
}

static const struct {
	const char *name;
	world_engine_fn engine;
	bool rivals; /* found where devices are taken over */
} mutants[] = {
	{ "forgets to count the canceled", forgets_canceled, false },
	{ "opens a layer early", opens_early, false },
	{ "offers while paused", offers_while_paused, false },
	{ "takes late reports", takes_late_reports, false },
	{ "takes reports about void orders", takes_void_reports, false },
	{ "lets deadlines fire while paused", clock_runs_on, false },
	{ "gives a place twice", repeats_places, false },
	{ "passes over the silent", skips_the_silent, false },
	{ "takes the lower layer back first", goes_back_from_below, false },
	{ "does not judge time-outs", forgets_to_judge, false },
	{ "leaves a deadline behind", deadline_stays, false },
	{ "completes with devices under way", completes_early, false },
	{ "lets late devices wait for ever", waits_without_a_term, false },
	{ "ignores what the gateway has", ignores_the_gateway, false },
	{ "offers while the window is closed", offers_while_closed, false },
	{ "lets time pass while the window is closed", counts_closed_time, false },
	{ "takes over who installs", overtakes_who_installs, true },
	{ "leaves orders that were taken over", leaves_overtaken_orders, true },
	{ "asks about a gate that starves", asks_the_starved, true },
};

/* Each broken engine is found out by a small exploration. */
static int try_mutants(void)
{
	struct world_setup two = setup(1, 2, "00"), one = setup(1, 1, "0");
	int missed = 0;

	two.fewer = two.gateway = two.windows = one.retire = true;
	for (size_t i = 0; i < FL_COUNT(mutants); i++) {
		struct world_setup s = mutants[i].rivals ? one : two;

		s.engine = mutants[i].engine;
		if (explore(mutants[i].name, &s, false) == NULL)
			missed++;
	}
	return missed;
}

/* The fleets that are explored; `full`: those that take minutes. */
static int try_engine(bool full)
{
	struct world_setup s = setup(1, 2, "00");
	int failed = 0;

	s.fewer = true;
	failed += explore("2 devices, 2 layers, every verb", &s, true) != NULL;
	s = setup(2, 2, "001");
	s.fewer = s.hands_off = s.gateway = true;
	s.rules.on_failure = ENGINE_ROLL_IT_BACK;
	failed += explore("3 devices, 2 waves, 2 layers, gateway", &s, true) != NULL;
	s = setup(1, 2, "00");
	s.fewer = s.gateway = true;
	failed += explore("a gateway and a device, every verb", &s, true) != NULL;
	s = setup(2, 1, "01");
	s.fewer = s.causes = true;
	s.rules.on_failure = ENGINE_STOP_IT;
	s.rules.gate.success_minimum = 1;
	s.rules.max_in_flight = 1;
	failed += explore("2 devices, 2 waves, stop", &s, true) != NULL;
	s = setup(1, 1, "00");
	s.sliced = s.causes = true;
	s.attempts = 2;
	s.rules.soak_ms = 1000;
	s.rules.gate.success_minimum = 1;
	s.rules.gate.error_minimum = 2;
	s.rules.gate.error_ppm = 400000;
	failed += explore("2 devices, slices, soak, retries", &s, true) != NULL;
	s = setup(1, 1, "00");
	s.fewer = true;
	s.attempts = 2;
	s.rules.soak_ms = 1000;
	s.windows = true;
	failed += explore("2 devices, soak, retries, windows", &s, true) != NULL;
	s = setup(1, 2, "0");
	s.retire = s.misfit = s.no_way = s.sliced = true;
	s.rules.order = ENGINE_PIPELINED;
	failed += explore("1 device, misfits, retirement", &s, true) != NULL;
	s = setup(1, 1, "0");
	s.retire = s.misfit = s.no_way = s.every_word = s.rules.approval = true;
	s.attempts = 2;
	s.windows = true;
	failed += explore("1 device, approval, every word", &s, true) != NULL;
	s = setup(2, 2, "01");
	s.fewer = s.hands_off = true;
	s.rules.order = ENGINE_LAYER_FIRST;
	s.rules.on_failure = ENGINE_ROLL_IT_BACK;
	failed += explore("2 devices, 2 waves, layer first", &s, true) != NULL;
	s.rules.order = ENGINE_PIPELINED;
	s.rules.pace.retries[0] = (struct pace_retry){
		.ends = PACE_TIMED_OUT, .causes = ~0u, .attempts = 2, .factor_ppm = 1000000
	};
	s.rules.pace.n_retries = 1;
	failed += explore("2 devices, 2 waves, pipelined, retries", &s, true) != NULL;
	if (!full)
		return failed;
	s = setup(2, 2, "01");
	s.fewer = true;
	failed += explore("2 devices, 2 waves, 2 layers, verbs", &s, true) != NULL;
	s = setup(2, 1, "01");
	s.misfit = s.retire = s.causes = true;
	s.attempts = 2;
	failed += explore("2 devices, 2 waves, everything", &s, true) != NULL;
	return failed;
}

/* With --full also the fleets that take minutes; with a word only those that have it in their name. */
int main(int argc, char **argv)
{
	bool full = argc > 1 && strcmp(argv[1], "--full") == 0;
	int failed;

	only = argc > 1 && !full ? argv[1] : NULL;
	failed = try_engine(full);
	if (only != NULL)
		return failed != 0;
	failed += world_untaken();
	failed += try_mutants();
	if (failed == 0)
		printf("all held, all broken engines were found out\n");
	else
		printf("%d failed\n", failed);
	return failed != 0;
}
