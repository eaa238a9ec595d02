/* SPDX-License-Identifier: Apache-2.0
 *
 * Facts about one device in one stage. The hot path: a report sees the step, its stage and its
 * rollout, nothing else. */
#include "server/rollout/engine_turn.h"

bool engine_ready_for_next(const struct engine_step *lower)
{
	return lower == NULL ||
		(!lower->back && (lower->state == STEP_CONFIRMED || lower->state == STEP_NOOP));
}

enum engine_fit engine_back_fit(const struct engine_step *upper, size_t n)
{
	enum engine_fit fit = ENGINE_FITS;

	for (size_t i = 0; i < n; i++) {
		if (upper[i].back &&
			(upper[i].state == STEP_HELD || upper[i].state == STEP_ROLLBACK_FAILED))
			return ENGINE_NO_WAY;
		if (upper[i].back && upper[i].state != STEP_ROLLED_BACK &&
			upper[i].state != STEP_SUPERSEDED && upper[i].state != STEP_REMOVED)
			fit = ENGINE_LATER;
	}
	return fit;
}

/* Steps whose device holds an order that may still be carried out. */
static bool in_flight(const struct engine_step *s)
{
	return s->state >= STEP_OFFERED && s->state <= STEP_INSTALLED && s->state != STEP_REJECTED;
}

static enum engine_way way_of(const struct engine_step *s)
{
	return s->back ? ENGINE_BACKWARD : ENGINE_FORWARD;
}

/* Who has done its part here goes on to the next layer, if that is open already. */
static void go_on(struct engine_turn *t)
{
	enum rollout_state r = t->view->rollout->state;

	t->out->follow = (t->out->step.flags & ENGINE_LAST) == 0 && t->view->stage->follow &&
		(r == ROLLOUT_RUNNING || r == ROLLOUT_COMPLETED || r == ROLLOUT_PAUSED);
}

/* How a step waits. Who comes after the stage's deadline does so without a term: nothing else would end
 * it. */
static enum step_state waiting(const struct engine_turn *t)
{
	return t->view->stage->reach_at == 0 ? STEP_UNREACHED : STEP_QUEUED;
}

static enum step_state first_state(const struct engine_turn *t)
{
	switch (t->fact->fit) {
	case ENGINE_GONE:
		return STEP_REMOVED;
	case ENGINE_UNFIT:
		return STEP_INELIGIBLE;
	case ENGINE_NOT_OURS:
		return STEP_SUPERSEDED;
	case ENGINE_HELD:
		return STEP_HELD;
	default:
		return waiting(t);
	}
}

static void made(struct engine_turn *t)
{
	enum rollout_state r = t->view->rollout->state;
	struct engine_step *s = engine_turn_edit_step(t);

	if (!engine_stage_opened(t->view->stage))
		engine_turn_broken(t, "I2: a step in a stage that is not open");
	if (r != ROLLOUT_STARTING && r != ROLLOUT_RUNNING && r != ROLLOUT_PAUSED &&
		r != ROLLOUT_COMPLETED)
		engine_turn_broken(t, "I10: a new step in a rollout that has ended");
	s->attempt = 1;
	s->changed_at = t->view->now_ms;
	s->state = first_state(t);
	t->out->attend = (s->state == STEP_QUEUED || s->state == STEP_UNREACHED) &&
		(t->view->stage->jobs & ENGINE_OPEN) == 0;
}

/* ---- offers */

/* The first slice of a rollback: some must be back before the others follow. */
static bool slice_full(const struct engine_turn *t)
{
	const struct engine_stage *s = t->view->stage;
	int64_t ended = s->sums.steps[STEP_ROLLED_BACK] + s->sums.steps[STEP_ROLLBACK_FAILED];

	return s->state == STAGE_ROLLING_BACK &&
		s->delivered - s->back_place >= t->rules->pace.back_first &&
		2 * ended < t->rules->pace.back_first;
}

/* Rates. */
static enum engine_hold may_be_told(const struct engine_turn *t)
{
	const struct pace_rules *pace = &t->rules->pace;
	int64_t rate = pace_per_minute(pace, t->fact->notified, t->fact->succeeded);

