/* SPDX-License-Identifier: Apache-2.0
 *
 * The steps of one device over all rollouts, as a person looks at them. */
#ifndef STORE_DEVICE_STEP_H
#define STORE_DEVICE_STEP_H

#include "server/rollout/model.h"
#include "server/store/store.h"

struct device_step {
	const char *rollout; /* name */
	int64_t layer, wave;
	enum step_state state;
	enum step_cause cause;
	int64_t changed_at;
};

/* Called per row; the texts end with the call. Another code than FL_OK ends the loop. */
typedef enum fl_code (*device_step_fn)(
	void *context, const struct device_step *s, struct fl_err *err);

/* Up to `limit` steps of a device, those of the newest stages first. */
enum fl_code device_step_each(struct store *store, int64_t device_no, int64_t limit,
	device_step_fn fn, void *context, struct fl_err *err) FL_MUST_CHECK;

#endif
