/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of jobs: work in slices that goes on from its cursor after a crash. A job is named by its kind
 * and what it is about; there is one of each at a time. */
#ifndef STORE_JOB_H
#define STORE_JOB_H

#include "server/store/store.h"

#include "lib/buf.h"

/* Called per job; the texts end with the call. Another code than FL_OK ends the loop. */
typedef enum fl_code (*job_fn)(
	void *context, const char *kind, int64_t subject, struct fl_err *err);

/* Begin a job, or begin it again from cursor 0. `argument` is JSON. Write lane, as are all that change. */
enum fl_code job_begin(struct store *store, const char *kind, int64_t subject, const char *argument,
	struct fl_err *err) FL_MUST_CHECK;
/* Where a job is; its argument is appended to `argument` (NULL: not wanted). FL_NOT_FOUND (err
 * untouched) when there is no such job. */
enum fl_code job_get(struct store *store, const char *kind, int64_t subject, int64_t *cursor,
	struct fl_buf *argument, struct fl_err *err) FL_MUST_CHECK;
/* Move on, in the transaction that did the slice. */
enum fl_code job_advance(struct store *store, const char *kind, int64_t subject, int64_t cursor,
	struct fl_err *err) FL_MUST_CHECK;
/* End a job; none is fine. */
enum fl_code job_end(
	struct store *store, const char *kind, int64_t subject, struct fl_err *err) FL_MUST_CHECK;
/* Every job, oldest first. */
enum fl_code job_each(
	struct store *store, job_fn fn, void *context, struct fl_err *err) FL_MUST_CHECK;

#endif