	if (rate > 0 && t->fact->recent >= rate)
		return ENGINE_HOLD_RATE;
	if (pace->group != PACE_NO_GROUP && t->fact->in_group >= pace->max_unavailable)
		return ENGINE_HOLD_GROUP;
	return ENGINE_HOLD_NONE;
}

/* I3. Whether this step may be delivered now: HOLD_NONE, or why not. */
static enum engine_hold may_go_back(const struct engine_turn *t)
{
	enum rollout_state r = t->view->rollout->state;
	const struct engine_stage *s = t->view->stage;

	if (r != ROLLOUT_ROLLING_BACK &&
		(s->state == STAGE_ROLLING_BACK ||
			(r != ROLLOUT_ROLLED_BACK && r != ROLLOUT_STOPPED)))
		return ENGINE_HOLD_ROLLOUT;
	if (s->state != STAGE_ROLLING_BACK && s->state != STAGE_ROLLED_BACK)
		return ENGINE_HOLD_STAGE;
	if ((s->jobs & ENGINE_BACK) != 0)
		return ENGINE_HOLD_ROWS;
	if (t->rules->pace.back_windows && !window_is_open(t->fact->window, t->view->now_ms))
		return ENGINE_HOLD_WINDOW;
	if (t->rules->max_in_flight > 0 && t->fact->in_flight >= t->rules->max_in_flight)
		return ENGINE_HOLD_SLOTS;
	if (t->rules->pace.back_pace && may_be_told(t) != ENGINE_HOLD_NONE)
		return may_be_told(t);
	return slice_full(t) ? ENGINE_HOLD_SLICE : ENGINE_HOLD_NONE;
}

static enum engine_hold may_go_on(const struct engine_turn *t)
{
	enum rollout_state r = t->view->rollout->state;
	const struct engine_stage *s = t->view->stage;

	if (r != ROLLOUT_RUNNING && r != ROLLOUT_COMPLETED)
		return ENGINE_HOLD_ROLLOUT;
	if (s->state != STAGE_RUNNING && s->state != STAGE_SOAKING && s->state != STAGE_SUCCEEDED)
		return ENGINE_HOLD_STAGE;
	if ((s->jobs & ENGINE_OPEN) != 0)
		return ENGINE_HOLD_ROWS;
	if (!window_is_open(t->fact->window, t->view->now_ms))
		return ENGINE_HOLD_WINDOW;
	if (t->view->step->retry_at > t->clock)
		return ENGINE_HOLD_BACKOFF;
	if (t->rules->max_in_flight > 0 && t->fact->in_flight >= t->rules->max_in_flight)
		return ENGINE_HOLD_SLOTS;
	return may_be_told(t);
}

static enum engine_hold may_offer(const struct engine_turn *t)
{
	return t->view->step->back ? may_go_back(t) : may_go_on(t);
}

/* Whether the step would be delivered: other ends need no slot of the fleet. */
static bool needs_slot(const struct engine_turn *t)
{
	enum engine_fit fit = t->fact->fit;

	return fit == ENGINE_FITS ||
		(t->view->step->back && (fit == ENGINE_ALREADY || fit == ENGINE_UNFIT));
}

/* Whether a device that is held now must ask again by itself: nobody wakes it when it may. */
static bool asks_again(const struct engine_turn *t)
{
	return t->out->hold >= ENGINE_HOLD_SLOTS ||
		(t->out->hold == ENGINE_HOLD_WINDOW && t->view->rollout->ended_at != 0);
}

/* How long a step may take that is in this state. A device that waits for its
 * window, its owner or its battery may do so as long as a silent one: the install clock stands. */
static int64_t term_of(const struct engine_turn *t, const struct engine_step *s)
{
	if (s->state != STEP_WAITING)
		return t->rules->install_ms;
	return s->back ? t->rules->back_reach_ms : t->rules->reach_ms;
}

/* Its time begins to run now. */
static void begin_term(const struct engine_turn *t, struct engine_step *s)
{
	s->term = engine_turn_begin(t);
	s->deadline = t->clock - t->view->now_ms +
		window_after(t->fact->install_window, t->view->now_ms, term_of(t, s));
}

