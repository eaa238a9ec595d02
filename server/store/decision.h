/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of decisions: what each gate decided, and the numbers that led to it. */
#ifndef STORE_DECISION_H
#define STORE_DECISION_H

#include "lib/json.h"
#include "server/rollout/model.h"
#include "server/store/store.h"

/* One decision. Strings end with the call. */
struct decision {
	int64_t id;
	int64_t at;
	int layer, wave;
	const char *state; /* of the stage after it */
	const char *text;
	const char *numbers; /* JSON */
};

/* Note a decision about a stage. Write lane. */
enum fl_code decision_add(struct store *store, int64_t stage_id, enum stage_state state,
	const char *text, const json_t *numbers, struct fl_err *err) FL_MUST_CHECK;

/* Call fn for up to `limit` decisions of a rollout with ids above `after`, the oldest first. */
typedef enum fl_code (*decision_fn)(void *context, const struct decision *d, struct fl_err *err);
enum fl_code decision_each(struct store *store, int64_t rollout_id, int64_t after, int64_t limit,
	decision_fn fn, void *context, struct fl_err *err) FL_MUST_CHECK;

#endif
