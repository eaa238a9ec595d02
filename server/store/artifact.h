/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of artifacts: content-addressed bytes. The bytes are blobs.h's; a row says that they are
 * there, whole and verified. */
#ifndef STORE_ARTIFACT_H
#define STORE_ARTIFACT_H

#include "server/store/store.h"

#define ARTIFACT_SHA256_BYTES 32

struct artifact {
	int64_t id;
	uint8_t sha256[ARTIFACT_SHA256_BYTES];
	int64_t size; /* bytes */
	int64_t created_at;
};

/* One version that uses an artifact; the texts end with the call. */
typedef enum fl_code (*artifact_use_fn)(
	void *context, const char *module, const char *version, struct fl_err *err);
/* Called per row. Another code than FL_OK ends the loop. */
typedef enum fl_code (*artifact_fn)(void *context, const struct artifact *a, struct fl_err *err);

/* One artifact by digest (32 bytes); FL_NOT_FOUND with a sentence. */
enum fl_code artifact_find(struct store *store, const uint8_t *sha256, struct artifact *out,
	struct fl_err *err) FL_MUST_CHECK;
/* One artifact by its number; FL_NOT_FOUND. */
enum fl_code artifact_get(
	struct store *store, int64_t id, struct artifact *out, struct fl_err *err) FL_MUST_CHECK;
/* Make the row unless it is there; *added says which. FL_CONFLICT if it is there with another size
 * (the caller lied or the disk did). Write lane, after the blob is durable. */
enum fl_code artifact_put(struct store *store, const uint8_t *sha256, int64_t size, bool *added,
	struct artifact *out, struct fl_err *err) FL_MUST_CHECK;
/* All versions that use it, by module and version. */
enum fl_code artifact_each_use(struct store *store, int64_t id, artifact_use_fn fn, void *context,
	struct fl_err *err) FL_MUST_CHECK;
/* All artifacts by number (fleetd --verify compares them with the files). */
enum fl_code artifact_each(
	struct store *store, artifact_fn fn, void *context, struct fl_err *err) FL_MUST_CHECK;

#endif
