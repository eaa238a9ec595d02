/* SPDX-License-Identifier: Apache-2.0
 *
 * Layers of containers: members are found by path, the very same compressed bytes come back, damaged data
 * cost nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#include "lib/delta/codec.h"
#include "lib/delta/layer/pack.h"
#include "lib/delta/layer/tar.h"

#define BLOCK 512

/* A header block, and the content padded. */
static void add_member(struct fl_buf *b, char type, const char *path, const void *p, size_t n)
{
	uint8_t block[BLOCK] = { 0 };

	(void)snprintf((char *)block, 100, "%s", path);
	(void)snprintf((char *)block + 124, 12, "%011zo", n);
	block[156] = (uint8_t)type;
	memcpy(block + 257,
		"ustar\0"
		"00",
		8);
	fl_buf_add(b, block, sizeof(block));
	fl_buf_add(b, p, n);
	memset(block, 0, sizeof(block));
	fl_buf_add(b, block, (BLOCK - n % BLOCK) % BLOCK);
}

static void add_noise(struct fl_buf *b, const char *path, size_t n, uint64_t seed)
{
	uint8_t *p = malloc(n);

	assert_non_null(p);
	for (size_t i = 0; i < n; i++) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		p[i] = (uint8_t)(seed >> 58);
	}
	add_member(b, '0', path, p, n);
	free(p);
}

static void end_archive(struct fl_buf *b)
{
	static const uint8_t zeros[2 * BLOCK];

	fl_buf_add(b, zeros, sizeof(zeros));
	assert_int_equal(fl_buf_check(b, NULL), FL_OK);
}

/* Two layers that share all but one small member, in another order. */
static void make_pair(struct fl_buf *old, struct fl_buf *new)
{
	add_noise(old, "etc/a", 3000, 1);
	add_noise(old, "usr/lib/b", 100000, 2);
	add_noise(old, "usr/lib/c", 50000, 3);
	end_archive(old);
	add_noise(new, "./usr/lib/c", 50000, 3);
	add_noise(new, "etc/a", 3100, 9);
	add_noise(new, "usr/lib/b", 100000, 2);
	end_archive(new);
}

static struct fl_bytes bytes_of(const struct fl_buf *b)
{
	return (struct fl_bytes){ b->p, b->n };
}

/* ---- archives */

static void members_are_found_by_path(void **state)
{
	/* Plain names, GNU long names, pax paths, and "./" before a name; content is where it is. */
	static const char long_name[] = "a/very/long/name", pax[] = "21 path=another/name\n";
	FL_AUTO_BUF struct fl_buf b = { 0 }, other = { 0 };
	struct tar_list l = { 0 }, m = { 0 };

	(void)state;
	add_member(&b, '0', "./plain", "one", 3);
	add_member(&b, 'L', "././@LongLink", long_name, sizeof(long_name));
	add_member(&b, '0', "a/very/lo", "two", 3);
	add_member(&b, 'x', "PaxHeaders/x", pax, sizeof(pax) - 1);
	add_member(&b, '0', "another", "three", 5);
	add_member(&b, '5', "folder", "", 0);
	end_archive(&b);
	add_member(&other, '0', "plain", "1", 1);
	add_member(&other, '0', "a/very/long/name", "2", 1);
	add_member(&other, '0', "another/name", "3", 1);
	end_archive(&other);
	assert_int_equal(tar_read(bytes_of(&b), &l, NULL), FL_OK);
	assert_int_equal(tar_read(bytes_of(&other), &m, NULL), FL_OK);
	assert_int_equal(l.n, 3);
	assert_int_equal(m.n, 3);
	for (size_t i = 0; i < 3; i++)
		assert_true(l.v[i].path == m.v[i].path);
	assert_memory_equal(b.p + l.v[2].at, "three", 5);
	tar_sort(&l);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(tar_find(&l, m.v[i].path)->path, m.v[i].path);
	assert_null(tar_find(&l, 12345));
	tar_fini(&l);
	tar_fini(&m);
}

