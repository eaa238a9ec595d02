/* SPDX-License-Identifier: Apache-2.0
 *
 * One run of fleetctl: what all commands share. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "cli/api.h"
#include "cli/command.h"
#include "cli/table.h"

/* Exit codes beyond those of lib/tbl/errors.h: CLI_EXIT(name, number, what it says). */
#define CLI_EXITS(X)                                                                               \
	X(FAILED, 20, "watch: the rollout failed, or was stopped, denied or rolled back")          \
	X(PERSON, 21, "watch: a person must decide: paused, inconclusive or waiting for approval") \
	X(TIME_OVER, 22, "watch: the time given with --timeout is over")
#define CLI_EXIT_ENUM_(name, number, text) CLI_EXIT_##name = number,
enum cli_exit { CLI_EXITS(CLI_EXIT_ENUM_) };

struct cli_globals {
	bool json, quiet, help, version;
	struct profile_flags profile;
};

struct cli {
	struct cli_globals globals;
	struct command_path command;
	const char *const *operands; /* borrowed from argv */
	size_t n_operands;
	struct profile profile;
	struct api api;      /* usable after cli_connect() */
	struct terminal out; /* stdout */
	int exit_code;       /* of a command that did its work and has more to say than 0 */
};

/* Begin: zeroes `cli`, looks at the terminal. */
void cli_init(struct cli *cli);
void cli_fini(struct cli *cli);
/* Tell the error on stderr: a sentence and the next step, or with --json a problem document. */
void cli_report(const struct cli *cli, const struct fl_err *err);

/* Find the server and the token. Done by cli_call() and the others by themselves; may be called
 * again. */
enum fl_code cli_connect(struct cli *cli, struct fl_err *err) FL_MUST_CHECK;
/* api_call() after cli_connect(). */
enum fl_code cli_call(struct cli *cli, const struct api_request *rq, struct api_reply *reply,
	struct fl_err *err) FL_MUST_CHECK;
/* GET; *out is a new reference. */
enum fl_code cli_get(
	struct cli *cli, const char *path, json_t **out, struct fl_err *err) FL_MUST_CHECK;
/* PUT, POST, PATCH or DELETE with a JSON body (NULL: none); *out (NULL: not wanted) is a new
 * reference or NULL for an empty answer, *status (NULL: not wanted) the HTTP status. */
enum fl_code cli_send(struct cli *cli, const struct api_request *rq, json_t **out, int *status,
	struct fl_err *err) FL_MUST_CHECK;

/* DELETE the object that the first operand names, at `path` ("/api/v1/tokens/{}"), and say so:
 * "`kind` NAME is `done`". */
enum fl_code cli_delete(struct cli *cli, const char *kind, const char *path, const char *done,
	struct fl_err *err) FL_MUST_CHECK;

/* With --json: print `json` and return true. Then the caller prints nothing else. */
bool cli_json(const struct cli *cli, const json_t *json);
/* A line for the person on stdout; nothing with --json or --quiet. */
void cli_say(const struct cli *cli, const char *fmt, ...) FL_PRINTF(2, 3);
/* A line beside the result, on stderr; nothing with --quiet. */
void cli_note(const struct cli *cli, const char *fmt, ...) FL_PRINTF(2, 3);
/* A line on stderr that must not be missed, also with --quiet. */
void cli_warn(const char *fmt, ...) FL_PRINTF(1, 2);
/* Print a table on stdout; with --quiet only its first column. */
void cli_table(const struct cli *cli, const struct table *t);

/* Operand i, NULL if it was not given. */
const char *cli_operand(const struct cli *cli, size_t i);

#endif
