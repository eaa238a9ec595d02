/* SPDX-License-Identifier: Apache-2.0
 *
 * The way back: of a wave or of all, by hand or because a gate has failed. */
#include "server/rollout/engine_turn.h"

#include "lib/words.h"

#include <stdio.h>

void engine_back_begin(struct engine_turn *t, int wave, const char *reason)
{
	if (engine_turn_rollout(t)->state == ROLLOUT_PAUSED)
		engine_turn_unpause(t, ROLLOUT_ROLLING_BACK);
	else
		engine_turn_move(t, ROLLOUT_ROLLING_BACK);
	engine_turn_edit(t)->back_wave = wave;
	snprintf(engine_turn_edit(t)->reason, ENGINE_REASON_MAX, "%s", reason);
	engine_stage_shut(t, false);
	engine_stage_take_back(t);
}

/* Of the stages of `wave` (or of all) those that were opened and are, or are not yet, back. */
static int opened_stages(const struct engine_turn *t, int wave, bool back)
{
	int n = 0;

	for (size_t i = 0; i < engine_turn_stages(t); i++) {
		const struct engine_stage *s = engine_turn_stage(t, i);

		n += (wave == ENGINE_ALL_WAVES || s->wave == wave) && engine_stage_opened(s) &&
			(s->state == STAGE_ROLLED_BACK) == back;
	}
	return n;
}

/* Why there is nothing to take back. */
static void nothing_back(struct engine_turn *t)
{
	int wave = t->fact->wave;

	if (wave >= t->rules->waves)
		engine_turn_say(t, ENGINE_REFUSED, "it has no wave %d: the last one is %d", wave,
			t->rules->waves - 1);
	else if (opened_stages(t, wave, true) > 0)
		engine_turn_say(
			t, ENGINE_NOTHING, "wave %d is back already; nothing changed", wave);
	else if (wave == ENGINE_ALL_WAVES)
		engine_turn_say(t, ENGINE_REFUSED, "it has delivered nothing to take back");
	else
		engine_turn_say(t, ENGINE_REFUSED,
			"wave %d was never opened: there is nothing to take back", wave);
}

/* Steps of a stage that is to be taken back that have not ended on their way back. */
static int64_t steps_to_go_back(const struct engine_stage *s)
{
	const int64_t *steps = s->sums.steps;

	if (s->state == STAGE_ROLLING_BACK && (s->jobs & ENGINE_BACK) == 0)
		return s->sums.back;
	return s->sums.back + engine_stage_in_flight(s) + steps[STEP_CONFIRMED] +
		steps[STEP_FAILED] + steps[STEP_TIMED_OUT];
}

/* No more devices than these have something of the stage to lose: one that has switched is counted in the
 * layer where it did so first. */
static int64_t devices_touched(const struct engine_stage *s)
{
	return s->sums.switched + engine_stage_in_flight(s) + s->sums.steps[STEP_FAILED] +
		s->sums.steps[STEP_TIMED_OUT];
}

int64_t engine_may_switch(
	const struct engine_rollout *rollout, const struct engine_stage *stages, size_t n)
{
	int64_t sum = 0, steps = 0, devices = 0;

	for (size_t i = 0; i < n; i++) {
		const struct engine_stage *s = &stages[i];

		if (rollout->state != ROLLOUT_ROLLING_BACK ||
			!engine_stage_to_take_back(rollout, s)) {
			sum += engine_stage_in_flight(s);
			continue;
		}
		steps += steps_to_go_back(s);
		devices += devices_touched(s);
	}
	return sum + (steps < devices ? steps : devices);
}

/* A rollback again: nothing, or all waves instead of one. */
static void widen(struct engine_turn *t)
{
	const struct engine_rollout *r = t->view->rollout;

	if (r->back_wave == t->fact->wave || r->back_wave == ENGINE_ALL_WAVES) {
		engine_turn_say(t, ENGINE_NOTHING, "it is on its way back already%s",
			r->state == ROLLOUT_PAUSED ? ", and paused: resume lets it go on"
						   : "; nothing changed");
		return;
	}
	if (t->fact->wave != ENGINE_ALL_WAVES || r->state == ROLLOUT_PAUSED) {
		engine_turn_say(t, ENGINE_REFUSED,
			"wave %d is on its way back: another one can follow when it is there",
			r->back_wave);
		return;
	}
	engine_turn_edit(t)->back_wave = ENGINE_ALL_WAVES;
	engine_stage_take_back(t);
	engine_turn_say(t, ENGINE_CHANGED, "every wave is taken back now");
}

void engine_back_verb(struct engine_turn *t)
{
	const struct engine_rollout *r = t->view->rollout;
	const char *why = t->fact->text;
	char words[FL_WORDS];

	if (r->state == ROLLOUT_ROLLING_BACK ||
		(r->state == ROLLOUT_PAUSED && r->resume_to == ROLLOUT_ROLLING_BACK)) {
		widen(t);
		return;
	}
	if (r->state == ROLLOUT_ROLLED_BACK) {
		engine_turn_same(t);
		return;
	}
	if (engine_rollout_edge(r->state, ROLLOUT_ROLLING_BACK) == NULL) {
		engine_turn_say(t, ENGINE_REFUSED,
			"it is %s: it has delivered nothing that could be taken back",
			fl_words(rollout_state_text(r->state), words));
		return;
	}
	if (opened_stages(t, t->fact->wave, false) == 0) {
		nothing_back(t);
		return;
	}
	engine_back_begin(t, t->fact->wave, why != NULL && why[0] != '\0' ? why : "by hand");
	engine_turn_say(t, ENGINE_CHANGED, "its layers are taken back, the last one first");
}
