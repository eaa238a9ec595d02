/* SPDX-License-Identifier: Apache-2.0
 *
 * The one signed envelope, TUF's: {"signed":…,"signatures":[{"keyid","sig"}]}. Signatures are pure
 * Ed25519 over the canonical JSON of "signed". And the root role, which says whose signatures count.
 *
 * A verified envelope gives its "signed" value; nobody reads it before. */
#ifndef FL_ENVELOPE_H
#define FL_ENVELOPE_H

#include "lib/json.h"
#include "lib/sign.h"

#define FL_ENVELOPE_MAX   (512 * 1024) /* bytes of an envelope that is read at all */
#define FL_ROLE_KEYS_MAX  16
#define FL_SIGNATURES_MAX 32

/* Who may sign something, and how many must. Plain data. */
struct fl_role {
	struct fl_public keys[FL_ROLE_KEYS_MAX];
	size_t n;
	int64_t threshold; /* >= 1 */
};

/* Append the envelope of `content` signed by each of keys[0..n). `content` is borrowed. FL_INVALID
 * if it holds real numbers; FL_NOMEM. */
enum fl_code fl_envelope_seal(struct fl_buf *out, const json_t *content,
	const struct fl_sign_key *const *keys, size_t n, struct fl_err *err) FL_MUST_CHECK;

/* Parse `text` and verify it against `role`; *content is a new reference to "signed".
 * FL_SIGNATURE if fewer than the threshold of different keys signed, or a keyid comes twice;
 * FL_INVALID, FL_TOO_LARGE, FL_NOMEM. */
enum fl_code fl_envelope_open(struct fl_bytes text, const struct fl_role *role, json_t **content,
	struct fl_err *err) FL_MUST_CHECK;

/* What a device needs of a TUF root. Manifests of devices are signed by a role of fleetd's own, in
 * the member "x-fleetd-manifest" of the root ({"keyids","threshold"}), since stock clients allow the
 * four roles only. */
struct fl_root {
	struct fl_role root;
	struct fl_role manifest;
	int64_t version;
	int64_t expires_ms;
	bool quick_start; /* "x-fleetd-quick-start": made by the server itself, to be replaced */
};

/* What a new root shall say. Keys are borrowed. */
struct fl_root_spec {
	const struct fl_public *root, *targets, *snapshot, *timestamp, *manifest;
	int64_t version;
	int64_t expires_ms;
	bool quick_start;
};

/* The "signed" part of a root; a new reference. FL_NOMEM. */
enum fl_code fl_root_json(
	const struct fl_root_spec *spec, json_t **out, struct fl_err *err) FL_MUST_CHECK;
/* Trust a first root (from the factory or the enrolment): it must be signed by its own root role. */
enum fl_code fl_root_first(
	struct fl_bytes text, struct fl_root *out, struct fl_err *err) FL_MUST_CHECK;
/* Replace a trusted root by the next: version + 1, signed by the old root role and by its own.
 * `root` is untouched on failure. */
enum fl_code fl_root_next(
	struct fl_root *root, struct fl_bytes text, struct fl_err *err) FL_MUST_CHECK;

/* "YYYY-MM-DDTHH:MM:SSZ" <-> ms since 1970; the time form of TUF. */
void fl_utc_write(int64_t ms, char out[21]);
enum fl_code fl_utc_read(const char *text, int64_t *ms, struct fl_err *err) FL_MUST_CHECK;

#endif
