/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of releases: named sets of module versions. */
#ifndef STORE_RELEASE_H
#define STORE_RELEASE_H

#include "server/store/store.h"

#define RELEASE_DIGEST_BYTES 32

struct release {
	int64_t id;
	const char *name;
	const char *notes;
	uint8_t digest
		[RELEASE_DIGEST_BYTES]; /* SHA-256 of the canonical JSON of entries and notes */
	int64_t created_at;
	const char *created_by;
	void *owned; /* see copy.h */
};

struct release_entry {
	int64_t release_id;
	int64_t module_id;
	int64_t version_id; /* 0 with action absent */
	const char *module;
	const char *version; /* NULL with action absent */
	const char *action;  /* update, install, absent */
};

/* Called per row; the texts end with the call. Another code than FL_OK ends the loop. */
typedef enum fl_code (*release_fn)(void *context, const struct release *r, struct fl_err *err);
typedef enum fl_code (*release_entry_fn)(
	void *context, const struct release_entry *e, struct fl_err *err);

/* Free what release_get or release_by_id filled. Safe twice and on zeroed memory. */
void release_fini(struct release *r);
/* One release by name; FL_NOT_FOUND with a sentence. release_fini it. */
enum fl_code release_get(struct store *store, const char *name, struct release *out,
	struct fl_err *err) FL_MUST_CHECK;
/* The same by number. */
enum fl_code release_by_id(
	struct store *store, int64_t id, struct release *out, struct fl_err *err) FL_MUST_CHECK;
/* Up to `limit` releases with numbers above `after`, in order of creation. */
enum fl_code release_each(struct store *store, int64_t after, int64_t limit, release_fn fn,
	void *context, struct fl_err *err) FL_MUST_CHECK;
/* Its entries by module name. */
enum fl_code release_each_entry(struct store *store, int64_t release_id, release_entry_fn fn,
	void *context, struct fl_err *err) FL_MUST_CHECK;
/* Insert (id, created_at ignored). FL_CONFLICT if the name is taken. Write lane. */
enum fl_code release_add(struct store *store, const struct release *r, int64_t *id,
	struct fl_err *err) FL_MUST_CHECK;
/* Add an entry (its texts but `action` are ignored). Write lane. */
enum fl_code release_add_entry(
	struct store *store, const struct release_entry *e, struct fl_err *err) FL_MUST_CHECK;

#endif
