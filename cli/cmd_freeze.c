/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "cli/list.h"
#include "cli/strategy.h"
#include "cli/text.h"
#include "cli/value.h"

#include "lib/envelope.h" /* fl_utc_read, fl_utc_write */

#include <time.h>

/* ---- ls */
struct ls_options {
	struct list_options list;
};

static const struct options_row ls_rows[] = { LIST_ROWS(struct ls_options), { 0 } };

static const struct table_column columns[] = {
	{ .title = "NAME" },
	{ .title = "HOLDS" },
	{ .title = "FROM" },
	{ .title = "UNTIL" },
	{ .title = "EVERY", .cut = true },
	{ .title = "SELECTOR", .cut = true },
	{ .title = "WHY", .cut = true },
	{ .title = "BY", .cut = true },
};

static void row(struct table *t, const json_t *freeze)
{
	bool holds = value_bool(freeze, "holds"), planned = value_bool(freeze, "planned");
	const json_t *span = json_object_get(freeze, "span"),
		     *every = json_object_get(freeze, "every");
	const json_t *shown = json_is_object(span) ? span : freeze;
	const char *selector = value_text(freeze, "selector"), *zone = value_text(freeze, "zone");
	FL_AUTO_BUF struct fl_buf rules = { 0 };

	table_add(t, value_text(freeze, "name"));
	table_addf(t, holds ? TERMINAL_WARN : TERMINAL_DIM, "%s",
		holds             ? "yes"
			: planned ? "planned"
				  : "no");
	strategy_windows_text(every, &rules);
	if (zone != NULL)
		fl_buf_printf(&rules, " %s", zone);
	text_check(&rules);
	table_add(t, value_text(shown, "from"));
	table_add(t,
		value_text(shown, "until") != NULL ? value_text(shown, "until") : "it is lifted");
	table_add(t, rules.n > 0 ? (char *)rules.p : NULL);
	table_add(t, selector != NULL && selector[0] != '\0' ? selector : "every device");
	table_add(t, value_text(freeze, "why"));
	table_add(t, value_text(freeze, "created_by"));
}

static enum fl_code ls(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct ls_options *o = options;

	return list_run(
		cli, "/api/v1/freezes", &o->list, LIST_VIEW(columns, row, "freezes"), NULL, err);
}

/* ---- create and lift */
struct create_options {
	const char *selector, *from, *until, *why, *zone;
	struct options_list every;
};

static const struct options_row create_rows[] = {
	{ .name = "selector",
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct create_options, selector),
		.argument = "RSQL",
		.help = "only devices that match (every device)" },
	{ .name = "from",
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct create_options, from),
		.argument = "WHEN",
		.help = "a time as 2026-01-02T03:04:05Z, or a length as 8h from now (now)" },
	{ .name = "until",
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct create_options, until),
		.argument = "WHEN",
		.help = "a time, or a length as 8h from its start (until it is lifted)" },
	{ .name = "every",
		.type = OPTIONS_LIST,
		.offset = offsetof(struct create_options, every),
		.argument = "RULE/DURATION",
		.help = "hold again and again: a rule of cron or an RRULE, and for how long, as "
			"'0 18 * * fri/62h' (once)" },
	{ .name = "zone",
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct create_options, zone),
		.argument = "ZONE",
		.help = "the time zone whose clock --every means, as Europe/Berlin (UTC)" },
	{ .name = "why",
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct create_options, why),
		.argument = "TEXT",
		.help = "the reason, shown to whoever wonders" },
	{ 0 },
};

/* A time as it is, a length as the time so far behind *ms, which becomes it. */
static enum fl_code read_when(const char *text, int64_t *ms, char out[21], struct fl_err *err)
{
	int64_t ahead_s = 0;

	if (fl_utc_read(text, ms, NULL) != FL_OK) {
		enum fl_code code = text_duration_parse(text, &ahead_s, err);

		if (code != FL_OK)
			return code;
		*ms += ahead_s * 1000;
	}
	fl_utc_write(*ms, out);
	return FL_OK;
}

