/* SPDX-License-Identifier: Apache-2.0
 *
 * Time zones of the system's tzdata: what a clock on the wall shows there, and the reverse.
 *
 * DESIGN. The files are read here and not with localtime: that knows one zone per process. A file is
 * TZif (RFC 9636): a table of changes, and a rule for the years behind it. A zone never changes once it
 * is read; any thread may ask it. */
#ifndef FL_ZONE_H
#define FL_ZONE_H

#include "lib/digest.h" /* fl_bytes */

#include <stdbool.h>
#include <stdint.h>

#define FL_ZONE_NAME_MAX 64 /* bytes of the name of a zone, with the NUL */
#define FL_ZONE_ABBR_MAX 8

struct fl_zone;

/* What holds at a moment. */
struct fl_zone_time {
	int32_t offset_s; /* local time minus UTC */
	bool summer;
	char abbr[FL_ZONE_ABBR_MAX]; /* "CET" */
};

/* Read the zone `name`, as Europe/Berlin, from the folder TZDIR or that of the system. UTC is always
 * there. *out is to be freed. FL_NOT_FOUND with a sentence when there is none, FL_CORRUPT. */
enum fl_code fl_zone_load(const char *name, struct fl_zone **out, struct fl_err *err) FL_MUST_CHECK;
/* The same from the bytes of a file. */
enum fl_code fl_zone_read(
	struct fl_bytes file, struct fl_zone **out, struct fl_err *err) FL_MUST_CHECK;
/* Free; NULL is fine. */
void fl_zone_free(struct fl_zone *z);

/* What holds at `utc_s`, seconds since 1970. */
void fl_zone_at(const struct fl_zone *z, int64_t utc_s, struct fl_zone_time *out);
/* The moment, UTC seconds, at which the clock shows `local_s` (seconds since 1970 as if it were UTC). A
 * time that exists twice is the first one; one that a change leaves out is taken as the time before the
 * change would have gone on: 02:30 of a skipped hour is 03:30. Both as RFC 5545 says. */
int64_t fl_zone_utc(const struct fl_zone *z, int64_t local_s);

#endif
