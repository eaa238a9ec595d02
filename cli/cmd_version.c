/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "cli/list.h"
#include "cli/publish.h"
#include "cli/text.h"
#include "cli/value.h"

#include <time.h>

/* ---- ls */
struct ls_options {
	struct list_options list;
};

static const struct options_row ls_rows[] = { LIST_ROWS(struct ls_options), { 0 } };

static const struct table_column ls_columns[] = {
	{ .title = "VERSION" },
	{ .title = "SIZE", .right = true },
	{ .title = "VARIANTS", .right = true },
	{ .title = "REQUIRES", .cut = true },
	{ .title = "FLAGS", .cut = true },
	{ .title = "PUBLISHED" },
	{ .title = "BY", .cut = true },
};

/* The bytes of the largest variant; -1 without any. */
static int64_t largest(const json_t *version)
{
	const json_t *variants = json_object_get(version, "variants");
	int64_t bytes = -1;

	for (size_t i = 0; i < json_array_size(variants); i++) {
		int64_t n =
			value_int(json_object_get(json_array_get(variants, i), "artifact"), "size");

		bytes = n > bytes ? n : bytes;
	}
	return bytes;
}

static const char *flags_of(const json_t *version)
{
	const json_t *down = json_object_get(version, "downgrade");

	if (json_is_object(json_object_get(version, "blocked")))
		return "blocked";
	if (value_bool(version, "floor"))
		return json_is_false(down) ? "floor, no way back" : "floor";
	return json_is_false(down) ? "no way back" : "";
}

static void ls_row(struct table *t, const json_t *version)
{
	FL_AUTO_BUF struct fl_buf requires = { 0 };
	char text[TEXT_SHORT];

	value_pairs(&requires, json_object_get(version, "requires"), " ");
	table_add(t, value_text(version, "version"));
	table_add(t, text_bytes(text, largest(version)));
	table_addf(t, TERMINAL_PLAIN, "%zu", value_count(version, "variants"));
	table_add(t, (char *) requires.p);
	table_addf(t,
		json_is_object(json_object_get(version, "blocked")) ? TERMINAL_BAD : TERMINAL_PLAIN,
		"%s", flags_of(version));
	table_add(t, text_age(text, value_text(version, "created_at"), time(NULL)));
	table_add(t, value_text(version, "created_by"));
}

static enum fl_code ls(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct ls_options *o = options;
	FL_AUTOFREE char *path = api_path("/api/v1/modules/{}/versions", cli_operand(cli, 0));

	return list_run(cli, path, &o->list,
		LIST_VIEW(ls_columns, ls_row, "versions; 'fleetctl version publish' makes one"),
		NULL, err);
}

/* ---- show */
static void show_variants(struct table *t, const json_t *version)
{
	const json_t *variants = json_object_get(version, "variants");
	char text[TEXT_SHORT];

	for (size_t i = 0; i < json_array_size(variants); i++) {
		const json_t *variant = json_array_get(variants, i);
		const json_t *artifact = json_object_get(variant, "artifact");
		const char *selector = value_text(variant, "selector");
		FL_AUTOFREE char *line = NULL;

		if (json_is_object(artifact))
			line = text_format("%s  %s  (%s)", value_text(artifact, "sha256"),
				text_bytes(text, value_int(artifact, "size")),
				selector != NULL ? selector : "every device");
		else
			line = text_format("no bytes here  (%s)",
				selector != NULL ? selector : "every device");
		table_field(t, i == 0 ? "bytes" : "", line);
	}
}

static void show_pairs(struct table *t, const char *name, const json_t *object)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };

	value_pairs(&b, object, "  ");
	if (b.n > 0)
		table_field(t, name, (char *)b.p);
}

static void show_blocked(struct table *t, const json_t *blocked)
{
	const char *why = value_text(blocked, "why");
	char text[TEXT_SHORT];

	if (!json_is_object(blocked))
		return;
	table_addf(t, TERMINAL_DIM, "blocked");
	table_addf(t, TERMINAL_BAD, "%s, %s", text_age(text, value_text(blocked, "at"), time(NULL)),
		why != NULL && why[0] != '\0' ? why : "no reason given");
}

