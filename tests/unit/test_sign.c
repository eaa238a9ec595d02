/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys: names, files, signatures and sealing, against the test key of RFC 9421. */
#include "lib/sign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/file.h"

static void test_key(struct fl_sign_key *k)
{
	uint8_t seed[32];

	assert_true(fl_unhex("9f8362f87a484a954e6e740c5b4c0e84229139a20aa8ab56ff66586f6a7d29c5",
		seed, sizeof(seed)));
	fl_sign_key_seed(k, seed);
}

/* A seed gives the published public key, and its keyid is that of TUF clients. */
static void test_name(void **state)
{
	struct fl_sign_key k;
	struct fl_public again;
	char hex[65];
	json_t *object;

	(void)state;
	test_key(&k);
	fl_hex(k.public.key, 32, hex);
	assert_string_equal(
		hex, "26b40b8f93fff3d897112f7ebc582b232dbd72517d082fe83cfb30ddce43d1bb");
	assert_string_equal(
		k.public.keyid, "97be79a2068a5b1e88ec38df9333a78006e6e237e087ee01d64a8553ba3ac9dc");
	object = fl_public_json(&k.public);
	assert_int_equal(fl_public_read(object, &again, NULL), FL_OK);
	assert_memory_equal(&again, &k.public, sizeof(again));
	json_decref(object);
}

/* Key objects of another type, or with bytes that are no key, are refused. */
static void test_bad_objects(void **state)
{
	static const char *const bad[] = {
		"{\"keytype\":\"rsa\",\"scheme\":\"ed25519\",\"keyval\":{\"public\":\"00\"}}",
		"{\"keytype\":\"ed25519\",\"scheme\":\"ed25519\",\"keyval\":{\"public\":\"00\"}}",
		/* of small order: anybody can sign for it */
		"{\"keytype\":\"ed25519\",\"scheme\":\"ed25519\",\"keyval\":{\"public\":"
		"\"0000000000000000000000000000000000000000000000000000000000000000\"}}",
		"{\"keytype\":\"ed25519\",\"scheme\":\"ed25519\",\"keyval\":[]}",
		"{\"keytype\":\"ed25519\"}",
		"[]",
	};
	struct fl_public p;

	(void)state;
	for (size_t i = 0; i < FL_COUNT(bad); i++) {
		json_t *j = json_loads(bad[i], 0, NULL);

		assert_non_null(j);
		assert_int_equal(fl_public_read(j, &p, NULL), FL_INVALID);
		json_decref(j);
	}
}

/* A signature verifies; with any bit of message, signature or key changed it does not. */
static void test_signature(void **state)
{
	uint8_t signature[FL_SIGNATURE_LEN], message[] = "the message", key[FL_PUBLIC_LEN];
	struct fl_bytes text = fl_bytes(message, sizeof(message));
	struct fl_sign_key k;

	(void)state;
	test_key(&k);
	memcpy(key, k.public.key, sizeof(key));
	fl_sign(&k, text, signature);
	assert_int_equal(fl_verify(key, text, signature, NULL), FL_OK);
	for (size_t bit = 0; bit < sizeof(signature) * 8; bit++) {
		signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(fl_verify(key, text, signature, NULL), FL_SIGNATURE);
		signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	message[3] ^= 1;
	assert_int_equal(fl_verify(key, text, signature, NULL), FL_SIGNATURE);
	message[3] ^= 1;
	key[0] ^= 1;
	assert_int_equal(fl_verify(key, text, signature, NULL), FL_SIGNATURE);
}

/* Only the owner of the key opens what was sealed to it, and only whole. */
static void test_seal(void **state)
{
	uint8_t secret[32] = "thirty-two bytes of a secret key", out[32];
	uint8_t sealed[32 + FL_SEAL_EXTRA];
	struct fl_sign_key k, other;

	(void)state;
	test_key(&k);
	fl_sign_key_new(&other);
	assert_int_equal(fl_seal(k.public.key, fl_bytes(secret, 32), sealed, NULL), FL_OK);
	assert_int_equal(fl_unseal(&k, fl_bytes(sealed, sizeof(sealed)), out, NULL), FL_OK);
	assert_memory_equal(out, secret, 32);
	assert_int_equal(
		fl_unseal(&other, fl_bytes(sealed, sizeof(sealed)), out, NULL), FL_SIGNATURE);
	assert_int_equal(fl_unseal(&k, fl_bytes(sealed, 47), out, NULL), FL_SIGNATURE);
	sealed[40] ^= 1;
	assert_int_equal(fl_unseal(&k, fl_bytes(sealed, sizeof(sealed)), out, NULL), FL_SIGNATURE);
}

/* A key file is for its owner alone, comes back the same, and is refused when others may read it
 * or when it is damaged. */
static void test_files(void **state)
{
	char dir[] = "/tmp/test_sign-XXXXXX", path[64];
	struct fl_sign_key k, back;
	uint8_t secret[FL_KEY_LEN] = { 7 }, secret_back[FL_KEY_LEN];
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_true(snprintf(path, sizeof(path), "%s/a.key", dir) > 0);
	test_key(&k);
	assert_int_equal(fl_sign_key_load(&back, path, NULL), FL_NOT_FOUND);
	assert_int_equal(fl_sign_key_save(&k, path, NULL), FL_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(fl_sign_key_load(&back, path, NULL), FL_OK);
	assert_memory_equal(&back, &k, sizeof(k));
	assert_int_equal(fl_secret_load(secret_back, path, NULL), FL_CORRUPT);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(fl_sign_key_load(&back, path, NULL), FL_FORBIDDEN);
	assert_int_equal(fl_secret_save(secret, path, NULL), FL_OK);
	assert_int_equal(fl_secret_load(secret_back, path, NULL), FL_OK);
	assert_memory_equal(secret, secret_back, sizeof(secret));
	assert_int_equal(fl_sign_key_load(&back, path, NULL), FL_CORRUPT);
	assert_int_equal(
		fl_file_put(path, fl_bytes("fleetd ed25519 key\nabc\n", 23), 0600, NULL), FL_OK);
	assert_int_equal(fl_sign_key_load(&back, path, NULL), FL_CORRUPT);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_bad_objects),
		cmocka_unit_test(test_signature),
		cmocka_unit_test(test_seal),
		cmocka_unit_test(test_files),
	};

	fl_digest_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
