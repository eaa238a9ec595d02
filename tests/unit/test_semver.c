/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/semver.h"

#include "lib/buf.h" /* FL_COUNT */
#include "tests/unit/semver_cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct fl_semver version(const char *text)
{
	struct fl_semver v;
	struct fl_err err;

	if (fl_semver_parse(text, &v, &err) != FL_OK)
		fail_msg("%s", err.msg);
	return v;
}

/* Behaviour: what semver.org calls a version is taken, with its parts. */
static void parses_versions(void **state)
{
	struct fl_semver v = version("1.20.300-rc.1.x-y+build.007");

	(void)state;
	assert_int_equal(v.major, 1);
	assert_int_equal(v.minor, 20);
	assert_int_equal(v.patch, 300);
	assert_int_equal(v.pre_n, strlen("rc.1.x-y"));
	assert_memory_equal(v.pre, "rc.1.x-y", v.pre_n);
	assert_int_equal(v.build_n, strlen("build.007"));
	v = version("0.0.0");
	assert_int_equal(v.pre_n + v.build_n, 0);
	v = version("9007199254740991.0.0--");
	assert_true(v.major == FL_SEMVER_NUMBER_MAX);
}

/* Behaviour: anything else is refused, with a sentence. */
static void refuses_what_is_no_version(void **state)
{
	static const char *const bad[] = { "", "1", "1.2", "1.2.", "1.2.3.4", "v1.2.3", "=1.2.3",
		" 1.2.3", "1.2.3 ", "01.2.3", "1.02.3", "1.2.03", "1.2.3-", "1.2.3-01",
		"1.2.3-a..b", "1.2.3+", "1.2.3+a+b", "1.2.3-a_b", "a.b.c", "1.2.x", "-1.2.3",
		"9007199254740992.0.0", "99999999999999999999999.0.0", "1.2.3-\xc3\xa4",
		"1.2.3-a.01" };

	(void)state;
	for (size_t i = 0; i < FL_COUNT(bad); i++) {
		struct fl_semver v = { .major = 77 };
		struct fl_err err = { 0 };

		if (fl_semver_parse(bad[i], &v, &err) != FL_INVALID)
			fail_msg("\"%s\" was taken", bad[i]);
		assert_true(err.msg[0] != '\0');
		assert_int_equal(v.major, 77);
	}
}

/* Behaviour: a version of more than the limit is refused, one at the limit is not. */
static void bounds_the_length(void **state)
{
	char text[FL_SEMVER_TEXT_MAX + 2];
	struct fl_semver v;

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, "1.2.3-", 6);
	text[FL_SEMVER_TEXT_MAX + 1] = '\0';
	assert_int_equal(fl_semver_parse(text, &v, NULL), FL_INVALID);
	text[FL_SEMVER_TEXT_MAX] = '\0';
	assert_int_equal(fl_semver_parse(text, &v, NULL), FL_OK);
}

/* Behaviour: the order of semver.org section 11; each is lower than all that follow. */
static void orders_versions(void **state)
{
	static const char *const sorted[] = { "0.0.0-0", "0.0.0", "0.0.1", "0.9.0", "1.0.0-0",
		"1.0.0-2", "1.0.0-10", "1.0.0-10.0", "1.0.0--", "1.0.0-A", "1.0.0-alpha",
		"1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
		"1.0.0-beta.x", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0",
		"10.0.0", "10.0.1-99999999999999999998", "10.0.1-99999999999999999999" };

	(void)state;
	for (size_t i = 0; i < FL_COUNT(sorted); i++) {
		for (size_t k = 0; k < FL_COUNT(sorted); k++) {
			struct fl_semver a = version(sorted[i]), b = version(sorted[k]);
			int order = fl_semver_compare(&a, &b);

			if ((order > 0) - (order < 0) != (i > k) - (i < k))
				fail_msg("%s and %s compare as %d", sorted[i], sorted[k], order);
		}
	}
}

