/* SPDX-License-Identifier: Apache-2.0
 *
 * Hours of the week in which a device may switch. */
#include "agent/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SU, MO, TU, WE, TH, FR, SA };

static struct tm at(int day, int hour, int minute)
{
	return (struct tm){ .tm_wday = day, .tm_hour = hour, .tm_min = minute };
}

static bool is_open(const char *text, int day, int hour, int minute)
{
	struct window w;
	struct tm local = at(day, hour, minute);

	assert_int_equal(window_parse(text, &w, NULL), FL_OK);
	return window_open(&w, &local);
}

static void without_hours_it_is_always_open(void **unused)
{
	(void)unused;
	assert_true(is_open("", MO, 12, 0));
	assert_true(is_open("  ", SU, 0, 0));
}

static void the_beginning_is_in_it_the_end_is_not(void **unused)
{
	(void)unused;
	assert_false(is_open("Mo 02:30-04:00", MO, 2, 29));
	assert_true(is_open("Mo 02:30-04:00", MO, 2, 30));
	assert_true(is_open("Mo 02:30-04:00", MO, 3, 59));
	assert_false(is_open("Mo 02:30-04:00", MO, 4, 0));
	assert_false(is_open("Mo 02:30-04:00", TU, 3, 0));
	assert_true(is_open("00:00-24:00", WE, 23, 59));
}

static void over_midnight_it_belongs_to_the_day_on_which_it_begins(void **unused)
{
	(void)unused;
	assert_true(is_open("Fr 22:00-05:00", FR, 23, 0));
	assert_true(is_open("Fr 22:00-05:00", SA, 4, 59));
	assert_false(is_open("Fr 22:00-05:00", FR, 4, 0));
	assert_true(is_open("Sa 22:00-05:00", SU, 0, 0));
	assert_true(is_open("08:00-08:00", MO, 7, 0)); /* a whole day from each eight o'clock */
}

static void days_come_as_lists_and_ranges(void **unused)
{
	static const char text[] = "Mo-Fr 22:00-23:00, Sa,Su 10:00-12:00";

	(void)unused;
	for (int day = SU; day <= SA; day++) {
		bool weekend = day == SU || day == SA;

		assert_int_equal(is_open(text, day, 22, 30), !weekend);
		assert_int_equal(is_open(text, day, 11, 0), weekend);
	}
	assert_true(is_open("Fr-Mo 01:00-02:00", SU, 1, 0)); /* over the end of the week */
	assert_false(is_open("Fr-Mo 01:00-02:00", TU, 1, 0));
}

static void the_next_opening_is_told(void **unused)
{
	struct window w;
	struct tm friday = at(FR, 23, 0), monday = at(MO, 21, 0);
	char text[16];

	(void)unused;
	assert_int_equal(window_parse("Mo-Fr 22:00-23:00, Su 10:05-12:00", &w, NULL), FL_OK);
	window_next(&w, &friday, text);
	assert_string_equal(text, "Su 10:05");
	window_next(&w, &monday, text);
	assert_string_equal(text, "Mo 22:00");
	assert_int_equal(window_parse("Mo 20:00-21:00", &w, NULL), FL_OK);
	window_next(&w, &monday, text);
	assert_string_equal(text, "Mo 20:00");
}

static void what_is_no_window_is_refused(void **unused)
{
	static const char *const wrong[] = { "Mo", "22:00", "22:00-", "Mo-22:00-23:00",
		"24:00-01:00", "22:60-23:00", "22:00-24:01", "Xx 22:00-23:00", "22:00-23:00 Mo",
		"2:00-3:00", "22:00-23:00;", "Mo,22:00-23:00x" };
	static const char one[] = "01:00-02:00, ";
	char many[(WINDOW_MAX + 1) * (sizeof(one) - 1) + 1] = "";
	struct fl_err err = { 0 };
	struct window w;

	(void)unused;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (window_parse(wrong[i], &w, &err) != FL_INVALID)
			fail_msg("taken: %s", wrong[i]);
	}
	for (int i = 0; i <= WINDOW_MAX; i++)
		memcpy(many + (size_t)i * (sizeof(one) - 1), one, sizeof(one));
	assert_int_equal(window_parse(many, &w, &err), FL_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_hours_it_is_always_open),
		cmocka_unit_test(the_beginning_is_in_it_the_end_is_not),
		cmocka_unit_test(over_midnight_it_belongs_to_the_day_on_which_it_begins),
		cmocka_unit_test(days_come_as_lists_and_ranges),
		cmocka_unit_test(the_next_opening_is_told),
		cmocka_unit_test(what_is_no_window_is_refused),
	};

	return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
