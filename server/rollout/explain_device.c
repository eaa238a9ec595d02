/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/explain_device.h"

#define SILENT_POLLS 3

/* ---- the device by itself */

void explain_about(struct explain *e, const struct explain_about *d)
{
	int64_t ago = d->now_ms - d->asked_ms;

	if (d->retired_ms != 0)
		EXPLAIN_SAY(e, RETIRED, EXPLAIN_AT("at", d->retired_ms));
	else if (!d->enrolled)
		EXPLAIN_SAY_ONLY(e, NOT_ENROLLED);
	if (d->asked_ms == 0)
		EXPLAIN_SAY(e, NEVER_ASKED, EXPLAIN_AT("at", d->registered_ms));
	else if (ago > SILENT_POLLS * d->interval_ms)
		EXPLAIN_SAY(e, SILENT, EXPLAIN_FOR("ago", ago),
			EXPLAIN_FOR("interval", d->interval_ms));
	else
		EXPLAIN_SAY(
			e, ASKED, EXPLAIN_FOR("ago", ago), EXPLAIN_FOR("interval", d->interval_ms));
}

/* ---- which step */

static bool flying(const struct engine_step *s)
{
	return s->state >= STEP_OFFERED && s->state <= STEP_INSTALLED && s->state != STEP_REJECTED;
}

static bool done(const struct engine_step *s)
{
	return !s->back && (s->state == STEP_CONFIRMED || s->state == STEP_NOOP);
}

/* Of steps that are, or went, back: one that waits, the uppermost first; else one that could not; else
 * the lowest. -1: none. */
static int back_layer(const struct explain_part *p)
{
	int found = -1;

	for (int l = p->in.rules->layers - 1; l >= 0; l--)
		if (p->has[l] && p->steps[l].back && p->steps[l].state == STEP_QUEUED)
			return l;
	for (int l = p->in.rules->layers - 1; l >= 0; l--) {
		if (!p->has[l] || !p->steps[l].back)
			continue;
		if (p->steps[l].state != STEP_ROLLED_BACK)
			return l;
		found = l;
	}
	return found;
}

int explain_current(const struct explain_part *p)
{
	int last = -1;

	for (int l = 0; l < p->in.rules->layers; l++)
		if (p->has[l] && flying(&p->steps[l]))
			return l;
	if (back_layer(p) >= 0)
		return back_layer(p);
	for (int l = 0; l < p->in.rules->layers; l++) {
		if (!p->changes[l])
			continue;
		if (!p->has[l] || !done(&p->steps[l]))
			return l;
		last = l;
	}
	return last;
}

/* A step and where it is. */
struct place {
	const struct explain_part *p;
	const struct engine_stage *stage;
	const struct engine_step *step; /* NULL: none yet */
	char name[EXPLAIN_STAGE];
};

static void place_of(const struct explain_part *p, int layer, struct place *out)
{
	*out = (struct place){ .p = p,
		.stage = explain_cell(&p->in, layer, p->wave),
		.step = p->has[layer] ? &p->steps[layer] : NULL };
	explain_stage_name(layer, p->wave, out->name);
}

static int64_t since(const struct place *at)
{
	return at->p->in.now_ms - at->step->changed_at;
}

/* ---- states of the rollout that say it all */

static bool say_before(struct explain *e, const struct explain_part *p)
{
	switch (p->in.rollout->state) {
	case ROLLOUT_DRAFT:
	case ROLLOUT_PLANNING:
		EXPLAIN_SAY_ONLY(e, PLANNING);
		return true;
	case ROLLOUT_FAILED:
		EXPLAIN_SAY(e, NOT_PLANNED, EXPLAIN_T("reason", p->in.rollout->reason));
		return true;
	case ROLLOUT_DENIED:
		EXPLAIN_SAY(e, DENIED, EXPLAIN_T("reason", p->in.rollout->reason));
		return true;
	default:
		return false;
	}
}

