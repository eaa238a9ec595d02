/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/engine.h"

#include "server/rollout/engine_turn.h"

#include "lib/words.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum subject { SUBJECT_ROLLOUT, SUBJECT_STAGE, SUBJECT_STEP };

#define SUBJECT_(name, subject) SUBJECT_##subject,
static const enum subject subjects[] = { ENGINE_FACTS(SUBJECT_) };

/* ---- clocks and order */

int64_t engine_clock(const struct engine_rollout *r, int64_t now_ms)
{
	int64_t clock = (r->paused_at != 0 ? r->paused_at : now_ms) - r->stood_ms;

	return clock > r->clock_floor ? clock : r->clock_floor;
}

int64_t engine_wall(const struct engine_rollout *r, int64_t clock, int64_t now_ms)
{
	return clock + r->stood_ms + (r->paused_at != 0 ? now_ms - r->paused_at : 0);
}

size_t engine_needed(enum engine_order order, const struct engine_stage *stage, int layers,
	struct engine_span out[ENGINE_NEEDED_MAX])
{
	int layer = stage->layer, wave = stage->wave;
	bool whole = order == ENGINE_LAYER_FIRST; /* every wave of the layer below */
	size_t n = 0;

	if (layer > 0)
		out[n++] =
			(struct engine_span){ layer - 1, whole ? 0 : wave, whole ? INT_MAX : wave };
	if (wave == 0)
		return n;
	if (order != ENGINE_WAVE_FIRST)
		out[n++] = (struct engine_span){ layer, wave - 1, wave - 1 };
	else if (layer == 0) /* the wave before is through */
		out[n++] = (struct engine_span){ layers - 1, wave - 1, wave - 1 };
	return n;
}

bool engine_needs(enum engine_order order, const struct engine_stage *stage,
	const struct engine_stage *other, int layers)
{
	struct engine_span spans[ENGINE_NEEDED_MAX];
	size_t n = engine_needed(order, stage, layers, spans);

	for (size_t i = 0; i < n; i++)
		if (other->layer == spans[i].layer && other->wave >= spans[i].from_wave &&
			other->wave <= spans[i].to_wave)
			return true;
	return false;
}

int64_t engine_under_way(const struct engine_stage *s)
{
	return engine_stage_in_flight(s) + s->delivered - s->counted_delivered;
}

void engine_load(
	const struct engine_stage *stages, size_t n, int64_t clock, struct engine_fact *fact)
{
	for (size_t i = 0; i < n; i++) {
		const struct engine_stage *s = &stages[i];

		fact->in_flight += engine_under_way(s);
		fact->recent += pace_recent(&s->minute, clock);
		fact->notified += s->delivered;
		fact->succeeded += s->sums.outcome_confirmed;
	}
}

int64_t engine_in_flight(const struct engine_stage *stages, size_t n)
{
	int64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += engine_stage_in_flight(&stages[i]);
	return sum;
}

/* ---- a turn */

size_t engine_turn_stages(const struct engine_turn *t)
{
	return (size_t)t->rules->layers * (size_t)t->rules->waves;
}

size_t engine_turn_place(const struct engine_turn *t, int layer, int wave)
{
	return (size_t)wave * (size_t)t->rules->layers + (size_t)layer;
}

size_t engine_turn_index(const struct engine_turn *t, const struct engine_stage *stage)
{
	return engine_turn_place(t, stage->layer, stage->wave);
}

const struct engine_rollout *engine_turn_rollout(const struct engine_turn *t)
{
	return t->out->rollout_changed ? &t->out->rollout : t->view->rollout;
}

const struct engine_stage *engine_turn_stage(const struct engine_turn *t, size_t i)
{
	return t->out->changed[i] ? &t->out->stages[i] : &t->view->stages[i];
}

struct engine_rollout *engine_turn_edit(struct engine_turn *t)
{
	if (!t->out->rollout_changed)
		t->out->rollout = *t->view->rollout;
	t->out->rollout_changed = true;
	t->out->did = ENGINE_CHANGED;
	return &t->out->rollout;
}

