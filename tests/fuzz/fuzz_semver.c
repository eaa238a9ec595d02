/* SPDX-License-Identifier: Apache-2.0
 *
 * Versions and ranges from arbitrary text: "version\nversion\nrange". Whatever it is, parsing ends, and
 * what was taken keeps the rules of an order. */
#include "lib/semver.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static int sign(int x)
{
	return (x > 0) - (x < 0);
}

static void check(const char *first, const char *second, const char *range)
{
	struct fl_semver a, b;
	struct fl_range r;
	struct fl_err err;
	int parsed = (fl_semver_parse(first, &a, &err) == FL_OK) +
		2 * (fl_semver_parse(second, &b, &err) == FL_OK);

	if (parsed == 3) {
		int order = sign(fl_semver_compare(&a, &b));

		if (order != -sign(fl_semver_compare(&b, &a)) || fl_semver_compare(&a, &a) != 0 ||
			(order != 0 && order != sign(fl_semver_order(&a, &b))))
			abort();
	}
	if (fl_range_parse(range, &r, &err) == FL_OK && (parsed & 1) != 0)
		(void)fl_range_has(&r, &a);
	/* A version is a range that has exactly itself. */
	if ((parsed & 1) != 0 && fl_range_parse(first, &r, &err) == FL_OK && !fl_range_has(&r, &a))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char *text = malloc(n + 3), *second, *range;

	if (text == NULL)
		return 0;
	if (n > 0)
		memcpy(text, p, n);
	memset(text + n, 0, 3);
	second = strchr(text, '\n');
	second = second == NULL ? text + n : second;
	*second = '\0';
	second += second < text + n;
	range = strchr(second, '\n');
	range = range == NULL ? text + n : range;
	*range = '\0';
	range += range < text + n;
	check(text, second, range);
	free(text);
	return 0;
}