/* Why nothing new is offered forward in this state; nothing is said where it may be. */
static void say_state(struct explain *e, const struct explain_part *p)
{
	const struct engine_rollout *r = p->in.rollout;
	const char *reason = r->reason[0] == '\0' ? "by hand" : r->reason;

	switch (r->state) {
	case ROLLOUT_WAITING_APPROVAL:
		EXPLAIN_SAY_ONLY(e, WAITS_APPROVAL);
		break;
	case ROLLOUT_READY:
		EXPLAIN_SAY_ONLY(e, NOT_STARTED);
		break;
	case ROLLOUT_SCHEDULED:
		EXPLAIN_SAY_ONLY(e, SCHEDULED);
		break;
	case ROLLOUT_STARTING:
		EXPLAIN_SAY_ONLY(e, STARTING);
		break;
	case ROLLOUT_PAUSED:
		EXPLAIN_SAY(e, PAUSED, EXPLAIN_AT("at", r->paused_at), EXPLAIN_T("reason", reason));
		break;
	case ROLLOUT_STOPPING:
		EXPLAIN_SAY(e, STOPPING, EXPLAIN_T("reason", reason));
		break;
	case ROLLOUT_STOPPED:
		EXPLAIN_SAY(e, STOPPED, EXPLAIN_AT("at", r->ended_at), EXPLAIN_T("reason", reason));
		break;
	case ROLLOUT_ROLLING_BACK:
		EXPLAIN_SAY(e, ROLLS_BACK, EXPLAIN_T("reason", reason));
		break;
	case ROLLOUT_ROLLED_BACK:
		EXPLAIN_SAY(e, ROLLED_BACK_ALL, EXPLAIN_T("reason", reason));
		break;
	default:
		break;
	}
}

/* ---- members that are none */

static void say_left_out(struct explain *e, const struct explain_part *p)
{
	switch (p->kind) {
	case PLAN_NOOP:
		EXPLAIN_SAY_ONLY(e, NOTHING_TO_DO);
		break;
	case PLAN_HELD:
		EXPLAIN_SAY(e, HELD_BY_OTHER, EXPLAIN_T("reason", p->reason));
		break;
	default:
		EXPLAIN_SAY(e, INCOMPATIBLE, EXPLAIN_T("reason", p->reason));
	}
}

static void say_unknown(struct explain *e, const struct explain_part *p)
{
	if (p->device->registered_ms > p->planned_ms)
		EXPLAIN_SAY(e, JOINED_LATE, EXPLAIN_AT("registered", p->device->registered_ms),
			EXPLAIN_AT("planned", p->planned_ms));
	else
		EXPLAIN_SAY(e, NOT_PLANNED_FOR, EXPLAIN_AT("planned", p->planned_ms));
}

/* ---- a step that waits */

/* What the engine would decide if the device asked now. */
static struct engine_out ask(const struct place *at)
{
	struct engine_out out = { 0 };
	const struct engine_view view = { .rules = at->p->in.rules,
		.rollout = at->p->in.rollout,
		.stage = at->stage,
		.step = at->step,
		.now_ms = at->p->in.now_ms };
	struct engine_fact fact = at->p->poll;

	fact.kind = FACT_POLLED;
	fact.fit = at->p->fit;
	fact.manifest = 1;
	engine_step(&view, &fact, &out);
	return out;
}

static void say_offered(struct explain *e, const struct place *at)
{
	const struct explain_about *d = at->p->device;
	int64_t next = d->asked_ms + d->interval_ms;

	if (d->asked_ms == 0)
		EXPLAIN_SAY(e, OFFERED_AT_FIRST, EXPLAIN_T("stage", at->name));
	else if (next >= d->now_ms)
		EXPLAIN_SAY(e, OFFERED_NEXT, EXPLAIN_T("stage", at->name),
			EXPLAIN_FOR("interval", next - d->now_ms));
	else
		EXPLAIN_SAY(e, OFFERED_WHEN_BACK, EXPLAIN_T("stage", at->name),
			EXPLAIN_FOR("overdue", d->now_ms - next));
}

