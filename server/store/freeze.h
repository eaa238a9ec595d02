/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of freezes: devices to which nothing is delivered from a time on until another, or until the freeze
 * is lifted; or again and again between the two. A lifted one keeps its row.
 *
 * DESIGN. When a freeze holds is said by its spans alone. One that recurs has those that were and the next
 * one (freezes.h makes them ahead), so that whoever asks needs no calendar. */
#ifndef STORE_FREEZE_H
#define STORE_FREEZE_H

#include "server/store/store.h"

/* What the audit trail says of a span. */
enum freeze_told { FREEZE_UNTOLD, FREEZE_BEGUN, FREEZE_OVER };

struct freeze_span {
	int64_t from_ms;
	int64_t until_ms; /* above from_ms; 0: until it is lifted */
	enum freeze_told told;
};

struct freeze {
	int64_t id;
	const char *name;
	const char *selector; /* RSQL; "" is every device */
	const char *why;
	int64_t from_ms;   /* it holds nothing before */
	int64_t until_ms;  /* above from_ms; 0: until it is lifted */
	const char *every; /* rules as opening_rules_json writes them; "": it holds all the time */
	const char *zone;  /* whose clock the rules mean */
	int64_t lifted_ms; /* 0: it was not */
	int64_t created_at;
	const char *created_by;
	struct freeze_span span; /* the one that is asked for; zeroed: there is none */
	void *owned;             /* see copy.h */
};

/* Called per row; the texts end with the call. Another code than FL_OK ends the loop. */
typedef enum fl_code (*freeze_fn)(void *context, const struct freeze *f, struct fl_err *err);

/* Free what freeze_get filled. Safe twice and on zeroed memory. */
void freeze_fini(struct freeze *f);
/* By name, lifted ones too, with the span that holds or comes next; FL_NOT_FOUND with a sentence.
 * freeze_fini it. */
enum fl_code freeze_get(struct store *store, const char *name, struct freeze *out,
	struct fl_err *err) FL_MUST_CHECK;
/* How many of its spans have begun at the store's time. */
enum fl_code freeze_count_begun(
	struct store *store, int64_t id, int64_t *n, struct fl_err *err) FL_MUST_CHECK;
/* Those with ids above `after`, by id, with the same span. */
enum fl_code freeze_each(struct store *store, int64_t after, int64_t limit, freeze_fn fn,
	void *context, struct fl_err *err) FL_MUST_CHECK;
/* Spans that hold at the store's time, by id of the freeze. */
enum fl_code freeze_each_active(
	struct store *store, freeze_fn fn, void *context, struct fl_err *err) FL_MUST_CHECK;
/* Spans that have held at any time since a moment, by id of the freeze, then time; also those that are over,
 * never those that come. */
enum fl_code freeze_each_since(struct store *store, int64_t since_ms, freeze_fn fn, void *context,
	struct fl_err *err) FL_MUST_CHECK;
/* The first span that has begun or ended at the store's time and is not told so; FL_NOT_FOUND (err
 * untouched): none. freeze_fini it. */
enum fl_code freeze_turned(
	struct store *store, struct freeze *out, struct fl_err *err) FL_MUST_CHECK;
/* A freeze whose next span is to be made at the store's time, with the last one that was made. Else as
 * freeze_turned. */
enum fl_code freeze_due(struct store *store, struct freeze *out, struct fl_err *err) FL_MUST_CHECK;

/* Make it, or make it be as `f` says, but for its spans; *id gets its number. Write lane, as is what
 * follows. */
enum fl_code freeze_put(
	struct store *store, const struct freeze *f, int64_t *id, struct fl_err *err) FL_MUST_CHECK;
/* Lift it now: the span that holds ends, what would come is forgotten. */
enum fl_code freeze_lift(struct store *store, int64_t id, struct fl_err *err) FL_MUST_CHECK;
/* The same with its spans alone: neither is told any more. */
enum fl_code freeze_cut(struct store *store, int64_t id, struct fl_err *err) FL_MUST_CHECK;
/* Forget all spans that begin at `from_ms` or later. */
enum fl_code freeze_forget(
	struct store *store, int64_t id, int64_t from_ms, struct fl_err *err) FL_MUST_CHECK;
/* Add a span; one that begins then already only gets its end. */
enum fl_code freeze_add_span(struct store *store, int64_t id, const struct freeze_span *span,
	struct fl_err *err) FL_MUST_CHECK;
/* f->span was told to be `told`. */
enum fl_code freeze_tell(struct store *store, const struct freeze *f, enum freeze_told told,
	struct fl_err *err) FL_MUST_CHECK;
/* Say when its next span is to be made; 0: there is none to come. Spans that ended longer ago than anybody
 * looks back go. */
enum fl_code freeze_put_due(
	struct store *store, int64_t id, int64_t at_ms, struct fl_err *err) FL_MUST_CHECK;

#endif
