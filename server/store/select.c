/* SPDX-License-Identifier: Apache-2.0
 *
 * RSQL as SQL over devices. Its twin in memory is server/rsql_match.c; tests compare them. */
#include "server/store/select.h"

#include "server/store/state.h"

#include <stdlib.h>
#include <string.h>

void select_fini(struct select *s)
{
	fl_buf_fini(&s->sql);
	for (size_t i = 0; i < s->n_texts; i++)
		free(s->texts[i]);
	free(s->texts);
	free(s->args);
	*s = (struct select){ 0 };
}

void select_add(struct select *s, const char *fragment)
{
	fl_buf_str(&s->sql, fragment);
}

void select_bind(struct select *s, struct db_arg arg)
{
	if (s->n == s->cap) {
		size_t cap = s->cap == 0 ? 16 : s->cap * 2;
		struct db_arg *args =
			cap > SELECT_ARGS_MAX ? NULL : realloc(s->args, cap * sizeof(*args));

		if (args == NULL) {
			s->failed = true;
			return;
		}
		s->args = args;
		s->cap = cap;
	}
	s->args[s->n++] = arg;
	fl_buf_printf(&s->sql, "$%zu", s->n);
}

/* Bind a text made here; `take` is owned from now on. */
static void bind_made(struct select *s, struct fl_buf *take)
{
	void **texts = realloc(s->texts, (s->n_texts + 1) * sizeof(*texts));
	size_t n = take->n;
	char *text = fl_buf_take(take);

	if (texts != NULL)
		s->texts = texts;
	if (texts == NULL || text == NULL) {
		s->failed = true;
		free(text);
		return;
	}
	s->texts[s->n_texts++] = text;
	select_bind(s, DB_TN(text, n));
}

/* ---- values in the forms that SQL wants */

/* A pattern for LIKE … ESCAPE '\'. */
static void bind_like(struct select *s, const char *pattern)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };

	for (const char *c = pattern; *c != '\0'; c++) {
		bool escaped = *c == '\\' && c[1] != '\0';

		c += escaped;
		if (*c == '*' && !escaped) {
			fl_buf_byte(&b, '%');
			continue;
		}
		if (strchr("%_\\", *c) != NULL)
			fl_buf_byte(&b, '\\');
		fl_buf_byte(&b, (uint8_t)*c);
	}
	bind_made(s, &b);
}

/* A pattern for GLOB, which minds the case. */
static void bind_glob(struct select *s, const char *pattern)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };

	for (const char *c = pattern; *c != '\0'; c++) {
		bool escaped = *c == '\\' && c[1] != '\0';

		c += escaped;
		if (*c == '*' && !escaped)
			fl_buf_byte(&b, '*');
		else if (strchr("*?[", *c) != NULL)
			fl_buf_printf(&b, "[%c]", *c);
		else
			fl_buf_byte(&b, (uint8_t)*c);
	}
	bind_made(s, &b);
}

/* The values as a JSON array of texts, or of the numbers among them. */
static void bind_list(struct select *s, const struct rsql_term *t, bool numbers)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };
	const char *comma = "";

	fl_buf_byte(&b, '[');
	for (size_t i = 0; i < t->n; i++) {
		const struct rsql_value *v = &t->values[i];

		if (numbers && !v->numeric)
			continue;
		fl_buf_str(&b, comma);
		if (numbers)
			fl_buf_printf(&b, "%.17g", v->number);
		else
			fl_buf_json(&b, v->text, strlen(v->text));
		comma = ",";
	}
	fl_buf_byte(&b, ']');
	bind_made(s, &b);
}

static bool any_value(const struct rsql_term *t, bool (*is)(const struct rsql_value *v))
{
	for (size_t i = 0; i < t->n; i++)
		if (is(&t->values[i]))
			return true;
	return false;
}

static bool is_empty(const struct rsql_value *v)
{
	return !v->null && v->text[0] == '\0';
}

