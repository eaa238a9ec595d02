/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/zone.h"

#include "lib/civil.h"
#include "lib/file.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER      "/usr/share/zoneinfo"
#define FILE_MAX    (256 * 1024)
#define HEAD        44
#define TYPES_MAX   256
#define CHANGES_MAX 20000

/* When the clock is changed in a year: month, week (5: the last), day of the week; or a day of the year. */
struct change {
	enum { CHANGE_WEEKDAY, CHANGE_JULIAN, CHANGE_DAY } kind;
	int month, week, day;
	int64_t at_s; /* local time of that day */
};

/* The rule behind the table: "CET-1CEST,M3.5.0,M10.5.0/3". */
struct tail {
	bool there, changes;
	struct fl_zone_time winter, summer;
	struct change begin, end; /* of summer time */
};

struct fl_zone {
	size_t n, n_types;
	int64_t *at;   /* of n changes */
	uint8_t *type; /* what holds from then on */
	struct fl_zone_time types[TYPES_MAX];
	struct tail tail;
};

void fl_zone_free(struct fl_zone *z)
{
	if (z == NULL)
		return;
	free(z->at);
	free(z->type);
	free(z);
}

/* ---- the tail's rule */

static bool take_number(const char **p, int max, int *out)
{
	int v = 0, digits = 0;

	for (; isdigit((unsigned char)**p) && digits < 4; (*p)++, digits++)
		v = 10 * v + (**p - '0');
	*out = v;
	return digits > 0 && v <= max;
}

/* [+-]hh[:mm[:ss]] in seconds. */
static bool take_time(const char **p, int64_t *out)
{
	int parts[3] = { 0 }, sign = **p == '-' ? -1 : 1;

	if (**p == '-' || **p == '+')
		(*p)++;
	for (int i = 0; i < 3; i++) {
		if (i > 0 && **p != ':')
			break;
		*p += i > 0;
		if (!take_number(p, i == 0 ? 167 : 59, &parts[i]))
			return false;
	}
	*out = sign * (parts[0] * 3600LL + parts[1] * 60LL + parts[2]);
	return true;
}

/* "CET" or "<+03>". */
static bool take_abbr(const char **p, char out[FL_ZONE_ABBR_MAX])
{
	bool quoted = **p == '<';
	const char *begin = *p + quoted, *end = begin;

	while (quoted ? *end != '>' && *end != '\0' : isalpha((unsigned char)*end))
		end++;
	if (end - begin < 3 || end - begin >= FL_ZONE_ABBR_MAX || (quoted && *end == '\0'))
		return false;
	(void)snprintf(out, FL_ZONE_ABBR_MAX, "%.*s", (int)(end - begin), begin);
	*p = end + quoted;
	return true;
}

static bool take_change(const char **p, struct change *c)
{
	bool fine;

	if (*(*p)++ != ',')
		return false;
	*c = (struct change){ .kind = CHANGE_DAY, .at_s = 7200 };
	if (**p == 'M') {
		(*p)++;
		c->kind = CHANGE_WEEKDAY;
		fine = take_number(p, 12, &c->month) && c->month > 0 && *(*p)++ == '.' &&
			take_number(p, 5, &c->week) && c->week > 0 && *(*p)++ == '.' &&
			take_number(p, 6, &c->day);
	} else {
		if (**p == 'J') {
			(*p)++;
			c->kind = CHANGE_JULIAN;
		}
		fine = take_number(p, 365, &c->day);
	}
	if (!fine || **p != '/')
		return fine;
	(*p)++;
	return take_time(p, &c->at_s);
}

/* Read "STD offset [DST [offset],begin,end]"; the signs there are the other way round. */
static bool read_tail(const char *p, struct tail *t)
{
	int64_t west;

	if (!take_abbr(&p, t->winter.abbr) || !take_time(&p, &west))
		return false;
	t->there = true;
	t->winter.offset_s = (int32_t)-west;
	if (*p == '\0')
		return true;
	if (!take_abbr(&p, t->summer.abbr))
		return false;
	west -= 3600;
	if (*p != ',' && !take_time(&p, &west))
		return false;
	t->summer.offset_s = (int32_t)-west;
	t->summer.summer = true;
	t->changes = true;
	return take_change(&p, &t->begin) && take_change(&p, &t->end) && *p == '\0';
}

static int64_t day_s(int year, int month, int day)
{
	return fl_civil_number(year, month, day) * FL_DAY_S;
}

