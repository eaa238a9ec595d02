/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/conf.h"
#include "lib/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct out {
	char *name;
	char *secret;
	int64_t count, size, time;
	bool on;
};

static const struct fl_conf_row rows[] = {
	{ "name", FL_CONF_STRING, offsetof(struct out, name), "nobody", 0, 0, true, false, "Who." },
	{ "secret", FL_CONF_STRING, offsetof(struct out, secret), "", 0, 0, false, true, "Key." },
	{ "count", FL_CONF_INT, offsetof(struct out, count), "3", 1, 9, false, false, "How many." },
	{ "size", FL_CONF_SIZE, offsetof(struct out, size), "1MiB", 1024, 0, false, false,
		"Room." },
	{ "some_time", FL_CONF_DURATION, offsetof(struct out, time), "2s", 0, 90000, false, false,
		"Wait." },
	{ "on", FL_CONF_BOOL, offsetof(struct out, on), "no", 0, 0, false, false, "Whether." },
};

struct fixture {
	struct fl_conf c;
	struct out out;
	struct fl_err err;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fl_conf_init(&f->c, rows, FL_COUNT(rows), &f->out, "TEST_CONF");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fl_conf_fini(&f->c);
	fl_conf_fini(&f->c);
	free(f);
	return 0;
}

/* Defaults are parsed like any other value. */
static void defaults_fill_the_struct(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(f->out.name, "nobody");
	assert_int_equal(f->out.count, 3);
	assert_int_equal(f->out.size, 1024 * 1024);
	assert_int_equal(f->out.time, 2000);
	assert_false(f->out.on);
}

static enum fl_code set(struct fixture *f, const char *name, const char *value)
{
	return fl_conf_set(&f->c, name, value, 3, "--x", &f->err);
}

/* Units are understood where the type has them; nothing else is. */
static void units_are_understood(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(set(f, "size", "3KiB"), FL_OK);
	assert_int_equal(f->out.size, 3072);
	assert_int_equal(set(f, "size", "2GiB"), FL_OK);
	assert_int_equal(set(f, "some_time", "1min"), FL_OK);
	assert_int_equal(f->out.time, 60000);
	assert_int_equal(set(f, "some_time", "0"), FL_OK);
	assert_int_equal(set(f, "some_time", "7"), FL_INVALID);
	assert_int_equal(set(f, "some_time", "7 s"), FL_INVALID);
	assert_int_equal(set(f, "size", "3KB"), FL_INVALID);
	assert_int_equal(set(f, "count", "3s"), FL_INVALID);
	assert_int_equal(set(f, "count", ""), FL_INVALID);
	assert_int_equal(set(f, "size", "9223372036854775807KiB"), FL_INVALID);
	assert_int_equal(set(f, "size", "99999999999999999999"), FL_INVALID);
	assert_int_equal(f->out.count, 3);
}

/* Bounds hold on both sides; without a maximum only the lower one. */
static void bounds_hold(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(set(f, "count", "0"), FL_INVALID);
	assert_non_null(strstr(f->err.msg, "1 to 9"));
	assert_int_equal(set(f, "count", "10"), FL_INVALID);
	assert_int_equal(set(f, "count", "9"), FL_OK);
	assert_int_equal(set(f, "size", "1023"), FL_INVALID);
	assert_non_null(strstr(f->err.msg, "below 1024 bytes"));
}

/* Booleans take six words. */
static void booleans_take_words(void **state)
{
	static const char *const yes[] = { "yes", "true", "on" };
	static const char *const no[] = { "no", "false", "off" };
	struct fixture *f = *state;

	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(set(f, "on", yes[i]), FL_OK);
		assert_true(f->out.on);
		assert_int_equal(set(f, "on", no[i]), FL_OK);
		assert_false(f->out.on);
	}
	assert_int_equal(set(f, "on", "1"), FL_INVALID);
}

/* An unknown name is an error that gives the place and the nearest name. */
static void unknown_names_get_a_hint(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(set(f, "cuont", "1"), FL_INVALID);
	assert_string_equal(
		f->err.msg, "--x: there is no setting \"cuont\"; did you mean \"count\"?");
}

