/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables that fit the terminal.
 *
 * DESIGN. Cells are added row by row; widths are settled when the table is written. On a terminal
 * that is too narrow the widest columns that may be cut lose what does not fit; in a pipe nothing
 * is cut and nothing coloured, so that `awk` sees whole words. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "cli/terminal.h"

struct table_column {
	const char *title; /* NULL for all columns: no line of titles */
	bool right;        /* numbers stand to the right */
	bool cut;          /* may be cut to fit */
};

struct table_cell {
	char *text; /* owned, without control characters */
	size_t width;
	enum terminal_style style;
};

/* Zeroed memory with columns set is a valid empty table. */
struct table {
	const struct table_column *columns; /* borrowed */
	size_t n_columns;
	struct table_cell *cells; /* owned, row after row */
	size_t n_cells, room;
	size_t *least; /* owned; widths of the part that was written before, NULL: none was */
};

/* Free the cells. Safe twice. */
void table_fini(struct table *t);
/* Forget the rows; those to come are written under the ones before, without titles. */
void table_continue(struct table *t);
/* The next cell. An empty text prints as "-". */
void table_add(struct table *t, const char *text);
/* The next cell with a style and printf. */
void table_addf(struct table *t, enum terminal_style style, const char *fmt, ...) FL_PRINTF(3, 4);
/* Append the table as lines. Every row must be complete. */
void table_render(const struct table *t, const struct terminal *terminal, struct fl_buf *b);
/* Write it to `f`; with `first_only` just the first column without title. */
void table_print(const struct table *t, const struct terminal *terminal, FILE *f, bool first_only);

/* A table of names and values, for one thing: struct table t = TABLE_FIELDS; */
extern const struct table_column table_field_columns[2];
#define TABLE_FIELDS                                           \
	{                                                      \
		.columns = table_field_columns, .n_columns = 2 \
	}
/* One line of it; nothing if value is NULL or empty. */
void table_field(struct table *t, const char *name, const char *value);

#define TABLE_AUTO __attribute__((cleanup(table_fini)))

#endif
