/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of rollouts. What the engine changes is struct engine_rollout; the rest is written once. */
#ifndef STORE_ROLLOUT_H
#define STORE_ROLLOUT_H

#include "server/rollout/engine.h"
#include "server/store/store.h"

#include "lib/buf.h"

struct rollout {
	struct engine_rollout engine;
	const char *name;
	int64_t release_id;
	const char *release;  /* name */
	const char *selector; /* RSQL; "" is every device */
	const char *strategy; /* JSON */
	int64_t priority;     /* of the strategy */
	bool auto_start;
	int64_t channel_id;  /* the channel that it moves when it is completed … */
	const char *channel; /* … by name; 0 and NULL: none */
	bool joins;          /* devices that are new since its plan may join it */
	bool brings;         /* that channel has made it, to bring devices up to its release */
	int64_t created_at;
	const char *created_by;
	/* of its plan; zero and NULL without one */
	bool planned;
	uint8_t plan_digest[32];
	int64_t layers, waves; /* of its stages */
	int64_t assigned;      /* devices of all waves */
	void *owned;           /* see copy.h */
};

/* Called per row; the texts end with the call. Another code than FL_OK ends the loop. */
typedef enum fl_code (*rollout_fn)(void *context, const struct rollout *r, struct fl_err *err);

/* Free what rollout_get or rollout_by_id filled. Safe twice and on zeroed memory. */
void rollout_fini(struct rollout *r);
/* One rollout by name; FL_NOT_FOUND with a sentence. rollout_fini it. */
enum fl_code rollout_get(struct store *store, const char *name, struct rollout *out,
	struct fl_err *err) FL_MUST_CHECK;
/* The same by number. */
enum fl_code rollout_by_id(
	struct store *store, int64_t id, struct rollout *out, struct fl_err *err) FL_MUST_CHECK;
/* Up to `limit` rollouts with numbers below `before` (0: the newest), newest first. */
enum fl_code rollout_each(struct store *store, int64_t before, int64_t limit, rollout_fn fn,
	void *context, struct fl_err *err) FL_MUST_CHECK;

/* What the engine sees of a rollout. FL_NOT_FOUND with a sentence. */
enum fl_code rollout_engine(struct store *store, int64_t id, struct engine_rollout *out,
	struct fl_err *err) FL_MUST_CHECK;
/* The first rollout above `after` that new devices may join now; 0: there is none. */
enum fl_code rollout_next_joined(
	struct store *store, int64_t after, int64_t *id, struct fl_err *err) FL_MUST_CHECK;
/* The highest number of a rollout; 0: there is none. */
enum fl_code rollout_newest(struct store *store, int64_t *id, struct fl_err *err) FL_MUST_CHECK;
/* The numbers of rollouts that are under way or have a deadline, ascending; at most `max` into `ids`. */
enum fl_code rollout_active(
	struct store *store, int64_t *ids, size_t max, size_t *n, struct fl_err *err) FL_MUST_CHECK;
/* The same of those that have not ended: also what is planned and waits for approval or its start. */
enum fl_code rollout_open(
	struct store *store, int64_t *ids, size_t max, size_t *n, struct fl_err *err) FL_MUST_CHECK;
/* The numbers of rollouts that have started and were not over at `at`, ascending; at most `max`. */
enum fl_code rollout_since(struct store *store, int64_t at, int64_t *ids, size_t max, size_t *n,
	struct fl_err *err) FL_MUST_CHECK;
/* The numbers of all rollouts; *ids is the caller's, free() it. */
enum fl_code rollout_numbers(
	struct store *store, int64_t **ids, size_t *n, struct fl_err *err) FL_MUST_CHECK;
/* Append the JSON of its plan. FL_NOT_FOUND with a sentence when it has none. */
enum fl_code rollout_plan_text(
	struct store *store, int64_t id, struct fl_buf *out, struct fl_err *err) FL_MUST_CHECK;

/* Insert: name, release_id, selector, strategy, priority, auto_start, channel_id, brings, joins, created_by,
 * engine.state. FL_CONFLICT if
 * the name is taken. Write lane, as is what follows. */
enum fl_code rollout_add(struct store *store, const struct rollout *r, int64_t *id,
	struct fl_err *err) FL_MUST_CHECK;
/* Write what the engine changed. */
enum fl_code rollout_put(
	struct store *store, const struct engine_rollout *r, struct fl_err *err) FL_MUST_CHECK;

/* One that is scheduled and whose time has come; 0: there is none. */
enum fl_code rollout_to_start(struct store *store, int64_t *id, struct fl_err *err) FL_MUST_CHECK;

#endif
