/* SPDX-License-Identifier: Apache-2.0
 *
 * Modules and generations on the disk: whole or not there, switched in one step, repeatable. */
#include "agent/install.h"

#include "lib/digest.h"
#include "lib/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/fleet-test-install-XXXXXX";

static int up(void **unused)
{
	(void)unused;
	fl_digest_init();
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int down(void **unused)
{
	(void)unused;
	return install_remove(dir, NULL) == FL_OK ? 0 : -1;
}

static void path_of(char out[256], const char *name)
{
	(void)snprintf(out, 256, "%s/%s", dir, name);
}

static bool exists(const char *name)
{
	char path[256];
	struct stat st;

	path_of(path, name);
	return lstat(path, &st) == 0;
}

/* An entry of version `version` whose artifact with `text` lies in dir/artifact. */
static json_t *module(const char *name, const char *version, const char *kind, const char *text)
{
	char path[256], hex[FL_SHA256_HEX + 1];
	uint8_t sha256[FL_SHA256_LEN];

	path_of(path, "artifact");
	assert_int_equal(fl_file_put(path, fl_bytes(text, strlen(text)), 0644, NULL), FL_OK);
	fl_sha256(fl_bytes(text, strlen(text)), sha256);
	fl_hex(sha256, sizeof(sha256), hex);
	return json_pack("{s:s, s:s, s:s, s:s, s:I}", "module", name, "version", version, "kind",
		kind, "sha256", hex, "size", (json_int_t)strlen(text));
}

static enum fl_code place(const json_t *entry)
{
	char artifact[256];
	struct module m;

	path_of(artifact, "artifact");
	assert_int_equal(install_read(entry, &m, NULL), FL_OK);
	return install_module(dir, &m, artifact, NULL);
}

/* What dir/current/NAME holds; the caller frees. */
static char *content(const char *name)
{
	struct fl_buf b = { 0 };
	char path[256], relative[64];

	(void)snprintf(relative, sizeof(relative), "current/%s", name);
	path_of(path, relative);
	assert_int_equal(fl_file_get(path, 1000, &b, NULL), FL_OK);
	return fl_buf_take(&b);
}

static void a_switch_changes_all_modules_together_and_back(void **unused)
{
	FL_AUTO_JSON json_t *one = json_array();
	FL_AUTO_JSON json_t *two = json_array();
	FL_AUTOFREE char *first = NULL, *second = NULL, *third = NULL;

	(void)unused;
	(void)json_array_append_new(one, module("app", "1.0.0", "file", "old"));
	assert_int_equal(place(json_array_get(one, 0)), FL_OK);
	assert_int_equal(install_generation(dir, 1, one, NULL), FL_OK);
	assert_int_equal(install_current(dir), 0);
	assert_int_equal(install_switch(dir, 1, NULL), FL_OK);
	assert_int_equal(install_current(dir), 1);
	first = content("app");
	assert_string_equal(first, "old");

	(void)json_array_append_new(two, module("app", "2.0.0", "file", "new"));
	assert_int_equal(place(json_array_get(two, 0)), FL_OK);
	(void)json_array_append_new(two, module("lib", "1.0.0", "file", "lib"));
	assert_int_equal(place(json_array_get(two, 1)), FL_OK);
	assert_int_equal(install_generation(dir, 2, two, NULL), FL_OK);
	assert_int_equal(install_switch(dir, 2, NULL), FL_OK);
	second = content("app");
	assert_string_equal(second, "new");
	assert_true(exists("current/lib"));
	assert_int_equal(install_switch(dir, 1, NULL), FL_OK);
	third = content("app");
	assert_string_equal(third, "old");
	assert_false(exists("current/lib"));
	assert_int_equal(install_switch(dir, 0, NULL), FL_OK);
	assert_int_equal(install_current(dir), 0);
}

static void everything_may_be_done_again(void **unused)
{
	FL_AUTO_JSON json_t *list = json_array();

	(void)unused;
	(void)json_array_append_new(list, module("again", "1.0.0", "file", "x"));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(place(json_array_get(list, 0)), FL_OK);
		assert_int_equal(install_generation(dir, 7, list, NULL), FL_OK);
		assert_int_equal(install_switch(dir, 7, NULL), FL_OK);
	}
	assert_false(exists("modules/again/.new"));
	assert_false(exists("generations/.new"));
	assert_false(exists(".current.new"));
}

static void a_generation_that_is_not_there_is_not_switched_to(void **unused)
{
	int64_t before = install_current(dir);

	(void)unused;
	assert_int_not_equal(install_switch(dir, 99, NULL), FL_OK);
	assert_int_equal(install_current(dir), before);
}

static void bytes_must_be_of_their_kind(void **unused)
{
	FL_AUTO_JSON json_t *script =
		module("web", "1.0.0", "wasm", "#!/bin/sh of 8 bytes and more");

	(void)unused;
	assert_int_equal(place(script), FL_REFUSED);
	assert_null(install_find("container"));
	assert_non_null(install_find("wasm"));
}

static void names_that_leave_the_folder_are_refused(void **unused)
{
	static const char *const names[] = { "..", "a/b", "/etc", ".hidden", "", "a\nb", "-rf" };

	(void)unused;
	for (size_t i = 0; i < FL_COUNT(names); i++) {
		FL_AUTO_JSON json_t *as_module =
			json_pack("{s:s, s:s}", "module", names[i], "version", "1.0.0");
		FL_AUTO_JSON json_t *as_version =
			json_pack("{s:s, s:s}", "module", "app", "version", names[i]);
		struct module m;

		assert_int_equal(install_read(as_module, &m, NULL), FL_INVALID);
		assert_int_equal(install_read(as_version, &m, NULL), FL_INVALID);
	}
}

static void what_no_generation_needs_is_removed(void **unused)
{
	FL_AUTO_JSON json_t *a = json_array();
	FL_AUTO_JSON json_t *b = json_array();
	FL_AUTO_JSON json_t *c = json_array();

	(void)unused;
	(void)json_array_append_new(a, module("old", "1.0.0", "file", "a"));
	assert_int_equal(place(json_array_get(a, 0)), FL_OK);
	(void)json_array_append_new(b, module("app", "3.0.0", "file", "b"));
	assert_int_equal(place(json_array_get(b, 0)), FL_OK);
	(void)json_array_append_new(c, module("app", "4.0.0", "file", "c"));
	assert_int_equal(place(json_array_get(c, 0)), FL_OK);
	assert_int_equal(install_generation(dir, 20, a, NULL), FL_OK);
	assert_int_equal(install_generation(dir, 21, b, NULL), FL_OK);
	assert_int_equal(install_generation(dir, 22, c, NULL), FL_OK);
	install_prune(dir, 22, 21, c, b);
	assert_false(exists("generations/20"));
	assert_false(exists("generations/20.json"));
	assert_true(exists("generations/21") && exists("generations/21.json"));
	assert_true(exists("generations/22"));
	assert_false(exists("modules/old"));
	assert_int_equal(install_switch(dir, 21, NULL), FL_OK);
	free(content("app")); /* still whole */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_switch_changes_all_modules_together_and_back),
		cmocka_unit_test(everything_may_be_done_again),
		cmocka_unit_test(a_generation_that_is_not_there_is_not_switched_to),
		cmocka_unit_test(bytes_must_be_of_their_kind),
		cmocka_unit_test(names_that_leave_the_folder_are_refused),
		cmocka_unit_test(what_no_generation_needs_is_removed),
	};

	return cmocka_run_group_tests_name("install", tests, up, down);
}
