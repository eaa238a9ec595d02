/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "cli/list.h"
#include "cli/text.h"
#include "cli/value.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define TEST_WAIT_S 30
#define LOOK_MS     200

/* ---- ls */
struct ls_options {
	struct list_options list;
};

static const struct options_row ls_rows[] = { LIST_ROWS(struct ls_options), { 0 } };

static const struct table_column columns[] = {
	{ .title = "NAME" },
	{ .title = "STATE" },
	{ .title = "BEHIND", .right = true },
	{ .title = "DELIVERED", .right = true },
	{ .title = "DEAD", .right = true },
	{ .title = "URL", .cut = true },
	{ .title = "LAST ERROR", .cut = true },
};

static void row(struct table *t, const json_t *hook)
{
	bool enabled = value_bool(hook, "enabled");
	int64_t attempts = value_int(hook, "attempts");

	table_add(t, value_text(hook, "name"));
	if (!enabled)
		table_addf(t, TERMINAL_DIM, "off");
	else if (attempts > 0)
		table_addf(t, TERMINAL_BAD, "failing (%lld)", (long long)attempts);
	else
		table_addf(t, TERMINAL_GOOD, "good");
	table_addf(t, TERMINAL_PLAIN, "%lld", (long long)value_int(hook, "behind"));
	table_addf(t, TERMINAL_PLAIN, "%lld", (long long)value_int(hook, "delivered"));
	table_addf(t, TERMINAL_PLAIN, "%lld", (long long)value_int(hook, "dead"));
	table_add(t, value_text(hook, "url"));
	table_add(t, value_text(hook, "last_error"));
}

static enum fl_code ls(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct ls_options *o = options;

	return list_run(
		cli, "/api/v1/webhooks", &o->list, LIST_VIEW(columns, row, "webhooks"), NULL, err);
}

/* ---- create */
struct create_options {
	struct options_list kinds;
	const char *selector;
	bool off;
};

static const struct options_row create_rows[] = {
	{ .name = "kind",
		.type = OPTIONS_LIST,
		.offset = offsetof(struct create_options, kinds),
		.argument = "KIND",
		.help = "only events of this kind, as gate.decided or 'rollout.*'; may be "
			"repeated" },
	{ .name = "selector",
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct create_options, selector),
		.argument = "RSQL",
		.help = "events about one device only if it matches" },
	{ .name = "off",
		.type = OPTIONS_FLAG,
		.offset = offsetof(struct create_options, off),
		.help = "switched off: its events wait" },
	{ 0 },
};

static json_t *create_body(const char *url, const struct create_options *o)
{
	json_t *kinds = json_array();

	for (size_t i = 0; i < o->kinds.n; i++)
		(void)json_array_append_new(kinds, json_string(o->kinds.v[i]));
	return json_pack("{s:s, s:o, s:s*, s:b}", "url", url, "kinds", kinds, "selector",
		o->selector, "enabled", !o->off);
}

static enum fl_code create(struct cli *cli, const void *options, struct fl_err *err)
{
	FL_AUTOFREE char *path = api_path("/api/v1/webhooks/{}", cli_operand(cli, 0));
	FL_AUTO_JSON json_t *body = create_body(cli_operand(cli, 1), options), *hook = NULL;
	enum fl_code code;

	if (body == NULL)
		return fl_fail(err, FL_INVALID, "the address or the selector is not UTF-8");
	code = cli_send(cli, &(struct api_request){ .method = "PUT", .path = path, .body = body },
		&hook, NULL, err);
	if (code != FL_OK || cli_json(cli, hook))
		return code;
	if (value_text(hook, "secret") == NULL) {
		cli_say(cli, "webhook %s is as you want it", cli_operand(cli, 0));
		return FL_OK;
	}
	/* The secret alone on stdout, as a token's. */
	(void)puts(value_text(hook, "secret"));
	cli_note(cli, "this is shown once; messages are signed with it (Standard Webhooks)");
	return FL_OK;
}

static enum fl_code rotate(struct cli *cli, const void *options, struct fl_err *err)
{
	FL_AUTOFREE char *path = api_path("/api/v1/webhooks/{}/rotate", cli_operand(cli, 0));
	FL_AUTO_JSON json_t *hook = NULL;
	enum fl_code code = cli_send(
		cli, &(struct api_request){ .method = "POST", .path = path }, &hook, NULL, err);

	(void)options;
	if (code != FL_OK || cli_json(cli, hook))
		return code;
	(void)puts(value_text(hook, "secret") != NULL ? value_text(hook, "secret") : "-");
	cli_note(cli, "this is shown once; the old secret is void");
	return FL_OK;
}

/* ---- show and deliveries */

static enum fl_code show(struct cli *cli, const void *options, struct fl_err *err)
{
	FL_AUTOFREE char *path = api_path("/api/v1/webhooks/{}", cli_operand(cli, 0));
	FL_AUTO_JSON json_t *hook = NULL;
	FL_AUTO_BUF struct fl_buf all = { 0 };
	TABLE_AUTO struct table t = TABLE_FIELDS;
	enum fl_code code = cli_get(cli, path, &hook, err);

