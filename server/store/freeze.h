/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of freezes: devices to which nothing is delivered from a time on until another, or until the freeze
 * is lifted. A lifted one keeps its row. */
#ifndef STORE_FREEZE_H
#define STORE_FREEZE_H

#include "server/store/store.h"

struct freeze {
	int64_t id;
	const char *name;
	const char *selector; /* RSQL; "" is every device */
	const char *why;
	int64_t from_ms;   /* it holds nothing before */
	int64_t until_ms;  /* above from_ms; 0: until it is lifted */
	int64_t lifted_ms; /* 0: it was not */
	int64_t created_at;
	const char *created_by;
	void *owned; /* see copy.h */
};

/* Called per row; the texts end with the call. Another code than FL_OK ends the loop. */
typedef enum fl_code (*freeze_fn)(void *context, const struct freeze *f, struct fl_err *err);

/* Free what freeze_get filled. Safe twice and on zeroed memory. */
void freeze_fini(struct freeze *f);
/* By name, lifted ones too; FL_NOT_FOUND with a sentence. freeze_fini it. */
enum fl_code freeze_get(struct store *store, const char *name, struct freeze *out,
	struct fl_err *err) FL_MUST_CHECK;
/* Those with ids above `after`, by id. */
enum fl_code freeze_each(struct store *store, int64_t after, int64_t limit, freeze_fn fn,
	void *context, struct fl_err *err) FL_MUST_CHECK;
/* Those that hold at the store's time, by id. */
enum fl_code freeze_each_active(
	struct store *store, freeze_fn fn, void *context, struct fl_err *err) FL_MUST_CHECK;
/* Those that have held at any time since a moment, by id; also those that are over, never those that are
 * planned. */
enum fl_code freeze_each_since(struct store *store, int64_t since_ms, freeze_fn fn, void *context,
	struct fl_err *err) FL_MUST_CHECK;
/* Whether one begins or ends by itself after a moment, and not later than the store's time. */
enum fl_code freeze_turned(
	struct store *store, int64_t after_ms, bool *turned, struct fl_err *err) FL_MUST_CHECK;
/* Make it, or make it hold again as `f` says. Write lane, as is what follows. */
enum fl_code freeze_put(
	struct store *store, const struct freeze *f, struct fl_err *err) FL_MUST_CHECK;
/* Lift it now. */
enum fl_code freeze_lift(struct store *store, int64_t id, struct fl_err *err) FL_MUST_CHECK;

#endif