static bool is_numeric(const struct rsql_value *v)
{
	return v->numeric;
}

static const char *order_sign(enum rsql_op op)
{
	switch (op) {
	case RSQL_LT:
		return " < ";
	case RSQL_LE:
		return " <= ";
	case RSQL_GT:
		return " > ";
	default:
		return " >= ";
	}
}

/* ---- id, tier, gateway: exact texts */

/* "<op> <value>" for a column that is never NULL. */
static void exact(struct select *s, const struct rsql_term *t, enum rsql_op op)
{
	const struct rsql_value *v = &t->values[0];

	if (op == RSQL_IN) {
		select_add(s, " IN (SELECT value FROM json_each(");
		bind_list(s, t, false);
		select_add(s, "))");
	} else if (v->pattern) {
		select_add(s, " GLOB ");
		bind_glob(s, v->text);
	} else {
		select_add(s, op == RSQL_EQ ? " = " : order_sign(op));
		select_bind(s, DB_T(v->text));
	}
}

static void gateway(struct select *s, const struct rsql_term *t, enum rsql_op op)
{
	bool empty = any_value(t, is_empty);

	if (t->values[0].null) {
		select_add(s, "d.gateway_no IS NULL");
		return;
	}
	select_add(s, empty ? "(d.gateway_no IS NULL OR " : "(d.gateway_no IS NOT NULL AND ");
	select_add(s, "d.gateway_no IN (SELECT no FROM device WHERE id");
	exact(s, t, op);
	select_add(s, "))");
}

/* ---- attributes and labels */

/* What stands for the wide column's JSON value. Each use binds the path anew. */
struct wide {
	const char *type;  /* "json_type(p.attributes, " */
	const char *value; /* "json_extract(p.attributes, " */
	const char *key;
};

/* The path of a key. It holds neither '"' nor '\': those cannot be in a field's name. */
static void bind_path(struct select *s, const char *key)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };

	fl_buf_str(&b, "$.\"");
	fl_buf_str(&b, key);
	fl_buf_byte(&b, '"');
	bind_made(s, &b);
}

static void add_type(struct select *s, const struct wide *w)
{
	select_add(s, w->type);
	bind_path(s, w->key);
	select_add(s, ")");
}

static void add_value(struct select *s, const struct wide *w)
{
	select_add(s, w->value);
	bind_path(s, w->key);
	select_add(s, ")");
}

/* The value with booleans as words instead of SQLite's 0 and 1. */
static void add_worded(struct select *s, const struct wide *w)
{
	select_add(s, "CASE ");
	add_type(s, w);
	select_add(s, " WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE ");
	add_value(s, w);
	select_add(s, " END");
}

static void add_is_number(struct select *s, const struct wide *w)
{
	select_add(s, "coalesce(");
	add_type(s, w);
	select_add(s, " IN ('integer', 'real'), 0)");
}

/* "It is a number and one of these." */
static void or_number(struct select *s, const struct wide *w, const struct rsql_term *t)
{
	select_add(s, " OR (");
	add_is_number(s, w);
	select_add(s, " AND CAST(");
	add_value(s, w);
	select_add(s, " AS REAL) IN (SELECT CAST(value AS REAL) FROM json_each(");
	bind_list(s, t, true);
	select_add(s, ")))");
}

static void wide_equals(struct select *s, const struct wide *w, const struct rsql_term *t)
{
	const struct rsql_value *v = &t->values[0];

	if (v->null) {
		add_type(s, w);
		select_add(s, " IS NULL");
		return;
	}
	if (v->pattern && rsql_match_pattern(v->text, "", true)) {
		add_type(s, w);
		select_add(s, " IS NOT NULL");
		return;
	}
	if (v->pattern) {
		select_add(s, "coalesce(NOT ");
		add_is_number(s, w);
		select_add(s, " AND ");
		add_worded(s, w);
		select_add(s, " LIKE ");
		bind_like(s, v->text);
		select_add(s, " ESCAPE '\\', 0)");
		return;
	}
	select_add(s, "coalesce(");
	add_worded(s, w);
	select_add(s, " COLLATE NOCASE IN (SELECT value FROM json_each(");
	bind_list(s, t, false);
	select_add(s, ")), 0)");
	if (any_value(t, is_numeric))
		or_number(s, w, t);
	if (any_value(t, is_empty)) {
		select_add(s, " OR ");
		add_type(s, w);
		select_add(s, " IS NULL");
	}
}