struct engine_stage *engine_turn_edit_stage(struct engine_turn *t, size_t i)
{
	if (!t->out->changed[i])
		t->out->stages[i] = *engine_turn_stage(t, i);
	t->out->changed[i] = true;
	t->out->did = ENGINE_CHANGED;
	return &t->out->stages[i];
}

struct engine_step *engine_turn_edit_step(struct engine_turn *t)
{
	if (!t->out->step_changed)
		t->out->step = *t->view->step;
	t->out->step_changed = true;
	t->out->did = ENGINE_CHANGED;
	return &t->out->step;
}

void engine_turn_broken(struct engine_turn *t, const char *what)
{
	if (t->out->broken == NULL)
		t->out->broken = what;
}

void engine_turn_event(struct engine_turn *t, enum engine_event_kind kind, int stage)
{
	struct engine_out *o = t->out;

	if (o->events_n < ENGINE_EVENTS_MAX)
		o->events[o->events_n++] = (struct engine_event){ .kind = kind, .stage = stage };
}

void engine_turn_say(struct engine_turn *t, enum engine_did did, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(t->out->said, sizeof(t->out->said), fmt, ap);
	va_end(ap);
	if (did == ENGINE_REFUSED && t->out->did == ENGINE_CHANGED)
		engine_turn_broken(t, "a refused verb changes nothing");
	t->out->did = did;
}

void engine_turn_same(struct engine_turn *t)
{
	char words[FL_WORDS];

	engine_turn_say(t, ENGINE_NOTHING, "it is %s already; nothing changed",
		fl_words(rollout_state_text(engine_turn_rollout(t)->state), words));
}

/* ---- moving states */

void engine_turn_move(struct engine_turn *t, enum rollout_state to)
{
	struct engine_rollout *r = engine_turn_edit(t);

	if (engine_rollout_edge(r->state, to) == NULL)
		engine_turn_broken(t, "I1: this edge of the rollout does not exist");
	r->state = to;
	if (to == ROLLOUT_STOPPED || to == ROLLOUT_ROLLED_BACK || to == ROLLOUT_COMPLETED ||
		to == ROLLOUT_FAILED || to == ROLLOUT_DENIED)
		r->ended_at = t->view->now_ms;
	else
		r->ended_at = 0;
	engine_turn_event(t, ENGINE_EVENT_STATE, -1);
}

void engine_turn_move_stage(struct engine_turn *t, size_t i, enum stage_state to)
{
	struct engine_stage *s = engine_turn_edit_stage(t, i);

	if (engine_stage_edge(s->state, to) == NULL)
		engine_turn_broken(t, "I1: this edge of a stage does not exist");
	s->state = to;
	s->soak_until = 0;
	s->ended_at = to == STAGE_RUNNING || to == STAGE_SOAKING || to == STAGE_ROLLING_BACK
		? 0
		: t->view->now_ms;
}

void engine_turn_move_step(struct engine_turn *t, enum engine_way way, enum step_state to)
{
	struct engine_step *s = engine_turn_edit_step(t);

	if (engine_step_edge(way, s->state, to) == NULL)
		engine_turn_broken(t, "I1: this edge of a step does not exist");
	if (way != ENGINE_TURN && s->back != (way == ENGINE_BACKWARD))
		engine_turn_broken(t, "I1: the step goes the other way");
	s->state = to;
	s->changed_at = t->view->now_ms;
	if (step_ended(to) || to == STEP_QUEUED || to == STEP_REJECTED)
		s->deadline = 0;
}

void engine_turn_pause(struct engine_turn *t, enum engine_pause pause, const char *reason)
{
	struct engine_rollout *r = engine_turn_edit(t);

	r->resume_to = r->state;
	r->pause = pause;
	r->paused_at = t->view->now_ms;
	snprintf(r->reason, sizeof(r->reason), "%s", reason);
	engine_turn_move(t, ROLLOUT_PAUSED);
}

