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

static const struct table_column columns[] = {
	{ .title = "CHANNEL" },
	{ .title = "STATE" },
	{ .title = "RELEASE", .cut = true },
	{ .title = "HAVE IT", .right = true },
	{ .title = "TO UPDATE", .right = true },
	{ .title = "LOOKED" },
	{ .title = "DEVICES", .cut = true },
	{ .title = "REASON", .cut = true },
};

static enum terminal_style style_of(const char *state)
{
	return state == NULL                   ? TERMINAL_PLAIN
		: strcmp(state, "on") == 0     ? TERMINAL_GOOD
		: strcmp(state, "halted") == 0 ? TERMINAL_BAD
					       : TERMINAL_WARN;
}

static void add_count(struct table *t, const json_t *devices, const char *key)
{
	char text[TEXT_SHORT];

	table_add(t, json_is_object(devices) ? text_count(text, value_int(devices, key)) : NULL);
}

static void row(struct table *t, const json_t *channel)
{
	const char *state = value_text(channel, "state"),
		   *selector = value_text(channel, "selector");
	const json_t *devices = json_object_get(channel, "devices");
	char text[TEXT_SHORT];

	table_add(t, value_text(channel, "name"));
	table_addf(t, style_of(state), "%s", state != NULL ? state : "-");
	table_add(t, value_text(channel, "release"));
	add_count(t, devices, "noop");
	add_count(t, devices, "update");
	table_add(t, text_age(text, value_text(channel, "looked_at"), time(NULL)));
	table_add(t, selector == NULL || selector[0] == '\0' ? "all" : selector);
	table_add(t, value_text(channel, "reason"));
}

static enum fl_code ls(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct ls_options *o = options;

	return list_run(cli, "/api/v1/channels", &o->list,
		LIST_VIEW(columns, row, "channels; 'fleetctl channel set' makes one"), NULL, err);
}

/* ---- show */
static const struct {
	const char *key, *text;
} counts[] = {
	{ "noop", "have it" },
	{ "update", "to be brought up to it" },
	{ "held", "held by a rollout" },
	{ "incompatible", "incompatible" },
	{ "silent", "silent" },
	{ "given_up", "failed too often" },
	{ "ambiguous", "selected by another channel too" },
};

static void show_devices(struct table *t, const json_t *devices)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };
	char text[TEXT_SHORT];

	for (size_t i = 0; i < FL_COUNT(counts); i++) {
		int64_t n = value_int(devices, counts[i].key);

		if (n > 0)
			fl_buf_printf(&b, "%s%s %s", b.n > 0 ? ", " : "", text_count(text, n),
				counts[i].text);
	}
	text_check(&b);
	table_field(t, "found", b.n > 0 ? (const char *)b.p : "no device");
}

static void show_channel(const struct cli *cli, const json_t *c)
{
	TABLE_AUTO struct table t = TABLE_FIELDS;
	const char *state = value_text(c, "state"), *selector = value_text(c, "selector");
	const json_t *error = json_object_get(c, "error");
	FL_AUTOFREE char *threshold = text_format("more than %g %% of at least %lld failed",
		value_real(error, "percent"), (long long)value_int(error, "minimum"));
	char text[TEXT_SHORT];

	table_field(&t, "channel", value_text(c, "name"));
	table_addf(&t, TERMINAL_DIM, "state");
	table_addf(&t, style_of(state), "%s", state != NULL ? state : "-");
	table_field(&t, "reason", value_text(c, "reason"));
	table_field(&t, "release", value_text(c, "release"));
	table_field(&t, "devices", selector == NULL || selector[0] == '\0' ? "all" : selector);
	if (json_is_object(json_object_get(c, "devices")))
		show_devices(&t, json_object_get(c, "devices"));
	table_field(&t, "looked", text_age(text, value_text(c, "looked_at"), time(NULL)));
	table_field(&t, "at a time", text_count(text, value_int(c, "max_in_flight")));
	table_field(&t, "halts with", threshold);
	table_field(&t, "retries", text_count(text, value_int(c, "retries")));
	table_field(&t, "rollouts made", text_count(text, value_int(c, "rollouts")));
	table_print(&t, &cli->out, stdout, false);
}

static enum fl_code show(struct cli *cli, const void *options, struct fl_err *err)
{
	FL_AUTOFREE char *path = api_path("/api/v1/channels/{}", cli_operand(cli, 0));
	FL_AUTO_JSON json_t *channel = NULL;
	enum fl_code code = cli_get(cli, path, &channel, err);

	(void)options;
	if (code == FL_OK && !cli_json(cli, channel))
		show_channel(cli, channel);
	return code;
}

/* ---- set */
struct set_options {
	const char *selector, *release;
	int64_t max_in_flight, error_minimum, retries;
	double error_percent;
};

#define ROW(member, name_, kind, ...)                                       \
	{                                                                   \
		.name = name_, .type = OPTIONS_##kind,                      \
		.offset = offsetof(struct set_options, member), __VA_ARGS__ \
	}

static const struct options_row set_rows[] = {
	ROW(selector, "selector", TEXT, .letter = 's', .argument = "RSQL",
		.help = "its devices (all)"),
	ROW(release, "release", TEXT, .argument = "RELEASE",
		.help = "what they shall have (as it is)"),
	ROW(max_in_flight, "max-in-flight", COUNT, .argument = "N",
		.help = "devices that are brought up at the same time (100)"),
	ROW(error_percent, "error", PERCENT, .argument = "PERCENT",
		.help = "halt when more than this share failed (10)"),
	ROW(error_minimum, "error-minimum", COUNT, .argument = "N",
		.help = "of at least N devices (10)"),
	ROW(retries, "retries", COUNT, .argument = "N",
		.help = "leave a device alone that failed oftener (2)"),
	{ 0 },
};

