/* SPDX-License-Identifier: Apache-2.0
 *
 * The evaluator of RSQL over one device in memory. Its twin in SQL is store/select.c. */
#include "server/rsql.h"

#include "lib/semver.h"

#include <string.h>

/* ---- texts */

static unsigned char fold(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}

/* Like SQLite's BINARY or, if `ascii_fold`, NOCASE. */
static int compare_texts(const char *a, const char *b, bool ascii_fold)
{
	for (;; a++, b++) {
		unsigned char x = (unsigned char)*a, y = (unsigned char)*b;

		if (ascii_fold) {
			x = fold(x);
			y = fold(y);
		}
		if (x != y || x == '\0')
			return (int)x - (int)y;
	}
}

/* Whether one pattern character (maybe escaped) stands at `*p` for `c`; steps over it. */
static bool same_char(const char **p, char c, bool ascii_fold)
{
	unsigned char x, y = (unsigned char)c;

	if (**p == '\\' && (*p)[1] != '\0')
		(*p)++;
	x = (unsigned char)**p;
	if (x == '\0')
		return false;
	(*p)++;
	return ascii_fold ? fold(x) == fold(y) : x == y;
}

bool rsql_match_pattern(const char *pattern, const char *text, bool ascii_fold)
{
	const char *star = NULL, *resume = NULL;

	while (*text != '\0') {
		if (*pattern == '*') {
			star = ++pattern;
			resume = text;
			continue;
		}
		if (same_char(&pattern, *text, ascii_fold)) {
			text++;
			continue;
		}
		if (star == NULL)
			return false;
		pattern = star;
		text = ++resume;
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

static bool order_holds(enum rsql_op op, int c)
{
	switch (op) {
	case RSQL_LT:
		return c < 0;
	case RSQL_LE:
		return c <= 0;
	case RSQL_GT:
		return c > 0;
	case RSQL_GE:
		return c >= 0;
	default:
		return c == 0;
	}
}

static int compare_numbers(double a, double b)
{
	return (a > b) - (a < b);
}

/* ---- fields that are plain texts: id, gateway, tier */

static bool text_equals(const char *have, const struct rsql_value *want)
{
	if (want->null)
		return have == NULL;
	if (want->text[0] == '\0')
		return have == NULL || have[0] == '\0';
	if (have == NULL)
		return false;
	return want->pattern ? rsql_match_pattern(want->text, have, false)
			     : strcmp(want->text, have) == 0;
}

static bool text_holds(const char *have, const struct rsql_term *t, enum rsql_op op)
{
	bool any = false;

	if (op >= RSQL_LT && op <= RSQL_GE)
		return have != NULL &&
			order_holds(op, compare_texts(have, t->values[0].text, false));
	for (size_t i = 0; i < t->n; i++)
		any = any || text_equals(have, &t->values[i]);
	return any;
}

/* ---- attributes and labels: texts, numbers, booleans */

/* The text of a text or boolean; NULL for a number. */
static const char *json_text(const json_t *v)
{
	if (json_is_boolean(v))
		return json_is_true(v) ? "true" : "false";
	return json_string_value(v);
}

static bool json_equals(const json_t *have, const struct rsql_value *want)
{
	const char *text = json_text(have);

	if (want->null || want->text[0] == '\0')
		return have == NULL || (!want->null && text != NULL && text[0] == '\0');
	if (have == NULL)
		return false;
	if (want->pattern && rsql_match_pattern(want->text, "", true))
		return true; /* "*": anything that is there */
	if (text == NULL)
		return want->numeric && json_number_value(have) == want->number;
	return want->pattern ? rsql_match_pattern(want->text, text, true)
			     : compare_texts(text, want->text, true) == 0;
}

static bool json_ordered(const json_t *have, const struct rsql_value *want, enum rsql_op op)
{
	const char *text = json_text(have);
	double number;

	if (have == NULL)
		return false;
	if (text == NULL)
		return want->numeric &&
			order_holds(op, compare_numbers(json_number_value(have), want->number));
	if (want->numeric && json_is_string(have) && rsql_decimal(text, &number))
		return order_holds(op, compare_numbers(number, want->number));
	return order_holds(op, compare_texts(text, want->text, true));
}

static bool json_holds(const json_t *object, const struct rsql_term *t, enum rsql_op op)
{
	const json_t *have = json_object_get(object, t->key);
	bool any = false;

	if (op >= RSQL_LT && op <= RSQL_GE)
		return json_ordered(have, &t->values[0], op);
	for (size_t i = 0; i < t->n; i++)
		any = any || json_equals(have, &t->values[i]);
	return any;
}

/* ---- installed versions */

static bool version_equals(const char *have, const struct rsql_value *want)
{
	struct fl_semver a, b;

	if (have == NULL || want->null)
		return have == NULL && want->null;
	if (want->pattern)
		return rsql_match_pattern(want->text, have, true);
	if (fl_semver_parse(have, &a, NULL) == FL_OK &&
		fl_semver_parse(want->text, &b, NULL) == FL_OK)
		return fl_semver_compare(&a, &b) == 0;
	return compare_texts(have, want->text, true) == 0;
}

static bool version_ordered(const char *have, const struct rsql_value *want, enum rsql_op op)
{
	struct fl_semver a, b;

	return have != NULL && fl_semver_parse(have, &a, NULL) == FL_OK &&
		fl_semver_parse(want->text, &b, NULL) == FL_OK &&
		order_holds(op, fl_semver_compare(&a, &b));
}

/* Whether the operator is the opposite of another; *op gets that one. */
static bool negated(enum rsql_op *op)
{
	bool opposite = *op == RSQL_NE || *op == RSQL_OUT;

	if (opposite)
		*op = *op == RSQL_NE ? RSQL_EQ : RSQL_IN;
	return opposite;
}

bool rsql_match_version(const struct rsql_term *t, const char *version)
{
	enum rsql_op op = t->op;
	bool opposite = negated(&op);
	bool any = false;

	if (op >= RSQL_LT && op <= RSQL_GE)
		return version_ordered(version, &t->values[0], op);
	for (size_t i = 0; i < t->n; i++)
		any = any || version_equals(version, &t->values[i]);
	return any != opposite;
}

static const char *installed_version(const struct rsql_subject *s, const char *module)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->installed[i].module, module) == 0)
			return s->installed[i].version;
	return NULL;
}

