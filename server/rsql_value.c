/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of RSQL: quoted and bare ones, and what only some fields take. */
#include "server/rsql_in.h"

#include "lib/civil.h"
#include "lib/semver.h"

#include <stdlib.h>
#include <string.h>

/* Append one character of a value: an escaped star or backslash keeps its backslash for now. */
static void add_char(struct rsql_arena *a, char c, bool escaped)
{
	if (escaped && (c == '*' || c == '\\'))
		a->text[a->n_text++] = '\\';
	a->text[a->n_text++] = c;
}

static enum fl_code quoted(struct rsql_parser *p)
{
	const char *open = p->at;
	char quote = *p->at++;

	while (*p->at != quote) {
		bool escaped = *p->at == '\\';

		p->at += escaped;
		if (*p->at == '\0')
			return rsql_fail(p, open, "the closing quote is missing");
		add_char(&p->a, *p->at++, escaped);
	}
	p->at++;
	return FL_OK;
}

static enum fl_code bare(struct rsql_parser *p)
{
	if (!rsql_word_char(*p->at))
		return rsql_fail(p, p->at,
			"a value is missing; quote it if it holds blanks or one of \"'();,=!~<>");
	while (rsql_word_char(*p->at)) {
		bool escaped = *p->at == '\\' && rsql_word_char(p->at[1]);

		p->at += escaped;
		add_char(&p->a, *p->at++, escaped);
	}
	return FL_OK;
}

/* Take the backslashes out, in place. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s != '\0'; s++) {
		if (*s == '\\' && s[1] != '\0')
			s++;
		*to++ = *s;
	}
	*to = '\0';
}

static bool has_star(const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '*')
			return true;
		if (*s == '\\' && s[1] != '\0')
			s++;
	}
	return false;
}

bool rsql_decimal(const char *s, double *out)
{
	const char *c = s + (*s == '-');
	size_t digits = strspn(c, "0123456789");
	size_t n = digits;

	if (c[n] == '.' && c[n + 1] != '\0') {
		n += 1 + strspn(c + n + 1, "0123456789");
	}
	if (digits == 0 || c[n] != '\0' || n > RSQL_DECIMAL_MAX)
		return false;
	*out = strtod(s, NULL);
	return true;
}

static enum fl_code last_seen_value(
	const struct rsql_parser *p, const char *at, struct rsql_value *v)
{
	size_t digits = strspn(v->text, "0123456789");
	int64_t ms = 0;

	if (digits > 0 && digits < 18 && v->text[digits] == '\0')
		ms = strtoll(v->text, NULL, 10);
	else if (fl_moment_read(v->text, &ms, NULL) != FL_OK)
		return rsql_fail(p, at,
			"a time is milliseconds since 1970 or like 2026-11-23T08:00:00Z (quoted)");
	v->numeric = true;
	v->number = (double)ms / 1000.0;
	return FL_OK;
}

/* What only some fields take. */
static enum fl_code check_value(const struct rsql_parser *p, const char *at,
	const struct rsql_term *t, struct rsql_value *v)
{
	struct fl_semver version;
	bool order = t->op >= RSQL_LT && t->op <= RSQL_GE;

	if (v->null)
		return FL_OK;
	switch (t->field) {
	case RSQL_TIER:
		if (strcmp(v->text, "device") != 0 && strcmp(v->text, "gateway") != 0)
			return rsql_fail(p, at, "tier is device or gateway");
		return FL_OK;
	case RSQL_ENROLLED:
		if (strcmp(v->text, "true") != 0 && strcmp(v->text, "false") != 0)
			return rsql_fail(p, at, "enrolled is true or false");
		return FL_OK;
	case RSQL_LAST_SEEN:
		return last_seen_value(p, at, v);
	case RSQL_INSTALLED:
		if (v->text[0] == '\0')
			return rsql_fail(p, at, "a version is missing; null means not installed");
		if (order && fl_semver_parse(v->text, &version, NULL) != FL_OK)
			return rsql_fail(p, at, "only semver versions such as 1.2.0 have an order");
		return FL_OK;
	default:
		return FL_OK;
	}
}

enum fl_code rsql_parse_value(struct rsql_parser *p, struct rsql_term *t, bool null_word)
{
	struct rsql_arena *a = &p->a;
	const char *at = p->at;
	char *text = a->text + a->n_text;
	bool bare_word = *at != '"' && *at != '\'';
	unsigned takes = rsql_field_takes(t->field);
	bool pattern_op = t->op == RSQL_EQ || t->op == RSQL_NE;

	if (a->n_values == a->max_values)
		return rsql_fail(p, at, "too many values");
	enum fl_code code = bare_word ? bare(p) : quoted(p);
	if (code != FL_OK)
		return code;
	a->text[a->n_text++] = '\0';

	struct rsql_value *v = &a->values[a->n_values++];
	*v = (struct rsql_value){ .text = text };
	v->pattern = pattern_op && (takes & TAKES_PATTERN) && has_star(text);
	if (!v->pattern)
		unescape(text);
	null_word = null_word || (t->field == RSQL_INSTALLED && pattern_op);
	v->null = bare_word && null_word && (takes & TAKES_NULL) && strcmp(text, "null") == 0;
	v->numeric = !v->pattern && !v->null && rsql_decimal(text, &v->number);
	t->n++;
	return check_value(p, at, t, v);
}

enum fl_code rsql_parse_list(struct rsql_parser *p, struct rsql_term *t)
{
	const char *open = p->at;

	if (*p->at++ != '(')
		return rsql_fail(p, open, "a list is missing, such as (a,b)");
	for (;;) {
		rsql_skip_blanks(p);
		enum fl_code code = rsql_parse_value(p, t, false);
		if (code != FL_OK)
			return code;
		rsql_skip_blanks(p);
		if (*p->at == ')')
			break;
		if (*p->at != ',')
			return rsql_fail(p, p->at, "the list wants ',' or ')' here");
		p->at++;
	}
	p->at++;
	return FL_OK;
}
