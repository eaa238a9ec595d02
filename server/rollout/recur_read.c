/* SPDX-License-Identifier: Apache-2.0
 *
 * The two notations of a rule that recurs. */
#include "server/rollout/recur.h"

#include "lib/civil.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define INTERVAL_MAX 1000
#define COUNT_MAX    100000

static const char *const day_names[7] = { "SU", "MO", "TU", "WE", "TH", "FR", "SA" };

static bool take_number(const char **p, int *out)
{
	char *end;
	long v;

	if (!isdigit((unsigned char)**p) && **p != '-' && **p != '+')
		return false;
	v = strtol(*p, &end, 10);
	if (end == *p || v < -1000000 || v > 1000000)
		return false;
	*p = end;
	*out = (int)v;
	return true;
}

/* ---- RRULE: lists */

/* A number from `least` (or, negative, from -most) to `most`; 0 only if it is the least. */
static bool in_range(int v, int least, int most, bool negative)
{
	return (v >= least && v <= most) || (negative && v <= -1 && v >= -most);
}

struct part {
	const char *key;
	size_t list; /* offset in struct recur */
	int least, most;
	bool negative;
};

#define LIST_(member) offsetof(struct recur, member)
static const struct part parts[] = {
	{ "BYMONTH", LIST_(months), 1, 12, false },
	{ "BYWEEKNO", LIST_(week_numbers), 1, 53, true },
	{ "BYYEARDAY", LIST_(year_days), 1, 366, true },
	{ "BYMONTHDAY", LIST_(month_days), 1, 31, true },
	{ "BYHOUR", LIST_(hours), 0, 23, false },
	{ "BYMINUTE", LIST_(minutes), 0, 59, false },
	{ "BYSETPOS", LIST_(positions), 1, 366, true },
};

static enum fl_code read_list(
	const char *p, const struct part *part, struct recur_list *l, struct fl_err *err)
{
	int v;

	for (;;) {
		if (!take_number(&p, &v) || (*p != '\0' && *p != ',') ||
			!in_range(v, part->least, part->most, part->negative))
			return fl_fail(err, FL_INVALID, "%s holds numbers from %d to %d%s",
				part->key, part->least, part->most,
				part->negative ? ", or as many from the end with a minus" : "");
		if (!recur_list_add(l, v))
			return fl_fail(err, FL_INVALID, "%s names more than %d", part->key,
				RECUR_LIST_MAX);
		if (*p++ == '\0')
			return FL_OK;
	}
}

static int day_named(const char *p)
{
	for (int i = 0; i < 7; i++)
		if (strncasecmp(p, day_names[i], 2) == 0)
			return i;
	return -1;
}

/* "MO", "2MO", "-1FR", with commas. */
static enum fl_code read_days(const char *p, struct recur_list *l, struct fl_err *err)
{
	for (;;) {
		int nth = 0, day;
		bool numbered = take_number(&p, &nth);

		day = day_named(p);
		if (day < 0 || (numbered && !in_range(nth, 1, 53, true)) ||
			(p[2] != '\0' && p[2] != ',') || !recur_list_add(l, 7 * nth + day))
			return fl_fail(err, FL_INVALID,
				"BYDAY holds days as MO or, of a month or year, 2MO and -1FR");
		if (p[2] == '\0')
			return FL_OK;
		p += 3;
	}
}

/* ---- RRULE: the rest */

/* 20261231 or 20261231T220000; a Z behind it is of no account, the rule's time is local. */
static enum fl_code read_until(const char *p, int64_t *until, struct fl_err *err)
{
	int year, month, day, hour = 23, minute = 59, second = 59, n = 0, m = 0;

	if (sscanf(p, "%4d%2d%2d%n", &year, &month, &day, &n) != 3 || n != 8)
		return fl_fail(err, FL_INVALID, "UNTIL looks like 20261231T220000");
	p += n;
	if (*p == 'T' && (sscanf(p, "T%2d%2d%2d%n", &hour, &minute, &second, &m) != 3 || m != 7))
		return fl_fail(err, FL_INVALID, "UNTIL looks like 20261231T220000");
	p += m;
	if (*p != '\0' && strcmp(p, "Z") != 0)
		return fl_fail(err, FL_INVALID, "UNTIL looks like 20261231T220000");
	*until = fl_civil_number(year, month, day) * FL_DAY_S + hour * FL_HOUR_S + minute * 60 +
		second;
	return FL_OK;
}

static enum fl_code read_period(const char *word, struct recur *r, struct fl_err *err)
{
	static const char *const words[] = { "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(word, words[i]) == 0) {
			r->period = (enum recur_period)i;
			return FL_OK;
		}
	}
	return fl_fail(err, FL_INVALID,
		"FREQ is HOURLY, DAILY, WEEKLY, MONTHLY or YEARLY, not \"%.16s\"", word);
}

