/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of explanations: a rollout as it is loaded for one. Included by rollouts_explain*.c only. */
#ifndef ROLLOUTS_EXPLAIN_IN_H
#define ROLLOUTS_EXPLAIN_IN_H

#include "server/rollouts_in.h"

#include "server/rollout/explain_device.h"
#include "server/store/rollout.h"

/* One rollout, loaded for an explanation. Zeroed: nothing. */
struct rollouts_loaded {
	struct rollout row;
	struct rollouts_parsed *parsed; /* owned; NULL: no plan */
	struct stage_list list;
	struct explain_part part;
	bool *changes, *has;
	struct engine_step *steps;
	struct fl_buf detail, reason;
	char opens[ROLLOUTS_MOMENT_MAX];
	struct rollouts_ahead_of rival, before;
	struct rollouts_frost frost;
};

/* Load the row, the stages and, if there is one, the plan. End with rollouts_explain_fini, also after a
 * failure. Any lane that reads. */
enum fl_code rollouts_explain_load(const struct rollouts_lane *lane, int64_t id,
	struct rollouts_loaded *l, struct fl_err *err) FL_MUST_CHECK;
/* Free. Safe twice. */
void rollouts_explain_fini(struct rollouts_loaded *l);
/* Say of windows what there is to say of one now. */
void rollouts_explain_window(
	struct rollouts_loaded *l, const struct window *w, const struct fl_zone *zone);

#endif
