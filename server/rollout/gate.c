/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/gate.h"

#include <inttypes.h>
#include <stdio.h>

#define PPM 1000000

enum gate_outcome gate_outcome(
	const struct gate_rules *rules, enum step_state state, enum step_cause cause)
{
	switch (state) {
	case STEP_CONFIRMED:
		return GATE_IS_SUCCESS;
	case STEP_FAILED:
	case STEP_TIMED_OUT:
		return (rules->causes & 1u << cause) != 0 ? GATE_IS_FAILURE : GATE_IS_NEUTRAL;
	case STEP_REJECTED:
		return GATE_IS_NEUTRAL;
	default:
		return step_ended(state) ? GATE_IS_NEUTRAL : GATE_IS_OPEN;
	}
}

bool gate_take(struct gate_tally *tally, int64_t place, enum gate_outcome outcome)
{
	FL_BUG_IF(place <= tally->cursor);
	if (outcome == GATE_IS_OPEN)
		return false;
	tally->cursor = place;
	tally->successes += outcome == GATE_IS_SUCCESS;
	tally->failures += outcome == GATE_IS_FAILURE;
	return true;
}

/* A share in ppm as a percentage. */
static double percent(int64_t ppm)
{
	return (double)ppm / (PPM / 100);
}

/* More than the allowed share has failed, on enough outcomes. */
static bool too_many_failed(const struct gate_rules *r, const struct gate_tally *t)
{
	int64_t counted = t->successes + t->failures;

	return t->failures > 0 && counted >= r->error_minimum &&
		t->failures * PPM > r->error_ppm * counted;
}

/* Enough outcomes, and enough of them good. Without any outcome it holds only where there was nothing
 * to do: silence is not success. */
static bool success_holds(
	const struct gate_rules *r, const struct gate_tally *t, const struct gate_feed *feed)
{
	int64_t counted = t->successes + t->failures;

	if (feed->open == 0 && counted == 0)
		return feed->silent == 0;
	if (r->success_minimum == 0 ? feed->open > 0 : counted < r->success_minimum)
		return false;
	return counted > 0 && t->successes * PPM >= r->success_ppm * counted;
}

enum gate_decision gate_judge(const struct gate_rules *rules, const struct gate_tally *tally,
	const struct gate_feed *feed, char *text)
{
	int64_t counted = tally->successes + tally->failures;

	if (too_many_failed(rules, tally)) {
		snprintf(text, GATE_TEXT_MAX,
			"%" PRId64 " of %" PRId64 " failed, more than %g %% are too many",
			tally->failures, counted, percent(rules->error_ppm));
		return GATE_FAILED;
	}
	if (success_holds(rules, tally, feed)) {
		if (counted == 0)
			snprintf(text, GATE_TEXT_MAX, "there was nothing to do");
		else
			snprintf(text, GATE_TEXT_MAX,
				"%" PRId64 " of %" PRId64 " confirmed, %g %% are enough",
				tally->successes, counted, percent(rules->success_ppm));
		return GATE_HOLDS;
	}
	if (feed->open > 0) {
		snprintf(text, GATE_TEXT_MAX,
			"%" PRId64 " confirmed and %" PRId64 " failed so far, %" PRId64
			" still open",
			tally->successes, tally->failures, feed->open);
		return GATE_OPEN;
	}
	snprintf(text, GATE_TEXT_MAX,
		"no more can come: %" PRId64 " confirmed, %" PRId64 " failed, %" PRId64
		" without an outcome; %g %% of %" PRId64 " had to confirm",
		tally->successes, tally->failures, feed->silent, percent(rules->success_ppm),
		rules->success_minimum > counted ? rules->success_minimum : counted);
	return GATE_INCONCLUSIVE;
}

const char *gate_decision_text(enum gate_decision d)
{
	static const char *const texts[] = { "open", "passed", "failed", "inconclusive" };

	FL_BUG_IF((unsigned)d > GATE_INCONCLUSIVE);
	return texts[d];
}
