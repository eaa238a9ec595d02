/* SPDX-License-Identifier: Apache-2.0
 *
 * Range headers and lists of entity tags: whatever they hold, the ranges that come out lie inside of
 * the file and share no byte. The first two bytes are the size of the file. */
#include <stdint.h>
#include <stdlib.h>

#include "lib/buf.h"
#include "server/http/file_ranges.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check(const struct file_ranges *r, int64_t size)
{
	FL_BUG_IF(r->n == 0 || r->n > FILE_RANGES_MAX);
	for (size_t i = 0; i < r->n; i++) {
		const struct file_range *a = &r->at[i];

		FL_BUG_IF(a->first < 0 || a->length < 1 || a->first > size - a->length);
		for (size_t j = 0; j < i; j++) {
			const struct file_range *b = &r->at[j];

			FL_BUG_IF(
				a->first < b->first + b->length && b->first < a->first + a->length);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	struct file_ranges ranges;
	int64_t size;

	if (n < 2)
		return 0;
	size = p[0] << 8 | p[1];
	fl_buf_add(&text, p + 2, n - 2);
	if (file_ranges_parse((const char *)text.p, size, &ranges) == FILE_RANGES_SOME)
		check(&ranges, size);
	(void)file_ranges_has_tag((const char *)text.p, "abc", true);
	return 0;
}
