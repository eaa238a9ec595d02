/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts for people: sizes, times, shares, and what a terminal makes of a string.
 *
 * Memory: fleetctl is a short-lived program; where a small allocation fails it says so and ends
 * (exit code of FL_NOMEM). So the functions that return a string never return NULL. */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include "lib/buf.h"

#include <stdint.h>
#include <time.h>

#define TEXT_SHORT 64 /* room enough for any of the texts below */

/* calloc that ends the program instead of failing. The caller frees. */
void *text_alloc(size_t n, size_t size);
/* realloc of an array to n elements; ends the program instead of failing. */
void *text_grow(void *old, size_t n, size_t size);
/* A new string, printf. The caller frees. */
char *text_format(const char *fmt, ...) FL_PRINTF(1, 2);
/* End the program if an append to `b` failed for lack of memory. */
void text_check(const struct fl_buf *b);

/* "17 B", "3.4 MiB"; "-" below zero. `out` has TEXT_SHORT bytes, as below; returns `out`. */
const char *text_bytes(char *out, int64_t bytes);
/* "450 ms", "12 s", "3 min 20 s", "2 h 5 min", "4 d 3 h"; "-" below zero. */
const char *text_seconds(char *out, double seconds);
/* "98.2 %", "100 %", "-" when `share` (0..1) is below zero or not a number. */
const char *text_share(char *out, double share);
/* "12,345". */
const char *text_count(char *out, int64_t n);
/* "1 device", "2,000 devices" for n and "device". */
const char *text_plural(char *out, int64_t n, const char *noun);
/* How long ago the RFC 3339 `when` was: "20 s ago", "in 3 min"; "-" for NULL, `when` as it is if it
 * does not parse. */
const char *text_age(char *out, const char *when, time_t now);
/* "until 2026-11-23 15:56:20 UTC, for 59 min"; how long only if it is to come. */
const char *text_until(char *out, const char *when, time_t now);

/* Seconds since 1970 of an RFC 3339 time in UTC ("2026-11-23T08:00:00.000Z"); FL_INVALID. */
enum fl_code text_time_parse(const char *s, int64_t *out, struct fl_err *err) FL_MUST_CHECK;
/* "90", "90s", "15min", "1h30min", "2d" as seconds; FL_INVALID with a sentence. */
enum fl_code text_duration_parse(const char *s, int64_t *out, struct fl_err *err) FL_MUST_CHECK;

/* Columns that `s` (UTF-8) takes on a terminal. */
size_t text_width(const char *s);
/* Append at most `width` columns of `s`; if it does not fit, its beginning and an ellipsis. `utf8`
 * says whether the terminal can show "…". Control characters, which could command the terminal,
 * become '?', line breaks and tabs blanks. */
void text_cut(struct fl_buf *b, const char *s, size_t width, bool utf8);
/* Append `s` without control characters. */
void text_clean(struct fl_buf *b, const char *s);

#endif
