/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/rival.h"

static bool is_later(const struct rival *a, const struct rival *b)
{
	return a->started_at > b->started_at || (a->started_at == b->started_at && a->id > b->id);
}

bool rival_yields(const struct rival *a, const struct rival *b)
{
	if (a->priority != b->priority)
		return a->priority < b->priority;
	return is_later(b, a) ? b->supersede : !a->supersede;
}
