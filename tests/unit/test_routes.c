/* SPDX-License-Identifier: Apache-2.0 */
#include "server/http/routes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct route rows[] = {
	{ METHOD_GET, "/", WHO_ANYONE, 0, LANE_FAST, NULL, "root", "" },
	{ METHOD_GET, "/a", WHO_ANYONE, 0, LANE_FAST, NULL, "a", "" },
	{ METHOD_GET, "/a/{x}", WHO_ANYONE, 0, LANE_FAST, NULL, "a_x", "" },
	{ METHOD_PUT, "/a/{x}", WHO_ANYONE, 0, LANE_FAST, NULL, "a_x_put", "" },
	{ METHOD_GET, "/a/{x}/b", WHO_ANYONE, 0, LANE_FAST, NULL, "a_x_b", "" },
	{ METHOD_GET, "/a/{x}/b/{y}", WHO_ANYONE, 0, LANE_FAST, NULL, "a_x_b_y", "" },
	{ METHOD_GET, "/long/one", WHO_ANYONE, 0, LANE_FAST, NULL, "long_one", "" },
	{ METHOD_GET, "/long/two", WHO_ANYONE, 0, LANE_FAST, NULL, "long_two", "" },
	{ METHOD_POST, "/long/three", WHO_ANYONE, 0, LANE_FAST, NULL, "long_three", "" },
};

static const char *find(
	const struct routes *r, enum method method, const char *path, struct routes_match *m)
{
	if (!routes_find(r, path, strlen(path), m))
		return "none";
	return m->by_method[method] == NULL ? "method" : m->by_method[method]->name;
}

static void assert_param(const struct routes_match *m, size_t i, const char *text)
{
	assert_true(i < m->n_params);
	assert_int_equal(m->params[i].n, strlen(text));
	assert_memory_equal(m->params[i].p, text, strlen(text));
}

/* Each row is found by its path, with the parts of its names. */
static void rows_are_found(void **state)
{
	struct routes *r = routes_new(rows, FL_COUNT(rows));
	struct routes_match m;

	(void)state;
	assert_non_null(r);
	assert_string_equal(find(r, METHOD_GET, "/", &m), "root");
	assert_string_equal(find(r, METHOD_GET, "/a", &m), "a");
	assert_string_equal(find(r, METHOD_PUT, "/a/q%2Fq", &m), "a_x_put");
	assert_param(&m, 0, "q%2Fq");
	assert_string_equal(find(r, METHOD_GET, "/a/1/b", &m), "a_x_b");
	assert_string_equal(find(r, METHOD_GET, "/a/1/b/22", &m), "a_x_b_y");
	assert_param(&m, 0, "1");
	assert_param(&m, 1, "22");
	assert_string_equal(find(r, METHOD_GET, "/long/one", &m), "long_one");
	assert_string_equal(find(r, METHOD_GET, "/long/two", &m), "long_two");
	assert_string_equal(find(r, METHOD_POST, "/long/three", &m), "long_three");
	routes_free(r);
}

/* What is no row is not found: too short, too long, empty segments, a trailing slash. */
static void others_are_not_found(void **state)
{
	static const char *const paths[] = { "", "a", "//", "/b", "/a/", "/a/1/", "/a//b", "/a/1/c",
		"/a/1/b/2/c", "/long", "/long/", "/long/four", "/long/one/more", "*" };
	struct routes *r = routes_new(rows, FL_COUNT(rows));
	struct routes_match m;

	(void)state;
	for (size_t i = 0; i < FL_COUNT(paths); i++)
		assert_string_equal(find(r, METHOD_GET, paths[i], &m), "none");
	routes_free(r);
}

/* HEAD goes to the row of GET; other methods are told apart, and Allow names those that are taken. */
static void methods_are_told_apart(void **state)
{
	struct routes *r = routes_new(rows, FL_COUNT(rows));
	FL_AUTO_BUF struct fl_buf allow = { 0 };
	struct routes_match m;

	(void)state;
	assert_string_equal(find(r, METHOD_HEAD, "/a/1", &m), "a_x");
	assert_string_equal(find(r, METHOD_DELETE, "/a/1", &m), "method");
	routes_allow(&m, &allow);
	assert_string_equal((const char *)allow.p, "GET, HEAD, PUT, OPTIONS");
	assert_string_equal(find(r, METHOD_GET, "/long/three", &m), "method");
	assert_int_equal(routes_method("PATCH"), METHOD_PATCH);
	assert_int_equal(routes_method("patch"), METHOD_MAX);
	assert_int_equal(routes_method("BREW"), METHOD_MAX);
	routes_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_found),
		cmocka_unit_test(others_are_not_found),
		cmocka_unit_test(methods_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