/* Who has the device. */
static void say_rival(struct explain *e, const struct explain_part *p)
{
	if (p->rival != NULL)
		EXPLAIN_SAY(e, RIVAL, EXPLAIN_T("other", p->rival),
			EXPLAIN_N("priority", p->rival_priority));
}

static void say_end(struct explain *e, const struct place *at, enum step_state end)
{
	const struct explain_arg stage = EXPLAIN_T("stage", at->name);

	if (end == STEP_NOOP)
		EXPLAIN_SAY(e, WILL_BE_NOOP, stage);
	else if (end == STEP_HELD && !at->step->back)
		EXPLAIN_SAY(e, WILL_BE_SET_ASIDE, stage);
	else if (end == STEP_HELD)
		EXPLAIN_SAY(e, WILL_BE_HELD, stage);
	else if (end == STEP_SUPERSEDED)
		EXPLAIN_SAY(e, WILL_BE_SUPERSEDED, stage);
	else if (end == STEP_INELIGIBLE)
		EXPLAIN_SAY(e, WILL_BE_INELIGIBLE, stage);
}

static void say_detail(struct explain *e, const struct explain_part *p)
{
	if (p->detail != NULL && p->detail[0] != '\0')
		EXPLAIN_SAY(e, DEVICE_SAYS, EXPLAIN_T("detail", p->detail));
}

static void say_frozen(struct explain *e, const struct explain_part *p, enum explain_code code)
{
	const struct explain_arg freeze = EXPLAIN_T("freeze", p->freeze);

	explain_say(e, code, &freeze, 1);
	if (p->thaws_ms != 0)
		EXPLAIN_SAY(e, FROZEN_UNTIL, freeze, EXPLAIN_AT("at", p->thaws_ms),
			EXPLAIN_FOR("left", p->thaws_ms - p->in.now_ms));
}

static void say_hold(struct explain *e, const struct place *at, enum engine_hold hold)
{
	const struct explain_part *p = at->p;
	const struct explain_arg stage = EXPLAIN_T("stage", at->name);

	switch (hold) {
	case ENGINE_HOLD_ROLLOUT:
		say_state(e, p);
		break;
	case ENGINE_HOLD_STAGE:
		EXPLAIN_SAY(e, STAGE_OVER, stage,
			EXPLAIN_S("state", stage_state_text(at->stage->state)));
		break;
	case ENGINE_HOLD_ROWS:
		if (at->step->back)
			EXPLAIN_SAY(e, TURNING_ROUND, stage);
		else
			EXPLAIN_SAY(e, STAGE_OPENING, stage);
		break;
	case ENGINE_HOLD_WINDOW:
		if (p->in.opens != NULL && p->in.opens_ms >= 0)
			EXPLAIN_SAY(e, WINDOW, EXPLAIN_T("opens", p->in.opens),
				EXPLAIN_FOR("left", p->in.opens_ms - p->in.now_ms));
		else
			EXPLAIN_SAY_ONLY(e, NO_WINDOW);
		break;
	case ENGINE_HOLD_SLOTS:
		EXPLAIN_SAY(e, SLOTS, EXPLAIN_N("in_flight", p->poll.in_flight),
			EXPLAIN_N("max", p->in.rules->max_in_flight));
		break;
	case ENGINE_HOLD_FLEET:
		EXPLAIN_SAY(e, FLEET, EXPLAIN_N("in_use", p->in.fleet.in_use),
			EXPLAIN_N("max", p->in.fleet.limit), EXPLAIN_N("mine", p->in.fleet.mine),
			EXPLAIN_N("share", p->in.fleet.share));
		break;
	case ENGINE_HOLD_SLICE:
		EXPLAIN_SAY(
			e, FIRST_SLICE, stage, EXPLAIN_N("slice", p->in.rules->pace.back_first));
		break;
	case ENGINE_HOLD_RATE:
		EXPLAIN_SAY(e, RATE, EXPLAIN_N("recent", p->poll.recent),
			EXPLAIN_N("max",
				pace_per_minute(
					&p->in.rules->pace, p->poll.notified, p->poll.succeeded)));
		break;
	case ENGINE_HOLD_GROUP:
		EXPLAIN_SAY(e, GROUP, EXPLAIN_N("max", p->in.rules->pace.max_unavailable),
			EXPLAIN_T("group",
				p->in.rules->pace.group == PACE_LABEL ? p->in.rules->pace.label
								      : "gateway"));
		break;
	case ENGINE_HOLD_BACKOFF:
		EXPLAIN_SAY(e, BACKOFF, EXPLAIN_N("before", at->step->attempt - 1),
			EXPLAIN_N("attempt", at->step->attempt),
			EXPLAIN_FOR("left", explain_left(&p->in, at->step->retry_at)));
		say_detail(e, p);
		break;
	case ENGINE_HOLD_FROZEN:
		say_frozen(e, p, EXPLAIN_FROZEN);
		break;
	case ENGINE_HOLD_BLOCKED:
		EXPLAIN_SAY(e, BRINGS_BLOCKED, stage);
		break;
	case ENGINE_HOLD_OTHER:
		EXPLAIN_SAY_ONLY(e, OTHER_FIRST);
		break;
	case ENGINE_HOLD_NONE: /* no default: a new reason needs its words */
	case ENGINE_HOLD_MAX:
		break;
	}
}

