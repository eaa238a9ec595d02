/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/compare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static enum fl_code read_body(const char *text, struct compare *c, struct fl_err *err)
{
	FL_AUTO_JSON json_t *json = json_loads(text, 0, NULL);

	assert_non_null(json);
	*c = (struct compare){ 0 };
	return compare_read(json, 60000, c, err);
}

static void run_all(struct compare *c)
{
	struct fl_err err = { 0 };
	bool done = false;

	while (!done)
		if (compare_next(c, NULL, NULL, &done, &err) != FL_OK)
			fail_msg("%s", err.msg);
}

/* Behaviour: without a word five strategies meet a good and two bad releases; a careful one harms fewer
 * devices than all at once, and lets the good release pass. */
static void compares_what_is_known(void **state)
{
	struct compare c;
	struct fl_err err = { 0 };
	FL_AUTO_JSON json_t *json = NULL;

	(void)state;
	assert_int_equal(read_body("{\"devices\":1000,\"runs\":5,\"layers\":2}", &c, &err), FL_OK);
	assert_int_equal(c.n_strategies, 5);
	assert_int_equal(c.n_cases, 3);
	run_all(&c);
	for (size_t i = 0; i < 5; i++)
		for (size_t k = 0; k < 3; k++)
			assert_int_equal(c.sums[i][k].runs, 5);
	assert_string_equal(c.strategies[0].name, "all at once");
	assert_string_equal(c.strategies[3].name, "sequential test");
	assert_int_equal(c.sums[3][0].passed, 5);
	assert_int_equal(c.sums[3][1].passed, 0);
	assert_true(c.sums[3][2].harmed * 3 < c.sums[0][2].harmed);
	json = compare_json(&c);
	assert_int_equal(json_array_size(json_object_get(json, "results")), 15);
	assert_true(json_is_true(json_object_get(json, "complete")));
	compare_fini(&c);
	compare_fini(&c);
}

/* Behaviour: equal bodies give equal answers. */
static void answers_repeat(void **state)
{
	static const char body[] = "{\"devices\":200,\"runs\":3,\"seed\":9,\"links\":[{\"kind\":"
				   "\"always\",\"percent\":50},"
				   "{\"kind\":\"random\",\"percent\":50,\"on_s\":600,\"off_s\":600}"
				   "],\"cases\":[{\"name\":"
				   "\"x\",\"fail_percent\":2}],\"strategies\":[{\"name\":\"a\","
				   "\"strategy\":{\"gate\":{"
				   "\"manual\":true}}}]}";
	struct compare a, b;
	FL_AUTO_JSON json_t *x = NULL, *y = NULL;

	(void)state;
	assert_int_equal(read_body(body, &a, NULL), FL_OK);
	assert_int_equal(read_body(body, &b, NULL), FL_OK);
	run_all(&a);
	run_all(&b);
	x = compare_json(&a);
	y = compare_json(&b);
	assert_true(json_equal(x, y));
	compare_fini(&a);
	compare_fini(&b);
}

/* Behaviour: what is supposed of one layer comes on top of the case, for this layer alone; a longer
 * installation takes the place of the case's. */
static void versions_have_hypotheses(void **state)
{
	struct compare c;
	const struct simulate_layer *l;

	(void)state;
	assert_int_equal(
		read_body("{\"layers\":2,\"devices\":100,\"runs\":1,\"cases\":[{\"name\":\"a\","
			  "\"fail_percent\":10}],\"versions\":[{\"layer\":1,\"fail_percent\":50,"
			  "\"install_s\":600},{\"layer\":1,\"silent_percent\":60}]}",
			&c, NULL),
		FL_OK);
	l = c.strategies[0].layers;
	assert_int_equal(l[0].fail_ppm, 100000);
	assert_int_equal(l[0].install_ms, 120000);
	assert_int_equal(l[1].install_ms, 600000);
	assert_int_equal(l[1].silent_ppm, 600000);
	assert_int_equal(l[1].fail_ppm, 400000); /* nobody fails twice */
	compare_fini(&c);
}

/* Behaviour: described gateways are cut with the devices behind them, groups take turns, deltas save what they
 * are said to, and a dead gateway is one failure. */
