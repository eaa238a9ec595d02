/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "cli/text.h"

#include <stdlib.h>
#include <string.h>

void cli_init(struct cli *cli)
{
	*cli = (struct cli){ 0 };
	cli->out = terminal_of(stdout);
}

void cli_fini(struct cli *cli)
{
	api_fini(&cli->api);
	profile_fini(&cli->profile);
}

static void report_json(const struct cli *cli, const struct fl_err *err)
{
	FL_AUTO_JSON json_t *made = NULL;
	const json_t *problem = cli->api.problem;
	char type[64];

	if (problem == NULL) {
		(void)snprintf(type, sizeof(type), "/problems/%s", fl_problem_type(err->code));
		made = json_pack("{s:s, s:s, s:i, s:s}", "type", type, "title", fl_title(err->code),
			"status", fl_http_status(err->code), "detail", err->msg);
		problem = made;
	}
	if (problem != NULL)
		(void)json_dumpf(problem, stderr, JSON_COMPACT);
	(void)fputc('\n', stderr);
}

void cli_report(const struct cli *cli, const struct fl_err *err)
{
	struct terminal t = terminal_of(stderr);

	(void)fflush(stdout);
	if (cli->globals.json) {
		report_json(cli, err);
		return;
	}
	(void)fprintf(stderr, "%sfleetctl:%s %s\n", terminal_on(&t, TERMINAL_BAD), terminal_off(&t),
		err->msg);
	if (cli->api.hint[0] != '\0')
		(void)fprintf(stderr, "  %s\n", cli->api.hint);
}

enum fl_code cli_connect(struct cli *cli, struct fl_err *err)
{
	enum fl_code code;

	if (cli->api.curl != NULL)
		return FL_OK;
	code = profile_load(&cli->profile, &cli->globals.profile, err);
	if (code != FL_OK)
		(void)snprintf(cli->api.hint, sizeof(cli->api.hint),
			"'fleetctl login --help' tells where servers and tokens are kept");
	if (code == FL_OK)
		code = api_init(&cli->api, &cli->profile, err);
	cli->api.quiet = cli->globals.quiet || cli->globals.json;
	return code;
}

enum fl_code cli_call(
	struct cli *cli, const struct api_request *rq, struct api_reply *reply, struct fl_err *err)
{
	enum fl_code code = cli_connect(cli, err);

	return code == FL_OK ? api_call(&cli->api, rq, reply, err) : code;
}

enum fl_code cli_send(struct cli *cli, const struct api_request *rq, json_t **out, int *status,
	struct fl_err *err)
{
	API_AUTO_REPLY struct api_reply reply = { 0 };
	enum fl_code code = cli_call(cli, rq, &reply, err);

	if (code != FL_OK)
		return code;
	if (out != NULL)
		*out = fl_steal(&reply.json);
	if (status != NULL)
		*status = reply.status;
	return FL_OK;
}

enum fl_code cli_get(struct cli *cli, const char *path, json_t **out, struct fl_err *err)
{
	json_t *json = NULL;
	enum fl_code code = cli_send(
		cli, &(struct api_request){ .method = "GET", .path = path }, &json, NULL, err);

	if (code != FL_OK)
		return code;
	if (json == NULL)
		return fl_fail(err, FL_NETWORK, "%s gave an empty answer", cli->profile.server);
	*out = json;
	return FL_OK;
}

bool cli_json(const struct cli *cli, const json_t *json)
{
	if (!cli->globals.json)
		return false;
	if (json != NULL)
		(void)json_dumpf(json, stdout,
			JSON_ENCODE_ANY | (cli->out.tty ? JSON_INDENT(2) : JSON_COMPACT));
	else
		(void)fputs("null", stdout);
	(void)fputc('\n', stdout);
	return true;
}

/* What a server or a file said must not command the terminal. */
static void print_clean(FILE *f, const char *fmt, va_list ap) FL_PRINTF(2, 0);
static void print_clean(FILE *f, const char *fmt, va_list ap)
{
	FL_AUTO_BUF struct fl_buf clean = { 0 };
	FL_AUTOFREE char *text = NULL;

	if (vasprintf(&text, fmt, ap) < 0)
		text = text_format("%s", "");
	text_clean(&clean, text);
	text_check(&clean);
	if (clean.n > 0)
		(void)fwrite(clean.p, 1, clean.n, f);
	(void)fputc('\n', f);
}

void cli_say(const struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	if (cli->globals.json || cli->globals.quiet)
		return;
	va_start(ap, fmt);
	print_clean(stdout, fmt, ap);
	va_end(ap);
}

void cli_note(const struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	if (cli->globals.quiet)
		return;
	(void)fflush(stdout);
	va_start(ap, fmt);
	print_clean(stderr, fmt, ap);
	va_end(ap);
}

void cli_warn(const char *fmt, ...)
{
	va_list ap;

	(void)fflush(stdout);
	va_start(ap, fmt);
	print_clean(stderr, fmt, ap);
	va_end(ap);
}

void cli_table(const struct cli *cli, const struct table *t)
{
	table_print(t, &cli->out, stdout, cli->globals.quiet);
}

const char *cli_operand(const struct cli *cli, size_t i)
{
	return i < cli->n_operands ? cli->operands[i] : NULL;
}

enum fl_code cli_delete(
	struct cli *cli, const char *kind, const char *path, const char *done, struct fl_err *err)
{
	FL_AUTOFREE char *whole = api_path(path, cli_operand(cli, 0));
	FL_AUTO_JSON json_t *answer = NULL;
	enum fl_code code = cli_send(cli,
		&(struct api_request){ .method = "DELETE", .path = whole }, &answer, NULL, err);

	if (code == FL_OK && !cli_json(cli, answer))
		cli_say(cli, "%s %s is %s", kind, cli_operand(cli, 0), done);
	return code;
}
