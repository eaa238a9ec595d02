/* SPDX-License-Identifier: Apache-2.0
 *
 * The devices' protocol as bytes: vectors computed with PyNaCl and hashlib, tampering, malformed
 * headers, reports. */
#include "lib/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static uint8_t key[FL_KEY_LEN];

static void set_key(void)
{
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
}

static void assert_mac(const struct fl_wire_request *r, const char *want)
{
	uint8_t mac[FL_MAC_LEN];
	char hex[FL_HEX_LEN(FL_MAC_LEN) + 1];

	assert_true(fl_wire_request_mac(key, r, mac));
	fl_hex(mac, sizeof(mac), hex);
	assert_string_equal(hex, want);
}

/* A session id has the published bytes, and its key is derived from them. */
static void test_session(void **state)
{
	struct fl_wire_session s = { .device_no = 42, .epoch = 7, .issued = 100 }, back;
	uint8_t raw[FL_WIRE_SESSION_LEN], derived[FL_KEY_LEN];
	char text[FL_WIRE_SESSION_TEXT + 1], hex[65];

	(void)state;
	fl_wire_session_pack(&s, raw);
	fl_base64(raw, sizeof(raw), text);
	assert_string_equal(text, "KgAAAAAAAAAHAAAAZAAAAA");
	fl_wire_session_unpack(raw, &back);
	assert_memory_equal(&s, &back, sizeof(s));
	fl_wire_session_key(key, raw, derived);
	fl_hex(derived, sizeof(derived), hex);
	assert_string_equal(
		hex, "99bd1a763b7ffa11c8a56a963a1d23f94fc75d716d93c32382508bf03f2e0c89");
}

/* The MAC of a request is the published one: without a body, with one, with a long path;
 * a path beyond the limit has none. */
static void test_request_mac(void **state)
{
	char path[1001] = "/", long_path[FL_WIRE_PATH_MAX + 2];
	struct fl_wire_request too_far = { .method = "GET", .path = long_path };
	uint8_t mac[FL_MAC_LEN];
	struct fl_wire_request poll = {
		.method = "GET", .path = "/device/v1/poll", .nonce = 1763884800000, .manifest = 17
	};
	struct fl_wire_request report = { .method = "POST",
		.path = "/device/v1/report",
		.nonce = 5,
		.body = fl_bytes("{\"a\":1}", 7) };
	struct fl_wire_request far = { .method = "GET", .path = path, .nonce = 5 };

	(void)state;
	memset(path + 1, 'x', 999);
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	assert_mac(&poll, "407305a6c0aa3a995dbd82567137f827");
	assert_mac(&report, "b63f1bc0fbb7f3ded8eda9b769d62c15");
	assert_false(fl_wire_request_mac(key, &too_far, mac));
	assert_mac(&far, "55ee68d72a8267a00fb51edf5d879adb");
}

/* Every part of a request changes its MAC. */
static void test_request_mac_covers(void **state)
{
	const struct fl_wire_request base = { .method = "PUT",
		.path = "/a?b",
		.nonce = 10,
		.manifest = 3,
		.body = fl_bytes("xy", 2) };
	struct fl_wire_request changed[] = { base, base, base, base, base, base };
	uint8_t right[FL_MAC_LEN], mac[FL_MAC_LEN];

	(void)state;
	changed[0].method = "PUt";
	changed[1].path = "/a?c";
	changed[2].nonce = 1;
	changed[3].manifest = 4;
	changed[4].body = fl_bytes("xz", 2);
	changed[5].body = fl_bytes("x", 1);
	assert_true(fl_wire_request_mac(key, &base, right));
	for (size_t i = 0; i < FL_COUNT(changed); i++) {
		assert_true(fl_wire_request_mac(key, &changed[i], mac));
		assert_false(fl_equal(mac, right, sizeof(mac)));
	}
}

/* An Authorization value goes out and comes back; the greatest numbers fit. */
static void test_auth_round(void **state)
{
	struct fl_wire_auth a = { .nonce = UINT64_MAX, .manifest = INT64_MAX }, back;
	char text[FL_WIRE_AUTH_MAX];
	size_t n;

	(void)state;
	fl_random(a.session, sizeof(a.session));
	fl_random(a.mac, sizeof(a.mac));
	n = fl_wire_auth_write(text, &a);
	assert_int_equal(n, strlen(text));
	assert_true(strlen(text) < FL_WIRE_AUTH_MAX);
	memset(&back, 0, sizeof(back));
	assert_true(fl_wire_auth_read(text, &back));
	assert_memory_equal(&a.session, &back.session, sizeof(a.session));
	assert_memory_equal(&a.mac, &back.mac, sizeof(a.mac));
	assert_true(back.nonce == a.nonce && back.manifest == a.manifest);
}

