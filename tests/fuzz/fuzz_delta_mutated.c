/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoders on damaged deltas: the first byte chooses one that was made of a small pair before, the others,
 * in threes, say where it is changed and how. Random bytes hardly get past a head; these get deep. A
 * decoder ends, writes at most what it was allowed, and touches nothing outside. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "lib/delta/codec.h"
#include "tests/lib/wasm_build.h"

#define SIZE       6000
#define OUTPUT_MAX (4 * SIZE)
#define CODECS_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* A codec with a pair that it takes. */
struct made {
	const struct fl_codec *codec;
	struct fl_buf old, delta;
};

static void add_noise(struct fl_buf *b, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		fl_buf_byte(b, (uint8_t)(seed >> 58));
	}
}

/* An image of firmware with calls every 16 bytes, the code from `at` on moved by a call. */
static void make_firmware(struct fl_buf *b, size_t at)
{
	static const uint8_t vectors[8] = { 0, 0x40, 0, 0x20, 1, 1, 0, 8 };
	static const uint8_t call[4] = { 0, 0xf0, 0x40, 0xf8 };

	fl_buf_add(b, vectors, sizeof(vectors));
	for (size_t i = 0; i < SIZE / 16; i++) {
		fl_buf_add(b, call, sizeof(call));
		if (i == at)
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
static void make_layer(struct fl_buf *b, size_t at)
{
	add_member(b, "same", 600, 5);
	add_member(b, "other", 300, at);
	add_member(b, "firmware", 0, 0);
	b->n -= 512;
	{
		FL_AUTO_BUF struct fl_buf firmware = { 0 };

		make_firmware(&firmware, at);
		add_member(b, "firmware", firmware.n, 1);
		memcpy(b->p + b->n - (firmware.n + 511) / 512 * 512, firmware.p, firmware.n);
	}
}

/* The same in gzip as another compressor than zlib's usual one makes it: by a track. */
static void make_packed_layer(struct fl_buf *b, size_t at)
{
	FL_AUTO_BUF struct fl_buf raw = { 0 };
	z_stream z = { 0 };

	make_layer(&raw, at);
	FL_BUG_IF(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_RLE) != Z_OK);
	z.next_in = raw.p;
	z.avail_in = (uInt)raw.n;
	z.avail_out = (uInt)deflateBound(&z, raw.n);
	z.next_out = fl_buf_reserve(b, z.avail_out);
	FL_BUG_IF(deflate(&z, Z_FINISH) != Z_STREAM_END);
	b->n += z.total_out;
	(void)deflateEnd(&z);
}

static void make_module(struct fl_buf *b, size_t at)
{
	const struct wasm_recipe recipe = { .seed = 5,
		.functions = 8,
		.inserted = at == SIZE ? 0 : 1,
		.changed = at == SIZE ? 0 : 3,
		.names = true };

	wasm_build(&recipe, b);
}

typedef void (*make_fn)(struct fl_buf *b, size_t at);

/* The larger models are the smallest one's code with more memory to clear. */
static bool is_slow(const struct fl_codec *codec)
{
	return strcmp(codec->name, "wasm-delta-1m") == 0 ||
		strcmp(codec->name, "wasm-delta-16m") == 0;
}

/* All codecs that take one of the pairs. */
static size_t make_all(struct made *made)
{
	static const make_fn kinds[] = { make_firmware, make_layer, make_packed_layer,
		make_module };
	const struct fl_codec *codec;
	size_t n = 0;

	for (size_t k = 0; k < FL_COUNT(kinds); k++) {
		for (size_t i = 0; (codec = fl_codec_at(i)) != NULL && n < CODECS_MAX; i++) {
			FL_AUTO_BUF struct fl_buf new = { 0 };
			struct made *m = &made[n];
			const struct fl_sink sink = fl_sink_buf(&m->delta);

			if (is_slow(codec))
				continue;
			kinds[k](&m->old, SIZE);
			kinds[k](&new, 70);
			m->codec = codec;
			if (codec->encode((struct fl_bytes){ m->old.p, m->old.n },
				    (struct fl_bytes){ new.p, new.n }, 19, &sink, NULL) == FL_OK)
				n++;
			else
				fl_buf_fini(&m->old);
		}
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct made made[CODECS_MAX];
	static size_t n_made;
	const struct fl_codec_limits limits = { .output_max = OUTPUT_MAX, .memory_max = 64U << 20 };
	FL_AUTO_BUF struct fl_buf out = { .max = OUTPUT_MAX }, data = { 0 };
	const struct fl_sink sink = fl_sink_buf(&out);
	const struct made *m;
	struct fl_bytes bytes;
	struct fl_source source;

	if (n_made == 0)
		n_made = make_all(made);
	if (n < 1 || n_made == 0)
		return 0;
	m = &made[p[0] % n_made];
	fl_buf_add(&data, m->delta.p, m->delta.n);
	for (size_t i = 1; i + 3 <= n && data.n > 0; i += 3) {
		size_t at = ((size_t)p[i] << 8 | p[i + 1]) % data.n;

		/* the highest bit of the first byte: cut instead */
		if ((p[i] & 0xc0) == 0xc0)
			data.n = at;
		else
			data.p[at] ^= p[i + 2];
	}
	bytes = (struct fl_bytes){ data.p, data.n };
	source = fl_source_bytes(&bytes);
	(void)m->codec->decode(
		(struct fl_bytes){ m->old.p, m->old.n }, &source, &limits, &sink, NULL);
	FL_BUG_IF(out.failed);
	return 0;
}
