/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "cli/text.h"
#include "cli/upload.h"
#include "cli/value.h"

static enum fl_code put(struct cli *cli, const void *options, struct fl_err *err)
{
	struct upload u = { .path = cli_operand(cli, 0) };
	FL_AUTO_JSON json_t *made = NULL;
	char text[TEXT_SHORT];
	enum fl_code code = upload_hash(cli, &u, err);

	(void)options;
	if (code == FL_OK)
		code = upload_send(cli, &u, err);
	if (code != FL_OK)
		return code;
	made = json_pack("{s:s, s:I}", "sha256", u.sha256, "size", (json_int_t)u.bytes);
	if (cli_json(cli, made))
		return FL_OK;
	if (cli->globals.quiet)
		(void)puts(u.sha256);
	cli_say(cli, "%s  %s  %s", u.sha256, text_bytes(text, u.bytes),
		u.sent ? "uploaded" : "was there already");
	return FL_OK;
}

static enum fl_code show(struct cli *cli, const void *options, struct fl_err *err)
{
	FL_AUTOFREE char *path = api_path("/api/v1/artifacts/{}", cli_operand(cli, 0));
	FL_AUTO_JSON json_t *artifact = NULL;
	FL_AUTO_BUF struct fl_buf used = { 0 };
	TABLE_AUTO struct table t = TABLE_FIELDS;
	char text[TEXT_SHORT];
	enum fl_code code = cli_get(cli, path, &artifact, err);

	(void)options;
	if (code != FL_OK || cli_json(cli, artifact))
		return code;
	value_modules(&used, json_object_get(artifact, "used_by"));
	table_field(&t, "sha256", value_text(artifact, "sha256"));
	table_field(&t, "size", text_bytes(text, value_int(artifact, "size")));
	table_field(&t, "used by", used.n > 0 ? (char *)used.p : "nothing");
	table_print(&t, &cli->out, stdout, false);
	return FL_OK;
}

static const struct command cmd_upload = {
	.name = "upload",
	.operands = "FILE",
	.help = "upload bytes by their digest",
	.prose = "Prints the digest. Bytes that are there already are not sent; an upload that "
		 "broke is "
		 "resumed. 'fleetctl version publish' does this by itself.\n\n",
	.examples = "fleetctl artifact upload app.wasm\n",
	.run = put,
};
static const struct command cmd_show = {
	.name = "show",
	.operands = "SHA256",
	.help = "show the size of an artifact and what uses it",
	.run = show,
};

const struct command cmd_artifact = {
	.name = "artifact",
	.help = "bytes, named by their SHA-256",
	.children = (const struct command *const[]){ &cmd_upload, &cmd_show, NULL },
};