static enum fl_code read_number(
	const char *key, const char *p, int most, int *out, struct fl_err *err)
{
	if (!take_number(&p, out) || *p != '\0' || *out < 1 || *out > most)
		return fl_fail(err, FL_INVALID, "%s is a number from 1 to %d", key, most);
	return FL_OK;
}

static enum fl_code read_part(
	const char *key, const char *value, struct recur *r, struct fl_err *err)
{
	int v = 0;
	enum fl_code code;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strcmp(key, parts[i].key) == 0)
			return read_list(value, &parts[i],
				(struct recur_list *)((char *)r + parts[i].list), err);
	if (strcmp(key, "BYDAY") == 0)
		return read_days(value, &r->days, err);
	if (strcmp(key, "FREQ") == 0)
		return read_period(value, r, err);
	if (strcmp(key, "UNTIL") == 0)
		return read_until(value, &r->until, err);
	if (strcmp(key, "INTERVAL") == 0)
		return read_number(key, value, INTERVAL_MAX, &r->interval, err);
	if (strcmp(key, "WKST") == 0) {
		r->week_start = day_named(value);
		return r->week_start >= 0 && value[2] == '\0'
			? FL_OK
			: fl_fail(err, FL_INVALID, "WKST is a day as MO");
	}
	if (strcmp(key, "COUNT") != 0)
		return fl_fail(err, FL_INVALID, "\"%.16s\" is not known in a rule", key);
	code = read_number(key, value, COUNT_MAX, &v, err);
	r->count = v;
	return code;
}

/* What the lists leave open is as at DTSTART. */
static void complete(struct recur *r)
{
	int64_t number = fl_floor_div(r->from, FL_DAY_S), rest = r->from - number * FL_DAY_S;
	struct fl_civil at = fl_civil_of(number);
	bool said =
		r->week_numbers.n > 0 || r->year_days.n > 0 || r->month_days.n > 0 || r->days.n > 0;

	if (r->minutes.n == 0)
		(void)recur_list_add(&r->minutes, (int)(rest % FL_HOUR_S / 60));
	if (r->hours.n == 0 && r->period != RECUR_HOURLY)
		(void)recur_list_add(&r->hours, (int)(rest / FL_HOUR_S));
	if (!said && r->period == RECUR_WEEKLY)
		(void)recur_list_add(&r->days, fl_civil_weekday(number));
	if (!said && r->period == RECUR_YEARLY && r->months.n == 0)
		(void)recur_list_add(&r->months, at.month);
	if (!said && (r->period == RECUR_MONTHLY || r->period == RECUR_YEARLY))
		(void)recur_list_add(&r->month_days, at.day);
	if (r->period == RECUR_YEARLY && r->week_numbers.n > 0 && r->days.n == 0)
		(void)recur_list_add(&r->days, fl_civil_weekday(number));
}

/* What RFC 5545 forbids, or gives no sense. */
static enum fl_code check(const struct recur *r, struct fl_err *err)
{
	bool numbered = false;

	for (int i = 0; i < r->days.n; i++)
		numbered = numbered || r->days.v[i] < 0 || r->days.v[i] > 6;
	if (numbered && r->period != RECUR_MONTHLY && r->period != RECUR_YEARLY)
		return fl_fail(err, FL_INVALID,
			"a numbered day as 2MO goes with FREQ=MONTHLY or YEARLY only");
	if (r->week_numbers.n > 0 && r->period != RECUR_YEARLY)
		return fl_fail(err, FL_INVALID, "BYWEEKNO goes with FREQ=YEARLY only");
	if (numbered && r->week_numbers.n > 0)
		return fl_fail(err, FL_INVALID, "BYWEEKNO and a numbered day exclude each other");
	if (r->count > 0 && r->until != INT64_MAX)
		return fl_fail(err, FL_INVALID, "COUNT and UNTIL exclude each other");
	return FL_OK;
}

enum fl_code recur_rrule(const char *text, int64_t from, struct recur *out, struct fl_err *err)
{
	struct recur r = { .interval = 1, .week_start = 1, .from = from, .until = INT64_MAX };
	char copy[RECUR_TEXT_MAX], seen[RECUR_TEXT_MAX] = ";", *rest = copy, *part;
	bool freq = false;
	enum fl_code code = FL_OK;

