/* SPDX-License-Identifier: Apache-2.0
 *
 * Facts about a stage: jobs that are done, deadlines, outcomes that were counted; and what stages do
 * as part of a verb. */
#include "server/rollout/engine_turn.h"

#include <stdio.h>

bool engine_stage_opened(const struct engine_stage *s)
{
	return s->state != STAGE_PENDING && s->state != STAGE_SKIPPED;
}

int64_t engine_stage_in_flight(const struct engine_stage *s)
{
	int64_t n = 0;

	for (int i = STEP_OFFERED; i <= STEP_INSTALLED; i++)
		n += i == STEP_REJECTED ? 0 : s->sums.steps[i];
	return n;
}

/* ---- opening */

/* I2. */
static bool may_open(const struct engine_turn *t, const struct engine_stage *s)
{
	struct engine_span spans[ENGINE_NEEDED_MAX];
	size_t n = engine_needed(t->rules->order, s, t->rules->layers, spans);

	for (size_t i = 0; i < n; i++)
		for (int w = spans[i].from_wave; w <= spans[i].to_wave && w < t->rules->waves; w++)
			if (engine_turn_stage(t, engine_turn_place(t, spans[i].layer, w))->state !=
				STAGE_SUCCEEDED)
				return false;
	return true;
}

/* The time in which devices are waited for begins. Its end is looked at again when it has come. */
static void begin_reach(const struct engine_turn *t, struct engine_stage *s, int64_t ms)
{
	s->reach = (struct engine_term){ engine_clock(engine_turn_rollout(t), t->view->now_ms),
		t->view->now_ms };
	s->reach_at = s->reach.since + ms;
}

static void open_stage(struct engine_turn *t, size_t i)
{
	struct engine_stage *s;

	engine_turn_move_stage(t, i, STAGE_RUNNING);
	s = engine_turn_edit_stage(t, i);
	s->opened_at = t->view->now_ms;
	begin_reach(t, s, t->rules->reach_ms);
	engine_gate_begin(t, i);
	engine_turn_begin_job(t, i, ENGINE_OPEN);
	engine_turn_event(t, ENGINE_EVENT_OPENED, (int)i);
	for (int l = 0; l < s->layer; l++) {
		size_t lower = engine_turn_place(t, l, s->wave);

		if (!engine_turn_stage(t, lower)->follow)
			engine_turn_edit_stage(t, lower)->follow = true;
	}
}

/* I11. Whether no device can still take its part: nobody waits within its deadline, holds an order or
 * is about to get a row. Unreached and refused steps are no part of it: they stand without a term. */
static bool quiet(const struct engine_turn *t)
{
	for (size_t i = 0; i < engine_turn_stages(t); i++) {
		const struct engine_stage *s = engine_turn_stage(t, i);

		if (s->state != STAGE_SUCCEEDED || s->sums.steps[STEP_QUEUED] > 0 ||
			engine_stage_in_flight(s) > 0 ||
			(s->jobs & (ENGINE_OPEN | ENGINE_RETRY)) != 0)
			return false;
	}
	return true;
}

void engine_stage_advance(struct engine_turn *t)
{
	for (size_t i = 0; i < engine_turn_stages(t); i++) {
		const struct engine_stage *s = engine_turn_stage(t, i);

		if (s->state == STAGE_PENDING && may_open(t, s))
			open_stage(t, i);
	}
	if (quiet(t))
		engine_turn_move(t, ROLLOUT_COMPLETED);
}

/* ---- ending */

/* Its gate decides nothing any more: what it said last is no verdict. */
static void cut_short(struct engine_turn *t, size_t i)
{
	const struct engine_rollout *r = engine_turn_rollout(t);
	struct engine_stage *e;

	engine_turn_move_stage(t, i, STAGE_INCONCLUSIVE);
	e = engine_turn_edit_stage(t, i);
	e->decision = GATE_OPEN;
	(void)snprintf(e->text, sizeof(e->text), "not decided: the rollout was %s (%.*s)",
		r->state == ROLLOUT_ROLLING_BACK ? "rolled back" : "stopped", GATE_TEXT_MAX - 60,
		r->reason);
}

void engine_stage_shut(struct engine_turn *t, bool cancel_in_flight)
{
	for (size_t i = 0; i < engine_turn_stages(t); i++) {
		const struct engine_stage *s = engine_turn_stage(t, i);
		struct engine_stage *e;

		if (s->state == STAGE_PENDING)
			engine_turn_move_stage(t, i, STAGE_SKIPPED);
		if (!engine_stage_opened(s) || s->state == STAGE_ROLLED_BACK)
			continue;
		if (s->state == STAGE_RUNNING || s->state == STAGE_SOAKING)
			cut_short(t, i);
		e = engine_turn_edit_stage(t, i);
		e->jobs = 0;
		e->reach_at = 0;
		e->cancel_in_flight = cancel_in_flight;
		engine_turn_begin_job(t, i, ENGINE_CANCEL);
	}
}

