/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/err.h"

#include <errno.h>
#include <execinfo.h> /* backtrace_symbols_fd */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct row {
	int http, exit;
	const char *type, *title;
};

static const struct row rows[FL_CODE_MAX] = {
	[FL_OK] = { 200, 0, "about:blank", "OK" },
#define FL_ERR(code, http, exit, type, title) [FL_##code] = { http, exit, type, title },
#include "lib/tbl/errors.h"
#undef FL_ERR
};

static const struct row *row_of(enum fl_code code)
{
	return (unsigned)code < FL_CODE_MAX ? &rows[code] : &rows[FL_INTERNAL];
}

static void set(struct fl_err *err, enum fl_code code, const char *fmt, va_list ap) FL_PRINTF(3, 0);
static void set(struct fl_err *err, enum fl_code code, const char *fmt, va_list ap)
{
	char text[FL_ERR_MSG_MAX];

	(void)vsnprintf(text, sizeof(text), fmt, ap); /* cut at the end is what we want */
	err->code = code;
	memcpy(err->msg, text, sizeof(text));
}

enum fl_code fl_fail(struct fl_err *err, enum fl_code code, const char *fmt, ...)
{
	va_list ap;

	if (err != NULL) {
		va_start(ap, fmt);
		set(err, code, fmt, ap);
		va_end(ap);
	}
	return code;
}

static enum fl_code code_of_errno(int errnum)
{
	switch (errnum) {
	case ENOSPC:
	case EDQUOT:
		return FL_FULL;
	case ENOMEM:
		return FL_NOMEM;
	default:
		return FL_IO;
	}
}

enum fl_code fl_fail_errno(struct fl_err *err, int errnum, const char *fmt, ...)
{
	enum fl_code code = code_of_errno(errnum);
	va_list ap;
	size_t n;

	if (err == NULL)
		return code;
	va_start(ap, fmt);
	set(err, code, fmt, ap);
	va_end(ap);
	n = strlen(err->msg);
	(void)snprintf(err->msg + n, sizeof(err->msg) - n, ": %s", strerror(errnum));
	return code;
}

enum fl_code fl_wrap(struct fl_err *err, const char *fmt, ...)
{
	char old[FL_ERR_MSG_MAX];
	va_list ap;
	size_t n;

	if (err == NULL)
		return FL_INTERNAL;
	memcpy(old, err->msg, sizeof(old));
	va_start(ap, fmt);
	set(err, err->code, fmt, ap);
	va_end(ap);
	n = strlen(err->msg);
	(void)snprintf(err->msg + n, sizeof(err->msg) - n, ": %s", old);
	return err->code;
}

int fl_http_status(enum fl_code code)
{
	return row_of(code)->http;
}

int fl_exit_code(enum fl_code code)
{
	return row_of(code)->exit;
}

const char *fl_problem_type(enum fl_code code)
{
	return row_of(code)->type;
}

const char *fl_title(enum fl_code code)
{
	return row_of(code)->title;
}

void fl_bug(const char *file, int line, const char *what)
{
	void *frames[32];
	int n = backtrace(frames, 32);

	(void)fprintf(stderr, "fleetd: defect at %s:%d: %s\n", file, line, what);
	backtrace_symbols_fd(frames, n, STDERR_FILENO);
	abort();
}
