/* SPDX-License-Identifier: Apache-2.0
 *
 * Conditions and ranges of a request for a file (RFC 9110 13.1, 14.1, 14.2). Pure: texts in,
 * decisions out. */
#ifndef HTTP_FILE_RANGES_H
#define HTTP_FILE_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FILE_RANGES_MAX 150 /* more than that in one request: the whole file is sent */

struct file_range {
	int64_t first, length;
};

struct file_ranges {
	size_t n;
	struct file_range at[FILE_RANGES_MAX];
};

enum file_ranges_verdict {
	FILE_RANGES_WHOLE, /* no range that we must heed: send everything */
	FILE_RANGES_SOME,  /* send out->at[0..n), n >= 1 */
	FILE_RANGES_NONE,  /* all of them lie outside: 416 */
};

/* Read a Range header (NULL: there is none) for a file of `size` bytes. Ranges that overlap or touch
 * are joined, so that no byte is sent twice; otherwise the order of the request is kept. `out` is
 * set for FILE_RANGES_SOME only. */
enum file_ranges_verdict file_ranges_parse(
	const char *range, int64_t size, struct file_ranges *out);

/* Whether a list of entity tags (of If-Match, If-None-Match) has `etag` (given without quotes) or is
 * "*". `weak`: W/ tags count too (the comparison of If-None-Match). */
bool file_ranges_has_tag(const char *list, const char *etag, bool weak);

#endif
