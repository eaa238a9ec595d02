/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

static enum fl_code logout(struct cli *cli, const void *options, struct fl_err *err)
{
	FL_AUTOFREE char *name = NULL;
	enum fl_code code = profile_remove(cli->globals.profile.name, &name, err);

	(void)options;
	if (code == FL_OK && cli->globals.json) {
		FL_AUTO_JSON json_t *did = json_pack("{s:s}", "profile", name);

		(void)cli_json(cli, did);
	} else if (code == FL_OK) {
		cli_say(cli, "profile %s is forgotten; its token stays valid until it is revoked",
			name);
	}
	return code;
}

const struct command cmd_logout = {
	.name = "logout",
	.help = "forget a stored server and its token",
	.prose = "Removes the current profile, or the one named with --profile, from this machine. "
		 "'fleetctl token revoke' ends a token for good.\n\n",
	.examples = "fleetctl logout --profile ci\n",
	.run = logout,
};
