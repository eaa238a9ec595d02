/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/conf.h"

#include "lib/file.h"
#include "lib/nearest.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX   (1024 * 1024)
#define ROWS_MAX   128
#define SOURCE_MAX 4

static const char *const sources[SOURCE_MAX] = { "default", "file", "environment", "flag" };

struct unit {
	const char *suffix;
	int64_t factor;
};

static const struct unit size_units[] = {
	{ "", 1 },
	{ "B", 1 },
	{ "KiB", 1024 },
	{ "MiB", 1024 * 1024 },
	{ "GiB", 1024 * 1024 * 1024 },
};
static const struct unit duration_units[] = {
	{ "ms", 1 },
	{ "s", 1000 },
	{ "min", 60000 },
	{ "h", 3600000 },
	{ "d", 86400000 },
};

static void *place_of(const struct fl_conf *c, const struct fl_conf_row *row)
{
	return (char *)c->out + row->offset;
}

/* ---- texts to values */

static enum fl_code parse_bool(const char *value, bool *out, struct fl_err *err)
{
	static const char *const yes[] = { "yes", "true", "on" };
	static const char *const no[] = { "no", "false", "off" };

	for (size_t i = 0; i < FL_COUNT(yes); i++) {
		if (strcmp(value, yes[i]) == 0 || strcmp(value, no[i]) == 0) {
			*out = strcmp(value, yes[i]) == 0;
			return FL_OK;
		}
	}
	return fl_fail(err, FL_INVALID, "\"%s\" is neither yes nor no", value);
}

static enum fl_code scale(
	int64_t number, const char *suffix, const struct unit *units, size_t n, int64_t *out)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(suffix, units[i].suffix) == 0)
			return __builtin_mul_overflow(number, units[i].factor, out) ? FL_INVALID
										    : FL_OK;
	}
	return FL_INVALID;
}

static enum fl_code out_of_bounds(
	const struct fl_conf_row *row, const char *value, struct fl_err *err)
{
	const char *unit = row->type == FL_CONF_SIZE ? " bytes"
		: row->type == FL_CONF_DURATION      ? " ms"
						     : "";

	if (row->max == 0)
		return fl_fail(err, FL_INVALID, "%s is below %" PRId64 "%s", value, row->min, unit);
	return fl_fail(err, FL_INVALID, "%s is outside of %" PRId64 " to %" PRId64 "%s", value,
		row->min, row->max, unit);
}

static enum fl_code parse_number(
	const struct fl_conf_row *row, const char *value, int64_t *out, struct fl_err *err)
{
	enum fl_code code = FL_OK;
	int64_t number, scaled;
	char *end;

	errno = 0;
	number = strtoll(value, &end, 10);
	if (end == value || errno != 0 || isspace((unsigned char)value[0]))
		return fl_fail(err, FL_INVALID, "\"%s\" is not a number", value);
	scaled = number;
	if (row->type == FL_CONF_SIZE)
		code = scale(number, end, size_units, FL_COUNT(size_units), &scaled);
	else if (row->type == FL_CONF_DURATION && !(number == 0 && *end == '\0'))
		code = scale(number, end, duration_units, FL_COUNT(duration_units), &scaled);
	else if (*end != '\0')
		code = FL_INVALID;
	if (code != FL_OK)
		return fl_fail(err, FL_INVALID, "\"%s\" is not %s", value,
			row->type == FL_CONF_SIZE ? "a size; write bytes or use KiB, MiB, GiB"
				: row->type == FL_CONF_DURATION ? "a duration; use ms, s, min, h, d"
								: "a whole number");
	if ((row->max != 0 && scaled > row->max) ||
		((row->max != 0 || row->min != 0) && scaled < row->min))
		return out_of_bounds(row, value, err);
	*out = scaled;
	return FL_OK;
}

static enum fl_code store_string(char **place, const char *value, struct fl_err *err)
{
	char *copy = strdup(value);

	if (copy == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a setting");
	free(*place);
	*place = copy;
	return FL_OK;
}

static enum fl_code set_row(
	struct fl_conf *c, const struct fl_conf_row *row, const char *value, struct fl_err *err)
{
	switch (row->type) {
	case FL_CONF_STRING:
		return store_string(place_of(c, row), value, err);
	case FL_CONF_BOOL:
		return parse_bool(value, place_of(c, row), err);
	case FL_CONF_INT:
	case FL_CONF_SIZE:
	case FL_CONF_DURATION:
		return parse_number(row, value, place_of(c, row), err);
	}
	return fl_fail(err, FL_INTERNAL, "setting %s has no type", row->name);
}

/* ---- names */

static const struct fl_conf_row *find(const struct fl_conf *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++) {
		if (strcmp(c->rows[i].name, name) == 0)
			return &c->rows[i];
	}
	return NULL;
}