/* A stopping rollout has stopped when nobody waits or installs any more. */
static void settle_stop(struct engine_turn *t)
{
	for (size_t i = 0; i < engine_turn_stages(t); i++) {
		const struct engine_stage *s = engine_turn_stage(t, i);

		if ((s->jobs & ENGINE_CANCEL) != 0 || engine_stage_in_flight(s) > 0)
			return;
	}
	engine_turn_move(t, ROLLOUT_STOPPED);
}

/* ---- the way back */

bool engine_stage_to_take_back(const struct engine_rollout *r, const struct engine_stage *s)
{
	return (r->back_wave == ENGINE_ALL_WAVES || s->wave == r->back_wave) &&
		engine_stage_opened(s) && s->state != STAGE_ROLLED_BACK;
}

/* I8: whether a layer above it, in its wave, still has to be taken back. */
static bool waits_for_upper(const struct engine_turn *t, const struct engine_stage *s)
{
	for (int l = s->layer + 1; l < t->rules->layers; l++)
		if (engine_stage_to_take_back(engine_turn_rollout(t),
			    engine_turn_stage(t, engine_turn_place(t, l, s->wave))))
			return true;
	return false;
}

void engine_stage_take_back(struct engine_turn *t)
{
	bool left = false;

	for (size_t i = 0; i < engine_turn_stages(t); i++) {
		const struct engine_stage *s = engine_turn_stage(t, i);
		struct engine_stage *e;

		if (!engine_stage_to_take_back(engine_turn_rollout(t), s))
			continue;
		left = true;
		if (s->state == STAGE_ROLLING_BACK || waits_for_upper(t, s))
			continue;
		engine_turn_move_stage(t, i, STAGE_ROLLING_BACK);
		e = engine_turn_edit_stage(t, i);
		e->jobs = 0;
		e->reach_at = 0;
		e->back_place = s->delivered;
		e->back_ok = e->back_failed = 0;
		engine_turn_begin_job(t, i, ENGINE_BACK);
		engine_turn_event(t, ENGINE_EVENT_BACK, (int)i);
	}
	if (!left)
		engine_turn_move(t,
			engine_turn_rollout(t)->back_wave == ENGINE_ALL_WAVES ? ROLLOUT_ROLLED_BACK
									      : ROLLOUT_STOPPED);
}

/* More ways back fail than outcomes may. */
static bool back_fails(const struct engine_turn *t, const struct engine_stage *s)
{
	int64_t failed = s->sums.steps[STEP_ROLLBACK_FAILED] - s->back_failed;
	int64_t ended = failed + s->sums.steps[STEP_ROLLED_BACK] - s->back_ok;

	return failed > 0 && ended >= t->rules->pace.back_error_minimum &&
		failed * 1000000 > t->rules->pace.back_error_ppm * ended;
}

static void settle_back(struct engine_turn *t, size_t i)
{
	const struct engine_stage *s = engine_turn_stage(t, i);
	char reason[ENGINE_REASON_MAX];

	if (s->state != STAGE_ROLLING_BACK)
		return;
	if (back_fails(t, s)) {
		snprintf(reason, sizeof(reason),
			"too many devices of L%d.W%d fail on their way back", s->layer, s->wave);
		engine_turn_pause(t, ENGINE_BY_BACK, reason);
		return;
	}
	if (s->sums.back > 0 || (s->jobs & (ENGINE_BACK | ENGINE_REACH)) != 0)
		return;
	engine_turn_move_stage(t, i, STAGE_ROLLED_BACK);
	engine_turn_edit_stage(t, i)->reach_at = 0;
	engine_turn_event(t, ENGINE_EVENT_BACK, (int)i);
	engine_stage_take_back(t);
}

/* ---- facts */

static void counted(struct engine_turn *t)
{
	size_t i = engine_turn_index(t, t->view->stage);

	switch (engine_turn_rollout(t)->state) {
	case ROLLOUT_RUNNING:
		engine_gate_judge(t, i);
		/* the last devices may end long after the last gate */
		if (engine_turn_rollout(t)->state == ROLLOUT_RUNNING && quiet(t))
			engine_turn_move(t, ROLLOUT_COMPLETED);
		break;
	case ROLLOUT_STOPPING:
		settle_stop(t);
		break;
	case ROLLOUT_ROLLING_BACK:
		settle_back(t, i);
		break;
	default:
		break;
	}
}

