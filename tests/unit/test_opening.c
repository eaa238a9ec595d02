/* SPDX-License-Identifier: Apache-2.0
 *
 * Maintenance windows: spans of time, and how rules become them. */
#include "server/rollout/opening.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define HOUR (3600 * INT64_C(1000))

/* ---- spans */

static void put(struct window *w, int64_t open, int64_t close)
{
	assert_int_equal(window_add(w, open, close, NULL), FL_OK);
}

static void spans_join_where_they_touch(void **unused)
{
	struct window w = { 0 };

	(void)unused;
	put(&w, 30, 40);
	put(&w, 10, 20);
	put(&w, 50, 60);
	put(&w, 15, 15);
	assert_int_equal(w.n, 3);
	put(&w, 20, 30);
	assert_int_equal(w.n, 2);
	assert_int_equal(w.spans[0].open, 10);
	assert_int_equal(w.spans[0].close, 40);
	put(&w, 0, 100);
	assert_int_equal(w.n, 1);
	window_fini(&w);
}

static void a_cut_leaves_what_is_outside(void **unused)
{
	struct window w = { 0 };

	(void)unused;
	put(&w, 10, 40);
	put(&w, 50, 60);
	assert_int_equal(window_cut(&w, 20, 30, NULL), FL_OK);
	assert_int_equal(w.n, 3);
	assert_int_equal(w.spans[0].close, 20);
	assert_int_equal(w.spans[1].open, 30);
	assert_int_equal(window_cut(&w, 35, 55, NULL), FL_OK);
	assert_int_equal(w.spans[1].close, 35);
	assert_int_equal(w.spans[2].open, 55);
	assert_int_equal(window_cut(&w, 0, 100, NULL), FL_OK);
	assert_int_equal(w.n, 0);
	window_fini(&w);
}

static void open_time_is_counted(void **unused)
{
	struct window w = { .from = 0, .until = 100 };

	(void)unused;
	put(&w, 10, 20);
	put(&w, 40, 60);
	assert_false(window_is_open(&w, 9));
	assert_true(window_is_open(&w, 10));
	assert_false(window_is_open(&w, 20));
	assert_int_equal(window_opens(&w, 15), 15);
	assert_int_equal(window_opens(&w, 20), 40);
	assert_int_equal(window_opens(&w, 60), -1);
	assert_int_equal(window_opens_again(&w, 15), 40);
	assert_int_equal(window_closes(&w, 15), 20);
	assert_int_equal(window_open_time(&w, 15, 50), 15);
	assert_int_equal(window_open_time(&w, 50, 15), 0);
	assert_int_equal(window_after(&w, 15, 5), 20);
	assert_int_equal(window_after(&w, 15, 6), 41);
	assert_int_equal(window_after(&w, 15, 100), 100); /* more than is known */
	assert_int_equal(window_after(&w, 500, 1), 500);
	window_fini(&w);
}

static void no_window_is_never_closed(void **unused)
{
	struct window w = { 0 };

	(void)unused;
	assert_true(window_is_open(NULL, 7));
	assert_int_equal(window_opens(NULL, 7), 7);
	assert_int_equal(window_open_time(NULL, 7, 9), 2);
	assert_int_equal(window_after(NULL, 7, 9), 16);
	assert_int_equal(window_copy(NULL, 5, 50, &w, NULL), FL_OK);
	assert_int_equal(window_open_time(&w, 0, 100), 45);
	window_fini(&w);
}

/* What is put in and cut out, minute by minute, in a thousand random orders. */
static void any_order_of_adding_and_cutting_is_right(void **unused)
{
	unsigned seed = 7;

	(void)unused;
	for (int round = 0; round < 1000; round++) {
		struct window w = { 0 };
		bool open[64] = { false };

		for (int k = 0; k < 12; k++) {
			int a = rand_r(&seed) % 64, b = rand_r(&seed) % 65;
			bool add = rand_r(&seed) % 3 != 0;

			assert_int_equal((add ? window_add : window_cut)(&w, a, b, NULL), FL_OK);
			for (int t = a; t < b; t++)
				open[t] = add;
			for (int t = 0; t < 64; t++)
				assert_int_equal(window_is_open(&w, t), open[t]);
			for (size_t i = 1; i < w.n; i++)
				assert_true(w.spans[i].open > w.spans[i - 1].close);
		}
		window_fini(&w);
	}
}

