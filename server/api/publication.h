/* SPDX-License-Identifier: Apache-2.0
 *
 * A publication: all that a publisher says about a version, as canonical JSON. Its digest tells
 * whether the same is published again. Made from a request's body or from the store, it is the same
 * object: {"downgrade","floor","module","needs","notes","requires","signature","variants":
 * [{"selector","sha256"}],"version"}. */
#ifndef API_PUBLICATION_H
#define API_PUBLICATION_H

#include "server/http/request.h"
#include "server/store/version.h"

/* Read and check a body of PUT …/versions/{version}: sizes, semver, ranges, selectors; everything but
 * what only the store knows. *out is a new reference, *backport the publisher's word that a lower
 * version is meant. FL_INVALID says which member and what to do. */
enum fl_code publication_read(
	struct request *rq, json_t **out, bool *backport, struct fl_err *err) FL_MUST_CHECK;
/* The publication of a stored version. *out is a new reference. */
enum fl_code publication_load(struct store *store, const struct version *v, json_t **out,
	struct fl_err *err) FL_MUST_CHECK;
/* SHA-256 of the canonical text. */
enum fl_code publication_digest(const json_t *publication, uint8_t out[VERSION_DIGEST_BYTES],
	struct fl_err *err) FL_MUST_CHECK;
/* Append the names of the members in which two publications differ, as "notes, requires". */
void publication_differences(const json_t *a, const json_t *b, struct fl_buf *out);

#endif
