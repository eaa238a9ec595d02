/* SPDX-License-Identifier: Apache-2.0
 *
 * One zstd frame (RFC 8878), alone (`zstd`) or with the old bytes as its prefix (`zstd-patch`: the
 * form that the zstd program makes and reads with --patch-from).
 *
 * DESIGN. The frame states its content size, so a patch's window is the new size and no more. The
 * decoder reads the header itself before zstd sees a byte: a window above the limits is refused
 * before anything is allocated. Exactly one frame, nothing behind it. */
#include "lib/delta/codec_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ZSTD_STATIC_LINKING_ONLY /* ZSTD_frameHeaderSize */
#include <zstd.h>
#include <zstd_errors.h>

#define LEVEL_DEFAULT  3
#define LEVEL_MAX      19 /* above it windows grow beyond what small devices have */
#define TABLES_GROW    9  /* above this level tables are large */
#define TABLES_LOW     (24ULL << 20)
#define TABLES_HIGH    (160ULL << 20)
#define FULL_WINDOW    (8ULL << 20)       /* of level 19 */
#define OVERHEAD       (768ULL << 10)     /* contexts, blocks and pieces of a decoder */
#define PATCH_SIZE_MAX ((1ULL << 31) - 1) /* zstd's largest window */
#define HEADER_MAX     18                 /* RFC 8878 3.1.1.1 and the magic number */

/* ---- encoding */

static enum fl_code zstd_failed(struct fl_err *err, size_t result)
{
	enum fl_code code =
		ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation ? FL_NOMEM : FL_INTERNAL;

	return fl_fail(err, code, "zstd cannot encode: %s", ZSTD_getErrorName(result));
}

/* floor(log2(n)) + 1: the smallest window that covers n bytes. */
static int window_log(uint64_t n)
{
	int bits = n == 0 ? 1 : 64 - __builtin_clzll(n);

	return bits < 10 ? 10 : bits;
}

static size_t set_up(ZSTD_CCtx *c, const struct fl_bytes *prefix, struct fl_bytes new, int level)
{
	size_t result = ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel,
		level <= 0                  ? LEVEL_DEFAULT
			: level > LEVEL_MAX ? LEVEL_MAX
					    : level);

	if (!ZSTD_isError(result))
		result = ZSTD_CCtx_setPledgedSrcSize(c, new.n);
	if (prefix == NULL || ZSTD_isError(result))
		return result;
	result = ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, window_log(new.n));
	/* the tables of the fast levels forget a large prefix; long-distance matching does not */
	if (!ZSTD_isError(result))
		result = ZSTD_CCtx_setParameter(c, ZSTD_c_enableLongDistanceMatching, 1);
	if (!ZSTD_isError(result))
		result = ZSTD_CCtx_refPrefix(c, prefix->p, prefix->n);
	return result;
}

static enum fl_code encode_frame(const struct fl_bytes *prefix, struct fl_bytes new, int level,
	const struct fl_sink *out, struct fl_err *err)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	size_t room = ZSTD_compressBound(new.n);
	uint8_t *frame = malloc(room);
	enum fl_code code;
	size_t result;

	if (c == NULL || frame == NULL) {
		code = fl_fail(err, FL_NOMEM, "no memory to encode %zu bytes", new.n);
		goto out;
	}
	result = set_up(c, prefix, new, level);
	if (!ZSTD_isError(result))
		result = ZSTD_compress2(c, frame, room, new.p, new.n);
	if (ZSTD_isError(result))
		code = zstd_failed(err, result);
	else
		code = out->write(out->ctx, (struct fl_bytes){ frame, result }, err);
out:
	free(frame);
	(void)ZSTD_freeCCtx(c);
	return code;
}

static enum fl_code encode_full(struct fl_bytes old, struct fl_bytes new, int level,
	const struct fl_sink *out, struct fl_err *err)
{
	(void)old;
	return encode_frame(NULL, new, level, out, err);
}

