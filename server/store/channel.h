/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of channels, and what rollouts that a channel has made have come to. */
#ifndef STORE_CHANNEL_H
#define STORE_CHANNEL_H

#include "server/store/store.h"

enum channel_state { CHANNEL_ON, CHANNEL_PAUSED, CHANNEL_HALTED, CHANNEL_STATE_MAX };
/* "on", "paused", "halted"; static. */
const char *channel_state_text(enum channel_state s);

struct channel {
	int64_t id;
	const char *name;
	const char *selector; /* RSQL; "" is every device */
	int64_t release_id;   /* 0: none yet */
	const char *release;  /* its name; NULL: none yet */
	int64_t previous_release_id;
	int64_t max_in_flight;
	int64_t error_ppm, error_minimum;
	int64_t retries;
	enum channel_state state;
	const char *reason;
	int64_t made;
	int64_t since_rollout;
	const char *look; /* JSON */
	int64_t looked_at;
	int64_t created_at;
	const char *created_by;
	void *owned; /* see copy.h */
};

/* Called per row; the texts end with the call. Another code than FL_OK ends the loop. */
typedef enum fl_code (*channel_fn)(void *context, const struct channel *c, struct fl_err *err);

/* Free what channel_get or channel_by_id filled. Safe twice and on zeroed memory. */
void channel_fini(struct channel *c);
/* One channel; FL_NOT_FOUND with a sentence. channel_fini it. */
enum fl_code channel_get(struct store *store, const char *name, struct channel *out,
	struct fl_err *err) FL_MUST_CHECK;
enum fl_code channel_by_id(
	struct store *store, int64_t id, struct channel *out, struct fl_err *err) FL_MUST_CHECK;
/* Up to `limit` with numbers above `after`, by number. */
enum fl_code channel_each(struct store *store, int64_t after, int64_t limit, channel_fn fn,
	void *context, struct fl_err *err) FL_MUST_CHECK;

/* What the rollouts that channel `c` made for its release have come to, those it was forgiven left out. */
enum fl_code channel_tally(struct store *store, const struct channel *c, int64_t *confirmed,
	int64_t *failed, struct fl_err *err) FL_MUST_CHECK;
/* Call fn with each device that failed in more than c->retries of them. */
typedef enum fl_code (*channel_device_fn)(void *context, int64_t device_no, struct fl_err *err);
enum fl_code channel_each_given_up(struct store *store, const struct channel *c,
	channel_device_fn fn, void *context, struct fl_err *err) FL_MUST_CHECK;
/* Call fn with the number of each of its rollouts that has not ended, and the text of a gate that has
 * failed in it ("": none). A rollout that a failed gate has stopped is there until it is forgiven. */
typedef enum fl_code (*channel_rollout_fn)(
	void *context, int64_t rollout_id, const char *failed_gate, struct fl_err *err);
enum fl_code channel_each_rollout(struct store *store, const struct channel *c,
	channel_rollout_fn fn, void *context, struct fl_err *err) FL_MUST_CHECK;

/* Insert: name, selector, release_id, limits, created_by. FL_CONFLICT if the name is taken. Write lane,
 * as is what follows. */
enum fl_code channel_add(struct store *store, const struct channel *c, int64_t *id,
	struct fl_err *err) FL_MUST_CHECK;
/* Write all that may change. */
enum fl_code channel_put(
	struct store *store, const struct channel *c, struct fl_err *err) FL_MUST_CHECK;
/* Delete it; its rollouts stay. */
enum fl_code channel_delete(struct store *store, int64_t id, struct fl_err *err) FL_MUST_CHECK;

#endif
