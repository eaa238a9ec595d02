/* SPDX-License-Identifier: Apache-2.0
 *
 * A device is in at most one running rollout per module. The plan leaves devices out that another
 * rollout has under way, but two plans may have been made before either was started: whoever started
 * first has the device. */
#include "server/rollouts_in.h"

#include "server/store/assignment.h"

#include <string.h>

static bool same_item(const struct plan_item *a, const struct plan_item *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a->version, b->version) == 0;
}

static const struct plan_item *find(const struct plan_set *set, const char *module)
{
	for (uint32_t i = 0; i < set->n; i++)
		if (strcmp(set->items[i].module->name, module) == 0)
			return &set->items[i];
	return NULL;
}

/* Whether the class has another version of the module at its end than at its start, or none. */
static bool changes(const struct plan *p, int class, const char *module)
{
	const struct plan_class *c = &p->classes[class];

	return !same_item(
		find(&p->sets[c->sets[0]], module), find(&p->sets[c->sets[p->n_layers]], module));
}

/* Whether two classes of two plans change a module in common. */
static bool overlap(const struct plan *p, int class, const struct plan *q, int other)
{
	const struct plan_class *c = &p->classes[class];
	uint32_t ends[] = { c->sets[0], c->sets[p->n_layers] };

	for (size_t e = 0; e < FL_COUNT(ends); e++) {
		const struct plan_set *set = &p->sets[ends[e]];

		for (uint32_t i = 0; i < set->n; i++) {
			const char *module = set->items[i].module->name;

			if (changes(p, class, module) && changes(q, other, module))
				return true;
		}
	}
	return false;
}

/* Whether the rival comes first: it was started before, in the same millisecond made before. */
static bool comes_first(const struct assignment_rival *rival, const struct engine_rollout *ours)
{
	return rival->started_at < ours->started_at ||
		(rival->started_at == ours->started_at && rival->rollout_id < ours->id);
}

enum fl_code rollouts_rival(const struct rollouts_lane *lane, const struct rollouts_claim *claim,
	bool *taken, struct fl_err *err)
{
	struct assignment_rivals rivals;
	enum fl_code code =
		assignment_rivals(lane->store, claim->device_no, claim->rollout->id, &rivals, err);

	*taken = false;
	for (size_t i = 0; i < rivals.n && code == FL_OK && !*taken; i++) {
		struct rollouts_parsed *ours, *other;

		if (!claim->any && !comes_first(&rivals.of[i], claim->rollout))
			continue;
		code = rollouts_parsed_get(lane, rivals.of[i].rollout_id, &other, err);
		if (code == FL_OK)
			code = rollouts_parsed_get(lane, claim->rollout->id, &ours, err);
		if (code == FL_OK)
			*taken = overlap(
				&ours->plan, claim->class, &other->plan, rivals.of[i].class);
	}
	return code;
}
