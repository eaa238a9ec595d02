/* SPDX-License-Identifier: Apache-2.0
 *
 * Which of two rollouts that want a device for one of the same modules has it. Pure. */
#ifndef ROLLOUT_RIVAL_H
#define ROLLOUT_RIVAL_H

#include "server/rollout/engine.h"

/* What decides. */
struct rival {
	int64_t id;
	int64_t started_at; /* wall clock; RIVAL_NOT_STARTED: not yet */
	int64_t priority;   /* of the strategy */
	bool supersede;     /* of the strategy: takes over what older rollouts have */
};
#define RIVAL_NOT_STARTED INT64_MAX

/* Whether `a` gives way to `b`. The higher priority has the device; among equals the one that started
 * first, unless the later one takes over. Of two different rollouts always exactly one gives way. */
bool rival_yields(const struct rival *a, const struct rival *b);

/* What a rollout claims of one device, against another one that is under way and changes one of the same
 * modules. */
struct rival_claim {
	struct rival us;
	bool over; /* it has ended: it gives way to every other */
	bool any;  /* it tries again what has failed: who is in another rollout now stays there */
	int64_t since; /* rivals that have started before count no more */
};
/* How the device stands to the claim: FITS; NOT_OURS when the other rollout takes it over; UNFIT when
 * the other one has it. */
enum engine_fit rival_fit(const struct rival_claim *claim, const struct rival *them);

/* ---- the review, when another rollout has started */

/* Whether somebody else may have the step's device now: who is being installed finishes first. */
bool rival_reviews(const struct engine_step *s);
/* `since` of the claim then: an order to go back that is newer than the rival is meant as it is said. */
int64_t rival_since(const struct engine_step *s);

#endif
