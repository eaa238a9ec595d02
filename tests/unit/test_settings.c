/* SPDX-License-Identifier: Apache-2.0 */
#include "server/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct loaded {
	struct fl_conf conf;
	struct settings settings;
};

static enum fl_code load(struct loaded *l, const char *flag, struct fl_err *err)
{
	char *argv[] = { (char *)(uintptr_t) "fleetd", (char *)(uintptr_t)flag, NULL };
	int argc = flag == NULL ? 1 : 2;

	return settings_load(&l->conf, &l->settings, NULL, &argc, argv, err);
}

/* A merge takes what may be reloaded and names a change that needs a restart. */
static void merge_takes_reloadable_rows(void **state)
{
	struct loaded old = { 0 }, fresh = { 0 };
	struct settings merged = { 0 };
	struct fl_err err = { 0 };
	const char *fixed = "?";

	(void)state;
	assert_int_equal(load(&old, NULL, &err), FL_OK);
	assert_int_equal(load(&fresh, "--batch-max=7", &err), FL_OK);
	assert_int_equal(
		settings_merge(&old.settings, &fresh.settings, &merged, &fixed, &err), FL_OK);
	assert_int_equal(merged.batch_max, 7);
	assert_string_equal(merged.listen, old.settings.listen);
	assert_null(fixed);
	settings_fini(&merged);
	fl_conf_fini(&fresh.conf);

	assert_int_equal(load(&fresh, "--listen=127.0.0.1:1", &err), FL_OK);
	assert_int_equal(
		settings_merge(&old.settings, &fresh.settings, &merged, &fixed, &err), FL_OK);
	assert_string_equal(merged.listen, old.settings.listen);
	assert_string_equal(fixed, "listen");
	settings_fini(&merged);
	settings_fini(&merged);
	fl_conf_fini(&fresh.conf);
	fl_conf_fini(&old.conf);
}

/* What the rows alone cannot check is refused with a sentence. */
static void contradictions_are_refused(void **state)
{
	static const char *const flags[] = { "--tls-key=/k", "--tenant=", "--tenant=a/b",
		"--data-dir=", "--log-level=loud", "--log-format=xml" };

	(void)state;
	for (size_t i = 0; i < FL_COUNT(flags); i++) {
		struct loaded l = { 0 };
		struct fl_err err = { 0 };

		assert_int_equal(load(&l, flags[i], &err), FL_INVALID);
		assert_true(strlen(err.msg) > 10);
		fl_conf_fini(&l.conf);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(merge_takes_reloadable_rows),
		cmocka_unit_test(contradictions_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