static void put_file(char path[64], const char *text)
{
	int fd;

	(void)snprintf(path, 64, "/tmp/test_conf.XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	(void)close(fd);
}

/* Lines are "name = value"; comments begin after a blank, so a value may hold '#'. */
static void files_are_read(void **state)
{
	struct fixture *f = *state;
	char path[64];

	put_file(path, "# top\n\n  name =  a#b  # who\ncount=4\r\n on = yes");
	assert_int_equal(fl_conf_file(&f->c, path, true, &f->err), FL_OK);
	(void)unlink(path);
	assert_string_equal(f->out.name, "a#b");
	assert_int_equal(f->out.count, 4);
	assert_true(f->out.on);
}

/* The first bad line ends the reading with its number. */
static void bad_lines_are_named(void **state)
{
	struct fixture *f = *state;
	char path[64];
	char where[80];

	put_file(path, "count = 4\nwhatever\n");
	assert_int_equal(fl_conf_file(&f->c, path, true, &f->err), FL_INVALID);
	(void)unlink(path);
	(void)snprintf(where, sizeof(where), "%s:2: ", path);
	assert_non_null(strstr(f->err.msg, where));
	assert_int_equal(fl_conf_file(&f->c, path, false, &f->err), FL_OK);
	assert_int_equal(fl_conf_file(&f->c, path, true, &f->err), FL_NOT_FOUND);
}

/* Variables are PREFIX_NAME in upper case. */
static void environment_is_read(void **state)
{
	struct fixture *f = *state;

	(void)setenv("TEST_CONF_SOME_TIME", "3s", 1);
	assert_int_equal(fl_conf_env(&f->c, &f->err), FL_OK);
	assert_int_equal(f->out.time, 3000);
	(void)setenv("TEST_CONF_SOME_TIME", "soon", 1);
	assert_int_equal(fl_conf_env(&f->c, &f->err), FL_INVALID);
	assert_non_null(strstr(f->err.msg, "TEST_CONF_SOME_TIME"));
	(void)unsetenv("TEST_CONF_SOME_TIME");
}

/* Flags are taken out of argv in both forms; what is no setting stays in its order. */
static void flags_are_taken_out(void **state)
{
	struct fixture *f = *state;
	char *argv[] = { (char *)(uintptr_t) "program", (char *)(uintptr_t) "first",
		(char *)(uintptr_t) "--some-time=5s", (char *)(uintptr_t) "--other",
		(char *)(uintptr_t) "--count", (char *)(uintptr_t) "7", (char *)(uintptr_t) "--on",
		(char *)(uintptr_t) "--", (char *)(uintptr_t) "--count", NULL };
	int argc = 9;

	assert_int_equal(fl_conf_flags(&f->c, &argc, argv, &f->err), FL_OK);
	assert_int_equal(argc, 5);
	assert_string_equal(argv[1], "first");
	assert_string_equal(argv[2], "--other");
	assert_string_equal(argv[3], "--");
	assert_string_equal(argv[4], "--count");
	assert_null(argv[5]);
	assert_int_equal(f->out.time, 5000);
	assert_int_equal(f->out.count, 7);
	assert_true(f->out.on);
}

/* A flag without its value is an error. */
static void flag_without_value_is_refused(void **state)
{
	struct fixture *f = *state;
	char *argv[] = { (char *)(uintptr_t) "program", (char *)(uintptr_t) "--count", NULL };
	int argc = 2;

	assert_int_equal(fl_conf_flags(&f->c, &argc, argv, &f->err), FL_INVALID);
}

/* What is shown gives the same settings again, and never a secret. */
static void show_is_a_file_that_gives_the_same(void **state)
{
	struct fixture *f = *state;
	FL_AUTO_BUF struct fl_buf b = { 0 };
	struct out again = { 0 };
	struct fl_conf c;
	char path[64];

	assert_int_equal(set(f, "size", "3KiB"), FL_OK);
	assert_int_equal(set(f, "some_time", "90s"), FL_OK);
	fl_conf_show(&f->c, &b);
	put_file(path, (const char *)b.p);
	fl_conf_init(&c, rows, FL_COUNT(rows), &again, "TEST_CONF");
	assert_int_equal(fl_conf_file(&c, path, true, &f->err), FL_OK);
	(void)unlink(path);
	assert_int_equal(again.size, 3072);
	assert_int_equal(again.time, 90000);
	fl_conf_fini(&c);
	assert_int_equal(set(f, "secret", "hush"), FL_OK);
	fl_buf_reset(&b);
	fl_conf_show(&f->c, &b);
	assert_null(strstr((const char *)b.p, "hush"));
	assert_non_null(strstr((const char *)b.p, "(set)"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(defaults_fill_the_struct, setup, teardown),
		cmocka_unit_test_setup_teardown(units_are_understood, setup, teardown),
		cmocka_unit_test_setup_teardown(bounds_hold, setup, teardown),
		cmocka_unit_test_setup_teardown(booleans_take_words, setup, teardown),
		cmocka_unit_test_setup_teardown(unknown_names_get_a_hint, setup, teardown),
		cmocka_unit_test_setup_teardown(files_are_read, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_lines_are_named, setup, teardown),
		cmocka_unit_test_setup_teardown(environment_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(flags_are_taken_out, setup, teardown),
		cmocka_unit_test_setup_teardown(flag_without_value_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(
			show_is_a_file_that_gives_the_same, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