static void show_version(const struct cli *cli, const json_t *version)
{
	TABLE_AUTO struct table t = TABLE_FIELDS;
	char text[TEXT_SHORT];

	table_field(&t, "module", value_text(version, "module"));
	table_field(&t, "version", value_text(version, "version"));
	show_blocked(&t, json_object_get(version, "blocked"));
	show_variants(&t, version);
	show_pairs(&t, "requires", json_object_get(version, "requires"));
	show_pairs(&t, "needs", json_object_get(version, "needs"));
	table_field(&t, "floor",
		value_bool(version, "floor") ? "yes: older versions pass through it" : NULL);
	table_field(&t, "downgrade",
		json_is_false(json_object_get(version, "downgrade")) ? "no: there is no way back"
								     : NULL);
	table_field(&t, "signature", value_text(version, "signature"));
	table_field(&t, "published", text_age(text, value_text(version, "created_at"), time(NULL)));
	table_field(&t, "by", value_text(version, "created_by"));
	table_field(&t, "notes", value_text(version, "notes"));
	table_print(&t, &cli->out, stdout, false);
}

static enum fl_code show(struct cli *cli, const void *options, struct fl_err *err)
{
	FL_AUTOFREE char *path = api_path(
		"/api/v1/modules/{}/versions/{}", cli_operand(cli, 0), cli_operand(cli, 1));
	FL_AUTO_JSON json_t *version = NULL;
	enum fl_code code = cli_get(cli, path, &version, err);

	(void)options;
	if (code == FL_OK && !cli_json(cli, version))
		show_version(cli, version);
	return code;
}

/* ---- block, unblock */
#define RUNNERS_SHOWN 10

struct block_options {
	const char *why;
};

static const struct options_row block_rows[] = {
	{ .name = "why",
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct block_options, why),
		.argument = "TEXT",
		.help = "the reason, for the audit trail" },
	{ 0 },
};

/* "r1, r2" of an array of names. */
static void add_names(struct fl_buf *b, const json_t *names)
{
	for (size_t i = 0; i < json_array_size(names); i++)
		fl_buf_printf(
			b, "%s%s", i > 0 ? ", " : "", json_string_value(json_array_get(names, i)));
	text_check(b);
}

/* What happened to rollouts that bring it. */
static void say_rollouts(const struct cli *cli, const json_t *answer)
{
	FL_AUTO_BUF struct fl_buf paused = { 0 }, waiting = { 0 };

	add_names(&paused, json_object_get(answer, "paused"));
	add_names(&waiting, json_object_get(answer, "waiting"));
	if (paused.n > 0)
		cli_say(cli, "paused: %s; devices that may still switch: %lld",
			(const char *)paused.p, (long long)value_int(answer, "may_still_switch"));
	if (waiting.n > 0)
		cli_say(cli, "cannot start or resume before it is unblocked: %s",
			(const char *)waiting.p);
}

static void say_runners(const struct cli *cli, const json_t *runs_on)
{
	const json_t *first = json_object_get(runs_on, "first");
	FL_AUTO_BUF struct fl_buf names = { 0 };
	char count[TEXT_SHORT];

	for (size_t i = 0; i < json_array_size(first) && i < RUNNERS_SHOWN; i++)
		fl_buf_printf(&names, "%s%s", i > 0 ? ", " : "",
			json_string_value(json_array_get(first, i)));
	text_check(&names);
	if (names.n == 0 && value_bool(runs_on, "whole")) {
		cli_say(cli, "no device runs it");
		return;
	}
	cli_say(cli, "%s%s run it: %s%s", value_bool(runs_on, "whole") ? "" : "at least ",
		text_plural(count, value_int(runs_on, "devices"), "device"),
		names.n > 0 ? (const char *)names.p : "-",
		value_int(runs_on, "devices") > RUNNERS_SHOWN ? ", ..." : "");
	cli_note(
		cli, "all of them: fleetctl device ls --selector \"%s\"", value_text(runs_on, "q"));
}

