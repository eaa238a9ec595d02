/* SPDX-License-Identifier: Apache-2.0
 *
 * Slots of the fleet: how rollouts share the devices that may be under way at once. Pure.
 *
 * DESIGN. Each rollout that wants slots gets them by its weight; who wants less leaves the rest to the others
 * (max-min fairness). Only who asks for one more wants one: nothing is kept for devices that sleep, and a slot
 * that nobody below its share wants goes to whoever asks. Where a share is no whole number, its last part goes
 * to whoever was served longest ago: so nobody starves, even with fewer slots than rollouts. */
#ifndef ROLLOUT_SHARE_H
#define ROLLOUT_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHARE_MAX 256 /* rollouts that are told apart */

/* A rollout that has slots or wants one. */
struct share_claim {
	int64_t weight; /* above 0 */
	int64_t in_use;
	int64_t served; /* when it got one last, by any clock; 0: never */
	bool wants;     /* one more */
};

/* What one unit of weight is entitled to: slots / weight. */
struct share_level {
	int64_t slots, weight;
};

/* The weight of a rollout by the priority of its strategy: that number, and 1 for none. */
static inline int64_t share_weight(int64_t priority)
{
	return priority > 0 ? priority : 1;
}

/* The level at which `limit` slots are shared among n claims (at most SHARE_MAX), of which at least one wants
 * more. If all do, it is limit / (sum of the weights). */
struct share_level share_level(int64_t limit, const struct share_claim *claims, size_t n);
/* The whole slots that a weight is entitled to. */
int64_t share_of(const struct share_level *level, int64_t weight);
/* Whether claim `me`, which wants one, may take a slot now. */
bool share_may_take(int64_t limit, const struct share_claim *claims, size_t n, size_t me);

#endif
