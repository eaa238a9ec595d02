/* SPDX-License-Identifier: Apache-2.0
 *
 * fleetctl delta make: the smallest delta between two files, decoded once before it is kept. */
#include "cli/delta_tool.h"

#include <inttypes.h>
#include <sodium.h>
#include <string.h>
#include <time.h>

#include "cli/delta_file.h"
#include "cli/text.h"
#include "lib/clock.h"
#include "lib/delta/wasm/parses.h"
#include "lib/file.h"

#define LEVEL_BEST 19

struct make_options {
	const char *out, *codec, *model;
	int64_t level;
	bool bare;
};

static const char *const models[] = { "none", "256k", "1m", "16m", NULL };

static const struct options_row make_rows[] = {
	{ .name = "output",
		.letter = 'o',
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct make_options, out),
		.argument = "PATCH",
		.help = "where it goes" },
	{ .name = "codec",
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct make_options, codec),
		.argument = "NAME",
		.help = "zstd-patch, wasm-delta, exe-patch or layer-patch; otherwise the "
			"smallest" },
	{ .name = "model",
		.type = OPTIONS_CHOICE,
		.offset = offsetof(struct make_options, model),
		.argument = "SIZE",
		.help = "memory of wasm-delta's model: none (zstd, decodes fastest), 256k, 1m, 16m",
		.choices = models },
	{ .name = "level",
		.type = OPTIONS_COUNT,
		.offset = offsetof(struct make_options, level),
		.argument = "N",
		.help = "effort of zstd, 1 to 19 (19)" },
	{ .name = "bare",
		.type = OPTIONS_FLAG,
		.offset = offsetof(struct make_options, bare),
		.help = "without the digests of both files at the end" },
	{ 0 },
};

/* One make. */
struct make {
	const struct cli *cli;
	const struct make_options *o;
	struct delta_file old, new;
	struct wasm_parses parses; /* of both */
	const struct fl_codec *best;
	struct fl_buf data; /* of the best */
	size_t size;        /* of the best, without the trailer */
	int64_t took_ms;
};

/* ---- one codec */

/* A sink that compares, and shows how far it is. */
struct compared {
	struct fl_bytes with;
	size_t at;
	struct progress bar;
};

static enum fl_code compare(void *ctx, struct fl_bytes bytes, struct fl_err *err)
{
	struct compared *c = ctx;

	if (bytes.n > c->with.n - c->at || memcmp(bytes.p, c->with.p + c->at, bytes.n) != 0)
		return fl_fail(err, FL_INTERNAL, "the delta does not decode to the new file");
	c->at += bytes.n;
	progress_update(&c->bar, (int64_t)c->at);
	return FL_OK;
}

/* Decode and compare; then the data can say what that takes. */
static enum fl_code check(const struct make *m, const struct fl_codec *codec, struct fl_buf *delta,
	struct fl_err *err)
{
	struct fl_heap heap = { 0 };
	const struct fl_codec_limits limits = { .output_max = m->new.bytes.n, .heap = &heap };
	const struct fl_bytes data = { delta->p, delta->n };
	FL_AUTOFREE char *label = text_format("checking %s", codec->name);
	struct compared c = { .with = m->new.bytes };
	const struct fl_sink sink = { compare, &c };
	const struct fl_source source = fl_source_bytes(&data);
	enum fl_code code;

	progress_begin(&c.bar, m->cli->globals.quiet, label, 0, (int64_t)m->new.bytes.n);
	code = codec->decode(m->old.bytes, &source, &limits, &sink, err);
	progress_end(&c.bar);
	if (code == FL_OK && c.at != m->new.bytes.n)
		code = fl_fail(err, FL_INTERNAL, "the delta decodes to fewer bytes");
	if (code != FL_OK || codec->state_memory == NULL)
		return code;
	codec->state_memory(delta, heap.peak);
	return fl_buf_check(delta, err);
}

/* Encode with one codec; keep it if it is the smallest. FL_REFUSED: it is not for such files. */
static enum fl_code try(struct make *m, const struct fl_codec *codec, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf data = { 0 };
	const struct fl_sink sink = fl_sink_buf(&data);
	int level = m->o->level == OPTIONS_UNSET ? LEVEL_BEST : (int)m->o->level;
	int64_t began = fl_clock_ms(CLOCK_MONOTONIC);
	char size[TEXT_SHORT], took[TEXT_SHORT];
	enum fl_code code = fl_codec_encode(codec,
		&(struct fl_codec_files){ m->old.bytes, m->new.bytes, &m->parses }, level, &sink,
		err);

	if (code == FL_OK)
		code = check(m, codec, &data, err);
	if (code != FL_OK)
		return code;
	cli_note(m->cli, "%s: %s in %s", codec->name, text_bytes(size, (int64_t)data.n),
		text_seconds(took, (double)(fl_clock_ms(CLOCK_MONOTONIC) - began) / 1000));
	if (m->best != NULL && data.n >= m->data.n)
		return FL_OK;
	fl_buf_fini(&m->data);
	m->data = data;
	data = (struct fl_buf){ 0 };
	m->best = codec;
	m->size = m->data.n;
	m->took_ms = fl_clock_ms(CLOCK_MONOTONIC) - began;
	return FL_OK;
}

/* ---- which codecs */

static bool is_family(const char *name, const char *family)
{
	size_t n = strlen(family);

	return strncmp(name, family, n) == 0 && (name[n] == '\0' || name[n] == '-');
}

static bool has_model(const char *name, const char *model)
{
	const char *dash = name + strlen("wasm-delta");

	return strcmp(model, "none") == 0 ? *dash == '\0'
					  : *dash != '\0' && strcmp(dash + 1, model) == 0;
}