static enum fl_code unknown(
	const struct fl_conf *c, const char *name, const char *where, struct fl_err *err)
{
	const char *names[ROWS_MAX];
	const char *near;

	for (size_t i = 0; i < c->n; i++)
		names[i] = c->rows[i].name;
	near = fl_nearest(name, names, c->n);
	if (near == NULL)
		return fl_fail(err, FL_INVALID, "%s: there is no setting \"%s\"", where, name);
	return fl_fail(err, FL_INVALID, "%s: there is no setting \"%s\"; did you mean \"%s\"?",
		where, name, near);
}

void fl_conf_init(
	struct fl_conf *c, const struct fl_conf_row *rows, size_t n, void *out, const char *prefix)
{
	struct fl_err err = { 0 };

	FL_BUG_IF(n > ROWS_MAX);
	*c = (struct fl_conf){ .rows = rows, .n = n, .out = out, .prefix = prefix };
	for (size_t i = 0; i < n; i++)
		if (set_row(c, &rows[i], rows[i].value, &err) != FL_OK)
			fl_bug(__FILE__, __LINE__, err.msg);
}

void fl_conf_fini(struct fl_conf *c)
{
	for (size_t i = 0; i < c->n; i++) {
		char **place = place_of(c, &c->rows[i]);

		if (c->rows[i].type != FL_CONF_STRING)
			continue;
		free(*place);
		*place = NULL;
	}
	c->n = 0;
}

enum fl_code fl_conf_set(struct fl_conf *c, const char *name, const char *value, int source,
	const char *where, struct fl_err *err)
{
	const struct fl_conf_row *row = find(c, name);
	enum fl_code code;

	if (row == NULL)
		return unknown(c, name, where, err);
	code = set_row(c, row, value, err);
	if (code != FL_OK)
		return fl_wrap(err, "%s: %s", where, name);
	c->source[row - c->rows] = (uint8_t)source;
	return FL_OK;
}

/* ---- the file */

static char *trim(char *s)
{
	char *end;

	while (isspace((unsigned char)*s))
		s++;
	end = s + strlen(s);
	while (end > s && isspace((unsigned char)end[-1]))
		*--end = '\0';
	return s;
}

/* A '#' begins a comment at the start of a line or after a blank, so that values may hold one. */
static void cut_comment(char *line)
{
	for (char *p = line; *p != '\0'; p++) {
		if (*p == '#' && (p == line || isspace((unsigned char)p[-1]))) {
			*p = '\0';
			return;
		}
	}
}

static enum fl_code take_line(struct fl_conf *c, char *line, const char *where, struct fl_err *err)
{
	char *equals;

	cut_comment(line);
	line = trim(line);
	if (*line == '\0')
		return FL_OK;
	equals = strchr(line, '=');
	if (equals == NULL)
		return fl_fail(err, FL_INVALID, "%s: \"%s\" is not \"name = value\"", where, line);
	*equals = '\0';
	return fl_conf_set(c, trim(line), trim(equals + 1), 1, where, err);
}

enum fl_code fl_conf_file(struct fl_conf *c, const char *path, bool must_exist, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	enum fl_code code = fl_file_get(path, FILE_MAX, &text, err);
	char where[300];
	char *next;
	int number = 0;

	if (code == FL_NOT_FOUND && !must_exist) {
		if (err != NULL)
			*err = (struct fl_err){ 0 };
		return FL_OK;
	}
	if (code != FL_OK || text.n == 0)
		return code;
	if (memchr(text.p, 0, text.n) != NULL)
		return fl_fail(err, FL_INVALID, "%s is not a text file", path);
	for (char *line = (char *)text.p; line != NULL && code == FL_OK; line = next) {
		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		(void)snprintf(where, sizeof(where), "%.256s:%d", path, ++number);
		code = take_line(c, line, where, err);
	}
	return code;
}

/* ---- environment and flags */

static void variable_of(
	const struct fl_conf *c, const struct fl_conf_row *row, char *out, size_t size)
{
	(void)snprintf(out, size, "%s_%s", c->prefix, row->name);
	for (; *out != '\0'; out++)
		*out = (char)toupper((unsigned char)*out);
}

enum fl_code fl_conf_env(struct fl_conf *c, struct fl_err *err)
{
	char variable[160];

	for (size_t i = 0; i < c->n; i++) {
		const char *value;
		enum fl_code code;

		variable_of(c, &c->rows[i], variable, sizeof(variable));
		value = getenv(variable);
		if (value == NULL)
			continue;
		code = fl_conf_set(c, c->rows[i].name, value, 2, variable, err);
		if (code != FL_OK)
			return code;
	}
	return FL_OK;
}