/* Behaviour: build metadata does not count for precedence, but tells versions apart in order. */
static void orders_builds(void **state)
{
	static const char *const sorted[] = { "1.0.0", "1.0.0+0", "1.0.0+1", "1.0.0+2", "1.0.0+01",
		"1.0.0+10", "1.0.0+a", "1.0.0+a.b" };

	(void)state;
	for (size_t i = 0; i + 1 < FL_COUNT(sorted); i++) {
		struct fl_semver a = version(sorted[i]), b = version(sorted[i + 1]);

		assert_int_equal(fl_semver_compare(&a, &b), 0);
		assert_true(fl_semver_order(&a, &a) == 0);
		if (!(fl_semver_order(&a, &b) < 0) || !(fl_semver_order(&b, &a) > 0))
			fail_msg("%s is not before %s", sorted[i], sorted[i + 1]);
	}
}

struct range_case {
	const char *range, *in, *out; /* blank-separated versions */
};

/* One line a rule that npm users rely on. */
static const struct range_case cases[] = {
	{ "1.2.3", "1.2.3 1.2.3+b", "1.2.4 1.2.3-a 1.2.2" },
	{ "=1.2.3", "1.2.3", "1.2.4" },
	{ "= v1.2.3", "1.2.3", "1.2.4" },
	{ "", "0.0.0 1.2.3 99.0.0", "1.2.3-a" },
	{ "*", "0.0.0 1.2.3", "0.0.0-a 1.0.0-rc.1" },
	{ "x", "0.0.0 1.2.3", "1.0.0-rc.1" },
	{ ">=*", "1.2.3", "1.0.0-a" },
	{ "<*", "", "0.0.0 1.0.0 0.0.0-0" },
	{ ">*", "", "0.0.0 1.0.0" },
	{ "1", "1.0.0 1.99.0", "0.9.9 2.0.0 2.0.0-a 1.0.0-a" },
	{ "1.x", "1.0.0 1.99.0", "2.0.0" },
	{ "1.x.x", "1.0.0 1.99.0", "2.0.0" },
	{ "~1.x.3", "1.0.0 1.99.0", "2.0.0" },
	{ "1.*", "1.5.0", "2.0.0" },
	{ "1.2", "1.2.0 1.2.9", "1.3.0 1.3.0-a 1.1.9" },
	{ "1.2.X", "1.2.0 1.2.9", "1.3.0" },
	{ "2.*.*", "2.1.3", "3.1.3 1.1.3" },
	{ "^1.2.3", "1.2.3 1.3.0 1.99.99", "1.2.2 2.0.0 2.0.0-alpha 1.2.3-a 1.3.0-a" },
	{ "^0.2.3", "0.2.3 0.2.9", "0.2.2 0.3.0 0.3.0-0" },
	{ "^0.0.3", "0.0.3", "0.0.2 0.0.4 0.0.4-0" },
	{ "^1.2.3-beta.2", "1.2.3-beta.2 1.2.3-beta.4 1.2.3-rc 1.2.3 1.3.0",
		"1.2.3-beta.1 1.2.4-beta.9 1.3.0-beta.1 2.0.0" },
	{ "^0.0.3-beta", "0.0.3-beta 0.0.3-pr.2 0.0.3", "0.0.4 0.0.3-alpha" },
	{ "^1.2.x", "1.2.0 1.9.0", "1.1.9 2.0.0" },
	{ "^0.0.x", "0.0.0 0.0.9", "0.1.0" },
	{ "^0.0", "0.0.0 0.0.9", "0.1.0" },
	{ "^1.x", "1.0.0 1.9.0", "2.0.0 0.9.0" },
	{ "^0.x", "0.0.0 0.9.0", "1.0.0" },
	{ "^0", "0.0.0 0.9.0", "1.0.0" },
	{ "^x", "0.0.0 5.0.0", "" },
	{ "^ 1.2", "1.2.0 1.9.0", "2.0.0" },
	{ "~1.2.3", "1.2.3 1.2.9", "1.2.2 1.3.0 1.3.0-a" },
	{ "~1.2", "1.2.0 1.2.9", "1.3.0 1.1.0" },
	{ "~1", "1.0.0 1.9.0", "2.0.0" },
	{ "~0.2.3", "0.2.3 0.2.9", "0.3.0" },
	{ "~> 1.2.3", "1.2.5", "1.3.0" },
	{ "~1.2.3-beta.2", "1.2.3-beta.2 1.2.3-beta.4 1.2.4", "1.2.4-beta.2 1.3.0" },
	{ ">1.2.3", "1.2.4 2.0.0", "1.2.3 1.2.3-a 2.0.0-a" },
	{ ">1.2", "1.3.0 2.0.0", "1.2.9 1.2.0 1.3.0-a" },
	{ ">1", "2.0.0", "1.9.0 1.0.0" },
	{ ">=1.2", "1.2.0 1.3.0", "1.1.9 1.2.0-a" },
	{ ">= 1", "1.0.0 2.0.0", "0.9.0" },
	{ "<1.2.3", "1.2.2 0.0.1", "1.2.3 1.2.3-a" },
	{ "<1.2", "1.1.9", "1.2.0 1.2.0-a 1.2.5" },
	{ "<1", "0.9.9", "1.0.0 1.0.0-a" },
	{ "<=1.2", "1.2.9 1.1.0", "1.3.0 1.3.0-a" },
	{ "<=1", "1.9.9", "2.0.0" },
	{ "<=1.2.3", "1.2.3 1.0.0", "1.2.4" },
	{ ">=1.2.3 <2", "1.2.3 1.9.9", "2.0.0 1.2.2 2.0.0-a" },
	{ ">=1.2.3   <1.5.0", "1.2.3 1.4.9", "1.5.0" },
	{ ">1.2.3-alpha.3", "1.2.3-alpha.7 1.2.3 1.2.4", "1.2.3-alpha.3 3.4.5-alpha.9" },
	{ ">=1.0.0-rc.1 <1.0.0", "1.0.0-rc.1 1.0.0-rc.2", "1.0.0 1.0.0-beta 0.9.9" },
	{ "1.2.3 - 2.3.4", "1.2.3 2.3.4 2.0.0", "2.3.5 1.2.2" },
	{ "1.2 - 2.3.4", "1.2.0 2.3.4", "1.1.9 2.3.5" },
	{ "1.2.3 - 2.3", "2.3.9", "2.4.0 2.4.0-a" },
	{ "1.2.3 - 2", "2.9.9", "3.0.0 1.2.2" },
	{ "* - 2", "0.0.0 2.9.9", "3.0.0" },
	{ "1 - *", "1.0.0 9.0.0", "0.9.9" },
	{ "* - *", "1.0.0", "1.0.0-a" },
	{ "1.2.3-a - 1.2.3-c", "1.2.3-a 1.2.3-b 1.2.3-c", "1.2.3-d 1.2.3" },
	{ "1.2.7 || >=1.2.9 <2.0.0", "1.2.7 1.2.9 1.4.6", "1.2.8 2.0.0" },
	{ "^1||^3", "1.0.0 3.1.0", "2.0.0 4.0.0" },
	{ "||", "0.0.1 1.0.0", "1.0.0-a" },
	{ "^2 || ", "1.0.0", "1.0.0-a" },
	{ "1.0.0-a || 2.0.0", "1.0.0-a 2.0.0", "2.0.0-a 1.0.0" },
	{ ">=1.0.0+build <2", "1.0.0 1.0.0+other", "2.0.0" },
	{ "1.2.3 1.2.3", "1.2.3", "1.2.4" },
	{ "1.2.3 1.2.4", "", "1.2.3 1.2.4" },
	{ " ^1.2.3 ", "1.2.3", "2.0.0" },
	{ "v1.2", "1.2.7", "1.3.0" },
};

