/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of the API: all the pages that are wanted, as one. */
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

/* GET `path` page by page. `*out` is a new reference to {"items": […], "next": …} with any further
 * members of the first page. */
enum fl_code list_fetch(struct cli *cli, const char *path, const struct list_options *options,
	json_t **out, struct fl_err *err) FL_MUST_CHECK;

/* What to show of each element: adds one row to the table. */
typedef void list_row_fn(struct table *t, const json_t *item);

/* Print a list as JSON or as a table, and say if there is more or nothing. `what` is the plural for
 * "there are no …". */
void list_show(const struct cli *cli, const json_t *list, struct table *t, list_row_fn *row,
	const char *what);

#endif
