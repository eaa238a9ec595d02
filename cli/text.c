/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h> /* wcwidth */

static void *or_die(void *p)
{
	if (p != NULL)
		return p;
	(void)fputs("fleetctl: there is not enough memory\n", stderr);
	exit(fl_exit_code(FL_NOMEM));
}

void *text_alloc(size_t n, size_t size)
{
	return or_die(calloc(n == 0 ? 1 : n, size));
}

void *text_grow(void *old, size_t n, size_t size)
{
	return or_die(reallocarray(old, n == 0 ? 1 : n, size));
}

char *text_format(const char *fmt, ...)
{
	char *out = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&out, fmt, ap) < 0)
		out = NULL;
	va_end(ap);
	return or_die(out);
}

void text_check(const struct fl_buf *b)
{
	if (b->failed)
		(void)or_die(NULL);
}

const char *text_bytes(char *out, int64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double n = (double)bytes;
	size_t unit = 0;

	while (n >= 1023.95 && unit + 1 < FL_COUNT(units)) {
		n /= 1024;
		unit++;
	}
	if (bytes < 0)
		(void)snprintf(out, TEXT_SHORT, "-");
	else if (unit == 0 || n >= 99.95)
		(void)snprintf(out, TEXT_SHORT, "%.0f %s", n, units[unit]);
	else
		(void)snprintf(out, TEXT_SHORT, "%.1f %s", n, units[unit]);
	return out;
}

/* "3 min 20 s": the larger unit and, if there is one, a rest of the smaller. */
static void two_units(
	char *out, int64_t large, const char *large_unit, int64_t rest, const char *rest_unit)
{
	if (rest > 0)
		(void)snprintf(out, TEXT_SHORT, "%lld %s %lld %s", (long long)large, large_unit,
			(long long)rest, rest_unit);
	else
		(void)snprintf(out, TEXT_SHORT, "%lld %s", (long long)large, large_unit);
}

const char *text_seconds(char *out, double seconds)
{
	int64_t s = (int64_t)(seconds + 0.5);

	if (isnan(seconds) || seconds < 0)
		(void)snprintf(out, TEXT_SHORT, "-");
	else if (seconds > 0 && seconds < 0.9995)
		(void)snprintf(out, TEXT_SHORT, "%.0f ms", seconds * 1000);
	else if (seconds > 0 && seconds < 9.95 && fabs(seconds - (double)s) >= 0.05)
		(void)snprintf(out, TEXT_SHORT, "%.1f s", seconds);
	else if (s < 60)
		(void)snprintf(out, TEXT_SHORT, "%lld s", (long long)s);
	else if (s < 3600)
		two_units(out, s / 60, "min", s % 60, "s");
	else if (s < 86400)
		two_units(out, s / 3600, "h", s % 3600 / 60, "min");
	else
		two_units(out, s / 86400, "d", s % 86400 / 3600, "h");
	return out;
}

const char *text_share(char *out, double share)
{
	double percent = share * 100;

	if (isnan(share) || share < 0)
		(void)snprintf(out, TEXT_SHORT, "-");
	else if (percent > 0 && percent < 0.05)
		(void)snprintf(out, TEXT_SHORT, "<0.1 %%");
	else if (percent < 100 && percent >= 99.95) /* not all: never print 100 */
		(void)snprintf(out, TEXT_SHORT, ">99.9 %%");
	else if (fabs(percent - round(percent)) < 0.05)
		(void)snprintf(out, TEXT_SHORT, "%.0f %%", percent);
	else
		(void)snprintf(out, TEXT_SHORT, "%.1f %%", percent);
	return out;
}

const char *text_count(char *out, int64_t n)
{
	char digits[24];
	size_t length, at = 0;

	(void)snprintf(digits, sizeof(digits), "%lld", (long long)n);
	length = strlen(digits);
	for (size_t i = 0; i < length; i++) {
		out[at++] = digits[i];
		if ((length - i) % 3 == 1 && i + 1 < length && digits[i] != '-')
			out[at++] = ',';
	}
	out[at] = '\0';
	return out;
}

const char *text_plural(char *out, int64_t n, const char *noun)
{
	char count[TEXT_SHORT];

	(void)snprintf(out, TEXT_SHORT, "%.24s %.20s%s", text_count(count, n), noun, fl_plural(n));
	return out;
}

enum fl_code text_time_parse(const char *s, int64_t *out, struct fl_err *err)
{
	struct tm tm = { 0 };
	const char *rest = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);

	if (rest != NULL && *rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	if (rest == NULL || strcmp(rest, "Z") != 0)
		return fl_fail(err, FL_INVALID, "not a time like 2026-11-23T08:00:00Z: %.40s", s);
	*out = (int64_t)timegm(&tm);
	return FL_OK;
}

/* One unit is enough to say how long ago something was. */
static const char *span_of(char *out, int64_t seconds)
{
	static const struct {
		int64_t below, unit;
		const char *name;
	} units[] = { { 60, 1, "s" }, { 7200, 60, "min" }, { 172800, 3600, "h" },
		{ INT64_MAX, 86400, "d" } };
	size_t i = 0;

	while (seconds >= units[i].below)
		i++;
	(void)snprintf(
		out, TEXT_SHORT, "%lld %s", (long long)(seconds / units[i].unit), units[i].name);
	return out;
}

