/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "cli/list.h"
#include "cli/text.h"
#include "cli/value.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* "app@2.1.0", "lib@1.4.0:install", "old:absent": as typed and as shown. */
static void add_entry(struct fl_buf *b, const json_t *entry)
{
	const char *module = value_text(entry, "module");
	const char *version = value_text(entry, "version");
	const char *action = value_text(entry, "action");

	fl_buf_str(b, module != NULL ? module : "?");
	if (version != NULL)
		fl_buf_printf(b, "@%s", version);
	if (action != NULL && strcmp(action, "update") != 0)
		fl_buf_printf(b, ":%s", action);
}

static void add_entries(struct fl_buf *b, const json_t *release)
{
	const json_t *entries = json_object_get(release, "entries");

	for (size_t i = 0; i < json_array_size(entries); i++) {
		if (i > 0)
			fl_buf_byte(b, ' ');
		add_entry(b, json_array_get(entries, i));
	}
	text_check(b);
}

/* ---- ls */
struct ls_options {
	struct list_options list;
};

static const struct options_row ls_rows[] = { LIST_ROWS(struct ls_options), { 0 } };

static const struct table_column ls_columns[] = {
	{ .title = "RELEASE" },
	{ .title = "ENTRIES", .cut = true },
	{ .title = "CREATED" },
	{ .title = "BY", .cut = true },
	{ .title = "NOTES", .cut = true },
};

static void ls_row(struct table *t, const json_t *release)
{
	FL_AUTO_BUF struct fl_buf entries = { 0 };
	char text[TEXT_SHORT];

	add_entries(&entries, release);
	table_add(t, value_text(release, "name"));
	table_add(t, (char *)entries.p);
	table_add(t, text_age(text, value_text(release, "created_at"), time(NULL)));
	table_add(t, value_text(release, "created_by"));
	table_add(t, value_text(release, "notes"));
}

static enum fl_code ls(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct ls_options *o = options;

	return list_run(cli, "/api/v1/releases", &o->list,
		LIST_VIEW(ls_columns, ls_row, "releases; 'fleetctl release create' makes one"),
		NULL, err);
}

/* ---- show */
static const struct table_column entry_columns[] = {
	{ .title = "MODULE" },
	{ .title = "VERSION" },
	{ .title = "ACTION" },
};

static void show_release(const struct cli *cli, const json_t *release)
{
	TABLE_AUTO struct table head = TABLE_FIELDS;
	TABLE_AUTO struct table t = { .columns = entry_columns,
		.n_columns = FL_COUNT(entry_columns) };
	const json_t *entries = json_object_get(release, "entries");
	char text[TEXT_SHORT];

	table_field(&head, "release", value_text(release, "name"));
	table_field(&head, "digest", value_text(release, "digest"));
	table_field(
		&head, "created", text_age(text, value_text(release, "created_at"), time(NULL)));
	table_field(&head, "by", value_text(release, "created_by"));
	table_field(&head, "notes", value_text(release, "notes"));
	for (size_t i = 0; i < json_array_size(entries); i++) {
		const json_t *entry = json_array_get(entries, i);

		table_add(&t, value_text(entry, "module"));
		table_add(&t, value_text(entry, "version"));
		table_add(&t, value_text(entry, "action"));
	}
	table_print(&head, &cli->out, stdout, false);
	(void)putchar('\n');
	table_print(&t, &cli->out, stdout, false);
}

static enum fl_code show(struct cli *cli, const void *options, struct fl_err *err)
{
	FL_AUTOFREE char *path = api_path("/api/v1/releases/{}", cli_operand(cli, 0));
	FL_AUTO_JSON json_t *release = NULL;
	enum fl_code code = cli_get(cli, path, &release, err);

	(void)options;
	if (code == FL_OK && !cli_json(cli, release))
		show_release(cli, release);
	return code;
}

/* ---- create */
struct create_options {
	const char *notes;
};

