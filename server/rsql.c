/* SPDX-License-Identifier: Apache-2.0
 *
 * The parser of RSQL. A recursive descent over one text into one block of memory, whose parts are
 * sized by the length of the text, so that nothing can run over and nothing is allocated twice. */
#include "server/rsql_in.h"

#include "lib/nearest.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h> /* strcasecmp */

/* ---- the language as tables */

static const struct rsql_field_row fields[RSQL_FIELD_MAX] = {
	[RSQL_ID] = { "id", TAKES_ORDER | TAKES_PATTERN | TAKES_LIST },
	[RSQL_TIER] = { "tier", TAKES_LIST },
	[RSQL_GATEWAY] = { "gateway", TAKES_NULL | TAKES_PATTERN | TAKES_LIST },
	[RSQL_ENROLLED] = { "enrolled", 0 },
	[RSQL_LAST_SEEN] = { "last_seen", TAKES_ORDER | TAKES_NULL },
	[RSQL_ATTRIBUTE] = { "attribute.", TAKES_ORDER | TAKES_NULL | TAKES_PATTERN | TAKES_LIST },
	[RSQL_LABEL] = { "label.", TAKES_ORDER | TAKES_NULL | TAKES_PATTERN | TAKES_LIST },
	[RSQL_INSTALLED] = { "installed.", TAKES_ORDER | TAKES_NULL | TAKES_PATTERN | TAKES_LIST },
};

/* Longer texts before those that they begin with. */
static const struct op_row {
	const char *text;
	enum rsql_op op;
	bool null; /* the bare word null means "not there" */
} ops[] = {
	{ "==", RSQL_EQ, false },
	{ "!=", RSQL_NE, false },
	{ "<=", RSQL_LE, false },
	{ ">=", RSQL_GE, false },
	{ "<", RSQL_LT, false },
	{ ">", RSQL_GT, false },
	{ "=lt=", RSQL_LT, false },
	{ "=le=", RSQL_LE, false },
	{ "=gt=", RSQL_GT, false },
	{ "=ge=", RSQL_GE, false },
	{ "=in=", RSQL_IN, false },
	{ "=out=", RSQL_OUT, false },
	{ "=is=", RSQL_EQ, true },
	{ "=eq=", RSQL_EQ, true },
	{ "=not=", RSQL_NE, true },
	{ "=ne=", RSQL_NE, true },
};

unsigned rsql_field_takes(enum rsql_field field)
{
	return fields[field].takes;
}

/* ---- state of one parse */

/* The place of `at` for a person: characters from 1. */
static unsigned column(const struct rsql_parser *p, const char *at)
{
	unsigned n = 1;

	for (const char *c = p->start; c < at; c++)
		n += ((unsigned char)*c & 0xC0) != 0x80;
	return n;
}

enum fl_code rsql_fail(const struct rsql_parser *p, const char *at, const char *what)
{
	return fl_fail(p->err, FL_INVALID, "RSQL column %u: %s", column(p, at), what);
}

void rsql_skip_blanks(struct rsql_parser *p)
{
	while (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r')
		p->at++;
}

bool rsql_word_char(char c)
{
	return (unsigned char)c > ' ' && c != 0x7f && strchr("\"'();,=!~<>", c) == NULL;
}

static size_t word_length(const char *s)
{
	size_t n = 0;

	while (rsql_word_char(s[n]))
		n++;
	return n;
}

/* ---- fields and operators */

/* Whether a key follows the field `name` (written without its dot). */
static bool takes_key(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < RSQL_FIELD_MAX; i++)
		if (strncmp(fields[i].name, name, n) == 0 && fields[i].name[n] == '.')
			return true;
	return false;
}

static enum fl_code unknown_field(const struct rsql_parser *p, const char *word)
{
	static const char *const names[] = { "id", "tier", "gateway", "enrolled", "last_seen",
		"attribute", "label", "installed" };
	char head[64];
	size_t n = strcspn(word, ".");
	const char *near;