static bool leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* The local time of a change in a year. */
static int64_t change_in(const struct change *c, int year)
{
	int64_t first, day;

	if (c->kind == CHANGE_DAY)
		return day_s(year, 1, 1) + (int64_t)c->day * FL_DAY_S + c->at_s;
	if (c->kind == CHANGE_JULIAN) /* February 29 is never counted */
		return day_s(year, 1, 1) +
			(c->day - 1 + (leap(year) && c->day >= 60)) * (int64_t)FL_DAY_S + c->at_s;
	first = day_s(year, c->month, 1);
	day = (c->day - fl_civil_weekday(first / FL_DAY_S) + 7) % 7 + (c->week - 1) * 7;
	while (first + day * FL_DAY_S >= day_s(year, c->month + 1, 1))
		day -= 7;
	return first + day * FL_DAY_S + c->at_s;
}

static const struct fl_zone_time *by_tail(const struct tail *t, int64_t utc_s)
{
	int64_t begin, end;
	int year;

	if (!t->changes)
		return &t->winter;
	year = fl_civil_of(fl_floor_div(utc_s + t->winter.offset_s, FL_DAY_S)).year;
	begin = change_in(&t->begin, year) - t->winter.offset_s;
	end = change_in(&t->end, year) - t->summer.offset_s;
	if (begin < end)
		return utc_s >= begin && utc_s < end ? &t->summer : &t->winter;
	return utc_s >= end && utc_s < begin ? &t->winter : &t->summer;
}

/* ---- the file */

static int64_t big_endian(const uint8_t *p, size_t n)
{
	uint64_t v = (p[0] & 0x80) != 0 ? ~UINT64_C(0) : 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return (int64_t)v;
}

/* The six counts of a head, in the order of the file. */
enum { ISUT, ISSTD, LEAPS, CHANGES, TYPES, CHARS, COUNTS };

/* Bytes of a block with times of `wide` bytes; 0 if it cannot be one. */
static size_t block_size(const uint8_t *head, size_t wide, size_t counts[COUNTS])
{
	for (size_t i = 0; i < COUNTS; i++) {
		counts[i] = (size_t)big_endian(head + 20 + 4 * i, 4);
		if (counts[i] > CHANGES_MAX)
			return 0;
	}
	if (counts[TYPES] == 0 || counts[TYPES] > TYPES_MAX)
		return 0;
	return counts[CHANGES] * (wide + 1) + counts[TYPES] * 6 + counts[CHARS] +
		counts[LEAPS] * (wide + 4) + counts[ISSTD] + counts[ISUT];
}

static bool read_types(
	struct fl_zone *z, const uint8_t *p, const uint8_t *chars, const size_t *counts)
{
	for (size_t i = 0; i < counts[TYPES]; i++, p += 6) {
		struct fl_zone_time *t = &z->types[i];
		size_t left = p[5] < counts[CHARS] ? counts[CHARS] - p[5] : 0;

		t->offset_s = (int32_t)big_endian(p, 4);
		t->summer = p[4] != 0;
		if (left == 0 || t->offset_s < -2 * FL_DAY_S || t->offset_s > 2 * FL_DAY_S)
			return false;
		(void)snprintf(
			t->abbr, sizeof(t->abbr), "%.*s", (int)left, (const char *)chars + p[5]);
	}
	z->n_types = counts[TYPES];
	return true;
}

/* A block: times of changes, what follows them, what that means. */
static bool read_block(struct fl_zone *z, const uint8_t *p, size_t wide, const size_t *counts)
{
	size_t n = counts[CHANGES];
	const uint8_t *types = p + n * wide;

	z->at = calloc(n + 1, sizeof(*z->at));
	z->type = calloc(n + 1, sizeof(*z->type));
	if (z->at == NULL || z->type == NULL)
		return false;
	for (size_t i = 0; i < n; i++) {
		z->at[i] = big_endian(p + i * wide, wide);
		z->type[i] = types[i];
		if (types[i] >= counts[TYPES] || (i > 0 && z->at[i] <= z->at[i - 1]))
			return false;
	}
	z->n = n;
	return read_types(z, types + n, types + n + counts[TYPES] * 6, counts);
}