/* ---- the whole */

static bool last_seen_holds(int64_t seconds, const struct rsql_value *want, enum rsql_op op)
{
	if (want->null)
		return seconds == 0;
	return seconds != 0 && order_holds(op, compare_numbers((double)seconds, want->number));
}

static bool term_matches(const struct rsql_term *t, const struct rsql_subject *s)
{
	enum rsql_op op = t->op;
	bool opposite = negated(&op);

	switch (t->field) {
	case RSQL_ID:
		return text_holds(s->id, t, op) != opposite;
	case RSQL_TIER:
		return text_holds(s->tier, t, op) != opposite;
	case RSQL_GATEWAY:
		return text_holds(s->gateway, t, op) != opposite;
	case RSQL_ENROLLED:
		return (s->enrolled == (strcmp(t->values[0].text, "true") == 0)) != opposite;
	case RSQL_LAST_SEEN:
		return last_seen_holds(s->last_seen, &t->values[0], op) != opposite;
	case RSQL_ATTRIBUTE:
		return json_holds(s->attributes, t, op) != opposite;
	case RSQL_LABEL:
		return json_holds(s->labels, t, op) != opposite;
	case RSQL_INSTALLED:
		return rsql_match_version(t, installed_version(s, t->key));
	default:
		fl_bug(__FILE__, __LINE__, "a field without a meaning");
	}
}

static bool node_matches(const struct rsql_node *node, const struct rsql_subject *s)
{
	if (node->kind == RSQL_TERM)
		return term_matches(node->term, s);
	for (size_t i = 0; i < node->n; i++)
		if (node_matches(node->child[i], s) == (node->kind == RSQL_OR))
			return node->kind == RSQL_OR;
	return node->kind == RSQL_AND;
}

bool rsql_matches(const struct rsql *r, const struct rsql_subject *s)
{
	return r->root == NULL || node_matches(r->root, s);
}
