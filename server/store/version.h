/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of versions with their variants, requirements and needs.
 *
 * The loops of one noun may be nested in those of another (version_each around
 * version_each_variant), never in themselves. */
#ifndef STORE_VERSION_H
#define STORE_VERSION_H

#include "server/store/store.h"

#define VERSION_DIGEST_BYTES 32

struct version {
	int64_t id;
	int64_t module_id;
	const char *module;  /* name */
	const char *version; /* semver text as published */
	bool downgrade;      /* false: no way back below this one */
	bool floor;          /* must be passed through */
	int64_t blocked_at;  /* ms; 0: not blocked */
	const char *blocked_why;
	const char *notes;
	uint8_t digest[VERSION_DIGEST_BYTES]; /* of the canonical publication */
	const char *signature;                /* the publisher's envelope, JSON; NULL: none */
	int64_t created_at;
	const char *created_by;
	void *owned; /* see copy.h */
};

struct variant {
	int64_t version_id;
	int64_t ordinal;       /* the first whose selector matches is taken */
	const char *selector;  /* RSQL over attributes; NULL: every device */
	int64_t artifact_id;   /* 0: declared without bytes */
	const uint8_t *sha256; /* 32 bytes; NULL without bytes */
	int64_t size;
};

/* A requirement (module + range) or a need (attribute + range) of a version. */
struct version_demand {
	int64_t version_id;
	const char *name;  /* module or attribute */
	const char *range; /* semver range; of needs also ">=N" or a word */
};

/* Called per row; texts end with the call. Another code than FL_OK ends the loop. */
typedef enum fl_code (*version_fn)(void *context, const struct version *v, struct fl_err *err);
typedef enum fl_code (*variant_fn)(void *context, const struct variant *v, struct fl_err *err);
typedef enum fl_code (*demand_fn)(
	void *context, const struct version_demand *d, struct fl_err *err);

/* Free what version_get or version_by_id filled. Safe twice and on zeroed memory. */
void version_fini(struct version *v);
/* One version by names; FL_NOT_FOUND with a sentence. version_fini it. */
enum fl_code version_get(struct store *store, const char *module, const char *version,
	struct version *out, struct fl_err *err) FL_MUST_CHECK;
/* The same by number. */
enum fl_code version_by_id(
	struct store *store, int64_t id, struct version *out, struct fl_err *err) FL_MUST_CHECK;
/* All versions of a module in order of publication; module_id 0: of all modules. */
enum fl_code version_each(struct store *store, int64_t module_id, version_fn fn, void *context,
	struct fl_err *err) FL_MUST_CHECK;
/* The variants of a version in their order; version_id 0: of all, by version. */
enum fl_code version_each_variant(struct store *store, int64_t version_id, variant_fn fn,
	void *context, struct fl_err *err) FL_MUST_CHECK;
/* What a version requires of other modules; version_id 0: of all, by version. */
enum fl_code version_each_requirement(struct store *store, int64_t version_id, demand_fn fn,
	void *context, struct fl_err *err) FL_MUST_CHECK;
/* The same by names; nothing for a version that was never published. */
enum fl_code version_each_required(struct store *store, const char *module, const char *version,
	demand_fn fn, void *context, struct fl_err *err) FL_MUST_CHECK;
/* What the devices behind a gateway, as they are now, require of it: version_id is 0, each demand comes
 * once. What a device has itself is not asked of its gateway. */
enum fl_code version_each_required_behind(struct store *store, int64_t gateway_no, demand_fn fn,
	void *context, struct fl_err *err) FL_MUST_CHECK;
/* What a version needs of the device; version_id 0: of all, by version. */
enum fl_code version_each_need(struct store *store, int64_t version_id, demand_fn fn, void *context,
	struct fl_err *err) FL_MUST_CHECK;

/* Insert the row (id, module, blocked_*, created_at ignored). FL_CONFLICT if it is there. Write
 * lane, as are those that follow. */
enum fl_code version_add(struct store *store, const struct version *v, int64_t *id,
	struct fl_err *err) FL_MUST_CHECK;
/* Add a variant (sha256 and size are ignored: artifact_id says it). */
enum fl_code version_add_variant(
	struct store *store, const struct variant *v, struct fl_err *err) FL_MUST_CHECK;
enum fl_code version_add_requirement(
	struct store *store, const struct version_demand *d, struct fl_err *err) FL_MUST_CHECK;
enum fl_code version_add_need(
	struct store *store, const struct version_demand *d, struct fl_err *err) FL_MUST_CHECK;
/* Block (why is a sentence) or unblock (why NULL). */
enum fl_code version_block(
	struct store *store, int64_t id, const char *why, struct fl_err *err) FL_MUST_CHECK;

#endif
