/* SPDX-License-Identifier: Apache-2.0
 *
 * Time zones: what a clock on the wall shows, and when it shows a time. */
#include "lib/zone.h"

#include "lib/civil.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static struct fl_zone *zone(const char *name)
{
	struct fl_zone *z;

	assert_int_equal(fl_zone_load(name, &z, NULL), FL_OK);
	return z;
}

static int64_t seconds(const char *text)
{
	struct tm tm = { 0 };

	assert_non_null(strptime(text, "%Y-%m-%d %H:%M", &tm));
	return (int64_t)timegm(&tm);
}

/* Both are "YYYY-MM-DD HH:MM". */
static void shows(const char *name, const char *local, const char *utc)
{
	struct fl_zone *z = zone(name);

	assert_int_equal(fl_zone_utc(z, seconds(local)), seconds(utc));
	fl_zone_free(z);
}

static void a_local_time_is_a_moment(void **unused)
{
	(void)unused;
	shows("UTC", "2026-11-23 22:00", "2026-11-23 22:00");
	shows("Europe/Berlin", "2026-11-23 22:00", "2026-11-23 21:00");
	shows("Europe/Berlin", "2026-07-01 22:00", "2026-07-01 20:00");
	shows("Asia/Kolkata", "2026-07-01 22:00", "2026-07-01 16:30");
	shows("America/New_York", "2026-01-15 22:00", "2026-01-16 03:00");
	shows("Pacific/Kiritimati", "2026-01-15 22:00", "2026-01-15 08:00");
}

static void a_time_that_is_left_out_is_taken_as_before_the_change(void **unused)
{
	(void)unused;
	/* 02:00 becomes 03:00 */
	shows("Europe/Berlin", "2026-03-29 01:59", "2026-03-29 00:59");
	shows("Europe/Berlin", "2026-03-29 02:30", "2026-03-29 01:30");
	shows("Europe/Berlin", "2026-03-29 03:00", "2026-03-29 01:00");
	/* a whole day: Samoa had no December 30, 2011 */
	shows("Pacific/Apia", "2011-12-30 12:00", "2011-12-30 22:00");
}

static void a_time_that_comes_twice_is_the_first_one(void **unused)
{
	(void)unused;
	/* 03:00 becomes 02:00 */
	shows("Europe/Berlin", "2026-10-25 02:30", "2026-10-25 00:30");
	shows("Europe/Berlin", "2026-10-25 03:00", "2026-10-25 02:00");
	shows("Australia/Lord_Howe", "2026-04-05 01:45", "2026-04-04 14:45"); /* half an hour */
}

static void the_rule_behind_the_table_goes_on(void **unused)
{
	(void)unused;
	shows("Europe/Berlin", "2077-07-01 22:00", "2077-07-01 20:00");
	shows("Europe/Berlin", "2077-12-01 22:00", "2077-12-01 21:00");
	shows("Europe/Dublin", "2077-07-01 22:00",
		"2077-07-01 21:00"); /* winter is the exception */
	shows("America/Santiago", "2077-01-15 22:00", "2077-01-16 01:00");
	shows("Asia/Tokyo", "2077-01-15 22:00", "2077-01-15 13:00");
}

/* Every hour of eighty years is what the C library says it is. */
static void it_agrees_with_the_c_library(void **unused)
{
	static const char *const names[] = { "Europe/Berlin", "America/St_Johns", "Africa/Cairo",
		"Asia/Tehran", "Australia/Lord_Howe", "Africa/Casablanca", "Antarctica/Troll",
		"America/Nuuk" };

	(void)unused;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct fl_zone *z = zone(names[i]);

		assert_int_equal(setenv("TZ", names[i], 1), 0);
		tzset();
		for (int64_t t = seconds("1975-01-01 00:00"); t < seconds("2055-01-01 00:00");
			t += 7 * 3600) {
			struct fl_zone_time mine;
			time_t at = (time_t)t;
			struct tm tm;

			assert_non_null(localtime_r(&at, &tm));
			fl_zone_at(z, t, &mine);
			assert_int_equal(mine.offset_s, tm.tm_gmtoff);
			assert_string_equal(mine.abbr, tm.tm_zone);
		}
		fl_zone_free(z);
	}
	assert_int_equal(unsetenv("TZ"), 0);
	tzset();
}