	snprintf(head, sizeof(head), "%.*s", (int)(n < sizeof(head) ? n : sizeof(head) - 1), word);
	near = fl_nearest(head, names, FL_COUNT(names));
	if (near != NULL && strcasecmp(near, head) == 0)
		return fl_fail(p->err, FL_INVALID, "RSQL column %u: write %s%s", column(p, p->at),
			near, takes_key(near) ? ".<key>" : " with nothing behind it");
	if (near != NULL)
		return fl_fail(p->err, FL_INVALID,
			"RSQL column %u: there is no field \"%s\"; did you mean \"%s\"?",
			column(p, p->at), head, near);
	return fl_fail(p->err, FL_INVALID,
		"RSQL column %u: there is no field \"%s\"; there are id, tier, gateway, enrolled, "
		"last_seen, attribute.<key>, label.<key>, installed.<module>",
		column(p, p->at), head);
}

/* Keep `n` bytes in the arena; always fits. */
static char *keep(struct rsql_arena *a, const char *s, size_t n)
{
	char *to = a->text + a->n_text;

	memcpy(to, s, n);
	to[n] = '\0';
	a->n_text += n + 1;
	return to;
}

static enum fl_code parse_field(struct rsql_parser *p, struct rsql_term *term)
{
	size_t n = word_length(p->at);
	const char *word;

	if (n == 0)
		return rsql_fail(p, p->at,
			*p->at == '\0' ? "a comparison is missing"
				       : "a field is missing before this");
	word = keep(&p->a, p->at, n);
	for (size_t i = 0; i < RSQL_FIELD_MAX; i++) {
		size_t length = strlen(fields[i].name);
		bool keyed = fields[i].name[length - 1] == '.';

		if (keyed ? strncasecmp(word, fields[i].name, length) != 0 || n == length
			  : strcasecmp(word, fields[i].name) != 0)
			continue;
		term->field = (enum rsql_field)i;
		term->key = keyed ? word + length : NULL;
		p->fields |= 1u << i;
		p->at += n;
		return FL_OK;
	}
	return unknown_field(p, word);
}

static enum fl_code unknown_operator(const struct rsql_parser *p)
{
	static const char *const names[] = {
		"=lt=", "=le=", "=gt=", "=ge=", "=in=", "=out=", "=is=", "=eq=", "=not=", "=ne="
	};
	char text[16];
	size_t n = 0;

	while (n < sizeof(text) - 1 &&
		(strchr("=!~<>", p->at[n]) != NULL || rsql_word_char(p->at[n])) &&
		p->at[n] != '\0' && !(n > 1 && p->at[n - 1] == '='))
		n++;
	if (n == 0)
		return rsql_fail(p, p->at, "an operator is missing, such as == or =in=");
	if (p->at[0] == '=' && p->at[n - 1] != '=')
		return rsql_fail(p, p->at, "\"=\" alone is no operator; did you mean \"==\"?");
	memcpy(text, p->at, n);
	text[n] = '\0';
	const char *near = n > 2 ? fl_nearest(text, names, FL_COUNT(names)) : NULL;
	return fl_fail(p->err, FL_INVALID, "RSQL column %u: \"%s\" is no operator; %s%s%s",
		column(p, p->at), text,
		near ? "did you mean \"" : "write == or !=", near ? near : "",
		near ? "\"?" : " or =lt= and the like");
}

static enum fl_code parse_operator(struct rsql_parser *p, const struct op_row **out)
{
	for (size_t i = 0; i < FL_COUNT(ops); i++) {
		size_t n = strlen(ops[i].text);

		if (strncasecmp(p->at, ops[i].text, n) != 0)
			continue;
		*out = &ops[i];
		p->at += n;
		return FL_OK;
	}
	return unknown_operator(p);
}