static void a_damaged_archive_is_borne(void **state)
{
	/* Every cut and every turned byte: fewer members or other ones, all inside of the bytes. */
	FL_AUTO_BUF struct fl_buf b = { 0 };

	(void)state;
	add_member(&b, 'x', "p", "21 path=another/name\n", 21);
	add_noise(&b, "a", 700, 1);
	add_noise(&b, "b", 300, 2);
	end_archive(&b);
	for (size_t i = 0; i < b.n; i++) {
		uint8_t *copy = malloc(b.n);

		assert_non_null(copy);
		memcpy(copy, b.p, b.n);
		copy[i] ^= 0x15;
		for (int cut = 0; cut < 2; cut++) {
			size_t n = cut == 1 ? i : b.n;
			struct tar_list l = { 0 };

			assert_int_equal(tar_read((struct fl_bytes){ copy, n }, &l, NULL), FL_OK);
			for (size_t k = 0; k < l.n; k++)
				assert_true(l.v[k].at <= n && l.v[k].n <= n - l.v[k].at);
			tar_fini(&l);
		}
		free(copy);
	}
}

/* ---- compressors */

static void pack_gzip(struct fl_bytes raw, int level, const char *name, struct fl_buf *out)
{
	z_stream z = { 0 };
	gz_header head = { .name = (Bytef *)(uintptr_t)name, .os = 3 };

	assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
	if (name != NULL)
		assert_int_equal(deflateSetHeader(&z, &head), Z_OK);
	z.next_in = (uint8_t *)(uintptr_t)raw.p;
	z.avail_in = (uInt)raw.n;
	z.next_out = fl_buf_reserve(out, deflateBound(&z, raw.n));
	z.avail_out = (uInt)deflateBound(&z, raw.n);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out->n += z.total_out;
	(void)deflateEnd(&z);
}

/* gzip as another compressor may write it: blocks and codes that no setting of zlib's default gives.
 * `flush` after each piece. */
static void pack_otherwise(
	struct fl_bytes raw, int level, int strategy, int flush, struct fl_buf *out)
{
	z_stream z = { 0 };
	size_t room = raw.n * 2 + 4096, at = 0;

	assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, 31, 8, strategy), Z_OK);
	z.next_out = fl_buf_reserve(out, room);
	z.avail_out = (uInt)room;
	while (at < raw.n) {
		size_t n = raw.n - at < 7001 ? raw.n - at : 7001;

		z.next_in = (uint8_t *)(uintptr_t)(raw.p + at);
		z.avail_in = (uInt)n;
		assert_int_equal(deflate(&z, flush), Z_OK);
		at += n;
	}
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out->n += z.total_out;
	(void)deflateEnd(&z);
}

/* `window_log` 0: that of the level. */
static void pack_window(
	struct fl_bytes raw, int level, int checksum, int window_log, struct fl_buf *out)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	size_t room = ZSTD_compressBound(raw.n);
	ZSTD_inBuffer in = { raw.p, raw.n, 0 };
	ZSTD_outBuffer o = { fl_buf_reserve(out, room), room, 0 };

	(void)ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level);
	(void)ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, checksum);
	(void)ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, window_log);
	/* as a program does that reads from a pipe */
	while (in.pos < in.size)
		assert_false(ZSTD_isError(ZSTD_compressStream2(c, &o, &in, ZSTD_e_continue)));
	assert_int_equal(ZSTD_compressStream2(c, &o, &in, ZSTD_e_end), 0);
	out->n += o.pos;
	(void)ZSTD_freeCCtx(c);
}

static void pack_zstd(struct fl_bytes raw, int level, int checksum, struct fl_buf *out)
{
	pack_window(raw, level, checksum, 0, out);
}