static enum fl_code set_blocked(struct cli *cli, bool blocked, const char *why, struct fl_err *err)
{
	FL_AUTOFREE char *path = api_path(
		"/api/v1/modules/{}/versions/{}/block", cli_operand(cli, 0), cli_operand(cli, 1));
	FL_AUTO_JSON json_t *body = json_pack("{s:b, s:s*}", "blocked", blocked, "why", why);
	FL_AUTO_JSON json_t *answer = NULL;
	enum fl_code code =
		cli_send(cli, &(struct api_request){ .method = "POST", .path = path, .body = body },
			&answer, NULL, err);

	if (code != FL_OK || cli_json(cli, answer))
		return code;
	cli_say(cli, "%s %s is %s%s", cli_operand(cli, 0), cli_operand(cli, 1),
		blocked ? "blocked: no plan takes it, no rollout delivers it, no rollback returns "
			  "to it"
			: "not blocked; rollouts that were paused wait for `rollout resume`",
		value_bool(answer, "changed") ? "" : " (it was so before)");
	if (blocked) {
		say_rollouts(cli, answer);
		say_runners(cli, json_object_get(answer, "runs_on"));
	}
	return code;
}

static enum fl_code block(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct block_options *o = options;

	return set_blocked(cli, true, o->why, err);
}

static enum fl_code unblock(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct block_options *o = options;

	return set_blocked(cli, false, o->why, err);
}

static const struct command cmd_ls = {
	.name = "ls",
	.operands = "MODULE",
	.help = "list a module's versions",
	.run = ls,
	.options = ls_rows,
	.options_size = sizeof(struct ls_options),
};
static const struct command cmd_show = {
	.name = "show",
	.operands = "MODULE VERSION",
	.help = "show one version",
	.run = show,
};
static const struct command cmd_publish = {
	.name = "publish",
	.operands = "MODULE VERSION [FILE]",
	.help = "upload the bytes of a version and publish it",
	.prose = "Made for pipelines: bytes travel once, by their digest; an upload that breaks is "
		 "resumed; "
		 "the same call again changes nothing and succeeds. A version never changes: the "
		 "same "
		 "number with other bytes is refused (exit code 6).\n\n"
		 "FILE is for every device that no --variant matches. Selectors are RSQL "
		 "expressions over "
		 "the attributes of devices.\n\n",
	.examples =
		"fleetctl version publish app 2.1.0 app.wasm --kind wasm --requires 'lib@^1.2'\n"
		"fleetctl version publish boot 7.0.0 --variant "
		"'attribute.arch==arm64=boot-arm64.bin' \\\n"
		"    --variant 'attribute.arch==x86_64=boot-x86_64.bin' --floor --no-downgrade\n"
		"fleetctl version publish boot 1.0.0 --without-bytes --backport\n",
	.run = publish_run,
	.options = publish_rows,
	.options_size = sizeof(struct publish_options),
};
static const struct command cmd_block = {
	.name = "block",
	.operands = "MODULE VERSION",
	.help = "let no device get this version any more",
	.prose = "Pauses every rollout that brings it, and lists who runs it. A rollout that "
		 "brings a blocked "
		 "version cannot be started or resumed; going back from it is not held up.\n\n",
	.examples = "fleetctl version block app 2.1.0 --why 'drains the battery'\n",
	.run = block,
	.options = block_rows,
	.options_size = sizeof(struct block_options),
};
static const struct command cmd_unblock = {
	.name = "unblock",
	.operands = "MODULE VERSION",
	.help = "lift a block",
	.run = unblock,
	.options = block_rows,
	.options_size = sizeof(struct block_options),
};

const struct command cmd_version = {
	.name = "version",
	.help = "versions of modules: publish, show, block",
	.prose = "A version has a semantic version number and one or more variants: bytes and the "
		 "devices "
		 "they are for. It says which other modules it works with and what it needs.\n\n",
	.children = (const struct command *const[]){ &cmd_ls, &cmd_show, &cmd_publish, &cmd_block,
		&cmd_unblock, NULL },
};
