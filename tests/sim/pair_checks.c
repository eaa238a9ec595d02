/* SPDX-License-Identifier: Apache-2.0
 *
 * What must be true of two rollouts, said anew: nothing here asks the functions that decide. */
#include "tests/sim/pair.h"

static bool under_way(const struct pair *p, int rollout)
{
	return p->started[rollout] != 0 && p->of[rollout].rollout.ended_at == 0;
}

/* Whether the other rollout, which is under way, has the devices. */
static bool others(const struct pair_setup *setup, const struct pair *p, int rollout)
{
	const struct rival *us = &setup->rival[rollout], *them = &setup->rival[!rollout];
	bool first = p->started[rollout] < p->started[!rollout];

	if (us->priority != them->priority)
		return us->priority < them->priority;
	return first ? them->supersede : !us->supersede;
}

/* The least and the greatest version that the device may run before long. */
static void spread(const struct pair *p, int device, int *least, int *most)
{
	*least = *most = p->device[device].has;
	for (int r = 0; r < PAIR_ROLLOUTS; r++) {
		int goal = p->order[r][device].goal;

		if (!pair_holds_order(p, r, device))
			continue;
		*least = goal < *least ? goal : *least;
		*most = goal > *most ? goal : *most;
	}
}

/* Whether the order takes something away that the device behind the gateway needs, and had. */
static bool breaks(const struct pair *p, int device, int goal)
{
	int least, most, has = p->device[device].has;

	spread(p, !device, &least, &most);
	return device == 0 ? goal < most && has >= most : goal > least && has <= least;
}

const char *pair_check_offer(const struct pair_setup *setup, const struct pair *p,
	const struct pair_action *a, const struct engine_step *before)
{
	int r = a->rollout, d = a->one.device;
	const struct pair_device *device = &p->device[d];
	const struct engine_step *s = pair_step(p, r, d), *other = pair_step(p, !r, d);
	int goal = p->order[r][d].goal;

	if (!s->back && under_way(p, !r) && others(setup, p, r))
		return "a device is offered what it is another rollout's for";
	if (!s->back && goal <= device->has)
		return "a version goes down without a rollback";
	if (s->back && other != NULL && device->has == pair_brings(!r) &&
		device->set_at > before->manifest)
		return "a rollback touches what a newer rollout has set";
	if (s->manifest <= before->manifest || (other != NULL && s->manifest <= other->manifest))
		return "a manifest's number does not rise";
	return breaks(p, d, goal) ? "a device loses what it requires" : NULL;
}

const char *pair_check(const struct pair *p)
{
	for (int d = 0; d < PAIR_DEVICES; d++)
		if (pair_holds_order(p, 0, d) && pair_holds_order(p, 1, d))
			return "a device is under way in two rollouts";
	return NULL;
}
