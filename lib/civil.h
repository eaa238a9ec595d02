/* SPDX-License-Identifier: Apache-2.0
 *
 * Days of the Gregorian calendar. Pure: no clock, no zone. */
#ifndef FL_CIVIL_H
#define FL_CIVIL_H

#include "lib/err.h"

#include <stdint.h>

#define FL_HOUR_S 3600
#define FL_DAY_S  86400

struct fl_civil {
	int year, month, day; /* month and day from 1 */
};

/* The number of a day since 1970-01-01; a month outside of 1 to 12 is one of another year. */
int64_t fl_civil_number(int year, int month, int day);
/* The reverse. */
struct fl_civil fl_civil_of(int64_t number);
/* Day of the week, 0: Sunday. */
int fl_civil_weekday(int64_t number);
/* a / b rounded down; b above 0. */
int64_t fl_floor_div(int64_t a, int64_t b);

/* "2026-11-24T22:00:00Z", "2026-11-24T22:00:00.5+01:00": a time of RFC 3339 as ms since 1970. FL_INVALID
 * with a sentence. */
enum fl_code fl_moment_read(const char *text, int64_t *ms, struct fl_err *err) FL_MUST_CHECK;

#endif