static void settings_are_found(void **state)
{
	/* Whatever level made a layer, the settings that are found make the same bytes again; what no setting
	 * makes is refused. */
	FL_AUTO_BUF struct fl_buf raw = { 0 }, unused = { 0 };
	struct pack p;

	(void)state;
	make_pair(&raw, &unused);
	for (int level = 1; level <= 9; level++) {
		FL_AUTO_BUF struct fl_buf gzip = { 0 }, zstd = { 0 }, back = { 0 };

		pack_gzip(bytes_of(&raw), level, level == 5 ? "layer.tar" : NULL, &gzip);
		assert_int_equal(pack_find(bytes_of(&gzip), bytes_of(&raw), &p, NULL), FL_OK);
		assert_int_equal(p.kind, PACK_GZIP);
		assert_int_equal(pack_open(bytes_of(&gzip), &back, NULL), FL_OK);
		assert_int_equal(back.n, raw.n);
		assert_memory_equal(back.p, raw.p, raw.n);
		gzip.p[gzip.n - 6] ^= 1; /* the checksum */
		assert_int_equal(pack_find(bytes_of(&gzip), bytes_of(&raw), &p, NULL), FL_REFUSED);
		pack_zstd(bytes_of(&raw), level, level & 1, &zstd);
		assert_int_equal(pack_find(bytes_of(&zstd), bytes_of(&raw), &p, NULL), FL_OK);
		assert_int_equal(p.kind, PACK_ZSTD);
	}
}

/* Pack `raw` in pieces of so many bytes. */
static enum fl_code write_back(
	const struct pack *p, struct fl_bytes raw, size_t piece, struct fl_buf *out)
{
	const struct fl_sink sink = fl_sink_buf(out);
	struct packer *k = NULL;
	enum fl_code code = packer_begin(p, raw.n, &sink, &k, NULL);

	for (size_t at = 0; at < raw.n && code == FL_OK; at += piece)
		code = packer_write(k,
			(struct fl_bytes){ raw.p + at, raw.n - at < piece ? raw.n - at : piece },
			NULL);
	if (code == FL_OK)
		code = packer_finish(k, NULL);
	packer_end(k);
	return code;
}

static void another_compressors_gzip_has_a_track(void **state)
{
	/* Fixed codes, own codes, stored blocks, empty blocks, whatever the compressor: the track and the
	 * unpacked bytes make the same stream again, in pieces of any size. */
	static const int strategies[] = { Z_DEFAULT_STRATEGY, Z_FILTERED, Z_HUFFMAN_ONLY, Z_RLE,
		Z_FIXED };
	static const int flushes[] = { Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FULL_FLUSH, Z_PARTIAL_FLUSH };
	FL_AUTO_BUF struct fl_buf raw = { 0 }, unused = { 0 };

	(void)state;
	make_pair(&raw, &unused);
	for (size_t s = 0; s < FL_COUNT(strategies); s++)
		for (size_t f = 0; f < FL_COUNT(flushes); f++)
			for (int level = 0; level <= 6; level += 6) {
				FL_AUTO_BUF struct fl_buf gzip = { 0 }, back = { 0 };
				struct pack p = { 0 };

				pack_otherwise(
					bytes_of(&raw), level, strategies[s], flushes[f], &gzip);
				assert_int_equal(
					pack_find(bytes_of(&gzip), bytes_of(&raw), &p, NULL),
					FL_OK);
				assert_true(p.kind == PACK_TRACK || (f == 0 && s < 2));
				assert_int_equal(
					write_back(&p, bytes_of(&raw), 1 + 977 * s, &back), FL_OK);
				assert_int_equal(back.n, gzip.n);
				assert_memory_equal(back.p, gzip.p, gzip.n);
				pack_fini(&p);
			}
}

static void a_track_is_for_its_bytes(void **state)
{
	/* Fewer bytes, more bytes and a cut track are noticed; a byte that the code has no symbol for too. */
	FL_AUTO_BUF struct fl_buf raw = { 0 }, unused = { 0 }, gzip = { 0 }, back = { 0 };
	struct pack p = { 0 };

	(void)state;
	make_pair(&raw, &unused);
	pack_otherwise(bytes_of(&raw), 6, Z_DEFAULT_STRATEGY, Z_SYNC_FLUSH, &gzip);
	assert_int_equal(pack_find(bytes_of(&gzip), bytes_of(&raw), &p, NULL), FL_OK);
	assert_int_equal(p.kind, PACK_TRACK);
	assert_int_equal(
		write_back(&p, (struct fl_bytes){ raw.p, raw.n - 1 }, 5000, &back), FL_CORRUPT);
	raw.n++; /* the NUL behind */
	assert_int_equal(write_back(&p, bytes_of(&raw), 5000, &back), FL_CORRUPT);
	raw.n--;
	p.track.n--;
	assert_int_equal(write_back(&p, bytes_of(&raw), 5000, &back), FL_CORRUPT);
	p.track.n++;
	raw.p[3000] = 0xff;
	assert_int_equal(write_back(&p, bytes_of(&raw), 5000, &back), FL_CORRUPT);
	pack_fini(&p);
}

