/* SPDX-License-Identifier: Apache-2.0
 *
 * RSQL: selectors over devices, as hawkBit's users know them.
 *
 *   or         := and (("," | " or ") and)*
 *   and        := constraint ((";" | " and ") constraint)*
 *   constraint := "(" or ")" | field operator value
 *   value      := word | 'text' | "text" | "(" word ("," word)* ")"      (lists after =in= and =out=)
 *
 * DESIGN. The text is parsed once into a flat, immutable tree with two back ends: rsql_matches
 * evaluates it over one device in memory (variants' selectors, classes, tests), store/select.h
 * composes SQL from constant fragments with bound values. A test compares them.
 *
 * fields      id, tier, gateway, enrolled, last_seen, attribute.<key>, label.<key>,
 *             installed.<module>. Names of fields ignore case, keys do not.
 * operators   == != =lt= < =le= <= =gt= > =ge= >= =in= =out=, =is= =eq= and =not= =ne= (like == and
 *             != but the bare word null means "not there")
 * meaning     != and =out= are exactly "not ==" and "not =in=": a device without the attribute
 *             matches attribute.x!=1. Order operators never match what is not there. `x==''` is "not
 *             there or empty". `*` in a value of == and != stands for any text, `\*` for a star.
 * id, gateway are compared exactly
 * attribute,  texts ignore the case of ASCII letters; JSON numbers, and for the order operators
 *  label      texts that are decimal numbers, are compared as numbers with a value that is one
 * enrolled    true, false
 * last_seen   milliseconds since 1970 or an RFC 3339 time; kept in seconds
 * installed   by semver precedence where both are semver versions, else the same text; null (also
 *             with == and !=) is "not installed"
 *
 * To add a field: a row in the table of rsql.c, its value in struct rsql_subject, its fragment in
 * store/select.c. */
#ifndef RSQL_H
#define RSQL_H

#include "lib/json.h"

#define RSQL_TEXT_MAX    4096 /* bytes of an expression */
#define RSQL_DECIMAL_MAX 15   /* digits and point of a text that counts as a number */
#define RSQL_DEPTH_MAX   16   /* parentheses within parentheses */
#define RSQL_TERMS_MAX   64   /* comparisons */
#define RSQL_VALUES_MAX  512  /* values in all lists together */

enum rsql_field {
	RSQL_ID,
	RSQL_TIER,
	RSQL_GATEWAY,
	RSQL_ENROLLED,
	RSQL_LAST_SEEN,
	RSQL_ATTRIBUTE,
	RSQL_LABEL,
	RSQL_INSTALLED,
	RSQL_FIELD_MAX
};

enum rsql_op { RSQL_EQ, RSQL_NE, RSQL_LT, RSQL_LE, RSQL_GT, RSQL_GE, RSQL_IN, RSQL_OUT };

/* A value in a comparison. */
struct rsql_value {
	const char
		*text; /* unescaped; of a pattern: with '\' before '*' and '\' that are meant so */
	bool null;     /* "not there" */
	bool pattern;  /* has a wildcard */
	bool numeric;  /* a decimal number */
	double number; /* if numeric; of last_seen: seconds */
};

struct rsql_term {
	enum rsql_field field;
	enum rsql_op op;
	const char *key; /* of attribute, label, installed; else NULL */
	const struct rsql_value *values;
	size_t n; /* 1 but for =in= and =out= */
};

/* A node: a comparison, or the AND or OR of a run of children. */
struct rsql_node {
	enum { RSQL_TERM, RSQL_AND, RSQL_OR } kind;
	const struct rsql_term *term;         /* RSQL_TERM */
	const struct rsql_node *const *child; /* RSQL_AND, RSQL_OR: two or more */
	size_t n;
};

/* A parsed expression; immutable, any number of threads may read it. */
struct rsql {
	const struct rsql_node *root; /* NULL: the empty expression, every device */
	unsigned fields;              /* bits 1 << enum rsql_field that occur */
};

/* Parse. "" and blanks are every device. FL_INVALID says the column (from 1) and, for a misspelt
 * field or operator, the nearest one. *out is the caller's, rsql_free it. Pure; any thread. */
enum fl_code rsql_parse(const char *text, struct rsql **out, struct fl_err *err) FL_MUST_CHECK;
/* Free; NULL is fine. */
void rsql_free(struct rsql *r);
static inline void rsql_cleanup(struct rsql **r)
{
	rsql_free(*r);
}
/* RSQL_AUTO struct rsql *r = NULL; is freed at the end of the scope. */
#define RSQL_AUTO __attribute__((cleanup(rsql_cleanup)))

/* Parse only to refuse: FL_INVALID like rsql_parse, also when a field outside of `fields` (bits
 * 1 << enum rsql_field) occurs. Variants' selectors take 1 << RSQL_ATTRIBUTE. */
enum fl_code rsql_check(const char *text, unsigned fields, struct fl_err *err) FL_MUST_CHECK;

/* One installed module of a subject. */
struct rsql_installed {
	const char *module, *version;
};

/* A device as the evaluator sees it. Borrowed. Fields that the expression does not use may be
 * left zero. */
struct rsql_subject {
	const char *id;
	const char *tier;
	const char *gateway; /* NULL: none */
	bool enrolled;
	int64_t last_seen;        /* seconds; 0: never */
	const json_t *attributes; /* object; NULL: none */
	const json_t *labels;
	const struct rsql_installed *installed;
	size_t n;
};

/* Whether the device matches. Pure; any thread; never fails. */
bool rsql_matches(const struct rsql *r, const struct rsql_subject *s);

/* Whether an installed `version` (NULL: not installed) satisfies a term over RSQL_INSTALLED; what
 * both back ends share. */
bool rsql_match_version(const struct rsql_term *term, const char *version);
/* Whether `text` fits a pattern of struct rsql_value, ASCII letters folded or not. */
bool rsql_match_pattern(const char *pattern, const char *text, bool ascii_fold);

/* Whether `s` is a decimal number: an optional '-', digits, optionally a point and digits; at most
 * RSQL_DECIMAL_MAX characters without the sign, so that both back ends read the same number. */
bool rsql_decimal(const char *s, double *out);

#endif