/* "<worded> <op> <text>" */
static void wide_text_order(
	struct select *s, const struct wide *w, const struct rsql_term *t, enum rsql_op op)
{
	add_worded(s, w);
	select_add(s, " COLLATE NOCASE");
	select_add(s, order_sign(op));
	select_bind(s, DB_T(t->values[0].text));
}

/* "CAST(<value> AS REAL) <op> <number>" */
static void wide_number_order(
	struct select *s, const struct wide *w, const struct rsql_term *t, enum rsql_op op)
{
	select_add(s, "CAST(");
	add_value(s, w);
	select_add(s, " AS REAL)");
	select_add(s, order_sign(op));
	select_bind(s, DB_R(t->values[0].number));
}

/* rsql_decimal as SQL: the text without its sign is digits, perhaps with one point inside. */
static void add_is_decimal(struct select *s, const struct wide *w)
{
	static const char *const tests[] = { " GLOB '[0-9]*' AND ", " GLOB '*[0-9]' AND ",
		" NOT GLOB '*[^0-9.]*' AND ", " NOT GLOB '*.*.*' AND " };

	for (size_t i = 0; i <= FL_COUNT(tests); i++) {
		if (i == FL_COUNT(tests))
			select_add(s, "length(");
		select_add(s, "CASE WHEN ");
		add_value(s, w);
		select_add(s, " GLOB '-*' THEN substr(");
		add_value(s, w);
		select_add(s, ", 2) ELSE ");
		add_value(s, w);
		select_add(s, " END");
		select_add(s, i < FL_COUNT(tests) ? tests[i] : ") <= ");
	}
	select_bind(s, DB_I(RSQL_DECIMAL_MAX));
}

static void wide_order(
	struct select *s, const struct wide *w, const struct rsql_term *t, enum rsql_op op)
{
	select_add(s, "coalesce(CASE WHEN ");
	add_is_number(s, w);
	select_add(s, " THEN ");
	if (t->values[0].numeric)
		wide_number_order(s, w, t, op);
	else
		select_add(s, "0");
	if (t->values[0].numeric) {
		select_add(s, " WHEN ");
		add_type(s, w);
		select_add(s, " = 'text' AND ");
		add_is_decimal(s, w);
		select_add(s, " THEN ");
		wide_number_order(s, w, t, op);
	}
	select_add(s, " ELSE ");
	wide_text_order(s, w, t, op);
	select_add(s, " END, 0)");
}

static void wide(struct select *s, const struct rsql_term *t, enum rsql_op op)
{
	static const char *const type[] = { "json_type(p.attributes, ", "json_type(p.labels, " };
	static const char *const value[] = { "json_extract(p.attributes, ",
		"json_extract(p.labels, " };
	bool label = t->field == RSQL_LABEL;
	struct wide w = { .type = type[label], .value = value[label], .key = t->key };

	if (op == RSQL_EQ || op == RSQL_IN)
		wide_equals(s, &w, t);
	else
		wide_order(s, &w, t, op);
}

/* ---- installed versions: resolved to states through the distinct versions */

struct resolve {
	const struct rsql_term *term;
	bool matching; /* collect those that match; else those that do not */
	const char *comma;
	struct fl_buf *list;
};

static enum fl_code resolve_version(void *context, const char *version, struct fl_err *err)
{
	struct resolve *r = context;

