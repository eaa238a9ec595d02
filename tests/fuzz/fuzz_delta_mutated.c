/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoders on damaged deltas: the first byte chooses one of the pairs that are made before, the others are
 * the delta. Random bytes hardly get past a head, so the mutator begins with real deltas, those of modules
 * also with their streams unpacked, and damages them. A decoder ends, writes at most what it was allowed,
 * touches nothing outside, and takes memory by what comes out, not by what the delta says. */
#include <stdio.h>
#include <string.h>

#include <zlib.h>

#include "lib/delta/wasm/coder.h"
#include "tests/fuzz/delta_inputs.h"
#include "tests/lib/wasm_build.h"
#include "tests/lib/wasm_program.h"

#define SIZE       1200 /* of an image of firmware */
#define STATEMENTS 80   /* of a module's program */
#define OUTPUT_MAX 16384
#define MEMORY_MAX (32U << 20)
#define TAKEN_MAX  (12U << 20) /* most of it is the largest model */
#define MADE_MAX   48

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
size_t LLVMFuzzerCustomMutator(uint8_t *p, size_t n, size_t max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *p, size_t n, size_t max); /* libFuzzer's own */

/* A codec with a pair that it takes. */
struct made {
	const struct fl_codec *codec;
	struct fl_buf old, delta;
};

/* ---- files: an older and a newer one of each kind */

static void add_noise(struct fl_buf *b, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		fl_buf_byte(b, (uint8_t)(seed >> 58));
	}
}

/* An image of firmware with calls every 16 bytes, the code of a newer one moved by a call. */
static void make_firmware(struct fl_buf *b, bool newer)
{
	static const uint8_t vectors[8] = { 0, 0x40, 0, 0x20, 1, 1, 0, 8 };
	static const uint8_t call[4] = { 0, 0xf0, 0x40, 0xf8 };

	fl_buf_add(b, vectors, sizeof(vectors));
	for (size_t i = 0; i < SIZE / 16; i++) {
		fl_buf_add(b, call, sizeof(call));
		if (newer && i == SIZE / 32)
			fl_buf_add(b, call, sizeof(call));
		add_noise(b, 12, i);
	}
}

static void add_member(struct fl_buf *b, const char *path, size_t n, uint64_t seed)
{
	uint8_t block[512] = { 0 };

	(void)snprintf((char *)block, 100, "%s", path);
	(void)snprintf((char *)block + 124, 12, "%011zo", n);
	block[156] = '0';
	memcpy(block + 257, "ustar", 6);
	fl_buf_add(b, block, sizeof(block));
	add_noise(b, n, seed);
	memset(block, 0, sizeof(block));
	fl_buf_add(b, block, (512 - n % 512) % 512);
}

/* An archive with firmware in it, so that a nested delta is made. */
static void make_layer(struct fl_buf *b, bool newer)
{
	add_member(b, "same", 600, 5);
	add_member(b, "other", 300, newer ? 7 : 6);
	add_member(b, "firmware", 0, 0);
	b->n -= 512;
	{
		FL_AUTO_BUF struct fl_buf firmware = { 0 };

		make_firmware(&firmware, newer);
		add_member(b, "firmware", firmware.n, 1);
		memcpy(b->p + b->n - (firmware.n + 511) / 512 * 512, firmware.p, firmware.n);
	}
}

/* The same in gzip as another compressor than zlib's usual one makes it: by a track. */
static void make_packed_layer(struct fl_buf *b, bool newer)
{
	FL_AUTO_BUF struct fl_buf raw = { 0 };
	z_stream z = { 0 };

	make_layer(&raw, newer);
	FL_BUG_IF(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_RLE) != Z_OK);
	z.next_in = raw.p;
	z.avail_in = (uInt)raw.n;
	z.avail_out = (uInt)deflateBound(&z, raw.n);
	z.next_out = fl_buf_reserve(b, z.avail_out);
	FL_BUG_IF(deflate(&z, Z_FINISH) != Z_STREAM_END);
	b->n += z.total_out;
	(void)deflateEnd(&z);
}

static void make_module(struct fl_buf *b, bool newer)
{
	static const uint8_t edits[] = { 20, 2, 9, 45, 0, 0, 60, 3, 100, 75, 0x41, 17 };
	FL_AUTO_BUF struct fl_buf old = { 0 }, new = { 0 };
	struct fl_buf *program = newer ? &new : &old;
	uint64_t state = 4;

	for (unsigned i = 0; i < STATEMENTS * WASM_STATEMENT; i++)
		fl_buf_byte(&old, (uint8_t)wasm_build_random(&state));
	wasm_program_edit(
		(struct fl_bytes){ old.p, old.n }, (struct fl_bytes){ edits, sizeof(edits) }, &new);
	wasm_program_build((struct fl_bytes){ program->p, program->n }, b);
}

static void make_component(struct fl_buf *b, bool newer)
{
	FL_AUTO_BUF struct fl_buf module = { 0 };

	make_module(&module, newer);
	fl_buf_add(b, "\0asm\15\0\1\0\1", 9);
	fl_buf_add(b, (uint8_t[]){ (uint8_t)(module.n | 0x80), (uint8_t)(module.n >> 7) }, 2);
	fl_buf_add(b, module.p, module.n);
	fl_buf_add(b, newer ? "\0\4\3new" : "\0\4\3old", 6);
}