static void tell(struct cli *cli, const json_t *answer)
{
	const json_t *freeze = json_object_get(answer, "freeze");
	const json_t *f = json_object_get(freeze, "span");
	int64_t may_switch = value_int(answer, "may_still_switch");
	bool planned = value_bool(freeze, "planned");

	if (cli_json(cli, answer))
		return;
	cli_say(cli, "%s %s%s%s%s%s", value_text(freeze, "name"),
		planned ? "is planned from " : "holds", planned ? value_text(f, "from") : "",
		value_text(f, "until") != NULL ? " until " : "",
		value_text(f, "until") != NULL ? value_text(f, "until") : "",
		value_bool(answer, "changed") ? "" : " (it was so before)");
	if (may_switch > 0 && !planned)
		cli_say(cli, "at most %lld devices hold an order and may still switch",
			(long long)may_switch);
}

static enum fl_code create(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct create_options *o = options;
	FL_AUTOFREE char *path = api_path("/api/v1/freezes/{}", cli_operand(cli, 0));
	FL_AUTO_JSON json_t *body = NULL, *answer = NULL, *every = NULL;
	int64_t ms = (int64_t)time(NULL) * 1000;
	char from[21], until[21];
	enum fl_code code = FL_OK;

	if (o->from != NULL)
		code = read_when(o->from, &ms, from, err);
	if (code == FL_OK && o->until != NULL)
		code = read_when(o->until, &ms, until, err);
	if (code == FL_OK && o->every.n > 0)
		code = strategy_windows(&o->every, &every, err);
	if (code != FL_OK)
		return code;
	body = json_pack("{s:s*, s:s*, s:s*, s:s*, s:O*, s:s*}", "selector", o->selector, "why",
		o->why, "from", o->from == NULL ? NULL : from, "until",
		o->until == NULL ? NULL : until, "every", every, "zone", o->zone);
	code = cli_send(cli, &(struct api_request){ .method = "PUT", .path = path, .body = body },
		&answer, NULL, err);
	if (code == FL_OK)
		tell(cli, answer);
	return code;
}

static enum fl_code lift(struct cli *cli, const void *options, struct fl_err *err)
{
	FL_AUTOFREE char *path = api_path("/api/v1/freezes/{}", cli_operand(cli, 0));
	FL_AUTO_JSON json_t *answer = NULL;
	enum fl_code code = cli_send(
		cli, &(struct api_request){ .method = "DELETE", .path = path }, &answer, NULL, err);

	(void)options;
	if (code != FL_OK || cli_json(cli, answer))
		return code;
	cli_say(cli, "%s is lifted%s", cli_operand(cli, 0),
		value_bool(answer, "changed") ? "" : " (it was so before)");
	return FL_OK;
}

static const struct command cmd_ls = {
	.name = "ls",
	.help = "list freezes, planned and lifted ones too",
	.run = ls,
	.options = ls_rows,
	.options_size = sizeof(struct ls_options),
};
static const struct command cmd_create = {
	.name = "create",
	.operands = "NAME",
	.help = "deliver nothing to devices for a while",
	.prose = "What a device holds already is not taken away; nothing new is offered, forward "
		 "or back. With --from it is planned: it begins then by itself. With --every it "
		 "holds again and "
		 "again, from --from until --until. Once it has held it keeps its selector.\n\n",
	.examples =
		"fleetctl freeze create sale --selector label.site==shop --until 8h\n"
		"fleetctl freeze create holidays --from 2026-12-24T12:00:00Z --until 72h\n"
		"fleetctl freeze create weekend --every '0 18 * * fri/62h' --zone Europe/Berlin\n",
	.run = create,
	.options = create_rows,
	.options_size = sizeof(struct create_options),
};
static const struct command cmd_lift = {
	.name = "lift",
	.operands = "NAME",
	.help = "end a freeze",
	.run = lift,
};

const struct command cmd_freeze = {
	.name = "freeze",
	.help = "hold all deliveries to a part of the fleet",
	.children = (const struct command *const[]){ &cmd_ls, &cmd_create, &cmd_lift, NULL },
};
