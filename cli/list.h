/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of the API: all the pages that are wanted, shown as one. */
#ifndef CLI_LIST_H
#define CLI_LIST_H

#include "cli/cli.h"

#define LIST_DEFAULT 1000

/* What every `ls` takes. */
struct list_options {
	int64_t limit;
	bool all;
};

/* Their rows; `type_` has a struct list_options called `list`. */
#define LIST_ROWS(type_)                                                                        \
	{ .name = "limit",                                                                      \
		.letter = 'n',                                                                  \
		.type = OPTIONS_COUNT,                                                          \
		.offset = offsetof(type_, list.limit),                                          \
		.argument = "N",                                                                \
		.help = "show at most N (1000)" },                                              \
	{                                                                                       \
		.name = "all", .letter = 'a', .type = OPTIONS_FLAG,                             \
		.offset = offsetof(type_, list.all), .help = "show all, however many there are" \
	}

/* What to show of each element: adds one row to the table. */
typedef void list_row_fn(struct table *t, const json_t *item);

/* How a list is shown. */
struct list_view {
	const struct table_column *columns;
	size_t n_columns;
	list_row_fn *row;
	const char *what; /* the plural, for "there are no …" */
};
#define LIST_VIEW(columns_, row_, what_) \
	(&(const struct list_view){ columns_, FL_COUNT(columns_), row_, what_ })

/* GET `path` page by page and print it: as a table, as names only, or as one JSON document. A page is
 * printed before the next is fetched, so that a list may be longer than memory. Says on stderr if
 * there is more than was asked for, or nothing.
 *
 * rest: NULL, or where the other members of the first page go (a new reference). */
enum fl_code list_run(struct cli *cli, const char *path, const struct list_options *options,
	const struct list_view *view, json_t **rest, struct fl_err *err) FL_MUST_CHECK;

#endif