static void deliver(struct engine_turn *t)
{
	const struct engine_stage *stage = t->view->stage;
	struct engine_step *s;

	t->out->told = (struct engine_told){ stage->delivered + 1, stage->minute };
	if (pace_has_rate(&t->rules->pace))
		pace_note(&t->out->told.minute, t->clock);
	engine_turn_move_step(t, way_of(t->view->step), STEP_OFFERED);
	s = engine_turn_edit_step(t);
	s->delivered = t->out->told.delivered;
	s->retry_at = 0;
	s->delivered_at = t->view->now_ms;
	begin_term(t, s);
	s->manifest = t->fact->manifest;
	t->out->offer = true;
}

/* The device needs no order: the end that its step has without one. */
static void end_undelivered(
	struct engine_turn *t, enum step_state forward, enum step_state backward)
{
	const struct engine_step *s = t->view->step;

	engine_turn_move_step(t, way_of(s), s->back ? backward : forward);
	if (!s->back && forward == STEP_NOOP)
		go_on(t);
	t->out->attend = true; /* another of its steps may wait for this one */
}

static void polled(struct engine_turn *t)
{
	const struct engine_step *s = t->view->step;

	if (s->state != STEP_QUEUED && s->state != STEP_UNREACHED)
		return;
	if (t->fact->fit == ENGINE_GONE) {
		end_undelivered(t, STEP_REMOVED, STEP_REMOVED);
		return;
	}
	t->out->hold = may_offer(t);
	/* without another fact about this step */
	if (t->out->hold == ENGINE_HOLD_NONE && t->fact->fit == ENGINE_LATER)
		t->out->hold = ENGINE_HOLD_OTHER;
	if (t->out->hold == ENGINE_HOLD_NONE && t->fact->fit == ENGINE_BLOCKED)
		t->out->hold = ENGINE_HOLD_BLOCKED;
	if (t->out->hold == ENGINE_HOLD_NONE && t->fact->fit == ENGINE_FROZEN)
		t->out->hold = ENGINE_HOLD_FROZEN;
	/* last: who is told so counts as one who wants a slot */
	if (t->out->hold == ENGINE_HOLD_NONE && t->fact->no_slot && needs_slot(t))
		t->out->hold = ENGINE_HOLD_FLEET;
	t->out->keep = asks_again(t);
	if (t->out->hold != ENGINE_HOLD_NONE)
		return;
	switch (t->fact->fit) {
	case ENGINE_ALREADY:
	case ENGINE_UNFIT:
		if (!s->back) {
			end_undelivered(t,
				t->fact->fit == ENGINE_ALREADY ? STEP_NOOP : STEP_INELIGIBLE,
				STEP_HELD);
			break;
		}
		/* its order still says the release: the way back must be written down */
		deliver(t);
		break;
	case ENGINE_NO_WAY:
		end_undelivered(t, STEP_INELIGIBLE, STEP_HELD);
		break;
	case ENGINE_NOT_OURS:
		end_undelivered(t, STEP_SUPERSEDED, STEP_SUPERSEDED);
		break;
	case ENGINE_HELD:
		end_undelivered(t, STEP_HELD, STEP_HELD);
		break;
	default:
		deliver(t);
	}
}

/* ---- reports */

/* Bytes are totals of the step: a report that comes twice adds nothing. */
static void take_bytes(struct engine_turn *t)
{
	const struct engine_step *s = t->view->step;

	if (t->fact->sent > s->sent)
		engine_turn_edit_step(t)->sent = t->fact->sent;
	if (t->fact->saved > s->saved)
		engine_turn_edit_step(t)->saved = t->fact->saved;
}

/* The step is delivered anew, `wait_ms` from now. */
static void try_again(struct engine_turn *t, int64_t wait_ms)
{
	struct engine_step *e;

	engine_turn_move_step(t, ENGINE_FORWARD, STEP_QUEUED);
	e = engine_turn_edit_step(t);
	e->attempt++;
	e->outcome = STEP_QUEUED;
	e->cause = CAUSE_NONE;
	e->flags &= ENGINE_LAST | ENGINE_SWITCHED_BEFORE;
	e->delivered = 0;
	e->manifest = 0;
	e->took_ms = 0;
	e->retry_at = wait_ms == 0 ? 0 : t->clock + wait_ms;
	t->out->attend = true;
}