/* ---- rules */

static int64_t ms(const char *text)
{
	struct tm tm = { 0 };

	assert_non_null(strptime(text, "%Y-%m-%d %H:%M", &tm));
	return (int64_t)timegm(&tm) * 1000;
}

static void make(const char *json, const char *zone, struct window *out)
{
	struct opening_horizon horizon = { ms("2026-01-01 00:00"), ms("2027-01-01 00:00") };
	json_t *array = json_loads(json, 0, NULL);
	struct opening_windows w = { 0 };
	struct opening_made made = { 0 };
	struct fl_zone *z;

	assert_int_equal(opening_rules_read(array, &w.delivery, NULL), FL_OK);
	assert_int_equal(fl_zone_load(zone, &z, NULL), FL_OK);
	assert_int_equal(opening_make(&w, z, &horizon, &made, NULL), FL_OK);
	*out = made.delivery;
	fl_zone_free(z);
	opening_fini(&w);
	json_decref(array);
}

static void a_rule_opens_by_the_zones_clock(void **unused)
{
	struct window w = { 0 };

	(void)unused;
	make("[{\"cron\":\"0 22 * * *\",\"duration_s\":14400}]", "Europe/Berlin", &w);
	assert_false(window_is_open(&w, ms("2026-01-15 20:59")));
	assert_true(window_is_open(&w, ms("2026-01-15 21:00")));
	assert_false(window_is_open(&w, ms("2026-01-16 01:00")));
	assert_true(window_is_open(&w, ms("2026-07-15 20:00"))); /* in summer */
	assert_int_equal(window_opens(&w, ms("2026-07-15 12:00")), ms("2026-07-15 20:00"));
	window_fini(&w);
}

static void what_began_before_the_horizon_is_still_open(void **unused)
{
	struct window w = { 0 };

	(void)unused;
	make("[{\"rrule\":\"FREQ=WEEKLY;BYDAY=WE;BYHOUR=20\",\"duration_s\":36000}]", "UTC", &w);
	assert_int_equal(w.spans[0].open, ms("2026-01-01 00:00"));
	assert_int_equal(w.spans[0].close, ms("2026-01-01 06:00")); /* of December 31 */
	window_fini(&w);
}

static void the_change_of_the_clock_takes_no_time_away(void **unused)
{
	struct window w = { 0 };

	(void)unused;
	make("[{\"cron\":\"0 22 * * *\",\"duration_s\":28800}]", "Europe/Berlin", &w);
	/* in the night of March 29 it closes at 07:00, in that of October 25 at 05:00 */
	assert_int_equal(window_closes(&w, ms("2026-03-28 21:00")), ms("2026-03-29 05:00"));
	assert_int_equal(window_closes(&w, ms("2026-10-24 20:00")), ms("2026-10-25 04:00"));
	assert_int_equal(
		window_open_time(&w, ms("2026-03-28 12:00"), ms("2026-03-29 12:00")), 8 * HOUR);
	assert_int_equal(
		window_open_time(&w, ms("2026-10-24 12:00"), ms("2026-10-25 12:00")), 8 * HOUR);
	window_fini(&w);
}

static void a_beginning_that_the_change_leaves_out_or_repeats_comes_once(void **unused)
{
	struct window w = { 0 };

	(void)unused;
	make("[{\"cron\":\"30 2 * * *\",\"duration_s\":1800}]", "Europe/Berlin", &w);
	assert_int_equal(window_opens(&w, ms("2026-03-28 23:00")), ms("2026-03-29 01:30"));
	assert_int_equal(
		window_open_time(&w, ms("2026-03-28 23:00"), ms("2026-03-29 22:00")), HOUR / 2);
	assert_int_equal(window_opens(&w, ms("2026-10-24 23:00")), ms("2026-10-25 00:30"));
	assert_int_equal(
		window_open_time(&w, ms("2026-10-24 23:00"), ms("2026-10-25 22:00")), HOUR / 2);
	window_fini(&w);
}

