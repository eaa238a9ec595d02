/* SPDX-License-Identifier: Apache-2.0
 *
 * Why a stage is where it is and what it waits for, in words with their numbers. Pure.
 *
 * The first line is the decisive one: what has to happen next, or how it ended. */
#ifndef ROLLOUT_EXPLAIN_STAGE_H
#define ROLLOUT_EXPLAIN_STAGE_H

#include "server/rollout/engine.h"
#include "server/rollout/explain_line.h"

/* How the slots of the fleet (share.h) stand for a rollout. */
struct explain_fleet {
	int64_t limit; /* 0: there is none, and the rest says nothing */
	int64_t in_use, mine, share;
	bool full; /* for this rollout */
};

/* A rollout as the engine sees it. All borrowed. */
struct explain_rollout {
	const char *name;
	const struct engine_rollout *rollout;
	const struct engine_rules *rules;
	const struct engine_stage
		*stages; /* layers * waves, by wave, then layer; NULL: no plan yet */
	int64_t now_ms;
	/* of the stage or device that is explained: when orders may be delivered, and, while that is closed, when
	 * it opens: wall clock (-1: not as far as can be seen) and as the clock there shows it */
	const struct window *window;
	int64_t opens_ms;
	const char *opens; /* NULL: it is open */
	struct explain_fleet fleet;
};

/* Say what there is to say about the stage. */
void explain_stage(struct explain *e, const struct explain_rollout *r, int layer, int wave);

/* The stage that has to succeed first before a pending stage opens: what it needs, what that one needs, and
 * so on to one that is not pending itself. NULL: there is none. */
const struct engine_stage *explain_needed(
	const struct explain_rollout *r, const struct engine_stage *stage);
/* Say what that stage, another's need, waits for itself; nothing if it has not been opened. */
void explain_what_is_needed(
	struct explain *e, const struct explain_rollout *r, const struct engine_stage *needed);
/* The stage of a cell. */
const struct engine_stage *explain_cell(const struct explain_rollout *r, int layer, int wave);
/* How long until the rollout's clock shows `clock`, if it runs on, in ms; not below 0. */
int64_t explain_left(const struct explain_rollout *r, int64_t clock);
/* The fewest confirmations in a row that make the gate pass by outcomes; -1: not even all that are open. */
int64_t explain_confirmations(const struct explain_rollout *r, const struct engine_stage *stage);

#endif