static void expect_all(const char *range, const char *versions, bool in)
{
	char text[256];
	struct fl_range r;
	struct fl_err err;
	char *rest = NULL;

	if (fl_range_parse(range, &r, &err) != FL_OK)
		fail_msg("%s", err.msg);
	assert_true(strlen(versions) < sizeof(text));
	memcpy(text, versions, strlen(versions) + 1);
	for (char *s = strtok_r(text, " ", &rest); s != NULL; s = strtok_r(NULL, " ", &rest)) {
		struct fl_semver v = version(s);

		if (fl_range_has(&r, &v) != in)
			fail_msg("\"%s\" %s %s", range, in ? "lacks" : "has", s);
	}
}

/* Behaviour: ranges take and refuse what npm's do. */
static void ranges_as_npm_users_know_them(void **state)
{
	(void)state;
	for (size_t i = 0; i < FL_COUNT(cases); i++) {
		expect_all(cases[i].range, cases[i].in, true);
		expect_all(cases[i].range, cases[i].out, false);
	}
}

/* Behaviour: the published cases of node-semver come out as they do there. */
static void agrees_with_node_semver(void **state)
{
	(void)state;
	for (size_t i = 0; i < FL_COUNT(range_fixtures); i++) {
		const struct range_fixture *f = &range_fixtures[i];
		struct fl_range r;
		struct fl_err err = { 0 };

		if (f->in == NULL) {
			if (fl_range_parse(f->range, &r, &err) != FL_INVALID)
				fail_msg("\"%s\" was taken", f->range);
			continue;
		}
		expect_all(f->range, f->in, true);
		expect_all(f->range, f->out, false);
	}
}