static void several_rules_are_open_when_one_is(void **unused)
{
	struct window w = { 0 };

	(void)unused;
	make("[{\"cron\":\"0 1 * * *\",\"duration_s\":7200},{\"cron\":\"0 2 * * "
	     "*\",\"duration_s\":7200}]",
		"UTC", &w);
	assert_int_equal(window_closes(&w, ms("2026-01-15 01:00")), ms("2026-01-15 04:00"));
	window_fini(&w);
}

static void what_opens_too_often_is_refused(void **unused)
{
	struct opening_horizon horizon = { ms("2026-01-01 00:00"), ms("2027-01-01 00:00") };
	json_t *array = json_loads("[{\"cron\":\"* * * * *\",\"duration_s\":1}]", 0, NULL);
	struct opening_windows w = { 0 };
	struct opening_made made = { 0 };
	struct fl_err err = { 0 };
	struct fl_zone *z;

	(void)unused;
	assert_int_equal(opening_rules_read(array, &w.turn, NULL), FL_OK);
	assert_int_equal(fl_zone_load("UTC", &z, NULL), FL_OK);
	assert_int_equal(opening_make(&w, z, &horizon, &made, &err), FL_REFUSED);
	assert_non_null(strstr(err.msg, "opens more than"));
	opening_made_fini(&made);
	fl_zone_free(z);
	opening_fini(&w);
	json_decref(array);
}

/* ---- the member of a strategy */

static void what_is_written_is_read_the_same(void **unused)
{
	json_t *json = json_loads("{\"delivery\":[{\"cron\":\"0 22 * * *\",\"duration_s\":60}],"
				  "\"switch\":[{\"rrule\":\"FREQ=DAILY\",\"duration_s\":60,"
				  "\"from\":\"2026-01-05T22:00\"}],"
				  "\"zone\":\"Asia/Tokyo\",\"zone_of\":\"label.zone\"}",
		0, NULL);
	struct opening_windows w;
	json_t *again;

	(void)unused;
	assert_int_equal(opening_read(json, &w, NULL), FL_OK);
	again = opening_json(&w);
	assert_true(json_equal(json, again));
	json_decref(again);
	opening_fini(&w);
	json_decref(json);
}

static void what_gives_no_window_is_refused(void **unused)
{
	static const char *const cases[][2] = {
		{ "{}", "needs delivery or switch" },
		{ "{\"zone\":\"UTC\"}", "needs delivery or switch" },
		{ "{\"delivery\":[]}", "delivery" },
		{ "{\"delivery\":[{\"cron\":\"0 0 * * *\",\"duration_s\":0}]}", "duration_s" },
		{ "{\"delivery\":[{\"cron\":\"0 0 * * *\"}]}", "duration_s" },
		{ "{\"delivery\":[{\"duration_s\":60}]}", "exactly one of cron and rrule" },
		{ "{\"switch\":[{\"cron\":\"0 0 * *\",\"duration_s\":60}]}", "switch: [0]: cron" },
		{ "{\"switch\":[{\"rrule\":\"FREQ=DAILY\",\"duration_s\":60,\"from\":\"soon\"}]}",
			"from looks like" },
		{ "{\"delivery\":[{\"cron\":\"0 0 * * *\",\"duration_s\":60}],\"zone_of\":\"tz\"}",
			"zone_of" },
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *json = json_loads(cases[i][0], 0, NULL);
		struct opening_windows w;
		struct fl_err err = { 0 };

		assert_int_equal(opening_read(json, &w, &err), FL_INVALID);
		assert_non_null(strstr(err.msg, cases[i][1]));
		json_decref(json);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spans_join_where_they_touch),
		cmocka_unit_test(a_cut_leaves_what_is_outside),
		cmocka_unit_test(open_time_is_counted),
		cmocka_unit_test(no_window_is_never_closed),
		cmocka_unit_test(any_order_of_adding_and_cutting_is_right),
		cmocka_unit_test(a_rule_opens_by_the_zones_clock),
		cmocka_unit_test(what_began_before_the_horizon_is_still_open),
		cmocka_unit_test(the_change_of_the_clock_takes_no_time_away),
		cmocka_unit_test(a_beginning_that_the_change_leaves_out_or_repeats_comes_once),
		cmocka_unit_test(several_rules_are_open_when_one_is),
		cmocka_unit_test(what_opens_too_often_is_refused),
		cmocka_unit_test(what_is_written_is_read_the_same),
		cmocka_unit_test(what_gives_no_window_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
