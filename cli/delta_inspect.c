/* SPDX-License-Identifier: Apache-2.0
 *
 * fleetctl delta inspect: what a delta consists of. */
#include "cli/delta_tool.h"

#include <string.h>

#include "cli/delta_file.h"
#include "cli/text.h"
#include "lib/digest.h"

struct inspect_options {
	const char *old, *codec;
};

static const struct options_row inspect_rows[] = {
	{ .name = "old",
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct inspect_options, old),
		.argument = "OLD",
		.help = "the old file: shows how much of it is used and predicted" },
	{ .name = "codec",
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct inspect_options, codec),
		.argument = "NAME",
		.help = "codec of a delta that does not say it" },
	{ 0 },
};

static void add_part(void *ctx, const struct fl_codec_part *part)
{
	(void)json_array_append_new(ctx,
		json_pack("{ss,sI,sI,ss}", "name", part->name, "bytes", (json_int_t)part->bytes,
			"count", (json_int_t)part->count, "note", part->note));
}

static json_t *render_trailer(const struct fl_trailer *t)
{
	char old[65], new[65];

	fl_hex(t->old_sha256, 32, old);
	fl_hex(t->new_sha256, 32, new);
	return json_pack("{ss,ss,sI,sI}", "old_sha256", old, "new_sha256", new, "new_size",
		(json_int_t)t->new_size, "memory", (json_int_t)t->memory);
}

static void tell_fields(const struct cli *cli, const struct delta_patch *p)
{
	TABLE_AUTO struct table t = TABLE_FIELDS;
	char text[TEXT_SHORT], hex[65];

	table_field(&t, "codec", p->codec->name);
	table_field(&t, "size", text_bytes(text, (int64_t)p->data.n));
	if (p->has_trailer) {
		fl_hex(p->trailer.old_sha256, 32, hex);
		table_field(&t, "old sha256", hex);
		fl_hex(p->trailer.new_sha256, 32, hex);
		table_field(&t, "new sha256", hex);
		table_field(&t, "new size", text_bytes(text, (int64_t)p->trailer.new_size));
		table_field(&t, "memory", text_bytes(text, (int64_t)p->trailer.memory));
	}
	table_print(&t, &cli->out, stdout, false);
}

static void tell_parts(const struct cli *cli, const json_t *parts, size_t all)
{
	static const struct table_column columns[] = { { .title = "PART" },
		{ .title = "BYTES", .right = true }, { .title = "SHARE", .right = true },
		{ .title = "COUNT", .right = true }, { .title = "NOTE" } };
	TABLE_AUTO struct table t = { .columns = columns, .n_columns = FL_COUNT(columns) };
	char text[TEXT_SHORT];
	const json_t *part;
	size_t i;

	json_array_foreach (parts, i, part) {
		int64_t bytes = json_integer_value(json_object_get(part, "bytes"));
		int64_t count = json_integer_value(json_object_get(part, "count"));

		table_add(&t, json_string_value(json_object_get(part, "name")));
		table_add(&t, text_count(text, bytes));
		table_add(&t, text_share(text, all == 0 ? -1 : (double)bytes / (double)all));
		table_add(&t, count == 0 ? "-" : text_count(text, count));
		table_add(&t, json_string_value(json_object_get(part, "note")));
	}
	if (i > 0)
		cli_table(cli, &t);
}

static enum fl_code run_inspect(
	const struct cli *cli, const struct delta_patch *p, struct fl_bytes old, struct fl_err *err)
{
	FL_AUTO_JSON json_t *parts = json_array(), *all = NULL;
	enum fl_code code = FL_OK;

	if (parts == NULL)
		return fl_fail(err, FL_NOMEM, "no memory");
	if (p->codec->inspect != NULL)
		code = p->codec->inspect(old, p->data, add_part, parts, err);
	if (code != FL_OK)
		return code;
	all = json_pack("{ss,sI,so,sO}", "codec", p->codec->name, "size", (json_int_t)p->data.n,
		"trailer", p->has_trailer ? render_trailer(&p->trailer) : json_null(), "parts",
		parts);
	if (cli_json(cli, all))
		return FL_OK;
	tell_fields(cli, p);
	tell_parts(cli, parts, p->data.n);
	return FL_OK;
}

static enum fl_code inspect(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct inspect_options *o = options;
	struct delta_file old = { .fd = -1 };
	struct delta_patch p = { .file = { .fd = -1 } };
	enum fl_code code = delta_patch_open(&p, cli_operand(cli, 0), o->codec, err);

	if (code == FL_OK && o->old != NULL)
		code = delta_file_open(&old, o->old, err);
	if (code == FL_OK)
		code = run_inspect(cli, &p, old.bytes, err);
	delta_patch_close(&p);
	delta_file_close(&old);
	return code;
}

const struct command delta_tool_inspect = {
	.name = "inspect",
	.operands = "PATCH",
	.help = "show the parts of a delta and their sizes",
	.examples = "fleetctl delta inspect app-1-2.delta --old app-1.wasm\n",
	.run = inspect,
	.options = inspect_rows,
	.options_size = sizeof(struct inspect_options),
};
