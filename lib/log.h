/* SPDX-License-Identifier: Apache-2.0
 *
 * The log of all programs: one line a fact, `key=value` or JSON, to stderr.
 *
 * error: an operator must act; warning: it will heal; info: happened once; debug: may be per
 * request. A line says the object, the fact, the consequence and the next action. Secrets never.
 * Events of the audit trail are not logs; see server/events.h. Thread-safe. */
#ifndef FL_LOG_H
#define FL_LOG_H

#include "lib/err.h"

#include <stdbool.h>
#include <stdint.h>

enum fl_log_level { FL_LOG_ERROR, FL_LOG_WARNING, FL_LOG_INFO, FL_LOG_DEBUG };

/* One field of a line: a text, or an integer when text is NULL. */
struct fl_log_field {
	const char *key;
	const char *text;
	int64_t number;
};
static inline struct fl_log_field fl_log_text(const char *key, const char *text)
{
	return (struct fl_log_field){ .key = key, .text = text != NULL ? text : "" };
}
#define FL_S(key_, text_)   fl_log_text(key_, text_)
#define FL_N(key_, number_) ((struct fl_log_field){ .key = key_, .number = (int64_t)(number_) })

/* Lines above `level` are dropped; `json` chooses the form. Set at start and on reload. */
void fl_log_setup(enum fl_log_level level, bool json);
/* "error", "warning", "info", "debug" -> level; FL_INVALID otherwise. */
enum fl_code fl_log_level_parse(
	const char *s, enum fl_log_level *out, struct fl_err *err) FL_MUST_CHECK;
bool fl_log_on(enum fl_log_level level);
/* Write one line; `msg` is a static sentence, the variable parts are the fields. */
void fl_log_write(enum fl_log_level level, const char *msg, const struct fl_log_field *f, size_t n);

#define fl_log_(level, msg, ...)                                                           \
	do {                                                                               \
		if (fl_log_on(level)) {                                                    \
			const struct fl_log_field fl_f_[] = { __VA_ARGS__ };               \
			fl_log_write(level, msg, fl_f_, sizeof(fl_f_) / sizeof(fl_f_[0])); \
		}                                                                          \
	} while (0)
/* fl_log_info("the release is published", FL_S("release", name), FL_N("modules", n)) */
#define fl_log_error(msg, ...)   fl_log_(FL_LOG_ERROR, msg, __VA_ARGS__)
#define fl_log_warning(msg, ...) fl_log_(FL_LOG_WARNING, msg, __VA_ARGS__)
#define fl_log_info(msg, ...)    fl_log_(FL_LOG_INFO, msg, __VA_ARGS__)
#define fl_log_debug(msg, ...)   fl_log_(FL_LOG_DEBUG, msg, __VA_ARGS__)

#endif
