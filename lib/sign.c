/* SPDX-License-Identifier: Apache-2.0
 *
 * Key files are text: a line that says what it is, then the secret in hex. The public half is
 * computed from the seed, so that the two cannot differ. */
#include "lib/sign.h"

#include "lib/file.h"
#include "lib/json.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define KEY_TITLE    "fleetd ed25519 key\n"
#define SECRET_TITLE "fleetd secret\n"
#define SEED_LEN     32

_Static_assert(crypto_sign_SECRETKEYBYTES == 64, "libsodium's secret key is seed and public key");
_Static_assert(crypto_box_SEALBYTES == FL_SEAL_EXTRA, "sealing adds a key and a tag");

/* ---- public keys */

void fl_public_name(struct fl_public *p)
{
	char text[160], hex[FL_HEX_LEN(FL_PUBLIC_LEN) + 1];
	uint8_t digest[FL_SHA256_LEN];
	int n;

	fl_hex(p->key, sizeof(p->key), hex);
	n = snprintf(text, sizeof(text),
		"{\"keytype\":\"ed25519\",\"keyval\":{\"public\":\"%s\"},\"scheme\":\"ed25519\"}",
		hex);
	FL_BUG_IF(n < 0 || (size_t)n >= sizeof(text));
	fl_sha256(fl_bytes(text, (size_t)n), digest);
	fl_hex(digest, sizeof(digest), p->keyid);
}

struct key_object {
	const char *keytype, *scheme, *public;
	json_t *keyval;
};

enum fl_code fl_public_read(const json_t *object, struct fl_public *out, struct fl_err *err)
{
	static const struct fl_json_field outer[] = {
		FL_FIELD(struct key_object, keytype, "keytype", STRING, .required = true),
		FL_FIELD(struct key_object, scheme, "scheme", STRING, .required = true),
		FL_FIELD(struct key_object, keyval, "keyval", OBJECT, .required = true),
	};
	static const struct fl_json_field inner[] = {
		FL_FIELD(struct key_object, public, "public", STRING, .required = true),
	};
	struct key_object o = { 0 };
	struct fl_public p;
	enum fl_code code = fl_json_read(object, outer, FL_COUNT(outer), FL_JSON_IGNORE, &o, err);

	if (code == FL_OK)
		code = fl_json_read(o.keyval, inner, FL_COUNT(inner), FL_JSON_IGNORE, &o, err);
	if (code != FL_OK)
		return code;
	if (strcmp(o.keytype, "ed25519") != 0 || strcmp(o.scheme, "ed25519") != 0)
		return fl_fail(err, FL_INVALID, "the key is of type %.32s, not ed25519", o.keytype);
	if (!fl_unhex(o.public, p.key, sizeof(p.key)) || !fl_public_valid(p.key))
		return fl_fail(err, FL_INVALID, "\"public\" is no Ed25519 key in lower hex");
	fl_public_name(&p);
	*out = p;
	return FL_OK;
}

json_t *fl_public_json(const struct fl_public *p)
{
	char hex[FL_HEX_LEN(FL_PUBLIC_LEN) + 1];

	fl_hex(p->key, sizeof(p->key), hex);
	return json_pack("{s:s, s:{s:s}, s:s}", "keytype", "ed25519", "keyval", "public", hex,
		"scheme", "ed25519");
}

bool fl_public_valid(const uint8_t key[FL_PUBLIC_LEN])
{
	uint8_t box[crypto_box_PUBLICKEYBYTES];

	return crypto_sign_ed25519_pk_to_curve25519(box, key) == 0;
}

/* ---- pairs */

void fl_sign_key_seed(struct fl_sign_key *k, const uint8_t seed[SEED_LEN])
{
	crypto_sign_seed_keypair(k->public.key, k->secret, seed);
	fl_public_name(&k->public);
}

void fl_sign_key_new(struct fl_sign_key *k)
{
	crypto_sign_keypair(k->public.key, k->secret);
	fl_public_name(&k->public);
}

void fl_sign_key_fini(struct fl_sign_key *k)
{
	fl_wipe(k, sizeof(*k));
}

/* ---- files */

static enum fl_code save(
	const uint8_t secret[SEED_LEN], const char *title, const char *path, struct fl_err *err)
{
	char text[128];
	size_t n = strlen(title);
	enum fl_code code;

	memcpy(text, title, n);
	fl_hex(secret, SEED_LEN, text + n);
	n += FL_HEX_LEN(SEED_LEN);
	text[n++] = '\n';
	code = fl_file_put(path, fl_bytes(text, n), 0600, err);
	fl_wipe(text, sizeof(text));
	return code;
}

