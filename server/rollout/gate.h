/* SPDX-License-Identifier: Apache-2.0
 *
 * The gate of a stage: counts outcomes and judges them. Pure.
 *
 * DESIGN. Outcomes are taken in the order of delivery, and the gate stops at the first that is still
 * open: silent bricks cannot hide behind quick successes. A tally is the sum up to a cursor in that
 * order, so that a gate looks at each outcome once. Only `confirmed` is a success; `failed` and
 * `timed_out` are failures when their cause counts; every other end is neutral.
 *
 * To add a kind of gate: a member of gate_rules that says how, and a branch in gate_judge. It sees
 * the tally and the feed and nothing else, so that the simulator and the forecast can use it. */
#ifndef ROLLOUT_GATE_H
#define ROLLOUT_GATE_H

#include "server/rollout/model.h"

#include <stddef.h>

/* What a stage's gate demands. Shares are of the counted outcomes. */
struct gate_rules {
	int64_t success_ppm;     /* at least this share (parts per million) succeeds */
	int64_t success_minimum; /* of at least so many outcomes; 0: every device of the stage */
	int64_t error_ppm;       /* more than this share fails: the gate fails at once */
	int64_t error_minimum;   /* but not before so many outcomes */
	unsigned causes;         /* bits 1 << enum step_cause: failures that count */
};

/* Sum over the outcomes in the order of delivery up to `cursor`. Zeroed: nothing taken yet. */
struct gate_tally {
	int64_t cursor; /* place of the last outcome that was taken */
	int64_t successes;
	int64_t failures; /* whose cause counts */
};

/* What one delivered step is to a gate. */
enum gate_outcome { GATE_IS_OPEN, GATE_IS_SUCCESS, GATE_IS_FAILURE, GATE_IS_NEUTRAL };

/* What the stage can still bring. */
struct gate_feed {
	int64_t open; /* steps that may still have an outcome */
	int64_t silent; /* ends without an outcome that leave a doubt: unreached, rejected, ineligible,
			 * and failures whose cause does not count */
};

enum gate_decision {
	GATE_OPEN,         /* not enough is known yet */
	GATE_HOLDS,        /* the success condition holds now */
	GATE_FAILED,       /* the error condition holds */
	GATE_INCONCLUSIVE, /* nothing more can come and neither condition holds */
};

#define GATE_TEXT_MAX 160

/* What a step in `state` with `cause` is to a gate with these rules. Any forward state. */
enum gate_outcome gate_outcome(
	const struct gate_rules *rules, enum step_state state, enum step_cause cause);

/* Take the outcome at `place`, the next in the order of delivery. False if it is still open: nothing
 * is taken and the walk ends here. */
bool gate_take(struct gate_tally *tally, int64_t place, enum gate_outcome outcome);

/* Judge. `text` (GATE_TEXT_MAX bytes) gets the decision with the numbers that led to it. */
enum gate_decision gate_judge(const struct gate_rules *rules, const struct gate_tally *tally,
	const struct gate_feed *feed, char *text);

/* "open", "passed", "failed", "inconclusive": the words of the API. GATE_HOLDS is "passed". */
const char *gate_decision_text(enum gate_decision d);

#endif
