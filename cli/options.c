/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/options.h"

#include "cli/text.h"
#include "lib/nearest.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool options_takes_value(const struct options_row *row)
{
	return row->type != OPTIONS_FLAG;
}

static void *place(const struct options_set *set, const struct options_row *row)
{
	return (char *)set->out + row->offset;
}

void options_clear(const struct options_set *set)
{
	for (const struct options_row *row = set->rows; row != NULL && row->name != NULL; row++) {
		if (row->type == OPTIONS_COUNT || row->type == OPTIONS_DURATION)
			*(int64_t *)place(set, row) = OPTIONS_UNSET;
		else if (row->type == OPTIONS_PERCENT)
			*(double *)place(set, row) = OPTIONS_UNSET;
	}
}

void options_fini(const struct options_set *set)
{
	for (const struct options_row *row = set->rows; row != NULL && row->name != NULL; row++) {
		if (row->type == OPTIONS_LIST) {
			struct options_list *list = place(set, row);

			free(list->v);
			*list = (struct options_list){ 0 };
		}
	}
}

static enum fl_code set_choice(
	const struct options_row *row, const char *value, const char **to, struct fl_err *err)
{
	char all[160] = "";
	const char *near;
	size_t n = 0;

	for (; row->choices[n] != NULL; n++) {
		if (strcmp(row->choices[n], value) == 0) {
			*to = row->choices[n];
			return FL_OK;
		}
		if (n > 0)
			(void)strncat(all, ", ", sizeof(all) - strlen(all) - 1);
		(void)strncat(all, row->choices[n], sizeof(all) - strlen(all) - 1);
	}
	near = fl_nearest(value, row->choices, n);
	if (near != NULL)
		return fl_fail(err, FL_INVALID, "--%s cannot be \"%.40s\"; did you mean \"%s\"?",
			row->name, value, near);
	return fl_fail(err, FL_INVALID, "--%s cannot be \"%.40s\"; it takes one of %s", row->name,
		value, all);
}

static enum fl_code set_count(
	const struct options_row *row, const char *value, int64_t *to, struct fl_err *err)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(value, &end, 10);
	if (end == value || *end != '\0' || errno != 0 || n < 0)
		return fl_fail(err, FL_INVALID, "--%s takes a number from 0 up, not \"%.40s\"",
			row->name, value);
	*to = n;
	return FL_OK;
}

static enum fl_code set_percent(
	const struct options_row *row, const char *value, double *to, struct fl_err *err)
{
	char *end;
	double n = strtod(value, &end);

	if (end == value || (strcmp(end, "") != 0 && strcmp(end, "%") != 0) ||
		!(n >= 0 && n <= 100))
		return fl_fail(err, FL_INVALID,
			"--%s takes a percentage from 0 to 100, not \"%.40s\"", row->name, value);
	*to = n;
	return FL_OK;
}

static void add_to_list(struct options_list *list, const char *value)
{
	list->v = text_grow(list->v, list->n + 1, sizeof(*list->v));
	list->v[list->n++] = value;
}

static enum fl_code set_value(const struct options_set *set, const struct options_row *row,
	const char *value, struct fl_err *err)
{
	void *to = place(set, row);

	switch (row->type) {
	case OPTIONS_FLAG:
		*(bool *)to = true;
		return FL_OK;
	case OPTIONS_TEXT:
		*(const char **)to = value;
		return FL_OK;
	case OPTIONS_CHOICE:
		return set_choice(row, value, to, err);
	case OPTIONS_LIST:
		add_to_list(to, value);
		return FL_OK;
	case OPTIONS_COUNT:
		return set_count(row, value, to, err);
	case OPTIONS_PERCENT:
		return set_percent(row, value, to, err);
	case OPTIONS_DURATION:
		if (text_duration_parse(value, to, err) != FL_OK)
			return fl_wrap(err, "--%s", row->name);
		return FL_OK;
	}
	return fl_fail(err, FL_INTERNAL, "--%s has no type", row->name);
}

/* Where an option was found: its table and its row. */
struct found {
	const struct options_set *set;
	const struct options_row *row;
};

