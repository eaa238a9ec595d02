/* SPDX-License-Identifier: Apache-2.0
 *
 * When a rule's beginnings are. A period is taken as its days and times; those that no list excludes
 * count. */
#include "server/rollout/recur.h"

#include "lib/civil.h"

#include <string.h>

bool recur_list_add(struct recur_list *l, int v)
{
	int i = 0;

	while (i < l->n && l->v[i] < v)
		i++;
	if (i < l->n && l->v[i] == v)
		return true;
	if (l->n == RECUR_LIST_MAX)
		return false;
	memmove(&l->v[i + 1], &l->v[i], (size_t)(l->n - i) * sizeof(l->v[0]));
	l->v[i] = (int16_t)v;
	l->n++;
	return true;
}

/* ---- days */

struct day {
	int64_t number; /* since 1970-01-01 */
	int year, month, month_day, year_day, week_day;
	int month_days, year_days; /* how many there are */
};

static struct day day_of(int64_t number)
{
	struct fl_civil c = fl_civil_of(number);
	struct day d = { .number = number,
		.year = c.year,
		.month = c.month,
		.month_day = c.day,
		.week_day = fl_civil_weekday(number) };
	int64_t year = fl_civil_number(c.year, 1, 1);

	d.year_day = (int)(number - year) + 1;
	d.year_days = (int)(fl_civil_number(c.year + 1, 1, 1) - year);
	d.month_days = (int)(fl_civil_number(c.year, c.month + 1, 1) -
		fl_civil_number(c.year, c.month, 1));
	return d;
}

/* ---- does a day count? */

/* Whether a list says nothing, or names the v-th of n, from the front or from the end. */
static bool names(const struct recur_list *l, int v, int n)
{
	for (int i = 0; i < l->n; i++)
		if (l->v[i] == v || l->v[i] == v - n - 1)
			return true;
	return l->n == 0;
}

static bool has(const struct recur_list *l, int v)
{
	for (int i = 0; i < l->n; i++)
		if (l->v[i] == v)
			return true;
	return l->n == 0;
}

/* The first day of the week that a day is in. */
static int64_t week_begin(const struct recur *r, int64_t number)
{
	return number - (fl_civil_weekday(number) - r->week_start + 7) % 7;
}

/* The first day of the first week of a year: the one with at least four of its days. */
static int64_t year_begin(const struct recur *r, int year)
{
	return week_begin(r, fl_civil_number(year, 1, 4));
}

static bool in_weeks(const struct recur *r, const struct day *d)
{
	int year = d->year;
	int64_t begin, next;

	if (r->week_numbers.n == 0)
		return true;
	if (d->number >= year_begin(r, year + 1))
		year++;
	else if (d->number < year_begin(r, year))
		year--;
	begin = year_begin(r, year);
	next = year_begin(r, year + 1);
	return names(
		&r->week_numbers, (int)((d->number - begin) / 7) + 1, (int)((next - begin) / 7));
}

/* The how-manieth of its kind a day is, in the month or in the year, from either end. */
static bool is_weekday(const struct recur *r, const struct day *d)
{
	bool of_month =
		r->period == RECUR_MONTHLY || (r->period == RECUR_YEARLY && r->months.n > 0);
	int at = of_month ? d->month_day : d->year_day;
	int n = of_month ? d->month_days : d->year_days;

	for (int i = 0; i < r->days.n; i++) {
		int v = r->days.v[i], week_day = (v % 7 + 7) % 7, nth = (v - week_day) / 7;

		if (week_day == d->week_day &&
			(nth == 0 || nth == (at - 1) / 7 + 1 || nth == -((n - at) / 7 + 1)))
			return true;
	}
	return r->days.n == 0;
}

static bool counts(const struct recur *r, const struct day *d)
{
	bool by_month = names(&r->month_days, d->month_day, d->month_days);
	bool by_week = is_weekday(r, d);

	return has(&r->months, d->month) && in_weeks(r, d) &&
		names(&r->year_days, d->year_day, d->year_days) &&
		(r->either ? by_month || by_week : by_month && by_week);
}

/* ---- periods */