static enum fl_code check_operator(
	const struct rsql_parser *p, const char *at, const struct rsql_term *t)
{
	unsigned takes = fields[t->field].takes;
	bool order = t->op >= RSQL_LT && t->op <= RSQL_GE;
	bool list = t->op == RSQL_IN || t->op == RSQL_OUT;

	if ((order && !(takes & TAKES_ORDER)) || (list && !(takes & TAKES_LIST)))
		return fl_fail(p->err, FL_INVALID,
			"RSQL column %u: %s cannot be compared in this way", column(p, at),
			fields[t->field].name);
	return FL_OK;
}

/* ---- the tree */

static struct rsql_node *new_node(struct rsql_arena *a)
{
	return &a->nodes[a->n_nodes++];
}

static enum fl_code parse_term(struct rsql_parser *p, const struct rsql_node **out)
{
	const struct op_row *op = NULL;
	struct rsql_arena *a = &p->a;

	if (a->n_terms == a->max_terms)
		return fl_fail(p->err, FL_INVALID, "RSQL column %u: more than %d comparisons",
			column(p, p->at), RSQL_TERMS_MAX);
	struct rsql_term *term = &a->terms[a->n_terms++];
	term->values = &a->values[a->n_values];
	enum fl_code code = parse_field(p, term);
	if (code != FL_OK)
		return code;
	rsql_skip_blanks(p);
	const char *at = p->at;
	code = parse_operator(p, &op);
	if (code != FL_OK)
		return code;
	term->op = op->op;
	rsql_skip_blanks(p);
	code = check_operator(p, at, term);
	if (code != FL_OK)
		return code;
	bool list = term->op == RSQL_IN || term->op == RSQL_OUT;
	code = list ? rsql_parse_list(p, term) : rsql_parse_value(p, term, op->null);
	if (code != FL_OK)
		return code;
	struct rsql_node *node = new_node(a);
	*node = (struct rsql_node){ .kind = RSQL_TERM, .term = term };
	*out = node;
	return FL_OK;
}

static enum fl_code parse_or(struct rsql_parser *p, const struct rsql_node **out);

static enum fl_code parse_constraint(struct rsql_parser *p, const struct rsql_node **out)
{
	const char *open = p->at;

	rsql_skip_blanks(p);
	if (*p->at != '(')
		return parse_term(p, out);
	open = p->at++;
	if (++p->depth > RSQL_DEPTH_MAX)
		return rsql_fail(p, open, "the parentheses are nested too deeply");
	enum fl_code code = parse_or(p, out);
	if (code != FL_OK)
		return code;
	p->depth--;
	if (*p->at != ')')
		return *p->at == '\0' ? rsql_fail(p, open, "this parenthesis is never closed")
				      : rsql_fail(p, p->at, "expected ';', ',' or ')' here");
	p->at++;
	return FL_OK;
}

/* Step over the sign `c` or the word `word`; false when neither is there. */
static bool take_joint(struct rsql_parser *p, char c, const char *word)
{
	size_t n = strlen(word);

	rsql_skip_blanks(p);
	if (*p->at == c) {
		p->at++;
		return true;
	}
	if (strncasecmp(p->at, word, n) != 0 ||
		(p->at[n] != ' ' && p->at[n] != '\t' && p->at[n] != '('))
		return false;
	p->at += n;
	return true;
}

/* One level of the grammar: children joined by a sign or a word. */
static enum fl_code parse_run(struct rsql_parser *p, bool is_or, const struct rsql_node **out)
{
	const struct rsql_node *child[RSQL_TERMS_MAX];
	size_t n = 0;

	do {
		/* every child holds a comparison at least, so that parse_term stops before the array */
		FL_BUG_IF(n == RSQL_TERMS_MAX && p->a.n_terms < p->a.max_terms);
		const struct rsql_node *next = NULL;
		enum fl_code code = is_or ? parse_run(p, false, &next) : parse_constraint(p, &next);
		if (code != FL_OK)
			return code;
		child[n++] = next;
	} while (is_or ? take_joint(p, ',', "or") : take_joint(p, ';', "and"));
	if (n == 1) {
		*out = child[0];
		return FL_OK;
	}
	struct rsql_arena *a = &p->a;
	const struct rsql_node **to = a->children + a->n_children;
	memcpy(to, child, n * sizeof(*to));
	a->n_children += n;
	struct rsql_node *node = new_node(a);
	*node = (struct rsql_node){ .kind = is_or ? RSQL_OR : RSQL_AND, .child = to, .n = n };
	*out = node;
	return FL_OK;
}

