/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "cli/text.h"

static enum fl_code help(struct cli *cli, const void *options, struct fl_err *err)
{
	struct command_path path;
	FL_AUTO_BUF struct fl_buf b = { 0 };
	enum fl_code code = command_find(cli->operands, cli->n_operands, &path, err);

	(void)options;
	if (code != FL_OK)
		return code;
	command_help(&path, cli->out.width, &b);
	text_check(&b);
	(void)fwrite(b.p, 1, b.n, stdout);
	return FL_OK;
}

const struct command cmd_help = {
	.name = "help",
	.operands = "[COMMAND...]",
	.help = "say how a command is used",
	.examples = "fleetctl help version publish\n",
	.run = help,
};
