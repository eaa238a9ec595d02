/* SPDX-License-Identifier: Apache-2.0
 *
 * Facts about a whole rollout: the verbs, the plan, a defect, an absence. A verb never judges a gate:
 * the runner brings the sums up to date afterwards and says so (FACT_COUNTED). */
#include "server/rollout/engine_turn.h"

#include "lib/words.h"

#include <stdio.h>

/* The rollout's state in words. */
static const char *state_of(const struct engine_turn *t, char out[FL_WORDS])
{
	return fl_words(rollout_state_text(engine_turn_rollout(t)->state), out);
}

/* What there is to do about a rollout whose state has just refused a verb. */
static const char *way_out(const struct engine_rollout *r)
{
	switch (r->state) {
	case ROLLOUT_DRAFT:
	case ROLLOUT_PLANNING:
		return "wait for its plan";
	case ROLLOUT_WAITING_APPROVAL:
		return "its plan must be approved first";
	case ROLLOUT_READY:
		return "start it first";
	case ROLLOUT_SCHEDULED:
		return "start it now, or wait until its time comes";
	case ROLLOUT_PAUSED:
		return "it is on its way back, and resume lets it go on";
	case ROLLOUT_ROLLING_BACK:
		return "wait until it is back, or pause it";
	case ROLLOUT_STOPPED:
	case ROLLOUT_STOPPING:
	case ROLLOUT_COMPLETED:
		return r->started_at == 0 ? "create another rollout"
					  : "it can only be rolled back; create another rollout";
	default:
		return "it is over; create another rollout";
	}
}

static void refuse(struct engine_turn *t, const char *verb)
{
	char words[FL_WORDS];

	engine_turn_say(t, ENGINE_REFUSED, "it is %s and cannot %s: %s", state_of(t, words), verb,
		way_out(engine_turn_rollout(t)));
}

/* Every stage with steps that wait gets its devices' attention (again). */
static void attend_all(struct engine_turn *t)
{
	for (size_t i = 0; i < engine_turn_stages(t); i++) {
		const struct engine_stage *s = engine_turn_stage(t, i);

		if (engine_stage_opened(s) && (s->jobs & ENGINE_OPEN) == 0)
			engine_turn_begin_job(t, i, ENGINE_ATTEND);
	}
}

void engine_rollout_go_on(struct engine_turn *t)
{
	engine_turn_unpause(t, ROLLOUT_RUNNING);
	attend_all(t);
}

static void planned(struct engine_turn *t)
{
	if (t->view->rollout->state != ROLLOUT_PLANNING) {
		engine_turn_broken(t, "a plan comes to a rollout that is not being planned");
		return;
	}
	if (t->fact->kind == FACT_REFUSED)
		snprintf(engine_turn_edit(t)->reason, ENGINE_REASON_MAX, "%s", t->fact->text);
	engine_turn_move(t,
		t->fact->kind == FACT_REFUSED ? ROLLOUT_FAILED
			: t->rules->approval  ? ROLLOUT_WAITING_APPROVAL
					      : ROLLOUT_READY);
}

static void approved(struct engine_turn *t)
{
	if (t->view->rollout->state != ROLLOUT_WAITING_APPROVAL) {
		refuse(t, "be approved");
		return;
	}
	engine_turn_move(t, ROLLOUT_READY);
	engine_turn_say(t, ENGINE_CHANGED, "approved: it may start");
}

static void denied(struct engine_turn *t)
{
	if (t->view->rollout->state == ROLLOUT_DENIED) {
		engine_turn_same(t);
		return;
	}
	if (t->view->rollout->state != ROLLOUT_WAITING_APPROVAL) {
		refuse(t, "be denied");
		return;
	}
	engine_turn_move(t, ROLLOUT_DENIED);
	snprintf(engine_turn_edit(t)->reason, ENGINE_REASON_MAX, "%s", t->fact->text);
	engine_turn_say(t, ENGINE_CHANGED, "denied: it will never start");
}