/* The setting's name in "--some-name" or "--some-name=value"; false if `arg` is no such flag. */
static bool flag_name(const char *arg, char *name, size_t size)
{
	size_t n;

	if (strncmp(arg, "--", 2) != 0 || arg[2] == '\0')
		return false;
	n = strcspn(arg + 2, "=");
	if (n >= size)
		return false;
	for (size_t i = 0; i < n; i++)
		name[i] = arg[2 + i] == '-' ? '_' : arg[2 + i];
	name[n] = '\0';
	return true;
}

/* Take the flag at argv[*i]; *i ends on its last word. */
static enum fl_code take_flag(
	struct fl_conf *c, const struct fl_conf_row *row, char **argv, int *i, struct fl_err *err)
{
	const char *arg = argv[*i];
	const char *equals = strchr(arg, '=');

	if (equals != NULL) {
		char where[140];

		(void)snprintf(where, sizeof(where), "%.*s", (int)(equals - arg), arg);
		return fl_conf_set(c, row->name, equals + 1, 3, where, err);
	}
	if (row->type == FL_CONF_BOOL)
		return fl_conf_set(c, row->name, "yes", 3, arg, err);
	if (argv[*i + 1] == NULL)
		return fl_fail(err, FL_INVALID, "%s needs a value", arg);
	(*i)++;
	return fl_conf_set(c, row->name, argv[*i], 3, arg, err);
}

enum fl_code fl_conf_flags(struct fl_conf *c, int *argc, char **argv, struct fl_err *err)
{
	int kept = 1;
	int i;

	for (i = 1; i < *argc && strcmp(argv[i], "--") != 0; i++) {
		char name[128];
		const struct fl_conf_row *row = NULL;
		enum fl_code code;

		if (flag_name(argv[i], name, sizeof(name)))
			row = find(c, name);
		if (row == NULL) {
			argv[kept++] = argv[i];
			continue;
		}
		code = take_flag(c, row, argv, &i, err);
		if (code != FL_OK)
			return code;
	}
	for (; i < *argc; i++)
		argv[kept++] = argv[i];
	argv[kept] = NULL;
	*argc = kept;
	return FL_OK;
}

/* ---- values to texts */

static void show_number(struct fl_buf *b, int64_t value, const struct unit *units, size_t n)
{
	for (size_t i = n; i > 0 && value != 0; i--) {
		if (value % units[i - 1].factor == 0) {
			fl_buf_printf(b, "%" PRId64 "%s", value / units[i - 1].factor,
				units[i - 1].suffix);
			return;
		}
	}
	fl_buf_printf(b, "%" PRId64, value);
}

static void show_value(const struct fl_conf *c, const struct fl_conf_row *row, struct fl_buf *b)
{
	const void *place = place_of(c, row);
	const char *text;

	switch (row->type) {
	case FL_CONF_STRING:
		text = *(char *const *)place;
		fl_buf_str(b, !row->secret ? text : text[0] != '\0' ? "(set)" : "(not set)");
		break;
	case FL_CONF_BOOL:
		fl_buf_str(b, *(const bool *)place ? "yes" : "no");
		break;
	case FL_CONF_INT:
		fl_buf_printf(b, "%" PRId64, *(const int64_t *)place);
		break;
	case FL_CONF_SIZE:
		show_number(b, *(const int64_t *)place, size_units, FL_COUNT(size_units));
		break;
	case FL_CONF_DURATION:
		show_number(b, *(const int64_t *)place, duration_units, FL_COUNT(duration_units));
		break;
	}
}

void fl_conf_show(const struct fl_conf *c, struct fl_buf *b)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct fl_conf_row *row = &c->rows[i];

		fl_buf_printf(b, "%s = ", row->name);
		show_value(c, row, b);
		fl_buf_printf(b, "  # %s\n", sources[c->source[i] % SOURCE_MAX]);
	}
}

/* mdoc wants each sentence on a line of its own. */
static void add_sentences(struct fl_buf *b, const char *prose)
{
	for (const char *p = prose; *p != '\0'; p++) {
		bool ends = p > prose && p[-1] == '.' && *p == ' ';

		fl_buf_byte(b, (uint8_t)(ends ? '\n' : *p));
	}
	fl_buf_byte(b, '\n');
}

void fl_conf_manual(const struct fl_conf *c, struct fl_buf *b)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct fl_conf_row *row = &c->rows[i];

		fl_buf_printf(b, ".It Ic %s No = Ar %s\n", row->name,
			row->value[0] != '\0' ? row->value : "\\&");
		add_sentences(b, row->prose);
		if (row->reload)
			fl_buf_str(b, "Taken anew on SIGHUP.\n");
	}
}