/* A value cut at any place, with bytes behind it or with odd numbers is refused. */
static void test_auth_malformed(void **state)
{
	static const char *const bad[] = {
		"",
		"Fleet",
		"Bearer KgAAAAAAAAAHAAAAZAAAAA.1.2.AAAAAAAAAAAAAAAAAAAAAA",
		"Fleet KgAAAAAAAAAHAAAAZAAAAA.01.2.AAAAAAAAAAAAAAAAAAAAAA",
		"Fleet KgAAAAAAAAAHAAAAZAAAAA.+1.2.AAAAAAAAAAAAAAAAAAAAAA",
		"Fleet KgAAAAAAAAAHAAAAZAAAAA.-1.2.AAAAAAAAAAAAAAAAAAAAAA",
		"Fleet KgAAAAAAAAAHAAAAZAAAAA..2.AAAAAAAAAAAAAAAAAAAAAA",
		"Fleet KgAAAAAAAAAHAAAAZAAAAA.18446744073709551616.2.AAAAAAAAAAAAAAAAAAAAAA",
		"Fleet KgAAAAAAAAAHAAAAZAAAAA.1.9223372036854775808.AAAAAAAAAAAAAAAAAAAAAA",
		"Fleet KgAAAAAAAAAHAAAAZAAAAB.1.2.AAAAAAAAAAAAAAAAAAAAAA",
		"Fleet KgAAAAAAAAAHAAAAZAAAAA.1.2.AAAAAAAAAAAAAAAAAAAAAA ",
	};
	static const char good[] = "Fleet KgAAAAAAAAAHAAAAZAAAAA.1.2.AAAAAAAAAAAAAAAAAAAAAA";
	struct fl_wire_auth a;
	char cut[sizeof(good)];

	(void)state;
	assert_true(fl_wire_auth_read(good, &a));
	for (size_t i = 0; i < FL_COUNT(bad); i++)
		assert_false(fl_wire_auth_read(bad[i], &a));
	for (size_t n = 0; n < sizeof(good) - 1; n++) {
		memcpy(cut, good, n);
		cut[n] = '\0';
		assert_false(fl_wire_auth_read(cut, &a));
	}
}

/* What a device authorizes is what the server computes. */
static void test_authorize(void **state)
{
	struct fl_wire_request r = { .method = "GET", .path = "/p", .nonce = 9, .manifest = 2 };
	uint8_t mac[FL_MAC_LEN];
	char text[FL_WIRE_AUTH_MAX];
	struct fl_wire_auth a;

	(void)state;
	assert_false(fl_wire_authorize(text, "short", key, &r));
	assert_true(fl_wire_authorize(text, "KgAAAAAAAAAHAAAAZAAAAA", key, &r));
	assert_true(fl_wire_auth_read(text, &a));
	assert_true(fl_wire_request_mac(key, &r, mac));
	assert_memory_equal(mac, a.mac, sizeof(mac));
	assert_int_equal(a.nonce, 9);
	assert_int_equal(a.manifest, 2);
}

/* The MAC of an answer is the published one, and the device takes the number out of the header. */
static void test_answer(void **state)
{
	struct fl_wire_answer a = { .status = 204, .nonce = 1763884800000, .manifest = 17 };
	struct fl_wire_answer seen = { .status = 204, .nonce = 1763884800000 };
	char text[FL_WIRE_ANSWER_MAX];

	(void)state;
	assert_int_equal(fl_wire_answer_write(text, key, &a), 25);
	assert_string_equal(text, "17.IKEk3IHJ_0A7qVvBUc1JUw");
	assert_int_equal(fl_wire_answer_check(text, key, &seen, NULL), FL_OK);
	assert_int_equal(seen.manifest, 17);
}

/* A device refuses an answer of another request, status, body or number, and a malformed one. */
static void test_answer_refused(void **state)
{
	static const char good[] = "17.IKEk3IHJ_0A7qVvBUc1JUw";
	struct fl_wire_answer a = { .status = 204, .nonce = 1763884800000, .manifest = 5 };
	struct fl_wire_answer changed[] = { a, a, a };

	(void)state;
	changed[0].status = 200;
	changed[1].nonce++;
	changed[2].body = fl_bytes("x", 1);
	for (size_t i = 0; i < FL_COUNT(changed); i++)
		assert_int_equal(fl_wire_answer_check(good, key, &changed[i], NULL), FL_SIGNATURE);
	assert_int_equal(fl_wire_answer_check(NULL, key, &a, NULL), FL_SIGNATURE);
	assert_int_equal(fl_wire_answer_check("", key, &a, NULL), FL_SIGNATURE);
	assert_int_equal(
		fl_wire_answer_check("18.IKEk3IHJ_0A7qVvBUc1JUw", key, &a, NULL), FL_SIGNATURE);
	assert_int_equal(
		fl_wire_answer_check("17.IKEk3IHJ_0A7qVvBUc1JU", key, &a, NULL), FL_SIGNATURE);
	assert_int_equal(a.manifest, 5);
}

static enum fl_code read_report(const char *text, struct fl_wire_report *r, json_t **body)
{
	*body = json_loads(text, 0, NULL);
	assert_non_null(*body);
	return fl_wire_report_read(*body, r, NULL);
}

