/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "cli/list.h"
#include "cli/text.h"
#include "cli/value.h"

#include <string.h>
#include <time.h>

/* ---- ls */
struct ls_options {
	struct list_options list;
};

static const struct options_row ls_rows[] = { LIST_ROWS(struct ls_options), { 0 } };

static const struct table_column ls_columns[] = {
	{ .title = "ID" },
	{ .title = "NAME", .cut = true },
	{ .title = "ROLES" },
	{ .title = "DEVICES", .cut = true },
	{ .title = "USES LEFT", .right = true },
	{ .title = "EXPIRES" },
	{ .title = "CREATED" },
	{ .title = "STATE" },
};

static void join(struct fl_buf *b, const json_t *array)
{
	for (size_t i = 0; i < json_array_size(array); i++)
		fl_buf_printf(
			b, "%s%s", i > 0 ? "," : "", json_string_value(json_array_get(array, i)));
	text_check(b);
}

static void add_state(struct table *t, const json_t *token)
{
	const char *expires = value_text(token, "expires_at");
	int64_t at = 0;

	if (value_text(token, "revoked_at") != NULL)
		table_addf(t, TERMINAL_DIM, "revoked");
	else if (expires != NULL && text_time_parse(expires, &at, NULL) == FL_OK && at < time(NULL))
		table_addf(t, TERMINAL_DIM, "expired");
	else if (value_int(token, "uses_left") == 0)
		table_addf(t, TERMINAL_DIM, "used up");
	else
		table_addf(t, TERMINAL_GOOD, "valid");
}

static void ls_row(struct table *t, const json_t *token)
{
	FL_AUTO_BUF struct fl_buf roles = { 0 }, id = { 0 };
	const char *expires = value_text(token, "expires_at");
	char text[TEXT_SHORT];

	join(&roles, json_object_get(token, "roles"));
	if (json_is_string(json_object_get(token, "id")))
		fl_buf_str(&id, value_text(token, "id"));
	else
		fl_json_write(&id, json_object_get(token, "id"));
	table_add(t, (char *)id.p);
	table_add(t, value_text(token, "name"));
	table_add(t, (char *)roles.p);
	table_add(t, value_text(token, "selector") != NULL ? value_text(token, "selector") : "all");
	table_add(t,
		value_int(token, "uses_left") < 0
			? "-"
			: text_count(text, value_int(token, "uses_left")));
	table_add(t, expires == NULL ? "never" : text_age(text, expires, time(NULL)));
	table_add(t, text_age(text, value_text(token, "created_at"), time(NULL)));
	add_state(t, token);
}

static enum fl_code ls(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct ls_options *o = options;

	return list_run(cli, "/api/v1/tokens", &o->list, LIST_VIEW(ls_columns, ls_row, "tokens"),
		NULL, err);
}

/* ---- create */
struct create_options {
	struct options_list roles, labels;
	const char *selector;
	int64_t uses, expires_s;
};

static const struct options_row create_rows[] = {
	{ .name = "role",
		.type = OPTIONS_LIST,
		.offset = offsetof(struct create_options, roles),
		.argument = "ROLE",
		.help = "what it may do: viewer, publisher, operator, approver, admin, enroller" },
	{ .name = "selector",
		.letter = 's',
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct create_options, selector),
		.argument = "RSQL",
		.help = "only for devices that match" },
	{ .name = "uses",
		.type = OPTIONS_COUNT,
		.offset = offsetof(struct create_options, uses),
		.argument = "N",
		.help = "an enroller may register N devices with it" },
	{ .name = "label",
		.type = OPTIONS_LIST,
		.offset = offsetof(struct create_options, labels),
		.argument = "KEY=VALUE",
		.help = "devices that enrol with it get this label" },
	{ .name = "expires",
		.type = OPTIONS_DURATION,
		.offset = offsetof(struct create_options, expires_s),
		.argument = "DURATION",
		.help = "valid that long (for ever)" },
	{ 0 },
};

static enum fl_code check_roles(const struct options_list *roles, struct fl_err *err)
{
	static const char *const known[] = { "viewer", "publisher", "operator", "approver", "admin",
		"enroller" };