static struct found find(
	const struct options_set *sets, size_t n, const char *name, size_t length, char letter)
{
	for (size_t i = 0; i < n; i++) {
		for (const struct options_row *r = sets[i].rows; r != NULL && r->name != NULL;
			r++) {
			if (letter != 0 ? r->letter == letter
					: strncmp(r->name, name, length) == 0 &&
						r->name[length] == '\0')
				return (struct found){ &sets[i], r };
		}
	}
	return (struct found){ NULL, NULL };
}

/* The first name that goes on where `word` ends: "token" is probably "token-file". */
static const char *begins_with(const char *word, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (word[0] != '\0' && strncmp(names[i], word, strlen(word)) == 0)
			return names[i];
	}
	return NULL;
}

static enum fl_code unknown(const struct options_set *sets, size_t n, const char *name,
	size_t length, struct fl_err *err)
{
	FL_AUTOFREE char *word = text_format("%.*s", (int)length, name);
	const char *names[128];
	size_t count = 0;
	const char *near;

	for (size_t i = 0; i < n; i++) {
		for (const struct options_row *r = sets[i].rows;
			r != NULL && r->name != NULL && count < FL_COUNT(names); r++)
			names[count++] = r->name;
	}
	near = begins_with(word, names, count);
	if (near == NULL)
		near = fl_nearest(word, names, count);
	return fl_fail(err, FL_INVALID, "there is no option --%.60s%s%s%s", word,
		near ? "; did you mean --" : "", near ? near : "", near ? "?" : "");
}

static enum fl_code needs_value(const struct options_row *row, struct fl_err *err)
{
	return fl_fail(err, FL_INVALID, "--%s needs a value: --%s %s", row->name, row->name,
		row->argument);
}

static enum fl_code take_long(
	const struct options_set *sets, size_t n, struct options_words *w, struct fl_err *err)
{
	const char *name = w->v[w->next++] + 2;
	size_t length = strcspn(name, "=");
	const char *value = name[length] == '=' ? name + length + 1 : NULL;
	struct found f = find(sets, n, name, length, 0);

	if (f.row == NULL)
		return unknown(sets, n, name, length, err);
	if (!options_takes_value(f.row) && value != NULL)
		return fl_fail(err, FL_INVALID, "--%s takes no value", f.row->name);
	if (options_takes_value(f.row) && value == NULL) {
		if (w->next == w->n)
			return needs_value(f.row, err);
		value = w->v[w->next++];
	}
	return set_value(f.set, f.row, value, err);
}

/* "-q", "-qj", "-n5", "-n 5". */
static enum fl_code take_short(
	const struct options_set *sets, size_t n, struct options_words *w, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	for (const char *p = w->v[w->next++] + 1; *p != '\0' && code == FL_OK; p++) {
		struct found f = find(sets, n, "", 0, *p);

		if (f.row == NULL)
			return fl_fail(err, FL_INVALID, "there is no option -%c", *p);
		if (!options_takes_value(f.row)) {
			code = set_value(f.set, f.row, NULL, err);
			continue;
		}
		if (p[1] != '\0')
			return set_value(f.set, f.row, p + 1, err);
		if (w->next == w->n)
			return needs_value(f.row, err);
		return set_value(f.set, f.row, w->v[w->next++], err);
	}
	return code;
}

enum fl_code options_parse(const struct options_set *sets, size_t n, struct options_words *w,
	bool stop, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	while (w->next < w->n && code == FL_OK) {
		const char *word = w->v[w->next];

		if (!w->ended && strcmp(word, "--") == 0) {
			w->ended = true;
			w->next++;
		} else if (!w->ended && strncmp(word, "--", 2) == 0) {
			code = take_long(sets, n, w, err);
		} else if (!w->ended && word[0] == '-' && word[1] != '\0') {
			code = take_short(sets, n, w, err);
		} else if (stop) {
			return FL_OK;
		} else {
			w->operands[w->n_operands++] = word;
			w->next++;
		}
	}
	return code;
}
