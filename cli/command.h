/* SPDX-License-Identifier: Apache-2.0
 *
 * The tree of commands as data.
 *
 * DESIGN. A noun is one file, cli/cmd_<noun>.c, that exports one `struct command` with its verbs as
 * children; tbl/commands.h lists the nouns. Dispatch, usage, --help, the shell completion and the
 * COMMANDS of the manual pages come from the rows. To add a verb: add a row to its noun. To add a
 * noun: add a file and a line in tbl/commands.h. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "cli/options.h"
#include "lib/buf.h"

struct cli;

struct command {
	const char *name;
	const char *operands; /* "MODULE VERSION [FILE]"; in brackets: may be left out; "...": any
			       * number of the last. NULL: none. The words also tell the shell what
			       * completes them. */
	const char *help;     /* one line, in lower case, no dot */
	const char *prose; /* what more there is to say; paragraphs end with "\n\n"; may be NULL */
	const char *examples; /* lines to type, each with "\n"; may be NULL */
	/* Do it. `options` is the struct that `options_rows` fill. */
	enum fl_code (*run)(struct cli *cli, const void *options, struct fl_err *err);
	const struct command *const *children; /* ends with NULL; NULL: none */
	const struct options_row *options;     /* NULL: none */
	size_t options_size;                   /* of the struct */
	bool hidden;
};

/* fleetctl itself. */
extern const struct command command_root;
#define COMMAND(noun) extern const struct command cmd_##noun;
#include "cli/tbl/commands.h"
#undef COMMAND

#define COMMAND_DEPTH 4 /* words of a command, with "fleetctl" */

/* A command and the words that lead to it. */
struct command_path {
	const struct command *at[COMMAND_DEPTH];
	size_t n;
};

/* Options that every command takes (struct cli_globals). */
extern const struct options_row command_globals[];

/* Take a command line apart and run it; the command's words are left in cli->command. */
enum fl_code command_run(struct cli *cli, int argc, char **argv, struct fl_err *err) FL_MUST_CHECK;

/* Follow words from the root as far as they name commands, all of them or FL_INVALID with the name
 * that was probably meant. */
enum fl_code command_find(const char *const *words, size_t n, struct command_path *out,
	struct fl_err *err) FL_MUST_CHECK;

/* Append what --help says, for a terminal of so many columns. */
void command_help(const struct command_path *path, size_t width, struct fl_buf *b);
/* Append "fleetctl version publish" (and with its operands and options if `full`). */
void command_usage(const struct command_path *path, bool full, struct fl_buf *b);
/* How many operands a command must and may have. */
void command_arity(const struct command *c, size_t *least, size_t *most);

#endif