/* It starts at its time, by a fact of its own. */
static void schedule(struct engine_turn *t)
{
	const struct engine_rollout *r = t->view->rollout;

	if (r->start_at == t->fact->start_at && r->start_anyway == t->fact->anyway) {
		engine_turn_same(t);
		return;
	}
	if (r->state == ROLLOUT_READY)
		engine_turn_move(t, ROLLOUT_SCHEDULED);
	engine_turn_edit(t)->start_at = t->fact->start_at;
	engine_turn_edit(t)->start_anyway = t->fact->anyway;
	engine_turn_edit(t)->reason[0] = '\0';
	engine_turn_say(t, ENGINE_CHANGED,
		"it starts at its time; until then start starts it at "
		"once, and pause takes the time back");
}

/* It does not start by itself any more. */
static void unschedule(struct engine_turn *t, const char *why)
{
	engine_turn_move(t, ROLLOUT_READY);
	engine_turn_edit(t)->start_at = 0;
	engine_turn_edit(t)->start_anyway = false;
	snprintf(engine_turn_edit(t)->reason, ENGINE_REASON_MAX, "%s", why);
}

static void start(struct engine_turn *t)
{
	switch (t->view->rollout->state) {
	case ROLLOUT_READY:
	case ROLLOUT_SCHEDULED:
		break;
	case ROLLOUT_PAUSED:
		engine_turn_say(t, ENGINE_NOTHING,
			"it has started before and is paused: resume lets it go on");
		return;
	case ROLLOUT_STARTING:
	case ROLLOUT_RUNNING:
	case ROLLOUT_COMPLETED:
		engine_turn_same(t);
		return;
	default:
		refuse(t, "start");
		return;
	}
	if (t->fact->start_at > t->view->now_ms) {
		schedule(t);
		return;
	}
	engine_turn_move(t, ROLLOUT_STARTING);
	engine_turn_edit(t)->start_at = 0;
	engine_turn_edit(t)->reason[0] = '\0';
	engine_turn_edit(t)->started_at = t->view->now_ms;
	engine_stage_advance(t);
	engine_turn_say(t, ENGINE_CHANGED, "started: %d wave%s of %d layer%s", t->rules->waves,
		fl_plural(t->rules->waves), t->rules->layers, fl_plural(t->rules->layers));
}

static void pause_it(struct engine_turn *t)
{
	const char *why = t->fact->text;

	switch (t->view->rollout->state) {
	case ROLLOUT_PAUSED:
		engine_turn_same(t);
		return;
	case ROLLOUT_SCHEDULED:
		unschedule(t, "");
		engine_turn_say(t, ENGINE_CHANGED, "it has no time any more; start starts it");
		return;
	case ROLLOUT_STARTING:
	case ROLLOUT_RUNNING:
	case ROLLOUT_ROLLING_BACK:
		engine_turn_pause(
			t, ENGINE_BY_HAND, why != NULL && why[0] != '\0' ? why : "by hand");
		engine_turn_say(t, ENGINE_CHANGED,
			"paused: nothing more is offered and its clocks stand still");
		return;
	default:
		refuse(t, "pause");
	}
}

/* The first stage whose gate waits for a person, -1 if none does. */
static int undecided(const struct engine_turn *t)
{
	for (size_t i = 0; i < engine_turn_stages(t); i++) {
		enum stage_state s = engine_turn_stage(t, i)->state;

		if (s == STAGE_FAILED || s == STAGE_INCONCLUSIVE)
			return (int)i;
	}
	return -1;
}

/* A resumed rollback looks past the ways back that have failed so far. */
static void look_past(struct engine_turn *t)
{
	for (size_t i = 0; i < engine_turn_stages(t); i++) {
		const struct engine_stage *s = engine_turn_stage(t, i);

		if (s->state == STAGE_ROLLING_BACK) {
			struct engine_stage *e = engine_turn_edit_stage(t, i);

			e->back_ok = s->sums.steps[STEP_ROLLED_BACK];
			e->back_failed = s->sums.steps[STEP_ROLLBACK_FAILED];
		}
	}
}

