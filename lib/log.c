/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/log.h"

#include "lib/buf.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const level_texts[] = { "error", "warning", "info", "debug" };

static atomic_int log_level = FL_LOG_INFO;
static atomic_bool log_json;

void fl_log_setup(enum fl_log_level level, bool json)
{
	atomic_store(&log_level, (int)level);
	atomic_store(&log_json, json);
}

enum fl_code fl_log_level_parse(const char *s, enum fl_log_level *out, struct fl_err *err)
{
	for (size_t i = 0; i < FL_COUNT(level_texts); i++) {
		if (strcmp(s, level_texts[i]) == 0) {
			*out = (enum fl_log_level)i;
			return FL_OK;
		}
	}
	return fl_fail(
		err, FL_INVALID, "\"%s\" is not a log level; use error, warning, info or debug", s);
}

bool fl_log_on(enum fl_log_level level)
{
	return (int)level <= atomic_load_explicit(&log_level, memory_order_relaxed);
}

static void add_time(struct fl_buf *b)
{
	struct timespec now;
	struct tm tm;
	char text[32];

	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)gmtime_r(&now.tv_sec, &tm);
	(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	fl_buf_printf(b, "%s.%03ldZ", text, now.tv_nsec / 1000000);
}

/* Values that hold blanks, quotes or control characters are quoted as in JSON. */
static void add_value(struct fl_buf *b, const struct fl_log_field *f, bool json)
{
	if (f->text == NULL)
		fl_buf_printf(b, "%lld", (long long)f->number);
	else if (json || f->text[0] == '\0' ||
		strcspn(f->text, " \"=\\\n\r\t\x1b") != strlen(f->text))
		fl_buf_json(b, f->text, strlen(f->text));
	else
		fl_buf_str(b, f->text);
}

static void line_json(struct fl_buf *b, enum fl_log_level level, const char *msg,
	const struct fl_log_field *f, size_t n)
{
	fl_buf_str(b, "{\"time\":\"");
	add_time(b);
	fl_buf_printf(b, "\",\"level\":\"%s\",\"msg\":", level_texts[level]);
	fl_buf_json(b, msg, strlen(msg));
	for (size_t i = 0; i < n; i++) {
		fl_buf_printf(b, ",\"%s\":", f[i].key);
		add_value(b, &f[i], true);
	}
	fl_buf_str(b, "}\n");
}

static void line_text(struct fl_buf *b, enum fl_log_level level, const char *msg,
	const struct fl_log_field *f, size_t n)
{
	add_time(b);
	fl_buf_printf(b, " %-7s %s", level_texts[level], msg);
	for (size_t i = 0; i < n; i++) {
		fl_buf_printf(b, " %s=", f[i].key);
		add_value(b, &f[i], false);
	}
	fl_buf_byte(b, '\n');
}

void fl_log_write(enum fl_log_level level, const char *msg, const struct fl_log_field *f, size_t n)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };
	ssize_t done;

	if (atomic_load(&log_json))
		line_json(&b, level, msg, f, n);
	else
		line_text(&b, level, msg, f, n);
	if (b.failed)
		return;
	/* One write a line, so that lines of several threads do not mix. */
	done = write(STDERR_FILENO, b.p, b.n);
	(void)done; /* nobody could be told */
}
