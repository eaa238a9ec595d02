/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"

#include "config.h" /* PACKAGE_VERSION */

#include "cli/cli.h"
#include "cli/text.h"
#include "lib/nearest.h"

#include <stdlib.h>
#include <string.h>

static const struct command *const nouns[] = {
#define COMMAND(noun) &cmd_##noun,
#include "cli/tbl/commands.h"
#undef COMMAND
	NULL,
};

const struct command command_root = {
	.name = "fleetctl",
	.help = "update fleets of devices through a fleetd server",
	.prose =
		"Log in once with 'fleetctl login', or set FLEETCTL_SERVER and FLEETCTL_TOKEN.\n\n",
	.examples =
		"fleetctl login https://fleet.example.com --token-file admin.token\n"
		"fleetctl version publish app 2.1.0 app.wasm --kind wasm --requires 'lib@^1.2'\n"
		"fleetctl release create 2026.11 app@2.1.0 lib@1.4.0\n"
		"fleetctl rollout create november --release 2026.11 --wave 1% --wave 10% --wave "
		"89%\n"
		"fleetctl rollout start november && fleetctl rollout watch november\n",
	.children = nouns,
};

#define GLOBAL(member, name_, kind, ...)                                    \
	{                                                                   \
		.name = name_, .type = OPTIONS_##kind,                      \
		.offset = offsetof(struct cli_globals, member), __VA_ARGS__ \
	}
const struct options_row command_globals[] = {
	GLOBAL(json, "json", FLAG, .letter = 'j',
		.help = "print what the API answers, one JSON document"),
	GLOBAL(quiet, "quiet", FLAG, .letter = 'q',
		.help = "print names only from lists, and nothing from what succeeds"),
	GLOBAL(profile.server, "server", TEXT, .argument = "URL",
		.help = "the server's address (FLEETCTL_SERVER)"),
	GLOBAL(profile.name, "profile", TEXT, .argument = "NAME",
		.help = "the stored login to use (FLEETCTL_PROFILE)"),
	GLOBAL(profile.token_file, "token-file", TEXT, .argument = "FILE",
		.help = "read the token from FILE, - for standard input (FLEETCTL_TOKEN holds a "
			"token)"),
	GLOBAL(profile.ca_file, "ca", TEXT, .argument = "FILE",
		.help = "trust the authorities in FILE for TLS (FLEETCTL_CA_FILE)"),
	GLOBAL(help, "help", FLAG, .letter = 'h', .help = "say how the command is used"),
	GLOBAL(version, "version", FLAG, .help = "say which version of fleetctl this is"),
	{ 0 },
};

void command_arity(const struct command *c, size_t *least, size_t *most)
{
	const char *p = c->operands != NULL ? c->operands : "";

	*least = *most = 0;
	while (*p != '\0') {
		size_t n = strcspn(p, " ");

		(*most)++;
		if (*p != '[')
			(*least)++;
		if (n >= 3 && (strncmp(p + n - 3, "...", 3) == 0 || memmem(p, n, "...", 3) != NULL))
			*most = SIZE_MAX;
		if (*most == SIZE_MAX)
			return;
		p += n + strspn(p + n, " ");
	}
}

static const struct command *child_of(const struct command *c, const char *name)
{
	for (size_t i = 0; c->children != NULL && c->children[i] != NULL; i++) {
		if (strcmp(c->children[i]->name, name) == 0)
			return c->children[i];
	}
	return NULL;
}

/* The noun that has a verb of this name: "fleetctl publish" is "fleetctl version publish". NULL if
 * there is none, or more than one. */
static const struct command *noun_of(const char *verb)
{
	const struct command *found = NULL;

	for (size_t i = 0; nouns[i] != NULL; i++) {
		if (child_of(nouns[i], verb) == NULL || nouns[i]->hidden)
			continue;
		if (found != NULL)
			return NULL;
		found = nouns[i];
	}
	return found;
}

/* What other tools call our commands. */
static const struct {
	const char *other, *ours;
} synonyms[] = {
	{ "abort", "stop" },
	{ "add", "create" },
	{ "cancel", "stop" },
	{ "continue", "resume" },
	{ "describe", "show" },
	{ "events", "audit" },
	{ "follow", "watch" },
	{ "get", "show" },
	{ "halt", "stop" },
	{ "list", "ls" },
	{ "log", "audit" },
	{ "new", "create" },
	{ "revert", "rollback" },
	{ "remove", "delete" },
	{ "rm", "delete" },
	{ "rm", "revoke" },
	{ "status", "stats" },
	{ "status", "show" },
	{ "tail", "watch" },
	{ "undo", "rollback" },
	{ "unfreeze", "lift" },
};

/* The one of `names` that is meant by `name`, from another tool or mistyped; NULL: who knows? */
static const char *meant(const char *name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < FL_COUNT(synonyms); i++) {
		for (size_t k = 0; k < n && strcmp(name, synonyms[i].other) == 0; k++)
			if (strcmp(names[k], synonyms[i].ours) == 0)
				return names[k];
	}
	return fl_nearest(name, names, n);
}

static enum fl_code no_such_child(
	const struct command_path *path, const char *name, struct fl_err *err)
{
	const struct command *c = path->at[path->n - 1];
	FL_AUTO_BUF struct fl_buf words = { 0 };
	const char *names[64];
	const char *near;
	size_t n = 0;

	for (; c->children[n] != NULL && n < FL_COUNT(names); n++)
		names[n] = c->children[n]->name;
	if (path->n == 1 && noun_of(name) != NULL)
		return fl_fail(err, FL_INVALID,
			"there is no command fleetctl %s; did you mean %s %s?", name,
			noun_of(name)->name, name);
	near = meant(name, names, n);
	command_usage(path, false, &words);
	text_check(&words);
	if (near != NULL)
		return fl_fail(err, FL_INVALID, "there is no command %s %.60s; did you mean %s?",
			(char *)words.p, name, near);
	return fl_fail(err, FL_INVALID, "there is no command %s %.60s", (char *)words.p, name);
}