static enum fl_code parse_or(struct rsql_parser *p, const struct rsql_node **out)
{
	return parse_run(p, true, out);
}

/* ---- memory */

static size_t at_most(size_t n, size_t max)
{
	return n < max ? n : max;
}

/* Lay out the arena behind `struct rsql` in one block. */
static struct rsql *layout(struct rsql_arena *a, size_t length)
{
	a->max_terms = at_most(length / 3 + 1, RSQL_TERMS_MAX);   /* "id<1" is the shortest */
	a->max_values = at_most(length / 2 + 1, RSQL_VALUES_MAX); /* a value and its comma */
	size_t nodes = 2 * a->max_terms; /* an inner node has two children at least */
	size_t terms_at = sizeof(struct rsql);
	size_t nodes_at = terms_at + a->max_terms * sizeof(*a->terms);
	size_t children_at = nodes_at + nodes * sizeof(*a->nodes);
	size_t values_at = children_at + nodes * sizeof(const struct rsql_node *);
	size_t text_at = values_at + a->max_values * sizeof(*a->values);
	char *block = calloc(1, text_at + 2 * length + a->max_values + a->max_terms + 2);

	if (block == NULL)
		return NULL;
	a->terms = (void *)(block + terms_at);
	a->nodes = (void *)(block + nodes_at);
	a->children = (void *)(block + children_at);
	a->values = (void *)(block + values_at);
	a->text = block + text_at;
	return (void *)block;
}

static enum fl_code check_text(const struct rsql_parser *p, size_t length)
{
	FL_AUTO_JSON json_t *utf8 = NULL;

	if (length > RSQL_TEXT_MAX)
		return fl_fail(p->err, FL_INVALID,
			"an RSQL expression has at most %d bytes, not %zu", RSQL_TEXT_MAX, length);
	utf8 = json_string(p->start);
	if (utf8 == NULL)
		return fl_fail(p->err, FL_INVALID, "an RSQL expression is UTF-8 text");
	for (const char *c = p->start; *c != '\0'; c++)
		if (((unsigned char)*c < ' ' && strchr("\t\n\r", *c) == NULL) || *c == 0x7f)
			return rsql_fail(p, c, "a control character");
	return FL_OK;
}

enum fl_code rsql_parse(const char *text, struct rsql **out, struct fl_err *err)
{
	struct rsql_parser p = { .start = text, .at = text, .err = err };
	size_t length = strlen(text);
	enum fl_code code = check_text(&p, length);

	if (code != FL_OK)
		return code;
	RSQL_AUTO struct rsql *r = layout(&p.a, length);
	if (r == NULL)
		return fl_fail(err, FL_NOMEM, "no memory to parse an RSQL expression");
	rsql_skip_blanks(&p);
	if (*p.at != '\0') {
		code = parse_or(&p, &r->root);
		if (code != FL_OK)
			return code;
		if (*p.at != '\0')
			return rsql_fail(&p, p.at,
				*p.at == ')' ? "no parenthesis is open here"
					     : "expected ';' (and) or ',' (or) here");
	}
	r->fields = p.fields;
	*out = fl_steal(&r);
	return FL_OK;
}

void rsql_free(struct rsql *r)
{
	free(r);
}

enum fl_code rsql_check(const char *text, unsigned allowed, struct fl_err *err)
{
	RSQL_AUTO struct rsql *r = NULL;
	enum fl_code code = rsql_parse(text, &r, err);

	if (code != FL_OK)
		return code;
	for (unsigned i = 0; i < RSQL_FIELD_MAX; i++)
		if ((r->fields & ~allowed) & 1u << i)
			return fl_fail(err, FL_INVALID, "%s cannot be used in this selector",
				fields[i].name);
	return FL_OK;
}
