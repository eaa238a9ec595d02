/* SPDX-License-Identifier: Apache-2.0
 *
 * Assignments: the devices that a rollout updates, each with its wave and class. Devices with nothing to
 * do have none.
 *
 * DESIGN. They are written once, in the order of waves and numbers, and then only read; a million of them
 * must be durable in a moment. So a row holds up to ASSIGNMENT_CHUNK devices of one wave, ascending, as
 * records of twelve bytes; the ranges of two rows of a wave never overlap. */
#ifndef STORE_ASSIGNMENT_H
#define STORE_ASSIGNMENT_H

#include "server/store/store.h"

#define ASSIGNMENT_CHUNK 1024

struct assignment {
	int64_t device_no;
	int64_t wave;
	int64_t class;    /* index into the plan's classes */
	int64_t state_id; /* what the device had when it was planned */
};

/* Called per device. Another code than FL_OK ends the loop. */
typedef enum fl_code (*assignment_fn)(
	void *context, int64_t rollout_id, const struct assignment *a, struct fl_err *err);

/* Add n (1 .. ASSIGNMENT_CHUNK) devices of one wave, by number, all above those that the wave has.
 * FL_CONFLICT if the first is there. Write lane. */
enum fl_code assignment_add(struct store *store, int64_t rollout_id, const struct assignment *a,
	size_t n, struct fl_err *err) FL_MUST_CHECK;
/* A device joins: its number is above all of the plan. FL_CONFLICT if it has joined before. Write lane. */
enum fl_code assignment_join(struct store *store, int64_t rollout_id, const struct assignment *a,
	struct fl_err *err) FL_MUST_CHECK;
/* How many have joined. */
enum fl_code assignment_joined(
	struct store *store, int64_t rollout_id, int64_t *n, struct fl_err *err) FL_MUST_CHECK;
/* Remove up to `limit` rows of a rollout; *n gets how many there were. Write lane. */
enum fl_code assignment_remove(struct store *store, int64_t rollout_id, int64_t limit, int64_t *n,
	struct fl_err *err) FL_MUST_CHECK;

/* The assignment of one device. FL_NOT_FOUND (err untouched). */
enum fl_code assignment_find(struct store *store, int64_t rollout_id, int64_t device_no,
	struct assignment *out, struct fl_err *err) FL_MUST_CHECK;
/* Up to `max` devices of a wave with numbers above `after`, by number. */
enum fl_code assignment_slice(struct store *store, int64_t rollout_id,
	const struct assignment *after, struct assignment *out, size_t max, size_t *n,
	struct fl_err *err) FL_MUST_CHECK;
/* All of a rollout, by wave and number. */
enum fl_code assignment_each(struct store *store, int64_t rollout_id, assignment_fn fn,
	void *context, struct fl_err *err) FL_MUST_CHECK;
/* Those of every rollout that has started and not ended, but for `except`, by rollout, wave and number. */
enum fl_code assignment_each_active(struct store *store, int64_t except, assignment_fn fn,
	void *context, struct fl_err *err) FL_MUST_CHECK;

/* Whether a device that has another state now than it was planned with has drifted. */
struct assignment_watch {
	enum fl_code (*moved)(void *context, const struct assignment *planned, int64_t state_id,
		bool *drifted, struct fl_err *err);
	void *context;
};
/* How much of a rollout's devices is no longer what it was when it was planned: has drifted, or is
 * retired. Zeroed: nothing looked at yet. */
struct assignment_drift {
	int64_t wave, first_no; /* of the row that was looked at last */
	int64_t drifted, of;    /* devices */
	bool whole;             /* all were looked at */
};
/* Look at some tens of thousands more: a read of that length holds up nobody. */
enum fl_code assignment_drift_more(struct store *store, int64_t rollout_id,
	const struct assignment_watch *watch, struct assignment_drift *d,
	struct fl_err *err) FL_MUST_CHECK;

/* The part that a device has in another rollout that is under way. */
struct assignment_rival {
	int64_t rollout_id, started_at;
	int wave, class;
};
#define ASSIGNMENT_RIVALS_MAX 64
struct assignment_rivals {
	struct assignment_rival of[ASSIGNMENT_RIVALS_MAX];
	size_t n;
};
/* Those of a device in rollouts that have started and not ended, but `except`. */
enum fl_code assignment_rivals(struct store *store, int64_t device_no, int64_t except,
	struct assignment_rivals *out, struct fl_err *err) FL_MUST_CHECK;

#endif
