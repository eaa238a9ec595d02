/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of strata: outcomes of a rollout by hardware, region or gateway, and which of them are held. */
#ifndef STORE_STRATUM_H
#define STORE_STRATUM_H

#include "server/rollout/stratum.h"
#include "server/store/store.h"

#include "lib/buf.h"

/* The value of a field ("attribute.hw", "label.region", "gateway") of a device, as text in `out`; empty:
 * it has none. */
enum fl_code stratum_value(struct store *store, int64_t device_no, const char *field,
	struct fl_buf *out, struct fl_err *err) FL_MUST_CHECK;

struct stratum {
	const char *field, *value;
	struct stratum_count count;
	const char *why;              /* it is, or was, held */
	int64_t held_at, released_at; /* 0: not */
};

/* One; FL_NOT_FOUND (err untouched). Strings end with the next call, so only the numbers are given. */
enum fl_code stratum_get(struct store *store, int64_t rollout_id, const char *field,
	const char *value, struct stratum_count *count, bool *held,
	struct fl_err *err) FL_MUST_CHECK;
/* All of a field together, and how many there are. */
enum fl_code stratum_sum(struct store *store, int64_t rollout_id, const char *field,
	struct stratum_count *all, int64_t *strata, struct fl_err *err) FL_MUST_CHECK;
/* Those of a rollout by field and value; strings end with the call. */
typedef enum fl_code (*stratum_fn)(void *context, const struct stratum *s, struct fl_err *err);
enum fl_code stratum_each(struct store *store, int64_t rollout_id, stratum_fn fn, void *context,
	struct fl_err *err) FL_MUST_CHECK;

/* Count an outcome. Write lane, as is what follows. */
enum fl_code stratum_add(struct store *store, int64_t rollout_id, const char *field,
	const char *value, bool success, struct fl_err *err) FL_MUST_CHECK;
/* Hold one, with a reason. */
enum fl_code stratum_hold(struct store *store, int64_t rollout_id, const char *field,
	const char *value, const char *why, struct fl_err *err) FL_MUST_CHECK;
/* Release one; *changed: it was held. */
enum fl_code stratum_release(struct store *store, int64_t rollout_id, const char *field,
	const char *value, bool *changed, struct fl_err *err) FL_MUST_CHECK;

#endif
