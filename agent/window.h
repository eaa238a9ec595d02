/* SPDX-License-Identifier: Apache-2.0
 *
 * When a device may switch: hours of the week, in its own time zone. */
#ifndef AGENT_WINDOW_H
#define AGENT_WINDOW_H

#include "lib/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#define WINDOW_MAX 16

/* From `begin` to `end`, minutes of a day, on the days of the mask (bit 0: Sunday). An end that is not
 * behind the beginning lies on the next day. */
struct window_hours {
	unsigned days;
	int begin, end;
};

struct window {
	struct window_hours hours[WINDOW_MAX];
	size_t n; /* 0: always open */
};

/* Read "Mo-Fr 22:00-05:00, Sa,Su 00:00-24:00"; without days it is every day. Empty: always. Days are Mo Tu
 * We Th Fr Sa Su. FL_INVALID with a sentence. */
enum fl_code window_parse(const char *text, struct window *out, struct fl_err *err) FL_MUST_CHECK;
/* Whether it is open at `local`, a time of localtime_r. */
bool window_open(const struct window *w, const struct tm *local);
/* When it opens next after `local`, as "Mo 22:00"; only for one that is closed. */
void window_next(const struct window *w, const struct tm *local, char out[16]);

#endif
