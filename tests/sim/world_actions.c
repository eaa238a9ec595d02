/* SPDX-License-Identifier: Apache-2.0
 *
 * What can happen in a world. */
#include "tests/sim/world.h"

#include <stdio.h>

struct choice {
	struct world_action *out;
	int n;
};

static void add(struct choice *c, struct world_action a)
{
	FL_BUG_IF(c->n >= WORLD_ACTIONS);
	c->out[c->n++] = a;
}

/* The first stage that a promote could be about, with its name; nothing if there is none. */
static void add_promote(const struct world_setup *setup, const struct world *w, struct choice *c)
{
	for (int i = 0; i < world_stages(setup); i++) {
		const struct engine_stage *s = &w->stages[i];
		struct world_action a = { .kind = WORLD_VERB,
			.fact = { .kind = FACT_PROMOTE, .wave = s->wave, .layer = s->layer } };

		if (s->state != STAGE_RUNNING && s->state != STAGE_SOAKING &&
			s->state != STAGE_FAILED && s->state != STAGE_INCONCLUSIVE)
			continue;
		add(c, a);
		return;
	}
}

static void add_open_or_closed(
	const struct world_setup *setup, struct world_action a, struct choice *c)
{
	add(c, a);
	a.closed = true;
	if (setup->windows)
		add(c, a);
}

static void add_verbs(const struct world_setup *setup, const struct world *w, struct choice *c)
{
	static const enum engine_fact_kind plain[] = { FACT_START, FACT_PAUSE, FACT_RESUME,
		FACT_APPROVED, FACT_DENIED };
	const size_t n = setup->hands_off ? 1
		: setup->rules.approval   ? FL_COUNT(plain)
					  : FL_COUNT(plain) - 2;
	struct world_action a = { .kind = WORLD_VERB };
	int attempts = 0;

	for (size_t i = 0; i < n; i++) {
		a.fact = (struct engine_fact){ .kind = plain[i] };
		add(c, a);
	}
	if (setup->hands_off)
		return;
	add_promote(setup, w, c);
	a.fact = (struct engine_fact){ .kind = FACT_STOP };
	add(c, a);
	a.fact.cancel = true;
	add(c, a);
	if (setup->windows) {
		a.fact = (struct engine_fact){ .kind = FACT_START, .start_at = WORLD_NOW + 1 };
		add(c, a);
		a.fact = (struct engine_fact){ .kind = FACT_NOT_STARTED, .text = "too many" };
		add(c, a);
	}
	for (int wave = -1; wave < setup->rules.waves; wave++) {
		a.fact = (struct engine_fact){ .kind = FACT_ROLLBACK, .wave = wave };
		add(c, a);
	}
	if (setup->retire) {
		a.fact = (struct engine_fact){ .kind = FACT_REVIEW };
		add(c, a);
	}
	for (int i = 0; i < world_stages(setup); i++)
		for (int d = 0; d < setup->devices; d++)
			if (w->present[i][d] && w->steps[i][d].attempt > attempts)
				attempts = w->steps[i][d].attempt;
	if (attempts < setup->attempts) {
		a.fact = (struct engine_fact){ .kind = FACT_RETRY };
		add(c, a);
	}
	add(c, (struct world_action){ .kind = WORLD_AWAY });
}

static void add_reports(const struct world_setup *setup, const struct world *w, int stage,
	int device, struct choice *c)
{
	static const enum step_state said[] = { STEP_CONFIRMED, STEP_ROLLED_BACK, STEP_REJECTED,
		STEP_INSTALLING, STEP_FAILED, STEP_DOWNLOADING, STEP_ROLLBACK_FAILED, STEP_WAITING,
		STEP_DOWNLOADED, STEP_REBOOTING, STEP_INSTALLED };
	const size_t n = setup->every_word ? FL_COUNT(said) : setup->fewer ? 3 : 7;
	const struct engine_step *s = &w->steps[stage][device];
	struct world_action a = { .kind = WORLD_REPORT, .stage = stage, .device = device };

	if (s->manifest != 0)
		for (size_t i = 0; i < n; i++) {
			a.fact = (struct engine_fact){ .reported = said[i],
				.manifest = s->manifest };
			add(c, a);
			if (setup->causes && said[i] == STEP_FAILED) {
				a.fact.cause = CAUSE_NETWORK;
				add(c, a);
			}
		}
	/* about an order that another one has replaced */
	a.fact = (struct engine_fact){ .reported = STEP_CONFIRMED, .manifest = 77 };
	if (!setup->hands_off)
		add(c, a);
	if (setup->retire)
		add(c,
			(struct world_action){
				.kind = WORLD_OVERTAKE, .stage = stage, .device = device });
	a = (struct world_action){ .kind = WORLD_STEP_DUE, .stage = stage, .device = device };
	if (s->deadline != 0)
		add_open_or_closed(setup, a, c);
}

