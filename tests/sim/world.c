/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/world_in.h"

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
			w->stages[i].expected += setup->wave_of[d] == w->stages[i].wave &&
				world_takes_part(setup, d, w->stages[i].layer);
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
void world_broken(struct turn *t, const char *what)
{
	if (t->broken == NULL)
		t->broken = what;
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

/* Whether a layer above has the device as one that took itself back: then it is not counted again. */
static bool counted_above(const struct turn *t, int stage, int device)
{
	int above = t->setup->rules.layers - t->w->stages[stage].layer;

	for (int i = stage + 1; i < stage + above; i++)
		if (t->w->present[i][device] &&
			(t->w->steps[i][device].flags &
				(ENGINE_BACK_BY_DEVICE | ENGINE_BACK_COUNTED)) != 0)
			return true;
	return false;
}

/* How a job's device stands to its step. */
static enum engine_fit job_fit(struct turn *t, const struct world_action *a)
{
	enum engine_fit above;

	if (t->setup->look != NULL)
		return t->setup->look(t->w, a);
	if (a->job != ENGINE_BACK || a->fact.fit == ENGINE_NOT_OURS)
		return a->fact.fit;
	above = look_above(t->setup, t->w, a->stage, a->device);
	return above == ENGINE_FITS ? a->fact.fit : above;
}

/* A part of a job: one device. */
static void do_job(struct turn *t, const struct world_action *a)
{
	const struct engine_stage *g = &t->w->stages[a->stage];
	enum engine_fit fit = job_fit(t, a);
	struct engine_fact fact = { .kind = a->job == ENGINE_REACH ? FACT_REACH_DUE
			: a->job == ENGINE_CANCEL                  ? FACT_CANCEL
			: a->job == ENGINE_BACK                    ? FACT_BACK
			: a->job == ENGINE_RETRY                   ? FACT_AGAIN
			: fit == ENGINE_NOT_OURS                   ? FACT_OVERTAKEN
								   : FACT_REVIEWED,
		.fit = fit,
		.flags = counted_above(t, a->stage, a->device) ? ENGINE_BACK_COUNTED : 0,
		.causes = g->retry_causes };

	if (a->job == ENGINE_OPEN && t->setup->wave_of[a->device] == g->wave)
		world_make(t, a->stage, a->device, fit);
	else if (a->job != ENGINE_OPEN && t->w->present[a->stage][a->device])
		world_give_step(t, a->stage, a->device, &fact);
}

static void slice(struct turn *t, const struct world_action *a)
{
	int *cursor = &t->w->cursor[a->stage][__builtin_ctz(a->job)];
	struct world_action one = *a;

	while (*cursor < t->setup->devices) {
		one.device = (*cursor)++;
		do_job(t, &one);
		if ((t->w->stages[a->stage].jobs & a->job) == 0 || t->broken != NULL)
			return;
		if (t->setup->sliced && *cursor < t->setup->devices)
			return;
	}
	world_count(t, a->stage, NULL, a->job);
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
	return engine_in_flight(w->stages, (size_t)world_stages(setup));
}

static void recount(struct turn *t)
{
	for (int i = 0; i < world_stages(t->setup); i++) {
		enum stage_state g = t->w->stages[i].state;

		if (i == 0 || g == STAGE_RUNNING || g == STAGE_SOAKING || g == STAGE_ROLLING_BACK)
			world_count(t, i, NULL, 0);
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
		world_give(t, -1, &fact);
		recount(t);
		break;
	case WORLD_POLL:
		fact.kind = FACT_POLLED;
		fact.in_flight = flying(t->setup, w);
		world_give_step(t, a->stage, a->device, &fact);
		break;
	case WORLD_REPORT:
		fact.kind = FACT_REPORTED;
		world_give_step(t, a->stage, a->device, &fact);
		break;
	case WORLD_STEP_DUE:
		w->steps[a->stage][a->device].deadline = WORLD_NOW;
		fact.kind = FACT_INSTALL_DUE;
		world_give_step(t, a->stage, a->device, &fact);
		break;
	case WORLD_STAGE_DUE:
		*(a->soak ? &w->stages[a->stage].soak_until : &w->stages[a->stage].reach_at) =
			WORLD_NOW;
		fact.opened = !a->closed;
		fact.kind = FACT_STAGE_DUE;
		world_give(t, a->stage, &fact);
		break;
	case WORLD_SLICE:
		slice(t, a);
		break;
	case WORLD_RETIRE:
		fact.kind = FACT_REMOVED;
		for (int l = 0; l < t->setup->rules.layers; l++) {
			int i = t->setup->wave_of[a->device] * t->setup->rules.layers + l;

			if (w->present[i][a->device])
				world_give_step(t, i, a->device, &fact);
		}
		break;
	case WORLD_OVERTAKE:
		fact.kind = FACT_OVERTAKEN;
		world_give_step(t, a->stage, a->device, &fact);
		break;
	case WORLD_AWAY:
	default:
		fact = (struct engine_fact){
			.kind = FACT_AWAY, .from = WORLD_NOW - 500, .grace_ms = 10
		};
		world_give(t, -1, &fact);
	}
}
void world_check_closed(struct turn *t, const struct world_action *a, const struct engine_step *was,
	const struct engine_stage *stage)
{
	const struct engine_stage *now = &t->w->stages[a->stage];

	if (a->kind == WORLD_POLL && !was->back &&
		t->w->steps[a->stage][a->device].state != was->state)
		world_broken(t, "a step moves although its window is closed");
	if (a->kind == WORLD_STEP_DUE && t->w->steps[a->stage][a->device].state != was->state)
		world_broken(t, "the time to install is over although the window was closed");
	if (a->kind == WORLD_STAGE_DUE && stage->state != STAGE_ROLLING_BACK &&
		(now->state != stage->state || (now->jobs & ~stage->jobs) != 0))
		world_broken(t, "a stage's time is over although the window was closed");
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
		world_check_closed(&t, a, &was, &stage);
	if (t.broken == NULL && a->kind == WORLD_AWAY && w->rollout.state != before)
		world_broken(&t, "I6: an absence has changed a state");
	if (t.broken == NULL)
		world_check_all(&t);
	return t.broken;
}
