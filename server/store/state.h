/* SPDX-License-Identifier: Apache-2.0
 *
 * Interned sets of installed versions.
 *
 * DESIGN. A device points to a state; a state is the digest of its sorted "module@version\n" lines,
 * with one row per line. There are few states, so the resolver, the planner and selectors on versions
 * work on them instead of on devices. States are never changed or deleted. A number handed out in
 * the write lane is certain only after COMMIT (a refused request gives it back), so nobody keeps it
 * in memory before. Id 1 is the empty set. */
#ifndef STORE_STATE_H
#define STORE_STATE_H

#include "server/store/store.h"

#define STATE_DIGEST_BYTES 32
#define STATE_EMPTY        1
#define STATE_ENTRIES_MAX  256 /* modules on one device */

/* One installed module. */
struct state_entry {
	const char *module;
	const char *version;
};

/* Called per row, by state and module; the texts end with the call. Another code than FL_OK ends
 * the loop. */
typedef enum fl_code (*state_fn)(
	void *context, int64_t state_id, const struct state_entry *e, struct fl_err *err);
/* A version of a module that some state has. */
typedef enum fl_code (*state_version_fn)(void *context, const char *version, struct fl_err *err);

/* Sort `entries` by module and compute the digest of their lines. FL_INVALID if a module comes twice
 * or there are too many. Pure; any thread. */
enum fl_code state_digest(struct state_entry *entries, size_t n, uint8_t digest[STATE_DIGEST_BYTES],
	struct fl_err *err) FL_MUST_CHECK;
/* The number of the state with this digest, made from `sorted` entries if it is new. Write lane. */
enum fl_code state_intern(struct store *store, const struct state_entry *sorted, size_t n,
	const uint8_t digest[STATE_DIGEST_BYTES], int64_t *id, struct fl_err *err) FL_MUST_CHECK;
/* Digest and intern in one; sorts `entries`. Write lane. */
enum fl_code state_put(struct store *store, struct state_entry *entries, size_t n, int64_t *id,
	struct fl_err *err) FL_MUST_CHECK;
/* The entries of one state, or of all (state_id 0; the empty state has no row). */
enum fl_code state_each(struct store *store, int64_t state_id, state_fn fn, void *context,
	struct fl_err *err) FL_MUST_CHECK;
/* The distinct versions of `module` over all states. */
enum fl_code state_each_version(struct store *store, const char *module, state_version_fn fn,
	void *context, struct fl_err *err) FL_MUST_CHECK;

#endif
