/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of plans, one per rollout, and what only the planner reads of other nouns. */
#ifndef STORE_PLAN_H
#define STORE_PLAN_H

#include "server/store/store.h"

#include "lib/buf.h"

struct plan_row {
	uint8_t digest[32];
	int64_t created_at; /* ms */
};

/* Read the plan of a rollout; its JSON is appended to `content`. FL_NOT_FOUND (err untouched) when there
 * is none. */
enum fl_code plan_get(struct store *store, int64_t rollout_id, struct plan_row *out,
	struct fl_buf *content, struct fl_err *err) FL_MUST_CHECK;
/* The rollout whose plan is meant by `text`: its name, the plan's id ("plan-17"), or the first 8 to 64
 * digits of its digest. FL_NOT_FOUND, FL_CONFLICT (several begin like that), each with a sentence. */
enum fl_code plan_find(struct store *store, const char *text, int64_t *rollout_id,
	struct fl_err *err) FL_MUST_CHECK;
/* Write or replace it. `content` is JSON, terminated. Write lane. */
enum fl_code plan_put(struct store *store, int64_t rollout_id, const uint8_t digest[32],
	const char *content, struct fl_err *err) FL_MUST_CHECK;

/* Called per pair of artifacts with the size of its smallest ready delta. */
typedef enum fl_code (*plan_delta_fn)(
	void *context, int64_t from, int64_t to, int64_t size, struct fl_err *err);
enum fl_code plan_each_delta(
	struct store *store, plan_delta_fn fn, void *context, struct fl_err *err) FL_MUST_CHECK;

#endif
