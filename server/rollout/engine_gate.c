/* SPDX-License-Identifier: Apache-2.0
 *
 * The gate of a stage in the engine: when it begins, when it is judged, and what follows. */
#include "server/rollout/engine_turn.h"

#include <stdio.h>
#include <string.h>

/* ---- evidence */

/* The same layer in the wave before, -1 for the first wave. */
static int wave_before(const struct engine_turn *t, const struct engine_stage *s)
{
	return s->wave == 0 ? -1 : (int)engine_turn_place(t, s->layer, s->wave - 1);
}

void engine_gate_begin(struct engine_turn *t, size_t i)
{
	struct engine_stage *s = engine_turn_edit_stage(t, i);
	int before = t->rules->gate.carry ? wave_before(t, s) : -1;

	s->tally = (struct gate_tally){ 0 };
	if (before >= 0) {
		const struct gate_tally *earlier = &engine_turn_stage(t, (size_t)before)->tally;

		if (gate_undecided(&t->rules->gate, earlier))
			s->tally = gate_carry(earlier);
	}
	s->verdict = VERDICT_NONE;
	s->said[0] = '\0';
	s->decision = GATE_OPEN;
	s->verdict_at = gate_has(&t->rules->gate, GATE_EXTERNAL)
		? engine_clock(engine_turn_rollout(t), t->view->now_ms) + t->rules->gate.external_ms
		: 0;
}

/* Devices of the plan that have no row in the stage yet: those that may still come from the layers below,
 * and in *lost those that come no more and were not taken out of the rollout. */
static int64_t to_come(const struct engine_stage *s, const struct engine_stage *wave, int64_t *lost)
{
	int64_t missing = s->expected - s->sums.rows, below = 0;

	for (int k = 0; k < s->layer; k++) {
		const struct figures_sums *f = &wave[k].sums;

		below += f->steps[STEP_QUEUED] + engine_stage_in_flight(&wave[k]);
		if ((wave[k].jobs & (ENGINE_OPEN | ENGINE_RETRY)) != 0)
			below += missing > 0 ? missing : 0;
		missing -= f->steps[STEP_SUPERSEDED] + f->steps[STEP_CANCELED] +
			f->steps[STEP_REMOVED];
	}
	if (missing < 0)
		missing = 0;
	*lost = missing > below ? missing - below : 0;
	return missing - *lost;
}

bool engine_starves(const struct engine_stage *s, const struct engine_stage *wave)
{
	int64_t lost;

	return (s->state == STAGE_RUNNING || s->state == STAGE_SOAKING) &&
		s->expected > s->sums.rows && to_come(s, wave, &lost) == 0;
}

struct gate_feed engine_feed(
	const struct engine_stage *s, const struct engine_stage *wave, bool onward)
{
	const struct figures_sums *f = &s->sums;
	int64_t lost, coming = to_come(s, wave, &lost);

	return (struct gate_feed){
		.open = f->steps[STEP_QUEUED] + engine_stage_in_flight(s) + coming,
		.silent = lost + f->steps[STEP_UNREACHED] + f->steps[STEP_REJECTED] +
			f->steps[STEP_INELIGIBLE] + f->steps[STEP_HELD] +
			f->steps[STEP_SUPERSEDED] + f->outcome_failed + f->outcome_timed_out -
			(s->tally.failures - s->tally.carried_failures),
		.onward = onward,
		.verdict = s->verdict,
		.said = s->said,
	};
}

struct gate_feed engine_turn_feed(const struct engine_turn *t, const struct engine_stage *s)
{
	return engine_feed(
		s, &t->view->stages[s->wave * t->rules->layers], s->wave + 1 < t->rules->waves);
}

/* ---- what follows from a decision */

static void fail(struct engine_turn *t, size_t i)
{
	const struct engine_stage *s = engine_turn_stage(t, i);
	char reason[ENGINE_REASON_MAX];

	snprintf(reason, sizeof(reason), "the gate of L%d.W%d failed: %s", s->layer, s->wave,
		s->text);
	switch (t->rules->on_failure) {
	case ENGINE_STOP_IT:
		engine_rollout_stop(t, false, reason);
		break;
	case ENGINE_ROLL_IT_BACK:
		engine_back_begin(t, ENGINE_ALL_WAVES, reason);
		break;
	case ENGINE_PAUSE_IT:
	default:
		engine_turn_pause(t, ENGINE_BY_GATE, reason);
	}
}

static void doubt(struct engine_turn *t, size_t i)
{
	const struct engine_stage *s = engine_turn_stage(t, i);
	char reason[ENGINE_REASON_MAX];

	snprintf(reason, sizeof(reason), "the gate of L%d.W%d is inconclusive: %s", s->layer,
		s->wave, s->text);
	engine_turn_pause(t, ENGINE_BY_GATE, reason);
}

/* I12: whether more devices were taken over than are silent for other reasons. */
static bool starved(const struct engine_stage *s, const struct gate_feed *feed)
{
	int64_t taken = s->sums.steps[STEP_SUPERSEDED];

	return taken > feed->silent - taken;
}

