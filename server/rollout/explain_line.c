/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/explain_line.h"

#include "lib/envelope.h" /* fl_utc_write */
#include "lib/words.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name, *words;
} rows[EXPLAIN_CODE_MAX] = {
#define EXPLAIN(code, name_, words_) [EXPLAIN_##code] = { name_, words_ },
#include "server/tbl/explain.h"
#undef EXPLAIN
};

const char *explain_code_text(enum explain_code code)
{
	FL_BUG_IF(code >= EXPLAIN_CODE_MAX);
	return rows[code].name;
}

const char *explain_code_words(enum explain_code code)
{
	FL_BUG_IF(code >= EXPLAIN_CODE_MAX);
	return rows[code].words;
}

void explain_stage_name(int layer, int wave, char out[EXPLAIN_STAGE])
{
	(void)snprintf(out, EXPLAIN_STAGE, "L%d.W%d", layer, wave);
}

/* ---- as text */

void explain_length(struct fl_buf *b, int64_t ms)
{
	int64_t s = ms < 0 ? 0 : (ms + 999) / 1000;

	if (s < 90)
		fl_buf_printf(b, "%" PRId64 " s", s);
	else if (s < 3600)
		fl_buf_printf(b, "%" PRId64 " min", (s + 30) / 60);
	else if (s < 48 * 3600)
		fl_buf_printf(b, "%" PRId64 " h %" PRId64 " min", s / 3600, s % 3600 / 60);
	else
		fl_buf_printf(b, "%" PRId64 " d %" PRId64 " h", s / 86400, s % 86400 / 3600);
}

/* "2026-11-23 22:00 UTC". */
static void write_moment(struct fl_buf *b, int64_t ms)
{
	char text[21];

	fl_utc_write(ms < 0 ? 0 : ms, text);
	fl_buf_printf(b, "%.10s %.5s UTC", text, text + 11);
}

static void write_value(struct fl_buf *b, const struct explain_arg *a)
{
	char words[FL_WORDS];

	switch (a->type) {
	case EXPLAIN_IS_NUMBER:
		fl_buf_printf(b, "%" PRId64, a->n);
		break;
	case EXPLAIN_IS_TEXT:
		fl_buf_str(b, a->text == NULL ? "" : a->text);
		break;
	case EXPLAIN_IS_STATE:
		fl_buf_str(b, fl_words(a->text, words));
		break;
	case EXPLAIN_IS_MOMENT:
		write_moment(b, a->n);
		break;
	default:
		explain_length(b, a->n);
	}
}

/* The argument that a brace names. A row and those who say it belong together: a test says each. */
static const struct explain_arg *named(
	const char *name, size_t length, const struct explain_arg *args, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(args[i].name) == length && memcmp(args[i].name, name, length) == 0)
			return &args[i];
	return NULL;
}

static void write_words(
	struct fl_buf *b, const char *words, const struct explain_arg *args, size_t n)
{
	while (*words != '\0') {
		size_t plain = strcspn(words, "{"), length, noun;
		const struct explain_arg *a;

		fl_buf_add(b, words, plain);
		words += plain;
		if (*words == '\0')
			return;
		length = strcspn(words, "}");
		noun = strcspn(words, ":}");
		a = named(words + 1, noun - 1, args, n);
		FL_BUG_IF(a == NULL);
		write_value(b, a);
		if (noun < length)
			fl_buf_printf(b, " %.*s%s", (int)(length - noun - 1), words + noun + 1,
				fl_plural(a->n));
		words += length + 1;
	}
}

/* ---- as JSON */

static bool add_member(json_t *line, const struct explain_arg *a)
{
	char name[40], text[21];

	switch (a->type) {
	case EXPLAIN_IS_NUMBER:
		return json_object_set_new(line, a->name, json_integer(a->n)) == 0;
	case EXPLAIN_IS_TEXT:
	case EXPLAIN_IS_STATE:
		return json_object_set_new(
			       line, a->name, json_string(a->text == NULL ? "" : a->text)) == 0;
	case EXPLAIN_IS_MOMENT:
		fl_utc_write(a->n < 0 ? 0 : a->n, text);
		return json_object_set_new(line, a->name, json_string(text)) == 0;
	default:
		(void)snprintf(name, sizeof(name), "%s_s", a->name);
		return json_object_set_new(
			       line, name, json_integer(a->n < 0 ? 0 : (a->n + 999) / 1000)) == 0;
	}
}

void explain_say(
	struct explain *e, enum explain_code code, const struct explain_arg *args, size_t n)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	json_t *line;
	bool good;

	FL_BUG_IF(code >= EXPLAIN_CODE_MAX);
	write_words(&text, rows[code].words, args, n);
	line = text.failed
		? NULL
		: json_pack("{s:s, s:s}", "code", rows[code].name, "text", (const char *)text.p);
	good = line != NULL;
	for (size_t i = 0; i < n && good; i++) {
		FL_BUG_IF(json_object_get(line, args[i].name) != NULL);
		good = add_member(line, &args[i]);
	}
	if (e->lines == NULL)
		e->lines = json_array();
	if (!good || json_array_append(e->lines, line) != 0)
		e->failed = true;
	json_decref(line);
}

bool explain_said(const struct explain *e, enum explain_code code)
{
	const json_t *line;
	size_t i;

	json_array_foreach (e->lines, i, line) {
		const char *said = json_string_value(json_object_get(line, "code"));

		if (said != NULL && strcmp(said, explain_code_text(code)) == 0)
			return true;
	}
	return false;
}

const char *explain_first(const struct explain *e)
{
	const char *text = json_string_value(json_object_get(json_array_get(e->lines, 0), "text"));

	return text == NULL ? "" : text;
}

enum fl_code explain_take(struct explain *e, json_t **out, struct fl_err *err)
{
	json_t *lines = e->lines != NULL ? e->lines : json_array();

	if (e->failed || lines == NULL) {
		json_decref(lines);
		*e = (struct explain){ 0 };
		return fl_fail(err, FL_NOMEM, "no memory for an explanation");
	}
	*out = lines;
	*e = (struct explain){ 0 };
	return FL_OK;
}

void explain_fini(struct explain *e)
{
	json_decref(e->lines);
	*e = (struct explain){ 0 };
}
