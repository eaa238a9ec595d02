/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "cli/text.h"
#include "cli/value.h"

static void add_roles(struct table *t, const json_t *roles)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };

	for (size_t i = 0; i < json_array_size(roles); i++)
		fl_buf_printf(
			&b, "%s%s", i > 0 ? ", " : "", json_string_value(json_array_get(roles, i)));
	text_check(&b);
	table_field(t, "roles", b.n > 0 ? (char *)b.p : "none");
}

static enum fl_code whoami(struct cli *cli, const void *options, struct fl_err *err)
{
	FL_AUTO_JSON json_t *me = NULL;
	TABLE_AUTO struct table t = TABLE_FIELDS;
	enum fl_code code = cli_get(cli, "/api/v1/whoami", &me, err);

	(void)options;
	if (code != FL_OK || cli_json(cli, me))
		return code;
	table_field(&t, "name", value_text(me, "name"));
	add_roles(&t, json_object_get(me, "roles"));
	table_field(&t, "devices",
		value_text(me, "selector") != NULL ? value_text(me, "selector") : "all");
	table_field(&t, "server", cli->profile.server);
	table_field(&t, "profile", cli->profile.name);
	if (cli->globals.quiet)
		(void)puts(value_text(me, "name") != NULL ? value_text(me, "name") : "-");
	else
		cli_table(cli, &t);
	return FL_OK;
}

const struct command cmd_whoami = {
	.name = "whoami",
	.help = "show whose token is used and what it may do",
	.examples = "fleetctl whoami --profile ci\n",
	.run = whoami,
};