void engine_turn_unpause(struct engine_turn *t, enum rollout_state to)
{
	struct engine_rollout *r = engine_turn_edit(t);

	r->clock_floor = engine_clock(r, t->view->now_ms);
	r->stood_ms += t->view->now_ms - r->paused_at;
	r->paused_at = 0;
	r->pause = ENGINE_NOT_PAUSED;
	r->reason[0] = '\0';
	engine_turn_move(t, to);
}

void engine_turn_begin_job(struct engine_turn *t, size_t i, enum engine_job job)
{
	engine_turn_edit_stage(t, i)->jobs |= job;
	t->out->start[i] |= job;
}

/* ---- times that run */

struct engine_term engine_turn_begin(const struct engine_turn *t)
{
	return (struct engine_term){ t->clock, t->view->now_ms };
}

int64_t engine_turn_later(const struct engine_turn *t, const struct engine_term *began, int64_t ms,
	const struct window *window)
{
	int64_t now = t->view->now_ms, closed = 0, left;

	if (window == NULL)
		return 0;
	if (now > began->since_at)
		closed = now - began->since_at - window_open_time(window, began->since_at, now);
	left = ms - (t->clock - began->since - closed);
	return left <= 0 ? 0 : t->clock + window_after(window, now, left) - now;
}

/* ---- the call */

/* Whether the view has what the fact is about. */
static bool view_fits(const struct engine_view *v, enum engine_fact_kind kind)
{
	switch (subjects[kind]) {
	case SUBJECT_ROLLOUT:
		return v->stages != NULL || v->rules->layers * v->rules->waves == 0;
	case SUBJECT_STAGE:
		return v->stages != NULL && v->stage != NULL;
	default:
		return v->stage != NULL && v->step != NULL;
	}
}

/* The sums follow the step: I7. */
static void count_step(struct engine_turn *t)
{
	struct engine_out *o = t->out;
	int64_t rows = o->sums->rows;

	figures_add_step(o->sums, &o->step, 1);
	if (t->fact->kind != FACT_MADE)
		figures_add_step(o->sums, t->view->step, -1);
	if (o->sums->rows - rows != (t->fact->kind == FACT_MADE))
		engine_turn_broken(t, "I7: a step changes the sums by more than its own part");
}

/* Forget the turn before. */
static void clear(const struct engine_turn *t)
{
	struct engine_out *o = t->out;
	size_t from = offsetof(struct engine_out, did), n = engine_turn_stages(t);

	memset((char *)o + from, 0, offsetof(struct engine_out, said) + 1 - from);
	if (subjects[t->fact->kind] == SUBJECT_STEP)
		return;
	memset(o->changed, 0, n * sizeof(*o->changed));
	memset(o->start, 0, n * sizeof(*o->start));
}

void engine_step(
	const struct engine_view *view, const struct engine_fact *fact, struct engine_out *out)
{
	struct engine_turn t = {
		.view = view,
		.rules = view->rules,
		.fact = fact,
		.out = out,
		.clock = engine_clock(view->rollout, view->now_ms),
	};

	FL_BUG_IF((unsigned)fact->kind >= FACT_MAX || !view_fits(view, fact->kind));
	clear(&t);
	if (subjects[fact->kind] == SUBJECT_ROLLOUT)
		engine_rollout_fact(&t);
	else if (subjects[fact->kind] == SUBJECT_STAGE)
		engine_stage_fact(&t);
	else
		engine_device_fact(&t);
	if (out->step_changed && out->sums != NULL)
		count_step(&t);
}

void engine_tell(struct engine_stage *stage, const struct engine_told *told)
{
	stage->delivered = told->delivered;
	stage->minute = told->minute;
}

const char *engine_count(struct engine_stage *stage, const struct figures_sums *delta)
{
	const char *what;

	figures_add(&stage->sums, delta, 1);
	stage->counted_delivered = stage->delivered;
	return figures_sound(&stage->sums, &what) ? NULL : "I7: a sum of a stage is below 0";
}