	if (roles->n == 0)
		return fl_fail(err, FL_INVALID,
			"say what it may do: --role viewer, publisher, operator, "
			"approver, admin or enroller");
	for (size_t i = 0; i < roles->n; i++) {
		size_t k = 0;

		while (k < FL_COUNT(known) && strcmp(known[k], roles->v[i]) != 0)
			k++;
		if (k == FL_COUNT(known))
			return fl_fail(err, FL_INVALID,
				"there is no role \"%.40s\"; there are viewer, publisher, "
				"operator, approver, admin and enroller",
				roles->v[i]);
	}
	return FL_OK;
}

static enum fl_code add_labels(json_t *body, const struct options_list *list, struct fl_err *err)
{
	json_t *labels = list->n > 0 ? json_object() : NULL;

	if (labels != NULL)
		(void)json_object_set_new(body, "labels", labels);
	for (size_t i = 0; i < list->n; i++) {
		size_t n = strcspn(list->v[i], "=");
		FL_AUTOFREE char *key = text_format("%.*s", (int)n, list->v[i]);

		if (n == 0 || list->v[i][n] == '\0' ||
			json_object_set_new(labels, key, json_string(list->v[i] + n + 1)) != 0)
			return fl_fail(err, FL_INVALID, "--label takes KEY=VALUE, not \"%.80s\"",
				list->v[i]);
	}
	return FL_OK;
}

static enum fl_code create_body(
	const char *name, const struct create_options *o, json_t **out, struct fl_err *err)
{
	FL_AUTO_JSON json_t *body =
		json_pack("{s:s, s:[], s:s*}", "name", name, "roles", "selector", o->selector);
	enum fl_code code = check_roles(&o->roles, err);

	if (code == FL_OK && body == NULL)
		code = fl_fail(err, FL_INVALID, "the name or the selector is not UTF-8");
	if (code == FL_OK)
		code = add_labels(body, &o->labels, err);
	if (code != FL_OK)
		return code;
	for (size_t i = 0; i < o->roles.n; i++)
		(void)json_array_append_new(
			json_object_get(body, "roles"), json_string(o->roles.v[i]));
	if (o->uses != OPTIONS_UNSET)
		(void)json_object_set_new(body, "uses", json_integer(o->uses));
	if (o->expires_s != OPTIONS_UNSET)
		(void)json_object_set_new(body, "expires_in_s", json_integer(o->expires_s));
	*out = fl_steal(&body);
	return FL_OK;
}

static enum fl_code create(struct cli *cli, const void *options, struct fl_err *err)
{
	FL_AUTO_JSON json_t *body = NULL, *token = NULL;
	enum fl_code code = create_body(cli_operand(cli, 0), options, &body, err);

	if (code == FL_OK)
		code = cli_send(cli,
			&(struct api_request){
				.method = "POST", .path = "/api/v1/tokens", .body = body },
			&token, NULL, err);
	if (code != FL_OK || cli_json(cli, token))
		return code;
	if (value_text(token, "token") == NULL)
		return fl_fail(err, FL_NETWORK, "the answer of the server holds no token");
	/* The secret alone on stdout: `fleetctl token create … > file`. */
	(void)puts(value_text(token, "token"));
	cli_note(cli, "this is shown once; only its hash is stored");
	return FL_OK;
}

/* ---- revoke */
static enum fl_code revoke(struct cli *cli, const void *options, struct fl_err *err)
{
	(void)options;
	return cli_delete(cli, "token", "/api/v1/tokens/{}", "revoked", err);
}

static const struct command cmd_ls = {
	.name = "ls",
	.help = "list the tokens, never their secrets",
	.run = ls,
	.options = ls_rows,
	.options_size = sizeof(struct ls_options),
};
static const struct command cmd_create = {
	.name = "create",
	.operands = "NAME",
	.help = "create a token; its secret is shown once",
	.prose = "The token is printed alone on standard output, so that it can go to a file.\n\n",
	.examples = "fleetctl token create ci --role publisher --expires 90d > ci.token\n"
		    "fleetctl token create factory --role enroller --uses 5000 --label batch=7 > "
		    "enrol.token\n",
	.run = create,
	.options = create_rows,
	.options_size = sizeof(struct create_options),
};
static const struct command cmd_revoke = {
	.name = "revoke",
	.operands = "TOKEN",
	.help = "end a token, by its id",
	.run = revoke,
};

const struct command cmd_token = {
	.name = "token",
	.help = "credentials for people, pipelines and new devices",
	.children = (const struct command *const[]){ &cmd_ls, &cmd_create, &cmd_revoke, NULL },
};