/* Queued, or left behind as unreached. */
static bool say_waiting(struct explain *e, const struct place *at)
{
	const struct explain_part *p = at->p;
	struct engine_out out = ask(at);
	bool offered = out.offer && p->other == NULL && p->device->retired_ms == 0 && p->attention;

	if (p->other != NULL)
		EXPLAIN_SAY(e, OTHER_ORDER, EXPLAIN_T("other", p->other),
			EXPLAIN_T("place", p->other_place));
	else if (out.hold != ENGINE_HOLD_NONE)
		say_hold(e, at, out.hold);
	else if (offered && p->before != NULL)
		EXPLAIN_SAY(e, BEHIND, EXPLAIN_T("other", p->before),
			EXPLAIN_N("priority", p->before_priority));
	else if (offered)
		say_offered(e, at);
	else if (!p->attention)
		EXPLAIN_SAY(e, BEING_TOLD, EXPLAIN_T("stage", at->name));
	else
		say_end(e, at, out.step_changed ? out.step.state : at->step->state);
	if (out.step_changed && out.step.state == STEP_SUPERSEDED)
		say_rival(e, p);
	if (at->step->state == STEP_UNREACHED)
		EXPLAIN_SAY(e, STEP_UNREACHED, EXPLAIN_T("stage", at->name),
			EXPLAIN_FOR("ago", since(at)));
	if (at->step->back)
		EXPLAIN_SAY(e, GOES_BACK, EXPLAIN_T("stage", at->name));
	else if (at->step->state == STEP_QUEUED && at->stage->reach_at != 0 &&
		p->in.rollout->paused_at == 0)
		EXPLAIN_SAY(e, REACH_UNTIL,
			EXPLAIN_FOR("left", explain_left(&p->in, at->stage->reach_at)),
			EXPLAIN_AT("at", p->in.now_ms + explain_left(&p->in, at->stage->reach_at)));
	return offered;
}

/* ---- no step yet */