static enum fl_code check_mode(const char *path, struct fl_err *err)
{
	struct stat st;

	if (stat(path, &st) != 0 && errno == ENOENT)
		return fl_fail(err, FL_NOT_FOUND, "there is no key file %s", path);
	if (stat(path, &st) != 0)
		return fl_fail_errno(err, errno, "reading the mode of %s", path);
	if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return fl_fail(err, FL_FORBIDDEN,
			"%s can be used by others than its owner; run: chmod 600 %s", path, path);
	return FL_OK;
}

static enum fl_code load(
	uint8_t secret[SEED_LEN], const char *title, const char *path, struct fl_err *err)
{
	struct fl_buf text = { 0 };
	size_t n = strlen(title);
	enum fl_code code = check_mode(path, err);
	char *hex;

	if (code == FL_OK)
		code = fl_file_get(path, 4096, &text, err);
	if (code != FL_OK)
		goto out;
	if (text.n != n + FL_HEX_LEN(SEED_LEN) + 1 || memcmp(text.p, title, n) != 0 ||
		text.p[text.n - 1] != '\n') {
		code = fl_fail(err, FL_CORRUPT, "%s is no key file of fleetd", path);
		goto out;
	}
	hex = (char *)text.p + n;
	hex[FL_HEX_LEN(SEED_LEN)] = '\0';
	if (!fl_unhex(hex, secret, SEED_LEN))
		code = fl_fail(err, FL_CORRUPT, "%s is damaged", path);
out:
	if (text.p != NULL)
		fl_wipe(text.p, text.cap);
	fl_buf_fini(&text);
	return code;
}

enum fl_code fl_sign_key_save(const struct fl_sign_key *k, const char *path, struct fl_err *err)
{
	return save(k->secret, KEY_TITLE, path, err);
}

enum fl_code fl_sign_key_load(struct fl_sign_key *k, const char *path, struct fl_err *err)
{
	uint8_t seed[SEED_LEN];
	enum fl_code code = load(seed, KEY_TITLE, path, err);

	if (code == FL_OK)
		fl_sign_key_seed(k, seed);
	fl_wipe(seed, sizeof(seed));
	return code;
}

enum fl_code fl_secret_save(const uint8_t secret[FL_KEY_LEN], const char *path, struct fl_err *err)
{
	return save(secret, SECRET_TITLE, path, err);
}

enum fl_code fl_secret_load(uint8_t secret[FL_KEY_LEN], const char *path, struct fl_err *err)
{
	return load(secret, SECRET_TITLE, path, err);
}

/* ---- sign, verify, seal */

void fl_sign(const struct fl_sign_key *k, struct fl_bytes message, uint8_t out[FL_SIGNATURE_LEN])
{
	crypto_sign_detached(out, NULL, message.p, message.n, k->secret);
}

enum fl_code fl_verify(const uint8_t key[FL_PUBLIC_LEN], struct fl_bytes message,
	const uint8_t signature[FL_SIGNATURE_LEN], struct fl_err *err)
{
	if (crypto_sign_verify_detached(signature, message.p, message.n, key) != 0)
		return fl_fail(err, FL_SIGNATURE, "the signature does not verify");
	return FL_OK;
}

enum fl_code fl_seal(
	const uint8_t key[FL_PUBLIC_LEN], struct fl_bytes message, uint8_t *out, struct fl_err *err)
{
	uint8_t box[crypto_box_PUBLICKEYBYTES];

	if (crypto_sign_ed25519_pk_to_curve25519(box, key) != 0 ||
		crypto_box_seal(out, message.p, message.n, box) != 0)
		return fl_fail(err, FL_INVALID, "this is no Ed25519 key that can be sealed to");
	return FL_OK;
}

enum fl_code fl_unseal(
	const struct fl_sign_key *k, struct fl_bytes sealed, uint8_t *out, struct fl_err *err)
{
	uint8_t box_public[crypto_box_PUBLICKEYBYTES], box_secret[crypto_box_SECRETKEYBYTES];
	int bad;

	if (sealed.n < FL_SEAL_EXTRA)
		return fl_fail(err, FL_SIGNATURE, "what was sealed is too short");
	bad = crypto_sign_ed25519_pk_to_curve25519(box_public, k->public.key);
	bad |= crypto_sign_ed25519_sk_to_curve25519(box_secret, k->secret);
	if (bad == 0)
		bad = crypto_box_seal_open(out, sealed.p, sealed.n, box_public, box_secret);
	fl_wipe(box_secret, sizeof(box_secret));
	if (bad != 0)
		return fl_fail(err, FL_SIGNATURE, "this was not sealed to the key here");
	return FL_OK;
}