static const struct options_row create_rows[] = {
	{ .name = "notes",
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct create_options, notes),
		.argument = "TEXT",
		.help = "what it brings" },
	{ 0 },
};

static enum fl_code bad_entry(const char *text, struct fl_err *err)
{
	return fl_fail(err, FL_INVALID,
		"\"%.80s\" is no entry; write MODULE@VERSION, MODULE@VERSION:install or "
		"MODULE:absent",
		text);
}

static enum fl_code parse_entry(const char *text, json_t **out, struct fl_err *err)
{
	static const char *const actions[] = { "update", "install", "absent" };
	const char *at = strchr(text, '@');
	const char *colon = strchr(at != NULL ? at : text, ':');
	size_t end = colon != NULL ? (size_t)(colon - text) : strlen(text);
	size_t name_end = at != NULL ? (size_t)(at - text) : end;
	const char *action = colon == NULL ? "update" : NULL;
	bool absent;

	for (size_t i = 0; colon != NULL && i < FL_COUNT(actions); i++) {
		if (strcmp(colon + 1, actions[i]) == 0)
			action = actions[i];
	}
	absent = action != NULL && strcmp(action, "absent") == 0;
	if (action == NULL || name_end == 0 || absent != (at == NULL) ||
		(at != NULL && end == name_end + 1))
		return bad_entry(text, err);
	*out = json_pack("{s:s%, s:s}", "module", text, name_end, "action", action);
	if (*out != NULL && at != NULL)
		(void)json_object_set_new(
			*out, "version", json_stringn(at + 1, end - name_end - 1));
	return *out != NULL ? FL_OK : bad_entry(text, err);
}

static enum fl_code create(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct create_options *o = options;
	FL_AUTOFREE char *path = api_path("/api/v1/releases/{}", cli_operand(cli, 0));
	FL_AUTO_JSON json_t *body = json_pack("{s:[], s:s*}", "entries", "notes", o->notes);
	FL_AUTO_JSON json_t *release = NULL;
	int status = 0;
	enum fl_code code;

	for (size_t i = 1; i < cli->n_operands; i++) {
		json_t *entry = NULL;

		code = parse_entry(cli->operands[i], &entry, err);
		if (code != FL_OK)
			return code;
		(void)json_array_append_new(json_object_get(body, "entries"), entry);
	}
	code = cli_send(cli, &(struct api_request){ .method = "PUT", .path = path, .body = body },
		&release, &status, err);
	if (code == FL_OK && !cli_json(cli, release))
		cli_say(cli, "release %s %s", cli_operand(cli, 0),
			status == 201 ? "is created" : "was created before; nothing has changed");
	return code;
}

static const struct command cmd_ls = {
	.name = "ls",
	.help = "list the releases",
	.run = ls,
	.options = ls_rows,
	.options_size = sizeof(struct ls_options),
};
static const struct command cmd_show = {
	.name = "show",
	.operands = "RELEASE",
	.help = "show one release",
	.run = show,
};
static const struct command cmd_create = {
	.name = "create",
	.operands = "RELEASE ENTRY...",
	.help = "name a set of module versions",
	.prose = "An ENTRY is MODULE@VERSION (update the module where it is installed), "
		 "MODULE@VERSION:install (install it everywhere) or MODULE:absent (remove it). "
		 "Modules that "
		 "are not named stay as they are. The same call again changes nothing; the same "
		 "name with "
		 "other entries is refused (exit code 6).\n\n",
	.examples = "fleetctl release create 2026.11 app@2.1.0 lib@1.4.0:install old:absent\n",
	.run = create,
	.options = create_rows,
	.options_size = sizeof(struct create_options),
};

const struct command cmd_release = {
	.name = "release",
	.help = "named sets of module versions",
	.children = (const struct command *const[]){ &cmd_ls, &cmd_show, &cmd_create, NULL },
};
