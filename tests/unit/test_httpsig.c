/* SPDX-License-Identifier: Apache-2.0
 *
 * Message signatures against RFC 9421 appendix B.2.6 and content digests against RFC 9530. */
#include "lib/httpsig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char params[] = "(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" "
			     "\"content-length\");created=1618884473;keyid=\"test-key-ed25519\"";
static const char signature[] = "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1"
				"u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:";

struct message {
	const char *name, *value;
};

/* The message of appendix B.2. */
static const struct message example[] = {
	{ "date", "Tue, 20 Apr 2021 02:07:55 GMT" },
	{ "@method", "POST" },
	{ "@path", "/foo" },
	{ "@authority", "example.com" },
	{ "content-type", "application/json" },
	{ "content-length", "18" },
	{ NULL, NULL },
};

static const char *value_of(void *ctx, const char *component)
{
	for (const struct message *m = ctx; m->name != NULL; m++) {
		if (strcmp(m->name, component) == 0)
			return m->value;
	}
	return NULL;
}

static void test_key(struct fl_sign_key *k)
{
	uint8_t seed[32];

	assert_true(fl_unhex("9f8362f87a484a954e6e740c5b4c0e84229139a20aa8ab56ff66586f6a7d29c5",
		seed, sizeof(seed)));
	fl_sign_key_seed(k, seed);
}

static void read_example(struct fl_httpsig *s)
{
	char input[512];

	assert_true(snprintf(input, sizeof(input), "sig-b26=%s", params) < (int)sizeof(input));
	assert_int_equal(fl_httpsig_read(input, signature, s, NULL), FL_OK);
}

/* The published message has the published base, and its signature verifies. */
static void test_vector(void **state)
{
	FL_AUTO_BUF struct fl_buf base = { 0 };
	struct message message[FL_COUNT(example)];
	struct fl_httpsig s;
	struct fl_sign_key k;

	(void)state;
	memcpy(message, example, sizeof(message));
	test_key(&k);
	read_example(&s);
	assert_int_equal(s.n_components, 6);
	assert_int_equal(s.created, 1618884473);
	assert_int_equal(s.expires, -1);
	assert_string_equal(s.keyid, "test-key-ed25519");
	assert_string_equal(s.params, params);
	assert_int_equal(fl_httpsig_base(&base, &s, value_of, message, NULL), FL_OK);
	assert_int_equal(base.n, 284);
	assert_int_equal(fl_httpsig_verify(&s, k.public.key, value_of, message, NULL), FL_OK);
}

/* With any covered value changed or missing it does not verify. */
static void test_tampered(void **state)
{
	struct message message[FL_COUNT(example)];
	struct fl_httpsig s;
	struct fl_sign_key k;

	(void)state;
	test_key(&k);
	read_example(&s);
	for (size_t i = 0; i + 1 < FL_COUNT(example); i++) {
		memcpy(message, example, sizeof(message));
		message[i].value = "other";
		assert_int_equal(
			fl_httpsig_verify(&s, k.public.key, value_of, message, NULL), FL_SIGNATURE);
		message[i].value = NULL;
		assert_int_equal(
			fl_httpsig_verify(&s, k.public.key, value_of, message, NULL), FL_INVALID);
		message[i].value = "a\n\"@path\": /bar";
		assert_int_equal(
			fl_httpsig_verify(&s, k.public.key, value_of, message, NULL), FL_INVALID);
	}
}

/* What is signed here verifies here, and with another method it does not. */
static void test_sign(void **state)
{
	FL_AUTO_BUF struct fl_buf input = { 0 }, text = { 0 };
	struct message message[FL_COUNT(example)];
	struct fl_httpsig s;
	struct fl_sign_key k;

	(void)state;
	memcpy(message, example, sizeof(message));
	test_key(&k);
	read_example(&s);
	memset(s.signature, 0, sizeof(s.signature));
	assert_int_equal(fl_httpsig_sign(&s, &k, value_of, message, NULL), FL_OK);
	fl_httpsig_write(&s, &input, &text);
	assert_non_null(strstr((char *)input.p, ";keyid=\"test-key-ed25519\";alg=\"ed25519\""));
	assert_int_equal(fl_httpsig_read((char *)input.p, (char *)text.p, &s, NULL), FL_OK);
	assert_int_equal(fl_httpsig_verify(&s, k.public.key, value_of, message, NULL), FL_OK);
	message[1].value = "PUT";
	assert_int_equal(
		fl_httpsig_verify(&s, k.public.key, value_of, message, NULL), FL_SIGNATURE);
}

/* Quotes and backslashes in parameters come back as they were. */
static void test_escapes(void **state)
{
	FL_AUTO_BUF struct fl_buf input = { 0 }, text = { 0 };
	struct fl_httpsig s = {
		.created = -1, .expires = 9, .n_components = 1, .nonce = "a\"b\\c"
	};
	struct message message[] = { { "@method", "GET" }, { NULL, NULL } };
	struct fl_httpsig back;
	struct fl_sign_key k;

	(void)state;
	test_key(&k);
	memcpy(s.component[0], "@method", sizeof("@method"));
	assert_int_equal(fl_httpsig_sign(&s, &k, value_of, message, NULL), FL_OK);
	fl_httpsig_write(&s, &input, &text);
	assert_int_equal(fl_httpsig_read((char *)input.p, (char *)text.p, &back, NULL), FL_OK);
	assert_string_equal(back.nonce, "a\"b\\c");
	assert_int_equal(back.created, -1);
	assert_int_equal(back.expires, 9);
}

