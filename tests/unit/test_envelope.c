/* SPDX-License-Identifier: Apache-2.0
 *
 * The envelope and the root: the vector that TUF clients verify, thresholds, rotation, tampering. */
#include "lib/envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define AA8  "aaaaaaaa"
#define AA64 AA8 AA8 AA8 AA8 AA8 AA8 AA8 AA8

static const char vector[] =
	"{\"signatures\":[{\"keyid\":"
	"\"97be79a2068a5b1e88ec38df9333a78006e6e237e087ee01d64a8553ba3ac9dc\",\"sig\":"
	"\"dffd5651cc12ba0d8dc6e52df9f5a2092fe140ffbabf8fb773e2382edaed67c874ed88d89544902f8384860a"
	"c"
	"8575ebceb800aab8e85c86f91209c1aa602ba06\"}],\n \"signed\": {\"version\":1,"
	"\"x-fleetd\":\"tab\\tquote\\\" back\\\\ \xc3\xa9\",\"_type\":\"timestamp\",\"expires\":"
	"\"2036-01-01T00:00:00Z\",\"meta\":{\"snapshot.json\":{\"length\":100,\"version\":1,"
	"\"hashes\":{\"sha256\":\"" AA64 "\"}}},\"spec_version\":\"1.0.31\"}}";

static void test_key(struct fl_sign_key *k)
{
	uint8_t seed[32];

	assert_true(fl_unhex("9f8362f87a484a954e6e740c5b4c0e84229139a20aa8ab56ff66586f6a7d29c5",
		seed, sizeof(seed)));
	fl_sign_key_seed(k, seed);
}

static void role_of(
	struct fl_role *role, const struct fl_sign_key *keys, size_t n, int64_t threshold)
{
	role->n = n;
	role->threshold = threshold;
	for (size_t i = 0; i < n; i++)
		role->keys[i] = keys[i].public;
}

/* The envelope that securesystemslib verifies verifies here, however its text is formatted. */
static void test_vector(void **state)
{
	struct fl_sign_key k;
	struct fl_role role;
	json_t *content = NULL;

	(void)state;
	test_key(&k);
	role_of(&role, &k, 1, 1);
	assert_int_equal(
		fl_envelope_open(fl_bytes(vector, sizeof(vector) - 1), &role, &content, NULL),
		FL_OK);
	assert_string_equal(json_string_value(json_object_get(content, "_type")), "timestamp");
	json_decref(content);
}

/* Cut anywhere, or with any letter of it changed, an envelope is never taken for another. */
static void test_tampered(void **state)
{
	size_t n = sizeof(vector) - 1;
	struct fl_sign_key k;
	struct fl_role role;
	json_t *content, *right = NULL;
	char *text = malloc(n + 1);

	(void)state;
	assert_non_null(text);
	test_key(&k);
	role_of(&role, &k, 1, 1);
	assert_int_equal(fl_envelope_open(fl_bytes(vector, n), &role, &right, NULL), FL_OK);
	for (size_t i = 0; i < n; i++) {
		memcpy(text, vector, n);
		content = NULL;
		assert_int_not_equal(
			fl_envelope_open(fl_bytes(text, i), &role, &content, NULL), FL_OK);
		text[i] ^= 1;
		if (fl_envelope_open(fl_bytes(text, n), &role, &content, NULL) == FL_OK)
			assert_true(json_equal(content, right)); /* white space only */
		json_decref(content);
	}
	json_decref(right);
	free(text);
}

static void seal(struct fl_buf *out, const struct fl_sign_key *keys, size_t n)
{
	const struct fl_sign_key *list[4];
	json_t *content = json_pack("{s:s}", "a", "line\nfeed");

	for (size_t i = 0; i < n; i++)
		list[i] = &keys[i];
	assert_int_equal(fl_envelope_seal(out, content, list, n, NULL), FL_OK);
	json_decref(content);
}

/* As many different keys as the threshold says must have signed; others do not count. */
static void test_threshold(void **state)
{
	FL_AUTO_BUF struct fl_buf one = { 0 }, two = { 0 }, stranger = { 0 };
	struct fl_sign_key keys[3];
	struct fl_role role;
	json_t *content = NULL;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		fl_sign_key_new(&keys[i]);
	role_of(&role, keys, 2, 2);
	seal(&one, keys, 1);
	seal(&two, keys, 2);
	seal(&stranger, keys + 1, 2);
	assert_int_equal(
		fl_envelope_open(fl_bytes(one.p, one.n), &role, &content, NULL), FL_SIGNATURE);
	assert_int_equal(fl_envelope_open(fl_bytes(stranger.p, stranger.n), &role, &content, NULL),
		FL_SIGNATURE);
	assert_null(content);
	assert_int_equal(fl_envelope_open(fl_bytes(two.p, two.n), &role, &content, NULL), FL_OK);
	json_decref(content);
	role.threshold = 0;
	assert_int_equal(
		fl_envelope_open(fl_bytes(two.p, two.n), &role, &content, NULL), FL_SIGNATURE);
}

