/* SPDX-License-Identifier: Apache-2.0
 *
 * fleetctl delta apply: old file and delta to new file; stops and goes on. */
#include "cli/delta_tool.h"

#include <signal.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "cli/delta_file.h"
#include "cli/text.h"
#include "lib/delta/apply.h"
#include "lib/digest.h"

#define SIZE_MAX_DEFAULT (1LL << 32) /* of what a delta without a trailer may become */

struct apply_options {
	const char *out, *codec, *sha256;
	int64_t memory;
};

static const struct options_row apply_rows[] = {
	{ .name = "output",
		.letter = 'o',
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct apply_options, out),
		.argument = "NEW",
		.help = "where the new file goes" },
	{ .name = "codec",
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct apply_options, codec),
		.argument = "NAME",
		.help = "codec of a delta that does not say it" },
	{ .name = "sha256",
		.type = OPTIONS_TEXT,
		.offset = offsetof(struct apply_options, sha256),
		.argument = "HEX",
		.help = "digest that the new file must have" },
	{ .name = "memory",
		.type = OPTIONS_COUNT,
		.offset = offsetof(struct apply_options, memory),
		.argument = "BYTES",
		.help = "refuse a delta that takes more memory to decode" },
	{ 0 },
};

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
	(void)number;
	stopped = 1;
}

/* SIGINT and SIGTERM end the work between two pieces. */
static void catch_signals(void)
{
	struct sigaction a = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };

	(void)sigaction(SIGINT, &a, NULL);
	(void)sigaction(SIGTERM, &a, NULL);
}

static bool go_on(void *ctx, uint64_t done)
{
	progress_update(ctx, (int64_t)done);
	return stopped == 0;
}

/* ---- a delta whose result is known */

static enum fl_code check_old(
	const struct delta_patch *p, const struct delta_file *old, struct fl_err *err)
{
	uint8_t sha256[32];

	if (!p->codec->needs_old)
		return FL_OK;
	(void)crypto_hash_sha256(sha256, old->bytes.p, old->bytes.n);
	if (memcmp(sha256, p->trailer.old_sha256, sizeof(sha256)) == 0)
		return FL_OK;
	return fl_fail(
		err, FL_CONFLICT, "%s is for another old file than %s", p->file.path, old->path);
}

static enum fl_code apply_known(const struct cli *cli, const struct delta_patch *p,
	const struct delta_file *old, const struct delta_output *out, uint64_t memory,
	struct fl_err *err)
{
	struct progress bar;
	const struct fl_apply a = {
		.codec = p->codec,
		.old_fd = old->fd,
		.data_fd = p->file.fd,
		.data_size = p->data.n,
		.out_fd = out->fd,
		.size = p->trailer.new_size,
		.sha256 = p->trailer.new_sha256,
		.memory_max = memory,
		.resume = true,
		.go_on = go_on,
		.ctx = &bar,
	};
	enum fl_code code;

	progress_begin(&bar, cli->globals.quiet, "applying", 0, (int64_t)p->trailer.new_size);
	code = fl_apply(&a, err);
	progress_end(&bar);
	return code;
}

/* ---- one whose result is not */

/* A sink that writes what comes and hashes it. */
struct written {
	int fd;
	uint64_t size;
	crypto_hash_sha256_state hash;
	struct progress bar;
};

static enum fl_code write_some(void *ctx, struct fl_bytes bytes, struct fl_err *err)
{
	struct written *w = ctx;
	const struct fl_sink file = fl_sink_file(&w->fd);

	(void)crypto_hash_sha256_update(&w->hash, bytes.p, bytes.n);
	w->size += bytes.n;
	if (!go_on(&w->bar, w->size))
		return fl_fail(err, FL_STOPPED, "stopped");
	return file.write(file.ctx, bytes, err);
}

static enum fl_code apply_unknown(const struct cli *cli, struct delta_patch *p,
	const struct delta_file *old, const struct delta_output *out, uint64_t memory,
	struct fl_err *err)
{
	const struct fl_codec_limits limits = { .output_max = SIZE_MAX_DEFAULT,
		.memory_max = memory };
	struct written w = { .fd = out->fd };
	const struct fl_sink sink = { write_some, &w };
	const struct fl_source source = fl_source_bytes(&p->data);
	enum fl_code code;