static json_t *set_body(const struct set_options *o)
{
	json_t *body = json_pack("{s:s*, s:s*}", "selector", o->selector, "release", o->release);
	json_t *error = json_object();

	if (body == NULL) {
		json_decref(error);
		return NULL;
	}
	if (o->max_in_flight != OPTIONS_UNSET)
		(void)json_object_set_new(body, "max_in_flight", json_integer(o->max_in_flight));
	if (o->retries != OPTIONS_UNSET)
		(void)json_object_set_new(body, "retries", json_integer(o->retries));
	if (o->error_percent >= 0)
		(void)json_object_set_new(error, "percent", json_real(o->error_percent));
	if (o->error_minimum != OPTIONS_UNSET)
		(void)json_object_set_new(error, "minimum", json_integer(o->error_minimum));
	if (json_object_size(error) > 0)
		(void)json_object_set(body, "error", error);
	json_decref(error);
	return body;
}

static enum fl_code set(struct cli *cli, const void *options, struct fl_err *err)
{
	FL_AUTOFREE char *path = api_path("/api/v1/channels/{}", cli_operand(cli, 0));
	FL_AUTO_JSON json_t *body = set_body(options), *channel = NULL;
	const char *release;
	int status = 0;
	enum fl_code code;

	if (body == NULL)
		return fl_fail(err, FL_INVALID, "--selector or --release is not UTF-8");
	code = cli_send(cli, &(struct api_request){ .method = "PUT", .path = path, .body = body },
		&channel, &status, err);
	if (code != FL_OK || cli_json(cli, channel))
		return code;
	release = value_text(channel, "release");
	cli_say(cli, "channel %s %s: %s", cli_operand(cli, 0),
		status == 201 ? "is created" : "is as you want it",
		release != NULL ? release : "no release yet");
	return FL_OK;
}

/* ---- pause, resume, delete */
static enum fl_code act(struct cli *cli, const char *verb, struct fl_err *err)
{
	FL_AUTOFREE char *path = api_path("/api/v1/channels/{}/{}", cli_operand(cli, 0), verb);
	FL_AUTO_JSON json_t *channel = NULL;
	const char *state;
	enum fl_code code = cli_send(
		cli, &(struct api_request){ .method = "POST", .path = path }, &channel, NULL, err);

	if (code != FL_OK || cli_json(cli, channel))
		return code;
	state = value_text(channel, "state");
	cli_say(cli, "channel %s is %s", cli_operand(cli, 0), state != NULL ? state : "?");
	return FL_OK;
}

static enum fl_code pause_(struct cli *cli, const void *options, struct fl_err *err)
{
	(void)options;
	return act(cli, "pause", err);
}

static enum fl_code resume(struct cli *cli, const void *options, struct fl_err *err)
{
	(void)options;
	return act(cli, "resume", err);
}

static enum fl_code delete (struct cli *cli, const void *options, struct fl_err *err) {
	FL_AUTOFREE char *path = api_path("/api/v1/channels/{}", cli_operand(cli, 0));
	FL_AUTO_JSON json_t *answer = NULL;
	enum fl_code code = cli_send(
		cli, &(struct api_request){ .method = "DELETE", .path = path }, &answer, NULL, err);

	(void)options;
	if (code == FL_OK) cli_say(
		cli, "channel %s is deleted; its devices stay as they are", cli_operand(cli, 0));
	return code;
}

static const struct command cmd_ls = {
	.name = "ls",
	.help = "list the channels",
	.run = ls,
	.options = ls_rows,
	.options_size = sizeof(struct ls_options),
};
static const struct command cmd_show = {
	.name = "show",
	.operands = "CHANNEL",
	.help = "show a channel and what its devices have",
	.run = show,
};
static const struct command cmd_set = {
	.name = "set",
	.operands = "CHANNEL",
	.help = "create a channel, or say anew all that it is",
	.prose = "What is not given has the default in brackets. A device has one channel: a "
		 "selector that "
		 "takes a device of another channel is refused (exit code 6).\n\n",
	.examples = "fleetctl channel set stable --selector label.ring!=beta --release 2026.11\n"
		    "fleetctl rollout create december --channel stable --release 2026.12\n",
	.run = set,
	.options = set_rows,
	.options_size = sizeof(struct set_options),
};
static const struct command cmd_pause = {
	.name = "pause",
	.operands = "CHANNEL",
	.help = "bring no further device up to it",
	.run = pause_,
};
static const struct command cmd_resume = {
	.name = "resume",
	.operands = "CHANNEL",
	.help = "go on, forgiving what has failed so far",
	.run = resume,
};
static const struct command cmd_delete = {
	.name = "delete",
	.operands = "CHANNEL",
	.help = "delete a channel; its devices stay as they are",
	.run = delete,
};

const struct command cmd_channel = {
	.name = "channel",
	.help = "what devices shall have when no rollout holds them",
	.children = (const struct command *const[]){ &cmd_ls, &cmd_show, &cmd_set, &cmd_pause,
		&cmd_resume, &cmd_delete, NULL },
};