static void resume(struct engine_turn *t)
{
	const struct engine_rollout *r = t->view->rollout;
	int waits = undecided(t);
	char words[FL_WORDS];

	if (r->state == ROLLOUT_RUNNING || r->state == ROLLOUT_STARTING ||
		r->state == ROLLOUT_ROLLING_BACK) {
		engine_turn_same(t);
		return;
	}
	if (r->state != ROLLOUT_PAUSED) {
		refuse(t, "resume");
		return;
	}
	if (r->resume_to == ROLLOUT_RUNNING && waits >= 0) {
		const struct engine_stage *s = engine_turn_stage(t, (size_t)waits);

		engine_turn_say(t, ENGINE_REFUSED,
			"the gate of L%d.W%d is %s: promote it, retry its devices, stop or roll "
			"back",
			s->layer, s->wave, stage_state_text(s->state));
		return;
	}
	if (r->pause == ENGINE_BY_BACK)
		look_past(t);
	engine_turn_unpause(t, r->resume_to);
	attend_all(t);
	if (engine_turn_rollout(t)->state == ROLLOUT_RUNNING)
		engine_stage_advance(t);
	engine_turn_say(t, ENGINE_CHANGED, "goes on where it was: %s", state_of(t, words));
}

/* Whether the stage's gate has done what it can and a person must decide. */
static bool waits_for_person(const struct engine_turn *t, const struct engine_stage *s)
{
	struct gate_feed feed = engine_turn_feed(t, s);

	if (s->state == STAGE_FAILED || s->state == STAGE_INCONCLUSIVE)
		return true;
	return s->state == STAGE_RUNNING && (s->jobs & (ENGINE_OPEN | ENGINE_RETRY)) == 0 &&
		gate_waits_for_person(&t->rules->gate, &s->tally, &feed);
}

/* The stage that a promote is about, -1 if there is none: as named, or the only one whose gate waits for
 * a person. A promote that names none and is said twice must not pass the next gate too. */
static int to_promote(struct engine_turn *t)
{
	int found = -1;

	for (size_t i = 0; i < engine_turn_stages(t); i++) {
		const struct engine_stage *s = engine_turn_stage(t, i);

		if (t->fact->wave >= 0 ? s->wave != t->fact->wave || s->layer != t->fact->layer
				       : !waits_for_person(t, s))
			continue;
		if (found >= 0) {
			engine_turn_say(t, ENGINE_REFUSED,
				"the gate of more than one stage waits for a person: name the "
				"stage");
			return -1;
		}
		found = (int)i;
	}
	if (found < 0 && t->fact->wave >= 0)
		engine_turn_say(t, ENGINE_REFUSED, "it has no stage L%d.W%d", t->fact->layer,
			t->fact->wave);
	else if (found < 0)
		engine_turn_say(t, ENGINE_NOTHING,
			"no gate waits for a person; nothing changed: to pass one all the same, "
			"name its stage");
	return found;
}

static void promote_stage(struct engine_turn *t, size_t i)
{
	const struct engine_rollout *r = t->view->rollout;
	struct engine_stage *s;

	engine_turn_move_stage(t, i, STAGE_SUCCEEDED);
	s = engine_turn_edit_stage(t, i);
	s->decision = GATE_HOLDS;
	snprintf(s->text, GATE_TEXT_MAX, "passed by hand");
	engine_turn_event(t, ENGINE_EVENT_GATE, (int)i);
	if (r->state == ROLLOUT_PAUSED && r->pause == ENGINE_BY_GATE && undecided(t) < 0) {
		engine_rollout_go_on(t);
	}
	if (engine_turn_rollout(t)->state == ROLLOUT_RUNNING)
		engine_stage_advance(t);
	engine_turn_say(t, ENGINE_CHANGED, "L%d.W%d counts as succeeded", s->layer, s->wave);
}

