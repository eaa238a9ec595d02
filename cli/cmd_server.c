/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "cli/text.h"
#include "cli/value.h"

#include <time.h>

static enum fl_code server(struct cli *cli, const void *options, struct fl_err *err)
{
	FL_AUTO_JSON json_t *about = NULL;
	FL_AUTO_BUF struct fl_buf limits = { 0 };
	TABLE_AUTO struct table t = TABLE_FIELDS;
	char text[TEXT_SHORT];
	enum fl_code code = cli_get(cli, "/api/v1/server", &about, err);

	(void)options;
	if (code != FL_OK || cli_json(cli, about))
		return code;
	value_pairs(&limits, json_object_get(about, "limits"), "  ");
	table_field(&t, "server", cli->profile.server);
	table_field(&t, "version", value_text(about, "version"));
	table_field(&t, "tenant", value_text(about, "tenant"));
	table_field(&t, "uuid", value_text(about, "uuid"));
	table_field(&t, "started", text_age(text, value_text(about, "started_at"), time(NULL)));
	table_field(
		&t, "devices poll every", text_seconds(text, value_real(about, "poll_interval_s")));
	table_field(&t, "root key", value_text(about, "root_keyid"));
	table_field(&t, "limits", limits.n > 0 ? (char *)limits.p : NULL);
	table_print(&t, &cli->out, stdout, false);
	if (value_bool(about, "quick_start_root"))
		cli_note(cli,
			"the root key is the quick-start one that fleetd made for itself; replace "
			"it "
			"before production");
	return FL_OK;
}

const struct command cmd_server = {
	.name = "server",
	.help = "show the server's version, keys and limits",
	.run = server,
};