/* What stands between two newlines behind the last block. */
static bool read_footer(struct fl_zone *z, struct fl_bytes rest)
{
	char text[128];
	const uint8_t *end =
		rest.n < 2 || rest.p[0] != '\n' ? NULL : memchr(rest.p + 1, '\n', rest.n - 1);
	size_t n = end == NULL ? 0 : (size_t)(end - rest.p) - 1;

	if (end == NULL || n >= sizeof(text))
		return false;
	memcpy(text, rest.p + 1, n);
	text[n] = '\0';
	return n == 0 || read_tail(text, &z->tail);
}

static bool is_head(struct fl_bytes file, size_t at)
{
	return file.n >= at + HEAD && memcmp(file.p + at, "TZif", 4) == 0;
}

static bool parse(struct fl_zone *z, struct fl_bytes file)
{
	size_t counts[COUNTS], size, at = HEAD, wide = 4;

	if (!is_head(file, 0) || (size = block_size(file.p, wide, counts)) == 0)
		return false;
	if (file.p[4] != '\0') { /* the second block has the wide times */
		if (size > file.n || !is_head(file, at + size))
			return false;
		at += size;
		wide = 8;
		if ((size = block_size(file.p + at, wide, counts)) == 0)
			return false;
		at += HEAD;
	}
	if (size > file.n - at || !read_block(z, file.p + at, wide, counts))
		return false;
	return wide == 4 || read_footer(z, fl_bytes(file.p + at + size, file.n - at - size));
}

enum fl_code fl_zone_read(struct fl_bytes file, struct fl_zone **out, struct fl_err *err)
{
	struct fl_zone *z = calloc(1, sizeof(*z));

	if (z == NULL)
		return fl_fail(err, FL_NOMEM, "there is no memory for a time zone");
	if (!parse(z, file)) {
		fl_zone_free(z);
		return fl_fail(err, FL_CORRUPT, "this is no time zone file");
	}
	*out = z;
	return FL_OK;
}

/* ---- by name */

static bool is_name(const char *name)
{
	size_t n =
		strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/");

	return n > 0 && n < FL_ZONE_NAME_MAX && name[n] == '\0' && name[0] != '/';
}

static enum fl_code utc(struct fl_zone **out, struct fl_err *err)
{
	struct fl_zone *z = calloc(1, sizeof(*z));

	if (z == NULL)
		return fl_fail(err, FL_NOMEM, "there is no memory for a time zone");
	(void)read_tail("UTC0", &z->tail);
	*out = z;
	return FL_OK;
}

enum fl_code fl_zone_load(const char *name, struct fl_zone **out, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf file = { 0 };
	const char *folder = getenv("TZDIR");
	char path[4096];
	enum fl_code code;

	if (strcmp(name, "UTC") == 0)
		return utc(out, err);
	if (!is_name(name) ||
		snprintf(path, sizeof(path), "%s/%s",
			folder != NULL && folder[0] == '/' ? folder : FOLDER,
			name) >= (int)sizeof(path))
		return fl_fail(err, FL_NOT_FOUND, "there is no time zone \"%.64s\"", name);
	code = fl_file_get(path, FILE_MAX, &file, NULL);
	if (code == FL_NOMEM)
		return fl_fail(err, code, "there is no memory for a time zone");
	if (code == FL_OK)
		code = fl_zone_read(fl_bytes(file.p, file.n), out, err);
	return code == FL_OK ? FL_OK
			     : fl_fail(err, FL_NOT_FOUND,
				       "there is no time zone \"%.64s\" in this server's tzdata; "
				       "names look like Europe/Berlin",
				       name);
}

/* ---- asking */

static const struct fl_zone_time *find(const struct fl_zone *z, int64_t utc_s)
{
	size_t low = 0, high = z->n; /* the first change after it */

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (z->at[middle] > utc_s)
			high = middle;
		else
			low = middle + 1;
	}
	if (low == z->n && z->tail.there)
		return by_tail(&z->tail, utc_s);
	return &z->types[low == 0 ? 0 : z->type[low - 1]];
}

void fl_zone_at(const struct fl_zone *z, int64_t utc_s, struct fl_zone_time *out)
{
	*out = *find(z, utc_s);
}

int64_t fl_zone_utc(const struct fl_zone *z, int64_t local_s)
{
	int64_t before = find(z, local_s - FL_DAY_S)->offset_s;
	int64_t after = find(z, local_s + FL_DAY_S)->offset_s;

	if (find(z, local_s - before)->offset_s != before &&
		find(z, local_s - after)->offset_s == after)
		return local_s - after;
	return local_s - before;
}