enum fl_code command_find(
	const char *const *words, size_t n, struct command_path *out, struct fl_err *err)
{
	*out = (struct command_path){ .at = { &command_root }, .n = 1 };
	for (size_t i = 0; i < n; i++) {
		const struct command *last = out->at[out->n - 1];
		const struct command *next = child_of(last, words[i]);

		if (next == NULL && last->children == NULL)
			return fl_fail(
				err, FL_INVALID, "%s has no commands of its own", last->name);
		if (next == NULL)
			return no_such_child(out, words[i], err);
		FL_BUG_IF(out->n == COMMAND_DEPTH);
		out->at[out->n++] = next;
	}
	return FL_OK;
}

/* Global options and the command's words, up to the command that has no children. */
static enum fl_code descend(struct cli *cli, struct options_words *w, struct fl_err *err)
{
	struct options_set globals = { command_globals, &cli->globals };

	cli->command = (struct command_path){ .at = { &command_root }, .n = 1 };
	for (;;) {
		const struct command *c = cli->command.at[cli->command.n - 1];
		enum fl_code code;

		if (c->children == NULL)
			return FL_OK;
		code = options_parse(&globals, 1, w, true, err);
		if (code != FL_OK || w->next == w->n)
			return code;
		if (child_of(c, w->v[w->next]) == NULL && strcmp(w->v[w->next], "help") == 0) {
			cli->globals.help = true; /* "fleetctl rollout help create" */
			w->next++;
			continue;
		}
		c = child_of(c, w->v[w->next]);
		if (c == NULL)
			return no_such_child(&cli->command, w->v[w->next], err);
		cli->command.at[cli->command.n++] = c;
		w->next++;
	}
}

static enum fl_code missing(
	const struct command *c, size_t n, const char *usage, struct fl_err *err)
{
	const char *word = c->operands;

	while (n-- > 0)
		word += strcspn(word, " ") + 1;
	return fl_fail(err, FL_INVALID, "%.*s is missing; usage: %s", (int)strcspn(word, " ."),
		word, usage);
}

static enum fl_code check_operands(const struct cli *cli, struct fl_err *err)
{
	const struct command *c = cli->command.at[cli->command.n - 1];
	size_t least, most;
	FL_AUTO_BUF struct fl_buf usage = { 0 };

	command_arity(c, &least, &most);
	if (cli->n_operands >= least && cli->n_operands <= most)
		return FL_OK;
	command_usage(&cli->command, true, &usage);
	text_check(&usage);
	if (cli->n_operands < least)
		return missing(c, cli->n_operands, (char *)usage.p, err);
	return fl_fail(err, FL_INVALID, "\"%.60s\" is too much; usage: %s", cli->operands[most],
		(char *)usage.p);
}

static void print_help(const struct cli *cli)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };

	command_help(&cli->command, cli->out.width, &b);
	text_check(&b);
	(void)fwrite(b.p, 1, b.n, stdout);
}

static enum fl_code run(struct cli *cli, struct options_words *w, struct fl_err *err)
{
	const struct command *c = cli->command.at[cli->command.n - 1];
	FL_AUTOFREE void *block = text_alloc(1, c->options_size);
	struct options_set sets[] = { { c->options, block }, { command_globals, &cli->globals } };
	enum fl_code code;

	options_clear(&sets[0]);
	code = options_parse(sets, FL_COUNT(sets), w, false, err);
	cli->operands = w->operands;
	cli->n_operands = w->n_operands;
	if (cli->globals.help)
		print_help(
			cli); /* also where the rest is wrong: who asks for help is not there yet */
	if (cli->globals.help)
		code = FL_OK;
	else if (code == FL_OK)
		code = check_operands(cli, err);
	if (code == FL_OK && !cli->globals.help)
		code = c->run(cli, block, err);
	options_fini(&sets[0]);
	return code;
}

static void point_to_help(struct cli *cli)
{
	FL_AUTO_BUF struct fl_buf words = { 0 };

	command_usage(&cli->command, false, &words);
	text_check(&words);
	if (cli->api.hint[0] == '\0')
		(void)snprintf(cli->api.hint, sizeof(cli->api.hint), "'%s --help' says more",
			(char *)words.p);
}

enum fl_code command_run(struct cli *cli, int argc, char **argv, struct fl_err *err)
{
	FL_AUTOFREE const char **operands = text_alloc((size_t)argc, sizeof(*operands));
	struct options_words w = {
		.v = (const char *const *)argv, .n = (size_t)argc, .next = 1, .operands = operands
	};
	enum fl_code code = descend(cli, &w, err);
	bool leaf = cli->command.at[cli->command.n - 1]->children == NULL;

	if (code == FL_OK && leaf)
		code = run(cli, &w, err);
	else if (code == FL_OK && cli->globals.version)
		(void)puts("fleetctl " PACKAGE_VERSION);
	else if (code == FL_OK && (cli->globals.help || cli->command.n == 1))
		print_help(cli);
	else if (code == FL_OK)
		code = fl_fail(err, FL_INVALID, "%s what?", cli->command.at[1]->name);
	if (code == FL_INVALID && cli->api.curl == NULL)
		point_to_help(cli);
	return code;
}
