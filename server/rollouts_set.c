/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollouts_set.h"

#include <string.h>

/* ---- sets */

struct filling {
	struct fl_arena *text;
	struct rollouts_set *set;
};

static enum fl_code add_entry(
	void *context, int64_t state_id, const struct state_entry *e, struct fl_err *err)
{
	struct filling *f = context;
	struct state_entry *to;

	(void)state_id;
	if (f->set->n == STATE_ENTRIES_MAX)
		return fl_fail(
			err, FL_CORRUPT, "a state with more than %d modules", STATE_ENTRIES_MAX);
	to = &f->set->of[f->set->n++];
	to->module = fl_arena_text(f->text, e->module, strlen(e->module));
	to->version = fl_arena_text(f->text, e->version, strlen(e->version));
	return to->module != NULL && to->version != NULL
		? FL_OK
		: fl_fail(err, FL_NOMEM, "there is no memory for what a device has");
}

enum fl_code rollouts_set_load(struct store *store, int64_t state_id, struct fl_arena *text,
	struct rollouts_set *out, struct fl_err *err)
{
	struct filling f = { text, out };

	out->n = 0;
	return state_id == STATE_EMPTY ? FL_OK : state_each(store, state_id, add_entry, &f, err);
}

/* Where the module is, or would be. */
static size_t place_of(const struct rollouts_set *set, const char *module)
{
	size_t low = 0, high = set->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (strcmp(set->of[middle].module, module) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_at(const struct rollouts_set *set, size_t place, const char *module)
{
	return place < set->n && strcmp(set->of[place].module, module) == 0;
}

const char *rollouts_set_version(const struct rollouts_set *set, const char *module)
{
	size_t place = place_of(set, module);

	return is_at(set, place, module) ? set->of[place].version : NULL;
}

enum fl_code rollouts_set_put(
	struct rollouts_set *set, const char *module, const char *version, struct fl_err *err)
{
	size_t place = place_of(set, module);
	struct state_entry *at = &set->of[place];
	bool there = is_at(set, place, module);

	if (there && version == NULL) {
		set->n--;
		memmove(at, at + 1, (set->n - place) * sizeof(*at));
	} else if (there) {
		at->version = version;
	} else if (version != NULL && set->n == STATE_ENTRIES_MAX) {
		return fl_fail(
			err, FL_TOO_LARGE, "a device with more than %d modules", STATE_ENTRIES_MAX);
	} else if (version != NULL) {
		memmove(at + 1, at, (set->n - place) * sizeof(*at));
		*at = (struct state_entry){ module, version };
		set->n++;
	}
	return FL_OK;
}

bool rollouts_set_is(const struct rollouts_set *set, const struct plan_set *plan)
{
	if (set->n != plan->n)
		return false;
	for (uint32_t i = 0; i < plan->n; i++)
		if (!rollouts_same_version(plan->items[i].version,
			    rollouts_set_version(set, plan->items[i].module->name)))
			return false;
	return true;
}

bool rollouts_same_version(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* ---- changes */

const char *rollouts_item_version(const struct plan_item *item)
{
	return item == NULL ? NULL : item->version;
}

static enum fl_code add_change(struct rollouts_changes *out, const struct plan_item *from,
	const struct plan_item *to, struct fl_err *err)
{
	if (rollouts_same_version(rollouts_item_version(from), rollouts_item_version(to)))
		return FL_OK;
	if (out->n == STATE_ENTRIES_MAX)
		return fl_fail(err, FL_TOO_LARGE, "a layer that changes more than %d modules",
			STATE_ENTRIES_MAX);
	out->of[out->n++] =
		(struct rollouts_change){ (from != NULL ? from : to)->module->name, from, to };
	return FL_OK;
}

enum fl_code rollouts_changes(const struct plan *p, int class, int layer,
	struct rollouts_changes *out, struct fl_err *err)
{
	const uint32_t *sets = p->classes[class].sets;
	bool whole = layer == ROLLOUTS_WHOLE_WAY;
	const struct plan_set *from = &p->sets[sets[whole ? 0 : layer]];
	const struct plan_set *to = &p->sets[sets[whole ? (int)p->n_layers : layer + 1]];
	enum fl_code code = FL_OK;

	out->n = 0;
	/* both are ordered by name */
	for (uint32_t i = 0, k = 0; (i < from->n || k < to->n) && code == FL_OK;) {
		int order = i == from->n ? 1
			: k == to->n
			? -1
			: strcmp(from->items[i].module->name, to->items[k].module->name);

		code = add_change(out, order <= 0 ? &from->items[i] : NULL,
			order >= 0 ? &to->items[k] : NULL, err);
		i += order <= 0;
		k += order >= 0;
	}
	return code;
}

const struct rollouts_change *rollouts_change_of(
	const struct rollouts_changes *changes, const char *module)
{
	for (size_t i = 0; i < changes->n; i++)
		if (strcmp(changes->of[i].module, module) == 0)
			return &changes->of[i];
	return NULL;
}
