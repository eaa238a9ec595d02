/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/semver.h"

#include <string.h>

/* A piece of text that is being read. */
struct cursor {
	const char *p, *end;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_identifier(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static char peek(const struct cursor *c)
{
	return c->p < c->end ? *c->p : '\0';
}

static bool take(struct cursor *c, char wanted)
{
	if (c->p == c->end || *c->p != wanted)
		return false;
	c->p++;
	return true;
}

static void skip_blanks(struct cursor *c)
{
	while (c->p < c->end && is_blank(*c->p))
		c->p++;
}

/* ---- versions */

static enum fl_code read_number(struct cursor *c, uint64_t *out, struct fl_err *err)
{
	const char *start = c->p;
	uint64_t n = 0;

	for (; is_digit(peek(c)); c->p++) {
		n = n * 10 + (uint64_t)(*c->p - '0');
		if (n > FL_SEMVER_NUMBER_MAX)
			return fl_fail(err, FL_INVALID, "a number above %llu",
				(unsigned long long)FL_SEMVER_NUMBER_MAX);
	}
	if (c->p == start)
		return fl_fail(err, FL_INVALID, "a number is missing before \"%.32s\"", start);
	if (*start == '0' && c->p - start > 1)
		return fl_fail(err, FL_INVALID, "the number %.*s starts with a zero",
			(int)(c->p - start), start);
	*out = n;
	return FL_OK;
}

/* Identifiers joined by dots. In a pre-release numbers must not start with a zero. */
static enum fl_code read_identifiers(
	struct cursor *c, bool pre, const char **out, uint16_t *n, struct fl_err *err)
{
	const char *start = c->p;

	do {
		const char *part = c->p;
		bool number = true;

		for (; is_identifier(peek(c)); c->p++)
			number = number && is_digit(*c->p);
		if (c->p == part)
			return fl_fail(err, FL_INVALID, "an empty %s identifier",
				pre ? "pre-release" : "build");
		if (pre && number && *part == '0' && c->p - part > 1)
			return fl_fail(err, FL_INVALID,
				"the pre-release number %.*s starts with a zero",
				(int)(c->p - part), part);
	} while (take(c, '.'));
	*out = start;
	*n = (uint16_t)(c->p - start);
	return FL_OK;
}

/* What may stand behind the three numbers. */
static enum fl_code read_tail(struct cursor *c, struct fl_semver *v, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	if (take(c, '-'))
		code = read_identifiers(c, true, &v->pre, &v->pre_n, err);
	if (code == FL_OK && take(c, '+'))
		code = read_identifiers(c, false, &v->build, &v->build_n, err);
	return code;
}

static enum fl_code read_version(struct cursor *c, struct fl_semver *v, struct fl_err *err)
{
	uint64_t *const parts[] = { &v->major, &v->minor, &v->patch };
	enum fl_code code = FL_OK;

	for (int i = 0; i < 3 && code == FL_OK; i++) {
		if (i > 0 && !take(c, '.'))
			return fl_fail(
				err, FL_INVALID, "three numbers joined by dots are expected");
		code = read_number(c, parts[i], err);
	}
	if (code == FL_OK)
		code = read_tail(c, v, err);
	if (code == FL_OK && c->p != c->end)
		return fl_fail(err, FL_INVALID, "\"%.32s\" is too much at its end", c->p);
	return code;
}

enum fl_code fl_semver_parse(const char *text, struct fl_semver *out, struct fl_err *err)
{
	struct fl_semver v = { 0 };
	size_t n = strnlen(text, FL_SEMVER_TEXT_MAX + 1);
	struct cursor c = { text, text + n };

	if (n > FL_SEMVER_TEXT_MAX)
		return fl_fail(
			err, FL_INVALID, "a version of more than %d bytes", FL_SEMVER_TEXT_MAX);
	if (read_version(&c, &v, err) != FL_OK)
		return fl_wrap(err, "\"%s\" is not a semver version", text);
	*out = v;
	return FL_OK;
}

/* ---- order */

static int sign(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* The length of the identifier at p, and whether it is a number. */
static size_t identifier(const char *p, const char *end, bool *number)
{
	const char *s = p;

	*number = true;
	for (; s < end && *s != '.'; s++)
		*number = *number && is_digit(*s);
	return (size_t)(s - p);
}

static int compare_identifier(const struct cursor *a, size_t na, const struct cursor *b, size_t nb)
{
	bool number_a, number_b;
	size_t n = na < nb ? na : nb;
	int order;

	(void)identifier(a->p, a->p + na, &number_a);
	(void)identifier(b->p, b->p + nb, &number_b);
	if (number_a != number_b)
		return number_a ? -1 : 1;
	/* The longer number is the larger one: only build metadata may have leading zeros, and there
	 * any order will do. */
	if (number_a && na != nb)
		return na < nb ? -1 : 1;
	order = memcmp(a->p, b->p, n);
	return order != 0 ? order : sign(na, nb);
}

/* Dotted identifiers, both not empty. */
static int compare_identifiers(struct cursor a, struct cursor b)
{
	for (;;) {
		bool number;
		size_t na = identifier(a.p, a.end, &number);
		size_t nb = identifier(b.p, b.end, &number);
		int order = compare_identifier(&a, na, &b, nb);

		if (order != 0)
			return order;
		a.p += na;
		b.p += nb;
		if (a.p == a.end || b.p == b.end)
			return (a.p != a.end) - (b.p != b.end);
		a.p++;
		b.p++;
	}
}

static int compare_numbers(const struct fl_semver *a, const struct fl_semver *b)
{
	int order = sign(a->major, b->major);

	if (order == 0)
		order = sign(a->minor, b->minor);
	return order != 0 ? order : sign(a->patch, b->patch);
}

int fl_semver_compare(const struct fl_semver *a, const struct fl_semver *b)
{
	int order = compare_numbers(a, b);

	if (order != 0)
		return order;
	if (a->pre_n == 0 || b->pre_n == 0)
		return (a->pre_n == 0) - (b->pre_n == 0);
	return compare_identifiers((struct cursor){ a->pre, a->pre + a->pre_n },
		(struct cursor){ b->pre, b->pre + b->pre_n });
}

int fl_semver_order(const struct fl_semver *a, const struct fl_semver *b)
{
	int order = fl_semver_compare(a, b);

	if (order != 0)
		return order;
	if (a->build_n == 0 || b->build_n == 0)
		return (a->build_n != 0) - (b->build_n != 0);
	return compare_identifiers((struct cursor){ a->build, a->build + a->build_n },
		(struct cursor){ b->build, b->build + b->build_n });
}

/* ---- ranges */

/* A version in which numbers may be missing or wildcards. */
struct partial {
	struct fl_semver v;
	int parts; /* numbers that are given before the first wildcard: 0 .. 3 */
	bool gap;  /* a number stands behind a wildcard; it has no meaning */
};

enum range_word { WORD_NONE, WORD_EQ, WORD_LT, WORD_LE, WORD_GT, WORD_GE, WORD_TILDE, WORD_CARET };

static enum range_word read_operator(struct cursor *c)
{
	if (take(c, '^'))
		return WORD_CARET;
	if (take(c, '~')) {
		(void)take(c, '>');
		return WORD_TILDE;
	}
	if (take(c, '>'))
		return take(c, '=') ? WORD_GE : WORD_GT;
	if (take(c, '<'))
		return take(c, '=') ? WORD_LE : WORD_LT;
	return take(c, '=') ? WORD_EQ : WORD_NONE;
}

static bool take_wildcard(struct cursor *c)
{
	return take(c, 'x') || take(c, 'X') || take(c, '*');
}

/* Up to three numbers or wildcards. */
static enum fl_code read_parts(struct cursor *c, struct partial *p, int *n, struct fl_err *err)
{
	uint64_t *const parts[] = { &p->v.major, &p->v.minor, &p->v.patch };
	int i = 0;

	do {
		uint64_t number;
		enum fl_code code;

		if (take_wildcard(c))
			continue;
		code = read_number(c, &number, err);
		if (code != FL_OK)
			return code;
		if (p->parts < i) {
			p->gap = true;
		} else {
			*parts[i] = number;
			p->parts = i + 1;
		}
	} while (++i < 3 && take(c, '.'));
	*n = i;
	return FL_OK;
}

static enum fl_code read_partial(struct cursor *c, struct partial *out, struct fl_err *err)
{
	struct partial p = { 0 };
	enum fl_code code;
	int n = 0;

	/* ~>=1 and ^=1 are written, and mean ~1 and ^1. */
	while (take(c, 'v') || take(c, '='))
		;
	code = read_parts(c, &p, &n, err);
	if (code == FL_OK && (n == 3 || peek(c) == '+'))
		code = read_tail(c, &p.v, err);
	if (p.parts < 3)
		p.v.pre_n = 0;
	if (code == FL_OK)
		*out = p;
	return code;
}

/* The lowest version above all that start with the first `parts` numbers of v, pre-releases of it
 * included: 1.2 -> 1.3.0-0. */
static struct fl_semver above(const struct fl_semver *v, int parts)
{
	struct fl_semver out = { .pre = "0", .pre_n = 1 };

	out.major = v->major + (parts == 1);
	if (parts >= 2)
		out.minor = v->minor + (parts == 2);
	if (parts >= 3)
		out.patch = v->patch + 1;
	return out;
}

/* Where expanded comparisons go. */
struct expansion {
	struct fl_range *range;
	uint8_t set;
	bool full;
};

static void add(struct expansion *e, enum fl_range_op op, struct fl_semver v)
{
	if (e->range->n == FL_RANGE_TESTS_MAX) {
		e->full = true;
		return;
	}
	e->range->tests[e->range->n++] =
		(struct fl_range_test){ .version = v, .op = (uint8_t)op, .set = e->set };
}

static void add_any(struct expansion *e)
{
	add(e, FL_RANGE_GE, (struct fl_semver){ 0 });
	if (!e->full)
		e->range->tests[e->range->n - 1].any = true;
}

/* A comparison that nothing satisfies: 0.0.0-0 is the lowest of all versions. */
static void add_nothing(struct expansion *e)
{
	add(e, FL_RANGE_LT, (struct fl_semver){ .pre = "0", .pre_n = 1 });
}

/* v and everything up to the end of its first `parts` numbers. */
static void add_span(struct expansion *e, const struct partial *p, int parts)
{
	add(e, FL_RANGE_GE, p->v);
	add(e, FL_RANGE_LT, above(&p->v, parts));
}

/* ^: the left-most number that is not zero stays. */
static void add_caret(struct expansion *e, const struct partial *p)
{
	int keep = p->v.major > 0 ? 1 : p->v.minor > 0 ? 2 : 3;

	add_span(e, p, keep < p->parts ? keep : p->parts);
}

/* Comparison with a version that has less than three numbers, at least one. */
static void add_partial(struct expansion *e, enum range_word op, const struct partial *p)
{
	struct fl_semver start = p->v;

	switch (op) {
	case WORD_GT:
		start = above(&p->v, p->parts);
		start.pre_n = 0;
		add(e, FL_RANGE_GE, start);
		return;
	case WORD_LE:
		add(e, FL_RANGE_LT, above(&p->v, p->parts));
		return;
	case WORD_GE:
		add(e, FL_RANGE_GE, start);
		return;
	case WORD_LT:
		start.pre = "0";
		start.pre_n = 1;
		add(e, FL_RANGE_LT, start);
		return;
	default:
		add_span(e, p, p->parts);
	}
}

static void add_comparator(struct expansion *e, enum range_word op, const struct partial *p)
{
	static const enum fl_range_op plain[] = { [WORD_NONE] = FL_RANGE_EQ,
		[WORD_EQ] = FL_RANGE_EQ,
		[WORD_LT] = FL_RANGE_LT,
		[WORD_LE] = FL_RANGE_LE,
		[WORD_GT] = FL_RANGE_GT,
		[WORD_GE] = FL_RANGE_GE };

	if (p->parts == 0 && (op == WORD_GT || op == WORD_LT))
		add_nothing(e);
	else if (p->parts == 0)
		add_any(e);
	else if (op == WORD_CARET)
		add_caret(e, p);
	else if (op == WORD_TILDE)
		add_span(e, p, p->parts < 2 ? p->parts : 2);
	else if (p->parts < 3)
		add_partial(e, op, p);
	else
		add(e, plain[op], p->v);
}

/* A - B, where A is read already. */
static enum fl_code read_hyphen(
	struct cursor *c, struct expansion *e, const struct partial *from, struct fl_err *err)
{
	struct partial to;
	enum fl_code code;

	skip_blanks(c);
	code = read_partial(c, &to, err);
	if (code != FL_OK)
		return code;
	if (from->parts > 0)
		add(e, FL_RANGE_GE, from->v);
	if (to.parts == 3)
		add(e, FL_RANGE_LE, to.v);
	else if (to.parts > 0)
		add(e, FL_RANGE_LT, above(&to.v, to.parts));
	if (from->parts == 0 && to.parts == 0)
		add_any(e);
	skip_blanks(c);
	if (c->p != c->end)
		return fl_fail(err, FL_INVALID, "nothing may follow a range with a hyphen");
	return FL_OK;
}

/* Whether " - " follows; takes it. */
static bool take_hyphen(struct cursor *c)
{
	struct cursor ahead = *c;

	skip_blanks(&ahead);
	if (ahead.p == c->p || !take(&ahead, '-') || !is_blank(peek(&ahead)))
		return false;
	*c = ahead;
	return true;
}

/* One alternative. */
static enum fl_code read_set(struct cursor c, struct expansion *e, struct fl_err *err)
{
	bool first = true;

	skip_blanks(&c);
	if (c.p == c.end)
		add_any(e);
	while (c.p < c.end) {
		enum range_word op = read_operator(&c);
		struct partial p;
		enum fl_code code;

		skip_blanks(&c);
		code = read_partial(&c, &p, err);
		if (code != FL_OK)
			return code;
		if (first && op == WORD_NONE && take_hyphen(&c))
			return read_hyphen(&c, e, &p, err);
		/* node-semver looks at this in plain comparisons alone */
		if (p.gap && op != WORD_TILDE && op != WORD_CARET)
			return fl_fail(err, FL_INVALID, "a number stands behind a wildcard");
		if (c.p < c.end && !is_blank(*c.p))
			return fl_fail(err, FL_INVALID, "\"%.*s\" is not understood",
				c.end - c.p < 32 ? (int)(c.end - c.p) : 32, c.p);
		add_comparator(e, op, &p);
		skip_blanks(&c);
		first = false;
	}
	return FL_OK;
}

/* An alternative that is `*` and nothing else makes the others meaningless, also those that name a
 * pre-release. */
static void keep_any(struct fl_range *r)
{
	for (uint8_t i = 0; i < r->n; i++) {
		bool alone = (i == 0 || r->tests[i - 1].set != r->tests[i].set) &&
			(i + 1 == r->n || r->tests[i + 1].set != r->tests[i].set);

		if (r->tests[i].any && alone) {
			r->tests[0] = r->tests[i];
			r->n = 1;
			return;
		}
	}
}

static enum fl_code read_range(const char *text, size_t n, struct fl_range *out, struct fl_err *err)
{
	const char *end = text + n;
	struct expansion e = { .range = out };

	for (;;) {
		const char *bar = memmem(text, (size_t)(end - text), "||", 2);
		struct cursor c = { text, bar != NULL ? bar : end };
		enum fl_code code = read_set(c, &e, err);

		if (code != FL_OK)
			return code;
		if (e.full)
			return fl_fail(
				err, FL_INVALID, "more than %d comparisons", FL_RANGE_TESTS_MAX);
		if (bar == NULL)
			break;
		text = bar + 2;
		e.set++;
	}
	keep_any(out);
	return FL_OK;
}

enum fl_code fl_range_parse(const char *text, struct fl_range *out, struct fl_err *err)
{
	size_t n = strnlen(text, FL_RANGE_TEXT_MAX + 1);

	if (n > FL_RANGE_TEXT_MAX)
		return fl_fail(err, FL_INVALID, "a range of more than %d bytes", FL_RANGE_TEXT_MAX);
	out->n = 0;
	if (read_range(text, n, out, err) != FL_OK)
		return fl_wrap(err, "\"%.128s\" is not a version range", text);
	return FL_OK;
}

static bool test_holds(const struct fl_range_test *t, const struct fl_semver *v)
{
	int order = t->any ? 0 : fl_semver_compare(v, &t->version);

	switch ((enum fl_range_op)t->op) {
	case FL_RANGE_EQ:
		return order == 0;
	case FL_RANGE_LT:
		return order < 0;
	case FL_RANGE_LE:
		return order <= 0;
	case FL_RANGE_GT:
		return order > 0;
	case FL_RANGE_GE:
		return order >= 0;
	}
	return false;
}

/* Whether a test speaks of pre-releases of the same three numbers. */
static bool names_tuple(const struct fl_range_test *t, const struct fl_semver *v)
{
	return t->version.pre_n > 0 && compare_numbers(&t->version, v) == 0;
}

bool fl_range_has(const struct fl_range *range, const struct fl_semver *v)
{
	for (uint8_t i = 0; i < range->n;) {
		uint8_t set = range->tests[i].set;
		bool all = true, named = v->pre_n == 0;

		for (; i < range->n && range->tests[i].set == set; i++) {
			all = all && test_holds(&range->tests[i], v);
			named = named || names_tuple(&range->tests[i], v);
		}
		if (all && named)
			return true;
	}
	return false;
}