static void starve(struct engine_turn *t, size_t i)
{
	const struct engine_stage *s = engine_turn_stage(t, i);
	char reason[ENGINE_REASON_MAX];

	snprintf(reason, sizeof(reason),
		"superseded: other rollouts have taken over %lld device%s of L%d.W%d, and without "
		"them its gate cannot decide",
		(long long)s->sums.steps[STEP_SUPERSEDED],
		fl_plural(s->sums.steps[STEP_SUPERSEDED]), s->layer, s->wave);
	engine_rollout_stop(t, false, reason);
}

/* Success holds: soak, or pass. */
static void hold(struct engine_turn *t, size_t i)
{
	const struct engine_stage *s = engine_turn_stage(t, i);

	if (s->state == STAGE_RUNNING && t->rules->soak_ms > 0) {
		engine_turn_move_stage(t, i, STAGE_SOAKING);
		engine_turn_edit_stage(t, i)->soak = engine_turn_begin(t);
		engine_turn_edit_stage(t, i)->soak_until = t->clock + t->rules->soak_ms;
		return;
	}
	if (s->state == STAGE_SOAKING && t->clock < s->soak_until)
		return;
	engine_turn_move_stage(t, i, STAGE_SUCCEEDED);
	engine_turn_event(t, ENGINE_EVENT_GATE, (int)i);
	engine_stage_advance(t);
}

void engine_gate_judge(struct engine_turn *t, size_t i)
{
	const struct engine_stage *s = engine_turn_stage(t, i);
	struct gate_feed feed = engine_turn_feed(t, s);
	struct engine_stage *e;

	if ((s->state != STAGE_RUNNING && s->state != STAGE_SOAKING) ||
		(s->jobs & (ENGINE_OPEN | ENGINE_RETRY)) != 0)
		return;
	e = engine_turn_edit_stage(t, i);
	e->decision = gate_judge(&t->rules->gate, &s->tally, &feed, e->text);
	switch (e->decision) {
	case GATE_HOLDS:
		hold(t, i);
		break;
	case GATE_OPEN:
		if (e->state == STAGE_SOAKING)
			engine_turn_move_stage(t, i, STAGE_RUNNING);
		break;
	case GATE_FAILED:
		engine_turn_move_stage(t, i, STAGE_FAILED);
		engine_turn_event(t, ENGINE_EVENT_GATE, (int)i);
		fail(t, i);
		break;
	case GATE_INCONCLUSIVE:
	default:
		engine_turn_move_stage(t, i, STAGE_INCONCLUSIVE);
		engine_turn_event(t, ENGINE_EVENT_GATE, (int)i);
		if (starved(e, &feed))
			starve(t, i);
		else
			doubt(t, i);
	}
}

/* ---- verdicts */

void engine_gate_overdue(struct engine_turn *t, size_t i)
{
	struct engine_stage *s = engine_turn_edit_stage(t, i);

	s->verdict_at = 0;
	if (s->verdict == VERDICT_NONE) {
		s->verdict = VERDICT_INCONCLUSIVE;
		(void)snprintf(s->said, sizeof(s->said), "none came within %lld s",
			(long long)(t->rules->gate.external_ms / 1000));
	}
	if (engine_turn_rollout(t)->state == ROLLOUT_RUNNING)
		engine_gate_judge(t, i);
}

/* Why no verdict can be taken on a stage now, NULL: one can. */
static const char *no_verdict(const struct engine_turn *t, const struct engine_stage *s)
{
	const struct engine_rollout *r = engine_turn_rollout(t);

	if (!gate_has(&t->rules->gate, GATE_EXTERNAL))
		return "its gate does not wait for a verdict";
	if (r->state != ROLLOUT_RUNNING &&
		(r->state != ROLLOUT_PAUSED || r->resume_to != ROLLOUT_RUNNING))
		return "its rollout does not run";
	if (s->state == STAGE_PENDING || (s->jobs & ENGINE_OPEN) != 0)
		return "it has not been opened yet";
	if (s->state != STAGE_RUNNING && s->state != STAGE_SOAKING)
		return "its gate has been decided: promote it, retry its devices, stop or roll "
		       "back";
	return NULL;
}

void engine_gate_verdict(struct engine_turn *t)
{
	const struct engine_fact *f = t->fact;
	size_t i = engine_turn_place(t, f->layer, f->wave);
	const struct engine_stage *s;
	struct engine_stage *e;
	const char *why = f->text != NULL ? f->text : "", *not ;

	if (f->wave < 0 || f->layer < 0 || f->layer >= t->rules->layers ||
		i >= engine_turn_stages(t)) {
		engine_turn_say(t, ENGINE_REFUSED, "there is no such stage");
		return;
	}
	s = engine_turn_stage(t, i);
	if (s->verdict == f->verdict && strcmp(s->said, why) == 0) {
		engine_turn_say(t, ENGINE_NOTHING, "that verdict is known already");
		return;
	}
	not = no_verdict(t, s);
	if (not != NULL) {
		engine_turn_say(t, ENGINE_REFUSED, "L%d.W%d: %s", f->layer, f->wave, not );
		return;
	}
	e = engine_turn_edit_stage(t, i);
	e->verdict = f->verdict;
	(void)snprintf(e->said, sizeof(e->said), "%s", why);
	engine_turn_say(t, ENGINE_CHANGED, "L%d.W%d has the verdict %s", f->layer, f->wave,
		gate_verdict_text(f->verdict));
}