const char *text_age(char *out, const char *when, time_t now)
{
	char span[TEXT_SHORT];
	int64_t at;

	if (when == NULL) {
		(void)snprintf(out, TEXT_SHORT, "-");
	} else if (text_time_parse(when, &at, NULL) != FL_OK) {
		(void)snprintf(out, TEXT_SHORT, "%.40s", when);
	} else if (at > now) {
		(void)snprintf(out, TEXT_SHORT, "in %.40s", span_of(span, at - now));
	} else {
		(void)snprintf(out, TEXT_SHORT, "%.40s ago", span_of(span, now - at));
	}
	return out;
}

const char *text_until(char *out, const char *when, time_t now)
{
	char span[TEXT_SHORT];
	int64_t at;

	if (text_time_parse(when, &at, NULL) != FL_OK)
		(void)snprintf(out, TEXT_SHORT, "until %.40s", when);
	else if (at <= now)
		(void)snprintf(out, TEXT_SHORT, "until %.10s %.8s UTC", when, when + 11);
	else
		(void)snprintf(out, TEXT_SHORT, "until %.10s %.8s UTC, for %.20s", when, when + 11,
			text_seconds(span, (double)(at - now)));
	return out;
}

static int64_t unit_seconds(const char *unit, size_t n)
{
	static const struct {
		const char *name;
		int64_t seconds;
	} units[] = { { "s", 1 }, { "sec", 1 }, { "m", 60 }, { "min", 60 }, { "h", 3600 },
		{ "d", 86400 }, { "w", 604800 } };

	for (size_t i = 0; i < FL_COUNT(units); i++) {
		if (strlen(units[i].name) == n && strncmp(units[i].name, unit, n) == 0)
			return units[i].seconds;
	}
	return 0;
}

enum fl_code text_duration_parse(const char *s, int64_t *out, struct fl_err *err)
{
	const char *p = s;
	int64_t total = 0;

	while (*p != '\0') {
		char *end;
		long long n;
		size_t length;
		int64_t unit, part;

		errno = 0;
		n = strtoll(p, &end, 10);
		length = strspn(end, "abcdefghijklmnopqrstuvwxyz");
		unit = length == 0 && end[0] == '\0' && p == s ? 1 : unit_seconds(end, length);
		if (end == p || *p == '-' || *p == '+' || *p == ' ' || errno != 0 || unit == 0)
			break;
		if (__builtin_mul_overflow((int64_t)n, unit, &part) ||
			__builtin_add_overflow(total, part, &total))
			break;
		p = end + length;
	}
	if (*p != '\0' || p == s)
		return fl_fail(err, FL_INVALID,
			"\"%.40s\" is not a duration; write it like 90s, 15min, 1h30min or 2d", s);
	*out = total;
	return FL_OK;
}

/* Decode one code point; a malformed byte counts as one unknown character. */
static size_t decode(const char *s, uint32_t *point)
{
	const uint8_t *u = (const uint8_t *)s;
	size_t n = u[0] < 0x80 ? 1 : u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : u[0] >= 0xc0 ? 2 : 0;

	*point = n == 1 ? u[0] : n == 0 ? 0xfffd : u[0] & (0x7fU >> n);
	for (size_t i = 1; i < n; i++) {
		if ((u[i] & 0xc0) != 0x80) {
			*point = 0xfffd;
			return i;
		}
		*point = *point << 6 | (u[i] & 0x3f);
	}
	return n == 0 ? 1 : n;
}

static bool is_control(uint32_t point)
{
	return point < 0x20 || (point >= 0x7f && point < 0xa0) ||
		(point >= 0x202a && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
}

/* The C locale knows no width of what is not ASCII; one column is the best guess there. */
static size_t columns(uint32_t point)
{
	int n = wcwidth((wchar_t)point);

	return n < 0 ? 1 : (size_t)n;
}

size_t text_width(const char *s)
{
	size_t width = 0;

	while (*s != '\0') {
		uint32_t point;

		s += decode(s, &point);
		width += columns(point);
	}
	return width;
}

static void add_part(struct fl_buf *b, const char *s, size_t width)
{
	size_t used = 0;

	while (*s != '\0') {
		uint32_t point;
		size_t n = decode(s, &point);

		used += columns(point);
		if (used > width)
			return;
		if (is_control(point)) /* a line break in a table or sentence is a blank */
			fl_buf_byte(b, point == '\n' || point == '\t' || point == '\r' ? ' ' : '?');
		else
			fl_buf_add(b, s, n);
		s += n;
	}
}

void text_cut(struct fl_buf *b, const char *s, size_t width, bool utf8)
{
	const char *dots = utf8 ? "…" : "..";
	size_t room = utf8 ? 1 : 2;

	if (text_width(s) <= width) {
		add_part(b, s, width);
	} else if (width <= room) {
		add_part(b, s, width);
	} else {
		add_part(b, s, width - room);
		fl_buf_str(b, dots);
	}
}

void text_clean(struct fl_buf *b, const char *s)
{
	add_part(b, s, SIZE_MAX);
}
