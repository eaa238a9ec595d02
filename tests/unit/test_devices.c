/* SPDX-License-Identifier: Apache-2.0
 *
 * What may be said about a device: ids, names, attributes, installed sets. */
#include "server/devices.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_ids(void **state)
{
	/* Any text of a sensible length is an id; blanks at the ends, controls and path dots are not. */
	static const char *const good[] = { "a", "a b", "0", "urn:dev:mac:00ff", "\xc3\xa9", "...",
		"a/b", "%41" };
	static const char *const bad[] = { "", " a", "a ", ".", "..", "a\n", "\x7f", "\xff", "\xc3",
		"\xed\xa0\x80" };
	char long_id[STORE_ID_MAX + 2];

	(void)state;
	for (size_t i = 0; i < FL_COUNT(good); i++)
		assert_int_equal(devices_check_id(good[i], NULL), FL_OK);
	for (size_t i = 0; i < FL_COUNT(bad); i++)
		assert_int_equal(devices_check_id(bad[i], NULL), FL_INVALID);
	memset(long_id, 'x', sizeof(long_id));
	long_id[STORE_ID_MAX + 1] = '\0';
	assert_int_equal(devices_check_id(long_id, NULL), FL_INVALID);
	long_id[STORE_ID_MAX] = '\0';
	assert_int_equal(devices_check_id(long_id, NULL), FL_OK);
}

static void test_names(void **state)
{
	/* Names are what npm, OCI and shells agree on. */
	static const char *const good[] = { "a", "@scope/pkg", "lib-1.2_x+y", "9" };
	static const char *const bad[] = { "", "-a", ".a", "/a", "a b", "a:b", "\xc3\xa9", "a\\b" };
	struct fl_err err = { 0 };

	(void)state;
	for (size_t i = 0; i < FL_COUNT(good); i++)
		assert_int_equal(devices_check_name("module", good[i], NULL), FL_OK);
	for (size_t i = 0; i < FL_COUNT(bad); i++)
		assert_int_equal(devices_check_name("module", bad[i], &err), FL_INVALID);
	assert_non_null(strstr(err.msg, "the name of a module"));
}

/* The stored form of a JSON text, or the refusal. */
static char *stored(const char *text, enum fl_code wanted)
{
	FL_AUTO_JSON json_t *object = json_loads(text, 0, NULL);
	struct fl_buf b = { 0 };

	assert_non_null(object);
	assert_int_equal(devices_object("label", object, &b, NULL), wanted);
	if (wanted == FL_OK)
		return fl_buf_take(&b);
	fl_buf_fini(&b);
	return NULL;
}

static void test_objects(void **state)
{
	/* Members are sorted, null is left out, and what has another type or a bad key is refused. */
	static const struct {
		const char *text, *wanted;
	} good[] = {
		{ "{}", "{}" },
		{ "{\"b\": 1, \"a\": \"x\", \"c\": true, \"d\": null, \"e\": 0.5}",
			"{\"a\":\"x\",\"b\":1,\"c\":true,\"e\":0.5}" },
		{ "{\"\\u00e9\": \"\\u00e9\", \"a.b/c\": \"\\\"\"}",
			"{\"a.b/c\":\"\\\"\",\"\xc3\xa9\":\"\xc3\xa9\"}" },
	};
	static const char *const bad[] = { "[]", "{\"a\": {}}", "{\"a\": []}", "{\"\": 1}",
		"{\"a b\": 1}", "{\"a=b\": 1}", "{\"a\\\"b\": 1}", "{\"a\\\\b\": 1}",
		"{\"a\\u0001\": 1}", "{\"a(\": null}" };

	(void)state;
	for (size_t i = 0; i < FL_COUNT(good); i++) {
		FL_AUTOFREE char *got = stored(good[i].text, FL_OK);
		assert_string_equal(got, good[i].wanted);
	}
	for (size_t i = 0; i < FL_COUNT(bad); i++)
		assert_null(stored(bad[i], FL_INVALID));
}

static void test_merge(void **state)
{
	/* A patch sets, replaces and removes single members. */
	FL_AUTO_JSON json_t *patch = json_pack("{s:n, s:i, s:s}", "a", "b", 2, "c", "x");
	struct fl_buf b = { 0 };

	(void)state;
	assert_int_equal(
		devices_merge("label", "{\"a\":1,\"b\":1,\"z\":1}", patch, &b, NULL), FL_OK);
	assert_string_equal((const char *)b.p, "{\"b\":2,\"c\":\"x\",\"z\":1}");
	fl_buf_fini(&b);
}

static void test_object_sizes(void **state)
{
	/* Number, length and sum of the members are bounded. */
	FL_AUTO_JSON json_t *many = json_object(), *large = json_object();
	char value[DEVICES_VALUE_MAX + 1], key[16];
	struct fl_buf b = { 0 };
	struct fl_err err = { 0 };

	(void)state;
	for (int i = 0; i <= DEVICES_ATTRIBUTES_MAX; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(json_object_set_new(many, key, json_integer(i)), 0);
	}
	assert_int_equal(devices_object("label", many, &b, &err), FL_INVALID);
	assert_non_null(strstr(err.msg, "at most 256"));
	memset(value, 'v', DEVICES_VALUE_MAX);
	value[DEVICES_VALUE_MAX] = '\0';
	for (int i = 0; i < DEVICES_OBJECT_MAX / DEVICES_VALUE_MAX; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(json_object_set_new(large, key, json_string(value)), 0);
	}
	assert_int_equal(devices_object("label", large, &b, &err), FL_INVALID);
	assert_non_null(strstr(err.msg, "16384 bytes"));
	fl_buf_fini(&b);
}

static void test_installed(void **state)
{
	/* A set is sorted, digested, and the first wrong element is named. */
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "{}", "an array" },
		{ "[{\"module\":\"a\",\"version\":\"1\"},{\"module\":\"b\"}]", "installed[1]" },
		{ "[{\"module\":\"a b\",\"version\":\"1\"}]", "installed[0]" },
		{ "[{\"module\":\"a\",\"version\":\"\"}]", "installed[0]" },
		{ "[{\"module\":\"a\",\"version\":\"1\\n\"}]", "installed[0]" },
		{ "[\"a\"]", "installed[0]" },
	};
	FL_AUTO_JSON json_t *good =
		json_loads("[{\"module\":\"b\",\"version\":\"1\",\"sha256\":\"00\"},"
			   "{\"module\":\"a\",\"version\":\"2021-LTS\"}]",
			0, NULL);
	struct devices_installed *d = calloc(1, sizeof(*d));

	(void)state;
	assert_non_null(d);
	assert_int_equal(devices_installed(good, d, NULL), FL_OK);
	assert_int_equal(d->n, 2);
	assert_string_equal(d->entries[0].module, "a");
	for (size_t i = 0; i < FL_COUNT(bad); i++) {
		FL_AUTO_JSON json_t *json = json_loads(bad[i].text, 0, NULL);
		struct fl_err err = { 0 };
		assert_int_equal(devices_installed(json, d, &err), FL_INVALID);
		if (strstr(err.msg, bad[i].says) == NULL)
			fail_msg("%s: %s", bad[i].text, err.msg);
	}
	free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_objects),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_object_sizes),
		cmocka_unit_test(test_installed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