	(void)options;
	if (code != FL_OK || cli_json(cli, hook))
		return code;
	table_field(&t, "name", value_text(hook, "name"));
	table_field(&t, "url", value_text(hook, "url"));
	table_field(&t, "selector", value_text(hook, "selector"));
	table_field(&t, "enabled", value_bool(hook, "enabled") ? "yes" : "no");
	for (size_t i = 0; i < value_count(hook, "kinds"); i++)
		fl_buf_printf(&all, "%s%s", i > 0 ? ", " : "",
			json_string_value(json_array_get(json_object_get(hook, "kinds"), i)));
	table_field(&t, "kinds", all.n > 0 ? (const char *)all.p : "every kind");
	fl_buf_reset(&all);
	fl_buf_printf(&all, "%lld delivered, %lld dead, %lld events behind",
		(long long)value_int(hook, "delivered"), (long long)value_int(hook, "dead"),
		(long long)value_int(hook, "behind"));
	text_check(&all);
	table_field(&t, "events", (const char *)all.p);
	table_field(&t, "failing since", value_text(hook, "failing_since"));
	table_field(&t, "last error", value_text(hook, "last_error"));
	table_field(&t, "next try", value_text(hook, "retry_at"));
	table_print(&t, &cli->out, stdout, false);
	return FL_OK;
}

struct deliveries_options {
	struct list_options list;
	const char *state;
};

static const char *const delivery_states[] = { "waiting", "delivered", "dead", NULL };

static const struct options_row deliveries_rows[] = {
	{ .name = "state",
		.type = OPTIONS_CHOICE,
		.offset = offsetof(struct deliveries_options, state),
		.argument = "STATE",
		.help = "only those that are waiting, delivered or dead",
		.choices = delivery_states },
	LIST_ROWS(struct deliveries_options),
	{ 0 },
};

static const struct table_column delivery_columns[] = {
	{ .title = "SEQ", .right = true },
	{ .title = "AT" },
	{ .title = "STATE" },
	{ .title = "TRIES", .right = true },
	{ .title = "STATUS", .right = true },
	{ .title = "KIND" },
	{ .title = "SUBJECT", .cut = true },
	{ .title = "ERROR", .cut = true },
};

static void delivery_row(struct table *t, const json_t *d)
{
	const char *state = value_text(d, "state");
	int64_t status = value_int(d, "status");

	table_addf(t, TERMINAL_PLAIN, "%lld", (long long)value_int(d, "seq"));
	table_add(t, value_text(d, "at"));
	table_addf(t, state != NULL && strcmp(state, "dead") == 0 ? TERMINAL_BAD : TERMINAL_PLAIN,
		"%s", state != NULL ? state : "-");
	table_addf(t, TERMINAL_PLAIN, "%lld", (long long)value_int(d, "attempts"));
	if (status < 0)
		table_add(t, "-");
	else
		table_addf(t, TERMINAL_PLAIN, "%lld", (long long)status);
	table_add(t, value_text(d, "kind"));
	table_add(t, value_text(d, "subject"));
	table_add(t, value_text(d, "error"));
}

static enum fl_code deliveries(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct deliveries_options *o = options;
	FL_AUTOFREE char *path = api_path("/api/v1/webhooks/{}/deliveries", cli_operand(cli, 0));

	api_query(&path, "state", o->state);
	return list_run(cli, path, &o->list,
		LIST_VIEW(delivery_columns, delivery_row, "deliveries"), NULL, err);
}

/* ---- test */

/* The record of event `seq`, a new reference; NULL while there is none. */
static enum fl_code look(
	struct cli *cli, const char *name, int64_t seq, json_t **out, struct fl_err *err)
{
	FL_AUTOFREE char *path = api_path("/api/v1/webhooks/{}/deliveries", name);
	FL_AUTO_JSON json_t *page = NULL;
	const json_t *d;
	size_t i;
	enum fl_code code;

	api_query_int(&path, "limit", 100);
	code = cli_get(cli, path, &page, err);
	*out = NULL;
	json_array_foreach (json_object_get(page, "items"), i, d) {
		if (value_int(d, "seq") == seq)
			*out = json_incref((json_t *)d);
	}
	return code;
}

static enum fl_code tell_test(
	const struct cli *cli, const char *name, const json_t *d, struct fl_err *err)
{
	const char *state = value_text(d, "state"), *why = value_text(d, "error");

	if (state == NULL || strcmp(state, "delivered") != 0)
		return fl_fail(err, FL_NETWORK, "%s did not take it: %s; it is tried again", name,
			why != NULL ? why : "no reason is known");
	if (!cli_json(cli, d))
		cli_say(cli, "%s took it: status %lld after %lld ms", name,
			(long long)value_int(d, "status"), (long long)value_int(d, "took_ms"));
	return FL_OK;
}

