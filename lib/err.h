/* SPDX-License-Identifier: Apache-2.0
 *
 * One kind of error for all programs: a code from tbl/errors.h and a sentence for a person.
 *
 * DESIGN. A fallible function returns enum fl_code (FL_OK is 0) and takes `struct fl_err *err`
 * last. Results go out through pointers that are untouched on failure. The sentence says what,
 * which object, why, and what to do. Each layer may wrap it; it is logged or shown once, where it
 * is consumed. The message has a fixed size, so that "out of memory" can still be said. */
#ifndef FL_ERR_H
#define FL_ERR_H

#include <stdarg.h>
#include <stddef.h>

#define FL_MUST_CHECK   __attribute__((warn_unused_result))
#define FL_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* What can go wrong; the rows of tbl/errors.h. */
enum fl_code {
	FL_OK = 0,
#define FL_ERR(code, http, exit, type, title) FL_##code,
#include "lib/tbl/errors.h"
#undef FL_ERR
	FL_CODE_MAX
};

#define FL_ERR_MSG_MAX 512

/* An error on its way up. Zeroed memory is a valid "no error". Any fl_ function takes NULL for it. */
struct fl_err {
	enum fl_code code;
	char msg[FL_ERR_MSG_MAX]; /* a sentence without a final dot or newline */
};

/* Set `err` (may be NULL) to `code` and a printf sentence; returns `code`, so that a caller can
 * write `return fl_fail(err, FL_INVALID, "…", …)`. Arguments may be parts of err->msg. */
enum fl_code fl_fail(struct fl_err *err, enum fl_code code, const char *fmt, ...) FL_PRINTF(3, 4);

/* Like fl_fail with the text of `errnum` appended; chooses FL_FULL, FL_NOMEM or FL_IO from it. */
enum fl_code fl_fail_errno(struct fl_err *err, int errnum, const char *fmt, ...) FL_PRINTF(3, 4);

/* Put "prefix: " before the sentence of `err` and return its code. With err NULL nobody knows the
 * code any more (FL_INTERNAL): a caller that may be given NULL returns its own. */
enum fl_code fl_wrap(struct fl_err *err, const char *fmt, ...) FL_PRINTF(2, 3);

/* The row of tbl/errors.h. Static strings; `code` may be anything, unknown ones are INTERNAL. */
int fl_http_status(enum fl_code code);
int fl_exit_code(enum fl_code code);
const char *fl_problem_type(enum fl_code code);
const char *fl_title(enum fl_code code);

/* Our own defect: print the place and the condition with a backtrace to stderr and abort. */
void fl_bug(const char *file, int line, const char *what) __attribute__((noreturn));

/* Assert that stays in production: `cond` must be false. */
#define FL_BUG_IF(cond)                                    \
	do {                                               \
		if (__builtin_expect(!!(cond), 0))         \
			fl_bug(__FILE__, __LINE__, #cond); \
	} while (0)

#endif
