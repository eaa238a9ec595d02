/* SPDX-License-Identifier: Apache-2.0
 *
 * Deltas in the store: what is ready, what is known not to pay. Derived: may be dropped. */
#ifndef STORE_DELTA_H
#define STORE_DELTA_H

#include "lib/delta/codec.h"
#include "server/store/store.h"

/* useless: not smaller than the full artifact compressed; failed: over its limits, or a defect;
 * tried again after DELTA_RETRY_MS. */
enum delta_state { DELTA_READY, DELTA_USELESS, DELTA_FAILED, DELTA_STATE_MAX };

#define DELTA_RETRY_MS (60LL * 60 * 1000)

/* "ready", "useless", "failed". Static. */
const char *delta_state_name(enum delta_state state);

struct delta {
	int64_t id;
	int64_t from; /* artifact key; 0: none, `to` is compressed by itself */
	int64_t to;
	char codec[FL_CODEC_NAME_MAX];
	int level; /* on the codec's scale */
	enum delta_state state;
	uint8_t sha256[32]; /* of the delta's own bytes; when ready */
	int64_t size;       /* likewise; for a useless one: what it would have been */
	int64_t memory;     /* heap that decoding takes at most; bytes */
	int64_t built_ms;   /* time that the build took */
	int64_t used_at, uses, created_at;
	/* read along with it */
	uint8_t from_sha256[32], to_sha256[32];
	int64_t from_size, to_size;
};

/* Whether a row spares a build at `now_ms`: all but failures that may be tried again. */
bool delta_is_settled(const struct delta *d, int64_t now_ms);

/* Write or replace the row of (from, to, codec, level); d->id gets its key. created_at and used_at are the
 * store's clock. Write lane. */
enum fl_code delta_put(struct store *s, struct delta *d, struct fl_err *err) FL_MUST_CHECK;
/* The row like `key`: its from, to, codec and level. FL_NOT_FOUND without touching err. `out` may be
 * `key`. */
enum fl_code delta_find(struct store *s, const struct delta *key, struct delta *out,
	struct fl_err *err) FL_MUST_CHECK;
/* Up to DELTA_PAIR_MAX rows of (from, to), smallest first, ready ones before others; *n gets how
 * many. */
#define DELTA_PAIR_MAX 32
enum fl_code delta_of_pair(struct store *s, int64_t from, int64_t to,
	struct delta out[DELTA_PAIR_MAX], size_t *n, struct fl_err *err) FL_MUST_CHECK;
/* Up to `max` ready deltas to `to` from any artifact, smallest first: second halves of chains. */
enum fl_code delta_towards(struct store *s, int64_t to, struct delta *out, size_t max, size_t *n,
	struct fl_err *err) FL_MUST_CHECK;
/* Add `uses` to a delta and set used_at to now; one that is gone is fine. Write lane. */
enum fl_code delta_used(
	struct store *s, int64_t id, int64_t uses, struct fl_err *err) FL_MUST_CHECK;
/* Delete the row; *unwanted: no artifact and no other delta has its bytes. FL_NOT_FOUND. Write lane. */
enum fl_code delta_delete(
	struct store *s, int64_t id, bool *unwanted, struct fl_err *err) FL_MUST_CHECK;
/* Up to `max` ready ones, least recently used first; *n gets how many. */
enum fl_code delta_coldest(struct store *s, struct delta *out, size_t max, size_t *n,
	struct fl_err *err) FL_MUST_CHECK;
/* Up to `max` rows with id > after, in order of id; *n gets how many. */
enum fl_code delta_page(struct store *s, int64_t after, struct delta *out, size_t max, size_t *n,
	struct fl_err *err) FL_MUST_CHECK;

struct delta_summary {
	int64_t ready, useless, failed;
	int64_t bytes; /* of the ready ones */
	int64_t uses;
	int64_t saved; /* full sizes minus delta sizes, over all uses */
};
/* Sums over all deltas. */
enum fl_code delta_summarise(
	struct store *s, struct delta_summary *out, struct fl_err *err) FL_MUST_CHECK;

/* The same for one codec. */
struct delta_codec_sums {
	char codec[FL_CODEC_NAME_MAX];
	int level;
	struct delta_summary sums;
	int64_t built_ms; /* of all builds */
};
/* Sums by codec and level, up to `max`; *n gets how many. */
enum fl_code delta_by_codec(struct store *s, struct delta_codec_sums *out, size_t max, size_t *n,
	struct fl_err *err) FL_MUST_CHECK;

/* Whether an artifact or a ready delta has these bytes. */
enum fl_code delta_wanted(
	struct store *s, const uint8_t sha256[32], bool *wanted, struct fl_err *err) FL_MUST_CHECK;

#endif
