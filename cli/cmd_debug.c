/* SPDX-License-Identifier: Apache-2.0
 *
 * For those who build fleetctl, not for its users. */
#include "cli/cli.h"

#include "cli/manual.h"
#include "cli/text.h"
#include "lib/file.h"

#define TEMPLATE_MAX (1024u * 1024)

static enum fl_code manual(struct cli *cli, const void *options, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf in = { 0 }, out = { 0 };
	enum fl_code code = fl_file_get(cli_operand(cli, 0), TEMPLATE_MAX, &in, err);

	(void)options;
	if (code == FL_OK)
		code = manual_expand(in.p != NULL ? (char *)in.p : "", &out, err);
	if (code != FL_OK)
		return fl_wrap(err, "%s", cli_operand(cli, 0));
	text_check(&out);
	(void)fwrite(out.p, 1, out.n, stdout);
	return FL_OK;
}

static const struct command cmd_manual = {
	.name = "manual",
	.operands = "FILE",
	.help = "make a manual page from its template",
	.prose = "Lines '.\\\" @commands NOUN', '@options', '@errors' and '@exits' are replaced by "
		 "what the "
		 "tables say.\n\n",
	.run = manual,
};

const struct command cmd_debug = {
	.name = "debug",
	.help = "for those who build fleetctl",
	.hidden = true,
	.children = (const struct command *const[]){ &cmd_manual, NULL },
};