/* Whether a failed step is taken up by itself: within the stage's deadline only, so that whoever waits has
 * a term. */
static bool takes_up(const struct engine_turn *t)
{
	enum rollout_state r = t->view->rollout->state;
	const struct engine_stage *s = t->view->stage;

	return (r == ROLLOUT_RUNNING || r == ROLLOUT_PAUSED) && s->reach_at != 0 &&
		(s->state == STAGE_RUNNING || s->state == STAGE_SOAKING ||
			s->state == STAGE_SUCCEEDED);
}

/* The end of an attempt on the way forward. */
static void end_forward(struct engine_turn *t, enum step_state end, unsigned flags)
{
	int64_t wait, began = t->view->step->term.since;
	enum step_cause unsaid =
		t->view->step->state == STEP_WAITING ? CAUSE_DEVICE : CAUSE_UNKNOWN;
	struct engine_step *s;

	engine_turn_move_step(t, ENGINE_FORWARD, end);
	s = engine_turn_edit_step(t);
	s->outcome = end;
	s->flags |= flags;
	if (end == STEP_CONFIRMED) {
		s->took_ms = t->clock - began;
		go_on(t);
		return;
	}
	s->cause = unsaid;
	if (t->fact->cause != CAUSE_NONE)
		s->cause = t->fact->cause;
	wait = pace_retry_after(&t->rules->pace, end, s->cause, s->attempt);
	if (wait >= 0 && takes_up(t))
		try_again(t, wait);
}

static void end_backward(struct engine_turn *t, enum step_state end)
{
	engine_turn_move_step(t, ENGINE_BACKWARD, end);
	t->out->attend = true; /* a lower layer may wait for it */
}

/* Progress: states may be skipped, never taken again. */
static void progress(struct engine_turn *t)
{
	enum step_state to = t->fact->reported;
	enum engine_way way = way_of(t->view->step);
	bool waits;

	if (way == ENGINE_BACKWARD && to == STEP_REJECTED) {
		end_backward(t, STEP_ROLLBACK_FAILED);
		return;
	}
	if (engine_step_edge(way, t->view->step->state, to) == NULL)
		return;
	waits = (t->view->step->state == STEP_WAITING && to != STEP_REJECTED) || to == STEP_WAITING;
	engine_turn_move_step(t, way, to);
	if (waits)
		begin_term(t, engine_turn_edit_step(t));
	if (to == STEP_INSTALLED && way == ENGINE_FORWARD)
		engine_turn_edit_step(t)->flags |= ENGINE_SWITCHED;
}

static void reported(struct engine_turn *t)
{
	const struct engine_step *s = t->view->step;

	/* I4: late, or about an order that another one has replaced */
	if (!in_flight(s) || t->fact->manifest != s->manifest)
		return;
	take_bytes(t);
	switch (t->fact->reported) {
	case STEP_CONFIRMED:
		if (s->back)
			end_backward(t, STEP_ROLLED_BACK);
		else
			end_forward(t, STEP_CONFIRMED, ENGINE_SWITCHED);
		break;
	case STEP_FAILED:
	case STEP_ROLLED_BACK:
	case STEP_ROLLBACK_FAILED:
		if (s->back)
			end_backward(t, STEP_ROLLBACK_FAILED);
		else
			end_forward(t, STEP_FAILED,
				t->fact->reported == STEP_ROLLED_BACK
					? ENGINE_SWITCHED | ENGINE_BACK_BY_DEVICE
					: t->fact->reported == STEP_ROLLBACK_FAILED
					? ENGINE_SWITCHED | ENGINE_BACK_BROKEN
					: 0);
		break;
	default:
		progress(t);
	}
}

/* ---- deadlines */

static void install_due(struct engine_turn *t)
{
	const struct engine_step *s = t->view->step;
	int64_t end;

	if (s->deadline == 0 || t->clock < s->deadline || t->view->rollout->paused_at != 0)
		return;
	end = engine_turn_later(t, &s->term, term_of(t, s), t->fact->install_window);
	if (end != 0) {
		engine_turn_edit_step(t)->deadline = end;
		return;
	}
	if (s->back)
		end_backward(t, STEP_ROLLBACK_FAILED);
	else
		end_forward(t, STEP_TIMED_OUT, t->fact->flags & ENGINE_WITH_GATEWAY);
}