	(void)err;
	if (rsql_match_version(r->term, version) != r->matching)
		return FL_OK;
	fl_buf_str(r->list, r->comma);
	fl_buf_json(r->list, version, strlen(version));
	r->comma = ",";
	return FL_OK;
}

static enum fl_code installed(
	struct select *s, struct store *store, const struct rsql_term *t, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf list = { 0 };
	bool absent = rsql_match_version(t, NULL);
	struct resolve r = { .term = t, .matching = !absent, .comma = "", .list = &list };

	fl_buf_byte(&list, '[');
	enum fl_code code = state_each_version(store, t->key, resolve_version, &r, err);
	if (code != FL_OK)
		return code;
	fl_buf_byte(&list, ']');
	select_add(s, absent ? "d.state_id NOT IN (" : "d.state_id IN (");
	select_add(s, "SELECT state_id FROM state_entry WHERE module = ");
	select_bind(s, DB_T(t->key));
	select_add(s, " AND version IN (SELECT value FROM json_each(");
	bind_made(s, &list);
	select_add(s, ")))");
	return FL_OK;
}

/* ---- the tree */

static void last_seen(struct select *s, const struct rsql_term *t, enum rsql_op op)
{
	if (t->values[0].null) {
		select_add(s, "d.last_seen = 0");
		return;
	}
	select_add(s, "d.last_seen <> 0 AND d.last_seen");
	select_add(s, op == RSQL_EQ ? " = " : order_sign(op));
	select_bind(s, DB_R(t->values[0].number));
}

static enum fl_code term(
	struct select *s, struct store *store, const struct rsql_term *t, struct fl_err *err)
{
	enum rsql_op op = t->op == RSQL_NE ? RSQL_EQ : t->op == RSQL_OUT ? RSQL_IN : t->op;

	if (t->field == RSQL_INSTALLED)
		return installed(s, store, t, err);
	select_add(s, op == t->op ? "(" : "NOT (");
	switch (t->field) {
	case RSQL_ID:
	case RSQL_TIER:
		select_add(s, t->field == RSQL_ID ? "d.id" : "d.tier");
		exact(s, t, op);
		break;
	case RSQL_GATEWAY:
		gateway(s, t, op);
		break;
	case RSQL_ENROLLED:
		select_add(s,
			strcmp(t->values[0].text, "true") == 0 ? "p.public_key IS NOT NULL"
							       : "p.public_key IS NULL");
		break;
	case RSQL_LAST_SEEN:
		last_seen(s, t, op);
		break;
	case RSQL_ATTRIBUTE:
	case RSQL_LABEL:
		wide(s, t, op);
		break;
	default:
		fl_bug(__FILE__, __LINE__, "a field without a fragment");
	}
	select_add(s, ")");
	return FL_OK;
}

static enum fl_code node(
	struct select *s, struct store *store, const struct rsql_node *n, struct fl_err *err)
{
	if (n->kind == RSQL_TERM)
		return term(s, store, n->term, err);
	for (size_t i = 0; i < n->n; i++) {
		select_add(s, i == 0 ? "(" : n->kind == RSQL_AND ? " AND " : " OR ");
		enum fl_code code = node(s, store, n->child[i], err);
		if (code != FL_OK)
			return code;
	}
	select_add(s, ")");
	return FL_OK;
}

enum fl_code select_where(
	struct select *s, struct store *store, const struct rsql *r, struct fl_err *err)
{
	if (r == NULL || r->root == NULL) {
		select_add(s, "1");
		return FL_OK;
	}
	return node(s, store, r->root, err);
}

enum fl_code select_query(
	struct select *s, struct store *store, struct db_rows *rows, struct fl_err *err)
{
	if (s->failed)
		return fl_fail(err, FL_NOMEM, "no memory for a query, or it is too long");
	enum fl_code code = fl_buf_check(&s->sql, err);
	if (code != FL_OK)
		return code;
	return db_query_text(store->db, (const char *)s->sql.p, s->args, s->n, rows, err);
}