/* Headers beyond the subset or malformed are refused, never half read. */
static void test_malformed(void **state)
{
	static const char *const bad[] = {
		"",
		"sig1",
		"sig1=",
		"sig1=(",
		"sig1=(\"@method\"",
		"sig1=(\"@method\";req);created=1",
		"sig1=(\"@method\" \"@method\")",
		"sig1=(\"@method\"\"@path\")",
		"sig1=(@method)",
		"sig1=(\"\")",
		"sig1=(\"@method\");created=",
		"sig1=(\"@method\");created=-1",
		"sig1=(\"@method\");created=1;created=2",
		"sig1=(\"@method\");created=1234567890123456",
		"sig1=(\"@method\");unknown=1",
		"sig1=(\"@method\");keyid=\"a",
		"sig1=(\"@method\");keyid=\"a\\x\"",
		"sig1=(\"@method\");alg=\"rsa-v1_5-sha256\"",
		"sig1=(\"@method\"), sig2=(\"@path\")",
		"Sig1=(\"@method\")",
		"sig2=(\"@method\")",
	};
	static const char sig1[] = "sig1=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1"
				   "u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:";
	struct fl_httpsig s;

	(void)state;
	assert_int_equal(fl_httpsig_read("sig1=(\"@method\")", sig1, &s, NULL), FL_OK);
	assert_int_equal(fl_httpsig_read("sig1=()", sig1, &s, NULL), FL_OK);
	for (size_t i = 0; i < FL_COUNT(bad); i++)
		assert_int_equal(fl_httpsig_read(bad[i], sig1, &s, NULL), FL_INVALID);
	assert_int_equal(fl_httpsig_read("sig1=()", "sig1=:AAAA:", &s, NULL), FL_INVALID);
	assert_int_equal(fl_httpsig_read("sig1=()", "sig1=AAAA", &s, NULL), FL_INVALID);
	assert_int_equal(fl_httpsig_read("sig1=()", "", &s, NULL), FL_INVALID);
}

/* More components than there is room for, and over-long names, are refused. */
static void test_bounds(void **state)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };
	struct fl_httpsig s;

	(void)state;
	fl_buf_str(&b, "sig1=(");
	for (int i = 0; i <= FL_HTTPSIG_COMPONENTS_MAX; i++)
		fl_buf_printf(&b, " \"h%d\"", i);
	fl_buf_str(&b, ")");
	assert_int_equal(fl_httpsig_read((char *)b.p, signature, &s, NULL), FL_INVALID);
	fl_buf_reset(&b);
	fl_buf_str(&b, "sig1=(\"");
	for (int i = 0; i <= FL_HTTPSIG_NAME_MAX; i++)
		fl_buf_byte(&b, 'a');
	fl_buf_str(&b, "\")");
	assert_int_equal(fl_httpsig_read((char *)b.p, signature, &s, NULL), FL_INVALID);
	fl_buf_reset(&b);
	fl_buf_str(&b, "sig1=()");
	for (int i = 0; i <= FL_HTTPSIG_HEADER_MAX; i++)
		fl_buf_byte(&b, ' ');
	assert_int_equal(fl_httpsig_read((char *)b.p, signature, &s, NULL), FL_INVALID);
}

/* A content digest is the published one; another body, or none of sha-256, is refused. */
static void test_content_digest(void **state)
{
	static const char want[] = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
	static const char body[] = "{\"hello\": \"world\"}";
	struct fl_bytes bytes = fl_bytes(body, sizeof(body) - 1);
	FL_AUTO_BUF struct fl_buf b = { 0 };
	char both[160];

	(void)state;
	fl_content_digest(&b, bytes);
	assert_string_equal((char *)b.p, want);
	assert_int_equal(fl_content_digest_check(want, bytes, NULL), FL_OK);
	assert_int_equal(fl_content_digest_check(want, fl_bytes(body, 3), NULL), FL_CORRUPT);
	assert_true(snprintf(both, sizeof(both), "sha-512=:AAAA:, %s", want) > 0);
	assert_int_equal(fl_content_digest_check(both, bytes, NULL), FL_OK);
	assert_int_equal(fl_content_digest_check("sha-512=:AAAA:", bytes, NULL), FL_INVALID);
	assert_int_equal(fl_content_digest_check("", bytes, NULL), FL_INVALID);
	assert_true(snprintf(both, sizeof(both), "%s, %s", want, want) > 0);
	assert_int_equal(fl_content_digest_check(both, bytes, NULL), FL_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vector),
		cmocka_unit_test(test_tampered),
		cmocka_unit_test(test_sign),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_content_digest),
	};

	fl_digest_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