static enum fl_code encode_patch(struct fl_bytes old, struct fl_bytes new, int level,
	const struct fl_sink *out, struct fl_err *err)
{
	if (new.n > PATCH_SIZE_MAX || old.n > PATCH_SIZE_MAX)
		return fl_fail(err, FL_TOO_LARGE, "zstd-patch takes files of up to 2 GiB");
	return encode_frame(&old, new, level, out, err);
}

/* ---- decoding */

static uint64_t little_endian(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

/* What the frame's header claims; UINT64_MAX: no content size is stated. */
struct header {
	uint64_t window, content;
};

/* RFC 8878 3.1.1.1. `p` has HEADER_MAX bytes, zeros behind the data. */
static enum fl_code parse_header(const uint8_t *p, struct header *h, struct fl_err *err)
{
	static const unsigned dictionary_bytes[] = { 0, 1, 2, 4 };
	unsigned flag = p[4] >> 6, at = 5;
	unsigned content_bytes = flag == 0 ? (p[4] >> 5 & 1) : 1U << flag;
	bool single = p[4] >> 5 & 1;

	if (little_endian(p, 4) != ZSTD_MAGICNUMBER)
		return fl_fail(err, FL_CORRUPT, "the data do not begin with a zstd frame");
	h->window = 0;
	if (!single) {
		uint64_t base = 1ULL << (10 + (p[at] >> 3));

		h->window = base + (base >> 3) * (p[at] & 7);
		at++;
	}
	at += dictionary_bytes[p[4] & 3];
	h->content = content_bytes == 0 ? UINT64_MAX : little_endian(p + at, content_bytes);
	if (content_bytes == 2)
		h->content += 256;
	if (single)
		h->window = h->content;
	return FL_OK;
}

/* Refuse what would cost too much before zstd allocates it. */
static enum fl_code check_header(
	const struct fl_source *data, const struct fl_codec_limits *limits, struct fl_err *err)
{
	uint8_t bytes[HEADER_MAX] = { 0 };
	size_t n = data->size < HEADER_MAX ? (size_t)data->size : HEADER_MAX;
	enum fl_code code = data->read_at(data->ctx, 0, bytes, n, err);
	struct header h = { 0 };
	uint64_t need;

	if (code == FL_OK)
		code = parse_header(bytes, &h, err);
	if (code != FL_OK)
		return code;
	if (h.content != UINT64_MAX && h.content > limits->output_max)
		return fl_fail(err, FL_CORRUPT,
			"the frame holds %llu bytes where %llu were expected",
			(unsigned long long)h.content, (unsigned long long)limits->output_max);
	/* a window of many times the content is no honest encoder's */
	if (h.window > FULL_WINDOW && h.window / 4 > limits->output_max)
		return fl_fail(err, FL_CORRUPT,
			"the frame's window is %llu bytes for %llu of content",
			(unsigned long long)h.window, (unsigned long long)limits->output_max);
	need = (h.window < h.content ? h.window : h.content) + OVERHEAD;
	if (limits->memory_max != 0 && need > limits->memory_max)
		return fl_fail(err, FL_TOO_LARGE,
			"decoding needs %llu bytes of memory, the limit is %llu",
			(unsigned long long)need, (unsigned long long)limits->memory_max);
	return FL_OK;
}

/* One decoding on its way. */
struct decoder {
	ZSTD_DCtx *context;
	const struct fl_source *data;
	const struct fl_sink *out;
	uint64_t at;      /* bytes read from data */
	uint64_t left;    /* bytes that may still come out */
	ZSTD_inBuffer in; /* the present piece; its memory is ours */
	uint8_t *in_piece, *out_piece;
	size_t in_room, out_room;
	bool ended; /* the frame is whole */
	bool more;  /* output was cut by its room: ask again before the next piece */
};

static enum fl_code next_piece(struct decoder *d, struct fl_err *err)
{
	uint64_t rest = d->data->size - d->at;
	size_t n = rest < d->in_room ? (size_t)rest : d->in_room;
	enum fl_code code;

	if (n == 0)
		return fl_fail(err, FL_CORRUPT, "the data end in the middle of the frame");
	code = d->data->read_at(d->data->ctx, d->at, d->in_piece, n, err);
	d->at += n;
	d->in = (ZSTD_inBuffer){ d->in_piece, n, 0 };
	return code;
}

static enum fl_code decode_piece(struct decoder *d, struct fl_err *err)
{
	ZSTD_outBuffer out = { d->out_piece, d->out_room, 0 };
	size_t result = ZSTD_decompressStream(d->context, &out, &d->in);

	if (ZSTD_isError(result))
		return fl_fail(err,
			ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation ? FL_NOMEM
										  : FL_CORRUPT,
			"zstd cannot decode: %s", ZSTD_getErrorName(result));
	if (out.pos > d->left)
		return fl_fail(err, FL_CORRUPT, "more bytes come out than were expected");
	d->left -= out.pos;
	d->ended = result == 0;
	d->more = out.pos == out.size;
	if (out.pos == 0)
		return FL_OK;
	return d->out->write(d->out->ctx, (struct fl_bytes){ d->out_piece, out.pos }, err);
}

static enum fl_code decode_all(struct decoder *d, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	while (code == FL_OK && !d->ended) {
		if (d->in.pos == d->in.size && !d->more)
			code = next_piece(d, err);
		if (code == FL_OK)
			code = decode_piece(d, err);
	}
	if (code == FL_OK && (d->in.pos < d->in.size || d->at < d->data->size))
		code = fl_fail(err, FL_CORRUPT, "there are bytes behind the frame");
	return code;
}

/* Let zstd take the window that check_header has let pass, and know the prefix. */
static size_t set_up_decoder(ZSTD_DCtx *c, const struct fl_bytes *prefix)
{
	ZSTD_bounds bounds = ZSTD_dParam_getBounds(ZSTD_d_windowLogMax);
	size_t result = ZSTD_DCtx_setParameter(c, ZSTD_d_windowLogMax, bounds.upperBound);

	if (prefix != NULL && !ZSTD_isError(result))
		result = ZSTD_DCtx_refPrefix(c, prefix->p, prefix->n);
	return result;
}

static enum fl_code decode_frame(const struct fl_bytes *prefix, const struct fl_source *data,
	const struct fl_codec_limits *limits, const struct fl_sink *out, struct fl_err *err)
{
	struct decoder d = { .data = data, .out = out, .left = limits->output_max };
	enum fl_code code = check_header(data, limits, err);
	size_t result;

	if (code != FL_OK)
		return code;
	d.in_room = ZSTD_DStreamInSize();
	d.out_room = ZSTD_DStreamOutSize();
	d.context = ZSTD_createDCtx();
	d.in_piece = malloc(d.in_room);
	d.out_piece = malloc(d.out_room);
	if (d.context == NULL || d.in_piece == NULL || d.out_piece == NULL) {
		code = fl_fail(err, FL_NOMEM, "no memory for a zstd decoder");
		goto out;
	}
	result = set_up_decoder(d.context, prefix);
	if (ZSTD_isError(result))
		code = fl_fail(err, FL_NOMEM, "zstd: %s", ZSTD_getErrorName(result));
	else
		code = decode_all(&d, err);
out:
	free(d.in_piece);
	free(d.out_piece);
	(void)ZSTD_freeDCtx(d.context);
	return code;
}

static enum fl_code decode_full(struct fl_bytes old, const struct fl_source *data,
	const struct fl_codec_limits *limits, const struct fl_sink *out, struct fl_err *err)
{
	(void)old;
	return decode_frame(NULL, data, limits, out, err);
}

static enum fl_code decode_patch(struct fl_bytes old, const struct fl_source *data,
	const struct fl_codec_limits *limits, const struct fl_sink *out, struct fl_err *err)
{
	return decode_frame(&old, data, limits, out, err);
}

static uint64_t memory_full(uint64_t old_size, uint64_t new_size)
{
	(void)old_size;
	return (new_size < FULL_WINDOW ? new_size : FULL_WINDOW) + OVERHEAD;
}

static uint64_t memory_patch(uint64_t old_size, uint64_t new_size)
{
	(void)old_size;
	return new_size + OVERHEAD;
}

/* The match tables of zstd's levels, smaller for small inputs, and the room for the result. */
static uint64_t memory_of_tables(uint64_t sizes, uint64_t new_size, int level)
{
	bool high = level > TABLES_GROW;
	uint64_t most = high ? TABLES_HIGH : TABLES_LOW,
		 tables = (high ? 32 : 16) * sizes + (2ULL << 20);

	return (tables < most ? tables : most) + new_size + new_size / 128 + OVERHEAD;
}

static uint64_t encode_memory_full(uint64_t old_size, uint64_t new_size, int level)
{
	(void)old_size;
	return memory_of_tables(new_size, new_size, level);
}

static uint64_t encode_memory_patch(uint64_t old_size, uint64_t new_size, int level)
{
	/* long-distance matching: 2^(window - 7) entries of 8 bytes */
	return memory_of_tables(old_size + new_size, new_size, level) +
		(1ULL << window_log(new_size) >> 4);
}

/* ---- looking */

/* RFC 8878 3.1.1.2: three bytes before each block: last, type, size. */
static enum fl_code inspect(struct fl_bytes old, struct fl_bytes data, fl_codec_part_fn fn,
	void *ctx, struct fl_err *err)
{
	static const char *const names[] = { "raw blocks", "repeated bytes", "compressed blocks" };
	struct fl_codec_part head = { .name = "head" }, blocks[3] = { 0 };
	uint8_t bytes[HEADER_MAX] = { 0 };
	struct header h;
	enum fl_code code;
	bool last = false;
	size_t at;

	(void)old;
	memcpy(bytes, data.p, data.n < HEADER_MAX ? data.n : HEADER_MAX);
	code = parse_header(bytes, &h, err);
	if (code != FL_OK)
		return code;
	at = ZSTD_frameHeaderSize(data.p, data.n);
	head.bytes = at;
	(void)snprintf(head.note, sizeof(head.note), "window %llu, content %llu",
		(unsigned long long)h.window, (unsigned long long)h.content);
	while (!ZSTD_isError(at) && !last && data.n - at >= 3) {
		uint64_t block = little_endian(data.p + at, 3), size = block >> 3;
		unsigned type = block >> 1 & 3;

		last = block & 1;
		if (type == 3 || (type != 1 && size > data.n - at - 3))
			return fl_fail(err, FL_CORRUPT, "a block is larger than the data");
		blocks[type].bytes += 3 + (type == 1 ? 1 : size);
		blocks[type].count++;
		at += 3 + (size_t)(type == 1 ? 1 : size);
	}
	if (!last)
		return fl_fail(err, FL_CORRUPT, "the last block is missing");
	fn(ctx, &head);
	for (unsigned i = 0; i < 3; i++) {
		blocks[i].name = names[i];
		if (blocks[i].count > 0)
			fn(ctx, &blocks[i]);
	}
	return FL_OK;
}

const struct fl_codec fl_codec_zstd = {
	.name = "zstd",
	.encode = encode_full,
	.decode = decode_full,
	.decode_memory = memory_full,
	.encode_memory = encode_memory_full,
	.inspect = inspect,
};

const struct fl_codec fl_codec_zstd_patch = {
	.name = "zstd-patch",
	.needs_old = true,
	.encode = encode_patch,
	.decode = decode_patch,
	.decode_memory = memory_patch,
	.encode_memory = encode_memory_patch,
	.inspect = inspect,
};