	if (ftruncate(out->fd, 0) != 0)
		return fl_fail(err, FL_IO, "cannot empty %s", out->part);
	(void)crypto_hash_sha256_init(&w.hash);
	progress_begin(&w.bar, cli->globals.quiet, "applying", 0, (int64_t)old->bytes.n);
	code = p->codec->decode(old->bytes, &source, &limits, &sink, err);
	progress_end(&w.bar);
	(void)crypto_hash_sha256_final(&w.hash, p->trailer.new_sha256);
	p->trailer.new_size = w.size;
	return code;
}

/* ---- the command */

static enum fl_code check_wanted(
	const struct apply_options *o, const struct delta_patch *p, struct fl_err *err)
{
	uint8_t wanted[32];

	if (o->sha256 == NULL)
		return FL_OK;
	if (!fl_unhex(o->sha256, wanted, sizeof(wanted)))
		return fl_fail(err, FL_INVALID, "--sha256 takes 64 hexadecimal digits");
	if (memcmp(wanted, p->trailer.new_sha256, sizeof(wanted)) != 0)
		return fl_fail(err, FL_CORRUPT, "the new file has another digest");
	return FL_OK;
}

static enum fl_code run_apply(const struct cli *cli, const struct apply_options *o,
	struct delta_patch *p, const struct delta_file *old, struct fl_err *err)
{
	uint64_t memory = o->memory == OPTIONS_UNSET ? 0 : (uint64_t)o->memory;
	struct delta_output out = { 0 };
	enum fl_code code = p->has_trailer ? check_old(p, old, err) : FL_OK;

	if (code == FL_OK)
		code = delta_output_open(&out, o->out, err);
	if (code == FL_OK && p->has_trailer)
		code = apply_known(cli, p, old, &out, memory, err);
	else if (code == FL_OK)
		code = apply_unknown(cli, p, old, &out, memory, err);
	if (code == FL_OK)
		code = check_wanted(o, p, err);
	if (code == FL_OK)
		code = delta_output_commit(&out, err);
	delta_output_close(&out, code == FL_STOPPED);
	return code;
}

static void tell(const struct cli *cli, const struct apply_options *o, const struct delta_patch *p)
{
	char hex[65], size[TEXT_SHORT];
	FL_AUTO_JSON json_t *j = NULL;

	fl_hex(p->trailer.new_sha256, 32, hex);
	j = json_pack("{ss,ss,sI,ss}", "file", o->out, "sha256", hex, "size",
		(json_int_t)p->trailer.new_size, "codec", p->codec->name);
	if (!cli_json(cli, j))
		cli_say(cli, "%s: %s, sha256 %s%s", o->out,
			text_bytes(size, (int64_t)p->trailer.new_size), hex,
			p->has_trailer ? ", as the delta says" : "");
}

static enum fl_code apply(struct cli *cli, const void *options, struct fl_err *err)
{
	const struct apply_options *o = options;
	struct delta_file old = { .fd = -1 };
	struct delta_patch p = { .file = { .fd = -1 } };
	enum fl_code code;

	if (o->out == NULL)
		return fl_fail(err, FL_INVALID, "say where the new file goes: -o NEW");
	catch_signals();
	code = delta_file_open(&old, cli_operand(cli, 0), err);
	if (code == FL_OK)
		code = delta_patch_open(&p, cli_operand(cli, 1), o->codec, err);
	if (code == FL_OK)
		code = run_apply(cli, o, &p, &old, err);
	if (code == FL_OK)
		tell(cli, o, &p);
	delta_patch_close(&p);
	delta_file_close(&old);
	return code;
}

const struct command delta_tool_apply = {
	.name = "apply",
	.operands = "OLD PATCH",
	.help = "make the new file from the old one and a delta",
	.prose =
		"With the digests at the end of the delta both files are checked. NEW appears when "
		"it is whole and on the disk. What a break has left (NEW.part) is not written "
		"again the next time.\n\n",
	.examples = "fleetctl delta apply app-1.wasm app-1-2.delta -o app-2.wasm\n",
	.run = apply,
	.options = apply_rows,
	.options_size = sizeof(struct apply_options),
};