static enum fl_code test(struct cli *cli, const void *options, struct fl_err *err)
{
	const char *name = cli_operand(cli, 0);
	FL_AUTOFREE char *path = api_path("/api/v1/webhooks/{}/test", name);
	FL_AUTO_JSON json_t *answer = NULL, *d = NULL;
	time_t until = time(NULL) + TEST_WAIT_S;
	enum fl_code code = cli_send(
		cli, &(struct api_request){ .method = "POST", .path = path }, &answer, NULL, err);

	(void)options;
	while (code == FL_OK && d == NULL && time(NULL) < until) {
		code = look(cli, name, value_int(answer, "seq"), &d, err);
		if (d == NULL)
			api_sleep_ms(LOOK_MS);
	}
	if (code != FL_OK)
		return code;
	if (d == NULL)
		return fl_fail(err, FL_TIMEOUT,
			"the test has not had its turn within %d s; `fleetctl webhook show %s` "
			"says "
			"what it waits for",
			TEST_WAIT_S, name);
	return tell_test(cli, name, d, err);
}

/* ---- replay and delete */
struct replay_options {
	int64_t after;
};

static const struct options_row replay_rows[] = {
	{ .name = "after",
		.type = OPTIONS_COUNT,
		.offset = offsetof(struct replay_options, after),
		.argument = "SEQ",
		.help = "events behind this number are delivered (again)" },
	{ 0 },
};

static enum fl_code replay(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct replay_options *o = options;
	FL_AUTOFREE char *path = api_path("/api/v1/webhooks/{}/replay", cli_operand(cli, 0));
	FL_AUTO_JSON json_t *body = json_pack("{s:I}", "after", (json_int_t)o->after), *hook = NULL;
	enum fl_code code;

	if (o->after == OPTIONS_UNSET)
		return fl_fail(err, FL_INVALID, "say from where: --after SEQ");
	code = cli_send(cli, &(struct api_request){ .method = "POST", .path = path, .body = body },
		&hook, NULL, err);
	if (code == FL_OK && !cli_json(cli, hook))
		cli_say(cli, "webhook %s goes on behind event %lld", cli_operand(cli, 0),
			(long long)o->after);
	return code;
}

static enum fl_code delete_webhook(struct cli *cli, const void *options, struct fl_err *err)
{
	(void)options;
	return cli_delete(cli, "webhook", "/api/v1/webhooks/{}", "deleted", err);
}

static const struct command cmd_ls = {
	.name = "ls",
	.help = "list webhooks and how they fare",
	.run = ls,
	.options = ls_rows,
	.options_size = sizeof(struct ls_options),
};
static const struct command cmd_create = {
	.name = "create",
	.operands = "NAME URL",
	.help = "create a webhook, or change it; shows its secret",
	.prose = "It gets the events that happen from now on. The secret is printed alone on "
		 "standard "
		 "output; messages carry webhook-id, webhook-timestamp and webhook-signature, "
		 "which every "
		 "Standard Webhooks library checks.\n\n",
	.examples =
		"fleetctl webhook create ops https://ops.example/f --kind gate.decided > secret\n",
	.run = create,
	.options = create_rows,
	.options_size = sizeof(struct create_options),
};
static const struct command cmd_show = {
	.name = "show",
	.operands = "NAME",
	.help = "show one webhook: what it waits for, why it fails",
	.run = show,
};
static const struct command cmd_test = {
	.name = "test",
	.operands = "NAME",
	.help = "send a test message and wait for the target's answer",
	.prose = "The test is an event like any other and waits for its turn behind those that "
		 "were not "
		 "delivered yet.\n\n",
	.run = test,
};
static const struct command cmd_deliveries = {
	.name = "deliveries",
	.operands = "NAME",
	.help = "list what came of its events, newest first",
	.examples = "fleetctl webhook deliveries ops --state dead\n",
	.run = deliveries,
	.options = deliveries_rows,
	.options_size = sizeof(struct deliveries_options),
};
static const struct command cmd_rotate = {
	.name = "rotate",
	.operands = "NAME",
	.help = "give it a new secret, shown once",
	.run = rotate,
};
static const struct command cmd_replay = {
	.name = "replay",
	.operands = "NAME",
	.help = "deliver events again, from a number on",
	.examples = "fleetctl webhook replay ops --after 1200\n",
	.run = replay,
	.options = replay_rows,
	.options_size = sizeof(struct replay_options),
};
static const struct command cmd_delete = {
	.name = "delete",
	.operands = "NAME",
	.help = "delete a webhook and its record",
	.run = delete_webhook,
};

const struct command cmd_webhook = {
	.name = "webhook",
	.help = "where events are sent to",
	.children = (const struct command *const[]){ &cmd_ls, &cmd_create, &cmd_show, &cmd_test,
		&cmd_deliveries, &cmd_rotate, &cmd_replay, &cmd_delete, NULL },
};
