/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of approvals: who agreed or disagreed with the plan of a rollout, each once. */
#ifndef STORE_APPROVAL_H
#define STORE_APPROVAL_H

#include "server/store/store.h"

struct approval {
	const char *actor; /* name of a token */
	bool agrees;
	uint8_t digest[32]; /* of the plan */
	const char *why;    /* "" when nothing was said */
	int64_t at;         /* ms; set by the store */
};

/* Called per row; the texts end with the call. Another code than FL_OK ends the loop. */
typedef enum fl_code (*approval_fn)(void *context, const struct approval *a, struct fl_err *err);

/* The approvals of a rollout, oldest first. */
enum fl_code approval_each(struct store *store, int64_t rollout_id, approval_fn fn, void *context,
	struct fl_err *err) FL_MUST_CHECK;
/* How many agree whose tokens have not been revoked since, and what `actor` has said: *said is 1 (agrees), 0 (does not) or -1 (nothing). */
enum fl_code approval_count(struct store *store, int64_t rollout_id, const char *actor,
	int64_t *agree, int *said, struct fl_err *err) FL_MUST_CHECK;
/* Write or replace what a->actor says. Write lane. */
enum fl_code approval_put(struct store *store, int64_t rollout_id, const struct approval *a,
	struct fl_err *err) FL_MUST_CHECK;

#endif