/* One key that signs twice counts for nothing: the envelope is refused. */
static void test_same_key_twice(void **state)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	struct fl_sign_key k[2];
	struct fl_role role;
	json_t *content = NULL;

	(void)state;
	fl_sign_key_new(&k[0]);
	k[1] = k[0];
	role_of(&role, k, 1, 1);
	seal(&text, k, 2);
	assert_int_equal(
		fl_envelope_open(fl_bytes(text.p, text.n), &role, &content, NULL), FL_SIGNATURE);
	text.n = 0;
	fl_buf_str(&text, "{\"signed\":{},\"signatures\":[]}");
	assert_int_equal(
		fl_envelope_open(fl_bytes(text.p, text.n), &role, &content, NULL), FL_INVALID);
}

/* Keys of a root in the tests: [0] root, the rest as named in the spec. */
static void make_root(struct fl_buf *out, const struct fl_sign_key *keys, int64_t version,
	const struct fl_sign_key *before)
{
	const struct fl_sign_key *signers[2] = { &keys[0], before };
	struct fl_root_spec spec = { .root = &keys[0].public,
		.targets = &keys[1].public,
		.snapshot = &keys[2].public,
		.timestamp = &keys[3].public,
		.manifest = &keys[4].public,
		.version = version,
		.expires_ms = 2082758400000,
		.quick_start = true };
	json_t *content = NULL;

	assert_int_equal(fl_root_json(&spec, &content, NULL), FL_OK);
	assert_int_equal(
		fl_envelope_seal(out, content, signers, before == NULL ? 1 : 2, NULL), FL_OK);
	json_decref(content);
}

/* A first root is trusted when it signed itself, and says who signs manifests. */
static void test_root_first(void **state)
{
	FL_AUTO_BUF struct fl_buf good = { 0 }, bad = { 0 };
	struct fl_sign_key keys[5], other[5];
	struct fl_root root = { 0 };

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		fl_sign_key_new(&keys[i]);
		other[i] = keys[i];
	}
	make_root(&good, keys, 1, NULL);
	assert_int_equal(fl_root_first(fl_bytes(good.p, good.n), &root, NULL), FL_OK);
	assert_int_equal(root.version, 1);
	assert_int_equal(root.expires_ms, 2082758400000);
	assert_true(root.quick_start);
	assert_int_equal(root.manifest.n, 1);
	assert_string_equal(root.manifest.keys[0].keyid, keys[4].public.keyid);
	fl_sign_key_new(&other[0]);
	other[0].public = keys[0].public;
	make_root(&bad, other, 1, NULL);
	assert_int_equal(fl_root_first(fl_bytes(bad.p, bad.n), &root, NULL), FL_SIGNATURE);
}

/* The next root needs the signatures of the old and of the new root key, and the next number. */
static void test_root_next(void **state)
{
	FL_AUTO_BUF struct fl_buf first = { 0 }, alone = { 0 }, gap = { 0 }, next = { 0 };
	struct fl_sign_key keys[5], fresh[5];
	struct fl_root root;

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		fl_sign_key_new(&keys[i]);
		fl_sign_key_new(&fresh[i]);
	}
	make_root(&first, keys, 1, NULL);
	make_root(&alone, fresh, 2, NULL);
	make_root(&gap, fresh, 3, &keys[0]);
	make_root(&next, fresh, 2, &keys[0]);
	assert_int_equal(fl_root_first(fl_bytes(first.p, first.n), &root, NULL), FL_OK);
	assert_int_equal(fl_root_next(&root, fl_bytes(alone.p, alone.n), NULL), FL_SIGNATURE);
	assert_int_equal(fl_root_next(&root, fl_bytes(gap.p, gap.n), NULL), FL_REFUSED);
	assert_int_equal(root.version, 1);
	assert_int_equal(fl_root_next(&root, fl_bytes(next.p, next.n), NULL), FL_OK);
	assert_int_equal(root.version, 2);
	assert_string_equal(root.root.keys[0].keyid, fresh[0].public.keyid);
	assert_int_equal(fl_root_next(&root, fl_bytes(first.p, first.n), NULL), FL_SIGNATURE);
}

/* TUF's times are read in their one form only. */
static void test_utc(void **state)
{
	static const char *const bad[] = { "", "2036-01-01", "2036-01-01T00:00:00",
		"2036-02-30T00:00:00Z", "2036-1-1T0:0:0Z", " 2036-01-01T00:00:00Z",
		"2036-01-01T00:00:00Z ", "2036-01-01T00:00:00.0Z", "1969-12-31T23:59:59Z",
		"2036-01-01T00:00:60Z" };
	char text[21];
	int64_t ms = 0;

	(void)state;
	assert_int_equal(fl_utc_read("2036-01-01T00:00:00Z", &ms, NULL), FL_OK);
	assert_int_equal(ms, 2082758400000);
	fl_utc_write(ms + 999, text);
	assert_string_equal(text, "2036-01-01T00:00:00Z");
	for (size_t i = 0; i < FL_COUNT(bad); i++)
		assert_int_equal(fl_utc_read(bad[i], &ms, NULL), FL_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vector),
		cmocka_unit_test(test_tampered),
		cmocka_unit_test(test_threshold),
		cmocka_unit_test(test_same_key_twice),
		cmocka_unit_test(test_root_first),
		cmocka_unit_test(test_root_next),
		cmocka_unit_test(test_utc),
	};

	fl_digest_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