/* A progress report is read with its optional fields; unknown keys are passed over. */
static void test_report(void **state)
{
	struct fl_wire_report r;
	json_t *body;

	(void)state;
	assert_int_equal(read_report("{\"step\":\"12\",\"manifest\":3,\"state\":\"downloading\","
				     "\"progress\":40,\"new\":{\"x\":1.5}}",
				 &r, &body),
		FL_OK);
	assert_string_equal(r.step, "12");
	assert_int_equal(r.manifest, 3);
	assert_int_equal(r.state, FL_WIRE_DOWNLOADING);
	assert_int_equal(r.progress, 40);
	assert_int_equal(r.bytes, -1);
	assert_null(r.cause);
	json_decref(body);
}

/* Reports without a state, with an unknown one, out of bounds or unsigned at an end are refused. */
static void test_report_refused(void **state)
{
	static const char *const bad[] = {
		"{}",
		"[]",
		"{\"manifest\":1}",
		"{\"manifest\":1,\"state\":\"queued\"}",
		"{\"manifest\":-1,\"state\":\"waiting\"}",
		"{\"manifest\":1,\"state\":\"waiting\",\"progress\":101}",
		"{\"manifest\":1,\"state\":\"waiting\",\"bytes\":-1}",
		"{\"manifest\":1,\"state\":\"confirmed\"}",
		"{\"manifest\":\"1\",\"state\":\"waiting\"}",
	};
	struct fl_wire_report r;

	(void)state;
	for (size_t i = 0; i < FL_COUNT(bad); i++) {
		json_t *body;

		assert_int_equal(read_report(bad[i], &r, &body), FL_INVALID);
		json_decref(body);
	}
}

/* A signed report verifies; with any member changed, added or removed it does not. */
static void test_report_signed(void **state)
{
	struct fl_sign_key k, other;
	struct fl_wire_report r;
	json_t *body = json_pack("{s:s, s:i, s:s, s:[{s:s, s:s}]}", "step", "12", "manifest", 3,
		"state", "failed", "installed", "module", "app", "version", "1.0.0");
	const char *name;
	json_t *value;
	void *next;

	(void)state;
	fl_sign_key_new(&k);
	fl_sign_key_new(&other);
	assert_int_equal(fl_wire_sign(body, &k, NULL), FL_OK);
	assert_int_equal(fl_wire_report_read(body, &r, NULL), FL_OK);
	assert_int_equal(fl_wire_verify(body, k.public.key, NULL), FL_OK);
	assert_int_equal(fl_wire_verify(body, other.public.key, NULL), FL_SIGNATURE);
	json_object_foreach_safe(body, next, name, value)
	{
		json_t *copy = json_deep_copy(body);

		if (strcmp(name, "signature") != 0) {
			json_object_set_new(copy, name, json_integer(8));
			assert_int_equal(fl_wire_verify(copy, k.public.key, NULL), FL_SIGNATURE);
			json_object_del(copy, name);
			assert_int_equal(fl_wire_verify(copy, k.public.key, NULL), FL_SIGNATURE);
		}
		json_decref(copy);
	}
	json_object_set_new(body, "more", json_true());
	assert_int_equal(fl_wire_verify(body, k.public.key, NULL), FL_SIGNATURE);
	json_decref(body);
}

/* A report is signed as the example of fleet-protocol(7). */
static void test_report_vector(void **state)
{
	static const char body[] =
		"{\"time\":1763884800000,\"step\":\"12\",\"state\":\"confirmed\","
		"\"manifest\":17,\"bytes\":5}";
	json_t *j = json_loads(body, 0, NULL);
	struct fl_sign_key k;
	uint8_t seed[32];

	(void)state;
	assert_true(fl_unhex("9f8362f87a484a954e6e740c5b4c0e84229139a20aa8ab56ff66586f6a7d29c5",
		seed, sizeof(seed)));
	fl_sign_key_seed(&k, seed);
	assert_int_equal(fl_wire_sign(j, &k, NULL), FL_OK);
	assert_string_equal(json_string_value(json_object_get(j, "signature")),
		"-GFbUirNRLl7Nf3B_v130F8Os4nDDeSuZ2SocFdz_"
		"s9dVH8pTnHzyCRN5yVmxsajQqvcU045W6q5nzOeKC9"
		"AAQ");
	json_decref(j);
}

/* Each state's word leads back to it, and only the five ends end a step. */
static void test_states(void **state)
{
	enum fl_wire_state back;
	int ends = 0;

	(void)state;
	for (int i = 0; i < FL_WIRE_STATE_MAX; i++) {
		assert_true(fl_wire_state_parse(fl_wire_state_text((enum fl_wire_state)i), &back));
		assert_int_equal(back, i);
		ends += fl_wire_state_ends((enum fl_wire_state)i);
	}
	assert_int_equal(ends, 5);
	assert_false(fl_wire_state_parse("", &back));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session),
		cmocka_unit_test(test_request_mac),
		cmocka_unit_test(test_request_mac_covers),
		cmocka_unit_test(test_auth_round),
		cmocka_unit_test(test_auth_malformed),
		cmocka_unit_test(test_authorize),
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_answer_refused),
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_report_refused),
		cmocka_unit_test(test_report_signed),
		cmocka_unit_test(test_report_vector),
		cmocka_unit_test(test_states),
	};

	fl_digest_init();
	set_key();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
