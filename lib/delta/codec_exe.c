/* SPDX-License-Identifier: Apache-2.0
 *
 * `exe-patch`: executables of x86-64, AArch64, ARM Thumb-2 and RISC-V.
 *
 * DESIGN. The delta says how far the parts of the old file have moved (exe/map.h). Both sides rewrite the
 * branches, addresses and pointers of the old file as if it stood at the new places; what is left is a
 * zstd-patch against that. The new file needs no transform: it comes out in order. The format is in
 * fleet-patch(5):
 *
 *   byte 0    0xd8
 *   byte 1    version << 4 | what was rewritten (enum exe_what)
 *   byte 2    0: an ELF file; n: a bare image for instruction set n - 1, its base as a LEB behind
 *   LEB       heap that decoding takes, in units of 64 KiB
 *   LEB       bytes of the map; then the same, compressed; then the map as a zstd frame
 *   the rest  a zstd-patch */
#include "lib/delta/codec_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "lib/delta/exe/map.h"

#define MAGIC     0xd8
#define VERSION   1
#define MAP_MAX   (64ULL << 20) /* bytes of a map, not compressed */
#define MAP_LEVEL 19
#define TRY_LEVEL 3
#define UNIT      65536
#define OVERHEAD  (1ULL << 20)

/* What stands before the patch. */
struct head {
	unsigned what, bare; /* bare: instruction set + 1; 0: ELF */
	uint64_t base, memory;
	uint64_t map_size, map_packed;
	size_t n; /* bytes of the head itself */
};

static uint64_t decode_memory(uint64_t old_size, uint64_t new_size)
{
	/* the rewritten old file, the map, and what the patch takes */
	return old_size + old_size / 8 + fl_codec_zstd_patch.decode_memory(old_size, new_size) +
		OVERHEAD;
}

static uint64_t encode_memory(uint64_t old_size, uint64_t new_size, int level)
{
	return 6 * old_size + 3 * new_size +
		fl_codec_zstd_patch.encode_memory(old_size, new_size, level) + OVERHEAD;
}

/* ---- encoding */

static void add_number(struct fl_buf *b, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		fl_buf_byte(b, (uint8_t)(v | 0x80));
	fl_buf_byte(b, (uint8_t)v);
}

/* Both sides as images of one kind. */
static enum fl_code open_images(struct fl_bytes old, struct fl_bytes new, struct exe_image *a,
	struct exe_image *b, struct head *h, struct fl_err *err)
{
	uint64_t base;
	enum fl_code code = exe_image_elf(old, a, err);

	if (code == FL_OK)
		code = exe_image_elf(new, b, err);
	if (code == FL_OK && a->isa != b->isa)
		return fl_fail(err, FL_REFUSED, "the files are for two machines");
	if (code != FL_REFUSED)
		return code;
	code = exe_image_guess(old, &h->base, err);
	if (code == FL_OK)
		code = exe_image_guess(new, &base, err);
	if (code != FL_OK)
		return code;
	h->bare = EXE_THUMB2 + 1;
	exe_image_bare(old, EXE_THUMB2, h->base, a);
	exe_image_bare(new, EXE_THUMB2, h->base, b);
	return FL_OK;
}

