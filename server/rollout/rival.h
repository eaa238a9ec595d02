/* SPDX-License-Identifier: Apache-2.0
 *
 * Which of two rollouts that want a device for one of the same modules has it. Pure. */
#ifndef ROLLOUT_RIVAL_H
#define ROLLOUT_RIVAL_H

#include <stdbool.h>
#include <stdint.h>

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

#endif