	if (strlen(text) >= sizeof(copy))
		return fl_fail(err, FL_INVALID, "a rule has at most %d bytes", RECUR_TEXT_MAX - 1);
	(void)snprintf(copy, sizeof(copy), "%s", text);
	while (code == FL_OK && (part = strsep(&rest, ";")) != NULL) {
		char *value = strchr(part, '='), key[20];

		if (value == NULL || value - part > 16)
			return fl_fail(err, FL_INVALID,
				"a rule looks like FREQ=WEEKLY;BYDAY=MO,TU;BYHOUR=22");
		*value++ = '\0';
		for (char *c = part; *c != '\0'; c++)
			*c = (char)toupper((unsigned char)*c);
		(void)snprintf(key, sizeof(key), ";%s;", part);
		if (strstr(seen, key) != NULL)
			return fl_fail(err, FL_INVALID, "%s stands twice in a rule", part);
		(void)snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%s;", part);
		freq = freq || strcmp(part, "FREQ") == 0;
		code = read_part(part, value, &r, err);
	}
	if (code == FL_OK && !freq)
		code = fl_fail(err, FL_INVALID, "a rule needs FREQ, as FREQ=DAILY");
	if (code == FL_OK)
		code = check(&r, err);
	if (code != FL_OK)
		return code;
	complete(&r);
	*out = r;
	return FL_OK;
}

/* ---- cron */

struct field {
	const char *name;
	int least, most;
	const char *words; /* three letters each, from `least` on; NULL: none */
};

static const struct field cron_fields[] = {
	{ "minute", 0, 59, NULL },
	{ "hour", 0, 23, NULL },
	{ "day of the month", 1, 31, NULL },
	{ "month", 1, 12, "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC" },
	{ "day of the week", 0, 7, "SUNMONTUEWEDTHUFRISAT" },
};

static bool take_value(const char **p, const struct field *f, int *out)
{
	if (isdigit((unsigned char)**p))
		return take_number(p, out) && *out >= f->least && *out <= f->most;
	for (int i = 0; f->words != NULL && f->words[3 * i] != '\0'; i++) {
		if (strncasecmp(*p, f->words + 3 * i, 3) == 0) {
			*out = f->least + i;
			*p += 3;
			return true;
		}
	}
	return false;
}

/* One element: a value, a range, or all; with a step. */
static bool take_element(const char **p, const struct field *f, struct recur_list *l)
{
	int from = f->least, to = f->most, step = 1;
	bool one = false;

	if (**p == '*') {
		(*p)++;
		to -= f->most == 7; /* Sunday is 0 and 7 */
	} else {
		if (!take_value(p, f, &from))
			return false;
		one = **p != '-';
		to = from;
		if (!one) {
			(*p)++;
			if (!take_value(p, f, &to))
				return false;
			/* sun stands for 0; fri-sun ends at 7 */
			to += f->most == 7 && to == 0 && from > 0 ? 7 : 0;
		}
	}
	if (**p == '/') {
		(*p)++;
		if (!isdigit((unsigned char)**p) || !take_number(p, &step) || step < 1)
			return false;
		to = one ? f->most : to;
	}
	for (int v = from; v <= to; v += step)
		if (!recur_list_add(l, f->most == 7 ? v % 7 : v))
			return false;
	return from <= to;
}

/* One field; `all`: it begins with a star, that is, it restricts nothing by itself. */
static enum fl_code take_field(
	const char **p, const struct field *f, struct recur_list *l, bool *all, struct fl_err *err)
{
	*p += strspn(*p, " \t");
	*all = **p == '*';
	for (;;) {
		if (!take_element(p, f, l) ||
			(**p != ',' && **p != ' ' && **p != '\t' && **p != '\0'))
			return fl_fail(err, FL_INVALID,
				"cron: the %s is *, a number from %d to %d, a range, a list, or "
				"one of them with a step",
				f->name, f->least, f->most);
		if (**p != ',')
			return FL_OK;
		(*p)++;
	}
}

enum fl_code recur_cron(const char *text, int64_t from, struct recur *out, struct fl_err *err)
{
	struct recur r = { .period = RECUR_DAILY,
		.interval = 1,
		.week_start = 1,
		.from = from,
		.until = INT64_MAX };
	struct recur_list *const lists[] = { &r.minutes, &r.hours, &r.month_days, &r.months,
		&r.days };
	bool all[5];
	const char *p = text;

	for (size_t i = 0; i < 5; i++)
		if (take_field(&p, &cron_fields[i], lists[i], &all[i], err) != FL_OK)
			return FL_INVALID;
	p += strspn(p, " \t");
	if (*p != '\0')
		return fl_fail(err, FL_INVALID,
			"cron has five fields: minute, hour, day of the month, month, day of the "
			"week");
	/* as cron does: when both are restricted, either is enough */
	r.either = !all[2] && !all[4];
	*out = r;
	return FL_OK;
}
