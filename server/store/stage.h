/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of stages: one cell (layer, wave) with its kept sums. */
#ifndef STORE_STAGE_H
#define STORE_STAGE_H

#include "server/rollout/engine.h"
#include "server/store/store.h"

/* All stages of a rollout, ordered by wave, then layer. Zeroed: none. */
struct stage_list {
	struct engine_stage *stages; /* owned, or the cache's */
	int64_t *assigned;           /* likewise; devices of the stage's wave */
	size_t n;
	bool cached; /* they are the cache's: there until the job ends */
};

/* Free. Safe twice. */
void stage_list_fini(struct stage_list *l);
/* Load them. In the write lane a row that the caller changes is changed for everybody who asks from now on:
 * it has to be put, or the rollout forgotten. */
enum fl_code stage_list(struct store *store, int64_t rollout_id, struct stage_list *out,
	struct fl_err *err) FL_MUST_CHECK;
/* Rows of the rollout were changed in memory that are not put: they are read again. */
void stage_list_forget(struct store *store, int64_t rollout_id);
/* Which rollout a stage belongs to, and where it is. FL_NOT_FOUND (err untouched). */
enum fl_code stage_place(struct store *store, int64_t stage_id, int64_t *rollout_id, int *layer,
	int *wave, struct fl_err *err) FL_MUST_CHECK;
/* Stages that have something due at the store's time, or whose devices wait for a window that has opened; at
 * most `max`. */
enum fl_code stage_due(
	struct store *store, int64_t *ids, size_t max, size_t *n, struct fl_err *err) FL_MUST_CHECK;

/* Devices of a rollout that hold an order, of all its stages. */
struct stage_flight {
	int64_t rollout_id, priority;
	int64_t in_flight; /* above 0; never too few */
};
typedef enum fl_code (*stage_flight_fn)(
	void *context, const struct stage_flight *f, struct fl_err *err);
/* Call fn for each rollout that has some, by id. Another code than FL_OK ends the loop. */
enum fl_code stage_each_flight(
	struct store *store, stage_flight_fn fn, void *context, struct fl_err *err) FL_MUST_CHECK;

/* Insert a pending stage. Write lane, as is what follows. */
enum fl_code stage_add(struct store *store, int64_t rollout_id, const struct engine_stage *s,
	int64_t assigned, struct fl_err *err) FL_MUST_CHECK;
/* Devices have joined a wave: its stages have so many more. */
enum fl_code stage_join(struct store *store, int64_t rollout_id, int64_t wave, int64_t devices,
	struct fl_err *err) FL_MUST_CHECK;
/* Write what the engine changed. due_at (wall clock, 0: nothing) is when it has something due; an
 * earlier one that is stored stays. */
enum fl_code stage_put(struct store *store, const struct engine_stage *s, int64_t due_at,
	struct fl_err *err) FL_MUST_CHECK;
/* A delivery: only the last place and the deadline that comes with it. */
enum fl_code stage_put_delivered(struct store *store, const struct engine_stage *s, int64_t due_at,
	struct fl_err *err) FL_MUST_CHECK;
/* A device of the stage waits for a window that opens at `at_ms`, wall clock. */
enum fl_code stage_put_opens(
	struct store *store, int64_t stage_id, int64_t at_ms, struct fl_err *err) FL_MUST_CHECK;
/* *opened: one has opened at the store's time; it is forgotten then. */
enum fl_code stage_take_opened(
	struct store *store, int64_t stage_id, bool *opened, struct fl_err *err) FL_MUST_CHECK;
/* Set when it has something due, wall clock; 0: nothing. */
enum fl_code stage_put_due(
	struct store *store, int64_t stage_id, int64_t due_at, struct fl_err *err) FL_MUST_CHECK;
/* The wall clock has moved: whatever stage of the rollout has something due later is looked at now. */
enum fl_code stage_look_again(
	struct store *store, int64_t rollout_id, struct fl_err *err) FL_MUST_CHECK;

#endif
