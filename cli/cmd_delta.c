/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "cli/delta_tool.h"
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
	bool sized = size > 0; /* a codec that is for another kind of files makes nothing */
	char text[TEXT_SHORT];

	table_addf(t, TERMINAL_PLAIN, "%.12s", from != NULL ? from : "-");
	table_addf(t, TERMINAL_PLAIN, "%.12s", to != NULL ? to : "-");
	if (value_int(delta, "level") > 0)
		table_addf(t, TERMINAL_PLAIN, "%s/%lld", value_text(delta, "codec"),
			(long long)value_int(delta, "level"));
	else
		table_add(t, value_text(delta, "codec"));
	table_add(t, value_text(delta, "state"));
	table_add(t, sized ? text_bytes(text, size) : "-");
	table_add(t, text_bytes(text, full));
	table_add(t, text_share(text, sized && full > 0 ? 1 - (double)size / (double)full : -1));
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

/* ---- stats */

static const struct table_column stats_columns[] = {
	{ .title = "CODEC" },
	{ .title = "LEVEL", .right = true },
	{ .title = "READY", .right = true },
	{ .title = "USELESS", .right = true },
	{ .title = "FAILED", .right = true },
	{ .title = "BYTES", .right = true },
	{ .title = "USES", .right = true },
	{ .title = "SAVED", .right = true },
	{ .title = "BUILT IN", .right = true },
};

static void stats_row(struct table *t, const json_t *codec)
{
	static const char *const counts[] = { "level", "ready", "useless", "failed" };
	char text[TEXT_SHORT];

	table_add(t, value_text(codec, "codec"));
	for (size_t i = 0; i < FL_COUNT(counts); i++)
		table_add(t, text_count(text, value_int(codec, counts[i])));
	table_add(t, text_bytes(text, value_int(codec, "bytes")));
	table_add(t, text_count(text, value_int(codec, "uses")));
	table_add(t, text_bytes(text, value_int(codec, "saved")));
	table_add(t, text_seconds(text, value_real(codec, "built_ms") / 1000));
}

/* What builds have cost since the server's start. */
static void say_builds(const struct cli *cli, const json_t *builds)
{
	char made[TEXT_SHORT], workers[TEXT_SHORT], parsed[TEXT_SHORT];
	int64_t all = value_int(builds, "built") + value_int(builds, "useless") +
		value_int(builds, "failed");

	cli_say(cli, "since the start %s in %s; %s parsed, which was spared %lld times",
		text_plural(made, all, "build"),
		text_plural(workers, value_int(builds, "processes"), "worker"),
		text_plural(parsed, value_int(builds, "parsed"), "module"),
		(long long)value_int(builds, "reused"));
}

static enum fl_code stats(struct cli *cli, const void *options, struct fl_err *err)
{
	TABLE_AUTO struct table t = { .columns = stats_columns,
		.n_columns = FL_COUNT(stats_columns) };
	FL_AUTO_JSON json_t *all = NULL;
	const json_t *codec, *cache;
	char bytes[TEXT_SHORT], limit[TEXT_SHORT];
	enum fl_code code = cli_get(cli, "/api/v1/deltas/stats", &all, err);
	size_t i;

	(void)options;
	if (code != FL_OK || cli_json(cli, all))
		return code;
	json_array_foreach (json_object_get(all, "codecs"), i, codec)
		stats_row(&t, codec);
	cli_table(cli, &t);
	say_summary(cli, json_object_get(all, "summary"));
	say_builds(cli, json_object_get(all, "since_start"));
	cache = json_object_get(all, "cache");
	cli_say(cli, "the cache has %s of %s; %lld removed for space since the start",
		text_bytes(bytes, value_int(cache, "bytes")),
		text_bytes(limit, value_int(cache, "limit")),
		(long long)value_int(cache, "evicted"));
	return FL_OK;
}

static const struct command cmd_stats = {
	.name = "stats",
	.help = "costs and savings by codec, and the cache",
	.run = stats,
};

/* ---- queue */

static const struct table_column queue_columns[] = {
	{ .title = "FROM" },
	{ .title = "TO" },
	{ .title = "PLACE" },
	{ .title = "TIERS" },
	{ .title = "RANK", .right = true },
	{ .title = "DEVICES", .right = true },
	{ .title = "GAIN", .right = true },
};

