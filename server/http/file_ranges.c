/* SPDX-License-Identifier: Apache-2.0 */
#include "server/http/file_ranges.h"

#include <string.h>
#include <strings.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static const char *skip_blanks(const char *p)
{
	while (is_blank(*p))
		p++;
	return p;
}

/* Digits to a number, INT64_MAX when there are too many; NULL if there is no digit. */
static const char *parse_number(const char *p, int64_t *out)
{
	int64_t n = 0;

	if (*p < '0' || *p > '9')
		return NULL;
	for (; *p >= '0' && *p <= '9'; p++)
		n = n > (INT64_MAX - 9) / 10 ? INT64_MAX : n * 10 + (*p - '0');
	*out = n;
	return p;
}

/* int-range or suffix-range. r->length 0: it lies outside of the file. NULL: a syntax error. */
static const char *parse_one(const char *p, int64_t size, struct file_range *r)
{
	int64_t first, last = INT64_MAX;

	if (*p == '-') {
		p = parse_number(p + 1, &last);
		r->length = last < size ? last : size;
		r->first = size - r->length;
		return p;
	}
	p = parse_number(p, &first);
	if (p == NULL || *p != '-')
		return NULL;
	p++;
	if (*p >= '0' && *p <= '9')
		p = parse_number(p, &last);
	if (last < first)
		return NULL;
	if (last > size - 1)
		last = size - 1;
	r->first = first;
	r->length = first < size ? last - first + 1 : 0;
	return p;
}

static bool touches(const struct file_range *a, const struct file_range *b)
{
	return a->first <= b->first + b->length && b->first <= a->first + a->length;
}

static void drop_range(struct file_ranges *set, size_t i)
{
	memmove(&set->at[i], &set->at[i + 1], (set->n - i - 1) * sizeof(set->at[0]));
	set->n--;
}

/* Add `r`, joined with those that it touches, at the place of the first of them. */
static void add_range(struct file_ranges *set, struct file_range r)
{
	size_t place = set->n;

	for (size_t i = 0; i < set->n;) {
		int64_t end = r.first + r.length, other = set->at[i].first + set->at[i].length;

		if (!touches(&r, &set->at[i])) {
			i++;
			continue;
		}
		r.first = r.first < set->at[i].first ? r.first : set->at[i].first;
		r.length = (end > other ? end : other) - r.first;
		place = place < i ? place : i;
		drop_range(set, i);
		i = 0; /* the larger one may touch more */
	}
	place = place < set->n ? place : set->n;
	memmove(&set->at[place + 1], &set->at[place], (set->n - place) * sizeof(set->at[0]));
	set->at[place] = r;
	set->n++;
}

enum file_ranges_verdict file_ranges_parse(const char *range, int64_t size, struct file_ranges *out)
{
	size_t given = 0;

	if (range == NULL || size == 0 || strncasecmp(range, "bytes", 5) != 0)
		return FILE_RANGES_WHOLE;
	range = skip_blanks(range + 5);
	if (*range++ != '=')
		return FILE_RANGES_WHOLE;
	out->n = 0;
	for (;;) {
		struct file_range r;

		range = skip_blanks(range);
		if (*range != ',' && *range != '\0') {
			range = parse_one(range, size, &r);
			if (range == NULL || ++given > FILE_RANGES_MAX)
				return FILE_RANGES_WHOLE;
			if (r.length > 0)
				add_range(out, r);
			range = skip_blanks(range);
		}
		if (*range == '\0')
			break;
		if (*range++ != ',')
			return FILE_RANGES_WHOLE;
	}
	if (given == 0)
		return FILE_RANGES_WHOLE;
	return out->n > 0 ? FILE_RANGES_SOME : FILE_RANGES_NONE;
}

bool file_ranges_has_tag(const char *list, const char *etag, bool weak)
{
	size_t n = strlen(etag);

	for (const char *p = list;;) {
		bool is_weak;
		const char *end;

		while (is_blank(*p) || *p == ',')
			p++;
		if (*p == '*')
			return true;
		is_weak = p[0] == 'W' && p[1] == '/';
		p += is_weak ? 2 : 0;
		if (*p != '"' || (end = strchr(p + 1, '"')) == NULL)
			return false;
		if ((weak || !is_weak) && (size_t)(end - p - 1) == n && memcmp(p + 1, etag, n) == 0)
			return true;
		p = end + 1;
	}
}
