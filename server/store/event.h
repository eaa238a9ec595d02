/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of the audit trail. Who writes events calls events_write (events.h), never this. */
#ifndef STORE_EVENT_H
#define STORE_EVENT_H

#include "server/store/store.h"

#define EVENT_HASH_BYTES 32

struct event {
	int64_t seq;
	int64_t at; /* ms */
	const char *actor;
	const char *kind; /* a text of tbl/events.h */
	const char *subject;
	const char *data; /* canonical JSON object */
	uint8_t hash[EVENT_HASH_BYTES];
};

/* Called per row; the texts end with the call. Another code than FL_OK ends the loop. */
typedef enum fl_code (*event_fn)(void *context, const struct event *e, struct fl_err *err);

/* The newest event's number and hash; 0 and zeroes when there is none. */
enum fl_code event_head(struct store *store, int64_t *seq, uint8_t hash[EVENT_HASH_BYTES],
	struct fl_err *err) FL_MUST_CHECK;
/* Append; e->seq must follow the head. Write lane. */
enum fl_code event_add(
	struct store *store, const struct event *e, struct fl_err *err) FL_MUST_CHECK;
/* Up to `limit` events with numbers above `after`, in order; limit < 0: all. */
enum fl_code event_each(struct store *store, int64_t after, int64_t limit, event_fn fn,
	void *context, struct fl_err *err) FL_MUST_CHECK;

/* A way through the trail. */
struct event_walk {
	int64_t from;        /* events above this number; newest: below it, 0 from the head on */
	bool newest;         /* the newest first */
	const char *subject; /* only these; NULL: all */
	int64_t limit;       /* rows */
	const bool *enough;  /* the walk ends when this becomes true; NULL: never */
};
/* Walk as `w` says. */
enum fl_code event_walk(struct store *store, const struct event_walk *w, event_fn fn, void *context,
	struct fl_err *err) FL_MUST_CHECK;

/* Where the trail was cut: the last line that was pruned. */
struct event_checkpoint {
	int64_t seq; /* 0: it was never cut */
	uint8_t hash[EVENT_HASH_BYTES];
	const char *envelope; /* the same, signed */
	void *owned;
};
/* The newest one. FL_NOT_FOUND (err untouched) when the trail was never cut. */
enum fl_code event_checkpoint(
	struct store *store, struct event_checkpoint *out, struct fl_err *err) FL_MUST_CHECK;
/* Free what event_checkpoint gave. Safe twice. */
void event_checkpoint_fini(struct event_checkpoint *c);
/* Delete every line up to and including c->seq and keep `c`. Write lane; called by events_prune. */
enum fl_code event_prune(
	struct store *store, const struct event_checkpoint *c, struct fl_err *err) FL_MUST_CHECK;

#endif
