/* SPDX-License-Identifier: Apache-2.0
 *
 * Ed25519 keys: make, keep in files, sign, verify, seal to.
 *
 * A key's name (keyid) is TUF's: lower hex of the SHA-256 of the canonical JSON of the key object
 * {"keytype":"ed25519","keyval":{"public":HEX},"scheme":"ed25519"}. Thread-safe. */
#ifndef FL_SIGN_H
#define FL_SIGN_H

#include "lib/digest.h"

#include <jansson.h>

#define FL_PUBLIC_LEN    32
#define FL_SIGNATURE_LEN 64
#define FL_KEYID_LEN     FL_SHA256_HEX
#define FL_SEAL_EXTRA    48 /* bytes that sealing adds */

/* A public key with its name. */
struct fl_public {
	uint8_t key[FL_PUBLIC_LEN];
	char keyid[FL_KEYID_LEN + 1];
};

/* A key pair. Secret: wiped by fl_sign_key_fini, never copied by assignment, never logged. */
struct fl_sign_key {
	struct fl_public public;
	uint8_t secret[64]; /* libsodium's form: seed and public key */
};

/* Name a public key: fills keyid from key. */
void fl_public_name(struct fl_public *p);
/* Read the TUF key object; only ed25519. The keyid is computed. FL_INVALID. */
enum fl_code fl_public_read(
	const json_t *object, struct fl_public *out, struct fl_err *err) FL_MUST_CHECK;
/* The TUF key object as a new reference; NULL without memory. */
json_t *fl_public_json(const struct fl_public *p);
/* Whether 32 bytes are a key that can verify and be sealed to (on the curve, in the main subgroup). */
bool fl_public_valid(const uint8_t key[FL_PUBLIC_LEN]);

/* Make a new random pair, or the one of a seed. */
void fl_sign_key_new(struct fl_sign_key *k);
void fl_sign_key_seed(struct fl_sign_key *k, const uint8_t seed[32]);
/* Wipe. Safe twice and on zeroed memory. */
void fl_sign_key_fini(struct fl_sign_key *k);
/* Write the pair to `path`, mode 0600, durably, replacing. */
enum fl_code fl_sign_key_save(
	const struct fl_sign_key *k, const char *path, struct fl_err *err) FL_MUST_CHECK;
/* Read a pair. FL_NOT_FOUND; FL_FORBIDDEN if others than its owner may read it; FL_CORRUPT if it is
 * no key file or its halves differ. */
enum fl_code fl_sign_key_load(
	struct fl_sign_key *k, const char *path, struct fl_err *err) FL_MUST_CHECK;

/* Write or read 32 secret bytes (a MAC secret) with the same care. */
enum fl_code fl_secret_save(
	const uint8_t secret[FL_KEY_LEN], const char *path, struct fl_err *err) FL_MUST_CHECK;
enum fl_code fl_secret_load(
	uint8_t secret[FL_KEY_LEN], const char *path, struct fl_err *err) FL_MUST_CHECK;

/* Pure Ed25519 over `message`. */
void fl_sign(const struct fl_sign_key *k, struct fl_bytes message, uint8_t out[FL_SIGNATURE_LEN]);
/* FL_OK or FL_SIGNATURE. */
enum fl_code fl_verify(const uint8_t key[FL_PUBLIC_LEN], struct fl_bytes message,
	const uint8_t signature[FL_SIGNATURE_LEN], struct fl_err *err) FL_MUST_CHECK;

/* Seal `message` to the owner of an Ed25519 key (crypto_box_seal to its X25519 form); `out` takes
 * message.n + FL_SEAL_EXTRA bytes. FL_INVALID if the key is none. */
enum fl_code fl_seal(const uint8_t key[FL_PUBLIC_LEN], struct fl_bytes message, uint8_t *out,
	struct fl_err *err) FL_MUST_CHECK;
/* Open what was sealed to `k`; `out` takes sealed.n - FL_SEAL_EXTRA bytes. FL_SIGNATURE. */
enum fl_code fl_unseal(const struct fl_sign_key *k, struct fl_bytes sealed, uint8_t *out,
	struct fl_err *err) FL_MUST_CHECK;

#endif
