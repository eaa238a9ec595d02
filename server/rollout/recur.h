/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules that say when something begins again and again: the RRULE of RFC 5545, and cron's five fields. Pure.
 *
 * DESIGN. Time here is local, seconds since 1970 as the clock on the wall shows it; what that is in UTC is
 * the zone's business (lib/zone.h). Both notations become one struct: a period (hour to year) that comes
 * every `interval`, and lists that say which days and times of the period count. An empty list says
 * nothing. Cron is a period of a day.
 * Not taken: periods under an hour and seconds (a window is no alarm clock), and calendars other than the
 * Gregorian (RSCALE). */
#ifndef ROLLOUT_RECUR_H
#define ROLLOUT_RECUR_H

#include "lib/err.h"

#include <stdbool.h>
#include <stdint.h>

#define RECUR_TEXT_MAX 512 /* bytes of a rule, with the NUL */
#define RECUR_LIST_MAX 64

enum recur_period { RECUR_HOURLY, RECUR_DAILY, RECUR_WEEKLY, RECUR_MONTHLY, RECUR_YEARLY };

/* Sorted; negative ones count from the end. */
struct recur_list {
	int n;
	int16_t v[RECUR_LIST_MAX];
};

struct recur {
	enum recur_period period;
	int interval;
	int week_start; /* day of the week, 0: Sunday */
	int64_t from;   /* local: it does not begin earlier, and periods are counted from here */
	int64_t until;  /* local, it may begin then; INT64_MAX: for ever */
	int64_t count;  /* so often in all; 0: for ever */
	struct recur_list months, week_numbers, year_days, month_days, hours, minutes, positions;
	struct recur_list
		days; /* of the week, 0: Sunday; plus 7 times the how-manieth, if one is given */
	bool either;  /* cron: a day counts if month_days or days say so */
};

/* Read "FREQ=WEEKLY;BYDAY=MO,TU;BYHOUR=22" into *out; `from` is its DTSTART. FL_INVALID with a sentence. */
enum fl_code recur_rrule(
	const char *text, int64_t from, struct recur *out, struct fl_err *err) FL_MUST_CHECK;
/* Read "0 22 * * mon-fri": minute, hour, day of the month, month, day of the week. FL_INVALID. */
enum fl_code recur_cron(
	const char *text, int64_t from, struct recur *out, struct fl_err *err) FL_MUST_CHECK;

/* Another code than FL_OK ends the loop. */
typedef enum fl_code (*recur_fn)(void *context, int64_t local_s, struct fl_err *err);
/* [from, to), local. */
struct recur_span {
	int64_t from, to;
};
/* Call fn for each beginning in the span, in their order. */
enum fl_code recur_each(const struct recur *r, const struct recur_span *span, recur_fn fn,
	void *context, struct fl_err *err) FL_MUST_CHECK;

/* Put a value where it belongs in a list; one that is there stays alone. False when the list is full. */
bool recur_list_add(struct recur_list *l, int v);

#endif