static void queue_row(struct table *t, const json_t *job)
{
	const char *from = value_text(job, "from"), *to = value_text(job, "to");
	FL_AUTO_BUF struct fl_buf tiers = { 0 };
	char text[TEXT_SHORT];
	const json_t *tier;
	size_t i;

	json_array_foreach (json_object_get(job, "tiers"), i, tier)
		fl_buf_printf(&tiers, "%s%s", i > 0 ? " " : "", json_string_value(tier));
	text_check(&tiers);
	table_addf(t, TERMINAL_PLAIN, "%.12s", from != NULL ? from : "-");
	table_addf(t, TERMINAL_PLAIN, "%.12s", to != NULL ? to : "-");
	table_add(t, value_text(job, "place"));
	table_add(t, tiers.n > 0 ? (const char *)tiers.p : "");
	table_add(t, text_count(text, value_int(job, "rank")));
	table_add(t, text_count(text, value_int(job, "devices")));
	table_add(t, text_bytes(text, value_int(job, "gain")));
}

static enum fl_code queue(struct cli *cli, const void *options, struct fl_err *err)
{
	TABLE_AUTO struct table t = { .columns = queue_columns,
		.n_columns = FL_COUNT(queue_columns) };
	FL_AUTO_JSON json_t *all = NULL;
	const json_t *job;
	enum fl_code code = cli_get(cli, "/api/v1/deltas/queue", &all, err);
	size_t i;

	(void)options;
	if (code != FL_OK || cli_json(cli, all))
		return code;
	json_array_foreach (json_object_get(all, "items"), i, job)
		queue_row(&t, job);
	if (i > 0)
		cli_table(cli, &t);
	else
		cli_note(cli, "nothing is being built, and nothing waits");
	return FL_OK;
}

static const struct command cmd_queue = {
	.name = "queue",
	.help = "what is being built or waits to be",
	.run = queue,
};

/* ---- warm */

struct warm_options {
	const char *rollout, *module;
	bool reverse;
};

static const struct options_row warm_rows[] = {
	{ .name = "rollout",
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct warm_options, rollout),
		.argument = "NAME",
		.help = "all deltas that this rollout needs, in its order" },
	{ .name = "module",
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct warm_options, module),
		.argument = "NAME",
		.help = "FROM and TO are versions of this module" },
	{ .name = "reverse",
		.type = OPTIONS_FLAG,
		.offset = offsetof(struct warm_options, reverse),
		.help = "those of the way back too" },
	{ 0 },
};

static enum fl_code warm(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct warm_options *o = options;
	FL_AUTO_JSON json_t *body = json_pack("{ss*,ss*,ss*,ss*,sb}", "from", cli_operand(cli, 0),
		"to", cli_operand(cli, 1), "module", o->module, "rollout", o->rollout, "reverse",
		o->reverse);
	const struct api_request rq = {
		.method = "POST", .path = "/api/v1/deltas/warm", .body = body
	};
	FL_AUTO_JSON json_t *answer = NULL;
	char text[TEXT_SHORT];
	enum fl_code code = cli_send(cli, &rq, &answer, NULL, err);

	if (code != FL_OK || cli_json(cli, answer))
		return code;
	cli_say(cli, "%s will be built unless they are there",
		text_plural(text, value_int(answer, "pairs"), "delta"));
	return FL_OK;
}

static const struct command cmd_warm = {
	.name = "warm",
	.operands = "[FROM] [TO]",
	.help = "have deltas built before devices ask for them",
	.prose =
		"FROM and TO are digests of artifacts, or with --module versions. Plans do this by "
		"themselves.\n\n",
	.examples = "fleetctl delta warm --rollout spring --reverse\n"
		    "fleetctl delta warm --module app 1.0.0 1.1.0\n",
	.run = warm,
	.options = warm_rows,
	.options_size = sizeof(struct warm_options),
};

const struct command cmd_delta = {
	.name = "delta",
	.help = "differences between artifacts: built on demand, or by hand",
	.children = (const struct command *const[]){ &cmd_ls, &cmd_stats, &cmd_queue, &cmd_warm,
		&delta_tool_make, &delta_tool_apply, &delta_tool_inspect, NULL },
};