/* ---- parts of mass effects */

static void cancel(struct engine_turn *t)
{
	const struct engine_step *s = t->view->step;
	bool undelivered =
		s->state == STEP_QUEUED || s->state == STEP_UNREACHED || s->state == STEP_HELD;

	if (s->back || engine_step_edge(ENGINE_FORWARD, s->state, STEP_CANCELED) == NULL)
		return;
	if (!undelivered && !t->view->stage->cancel_in_flight)
		return;
	engine_turn_move_step(t, ENGINE_FORWARD, STEP_CANCELED);
	t->out->withdraw = !undelivered;
}

/* Turn a step round. What was never delivered just ends. */
static void turn(struct engine_turn *t)
{
	const struct engine_step *s = t->view->step;
	struct engine_step *e;
	bool held = t->fact->fit == ENGINE_NO_WAY;

	if (s->back)
		return;
	if (s->state == STEP_QUEUED || s->state == STEP_UNREACHED || s->state == STEP_HELD) {
		engine_turn_move_step(t, ENGINE_FORWARD, STEP_CANCELED);
		return;
	}
	if (s->delivered == 0 || t->fact->fit == ENGINE_NOT_OURS ||
		engine_step_edge(ENGINE_TURN, s->state, STEP_QUEUED) == NULL)
		return;
	engine_turn_move_step(t, ENGINE_TURN, held ? STEP_HELD : STEP_QUEUED);
	e = engine_turn_edit_step(t);
	e->back = true;
	e->flags |= t->fact->flags & ENGINE_BACK_COUNTED;
	e->delivered = 0; /* the manifest stays: it says since when the device is this rollout's */
}

static void again(struct engine_turn *t)
{
	const struct engine_step *s = t->view->step;

	if (t->fact->fit == ENGINE_UNFIT || s->back ||
		engine_step_edge(ENGINE_FORWARD, s->state, STEP_QUEUED) == NULL ||
		(s->state != STEP_REJECTED && (t->fact->causes & 1u << s->cause) == 0))
		return;
	try_again(t, 0);
}

/* End a step that has not ended, or waits for a device that is silent. */
static bool end_if_open(struct engine_turn *t, enum step_state end)
{
	enum engine_way way = way_of(t->view->step);

	if (engine_step_edge(way, t->view->step->state, end) == NULL)
		return false;
	engine_turn_move_step(t, way, end);
	return true;
}

/* I12. */
static void overtaken(struct engine_turn *t)
{
	bool flying = in_flight(t->view->step);

	if (end_if_open(t, STEP_SUPERSEDED))
		t->out->withdraw = flying;
}

/* Its stratum is held, or not any more. */
static void reviewed(struct engine_turn *t)
{
	const struct engine_step *s = t->view->step;

	if (s->back)
		return;
	if (t->fact->fit == ENGINE_HELD) {
		(void)end_if_open(t, STEP_HELD);
	} else if (s->state == STEP_HELD) {
		engine_turn_move_step(t, ENGINE_FORWARD, waiting(t));
		t->out->attend = true;
	}
}

void engine_device_fact(struct engine_turn *t)
{
	switch (t->fact->kind) {
	case FACT_MADE:
		made(t);
		break;
	case FACT_POLLED:
		polled(t);
		break;
	case FACT_REPORTED:
		reported(t);
		break;
	case FACT_INSTALL_DUE:
		install_due(t);
		break;
	case FACT_REACH_DUE:
		(void)end_if_open(t, STEP_UNREACHED);
		break;
	case FACT_CANCEL:
		cancel(t);
		break;
	case FACT_BACK:
		turn(t);
		break;
	case FACT_AGAIN:
		again(t);
		break;
	case FACT_REMOVED:
		(void)end_if_open(t, STEP_REMOVED);
		break;
	case FACT_OVERTAKEN:
		overtaken(t);
		break;
	default:
		reviewed(t);
	}
}
