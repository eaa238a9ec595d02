/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP message signatures (RFC 9421, Ed25519) and content digests (RFC 9530), the subset that
 * fleetd speaks: one signature a message, components without parameters.
 *
 * DESIGN. Nobody rebuilds the parameters: the text behind "sig1=" goes into the signature base as it
 * came, so that what was read and what was signed cannot differ. */
#ifndef FL_HTTPSIG_H
#define FL_HTTPSIG_H

#include "lib/sign.h"

#define FL_HTTPSIG_COMPONENTS_MAX 16
#define FL_HTTPSIG_NAME_MAX       64
#define FL_HTTPSIG_PARAM_MAX      256
#define FL_HTTPSIG_HEADER_MAX     2048

/* A signature as it stands in a message. Plain data. */
struct fl_httpsig {
	char label[FL_HTTPSIG_NAME_MAX + 1];
	char component[FL_HTTPSIG_COMPONENTS_MAX][FL_HTTPSIG_NAME_MAX + 1]; /* in order */
	size_t n_components;
	int64_t created;                      /* seconds since 1970; -1: absent */
	int64_t expires;                      /* likewise */
	char keyid[FL_HTTPSIG_PARAM_MAX + 1]; /* "": absent, also below */
	char alg[FL_HTTPSIG_PARAM_MAX + 1];
	char nonce[FL_HTTPSIG_PARAM_MAX + 1];
	char tag[FL_HTTPSIG_PARAM_MAX + 1];
	char params[FL_HTTPSIG_HEADER_MAX + 1]; /* the inner list with its parameters, as it came */
	uint8_t signature[FL_SIGNATURE_LEN];
};

/* The value of a component ("@method", "content-digest"): trimmed, borrowed; NULL if the message
 * has none. */
typedef const char *(*fl_httpsig_value_fn)(void *ctx, const char *component);

/* Read the two headers. FL_INVALID says what is wrong or beyond the subset. */
enum fl_code fl_httpsig_read(const char *signature_input, const char *signature,
	struct fl_httpsig *out, struct fl_err *err) FL_MUST_CHECK;
/* Whether `component` is covered. */
bool fl_httpsig_covers(const struct fl_httpsig *s, const char *component);
/* Append the signature base. FL_INVALID if a covered component is not in the message. */
enum fl_code fl_httpsig_base(struct fl_buf *out, const struct fl_httpsig *s,
	fl_httpsig_value_fn value, void *ctx, struct fl_err *err) FL_MUST_CHECK;
/* Build the base and verify. FL_SIGNATURE, FL_INVALID, FL_NOMEM. Windows of time and replay are the
 * caller's. */
enum fl_code fl_httpsig_verify(const struct fl_httpsig *s, const uint8_t key[FL_PUBLIC_LEN],
	fl_httpsig_value_fn value, void *ctx, struct fl_err *err) FL_MUST_CHECK;
/* Sign: `s` says label, components, created, keyid, nonce (label "" means "sig1"; created and expires
 * -1, empty texts: left out; alg becomes "ed25519") and gets params and signature. FL_INVALID. */
enum fl_code fl_httpsig_sign(struct fl_httpsig *s, const struct fl_sign_key *key,
	fl_httpsig_value_fn value, void *ctx, struct fl_err *err) FL_MUST_CHECK;
/* Append the values of the headers Signature-Input and Signature of a signed `s`. */
void fl_httpsig_write(
	const struct fl_httpsig *s, struct fl_buf *signature_input, struct fl_buf *signature);

/* Append "sha-256=:…:", the value of Content-Digest or Repr-Digest for `bytes`. */
void fl_content_digest(struct fl_buf *out, struct fl_bytes bytes);
/* The same from a digest that is known. */
void fl_content_digest_of(struct fl_buf *out, const uint8_t sha256[FL_SHA256_LEN]);
/* Whether a Content-Digest header holds the right sha-256 of `bytes` (members of other algorithms
 * are passed over). FL_INVALID: no sha-256 in it or bad syntax; FL_CORRUPT: another digest. */
enum fl_code fl_content_digest_check(
	const char *header, struct fl_bytes bytes, struct fl_err *err) FL_MUST_CHECK;

#endif