/* ---- layers */

static enum fl_code encode(struct fl_bytes old, struct fl_bytes new, struct fl_buf *out)
{
	const struct fl_sink sink = fl_sink_buf(out);

	return fl_codec_find("layer-patch")->encode(old, new, 3, &sink, NULL);
}

static enum fl_code decode(
	struct fl_bytes old, struct fl_bytes data, uint64_t memory, size_t most, struct fl_buf *out)
{
	const struct fl_codec_limits limits = { .output_max = most, .memory_max = memory };
	const struct fl_source source = fl_source_bytes(&data);
	const struct fl_sink sink = fl_sink_buf(out);

	return fl_codec_find("layer-patch")->decode(old, &source, &limits, &sink, NULL);
}

/* The delta has fewer bytes than `most`, and comes back. */
static void check_layers(const struct fl_buf *old, const struct fl_buf *new, size_t most)
{
	const struct fl_codec *c = fl_codec_find("layer-patch");
	FL_AUTO_BUF struct fl_buf data = { 0 }, back = { 0 };
	uint64_t memory;

	assert_int_equal(encode(bytes_of(old), bytes_of(new), &data), FL_OK);
	assert_true(data.n < most);
	memory = c->stated_memory(bytes_of(&data));
	assert_int_equal(decode(bytes_of(old), bytes_of(&data), memory, new->n, &back), FL_OK);
	assert_int_equal(back.n, new->n);
	assert_memory_equal(back.p, new->p, new->n);
	fl_buf_reset(&back);
	assert_int_equal(
		decode(bytes_of(old), bytes_of(&data), memory - 1, new->n, &back), FL_TOO_LARGE);
	fl_buf_reset(&back);
	assert_int_equal(decode(bytes_of(old), bytes_of(&data), 0, new->n - 1, &back), FL_CORRUPT);
}

static void layers_come_back(void **state)
{
	/* From each form to each other the delta is the one small member that changed, within the stated
	 * memory, byte for byte. */
	struct fl_buf old[4] = { 0 }, new[4] = { 0 };

	(void)state;
	make_pair(&old[0], &new[0]);
	pack_gzip(bytes_of(&old[0]), 6, NULL, &old[1]);
	pack_gzip(bytes_of(&new[0]), 9, "x", &new[1]);
	pack_zstd(bytes_of(&old[0]), 3, 1, &old[2]);
	pack_zstd(bytes_of(&new[0]), 7, 1, &new[2]);
	pack_otherwise(bytes_of(&old[0]), 6, Z_DEFAULT_STRATEGY, Z_SYNC_FLUSH, &old[3]);
	pack_otherwise(bytes_of(&new[0]), 6, Z_DEFAULT_STRATEGY, Z_SYNC_FLUSH, &new[3]);
	for (int i = 0; i < 4; i++)
		for (int k = 0; k < 4; k++)
			/* a track is small against one, whole otherwise */
			check_layers(&old[i], &new[k], k == 3 && i % 2 == 0 ? 16000 : 6000);
	for (int i = 0; i < 4; i++) {
		fl_buf_fini(&old[i]);
		fl_buf_fini(&new[i]);
	}
}

/* What the delta from old to new states; *n gets its size. */
static size_t stated(const struct fl_buf *old, const struct fl_buf *new, size_t *n)
{
	FL_AUTO_BUF struct fl_buf data = { 0 };

	assert_int_equal(encode(bytes_of(old), bytes_of(new), &data), FL_OK);
	*n = data.n;
	return (size_t)fl_codec_find("layer-patch")->stated_memory(bytes_of(&data));
}