static void say_no_step(struct explain *e, const struct place *at, int layer)
{
	const struct explain_part *p = at->p;
	const struct engine_stage *needed = explain_needed(&p->in, at->stage);
	char name[EXPLAIN_STAGE];

	for (int l = layer - 1; l >= 0; l--) {
		if (!p->has[l] || done(&p->steps[l]))
			continue;
		explain_stage_name(l, p->wave, name);
		EXPLAIN_SAY(e, LOWER_NOT_DONE, EXPLAIN_T("stage", at->name),
			EXPLAIN_T("lower", name),
			EXPLAIN_S("state", step_state_text(p->steps[l].state)));
		return;
	}
	say_state(e, p);
	if (at->stage->state == STAGE_SKIPPED)
		EXPLAIN_SAY(e, STAGE_SKIPPED, EXPLAIN_T("stage", at->name));
	else if (at->stage->state == STAGE_PENDING && needed != NULL &&
		p->in.rollout->started_at != 0) {
		explain_stage_name(needed->layer, needed->wave, name);
		EXPLAIN_SAY(e, STAGE_PENDING, EXPLAIN_T("stage", at->name),
			EXPLAIN_T("needed", name),
			EXPLAIN_S("state", stage_state_text(needed->state)));
		explain_what_is_needed(e, &p->in, needed);
	} else if (at->stage->state != STAGE_PENDING) {
		EXPLAIN_SAY(e, STAGE_OPENING, EXPLAIN_T("stage", at->name));
	}
}

/* ---- an order that it holds */

static void say_flying(struct explain *e, const struct place *at)
{
	const struct explain_rollout *in = &at->p->in;
	const struct explain_arg args[] = { EXPLAIN_T("stage", at->name),
		EXPLAIN_FOR("ago", in->now_ms - at->step->delivered_at),
		EXPLAIN_S("state", step_state_text(at->step->state)) };
	int64_t left = explain_left(in, at->step->deadline);
	bool begun = step_switches(at->step->state);

	explain_say(
		e, at->step->back ? EXPLAIN_BACK_ORDER : EXPLAIN_HAS_ORDER, args, FL_COUNT(args));
	if (at->step->attempt > 1)
		EXPLAIN_SAY(e, ATTEMPT, EXPLAIN_N("attempt", at->step->attempt));
	say_detail(e, at->p);
	if (at->p->freeze != NULL && !begun) {
		say_frozen(e, at->p, EXPLAIN_FROZEN_ORDER);
		return;
	}
	if (at->p->freeze != NULL)
		EXPLAIN_SAY(e, FROZEN_TOO_LATE, EXPLAIN_T("freeze", at->p->freeze));
	if (at->step->deadline == 0)
		return;
	if (in->rollout->paused_at != 0)
		EXPLAIN_SAY(e, DEADLINE_STANDS, EXPLAIN_FOR("left", left));
	else
		EXPLAIN_SAY(e, MUST_END, EXPLAIN_FOR("left", left),
			EXPLAIN_AT("at", in->now_ms + left));
}

/* ---- ends */

static bool may_retry(const struct explain_part *p)
{
	const struct engine_rollout *r = p->in.rollout;

	return r->state == ROLLOUT_RUNNING || r->state == ROLLOUT_COMPLETED ||
		(r->state == ROLLOUT_PAUSED && r->resume_to == ROLLOUT_RUNNING);
}

static void say_failure(struct explain *e, const struct place *at)
{
	const struct explain_arg stage = EXPLAIN_T("stage", at->name),
				 ago = EXPLAIN_FOR("ago", since(at));

	if (at->step->state == STEP_REJECTED)
		EXPLAIN_SAY(e, REJECTED, stage, ago);
	else if (at->step->state == STEP_TIMED_OUT)
		EXPLAIN_SAY(e, STEP_TIMED_OUT, stage, ago,
			EXPLAIN_FOR("limit", at->p->in.rules->install_ms));
	else
		EXPLAIN_SAY(e, STEP_FAILED, stage, ago,
			EXPLAIN_T("cause", step_cause_text(at->step->cause)),
			EXPLAIN_N("attempt", at->step->attempt));
	if ((at->step->flags & ENGINE_WITH_GATEWAY) != 0)
		EXPLAIN_SAY_ONLY(e, WITH_GATEWAY);
	say_detail(e, at->p);
	if (may_retry(at->p))
		EXPLAIN_SAY_ONLY(e, CAN_RETRY);
}