static bool is_wanted(const struct make_options *o, const struct fl_codec *codec)
{
	bool wasm = is_family(codec->name, "wasm-delta");

	if (!codec->needs_old)
		return false;
	if (wasm && o->model != NULL && !has_model(codec->name, o->model))
		return false;
	if (o->codec == NULL)
		return true;
	return strcmp(o->codec, codec->name) == 0 ||
		(wasm && o->model != NULL && strcmp(o->codec, "wasm-delta") == 0);
}

static enum fl_code try_all(struct make *m, struct fl_err *err)
{
	const struct fl_codec *codec;
	struct fl_err last = { 0 };

	for (size_t i = 0; (codec = fl_codec_at(i)) != NULL; i++) {
		enum fl_code code = is_wanted(m->o, codec) ? try(m, codec, &last) : FL_OK;

		if (code != FL_OK && code != FL_REFUSED && code != FL_TOO_LARGE)
			return fl_fail(err, code, "%s: %s", codec->name, last.msg);
	}
	if (m->best != NULL)
		return FL_OK;
	if (last.code != FL_OK)
		return fl_fail(err, last.code, "%s", last.msg);
	return fl_fail(err, FL_INVALID, "there is no codec \"%s\"", m->o->codec);
}

/* ---- the file */

/* Heap that decoding takes, as the delta says it or its codec. */
static uint64_t memory_of(const struct make *m)
{
	struct fl_bytes data = { m->data.p, m->size };

	return m->best->stated_memory != NULL
		? m->best->stated_memory(data)
		: m->best->decode_memory(m->old.bytes.n, m->new.bytes.n);
}

static enum fl_code write_patch(struct make *m, struct fl_err *err)
{
	struct fl_trailer t = { .new_size = m->new.bytes.n };
	struct delta_output out = { 0 };
	enum fl_code code;

	(void)crypto_hash_sha256(t.old_sha256, m->old.bytes.p, m->old.bytes.n);
	(void)crypto_hash_sha256(t.new_sha256, m->new.bytes.p, m->new.bytes.n);
	t.memory = memory_of(m);
	(void)strncpy(t.codec, m->best->name, sizeof(t.codec) - 1);
	if (!m->o->bare)
		fl_trailer_add(&m->data, &t);
	code = fl_buf_check(&m->data, err);
	if (code == FL_OK)
		code = delta_output_open(&out, m->o->out, err);
	if (code == FL_OK)
		code = delta_output_put(&out, (struct fl_bytes){ m->data.p, m->data.n }, err);
	if (code == FL_OK)
		code = delta_output_commit(&out, err);
	delta_output_close(&out, false);
	return code;
}

static void tell(const struct make *m)
{
	uint64_t memory = memory_of(m);
	char size[TEXT_SHORT], full[TEXT_SHORT], share[TEXT_SHORT], need[TEXT_SHORT];
	FL_AUTO_JSON json_t *j = json_pack("{ss,ss,sI,sI,sI,sI,sI}", "patch", m->o->out, "codec",
		m->best->name, "size", (json_int_t)m->data.n, "old_size",
		(json_int_t)m->old.bytes.n, "new_size", (json_int_t)m->new.bytes.n, "memory",
		(json_int_t)memory, "built_ms", (json_int_t)m->took_ms);

	if (cli_json(m->cli, j))
		return;
	cli_say(m->cli, "%s: %s, %s of %s, with %s; decoding takes %s of memory", m->o->out,
		text_bytes(size, (int64_t)m->data.n),
		text_share(share, (double)m->data.n / (double)(m->new.bytes.n + 1)),
		text_bytes(full, (int64_t)m->new.bytes.n), m->best->name,
		text_bytes(need, (int64_t)memory));
}

static enum fl_code make(struct cli *cli, const void *options, struct fl_err *err)
{
	struct make m = { .cli = cli,
		.o = options,
		.old = { .fd = -1 },
		.new = { .fd = -1 },
		.parses.keeps = true };
	enum fl_code code;

	if (m.o->out == NULL)
		return fl_fail(err, FL_INVALID, "say where the delta goes: -o PATCH");
	code = delta_file_open(&m.old, cli_operand(cli, 0), err);
	if (code == FL_OK)
		code = delta_file_open(&m.new, cli_operand(cli, 1), err);
	if (code == FL_OK)
		code = try_all(&m, err);
	if (code == FL_OK)
		code = write_patch(&m, err);
	if (code == FL_OK)
		tell(&m);
	wasm_parses_fini(&m.parses);
	delta_file_close(&m.old);
	delta_file_close(&m.new);
	fl_buf_fini(&m.data);
	return code;
}

const struct command delta_tool_make = {
	.name = "make",
	.operands = "OLD NEW",
	.help = "make a delta between two files",
	.prose = "Tries every codec that is for such files and keeps the smallest result, unless "
		 "--codec says "
		 "which. Each result is decoded and compared with NEW before it is written; PATCH "
		 "appears when it is whole and on the disk. At its end are the digests of both "
		 "files, in a form that the zstd program passes over: 'zstd -d --patch-from=OLD "
		 "PATCH' reads a zstd-patch too.\n\n",
	.examples = "fleetctl delta make app-1.wasm app-2.wasm -o app-1-2.delta\n"
		    "fleetctl delta make old.wasm new.wasm -o small.delta --codec wasm-delta "
		    "--model 1m\n",
	.run = make,
	.options = make_rows,
	.options_size = sizeof(struct make_options),
};
