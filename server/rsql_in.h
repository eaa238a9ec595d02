/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of RSQL's parser; included by rsql*.c only. */
#ifndef RSQL_IN_H
#define RSQL_IN_H

#include "server/rsql.h"

/* What a field's comparisons may hold. */
enum rsql_takes {
	TAKES_ORDER = 1,
	TAKES_NULL = 2,
	TAKES_PATTERN = 4,
	TAKES_LIST = 8,
};

struct rsql_field_row {
	const char *name; /* with a dot: a key follows */
	unsigned takes;   /* of enum rsql_takes */
};

/* Everything of one expression; `text` holds all unescaped strings. */
struct rsql_arena {
	struct rsql_term *terms;
	struct rsql_node *nodes;
	const struct rsql_node **children;
	struct rsql_value *values;
	char *text;
	size_t n_terms, max_terms;
	size_t n_nodes, n_children;
	size_t n_values, max_values;
	size_t n_text;
};

struct rsql_parser {
	const char *start, *at;
	unsigned depth;
	unsigned fields;
	struct rsql_arena a;
	struct fl_err *err;
};

/* Fail with the column of `at`. FL_INVALID. */
enum fl_code rsql_fail(const struct rsql_parser *p, const char *at, const char *what);
void rsql_skip_blanks(struct rsql_parser *p);
/* Whether a bare word may hold `c`. */
bool rsql_word_char(char c);
/* Bits of enum rsql_takes. */
unsigned rsql_field_takes(enum rsql_field field);

/* ---- rsql_value.c */

/* Parse one value of the term, or a list in parentheses, into the arena. `null_word`: the bare word null
 * means "not there". FL_INVALID. */
enum fl_code rsql_parse_value(
	struct rsql_parser *p, struct rsql_term *t, bool null_word) FL_MUST_CHECK;
enum fl_code rsql_parse_list(struct rsql_parser *p, struct rsql_term *t) FL_MUST_CHECK;

#endif
