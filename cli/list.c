/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/list.h"

#include "cli/text.h"
#include "cli/value.h"

#include <stdlib.h>
#include <string.h>

#define PAGE 1000

/* A list while it is printed. */
struct list_walk {
	struct cli *cli;
	const struct list_view *view;
	struct table table;
	int64_t limit; /* how many may still come; INT64_MAX: all */
	size_t shown;
	bool open; /* a JSON document has begun */
};

static char *page_path(const char *path, int64_t want, const char *cursor)
{
	char *out = text_format("%s", path);

	api_query_int(&out, "limit", want > PAGE ? PAGE : want);
	api_query(&out, "cursor", cursor);
	return out;
}

static void dump(const json_t *value)
{
	(void)json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
}

/* All that stands before the elements: the other members, and the name of theirs. */
static void open_json(const json_t *page)
{
	const char *key;
	json_t *value;

	(void)putchar('{');
	json_object_foreach ((json_t *)page, key, value) {
		if (strcmp(key, "items") == 0 || strcmp(key, "next") == 0)
			continue;
		(void)printf("\"%s\":", key);
		dump(value);
		(void)putchar(',');
	}
	(void)fputs("\"items\":[", stdout);
}

static void show_json(struct list_walk *w, const json_t *page, bool last)
{
	const json_t *next = json_object_get(page, "next");
	size_t i;
	json_t *item;

	if (!w->open && last) { /* one page is the document as it came */
		(void)cli_json(w->cli, page);
		return;
	}
	if (!w->open)
		open_json(page);
	w->open = true;
	json_array_foreach (json_object_get(page, "items"), i, item) {
		(void)fputs(w->shown + i > 0 ? ",\n" : "\n", stdout);
		dump(item);
	}
	if (!last)
		return;
	(void)fputs("],\"next\":", stdout);
	if (next != NULL)
		dump(next);
	else
		(void)fputs("null", stdout);
	(void)fputs("}\n", stdout);
}

static void show_table(struct list_walk *w, const json_t *page, bool last)
{
	size_t n = value_count(page, "items");
	size_t i;
	json_t *item;

	json_array_foreach (json_object_get(page, "items"), i, item)
		w->view->row(&w->table, item);
	if (n > 0)
		cli_table(w->cli, &w->table);
	table_continue(&w->table);
	if (last && w->shown + n == 0)
		cli_note(w->cli, "there are no %s", w->view->what);
	if (last && value_text(page, "next") != NULL)
		cli_warn("there are more than these %zu; --limit N or --all shows them",
			w->shown + n);
}

/* Print a page; *cursor becomes where the next one begins, NULL at the end. */
static enum fl_code show_page(
	struct list_walk *w, const json_t *page, char **cursor, struct fl_err *err)
{
	const char *next = value_text(page, "next");
	int64_t n = (int64_t)value_count(page, "items");
	bool last;

	if (!json_is_array(json_object_get(page, "items")))
		return fl_fail(err, FL_NETWORK, "the answer of the server is no list");
	w->limit -= n;
	last = next == NULL || n == 0 || w->limit <= 0;
	if (w->cli->globals.json)
		show_json(w, page, last);
	else
		show_table(w, page, last);
	w->shown += (size_t)n;
	free(*cursor);
	*cursor = last ? NULL : text_format("%s", next);
	return FL_OK;
}

static json_t *rest_of(json_t *page)
{
	(void)json_object_del(page, "items");
	(void)json_object_del(page, "next");
	return json_incref(page);
}

static enum fl_code walk(struct list_walk *w, const char *path, json_t **rest, struct fl_err *err)
{
	FL_AUTOFREE char *cursor = NULL;

	do {
		FL_AUTO_JSON json_t *page = NULL;
		FL_AUTOFREE char *url = page_path(path, w->limit, cursor);
		bool first = cursor == NULL;
		enum fl_code code = cli_get(w->cli, url, &page, err);

		if (code == FL_OK)
			code = show_page(w, page, &cursor, err);
		if (code != FL_OK)
			return code;
		if (first && rest != NULL)
			*rest = rest_of(page);
	} while (cursor != NULL);
	return FL_OK;
}

enum fl_code list_run(struct cli *cli, const char *path, const struct list_options *options,
	const struct list_view *view, json_t **rest, struct fl_err *err)
{
	struct list_walk w = { .cli = cli,
		.view = view,
		.table = { .columns = view->columns, .n_columns = view->n_columns },
		.limit = options->all        ? INT64_MAX
			: options->limit < 0 ? LIST_DEFAULT
					     : options->limit };
	enum fl_code code = walk(&w, path, rest, err);

	table_fini(&w.table);
	return code;
}