static void promote(struct engine_turn *t)
{
	const struct engine_rollout *r = t->view->rollout;
	const struct engine_stage *s;
	int i;

	if (r->state != ROLLOUT_RUNNING &&
		(r->state != ROLLOUT_PAUSED || r->resume_to != ROLLOUT_RUNNING)) {
		refuse(t, "be promoted");
		return;
	}
	i = to_promote(t);
	if (i < 0)
		return;
	s = engine_turn_stage(t, (size_t)i);
	if (s->state == STAGE_SUCCEEDED)
		engine_turn_say(
			t, ENGINE_NOTHING, "L%d.W%d has succeeded already", s->layer, s->wave);
	else if (s->state == STAGE_PENDING || (s->jobs & ENGINE_OPEN) != 0)
		engine_turn_say(
			t, ENGINE_REFUSED, "L%d.W%d has not been opened yet", s->layer, s->wave);
	else
		promote_stage(t, (size_t)i);
}

void engine_rollout_stop(struct engine_turn *t, bool cancel_in_flight, const char *reason)
{
	if (engine_turn_rollout(t)->state == ROLLOUT_PAUSED)
		engine_turn_unpause(t, ROLLOUT_STOPPING);
	else
		engine_turn_move(t, ROLLOUT_STOPPING);
	snprintf(engine_turn_edit(t)->reason, ENGINE_REASON_MAX, "%s", reason);
	engine_stage_shut(t, cancel_in_flight);
}

/* Whether a stopping rollout calls the devices under way back already. */
static bool calls_back(const struct engine_turn *t)
{
	for (size_t i = 0; i < engine_turn_stages(t); i++)
		if (engine_stage_opened(engine_turn_stage(t, i)))
			return engine_turn_stage(t, i)->cancel_in_flight;
	return true;
}

static void stop(struct engine_turn *t)
{
	const struct engine_rollout *r = t->view->rollout;
	bool backwards = r->state == ROLLOUT_PAUSED && r->resume_to == ROLLOUT_ROLLING_BACK;

	switch (r->state) {
	case ROLLOUT_DRAFT:
	case ROLLOUT_PLANNING:
	case ROLLOUT_WAITING_APPROVAL:
	case ROLLOUT_READY:
	case ROLLOUT_SCHEDULED:
		engine_turn_move(t, ROLLOUT_STOPPED);
		engine_stage_shut(t, false);
		engine_turn_say(t, ENGINE_CHANGED, "stopped before it started");
		return;
	case ROLLOUT_STOPPING:
		if (!t->fact->cancel || calls_back(t)) {
			engine_turn_same(t);
			return;
		}
		engine_stage_shut(t, true);
		break;
	case ROLLOUT_STARTING:
	case ROLLOUT_RUNNING:
	case ROLLOUT_PAUSED:
		if (backwards) {
			engine_turn_say(t, ENGINE_REFUSED,
				"it is on its way back: leave it paused, or resume it");
			return;
		}
		engine_rollout_stop(t, t->fact->cancel, "by hand");
		break;
	case ROLLOUT_STOPPED:
	case ROLLOUT_COMPLETED:
		engine_turn_same(t);
		return;
	default:
		refuse(t, "stop");
		return;
	}
	engine_turn_say(t, ENGINE_CHANGED,
		"nobody else is offered it; who has not begun to install %s",
		t->fact->cancel ? "is called back" : "may finish");
}

/* Steps of the stage that a retry could take up. */
static int64_t failed_steps(const struct engine_stage *s)
{
	return s->sums.steps[STEP_FAILED] + s->sums.steps[STEP_TIMED_OUT] +
		s->sums.steps[STEP_REJECTED];
}

/* Let the stage's failed devices try again, its gate with them. */
static void retry_stage(struct engine_turn *t, size_t i)
{
	struct engine_stage *s = engine_turn_edit_stage(t, i);

	if (s->state == STAGE_FAILED || s->state == STAGE_INCONCLUSIVE)
		engine_turn_move_stage(t, i, STAGE_RUNNING);
	if (s->state != STAGE_SUCCEEDED) {
		/* the gate takes outcomes anew: a failure that is tried again is none */
		engine_gate_begin(t, i);
	}
	s->retry_causes = t->fact->causes != 0 ? t->fact->causes : ~0u;
	engine_turn_begin_job(t, i, ENGINE_RETRY);
}

