/* SPDX-License-Identifier: Apache-2.0
 *
 * Digests, MACs and the texts that carry bytes: SHA-256, BLAKE2b, SipHash, hex, base64.
 *
 * Everything here is pure and thread-safe once fl_digest_init has run. SHA-256 is libsodium's: fine
 * for metadata; whoever hashes artifacts uses something faster (GnuTLS). */
#ifndef FL_DIGEST_H
#define FL_DIGEST_H

#include "lib/buf.h"

#include <sodium.h>

#define FL_SHA256_LEN 32
#define FL_SHA256_HEX 64 /* characters, without the NUL */
#define FL_BLAKE2_LEN 32
#define FL_KEY_LEN    32 /* of a secret that keys are derived from, and of a session key */
#define FL_MAC_KEY    16
#define FL_MAC_LEN    16
#define FL_MAC_TEXT   22 /* base64url of a MAC */

/* Bytes of text for n bytes, without the NUL. */
#define FL_HEX_LEN(n)    ((n)*2)
#define FL_BASE64_LEN(n) (((n)*4 + 2) / 3) /* URL alphabet, no padding */

/* Start libsodium; every program calls it first. Aborts if the machine has no random source. */
void fl_digest_init(void);

/* SHA-256 of `bytes` at once. */
void fl_sha256(struct fl_bytes bytes, uint8_t out[FL_SHA256_LEN]);

/* SHA-256 piece by piece: init, any number of adds, one end (init again to reuse). */
struct fl_sha256 {
	crypto_hash_sha256_state state;
};
/* Begin, go on, end. `h` is the caller's; nothing is to be freed. */
void fl_sha256_init(struct fl_sha256 *h);
void fl_sha256_add(struct fl_sha256 *h, struct fl_bytes bytes);
void fl_sha256_end(struct fl_sha256 *h, uint8_t out[FL_SHA256_LEN]);

/* BLAKE2b-256 of `bytes`. Several times faster than SHA-256 here. */
void fl_blake2b(struct fl_bytes bytes, uint8_t out[FL_BLAKE2_LEN]);
/* The MAC of short texts: SipHash-2-4 with 128 bits of output, a tenth of the time of any other. */
void fl_mac(const uint8_t key[FL_MAC_KEY], struct fl_bytes text, uint8_t out[FL_MAC_LEN]);
/* Derive a key from a secret: BLAKE2b-256 of the secret followed by `message`. */
void fl_derive(const uint8_t secret[FL_KEY_LEN], struct fl_bytes message, uint8_t out[FL_KEY_LEN]);

/* Whether n bytes are equal, in time that does not depend on where they differ. */
bool fl_equal(const void *a, const void *b, size_t n);
/* Overwrite n bytes; never optimised away. */
void fl_wipe(void *p, size_t n);
/* Fill with random bytes of the operating system's quality. */
void fl_random(void *p, size_t n);

/* Write FL_HEX_LEN(n) lower-case digits and a NUL. */
void fl_hex(const void *p, size_t n, char *out);
/* Read exactly `n` bytes from FL_HEX_LEN(n) lower-case digits and nothing behind them; false and
 * `out` undefined otherwise. Lower case only: one digest has one spelling. */
bool fl_unhex(const char *text, void *out, size_t n);

/* Write FL_BASE64_LEN(n) characters of the URL alphabet without padding and a NUL. Time depends on
 * the length only through its loop, but tables are used: not for long-lived secrets. */
void fl_base64(const void *p, size_t n, char *out);
/* Read exactly `n` bytes from FL_BASE64_LEN(n) characters at `text` (it may go on behind them).
 * Spare bits must be zero: one value has one spelling. False otherwise. */
bool fl_unbase64(const char *text, void *out, size_t n);
/* Read exactly `n` bytes from a whole NUL-terminated base64url text. */
bool fl_unbase64_all(const char *text, void *out, size_t n);
/* Append the usual base64 (RFC 4648 section 4, with padding), the form of HTTP structured fields. */
void fl_base64_std(struct fl_buf *b, const void *p, size_t n);
/* Read exactly `n` bytes from text[0..len) of the usual base64 with padding; false otherwise. */
bool fl_unbase64_std(const char *text, size_t len, void *out, size_t n);

static inline struct fl_bytes fl_bytes(const void *p, size_t n)
{
	return (struct fl_bytes){ .p = (const uint8_t *)p, .n = n };
}

#endif
