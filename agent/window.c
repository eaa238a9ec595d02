/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/window.h"

#include <stdio.h>
#include <string.h>

#define DAY_MINUTES (24 * 60)

static const char *const names[7] = { "Su", "Mo", "Tu", "We", "Th", "Fr", "Sa" };

/* ---- reading */

static void skip_blanks(const char **p)
{
	while (**p == ' ')
		(*p)++;
}

static bool take_day(const char **p, unsigned *day)
{
	for (unsigned i = 0; i < 7; i++) {
		if (strncmp(*p, names[i], 2) == 0) {
			*day = i;
			*p += 2;
			return true;
		}
	}
	return false;
}

/* "Mo", "Mo-Fr" or several of them with commas; *days stays 0 without any. */
static bool take_days(const char **p, unsigned *days)
{
	unsigned from, to;

	while (take_day(p, &from)) {
		to = from;
		if (**p == '-') {
			(*p)++;
			if (!take_day(p, &to))
				return false;
		}
		for (unsigned day = from;; day = (day + 1) % 7) {
			*days |= 1u << day;
			if (day == to)
				break;
		}
		if (**p != ',')
			return true;
		(*p)++;
		skip_blanks(p);
	}
	return *days == 0;
}

static bool take_minute(const char **p, int *minute)
{
	int hour, of_hour, n = 0;

	if (sscanf(*p, "%2d:%2d%n", &hour, &of_hour, &n) != 2 || n != 5 || hour < 0 ||
		of_hour < 0 || of_hour > 59 || hour * 60 + of_hour > DAY_MINUTES)
		return false;
	*minute = hour * 60 + of_hour;
	*p += n;
	return true;
}

static bool take_hours(const char **p, struct window_hours *h)
{
	skip_blanks(p);
	if (!take_days(p, &h->days))
		return false;
	if (h->days == 0)
		h->days = 0x7f;
	skip_blanks(p);
	if (!take_minute(p, &h->begin) || h->begin == DAY_MINUTES || *(*p)++ != '-' ||
		!take_minute(p, &h->end))
		return false;
	skip_blanks(p);
	if (**p == ',')
		(*p)++;
	else if (**p != '\0')
		return false;
	skip_blanks(p);
	return true;
}

enum fl_code window_parse(const char *text, struct window *out, struct fl_err *err)
{
	struct window w = { 0 };
	const char *p = text;

	skip_blanks(&p);
	while (*p != '\0') {
		if (w.n == WINDOW_MAX)
			return fl_fail(err, FL_INVALID, "at most %d windows", WINDOW_MAX);
		if (!take_hours(&p, &w.hours[w.n++]))
			return fl_fail(err, FL_INVALID,
				"\"%.80s\" is no window; write it as Mo-Fr 22:00-05:00", text);
	}
	*out = w;
	return FL_OK;
}

/* ---- asking */

static bool has_day(const struct window_hours *h, int day)
{
	return (h->days >> (unsigned)((day + 7) % 7) & 1u) != 0;
}

static bool open_at(const struct window_hours *h, int day, int minute)
{
	if (h->begin < h->end)
		return has_day(h, day) && minute >= h->begin && minute < h->end;
	return (has_day(h, day) && minute >= h->begin) || (has_day(h, day - 1) && minute < h->end);
}

bool window_open(const struct window *w, const struct tm *local)
{
	for (size_t i = 0; i < w->n; i++) {
		if (open_at(&w->hours[i], local->tm_wday, local->tm_hour * 60 + local->tm_min))
			return true;
	}
	return w->n == 0;
}

void window_next(const struct window *w, const struct tm *local, char out[16])
{
	int now = local->tm_hour * 60 + local->tm_min, best = 8 * DAY_MINUTES;

	for (size_t i = 0; i < w->n; i++) {
		for (int ahead = 0; ahead <= 7; ahead++) {
			int at = ahead * DAY_MINUTES + w->hours[i].begin;

			if (has_day(&w->hours[i], local->tm_wday + ahead) && at > now && at < best)
				best = at;
		}
	}
	(void)snprintf(out, 16, "%s %02d:%02d", names[(local->tm_wday + best / DAY_MINUTES) % 7],
		best % DAY_MINUTES / 60, best % 60);
}
