/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "cli/text.h"
#include "cli/value.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* The terminal as it was, for when the person gives up in the middle. */
static struct termios terminal_before;

static void restore(int number)
{
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &terminal_before);
	(void)raise(number); /* the handler is gone by now: this ends the program */
}

static void hide_typing(void)
{
	struct sigaction give_up = { .sa_handler = restore, .sa_flags = (int)SA_RESETHAND };
	struct termios silent = terminal_before;

	(void)sigaction(SIGINT, &give_up, NULL);
	(void)sigaction(SIGTERM, &give_up, NULL);
	silent.c_lflag &= (tcflag_t)~ECHO;
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
}

/* Ask for the token without showing what is typed. */
static enum fl_code ask_token(char **out, struct fl_err *err)
{
	bool tty = isatty(STDIN_FILENO) == 1 && tcgetattr(STDIN_FILENO, &terminal_before) == 0;
	enum fl_code code;

	if (tty) {
		hide_typing();
		(void)fputs("Token: ", stderr);
	}
	code = profile_read_token("-", out, err);
	if (tty) {
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal_before);
		(void)fputc('\n', stderr);
	}
	return code;
}

static bool is_loopback(const char *server)
{
	const char *host = strstr(server, "://");

	host = host == NULL ? server : host + 3;
	return strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost", 9) == 0 ||
		strncmp(host, "[::1]", 5) == 0;
}

static void add_roles(struct fl_buf *b, const json_t *me)
{
	const json_t *roles = json_object_get(me, "roles");

	for (size_t i = 0; i < json_array_size(roles); i++)
		fl_buf_printf(
			b, "%s%s", i > 0 ? ", " : "", json_string_value(json_array_get(roles, i)));
	if (json_array_size(roles) == 0)
		fl_buf_str(b, "no role");
	text_check(b);
}

/* Forget the token that cli_connect() found, if one is to be typed or read. */
static enum fl_code choose_token(struct cli *cli, struct fl_err *err)
{
	const char *env = getenv("FLEETCTL_TOKEN");

	if (cli->globals.profile.token_file != NULL || (env != NULL && env[0] != '\0'))
		return FL_OK;
	free(cli->profile.token);
	cli->profile.token = NULL;
	return ask_token(&cli->profile.token, err);
}

/* A profile that does not exist yet is what login is for. */
static enum fl_code connect_new(struct cli *cli, struct fl_err *err)
{
	struct profile_flags *flags = &cli->globals.profile;
	const char *env = getenv("FLEETCTL_SERVER");

	if (cli->n_operands > 0 && flags->server != NULL)
		return fl_fail(err, FL_INVALID,
			"the server is named twice: %.100s and --server %.100s",
			cli_operand(cli, 0), flags->server);
	if (cli->n_operands > 0)
		flags->server = cli_operand(cli, 0);
	if (flags->server == NULL && (env == NULL || env[0] == '\0') && flags->name != NULL)
		return fl_fail(err, FL_INVALID, "say where the server is: fleetctl login URL");
	return cli_connect(cli, err);
}

/* Another server must not take the place of the current profile by accident. */
static void choose_name(struct cli *cli)
{
	if (cli->globals.profile.server == NULL || cli->globals.profile.name != NULL)
		return;
	free(cli->profile.name);
	cli->profile.name = text_format("default");
}

static enum fl_code login(struct cli *cli, const void *options, struct fl_err *err)
{
	FL_AUTO_JSON json_t *me = NULL;
	FL_AUTO_BUF struct fl_buf roles = { 0 };
	enum fl_code code = connect_new(cli, err);

	(void)options;
	if (code == FL_OK) {
		choose_name(cli);
		code = choose_token(cli, err);
	}
	if (code == FL_OK)
		code = cli_get(cli, "/api/v1/whoami", &me, err);
	if (code == FL_OK)
		code = profile_save(&cli->profile, err);
	if (code != FL_OK || cli_json(cli, me))
		return code;
	add_roles(&roles, me);
	cli_say(cli, "logged in to %s as %s (%s), profile %s", cli->profile.server,
		value_text(me, "name") != NULL ? value_text(me, "name") : "?", (char *)roles.p,
		cli->profile.name != NULL ? cli->profile.name : "default");
	if (strncmp(cli->profile.server, "https://", 8) != 0 && !is_loopback(cli->profile.server))
		cli_note(cli, "warning: the token travels unencrypted to %s", cli->profile.server);
	return FL_OK;
}

const struct command cmd_login = {
	.name = "login",
	.operands = "[URL]",
	.help = "store a server's address and a token for it",
	.prose = "The token is read from --token-file, from FLEETCTL_TOKEN, or from standard "
		 "input; on a "
		 "terminal it is asked for and not shown. It is never taken from the command line, "
		 "where "
		 "every user of the machine could read it. The server is asked whom the token "
		 "belongs to, "
		 "then address and token are kept in $XDG_CONFIG_HOME/fleetctl/config (else "
		 "~/.config/fleetctl/config), readable by you alone, under the name given with "
		 "--profile "
		 "(default: default). That profile becomes the current one.\n\n",
	.examples = "fleetctl login https://fleet.example.com --token-file admin.token\n"
		    "vault read -field=token ci/fleet | fleetctl login fleet.example.com "
		    "--profile ci\n",
	.run = login,
};