/* The number of the period that a local time is in. */
static int64_t period_of(const struct recur *r, int64_t local_s)
{
	int64_t number = fl_floor_div(local_s, FL_DAY_S);
	struct day d;

	switch (r->period) {
	case RECUR_HOURLY:
		return fl_floor_div(local_s, FL_HOUR_S);
	case RECUR_DAILY:
		return number;
	case RECUR_WEEKLY:
		return fl_floor_div(number + 4 - r->week_start, 7);
	default:
		d = day_of(number);
		return r->period == RECUR_YEARLY ? d.year : d.year * 12LL + d.month - 1;
	}
}

/* Its first day. */
static int64_t begin_of(const struct recur *r, int64_t period)
{
	switch (r->period) {
	case RECUR_HOURLY:
		return fl_floor_div(period, 24);
	case RECUR_DAILY:
		return period;
	case RECUR_WEEKLY:
		return period * 7 - 4 + r->week_start;
	case RECUR_MONTHLY:
		return fl_civil_number((int)fl_floor_div(period, 12),
			(int)(period - fl_floor_div(period, 12) * 12) + 1, 1);
	default:
		return fl_civil_number((int)period, 1, 1);
	}
}

/* One walk over the times of a period. */
struct walk {
	const struct recur *r;
	const struct recur_span *span;
	recur_fn fn; /* NULL: only count */
	void *context;
	int64_t hour;  /* of the day; -1: all that count */
	int64_t at, n; /* place in the period, from 1; how many there are */
	int64_t left;  /* how many may still come; -1: for ever */
	bool over;     /* behind the end */
};

static enum fl_code visit(struct walk *w, int64_t local_s, struct fl_err *err)
{
	w->at++;
	if (w->fn == NULL)
		return FL_OK;
	if (local_s >= w->span->to || local_s > w->r->until || w->left == 0) {
		w->over = true;
		return FL_OK;
	}
	if (!names(&w->r->positions, (int)w->at, (int)w->n) || local_s < w->r->from)
		return FL_OK;
	w->left -= w->left > 0;
	return local_s < w->span->from ? FL_OK : w->fn(w->context, local_s, err);
}

static enum fl_code walk_day(struct walk *w, int64_t number, struct fl_err *err)
{
	const struct recur *r = w->r;
	struct day d = day_of(number);
	enum fl_code code = FL_OK;

	if (!counts(r, &d))
		return FL_OK;
	for (int h = 0; h < 24 && code == FL_OK && !w->over; h++) {
		if ((w->hour >= 0 && h != w->hour) || !has(&r->hours, h))
			continue;
		for (int m = 0; m < r->minutes.n && code == FL_OK && !w->over; m++)
			code = visit(
				w, number * FL_DAY_S + h * FL_HOUR_S + r->minutes.v[m] * 60, err);
	}
	return code;
}

static enum fl_code walk_period(struct walk *w, int64_t period, struct fl_err *err)
{
	int64_t begin = begin_of(w->r, period), end = begin_of(w->r, period + 1);
	enum fl_code code = FL_OK;

	w->at = 0;
	w->hour = w->r->period == RECUR_HOURLY ? period - begin * 24 : -1;
	if (end == begin)
		end++;
	for (int64_t d = begin; d < end && code == FL_OK && !w->over; d++)
		code = walk_day(w, d, err);
	return code;
}

enum fl_code recur_each(const struct recur *r, const struct recur_span *span, recur_fn fn,
	void *context, struct fl_err *err)
{
	int64_t first = period_of(r, r->from), period = first;
	struct walk w = { .r = r, .span = span, .left = r->count > 0 ? r->count : -1 };
	enum fl_code code = FL_OK;

	w.context = context;
	if (r->count == 0 && span->from > r->from)
		period += (period_of(r, span->from) - first) / r->interval * r->interval;
	while (code == FL_OK && !w.over && begin_of(r, period) * FL_DAY_S < span->to) {
		if (r->positions.n > 0) {
			w.fn = NULL;
			code = walk_period(&w, period, err);
			w.n = w.at;
		}
		w.fn = fn;
		if (code == FL_OK)
			code = walk_period(&w, period, err);
		period += r->interval;
	}
	return code;
}
