/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of answers that a repeated request (Idempotency-Key) gets again. */
#ifndef STORE_IDEMPOTENCY_H
#define STORE_IDEMPOTENCY_H

#include "lib/buf.h"
#include "server/store/store.h"

#define IDEMPOTENCY_DIGEST_BYTES 32
#define IDEMPOTENCY_KEY_MAX      255
#define IDEMPOTENCY_LIFE_MS      (24LL * 3600 * 1000)

struct idempotency {
	int64_t token_id;
	const char *key;
	uint8_t request[IDEMPOTENCY_DIGEST_BYTES]; /* of method, path and body */
	int status;
};

/* The answer kept for (token, key) that is younger than IDEMPOTENCY_LIFE_MS: *out without `key`, the
 * body appended to `response`. FL_NOT_FOUND (err untouched) when there is none. */
enum fl_code idempotency_get(struct store *store, int64_t token_id, const char *key,
	struct idempotency *out, struct fl_buf *response, struct fl_err *err) FL_MUST_CHECK;
/* Keep an answer, replacing an outlived one; drops a few outlived ones. Write lane. */
enum fl_code idempotency_put(struct store *store, const struct idempotency *i, const char *response,
	struct fl_err *err) FL_MUST_CHECK;

#endif
