/* SPDX-License-Identifier: Apache-2.0
 *
 * What must be true of a rollout at any moment, looked at from outside: the invariants of engine.h
 * that can be seen in the rows. */
#include "server/rollout/engine_turn.h"

#include <string.h>

const char *engine_check_step(const struct engine_stage *stage, const struct engine_step *s)
{
	bool flying =
		s->state >= STEP_OFFERED && s->state <= STEP_INSTALLED && s->state != STEP_REJECTED;

	if (!engine_stage_opened(stage))
		return "I2: a step in a stage that was never opened";
	if (flying && (s->delivered == 0 || s->manifest == 0 || s->delivered_at == 0))
		return "I5: a step in flight without a delivery";
	if (flying && s->deadline == 0)
		return "I5: a step in flight without a deadline";
	if (!flying && s->deadline != 0)
		return "I5: a deadline runs for a step that is not in flight";
	if (s->delivered > stage->delivered)
		return "I5: a place beyond the last one given";
	if (s->back && stage->state != STAGE_ROLLING_BACK && stage->state != STAGE_ROLLED_BACK)
		return "I8: a step goes back in a stage that does not";
	if (s->state == STEP_CONFIRMED && s->outcome != STEP_CONFIRMED)
		return "I4: confirmed without that outcome";
	if ((s->state == STEP_ROLLED_BACK || s->state == STEP_ROLLBACK_FAILED) && !s->back)
		return "I4: taken back without a way back";
	return NULL;
}

/* Sums equal steps: I7. Steps of one stage follow each other in `steps`. */
static const char *check_sums(
	const struct engine_stage *stage, const struct engine_step *steps, size_t n)
{
	struct figures_sums sums = { 0 };
	const char *what;

	for (size_t i = 0; i < n; i++) {
		if (steps[i].stage_id == stage->id)
			figures_add_step(&sums, &steps[i], 1);
	}
	if (!figures_equal(&sums, &stage->sums, &what))
		return "I7: a stage's sums are not those of its steps";
	return NULL;
}

static bool ended(enum rollout_state r)
{
	return r == ROLLOUT_STOPPED || r == ROLLOUT_ROLLED_BACK || r == ROLLOUT_COMPLETED ||
		r == ROLLOUT_FAILED;
}

static const char *check_stage(const struct engine_view *v, const struct engine_stage *s)
{
	enum rollout_state r = v->rollout->state;
	bool open = s->state == STAGE_RUNNING || s->state == STAGE_SOAKING;
	size_t n = (size_t)v->rules->layers * (size_t)v->rules->waves;

	if (ended(r) && (open || s->state == STAGE_ROLLING_BACK || s->state == STAGE_PENDING))
		return "I9: a rollout has ended and a stage has not";
	if (s->state == STAGE_PENDING && (s->jobs != 0 || s->sums.rows != 0))
		return "I2: a pending stage has rows or jobs";
	if ((s->soak_until != 0) != (s->state == STAGE_SOAKING))
		return "I6: a soak runs in a stage that does not soak";
	for (size_t i = 0; i < n; i++) {
		const struct engine_stage *o = &v->stages[i];

		if (open && engine_needs(v->rules->order, s, o, v->rules->layers) &&
			o->state != STAGE_SUCCEEDED)
			return "I2: a stage runs although one that it needs has not succeeded";
		if (s->state == STAGE_ROLLING_BACK && o->wave == s->wave && o->layer > s->layer &&
			engine_stage_opened(o) && o->state != STAGE_ROLLED_BACK)
			return "I8: a lower layer goes back before an upper one has";
	}
	return NULL;
}

const char *engine_check_rollout(const struct engine_view *v)
{
	size_t stages = (size_t)v->rules->layers * (size_t)v->rules->waves;
	const char *what = NULL;

	if ((v->rollout->state == ROLLOUT_PAUSED) != (v->rollout->paused_at != 0))
		return "I6: the clock of a paused rollout runs, or that of another stands still";
	for (size_t i = 0; i < stages && what == NULL; i++)
		what = check_stage(v, &v->stages[i]);
	return what;
}

const char *engine_check(const struct engine_view *v, const struct engine_step *steps, size_t n)
{
	size_t stages = (size_t)v->rules->layers * (size_t)v->rules->waves;
	const char *what = engine_check_rollout(v);

	for (size_t i = 0; i < stages && what == NULL; i++) {
		what = check_sums(&v->stages[i], steps, n);
		for (size_t k = 0; k < n && what == NULL; k++)
			if (steps[k].stage_id == v->stages[i].id)
				what = engine_check_step(&v->stages[i], &steps[k]);
	}
	return what;
}
