/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/share.h"

#include <assert.h>

/* Who wants no more than a share takes what it has; that leaves more to each of the others. */
struct share_level share_level(int64_t limit, const struct share_claim *claims, size_t n)
{
	struct share_level level = { .slots = limit };
	bool settled[SHARE_MAX] = { false }, again = true;

	assert(n <= SHARE_MAX);
	for (size_t i = 0; i < n; i++)
		level.weight += claims[i].weight;
	while (again) {
		again = false;
		for (size_t i = 0; i < n; i++) {
			const struct share_claim *c = &claims[i];

			if (settled[i] || c->wants ||
				c->in_use * level.weight > level.slots * c->weight)
				continue;
			settled[i] = again = true;
			level.slots -= c->in_use;
			level.weight -= c->weight;
		}
	}
	assert(level.weight > 0); /* somebody wants more */
	return level;
}

int64_t share_of(const struct share_level *level, int64_t weight)
{
	return level->slots * weight / level->weight;
}

/* How the next slot of a claim lies to its share; the former come before the latter. */
enum next { WITHIN, PARTLY, BEYOND };

static enum next next_of(const struct share_level *level, const struct share_claim *c)
{
	int64_t share = level->slots * c->weight; /* times level->weight */

	return (c->in_use + 1) * level->weight <= share ? WITHIN
		: c->in_use * level->weight < share     ? PARTLY
							: BEYOND;
}

bool share_may_take(int64_t limit, const struct share_claim *claims, size_t n, size_t me)
{
	struct share_level level = share_level(limit, claims, n);
	enum next mine = next_of(&level, &claims[me]);
	int64_t in_use = 0;

	assert(claims[me].wants);
	for (size_t i = 0; i < n; i++) {
		enum next other = next_of(&level, &claims[i]);

		in_use += claims[i].in_use;
		if (i == me || !claims[i].wants)
			continue;
		if (other < mine ||
			(other == PARTLY && mine == PARTLY && claims[i].served < claims[me].served))
			return false;
	}
	return in_use < limit;
}