/* ---- their deltas */

static struct made made[MADE_MAX];
static size_t n_made;

typedef void (*make_fn)(struct fl_buf *b, bool newer);

static bool try_to_make(const struct fl_codec *codec, make_fn make)
{
	FL_AUTO_BUF struct fl_buf new = { 0 };
	struct made *m = &made[n_made];
	const struct fl_sink sink = fl_sink_buf(&m->delta);

	make(&m->old, false);
	make(&new, true);
	m->codec = codec;
	if (codec->encode((struct fl_bytes){ m->old.p, m->old.n },
		    (struct fl_bytes){ new.p, new.n }, 19, &sink, NULL) == FL_OK) {
		n_made++;
		return true;
	}
	fl_buf_fini(&m->old);
	return false;
}

/* The last delta, which is a module's of streams, once more with its pieces as they are unpacked. */
static void unpack(void)
{
	const struct made *packed = &made[n_made - 1];
	struct made *m = &made[n_made++];
	struct wasm_reader r = wasm_reader((struct fl_bytes){ packed->delta.p, packed->delta.n });
	unsigned pad;

	m->codec = packed->codec;
	fl_buf_add(&m->old, packed->old.p, packed->old.n);
	(void)wasm_take(&r, 2);
	(void)wasm_unsigned(&r, &pad);
	(void)wasm_unsigned(&r, &pad);
	fl_buf_add(&m->delta, packed->delta.p, (size_t)(r.p - packed->delta.p));
	while (wasm_left(&r) > 0) {
		FL_AUTO_BUF struct fl_buf piece = { 0 };
		uint8_t size[WASM_LEB_MAX];

		FL_BUG_IF(coder_read_piece(&r, &piece, (struct fl_bytes){ 0 },
				  &(uint64_t){ OUTPUT_MAX }, NULL) != FL_OK);
		fl_buf_add(
			&m->delta, size, (size_t)(wasm_put_unsigned(size, 2 * piece.n, 0) - size));
		fl_buf_add(&m->delta, piece.p, piece.n);
	}
}

/* The larger models are the smallest one's code with more memory to clear. */
static bool is_slow(const struct fl_codec *codec)
{
	return strcmp(codec->name, "wasm-delta-1m") == 0 ||
		strcmp(codec->name, "wasm-delta-16m") == 0;
}

/* All codecs that take one of the pairs. */
static void make_all(void)
{
	static const make_fn kinds[] = { make_firmware, make_layer, make_packed_layer, make_module,
		make_component };
	const struct fl_codec *codec;

	for (size_t k = 0; k < FL_COUNT(kinds); k++)
		for (size_t i = 0; (codec = fl_codec_at(i)) != NULL; i++)
			if (!is_slow(codec) && try_to_make(codec, kinds[k]) &&
				kinds[k] == make_module && codec == fl_codec_find("wasm-delta"))
				unpack();
	FL_BUG_IF(n_made >= MADE_MAX);
}

/* ---- */

/* Change a few bytes where they stand: sizes before them stay right. */
static void change(uint8_t *p, size_t n, uint64_t *state)
{
	for (uint64_t left = 1 + wasm_build_random(state) % 4; left > 0; left--) {
		uint64_t r = wasm_build_random(state);
		uint8_t *at = &p[(r >> 16) % n];

		*at = (uint8_t)(r % 2 == 0 ? *at + (r >> 8) % 9 - 4 : r >> 8);
	}
}

size_t LLVMFuzzerCustomMutator(uint8_t *p, size_t n, size_t max, unsigned seed)
{
	uint64_t state = seed;

	if (n_made == 0)
		make_all();
	if (n < 2 || seed % 32 == 0) {
		size_t i = wasm_build_random(&state) % n_made;

		if (made[i].delta.n < max) {
			p[0] = (uint8_t)i;
			memcpy(p + 1, made[i].delta.p, made[i].delta.n);
			n = 1 + made[i].delta.n;
		}
	}
	if (n < 2 || seed % 2 == 0)
		return 1 + LLVMFuzzerMutate(p + 1, n - 1, max - 1);
	change(p + 1, n - 1, &state);
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct fl_heap heap = { 0 };
	const struct fl_codec_limits limits = { OUTPUT_MAX, MEMORY_MAX, &heap };
	FL_AUTO_BUF struct fl_buf out = { .max = OUTPUT_MAX };
	const struct fl_sink sink = fl_sink_buf(&out);
	const struct made *m;
	struct fl_bytes bytes;
	struct fl_source source;

	if (n_made == 0)
		make_all();
	if (n < 2)
		return 0;
	m = &made[p[0] % n_made];
	bytes = (struct fl_bytes){ p + 1, n - 1 };
	source = fl_source_bytes(&bytes);
	(void)m->codec->decode(
		(struct fl_bytes){ m->old.p, m->old.n }, &source, &limits, &sink, NULL);
	FL_BUG_IF(out.failed || heap.used != 0 || heap.peak > TAKEN_MAX);
	return 0;
}
