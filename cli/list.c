/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/list.h"

#include "cli/text.h"
#include "cli/value.h"

#include <stdlib.h>

#define PAGE 1000

static char *page_path(const char *path, int64_t want, const char *cursor)
{
	char *out = text_format("%s", path);

	api_query_int(&out, "limit", want > PAGE ? PAGE : want);
	api_query(&out, "cursor", cursor);
	return out;
}

static enum fl_code add_page(json_t **list, json_t *page, struct fl_err *err)
{
	if (!json_is_array(json_object_get(page, "items")))
		return fl_fail(err, FL_NETWORK, "the answer of the server is no list");
	if (*list == NULL) {
		*list = json_incref(page);
		return FL_OK;
	}
	(void)json_array_extend(json_object_get(*list, "items"), json_object_get(page, "items"));
	(void)json_object_set(*list, "next", json_object_get(page, "next"));
	return FL_OK;
}

enum fl_code list_fetch(struct cli *cli, const char *path, const struct list_options *options,
	json_t **out, struct fl_err *err)
{
	int64_t limit = options->limit < 0 ? LIST_DEFAULT : options->limit;
	FL_AUTO_JSON json_t *list = NULL;

	for (;;) {
		FL_AUTO_JSON json_t *page = NULL;
		int64_t have = (int64_t)value_count(list, "items");
		FL_AUTOFREE char *url = page_path(
			path, options->all ? PAGE : limit - have, value_text(list, "next"));
		enum fl_code code = cli_get(cli, url, &page, err);

		if (code == FL_OK)
			code = add_page(&list, page, err);
		if (code != FL_OK)
			return code;
		have = (int64_t)value_count(list, "items");
		if (value_text(list, "next") == NULL || value_count(page, "items") == 0 ||
			(!options->all && have >= limit))
			break;
	}
	*out = fl_steal(&list);
	return FL_OK;
}

void list_show(const struct cli *cli, const json_t *list, struct table *t, list_row_fn *row,
	const char *what)
{
	const json_t *items = json_object_get(list, "items");
	size_t i;
	json_t *item;

	if (cli_json(cli, list))
		return;
	json_array_foreach (items, i, item)
		row(t, item);
	if (json_array_size(items) == 0)
		cli_note(cli, "there are no %s", what);
	else
		cli_table(cli, t);
	if (value_text(list, "next") != NULL)
		cli_warn("there are more than these %zu; --limit N or --all shows them",
			json_array_size(items));
}