static void add_polls(
	const struct world_setup *setup, const struct world *w, int device, struct choice *c)
{
	enum engine_fit fit;
	int stage = world_chosen(setup, w, device, &fit);
	struct world_action a = {
		.kind = WORLD_POLL, .stage = stage, .device = device, .fact.manifest = 1
	};

	if (setup->retire)
		add(c, (struct world_action){ .kind = WORLD_RETIRE, .device = device });
	if (stage < 0)
		return;
	a.fact.fit = fit;
	add_open_or_closed(setup, a, c);
	if (setup->misfit && !w->steps[stage][device].back) {
		a.fact.fit = ENGINE_ALREADY;
		add(c, a);
		a.fact.fit = ENGINE_UNFIT;
		add(c, a);
	}
	if (setup->retire && !w->steps[stage][device].back) {
		a.fact.fit = ENGINE_HELD;
		add(c, a);
	}
	if (setup->no_way && w->steps[stage][device].back && fit == ENGINE_FITS) {
		a.fact.fit = ENGINE_NO_WAY;
		add(c, a);
		a.fact.fit = ENGINE_NOT_OURS;
		add(c, a);
	}
}

static void add_slices(
	const struct world_setup *setup, const struct world *w, int stage, struct choice *c)
{
	for (unsigned b = 0; b < ENGINE_JOBS; b++) {
		struct world_action a = { .kind = WORLD_SLICE, .stage = stage, .job = 1u << b };

		if ((w->stages[stage].jobs & a.job) == 0)
			continue;
		add(c, a);
		if (setup->retire && (a.job == ENGINE_OPEN || a.job == ENGINE_REVIEW)) {
			a.fact.fit = ENGINE_NOT_OURS;
			add(c, a);
			a.fact.fit = ENGINE_HELD;
			add(c, a);
		}
		if (setup->no_way && a.job == ENGINE_BACK) {
			a.fact.fit = ENGINE_NO_WAY;
			add(c, a);
			/* with layers it would have to be so in all of them */
			a.fact.fit = ENGINE_NOT_OURS;
			if (setup->rules.layers == 1)
				add(c, a);
		}
	}
}

int world_actions(const struct world_setup *setup, const struct world *w, struct world_action *out)
{
	struct choice c = { .out = out };
	struct world_action a;

	add_verbs(setup, w, &c);
	for (int d = 0; d < setup->devices; d++)
		add_polls(setup, w, d, &c);
	for (int i = 0; i < world_stages(setup); i++) {
		add_slices(setup, w, i, &c);
		a = (struct world_action){ .kind = WORLD_STAGE_DUE, .stage = i };
		if (w->stages[i].reach_at != 0)
			add_open_or_closed(setup, a, &c);
		a.soak = true;
		if (w->stages[i].soak_until != 0)
			add_open_or_closed(setup, a, &c);
		for (int d = 0; d < setup->devices; d++)
			if (w->present[i][d])
				add_reports(setup, w, i, d, &c);
	}
	return c.n;
}

void world_print(const struct world_action *a)
{
	static const char *const kinds[] = { "verb", "poll", "report", "step due", "stage due",
		"slice", "retire", "away", "overtake" };

	printf("  %s stage %d device %d fact %d state %s job %u fit %d%s%s\n", kinds[a->kind],
		a->stage, a->device, (int)a->fact.kind, step_state_text(a->fact.reported), a->job,
		(int)a->fact.fit, a->soak ? " soak" : "", a->closed ? " closed" : "");
}
