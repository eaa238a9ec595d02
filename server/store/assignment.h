/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of assignments: the devices that a rollout updates, each with its wave and class. Devices with
 * nothing to do have none. */
#ifndef STORE_ASSIGNMENT_H
#define STORE_ASSIGNMENT_H

#include "server/store/store.h"

struct assignment {
	int64_t device_no;
	int64_t wave;
	int64_t class;    /* index into the plan's classes */
	int64_t state_id; /* what the device had when it was planned */
};

/* Called per row. Another code than FL_OK ends the loop. */
typedef enum fl_code (*assignment_fn)(
	void *context, int64_t rollout_id, const struct assignment *a, struct fl_err *err);

/* Add one. FL_CONFLICT if the device has one in this rollout. Write lane. */
enum fl_code assignment_add(struct store *store, int64_t rollout_id, const struct assignment *a,
	struct fl_err *err) FL_MUST_CHECK;
/* Remove up to `limit` of a rollout; *n gets how many there were. Write lane. */
enum fl_code assignment_remove(struct store *store, int64_t rollout_id, int64_t limit, int64_t *n,
	struct fl_err *err) FL_MUST_CHECK;
/* The assignments of every rollout that has started and not ended, but for `except`, by rollout and
 * device. */
enum fl_code assignment_each_active(struct store *store, int64_t except, assignment_fn fn,
	void *context, struct fl_err *err) FL_MUST_CHECK;

#endif
