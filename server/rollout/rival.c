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

enum engine_fit rival_fit(const struct rival_claim *claim, const struct rival *them)
{
	const struct rival *us = &claim->us;

	if (them->started_at < claim->since)
		return ENGINE_FITS;
	if (!claim->over && !claim->any && !rival_yields(us, them))
		return ENGINE_FITS;
	return !claim->any && them->started_at > us->started_at ? ENGINE_NOT_OURS : ENGINE_UNFIT;
}

bool rival_reviews(const struct engine_step *s)
{
	return s->state <= STEP_DOWNLOADED || s->state == STEP_UNREACHED ||
		(s->state == STEP_HELD && !s->back);
}

int64_t rival_since(const struct engine_step *s)
{
	return s->back ? s->changed_at : 0;
}
