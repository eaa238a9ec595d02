/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "cli/list.h"
#include "cli/plan.h"
#include "cli/strategy.h"
#include "cli/value.h"

/* ---- show */
static enum fl_code show(struct cli *cli, const void *options, struct fl_err *err)
{
	FL_AUTOFREE char *path = api_path("/api/v1/plans/{}", cli_operand(cli, 0));
	FL_AUTO_JSON json_t *plan = NULL;
	enum fl_code code = cli_get(cli, path, &plan, err);

	(void)options;
	if (code == FL_OK)
		plan_show(cli, plan);
	return code;
}

/* ---- diff */
static enum fl_code diff(struct cli *cli, const void *options, struct fl_err *err)
{
	FL_AUTOFREE char *path =
		api_path("/api/v1/plans/{}/diff/{}", cli_operand(cli, 0), cli_operand(cli, 1));
	FL_AUTO_JSON json_t *answer = NULL;
	enum fl_code code = cli_get(cli, path, &answer, err);

	(void)options;
	if (code == FL_OK && !cli_json(cli, answer))
		plan_show_diff(cli, answer);
	return code;
}

/* ---- devices */
struct devices_options {
	struct list_options list;
	int64_t wave;
};

static const struct options_row devices_rows[] = {
	{ .name = "wave",
		.type = OPTIONS_COUNT,
		.offset = offsetof(struct devices_options, wave),
		.argument = "N",
		.help = "only this wave" },
	LIST_ROWS(struct devices_options),
	{ 0 },
};

static const struct table_column device_columns[] = {
	{ .title = "DEVICE" },
	{ .title = "WAVE", .right = true },
	{ .title = "CLASS", .right = true },
};

static void device_row(struct table *t, const json_t *member)
{
	table_add(t, value_text(member, "device"));
	table_addf(t, TERMINAL_PLAIN, "%lld", (long long)value_int(member, "wave"));
	table_addf(t, TERMINAL_PLAIN, "%lld", (long long)value_int(member, "class"));
}

static enum fl_code devices(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct devices_options *o = options;
	FL_AUTOFREE char *path = api_path("/api/v1/plans/{}/devices", cli_operand(cli, 0));

	if (o->wave >= 0)
		api_query_int(&path, "wave", o->wave);
	return list_run(cli, path, &o->list,
		LIST_VIEW(device_columns, device_row, "devices to update"), NULL, err);
}

/* ---- preview */
struct preview_options {
	struct strategy_options strategy;
};

static const struct options_row preview_rows[] = { STRATEGY_ROWS(struct preview_options), { 0 } };

static enum fl_code preview(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct preview_options *o = options;
	FL_AUTO_JSON json_t *body = NULL, *plan = NULL;
	enum fl_code code = strategy_body(&o->strategy, &body, err);

	if (code == FL_OK)
		code = cli_send(cli,
			&(struct api_request){
				.method = "POST", .path = "/api/v1/plans", .body = body },
			&plan, NULL, err);
	if (code != FL_OK)
		return code;
	plan_show(cli, plan);
	if (value_count(plan, "refusals") > 0)
		return fl_fail(err, FL_REFUSED, "a rollout like this would be refused");
	return FL_OK;
}

static const struct command cmd_show = {
	.name = "show",
	.operands = "PLAN",
	.help = "show a plan",
	.prose =
		"PLAN is the name of a rollout, the id of a plan (plan-17), or the first 8 or more "
		"digits of its digest.\n\n",
	.examples = "fleetctl plan show november\n",
	.run = show,
};
static const struct command cmd_diff = {
	.name = "diff",
	.operands = "PLAN PLAN",
	.help = "show what two plans do differently",
	.prose =
		"Release, strategy, layers, waves, stages and classes that differ, and how many of "
		"the devices to update are in one plan alone, or come in another wave.\n\n",
	.examples = "fleetctl plan diff november november-2\n",
	.run = diff,
};
static const struct command cmd_devices = {
	.name = "devices",
	.operands = "PLAN",
	.help = "list who takes part, in which wave",
	.examples = "fleetctl plan devices november --wave 0\n",
	.run = devices,
	.options = devices_rows,
	.options_size = sizeof(struct devices_options),
};
static const struct command cmd_preview = {
	.name = "preview",
	.help = "plan without keeping it",
	.prose = STRATEGY_PROSE "Exit code 7 says that the plan has refusals.\n\n",
	.examples = "fleetctl plan preview --release 2026.11 --selector label.site==lab --wave 5 "
		    "--wave 100%\n",
	.run = preview,
	.options = preview_rows,
	.options_size = sizeof(struct preview_options),
};

const struct command cmd_plan = {
	.name = "plan",
	.help = "what a rollout will do: layers, waves, stages, costs, refusals",
	.children = (const struct command *const[]){ &cmd_show, &cmd_devices, &cmd_diff,
		&cmd_preview, NULL },
};