static void say_done(struct explain *e, const struct place *at)
{
	int64_t steps = 0;

	for (int l = 0; l < at->p->in.rules->layers; l++)
		steps += at->p->changes[l];
	EXPLAIN_SAY(e, DONE, EXPLAIN_N("steps", steps), EXPLAIN_FOR("ago", since(at)));
}

static void say_ended(struct explain *e, const struct place *at)
{
	static const enum explain_code codes[STEP_STATE_MAX] = {
		[STEP_INELIGIBLE] = EXPLAIN_STEP_INELIGIBLE,
		[STEP_CANCELED] = EXPLAIN_STEP_CANCELED,
		[STEP_REMOVED] = EXPLAIN_STEP_REMOVED,
		[STEP_ROLLED_BACK] = EXPLAIN_STEP_ROLLED_BACK,
		[STEP_ROLLBACK_FAILED] = EXPLAIN_STEP_BACK_FAILED,
	};

	switch (at->step->state) {
	case STEP_REJECTED:
	case STEP_FAILED:
	case STEP_TIMED_OUT:
		say_failure(e, at);
		break;
	case STEP_CONFIRMED:
	case STEP_NOOP:
		say_done(e, at);
		break;
	case STEP_SUPERSEDED:
		EXPLAIN_SAY(e, STEP_SUPERSEDED, EXPLAIN_FOR("ago", since(at)));
		break;
	case STEP_HELD:
		if (at->step->back)
			EXPLAIN_SAY(e, STEP_HELD, EXPLAIN_T("stage", at->name),
				EXPLAIN_FOR("ago", since(at)));
		else
			EXPLAIN_SAY(e, STRATUM_HELD, EXPLAIN_T("stage", at->name),
				EXPLAIN_FOR("ago", since(at)));
		break;
	default:
		explain_say(e, codes[at->step->state],
			(const struct explain_arg[]){
				EXPLAIN_T("stage", at->name), EXPLAIN_FOR("ago", since(at)) },
			2);
	}
	if (at->step->state == STEP_SUPERSEDED || at->step->state == STEP_INELIGIBLE)
		say_rival(e, at->p);
}

/* ---- all */

static bool say_assigned(struct explain *e, const struct explain_part *p)
{
	int layer = explain_current(p);
	struct place at;

	if (layer < 0 || p->in.stages == NULL) {
		say_state(e, p);
		return false;
	}
	place_of(p, layer, &at);
	if (at.step == NULL)
		say_no_step(e, &at, layer);
	else if (at.step->state == STEP_QUEUED || at.step->state == STEP_UNREACHED)
		return say_waiting(e, &at);
	else if (flying(at.step))
		say_flying(e, &at);
	else if (!at.step->back && at.stage->state == STAGE_ROLLING_BACK &&
		(at.stage->jobs & ENGINE_BACK) != 0)
		EXPLAIN_SAY(e, TURNING_ROUND, EXPLAIN_T("stage", at.name));
	else if (!done(at.step) && (at.stage->jobs & ENGINE_RETRY) != 0)
		EXPLAIN_SAY(e, RETRYING, EXPLAIN_T("stage", at.name));
	else
		say_ended(e, &at);
	return false;
}

void explain_part(struct explain *e, const struct explain_part *p, bool *offered)
{
	*offered = false;
	if (p->member == EXPLAIN_UNSELECTED)
		EXPLAIN_SAY_ONLY(e, NOT_SELECTED);
	else if (say_before(e, p))
		return;
	else if (p->member == EXPLAIN_ASSIGNED)
		*offered = say_assigned(e, p);
	else if (p->member == EXPLAIN_LEFT_OUT)
		say_left_out(e, p);
	else if (p->member == EXPLAIN_UNKNOWN)
		say_unknown(e, p);
	else
		say_state(e, p);
}
