/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/owner.h"

static bool under_way(const struct owner_order *o)
{
	return !step_ended(o->state) && o->state != STEP_REJECTED;
}

bool owner_holds(const struct owner_order *o)
{
	if (o->back)
		return o->state != STEP_ROLLED_BACK && o->state != STEP_SUPERSEDED &&
			o->state != STEP_REMOVED;
	if (o->state == STEP_FAILED)
		return (o->flags & ENGINE_SWITCHED) != 0 && (o->flags & ENGINE_BACK_BY_DEVICE) == 0;
	return under_way(o) || o->state == STEP_CONFIRMED || o->state == STEP_TIMED_OUT;
}

bool owner_since(const struct owner_order *o, const struct owner_order *ours)
{
	return o->rollout_id != ours->rollout_id && o->manifest > ours->manifest && owner_holds(o);
}

bool owner_passed_by(const struct owner_order *o, int64_t id)
{
	return o->rollout_id != id &&
		(o->rollout == ROLLOUT_ROLLING_BACK || o->rollout == ROLLOUT_ROLLED_BACK);
}

enum engine_fit owner_behind(const struct owner_order *behind)
{
	if (behind->back && (behind->state == STEP_HELD || behind->state == STEP_ROLLBACK_FAILED))
		return ENGINE_NO_WAY;
	return owner_holds(behind) ? ENGINE_LATER : ENGINE_FITS;
}

bool owner_goes_back(const struct owner_order *o, int64_t id)
{
	bool turned = o->back && (under_way(o) || o->state == STEP_UNREACHED);

	return o->rollout_id != id && owner_holds(o) &&
		(o->rollout == ROLLOUT_ROLLING_BACK || turned);
}
