/* SPDX-License-Identifier: Apache-2.0
 *
 * Deltas that plans will need: stage by stage for the way there, the other way round for the way back. */
#ifndef DELTA_WARM_H
#define DELTA_WARM_H

#include "server/delta_service.h"
#include "server/rollout/plan.h"
#include "server/store/store.h"

enum delta_way { DELTA_THERE = 1, DELTA_BACK = 2, DELTA_BOTH = 3 };

/* Announce the pairs of a plan to the service. `store` finds the artifacts of a plan that was read back
 * from JSON; NULL: the plan has their keys. *n gets the pairs taken; what did not fit into the queue is
 * built when devices ask. A way back that is not BOTH is needed now and comes before all plans.
 * Any thread. */
enum fl_code delta_warm_plan(struct delta_service *d, struct store *store, const struct plan *plan,
	enum delta_way way, size_t *n, struct fl_err *err) FL_MUST_CHECK;
/* The same for a rollout by its key; one without a plan has no pairs. */
enum fl_code delta_warm_rollout(struct delta_service *d, struct store *store, int64_t rollout,
	enum delta_way way, size_t *n, struct fl_err *err) FL_MUST_CHECK;
/* The same for all rollouts that are under way: after a start. */
enum fl_code delta_warm_active(
	struct delta_service *d, struct store *store, struct fl_err *err) FL_MUST_CHECK;

#endif
