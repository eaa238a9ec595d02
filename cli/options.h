/* SPDX-License-Identifier: Apache-2.0
 *
 * Options of a command as a table of rows that fill a struct.
 *
 * DESIGN. A command lists its options once; parsing, "did you mean", --help, the shell completion
 * and the manual come from the rows. Options and operands may be mixed; "--" ends the options. A
 * table ends with a row without a name. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "lib/err.h"

#include <stdbool.h>
#include <stdint.h>

enum options_type {
	OPTIONS_FLAG,     /* bool; takes no value */
	OPTIONS_TEXT,     /* const char *, borrowed from argv; NULL when not given */
	OPTIONS_CHOICE,   /* const char *, one of `choices` */
	OPTIONS_LIST,     /* struct options_list; may be given many times */
	OPTIONS_COUNT,    /* int64_t from 0; OPTIONS_UNSET when not given */
	OPTIONS_DURATION, /* int64_t in seconds; OPTIONS_UNSET when not given */
	OPTIONS_PERCENT, /* double from 0 to 100, a '%' behind it is taken; OPTIONS_UNSET likewise */
};

#define OPTIONS_UNSET (-1)

/* All values of an option that may be repeated, in their order. Zeroed memory is a valid empty one. */
struct options_list {
	const char **v; /* owned array of borrowed strings */
	size_t n;
};

struct options_row {
	const char *name; /* without the dashes; NULL ends the table */
	char letter;      /* short form, 0 for none */
	enum options_type type;
	size_t offset;              /* in the command's struct */
	const char *argument;       /* what the help calls the value: "FILE" */
	const char *help;           /* one line */
	const char *const *choices; /* of a CHOICE, ends with NULL */
};

/* A table and the struct that it fills. */
struct options_set {
	const struct options_row *rows; /* NULL: none */
	void *out;
};

/* The words of a command line while they are taken apart. */
struct options_words {
	const char *const *v; /* borrowed */
	size_t n;
	size_t next;           /* the first that was not looked at yet */
	const char **operands; /* where operands go: room for n; borrowed strings */
	size_t n_operands;
	bool ended; /* "--" was seen: all that follows are operands */
};

/* Set every field of a table's struct to "not given". The struct must be zeroed before. */
void options_clear(const struct options_set *set);
/* Free the lists of a table's struct. Safe twice. */
void options_fini(const struct options_set *set);

/* Take options (of any of the n sets) and operands from w->next on. With `stop` it returns at the
 * first operand, without taking it. FL_INVALID names the option and, if there is one, the name
 * that was probably meant. */
enum fl_code options_parse(const struct options_set *sets, size_t n, struct options_words *w,
	bool stop, struct fl_err *err) FL_MUST_CHECK;

/* Whether the option takes a value. */
bool options_takes_value(const struct options_row *row);

#endif
