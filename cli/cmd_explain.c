/* SPDX-License-Identifier: Apache-2.0
 *
 * Why a device is offered what it is offered, why a stage waits: the server's own words. */
#include "cli/explain.h"

#include "cli/cli.h"
#include "cli/stats.h"
#include "cli/text.h"
#include "cli/value.h"

#include <string.h>

/* The lines of an explanation, each behind `indent`; the first one may have been told as the summary. */
static void say_lines(
	const struct cli *cli, const json_t *told, const char *indent, bool without_first)
{
	const json_t *line;
	size_t i;

	json_array_foreach (json_object_get(told, "lines"), i, line) {
		FL_AUTO_BUF struct fl_buf text = { 0 };

		if (i == 0 && without_first)
			continue;
		text_clean(
			&text, value_text(line, "text") != NULL ? value_text(line, "text") : "-");
		text_check(&text);
		cli_say(cli, "%s%s", indent, text.p == NULL ? "" : (const char *)text.p);
	}
}

/* ---- a device */

struct device_options {
	const char *rollout;
};

static const struct options_row device_rows[] = {
	{ .name = "rollout",
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct device_options, rollout),
		.argument = "NAME",
		.help = "only this one, also if the device is no part of it" },
	{ 0 },
};

static void say_part(const struct cli *cli, const json_t *part)
{
	const char *stage = value_text(part, "stage"), *step = value_text(part, "step");
	FL_AUTO_BUF struct fl_buf head = { 0 };
	char words[FL_WORDS];

	fl_buf_printf(&head, "rollout %s (%s)", value_text(part, "rollout"),
		value_words(part, "state", words));
	if (stage != NULL)
		fl_buf_printf(&head, ", %s%s%s", stage, step != NULL ? ": " : "",
			step != NULL ? value_words(part, "step", words) : "");
	text_check(&head);
	cli_say(cli, "%s", (const char *)head.p);
	say_lines(cli, part, "  ", false);
}

static enum fl_code explain(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct device_options *o = options;
	FL_AUTOFREE char *path = api_path("/api/v1/devices/{}/explain", cli_operand(cli, 0));
	FL_AUTO_JSON json_t *told = NULL;
	const json_t *part;
	size_t i;
	enum fl_code code;

	api_query(&path, "rollout", o->rollout);
	code = cli_get(cli, path, &told, err);
	if (code != FL_OK || cli_json(cli, told))
		return code;
	cli_say(cli, "%s: %s", value_text(told, "device"), value_text(told, "summary"));
	say_lines(cli, told, "  ", false);
	json_array_foreach (json_object_get(told, "rollouts"), i, part)
		say_part(cli, part);
	return FL_OK;
}

const struct command cmd_explain = {
	.name = "explain",
	.operands = "DEVICE",
	.help = "say why a device is offered what it is, or nothing",
	.prose = "First what matters most, then what is known of the device, then each rollout "
		 "that is under "
		 "way and selects it (and the last ones that it took part in) with the reason and "
		 "the "
		 "numbers. The first line below a rollout is the decisive one.\n\n",
	.examples =
		"fleetctl explain pump-0042\n"
		"fleetctl explain pump-0042 --rollout november --json | jq .rollouts[0].lines\n",
	.run = explain,
	.options = device_rows,
	.options_size = sizeof(struct device_options),
};

/* ---- stages */

static enum fl_code explain_one(struct cli *cli, const char *rollout, int64_t layer, int64_t wave,
	json_t *all, struct fl_err *err)
{
	FL_AUTOFREE char *l = text_format("%lld", (long long)layer),
			 *w = text_format("%lld", (long long)wave);
	FL_AUTOFREE char *path =
		api_path("/api/v1/rollouts/{}/stages/{}/{}/explain", rollout, l, w);
	json_t *told = NULL;
	char words[FL_WORDS];
	enum fl_code code = cli_get(cli, path, &told, err);

	if (code != FL_OK)
		return code;
	if (!cli->globals.json) {
		cli_say(cli, "%s (%s): %s", value_text(told, "stage"),
			value_words(told, "state", words), value_text(told, "summary"));
		say_lines(cli, told, "  ", true);
	}
	if (json_array_append_new(all, told) != 0)
		return fl_fail(err, FL_NOMEM, "no memory for an explanation");
	return FL_OK;
}

/* Stages of which there is more to say than their state. */
static bool speaks(const json_t *stage)
{
	static const char *const quiet[] = { "pending", "succeeded", "skipped", "rolled_back" };
	const char *state = value_text(stage, "state");

	for (size_t i = 0; i < FL_COUNT(quiet) && state != NULL; i++)
		if (strcmp(state, quiet[i]) == 0)
			return false;
	return true;
}

static enum fl_code explain_stages(
	struct cli *cli, const char *rollout, json_t *all, struct fl_err *err)
{
	FL_AUTOFREE char *path = api_path("/api/v1/rollouts/{}/stats", rollout);
	FL_AUTO_JSON json_t *stats = NULL;
	const json_t *stage, *first = NULL;
	size_t i;
	enum fl_code code = cli_get(cli, path, &stats, err);

	json_array_foreach (json_object_get(stats, "stages"), i, stage) {
		first = first == NULL ? stage : first;
		if (code == FL_OK && speaks(stage))
			code = explain_one(cli, rollout, value_int(stage, "layer"),
				value_int(stage, "wave"), all, err);
	}
	if (code == FL_OK && json_array_size(all) == 0 && first != NULL)
		code = explain_one(cli, rollout, value_int(first, "layer"),
			value_int(first, "wave"), all, err);
	if (code == FL_OK && first == NULL)
		cli_note(cli, "%s has no stages", rollout);
	return code;
}

static enum fl_code explain_rollout(struct cli *cli, const void *options, struct fl_err *err)
{
	const char *rollout = cli_operand(cli, 0), *name = cli_operand(cli, 1);
	FL_AUTO_JSON json_t *all = json_array();
	int64_t layer = 0, wave = 0;
	enum fl_code code = FL_OK;

	(void)options;
	if (name != NULL)
		code = stats_stage_parse(name, &layer, &wave, err);
	if (code != FL_OK)
		return code;
	code = name == NULL ? explain_stages(cli, rollout, all, err)
			    : explain_one(cli, rollout, layer, wave, all, err);
	if (code == FL_OK)
		(void)cli_json(cli, name == NULL ? all : json_array_get(all, 0));
	return code;
}

const struct command explain_stage = {
	.name = "explain",
	.operands = "ROLLOUT [STAGE]",
	.help = "say what its stages wait for",
	.prose = "Without STAGE: each that runs, soaks, goes back or waits for a decision.\n\n",
	.examples = "fleetctl rollout explain november\n"
		    "fleetctl rollout explain november L0.W1\n",
	.run = explain_rollout,
};
