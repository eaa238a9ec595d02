/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "cli/list.h"
#include "cli/text.h"
#include "cli/value.h"

#include <time.h>

/* ---- ls */
struct ls_options {
	struct list_options list;
};

static const struct options_row ls_rows[] = { LIST_ROWS(struct ls_options), { 0 } };

static const struct table_column ls_columns[] = {
	{ .title = "MODULE" },
	{ .title = "KIND" },
	{ .title = "TIER" },
	{ .title = "NEWEST" },
	{ .title = "VERSIONS", .right = true },
	{ .title = "DESCRIPTION", .cut = true },
};

static void ls_row(struct table *t, const json_t *module)
{
	table_add(t, value_text(module, "name"));
	table_add(t, value_text(module, "kind"));
	table_add(t, value_text(module, "tier"));
	table_add(t, value_text(module, "newest"));
	table_addf(t, TERMINAL_PLAIN, "%lld", (long long)value_int(module, "versions"));
	table_add(t, value_text(module, "description"));
}

static enum fl_code ls(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct ls_options *o = options;

	return list_run(cli, "/api/v1/modules", &o->list,
		LIST_VIEW(ls_columns, ls_row, "modules; 'fleetctl module create' makes one"), NULL,
		err);
}

/* ---- show */
static enum fl_code show(struct cli *cli, const void *options, struct fl_err *err)
{
	FL_AUTOFREE char *path = api_path("/api/v1/modules/{}", cli_operand(cli, 0));
	FL_AUTO_JSON json_t *module = NULL;
	TABLE_AUTO struct table t = TABLE_FIELDS;
	char text[TEXT_SHORT];
	enum fl_code code = cli_get(cli, path, &module, err);

	(void)options;
	if (code != FL_OK || cli_json(cli, module))
		return code;
	table_field(&t, "module", value_text(module, "name"));
	table_field(&t, "kind", value_text(module, "kind"));
	table_field(&t, "tier", value_text(module, "tier"));
	table_field(&t, "description", value_text(module, "description"));
	table_field(&t, "versions", text_count(text, value_int(module, "versions")));
	table_field(&t, "newest", value_text(module, "newest"));
	table_field(&t, "created", text_age(text, value_text(module, "created_at"), time(NULL)));
	table_print(&t, &cli->out, stdout, false);
	return FL_OK;
}

/* ---- create */
struct create_options {
	const char *kind, *tier, *description;
};

static const char *const kinds[] = { "wasm", "container", "firmware", "file", NULL };
static const char *const tiers[] = { "device", "gateway", NULL };
static const struct options_row create_rows[] = {
	{ .name = "kind",
		.type = OPTIONS_CHOICE,
		.offset = offsetof(struct create_options, kind),
		.argument = "KIND",
		.choices = kinds,
		.help = "what it is" },
	{ .name = "tier",
		.type = OPTIONS_CHOICE,
		.offset = offsetof(struct create_options, tier),
		.argument = "TIER",
		.choices = tiers,
		.help = "where it runs (device)" },
	{ .name = "description",
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct create_options, description),
		.argument = "TEXT",
		.help = "what it is for" },
	{ 0 },
};

static enum fl_code create(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct create_options *o = options;
	FL_AUTOFREE char *path = api_path("/api/v1/modules/{}", cli_operand(cli, 0));
	FL_AUTO_JSON json_t *body = NULL, *module = NULL;
	int status = 0;
	enum fl_code code;

	if (o->kind == NULL)
		return fl_fail(err, FL_INVALID,
			"say what it is: --kind wasm, container, firmware or file");
	body = json_pack("{s:s, s:s*, s:s*}", "kind", o->kind, "tier", o->tier, "description",
		o->description);
	if (body == NULL)
		return fl_fail(err, FL_INVALID, "the description is not UTF-8");
	code = cli_send(cli, &(struct api_request){ .method = "PUT", .path = path, .body = body },
		&module, &status, err);
	if (code == FL_OK && !cli_json(cli, module))
		cli_say(cli, "module %s %s", cli_operand(cli, 0),
			status == 201 ? "is created" : "was there already");
	return code;
}

/* ---- delete */
static enum fl_code delete_module(struct cli *cli, const void *options, struct fl_err *err)
{
	(void)options;
	return cli_delete(cli, "module", "/api/v1/modules/{}", "deleted", err);
}

static const struct command cmd_ls = {
	.name = "ls",
	.help = "list the modules",
	.run = ls,
	.options = ls_rows,
	.options_size = sizeof(struct ls_options),
};
static const struct command cmd_show = {
	.name = "show",
	.operands = "MODULE",
	.help = "show one module",
	.run = show,
};
static const struct command cmd_create = {
	.name = "create",
	.operands = "MODULE",
	.help = "create a module, or change its description",
	.prose = "Kind and tier can never change. The same call again changes nothing.\n\n",
	.examples = "fleetctl module create app --kind wasm --description 'The application'\n",
	.run = create,
	.options = create_rows,
	.options_size = sizeof(struct create_options),
};
static const struct command cmd_delete = {
	.name = "delete",
	.operands = "MODULE",
	.help = "delete a module that has no versions",
	.run = delete_module,
};

const struct command cmd_module = {
	.name = "module",
	.help = "named units of software",
	.prose = "A module is a named unit of software: a WebAssembly module, a container image, a "
		 "firmware "
		 "or a file. It runs on devices or on gateways, and has versions.\n\n",
	.children = (const struct command *const[]){ &cmd_ls, &cmd_show, &cmd_create, &cmd_delete,
		NULL },
};
