/* SPDX-License-Identifier: Apache-2.0
 *
 * Which class of a plan a device that comes later can join: what it would get is what was approved. */
#include "server/rollout/plan.h"

#include <string.h>

static bool same_item(const struct plan_item *a, const struct plan_item *b)
{
	if (strcmp(a->module->name, b->module->name) != 0 || strcmp(a->version, b->version) != 0 ||
		(a->artifact == NULL) != (b->artifact == NULL))
		return false;
	return a->artifact == NULL ||
		memcmp(a->artifact->sha256, b->artifact->sha256, sizeof(a->artifact->sha256)) == 0;
}

static bool same_set(const struct plan_set *a, const struct plan_set *b)
{
	for (uint32_t i = 0; i < a->n && i < b->n; i++) {
		if (!same_item(&a->items[i], &b->items[i]))
			return false;
	}
	return a->n == b->n;
}

static const struct plan_set *stop(const struct plan *p, uint32_t class, uint32_t at)
{
	return &p->sets[p->classes[class].sets[at]];
}

/* Whether the item is in some stop of the class's way. */
static bool passes(const struct plan *p, uint32_t class, const struct plan_item *item)
{
	for (uint32_t l = 0; l <= p->n_layers; l++) {
		const struct plan_set *s = stop(p, class, l);

		for (uint32_t i = 0; i < s->n; i++) {
			if (same_item(&s->items[i], item))
				return true;
		}
	}
	return false;
}

/* Versions between start and end (floors) have bytes of their own. */
static bool same_way(
	const struct plan *p, uint32_t class, const struct plan *other, uint32_t theirs)
{
	for (uint32_t l = 1; l < p->n_layers; l++) {
		const struct plan_set *s = stop(p, class, l);

		for (uint32_t i = 0; i < s->n; i++) {
			if (!passes(other, theirs, &s->items[i]))
				return false;
		}
	}
	return true;
}

uint32_t plan_class_like(const struct plan *p, const struct plan *other, uint32_t other_class)
{
	for (uint32_t c = 0; c < p->n_classes; c++) {
		if (p->classes[c].kind == PLAN_UPDATE &&
			same_set(stop(p, c, 0), stop(other, other_class, 0)) &&
			same_set(stop(p, c, p->n_layers),
				stop(other, other_class, other->n_layers)) &&
			same_way(p, c, other, other_class))
			return c;
	}
	return UINT32_MAX;
}
