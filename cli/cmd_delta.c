/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "cli/list.h"
#include "cli/text.h"
#include "cli/value.h"

struct ls_options {
	struct list_options list;
};

static const struct options_row ls_rows[] = { LIST_ROWS(struct ls_options), { 0 } };

static const struct table_column ls_columns[] = {
	{ .title = "FROM" },
	{ .title = "TO" },
	{ .title = "CODEC" },
	{ .title = "STATE" },
	{ .title = "SIZE", .right = true },
	{ .title = "FULL", .right = true },
	{ .title = "SAVED", .right = true },
	{ .title = "USES", .right = true },
	{ .title = "BUILT IN", .right = true },
};

static void ls_row(struct table *t, const json_t *delta)
{
	const char *from = value_text(delta, "from"), *to = value_text(delta, "to");
	int64_t size = value_int(delta, "size"), full = value_int(delta, "full_size");
	char text[TEXT_SHORT];

	table_addf(t, TERMINAL_PLAIN, "%.12s", from != NULL ? from : "-");
	table_addf(t, TERMINAL_PLAIN, "%.12s", to != NULL ? to : "-");
	table_add(t, value_text(delta, "codec"));
	table_add(t, value_text(delta, "state"));
	table_add(t, text_bytes(text, size));
	table_add(t, text_bytes(text, full));
	table_add(
		t, text_share(text, size >= 0 && full > 0 ? 1 - (double)size / (double)full : -1));
	table_add(
		t, value_int(delta, "uses") < 0 ? "-" : text_count(text, value_int(delta, "uses")));
	table_add(t, text_seconds(text, value_real(delta, "built_ms") / 1000));
}

static void say_summary(const struct cli *cli, const json_t *summary)
{
	char uses[TEXT_SHORT], bytes[TEXT_SHORT], saved[TEXT_SHORT];

	if (!json_is_object(summary))
		return;
	cli_say(cli, "%s", "");
	cli_say(cli,
		"%lld ready (%s), used %s, %s saved; %lld useless, %lld failed, %lld being built",
		(long long)value_int(summary, "ready"),
		text_bytes(bytes, value_int(summary, "bytes")),
		text_plural(uses, value_int(summary, "uses"), "time"),
		text_bytes(saved, value_int(summary, "saved")),
		(long long)value_int(summary, "useless"), (long long)value_int(summary, "failed"),
		(long long)value_int(summary, "building"));
}

static enum fl_code ls(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct ls_options *o = options;
	FL_AUTO_JSON json_t *rest = NULL;
	enum fl_code code = list_run(cli, "/api/v1/deltas", &o->list,
		LIST_VIEW(ls_columns, ls_row, "deltas yet"), &rest, err);

	if (code == FL_OK && !cli->globals.json)
		say_summary(cli, json_object_get(rest, "summary"));
	return code;
}

static const struct command cmd_ls = {
	.name = "ls",
	.help = "list the deltas with their sizes and savings",
	.examples = "fleetctl delta ls --all\n",
	.run = ls,
	.options = ls_rows,
	.options_size = sizeof(struct ls_options),
};

const struct command cmd_delta = {
	.name = "delta",
	.help = "differences between artifacts, built on demand",
	.children = (const struct command *const[]){ &cmd_ls, NULL },
};