/* Write head and map. */
static enum fl_code put_head(
	const struct head *h, const struct exe_map *map, struct fl_buf *out, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf raw = { 0 }, packed = { 0 };
	size_t n;
	uint8_t *to;

	exe_map_write(map, &raw);
	if (raw.failed || (to = fl_buf_reserve(&packed, ZSTD_compressBound(raw.n))) == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a map of addresses");
	n = ZSTD_compress(to, ZSTD_compressBound(raw.n), raw.p, raw.n, MAP_LEVEL);
	if (ZSTD_isError(n) || raw.n > MAP_MAX)
		return fl_fail(err, FL_TOO_LARGE, "the map of addresses is too large");
	fl_buf_byte(out, MAGIC);
	fl_buf_byte(out, (uint8_t)(VERSION << 4 | h->what));
	fl_buf_byte(out, (uint8_t)h->bare);
	if (h->bare != 0)
		add_number(out, h->base);
	add_number(out, (h->memory + UNIT - 1) / UNIT);
	add_number(out, raw.n);
	add_number(out, n);
	fl_buf_add(out, to, n);
	return fl_buf_check(out, err);
}

/* The patch against the old file rewritten in one way, appended to `out`. */
static enum fl_code add_patch(const struct exe_image *old, const struct exe_map *map, unsigned what,
	struct fl_bytes new, int level, struct fl_buf *out, struct fl_err *err)
{
	FL_AUTOFREE uint8_t *moved = malloc(old->bytes.n + 1);
	const struct fl_sink sink = fl_sink_buf(out);

	if (moved == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for %zu bytes", old->bytes.n);
	memcpy(moved, old->bytes.p, old->bytes.n);
	exe_map_move(map, old, what, moved);
	return fl_codec_zstd_patch.encode(
		(struct fl_bytes){ moved, old->bytes.n }, new, level, &sink, err);
}

/* Which numbers to rewrite: tried quickly, the smallest patch wins. */
static enum fl_code choose(const struct exe_image *old, const struct exe_map *map,
	struct fl_bytes new, unsigned *what, struct fl_err *err)
{
	size_t best = SIZE_MAX;

	for (unsigned w = 0; w <= (EXE_WITH_TABLES | EXE_WITH_WORDS); w++) {
		FL_AUTO_BUF struct fl_buf patch = { 0 };
		enum fl_code code = add_patch(old, map, w, new, TRY_LEVEL, &patch, err);

		if (code != FL_OK)
			return code;
		if (patch.n < best) {
			best = patch.n;
			*what = w;
		}
	}
	return FL_OK;
}

static enum fl_code encode(struct fl_bytes old, struct fl_bytes new, int level,
	const struct fl_sink *out, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf data = { 0 };
	struct head h = { .memory = decode_memory(old.n, new.n) };
	struct exe_map map = { 0 };
	struct exe_image a, b;
	enum fl_code code;

	if (old.n > INT32_MAX || new.n > INT32_MAX)
		return fl_fail(err, FL_TOO_LARGE, "exe-patch takes files of up to 2 GiB");
	code = open_images(old, new, &a, &b, &h, err);
	if (code == FL_OK)
		code = exe_map_make(&a, &b, &map, err);
	if (code == FL_OK)
		code = choose(&a, &map, new, &h.what, err);
	if (code == FL_OK)
		code = put_head(&h, &map, &data, err);
	if (code == FL_OK)
		code = add_patch(&a, &map, h.what, new, level, &data, err);
	if (code == FL_OK)
		code = out->write(out->ctx, (struct fl_bytes){ data.p, data.n }, err);
	exe_map_fini(&map);
	return code;
}

/* ---- decoding */

/* Up to 48 bytes of the head. */
struct reader {
	uint8_t bytes[48];
	size_t n, at;
	bool failed;
};

static uint64_t next_number(struct reader *r)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 63; i += 7) {
		uint8_t c = r->at < r->n ? r->bytes[r->at] : 0xff;

		r->at++;
		v |= (uint64_t)(c & 0x7f) << i;
		if (c < 0x80)
			return v;
	}
	r->failed = true;
	return 0;
}

static enum fl_code read_head(const struct fl_source *data, struct head *h, struct fl_err *err)
{
	struct reader r = { .at = 3 };
	enum fl_code code;

	r.n = data->size < sizeof(r.bytes) ? (size_t)data->size : sizeof(r.bytes);
	code = data->read_at(data->ctx, 0, r.bytes, r.n, err);
	if (code != FL_OK)
		return code;
	if (r.n < 6 || r.bytes[0] != MAGIC || r.bytes[1] >> 4 != VERSION)
		return fl_fail(err, FL_CORRUPT, "not an exe-patch of version %d", VERSION);
	*h = (struct head){ .what = r.bytes[1] & 15, .bare = r.bytes[2] };
	h->base = h->bare == 0 ? 0 : next_number(&r);
	h->memory = next_number(&r);
	h->map_size = next_number(&r);
	h->map_packed = next_number(&r);
	h->n = r.at;
	if (r.failed || r.at > r.n || h->bare > EXE_ISA_MAX || h->map_size > MAP_MAX ||
		h->memory > UINT64_MAX / UNIT || h->map_packed > data->size - h->n)
		return fl_fail(err, FL_CORRUPT, "the head of the exe-patch is damaged");
	h->memory *= UNIT;
	return FL_OK;
}

