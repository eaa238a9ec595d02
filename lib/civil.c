/* SPDX-License-Identifier: Apache-2.0
 *
 * Years are taken to begin in March, so that the day that comes and goes is the last one; 400 of them always
 * have as many days. */
#include "lib/civil.h"

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
