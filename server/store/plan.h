/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of plans, one per rollout, and what only the planner reads of other nouns. */
#ifndef STORE_PLAN_H
#define STORE_PLAN_H

#include "server/rollout/figures.h"
#include "server/store/store.h"

#include "lib/buf.h"

struct plan_row {
	uint8_t digest[32];
	int64_t newest_no;  /* the newest device when it was made */
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
/* Write or replace it: digest and newest_no of `row`. `content` is JSON, terminated. Write lane. */
enum fl_code plan_put(struct store *store, int64_t rollout_id, const struct plan_row *row,
	const char *content, struct fl_err *err) FL_MUST_CHECK;

/* Called per pair of artifacts with the size of its smallest ready delta. */
typedef enum fl_code (*plan_delta_fn)(
	void *context, int64_t from, int64_t to, int64_t size, struct fl_err *err);
enum fl_code plan_each_delta(
	struct store *store, plan_delta_fn fn, void *context, struct fl_err *err) FL_MUST_CHECK;

/* ---- what has been, for forecasts: the newest only, so that they cost the same whatever has been */

/* The sums of the stages that were opened last. Another code than FL_OK ends the loop. */
typedef enum fl_code (*plan_sums_fn)(
	void *context, const struct figures_sums *sums, struct fl_err *err);
enum fl_code plan_each_sums(
	struct store *store, plan_sums_fn fn, void *context, struct fl_err *err) FL_MUST_CHECK;
/* When devices said that they switch and that they have, by device, stage and time. */
struct plan_switch {
	int64_t device_no, stage_id;
	int64_t at;  /* ms */
	bool begins; /* installing; else installed */
};
typedef enum fl_code (*plan_switch_fn)(
	void *context, const struct plan_switch *s, struct fl_err *err);
enum fl_code plan_each_switch(
	struct store *store, plan_switch_fn fn, void *context, struct fl_err *err) FL_MUST_CHECK;
/* Microseconds that the newest deltas have taken per KiB of the new artifact; -1: none was built. */
enum fl_code plan_build_rate(
	struct store *store, int64_t *us_per_kib, struct fl_err *err) FL_MUST_CHECK;

#endif
