/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of reports: what devices said, as it came. */
#ifndef STORE_REPORT_H
#define STORE_REPORT_H

#include "server/store/store.h"

struct report {
	int64_t id;
	int64_t device_no;
	int64_t stage_id; /* 0: about no step */
	int64_t at;       /* ms */
	const char *state;
	const char *cause;
	const char *detail;
};

/* Called per row; the texts end with the call. Another code than FL_OK ends the loop. */
typedef enum fl_code (*report_fn)(void *context, const struct report *r, struct fl_err *err);

/* Append (id and at are ignored). Write lane. */
enum fl_code report_add(
	struct store *store, const struct report *r, struct fl_err *err) FL_MUST_CHECK;
/* Up to `limit` reports of a device with ids below `before` (0: the newest), newest first. */
enum fl_code report_each(struct store *store, int64_t device_no, int64_t before, int64_t limit,
	report_fn fn, void *context, struct fl_err *err) FL_MUST_CHECK;

#endif
