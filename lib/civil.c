/* SPDX-License-Identifier: Apache-2.0
 *
 * Years are taken to begin in March, so that the day that comes and goes is the last one; 400 of them always
 * have as many days. */
#include "lib/civil.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define ERA_YEARS 400
#define ERA_DAYS  146097
#define EPOCH     719468 /* 1970-01-01, counted from 0000-03-01 */

int64_t fl_floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

int64_t fl_civil_number(int year, int month, int day)
{
	int64_t months = year * INT64_C(12) + month - 3; /* since March of the year 0 */
	int64_t y = fl_floor_div(months, 12), m = months - y * 12;
	int64_t era = fl_floor_div(y, ERA_YEARS), of_era = y - era * ERA_YEARS;

	return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + (153 * m + 2) / 5 + day -
		1 - EPOCH;
}

struct fl_civil fl_civil_of(int64_t number)
{
	int64_t n = number + EPOCH, era = fl_floor_div(n, ERA_DAYS), of_era = n - era * ERA_DAYS;
	int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;

	return (struct fl_civil){
		.year = (int)(era * ERA_YEARS + y + (m >= 10)),
		.month = (int)(m < 10 ? m + 3 : m - 9),
		.day = (int)(of_year - (153 * m + 2) / 5 + 1),
	};
}

int fl_civil_weekday(int64_t number)
{
	return (int)((number + 4) - fl_floor_div(number + 4, 7) * 7); /* 1970 began on a Thursday */
}

/* "Z" or "+01:00", in seconds. */
static bool read_offset(const char *p, int64_t *out)
{
	int hours, minutes, n = 0;

	*out = 0;
	if (strcmp(p, "Z") == 0 || strcmp(p, "z") == 0)
		return true;
	if ((*p != '+' && *p != '-') || !isdigit((unsigned char)p[1]) ||
		sscanf(p + 1, "%2d:%2d%n", &hours, &minutes, &n) != 2 || n != 5 || p[6] != '\0' ||
		hours > 23 || minutes < 0 || minutes > 59)
		return false;
	*out = (*p == '-' ? -1 : 1) * (hours * INT64_C(3600) + minutes * 60);
	return true;
}

/* The fraction of a second, in ms; *p goes behind it. */
static int64_t take_fraction(const char **p)
{
	int64_t ms = 0, unit = 100;

	if (**p != '.')
		return 0;
	for ((*p)++; isdigit((unsigned char)**p); (*p)++, unit /= 10)
		ms += unit * (**p - '0');
	return ms;
}

enum fl_code fl_moment_read(const char *text, int64_t *ms, struct fl_err *err)
{
	int year, month, day, hour, minute, second, n = 0;
	int64_t offset = 0, fraction;
	struct fl_civil c;
	const char *p = text;
	bool fine = strspn(text, "0123456789-:Tt") >= 19 &&
		sscanf(text, "%4d-%2d-%2d%*1[Tt]%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute,
			&second, &n) == 6 &&
		n == 19 && hour >= 0 && hour < 24 && minute >= 0 && minute < 60 && second >= 0 &&
		second < 60;

	p += n;
	fraction = take_fraction(&p);
	if (fine && read_offset(p, &offset)) {
		int64_t number = fl_civil_number(year, month, day);

		c = fl_civil_of(number);
		if (c.year == year && c.month == month && c.day == day) {
			*ms = (number * FL_DAY_S + hour * FL_HOUR_S + minute * 60 + second -
				      offset) *
					1000 +
				fraction;
			return FL_OK;
		}
	}
	return fl_fail(err, FL_INVALID,
		"\"%.40s\" is no time; write it as 2026-11-24T22:00:00Z or "
		"2026-11-24T22:00:00+01:00",
		text);
}