/* The rows of a stage are complete: its devices may ask. */
static void opened(struct engine_turn *t, size_t i)
{
	const struct engine_rollout *r = engine_turn_rollout(t);

	engine_turn_begin_job(t, i, ENGINE_ATTEND);
	if (r->state == ROLLOUT_STARTING)
		engine_turn_move(t, ROLLOUT_RUNNING);
	else if (r->state == ROLLOUT_PAUSED && r->resume_to == ROLLOUT_STARTING)
		engine_turn_edit(t)->resume_to = ROLLOUT_RUNNING;
}

/* Whether nothing but its outcomes has made the gate inconclusive, and more can come again: held devices
 * were released. */
static bool goes_on(const struct engine_turn *t, const struct engine_stage *s)
{
	const struct engine_rollout *r = engine_turn_rollout(t);

	return s->state == STAGE_INCONCLUSIVE && s->verdict != VERDICT_INCONCLUSIVE &&
		s->sums.steps[STEP_QUEUED] > 0 && r->state == ROLLOUT_PAUSED &&
		r->pause == ENGINE_BY_GATE && r->resume_to == ROLLOUT_RUNNING;
}

static void reviewed(struct engine_turn *t, size_t i)
{
	if (!goes_on(t, engine_turn_stage(t, i)))
		return;
	engine_turn_move_stage(t, i, STAGE_RUNNING);
	engine_turn_edit_stage(t, i)->decision = GATE_OPEN;
	engine_turn_event(t, ENGINE_EVENT_OPENED, (int)i);
	for (size_t k = 0; k < engine_turn_stages(t); k++)
		if (engine_turn_stage(t, k)->state == STAGE_FAILED ||
			engine_turn_stage(t, k)->state == STAGE_INCONCLUSIVE)
			return; /* another one waits for a person */
	engine_rollout_go_on(t);
}

static void job_done(struct engine_turn *t)
{
	size_t i = engine_turn_index(t, t->view->stage);

	if ((t->view->stage->jobs & t->fact->job) == 0)
		return; /* it was dropped while its last slice ran */
	engine_turn_edit_stage(t, i)->jobs &= ~(unsigned)t->fact->job;
	switch (t->fact->job) {
	case ENGINE_OPEN:
		opened(t, i);
		break;
	case ENGINE_BACK:
		begin_reach(t, engine_turn_edit_stage(t, i), t->rules->back_reach_ms);
		engine_turn_begin_job(t, i, ENGINE_ATTEND);
		break;
	case ENGINE_RETRY:
		/* the deadline may have come meanwhile: who tries again has a whole term */
		begin_reach(t, engine_turn_edit_stage(t, i), t->rules->reach_ms);
		engine_turn_begin_job(t, i, ENGINE_ATTEND);
		break;
	case ENGINE_REVIEW:
		reviewed(t, i);
		break;
	default:
		break;
	}
	counted(t);
}

/* Nobody is waited for any longer, or until later: the window was closed meanwhile. */
static void reach_due(struct engine_turn *t, size_t i)
{
	const struct engine_stage *s = t->view->stage;
	bool back = s->state == STAGE_ROLLING_BACK;
	int64_t end =
		engine_turn_later(t, &s->reach, back ? t->rules->back_reach_ms : t->rules->reach_ms,
			back && !t->rules->pace.back_windows ? NULL : t->fact->window);

	engine_turn_edit_stage(t, i)->reach_at = end;
	if (end == 0 && engine_stage_opened(s))
		engine_turn_begin_job(t, i, ENGINE_REACH);
}

static void soak_due(struct engine_turn *t, size_t i)
{
	const struct engine_stage *s = t->view->stage;
	int64_t end = engine_turn_later(t, &s->soak, t->rules->soak_ms, t->fact->window);

	if (end != 0)
		engine_turn_edit_stage(t, i)->soak_until = end;
	else
		counted(t);
}

static void due(struct engine_turn *t)
{
	const struct engine_stage *s = t->view->stage;
	size_t i = engine_turn_index(t, s);

	if (t->fact->opened && engine_stage_opened(s) && (s->jobs & ENGINE_OPEN) == 0)
		engine_turn_begin_job(t, i, ENGINE_ATTEND);
	if (t->view->rollout->state == ROLLOUT_PAUSED)
		return;
	if (s->reach_at != 0 && t->clock >= s->reach_at)
		reach_due(t, i);
	if (s->verdict_at != 0 && t->clock >= s->verdict_at)
		engine_gate_overdue(t, i);
	else if (s->soak_until != 0 && t->clock >= s->soak_until)
		soak_due(t, i);
}

void engine_stage_fact(struct engine_turn *t)
{
	switch (t->fact->kind) {
	case FACT_JOB_DONE:
		job_done(t);
		break;
	case FACT_STAGE_DUE:
		due(t);
		break;
	default:
		counted(t);
	}
}