/* Behaviour: what is no range is refused with a sentence that quotes it. */
static void refuses_what_is_no_range(void **state)
{
	static const char *const bad[] = { "latest", "1.2.3.4", "01.2.3", "^", ">", "~>", "1.2.3 -",
		"1.2.3 -2.0.0", "1.2.3 - 2.0.0 <3", "1.2.3 |2", "|", "1.2.3,2", "1.2.3-",
		">=1.2.3<2", "^^1", "1..2", ".1", "1.2.3 - x - 2", "!1.2.3", "1.2.3-01", "\n1" };

	(void)state;
	for (size_t i = 0; i < FL_COUNT(bad); i++) {
		struct fl_range r;
		struct fl_err err = { 0 };

		if (fl_range_parse(bad[i], &r, &err) != FL_INVALID)
			fail_msg("\"%s\" was taken", bad[i]);
		assert_non_null(strstr(err.msg, "is not a version range"));
	}
}

/* Behaviour: neither a long range nor one of many comparisons gets in. */
static void bounds_ranges(void **state)
{
	char text[FL_RANGE_TEXT_MAX + 2];
	struct fl_range r;
	struct fl_err err;

	(void)state;
	memset(text, ' ', sizeof(text));
	text[FL_RANGE_TEXT_MAX + 1] = '\0';
	assert_int_equal(fl_range_parse(text, &r, NULL), FL_INVALID);
	text[FL_RANGE_TEXT_MAX] = '\0';
	assert_int_equal(fl_range_parse(text, &r, NULL), FL_OK);
	for (size_t i = 0; i < FL_RANGE_TEXT_MAX; i += 4)
		memcpy(text + i, i == 0 ? "  1 " : "||1 ", 4);
	assert_int_equal(fl_range_parse(text, &r, &err), FL_INVALID);
	assert_non_null(strstr(err.msg, "comparisons"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses_versions),
		cmocka_unit_test(refuses_what_is_no_version),
		cmocka_unit_test(bounds_the_length),
		cmocka_unit_test(orders_versions),
		cmocka_unit_test(orders_builds),
		cmocka_unit_test(ranges_as_npm_users_know_them),
		cmocka_unit_test(agrees_with_node_semver),
		cmocka_unit_test(refuses_what_is_no_range),
		cmocka_unit_test(bounds_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