static void the_stated_memory_holds_all_that_is_there(void **state)
{
	/* While a large new member is unpacked there are the delta, which has it packed, and a window of its
	 * size. A packed old layer is unpacked to a buffer that may be larger than it, through a window that
	 * its compressor chose. */
	FL_AUTO_BUF struct fl_buf old = { 0 }, new = { 0 }, packed = { 0 }, unpacked = { 0 };
	size_t large = 8 << 20, n;

	(void)state;
	add_noise(&old, "a", 5000, 1);
	end_archive(&old);
	add_noise(&new, "a", 5000, 1);
	add_noise(&new, "b", large + 1, 2);
	end_archive(&new);
	assert_true(stated(&old, &new, &n) >= n + large);
	assert_true(n > large / 2);
	pack_zstd(bytes_of(&new), 3, 0, &packed);
	assert_int_equal(pack_open(bytes_of(&packed), &unpacked, NULL), FL_OK);
	assert_true(unpacked.cap > unpacked.n + large / 4);
	assert_true(stated(&packed, &old, &n) >= unpacked.cap);
	fl_buf_reset(&packed);
	pack_window(bytes_of(&new), 1, 0, 24, &packed);
	assert_true(stated(&packed, &old, &n) >= unpacked.cap + (16U << 20));
}

static void other_files_are_refused(void **state)
{
	/* What is no archive, or more than one stream, is for another codec. */
	FL_AUTO_BUF struct fl_buf old = { 0 }, new = { 0 }, gzip = { 0 }, data = { 0 };
	static const uint8_t text[600] = "no archive";

	(void)state;
	make_pair(&old, &new);
	assert_int_equal(
		encode((struct fl_bytes){ text, sizeof(text) }, bytes_of(&new), &data), FL_REFUSED);
	assert_int_equal(
		encode(bytes_of(&old), (struct fl_bytes){ text, sizeof(text) }, &data), FL_REFUSED);
	pack_gzip(bytes_of(&new), 6, NULL, &gzip);
	fl_buf_byte(&gzip, 0);
	assert_int_equal(encode(bytes_of(&old), bytes_of(&gzip), &data), FL_REFUSED);
	assert_int_equal(data.n, 0);
}

/* Each byte of a delta turned over, each length cut, and a wrong old layer: never more output than
 * allowed, never a crash. */
static void check_damage(int flush)
{
	FL_AUTO_BUF struct fl_buf old = { 0 }, new = { 0 }, gzip = { 0 }, data = { 0 },
				  back = { 0 };

	add_noise(&old, "a", 5000, 1);
	end_archive(&old);
	add_noise(&new, "a", 5000, 1);
	add_noise(&new, "b", 300, 2);
	end_archive(&new);
	pack_otherwise(bytes_of(&new), 6, Z_DEFAULT_STRATEGY, flush, &gzip);
	assert_int_equal(encode(bytes_of(&old), bytes_of(&gzip), &data), FL_OK);
	for (size_t i = 0; i < data.n; i++) {
		fl_buf_reset(&back);
		data.p[i] ^= 0xff;
		(void)decode(bytes_of(&old), bytes_of(&data), 64 << 20, gzip.n, &back);
		assert_true(back.n <= gzip.n);
		data.p[i] ^= 0xff;
		fl_buf_reset(&back);
		assert_int_not_equal(
			decode(bytes_of(&old), (struct fl_bytes){ data.p, i }, 0, gzip.n, &back),
			FL_OK);
	}
	fl_buf_reset(&back);
	assert_int_not_equal(
		decode((struct fl_bytes){ old.p, 100 }, bytes_of(&data), 0, gzip.n, &back), FL_OK);
}

static void damaged_data_are_borne(void **state)
{
	/* With settings of zlib, and with a track. */
	(void)state;
	check_damage(Z_NO_FLUSH);
	check_damage(Z_SYNC_FLUSH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_are_found_by_path),
		cmocka_unit_test(a_damaged_archive_is_borne),
		cmocka_unit_test(settings_are_found),
		cmocka_unit_test(another_compressors_gzip_has_a_track),
		cmocka_unit_test(a_track_is_for_its_bytes),
		cmocka_unit_test(layers_come_back),
		cmocka_unit_test(the_stated_memory_holds_all_that_is_there),
		cmocka_unit_test(other_files_are_refused),
		cmocka_unit_test(damaged_data_are_borne),
	};

	return cmocka_run_group_tests_name("layer", tests, NULL, NULL);
}