static void fleets_are_described(void **state)
{
	struct compare c;
	const struct compare_strategy *s = &c.strategies[0];

	(void)state;
	assert_int_equal(
		read_body("{\"devices\":100,\"behind\":9,\"sites\":5,\"bytes\":1000,"
			  "\"delta_percent\":10,\"runs\":1,\"cases\":[{\"name\":\"a\","
			  "\"gateways_silent_percent\":100}],\"strategies\":[{\"name\":\"s\","
			  "\"strategy\":{\"waves\":[{\"count\":30},{\"percent\":100}],"
			  "\"pace\":{\"max_unavailable\":{\"by\":\"label.site\",\"devices\":4}},"
			  "\"gate\":{\"success\":{\"percent\":1},\"error\":{\"percent\":99}}}}]}",
			&c, NULL),
		FL_OK);
	int first = 0;
	for (uint32_t d = 0; d < 100; d++) {
		assert_int_equal(s->gateway[d], d % 10 == 0 ? SIMULATE_NOBODY : d - d % 10);
		assert_int_equal(s->wave[d], s->wave[d - d % 10]);
		assert_int_equal(s->group[d] == s->group[0], d / 10 % 5 == 0);
		first += s->wave[d] == 0;
	}
	assert_int_equal(first, 30);
	run_all(&c);
	/* slots of a site stay taken by those that are cut off: a gateway may never get its order */
	assert_in_range(c.sums[0][0].harmed, 70, 100);
	assert_int_equal(c.sums[0][0].harmed % 10, 0);
	assert_int_equal(c.sums[0][0].bytes * 10, c.sums[0][0].bytes_full);
	assert_in_range(c.sums[0][0].failures, 1, 10);
	compare_fini(&c);
}

/* Behaviour: the curve says when each part of the devices was through; it never falls, ends with the last
 * device, and is null where most runs did not come. */
static void curves_rise(void **state)
{
	struct compare c;
	FL_AUTO_JSON json_t *json = NULL;
	const json_t *good, *bad;
	double before = 0;

	(void)state;
	assert_int_equal(
		read_body("{\"devices\":200,\"runs\":3,\"cases\":[{\"name\":\"good\"},{\"name\":"
			  "\"bad\",\"fail_percent\":100}],\"strategies\":[{\"name\":\"s\"}]}",
			&c, NULL),
		FL_OK);
	run_all(&c);
	json = compare_json(&c);
	good = json_array_get(json_object_get(json, "results"), 0);
	bad = json_object_get(json_array_get(json_object_get(json, "results"), 1), "curve");
	for (size_t i = 0; i < SIMULATE_CURVE; i++) {
		double at = json_number_value(json_array_get(json_object_get(good, "curve"), i));

		assert_true(at >= before && at > 0);
		before = at;
		assert_true(json_is_null(json_array_get(bad, i)));
	}
	assert_true(before >= json_number_value(json_object_get(good, "max_s")) - 1e-3);
	compare_fini(&c);
}

static bool now(void *arg)
{
	(void)arg;
	return true;
}

/* Behaviour: a run that is cut short does not count, and ends the comparison. */
static void stops_when_told(void **state)
{
	struct compare c;
	bool done = false;

	(void)state;
	assert_int_equal(read_body("{}", &c, NULL), FL_OK);
	assert_int_equal(compare_next(&c, now, NULL, &done, NULL), FL_OK);
	assert_true(done);
	assert_int_equal(c.sums[0][0].runs, 0);
	compare_fini(&c);
}

/* Behaviour: what makes no sense is refused with the member's name. */
static void refuses_nonsense(void **state)
{
	static const char *const texts[][2] = {
		{ "{\"devices\":200001}", "devices" },
		{ "{\"devices\":200000,\"layers\":6}", "at most 200000 devices" },
		{ "{\"strategies\":[{\"name\":\"a\",\"strategy\":{\"order\":\"?\"}}]}",
			"strategies[0]" },
		{ "{\"strategies\":[{\"name\":\"a\",\"strategy\":{\"waves\":[{\"selector\":\"a=="
		  "1\"}]}}]}",
			"selector" },
		{ "{\"cases\":[{\"name\":\"a\",\"fail_percent\":60,\"silent_percent\":60}]}",
			"cases[0]" },
		{ "{\"links\":[{\"kind\":\"sometimes\"}]}", "links[0]" },
		{ "{\"links\":[{\"kind\":\"always\",\"percent\":50}]}", "50, not 100" },
		{ "{\"versions\":[{\"fail_percent\":1}]}", "versions[0]" },
		{ "{\"versions\":[{\"layer\":0,\"module\":\"a\",\"version\":\"1.0.0\"}]}",
			"or a layer" },
		{ "{\"versions\":[{\"layer\":1}]}", "layers below 1" },
		{ "{\"versions\":[{\"module\":\"a\",\"version\":\"1.0.0\"}]}", "no modules" },
		{ "{\"zones\":[1]}", "zones[0]" },
		{ "{\"cases\":[{\"name\":\"a\",\"gateways_silent_percent\":101}]}",
			"gateways_silent_percent" },
		{ "{\"colour\":1}", "colour" },
	};

	(void)state;
	for (size_t i = 0; i < FL_COUNT(texts); i++) {
		struct compare c;
		struct fl_err err = { 0 };

		assert_int_not_equal(read_body(texts[i][0], &c, &err), FL_OK);
		if (strstr(err.msg, texts[i][1]) == NULL)
			fail_msg("%s: %s", texts[i][0], err.msg);
		compare_fini(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compares_what_is_known),
		cmocka_unit_test(answers_repeat),
		cmocka_unit_test(versions_have_hypotheses),
		cmocka_unit_test(fleets_are_described),
		cmocka_unit_test(curves_rise),
		cmocka_unit_test(stops_when_told),
		cmocka_unit_test(refuses_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