static enum fl_code read_map(
	const struct fl_source *data, const struct head *h, struct exe_map *map, struct fl_err *err)
{
	FL_AUTOFREE uint8_t *packed = malloc((size_t)h->map_packed + 1);
	FL_AUTOFREE uint8_t *raw = malloc((size_t)h->map_size + 1);
	enum fl_code code;
	size_t n;

	if (packed == NULL || raw == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a map of addresses");
	code = data->read_at(data->ctx, h->n, packed, (size_t)h->map_packed, err);
	if (code != FL_OK)
		return code;
	n = ZSTD_decompress(raw, (size_t)h->map_size, packed, (size_t)h->map_packed);
	if (ZSTD_isError(n) || n != h->map_size)
		return fl_fail(err, FL_CORRUPT, "the map of addresses is damaged");
	return exe_map_read((struct fl_bytes){ raw, n }, map, err);
}

/* The source behind the head. */
struct tail {
	const struct fl_source *whole;
	uint64_t from;
};

static enum fl_code read_tail(void *ctx, uint64_t offset, void *to, size_t n, struct fl_err *err)
{
	const struct tail *t = ctx;

	return t->whole->read_at(t->whole->ctx, t->from + offset, to, n, err);
}

static enum fl_code rewrite(struct fl_bytes old, const struct head *h, const struct exe_map *map,
	uint8_t *moved, struct fl_err *err)
{
	struct exe_image image;
	enum fl_code code = FL_OK;

	if (h->bare != 0)
		exe_image_bare(old, (enum exe_isa)(h->bare - 1), h->base, &image);
	else
		code = exe_image_elf(old, &image, err);
	if (code != FL_OK)
		return fl_fail(err, FL_CORRUPT, "the delta is for another old file");
	memcpy(moved, old.p, old.n);
	exe_map_move(map, &image, h->what, moved);
	return FL_OK;
}

static enum fl_code check_memory(struct fl_bytes old, const struct head *h,
	const struct fl_codec_limits *limits, struct fl_err *err)
{
	/* the map in memory and its two forms before that */
	uint64_t map = h->map_size / 2 * sizeof(struct exe_stretch) + h->map_size + h->map_packed;
	uint64_t need = old.n + map;

	if (limits->memory_max == 0 || need <= limits->memory_max)
		return FL_OK;
	return fl_fail(err, FL_TOO_LARGE, "decoding needs %llu bytes of memory, the limit is %llu",
		(unsigned long long)need, (unsigned long long)limits->memory_max);
}

static enum fl_code decode(struct fl_bytes old, const struct fl_source *data,
	const struct fl_codec_limits *limits, const struct fl_sink *out, struct fl_err *err)
{
	FL_AUTOFREE uint8_t *moved = NULL;
	struct fl_codec_limits rest = *limits;
	struct exe_map map = { 0 };
	struct head h;
	struct tail tail = { data, 0 };
	struct fl_source patch = { 0, read_tail, &tail };
	enum fl_code code = read_head(data, &h, err);

	if (code == FL_OK)
		code = check_memory(old, &h, limits, err);
	if (code == FL_OK)
		code = read_map(data, &h, &map, err);
	if (code == FL_OK && (moved = malloc(old.n + 1)) == NULL)
		code = fl_fail(err, FL_NOMEM, "no memory for %zu bytes", old.n);
	if (code == FL_OK)
		code = rewrite(old, &h, &map, moved, err);
	exe_map_fini(&map);
	if (code != FL_OK)
		return code;
	tail.from = h.n + h.map_packed;
	patch.size = data->size - tail.from;
	if (rest.memory_max != 0)
		rest.memory_max -= old.n;
	return fl_codec_zstd_patch.decode(
		(struct fl_bytes){ moved, old.n }, &patch, &rest, out, err);
}

/* ---- looking */

static enum fl_code inspect(struct fl_bytes old, struct fl_bytes data, fl_codec_part_fn fn,
	void *ctx, struct fl_err *err)
{
	const struct fl_source source = fl_source_bytes(&data);
	struct fl_codec_part head = { .name = "head" }, part = { .name = "map of addresses" };
	struct exe_map map = { 0 };
	struct head h;
	enum fl_code code = read_head(&source, &h, err);

	if (code == FL_OK)
		code = read_map(&source, &h, &map, err);
	if (code != FL_OK)
		return code;
	head.bytes = h.n;
	(void)snprintf(head.note, sizeof(head.note), "%s%s%s", h.bare != 0 ? "bare image" : "ELF",
		(h.what & EXE_WITH_TABLES) != 0 ? ", tables" : "",
		(h.what & EXE_WITH_WORDS) != 0 ? ", pointers" : "");
	part.bytes = h.map_packed;
	part.count = map.n;
	exe_map_fini(&map);
	fn(ctx, &head);
	fn(ctx, &part);
	data.p += h.n + h.map_packed;
	data.n -= h.n + (size_t)h.map_packed;
	return fl_codec_zstd_patch.inspect(old, data, fn, ctx, err);
}

const struct fl_codec fl_codec_exe_patch = {
	.name = "exe-patch",
	.needs_old = true,
	.encode = encode,
	.decode = decode,
	.decode_memory = decode_memory,
	.encode_memory = encode_memory,
	.inspect = inspect,
};
