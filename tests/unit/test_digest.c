/* SPDX-License-Identifier: Apache-2.0
 *
 * Digests, MACs and their texts agree with published vectors. */
#include "lib/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* SHA-256 gives the digest of FIPS 180-2's example, at once and in pieces. */
static void test_sha256(void **state)
{
	static const char want[] =
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
	uint8_t digest[FL_SHA256_LEN];
	char hex[FL_SHA256_HEX + 1];
	struct fl_sha256 h;

	(void)state;
	fl_sha256(fl_bytes("abc", 3), digest);
	fl_hex(digest, sizeof(digest), hex);
	assert_string_equal(hex, want);
	fl_sha256_init(&h);
	fl_sha256_add(&h, fl_bytes("a", 1));
	fl_sha256_add(&h, fl_bytes("bc", 2));
	fl_sha256_end(&h, digest);
	fl_hex(digest, sizeof(digest), hex);
	assert_string_equal(hex, want);
}

/* The MAC is SipHash-2-4 with 128 bits: the vectors of its authors, lengths 0 and 15. */
static void test_mac(void **state)
{
	uint8_t key[FL_MAC_KEY], mac[FL_MAC_LEN], other[FL_MAC_LEN];
	char hex[FL_HEX_LEN(FL_MAC_LEN) + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	fl_mac(key, fl_bytes(key, 0), mac);
	fl_hex(mac, sizeof(mac), hex);
	assert_string_equal(hex, "a3817f04ba25a8e66df67214c7550293");
	fl_mac(key, fl_bytes(key, 15), mac);
	fl_hex(mac, sizeof(mac), hex);
	assert_string_equal(hex, "5493e99933b0a8117e08ec0f97cfc3d9");
	memcpy(other, mac, sizeof(mac));
	assert_true(fl_equal(mac, other, sizeof(mac)));
	other[15] ^= 1;
	assert_false(fl_equal(mac, other, sizeof(mac)));
}

/* BLAKE2b-256 and the derivation of keys agree with Python's hashlib. */
static void test_blake2b(void **state)
{
	uint8_t digest[FL_BLAKE2_LEN], secret[FL_KEY_LEN], whole[FL_KEY_LEN + 3], again[FL_KEY_LEN];
	char hex[FL_HEX_LEN(FL_BLAKE2_LEN) + 1];

	(void)state;
	fl_blake2b(fl_bytes("abc", 3), digest);
	fl_hex(digest, sizeof(digest), hex);
	assert_string_equal(
		hex, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
	memset(secret, 7, sizeof(secret));
	memcpy(whole, secret, sizeof(secret));
	memcpy(whole + sizeof(secret), "abc", 3);
	fl_blake2b(fl_bytes(whole, sizeof(whole)), digest);
	fl_derive(secret, fl_bytes("abc", 3), again);
	assert_memory_equal(digest, again, sizeof(again));
}

/* Hex is read in lower case only, at its exact length only. */
static void test_hex(void **state)
{
	uint8_t raw[2];
	char text[5];

	(void)state;
	assert_true(fl_unhex("0aff", raw, 2));
	assert_int_equal(raw[0], 0x0a);
	assert_int_equal(raw[1], 0xff);
	fl_hex(raw, 2, text);
	assert_string_equal(text, "0aff");
	assert_false(fl_unhex("0aFF", raw, 2));
	assert_false(fl_unhex("0aff0", raw, 2));
	assert_false(fl_unhex("0af", raw, 2));
	assert_false(fl_unhex("", raw, 2));
	assert_false(fl_unhex("0ag0", raw, 2));
}

/* Base64url of every length goes out and comes back the same (libsodium agrees). */
static void test_base64_round(void **state)
{
	uint8_t raw[64], back[64];
	char text[FL_BASE64_LEN(64) + 1], theirs[FL_BASE64_LEN(64) + 1];

	(void)state;
	for (size_t n = 0; n <= sizeof(raw); n++) {
		fl_random(raw, n);
		fl_base64(raw, n, text);
		sodium_bin2base64(
			theirs, sizeof(theirs), raw, n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
		assert_string_equal(text, theirs);
		assert_int_equal(strlen(text), FL_BASE64_LEN(n));
		assert_true(fl_unbase64_all(text, back, n));
		assert_memory_equal(raw, back, n);
	}
}

/* A text has one spelling: spare bits, padding, other alphabets and lengths are refused. */
static void test_base64_strict(void **state)
{
	uint8_t raw[3];

	(void)state;
	assert_true(fl_unbase64_all("AA", raw, 1));
	assert_false(fl_unbase64_all("AB", raw, 1));
	assert_false(fl_unbase64_all("AA==", raw, 1));
	assert_false(fl_unbase64_all("A", raw, 1));
	assert_false(fl_unbase64_all("+/+/", raw, 3));
	assert_true(fl_unbase64_all("-_-_", raw, 3));
	assert_false(fl_unbase64_all("A\xc3\xa9"
				     "A",
		raw, 3));
	assert_true(fl_unbase64("AAAA.more", raw, 3));
	assert_false(fl_unbase64("AAA", raw, 3));
}

/* The padded form is that of RFC 4648 and is read at its exact length only. */
static void test_base64_std(void **state)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };
	uint8_t raw[4];

	(void)state;
	fl_base64_std(&b, "foob", 4);
	assert_string_equal((char *)b.p, "Zm9vYg==");
	assert_true(fl_unbase64_std("Zm9vYg==", 8, raw, 4));
	assert_memory_equal(raw, "foob", 4);
	assert_false(fl_unbase64_std("Zm9vYg", 6, raw, 4));
	assert_false(fl_unbase64_std("Zm9vYg==", 8, raw, 5));
	assert_false(fl_unbase64_std("Zm9vYh==", 8, raw, 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sha256),
		cmocka_unit_test(test_mac),
		cmocka_unit_test(test_blake2b),
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_base64_round),
		cmocka_unit_test(test_base64_strict),
		cmocka_unit_test(test_base64_std),
	};

	fl_digest_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