static void retry(struct engine_turn *t)
{
	const struct engine_rollout *r = t->view->rollout;
	int64_t n = 0;

	if (r->state != ROLLOUT_RUNNING && r->state != ROLLOUT_COMPLETED &&
		(r->state != ROLLOUT_PAUSED || r->resume_to != ROLLOUT_RUNNING)) {
		refuse(t, "retry");
		return;
	}
	for (size_t i = 0; i < engine_turn_stages(t); i++)
		n += failed_steps(engine_turn_stage(t, i));
	if (n == 0) {
		engine_turn_say(t, ENGINE_NOTHING, "no device has failed; nothing changed");
		return;
	}
	if (r->state == ROLLOUT_PAUSED && r->pause == ENGINE_BY_GATE) {
		engine_rollout_go_on(t);
	} else if (r->state == ROLLOUT_COMPLETED) {
		engine_turn_move(t, ROLLOUT_RUNNING);
	}
	for (size_t i = 0; i < engine_turn_stages(t); i++)
		if (failed_steps(engine_turn_stage(t, i)) > 0)
			retry_stage(t, i);
	engine_turn_say(t, ENGINE_CHANGED, "%s try again: at most %lld",
		t->fact->causes != 0 ? "devices that failed by these causes"
				     : "devices that failed",
		(long long)n);
	if (undecided(t) >= 0 && engine_turn_rollout(t)->state == ROLLOUT_RUNNING)
		engine_turn_pause(t, ENGINE_BY_GATE, "a gate still waits for a decision");
}

/* Look again at everybody who waits. */
static void review(struct engine_turn *t)
{
	for (size_t i = 0; i < engine_turn_stages(t); i++) {
		const struct engine_stage *s = engine_turn_stage(t, i);

		if (engine_stage_opened(s) && s->sums.rows > 0) {
			engine_turn_begin_job(t, i, ENGINE_REVIEW);
			t->out->did = ENGINE_CHANGED;
		}
	}
}

static void broken(struct engine_turn *t)
{
	const struct engine_rollout *r = t->view->rollout;

	if (engine_rollout_edge(r->state, ROLLOUT_PAUSED) != NULL) {
		engine_turn_pause(t, ENGINE_INTERNAL, t->fact->text);
	} else if (r->state == ROLLOUT_PAUSED) {
		engine_turn_edit(t)->pause = ENGINE_INTERNAL;
		snprintf(engine_turn_edit(t)->reason, ENGINE_REASON_MAX, "%s", t->fact->text);
	}
}

/* I6: the clock goes on where it was when fleetd went away, `grace_ms` after it came back. */
static void away(struct engine_turn *t)
{
	const struct engine_rollout *r = t->view->rollout;
	struct engine_rollout *e;
	int64_t began = r->started_at + r->stood_ms, from = t->fact->from;

	if (r->started_at == 0)
		return;
	if (from < began)
		from = began; /* the heartbeat is older: what was before concerns others */
	e = engine_turn_edit(t);
	e->clock_floor = engine_clock(r, from);
	e->stood_ms += t->fact->grace_ms;
	if (r->paused_at == 0)
		e->stood_ms += t->view->now_ms - from;
}

void engine_rollout_fact(struct engine_turn *t)
{
	switch (t->fact->kind) {
	case FACT_PLANNED:
	case FACT_REFUSED:
		planned(t);
		break;
	case FACT_APPROVED:
		approved(t);
		break;
	case FACT_DENIED:
		denied(t);
		break;
	case FACT_START:
		start(t);
		break;
	case FACT_NOT_STARTED:
		if (t->view->rollout->state == ROLLOUT_SCHEDULED)
			unschedule(t, t->fact->text);
		break;
	case FACT_PAUSE:
		pause_it(t);
		break;
	case FACT_RESUME:
		resume(t);
		break;
	case FACT_PROMOTE:
		promote(t);
		break;
	case FACT_STOP:
		stop(t);
		break;
	case FACT_ROLLBACK:
		engine_back_verb(t);
		break;
	case FACT_VERDICT:
		engine_gate_verdict(t);
		break;
	case FACT_RETRY:
		retry(t);
		break;
	case FACT_REVIEW:
		review(t);
		break;
	case FACT_BROKEN:
		broken(t);
		break;
	default:
		away(t);
	}
}