/* Every day of eight hundred years is what the C library says it is. */
static void days_are_those_of_the_calendar(void **unused)
{
	(void)unused;
	for (int64_t n = -150000; n < 150000; n++) {
		struct fl_civil c = fl_civil_of(n);
		time_t at = (time_t)(n * FL_DAY_S);
		struct tm tm;

		assert_non_null(gmtime_r(&at, &tm));
		assert_true(c.year == tm.tm_year + 1900 && c.month == tm.tm_mon + 1 &&
			c.day == tm.tm_mday && fl_civil_weekday(n) == tm.tm_wday);
		assert_true(fl_civil_number(c.year, c.month, c.day) == n);
	}
	assert_int_equal(fl_civil_number(2026, 13, 1), fl_civil_number(2027, 1, 1));
}

static void moments_are_read_with_their_offset(void **unused)
{
	static const char *const wrong[] = { "", "2026-11-24", "2026-11-24T22:00:00",
		"2026-02-30T22:00:00Z", "2026-11-24T24:00:00Z", "2026-11-24T22:00:00+1:00",
		"2026-11-24T22:00:00+01:00x", "2026-11-24 22:00:00Z", "tomorrow",
		"2026-11-24T22:00:0 Z" };
	int64_t a = 0, b = 0;

	(void)unused;
	assert_int_equal(fl_moment_read("2026-11-24T22:00:00Z", &a, NULL), FL_OK);
	assert_int_equal(a, seconds("2026-11-24 22:00") * 1000);
	assert_int_equal(fl_moment_read("2026-11-24T23:30:00.25+01:30", &b, NULL), FL_OK);
	assert_int_equal(b, a + 250);
	assert_int_equal(fl_moment_read("2026-11-24T17:00:00-05:00", &b, NULL), FL_OK);
	assert_int_equal(b, a);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(fl_moment_read(wrong[i], &b, NULL), FL_INVALID);
}

static void what_is_no_zone_is_refused(void **unused)
{
	static const char *const names[] = { "", "Nowhere/Town", "../../etc/passwd",
		"/etc/localtime", "tzdata.zi", "Europe", "Europe/Berlin\n" };
	struct fl_err err;
	struct fl_zone *z;

	(void)unused;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		err = (struct fl_err){ 0 };
		assert_int_equal(fl_zone_load(names[i], &z, &err), FL_NOT_FOUND);
		assert_non_null(strstr(err.msg, "there is no time zone"));
	}
}

/* Every file that was cut or changed in one byte is refused or read, within its bounds. */
static void a_broken_file_does_no_harm(void **unused)
{
	uint8_t file[8192];
	FILE *f = fopen("/usr/share/zoneinfo/Europe/Berlin", "rb");
	size_t n;
	struct fl_zone *z;

	(void)unused;
	assert_non_null(f);
	n = fread(file, 1, sizeof(file), f);
	(void)fclose(f);
	assert_in_range(n, 100, sizeof(file) - 1);
	for (size_t cut = 0; cut < n - 1; cut++)
		assert_int_equal(fl_zone_read(fl_bytes(file, cut), &z, NULL), FL_CORRUPT);
	for (size_t i = 0; i < n; i++) {
		file[i] ^= 0xff;
		if (fl_zone_read(fl_bytes(file, n), &z, NULL) == FL_OK) {
			(void)fl_zone_utc(z, INT64_C(1) << 33);
			fl_zone_free(z);
		}
		file[i] ^= 0xff;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_local_time_is_a_moment),
		cmocka_unit_test(a_time_that_is_left_out_is_taken_as_before_the_change),
		cmocka_unit_test(a_time_that_comes_twice_is_the_first_one),
		cmocka_unit_test(the_rule_behind_the_table_goes_on),
		cmocka_unit_test(it_agrees_with_the_c_library),
		cmocka_unit_test(days_are_those_of_the_calendar),
		cmocka_unit_test(moments_are_read_with_their_offset),
		cmocka_unit_test(what_is_no_zone_is_refused),
		cmocka_unit_test(a_broken_file_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
