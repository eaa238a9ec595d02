/* SPDX-License-Identifier: Apache-2.0
 *
 * What is installed on one device, as a list that can be changed; and what a layer of a plan changes. */
#ifndef ROLLOUTS_SET_H
#define ROLLOUTS_SET_H

#include "server/rollout/plan.h"
#include "server/store/state.h"

#include "lib/arena.h"

/* Modules with their versions, ordered by module. The texts are borrowed. */
struct rollouts_set {
	size_t n;
	struct state_entry of[STATE_ENTRIES_MAX];
};

/* Fill with a state; its texts are copied into `text`. */
enum fl_code rollouts_set_load(struct store *store, int64_t state_id, struct fl_arena *text,
	struct rollouts_set *out, struct fl_err *err) FL_MUST_CHECK;
/* The version of a module, NULL if it is not there. Borrowed. */
const char *rollouts_set_version(const struct rollouts_set *set, const char *module);
/* Put a version of a module, or with NULL take the module out. FL_TOO_LARGE if there is no room. */
enum fl_code rollouts_set_put(struct rollouts_set *set, const char *module, const char *version,
	struct fl_err *err) FL_MUST_CHECK;
/* Whether both are the same. */
bool rollouts_set_is(const struct rollouts_set *set, const struct plan_set *plan);
/* Whether two versions, either of which may be absent (NULL), are the same. */
bool rollouts_same_version(const char *a, const char *b);

/* A module that a layer changes. Borrowed from the plan. */
struct rollouts_change {
	const char *module;
	const struct plan_item *from, *to; /* NULL: absent */
};
struct rollouts_changes {
	size_t n;
	struct rollouts_change of[STATE_ENTRIES_MAX];
};

/* What a class changes in a layer; all that it changes from the start to the end with layer
 * ROLLOUTS_WHOLE_WAY. FL_TOO_LARGE if there is no room. */
#define ROLLOUTS_WHOLE_WAY (-1)
enum fl_code rollouts_changes(const struct plan *p, int class, int layer,
	struct rollouts_changes *out, struct fl_err *err) FL_MUST_CHECK;
/* The change of a module, NULL if it is not changed. */
const struct rollouts_change *rollouts_change_of(
	const struct rollouts_changes *changes, const char *module);
/* The version that an item stands for, NULL if it is absent. */
const char *rollouts_item_version(const struct plan_item *item);

#endif
