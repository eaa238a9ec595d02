/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses in executables: each kind of number is found and written back, for every instruction set; an
 * executable whose parts have moved becomes a small delta; damaged data cost nothing. */
#include "lib/delta/exe/map.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/delta/apply.h"
#include "lib/delta/codec.h"

#define BASE 0x400000U

/* What a scanner found. */
struct found {
	struct exe_ref v[64];
	size_t n;
};

static void note(void *ctx, const struct exe_ref *ref)
{
	struct found *f = ctx;

	assert_true(f->n < FL_COUNT(f->v));
	f->v[f->n++] = *ref;
}

static const struct exe_span span = { BASE, BASE + 0x10000, BASE, BASE + 0x20000 };

static struct found find(enum exe_isa isa, const uint8_t *p, size_t n)
{
	const struct exe_code code = { { p, n }, 0, n, BASE, &span };
	struct found f = { 0 };

	exe_refs_find(isa, &code, note, &f);
	return f;
}

/* One number of `code` names `target`; moved by 0x100 with its place left, it names target + 0x100. */
static void check(enum exe_isa isa, const void *code, size_t n, uint64_t target)
{
	uint8_t copy[64] = { 0 };
	struct found f;

	memcpy(copy, code, n);
	f = find(isa, copy, n);
	assert_int_equal(f.n, 1);
	assert_int_equal(f.v[0].target, target);
	exe_ref_write(copy, &f.v[0], f.v[0].place, target + 0x100);
	f = find(isa, copy, n);
	assert_int_equal(f.n, 1);
	assert_int_equal(f.v[0].target, target + 0x100);
	exe_ref_write(copy, &f.v[0], f.v[0].place, target);
	assert_memory_equal(copy, code, n);
}

static void x86_64(void **state)
{
	/* call, jmp, jcc, and an address relative to RIP; what leads out of the program is none. */
	static const uint8_t call[] = { 0xe8, 0x10, 0x02, 0, 0 }, jump[] = { 0xe9, 0, 0x10, 0, 0 },
			     jne[] = { 0x0f, 0x85, 0, 1, 0, 0 },
			     lea[] = { 0x48, 0x8d, 0x3d, 0, 0, 1, 0 },
			     out[] = { 0xe8, 0, 0, 0, 0x70 };

	(void)state;
	check(EXE_X86_64, call, sizeof(call), BASE + 5 + 0x210);
	check(EXE_X86_64, jump, sizeof(jump), BASE + 5 + 0x1000);
	check(EXE_X86_64, jne, sizeof(jne), BASE + 6 + 0x100);
	check(EXE_X86_64, lea, sizeof(lea), BASE + 7 + 0x10000);
	assert_int_equal(find(EXE_X86_64, out, sizeof(out)).n, 0);
}

static void aarch64(void **state)
{
	/* bl; adrp with the add, or the load, that completes the address. */
	static const uint32_t bl[] = { 0x94000040 };
	static const uint32_t add[] = { 0xb0000000, 0xd503201f, 0x91048000 };
	static const uint32_t load[] = { 0xf0000001, 0xf9409021 };

	(void)state;
	check(EXE_AARCH64, bl, sizeof(bl), BASE + 0x100);
	check(EXE_AARCH64, add, sizeof(add), BASE + 0x1000 + 0x120);
	check(EXE_AARCH64, load, sizeof(load), BASE + 0x3000 + 0x120);
}

static void thumb2(void **state)
{
	/* bl forward and back, b.w. */
	static const uint16_t bl[] = { 0xf000, 0xf880 }, nops[] = { 0xbf00, 0xf001, 0xb800 };

	(void)state;
	check(EXE_THUMB2, bl, sizeof(bl), BASE + 4 + 0x100);
	check(EXE_THUMB2, nops, sizeof(nops), BASE + 2 + 4 + 0x1000);
}

static void riscv(void **state)
{
	/* jal; auipc with addi, with a load, with a store, with jalr. */
	static const uint32_t jal[] = { 0x100000ef }, addi[] = { 0x00001517, 0x12050513 },
			      load[] = { 0x00002517, 0xff053503 },
			      store[] = { 0x00001517, 0x00a52823 },
			      call[] = { 0x00001097, 0x010080e7 };

	(void)state;
	check(EXE_RISCV, jal, sizeof(jal), BASE + 0x100);
	check(EXE_RISCV, addi, sizeof(addi), BASE + 0x1000 + 0x120);
	check(EXE_RISCV, load, sizeof(load), BASE + 0x2000 - 16);
	check(EXE_RISCV, store, sizeof(store), BASE + 0x1000 + 16);
	check(EXE_RISCV, call, sizeof(call), BASE + 0x1000 + 16);
}

static void numbers_survive_any_move(void **state)
{
	/* Over random bytes: whatever is found can be written for its own place and target without a change,
	 * and masked without touching other bytes. */
	uint64_t seed = 1;
	uint8_t bytes[4096], copy[4096];

	(void)state;
	for (int round = 0; round < 200; round++) {
		struct found f;

		for (size_t i = 0; i < sizeof(bytes); i++) {
			seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
			bytes[i] = (uint8_t)(seed >> 56);
		}
		for (int isa = 0; isa < EXE_ISA_MAX; isa++) {
			f = find((enum exe_isa)isa, bytes, 256);
			memcpy(copy, bytes, sizeof(copy));
			for (size_t i = 0; i < f.n; i++)
				exe_ref_write(copy, &f.v[i], f.v[i].place, f.v[i].target);
			assert_memory_equal(copy, bytes, sizeof(copy));
			for (size_t i = 0; i < f.n; i++)
				exe_ref_write(copy, &f.v[i], 0, 0);
			assert_memory_equal(copy + 256, bytes + 256, sizeof(copy) - 256);
		}
	}
}

/* ---- maps */

static void a_map_comes_back(void **state)
{
	/* Stretches are written and read; addresses are found by the stretch that begins before them. */
	struct exe_stretch v[] = { { 0x1000, 16 }, { 0x2000, -32 }, { 1ULL << 40, INT64_MIN } };
	const struct exe_map map = { v, FL_COUNT(v) };
	FL_AUTO_BUF struct fl_buf b = { 0 };
	struct exe_map got = { 0 };

	(void)state;
	exe_map_write(&map, &b);
	assert_int_equal(exe_map_read((struct fl_bytes){ b.p, b.n }, &got, NULL), FL_OK);
	assert_int_equal(got.n, FL_COUNT(v));
	assert_memory_equal(got.v, v, sizeof(v));
	assert_int_equal(exe_map_find(&got, 0xfff), 0xfff);
	assert_int_equal(exe_map_find(&got, 0x1000), 0x1010);
	assert_int_equal(exe_map_find(&got, 0x2fff), 0x2fff - 32);
	exe_map_fini(&got);
	for (size_t n = 1; n < b.n; n++) {
		enum fl_code code = exe_map_read((struct fl_bytes){ b.p, n }, &got, NULL);

		assert_true(code == FL_OK || code == FL_CORRUPT);
		exe_map_fini(&got);
	}
}

/* ---- whole files */

static struct fl_bytes map_file(const char *path)
{
	struct fl_bytes b;
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(fl_apply_map(fd, &b, NULL), FL_OK);
	(void)close(fd);
	return b;
}

/* Correct the headers of an ELF file of 64 bits whose bytes from `at` on have moved by `gap`. */
static void correct_headers(uint8_t *p, size_t at, uint64_t address, size_t gap)
{
	uint64_t headers = exe_u64(p + 40) + gap;

	exe_put64(p + 40, headers);
	for (unsigned i = 0; i < exe_u16(p + 60); i++) {
		uint8_t *h = p + headers + (size_t)i * 64;
		uint64_t start = exe_u64(h + 16), offset = exe_u64(h + 24), size = exe_u64(h + 32);

		if (start > address)
			exe_put64(h + 16, start + gap);
		if (offset > at)
			exe_put64(h + 24, offset + gap);
		else if (offset + size > at)
			exe_put64(h + 32, size + gap);
	}
}

/* A program with `gap` bytes of nothing put in where its code is a third over: all branches and addresses
 * that lead across are corrected, as a linker would. */
static uint8_t *moved(const struct exe_image *m, size_t gap, size_t *n)
{
	struct exe_stretch stretch[2] = { { 0, 0 }, { 0, (int64_t)gap } };
	struct exe_map map = { stretch, 2 };
	const struct exe_piece *code = NULL;
	uint8_t *p = malloc(m->bytes.n + gap), *copy = malloc(m->bytes.n);
	size_t at;

	for (size_t i = 0; i < m->n; i++)
		if (m->pieces[i].kind == EXE_CODE &&
			(code == NULL ||
				m->pieces[i].to - m->pieces[i].from > code->to - code->from))
			code = &m->pieces[i];
	assert_non_null(code);
	assert_non_null(p);
	assert_non_null(copy);
	at = code->from + (code->to - code->from) / 3;
	stretch[1].from = code->address + (at - code->from);
	memcpy(copy, m->bytes.p, m->bytes.n);
	exe_map_move(&map, m, EXE_WITH_TABLES | EXE_WITH_WORDS, copy);
	memcpy(p, copy, at);
	memset(p + at, 0x90, gap);
	memcpy(p + at + gap, copy + at, m->bytes.n - at);
	*n = m->bytes.n + gap;
	if (m->wide)
		correct_headers(p, at, stretch[1].from, gap);
	free(copy);
	return p;
}

static void encode(const char *name, struct fl_bytes old, struct fl_bytes new, struct fl_buf *out)
{
	struct fl_sink sink = fl_sink_buf(out);

	assert_int_equal(fl_codec_find(name)->encode(old, new, 19, &sink, NULL), FL_OK);
}

static enum fl_code decode(
	struct fl_bytes old, struct fl_bytes data, uint64_t memory, size_t most, struct fl_buf *out)
{
	const struct fl_codec_limits limits = { .output_max = most, .memory_max = memory };
	struct fl_source source = fl_source_bytes(&data);
	struct fl_sink sink = fl_sink_buf(out);

	return fl_codec_find("exe-patch")->decode(old, &source, &limits, &sink, NULL);
}

static void a_moved_program_is_a_small_delta(void **state)
{
	/* This very program with its code moved apart: a fraction of what zstd-patch needs; it decodes within
	 * the stated memory; other old bytes never give the new ones. */
	struct fl_bytes old = map_file("/proc/self/exe"), new;
	FL_AUTO_BUF struct fl_buf ours = { 0 }, theirs = { 0 }, back = { 0 };
	struct exe_image image;
	uint64_t memory;

	(void)state;
	if (exe_image_elf(old, &image, NULL) == FL_REFUSED || !image.wide)
		skip();
	new.p = moved(&image, 4096, &new.n);
	encode("exe-patch", old, new, &ours);
	encode("zstd-patch", old, new, &theirs);
	assert_true(ours.n * 3 < theirs.n * 2);
	memory = fl_codec_find("exe-patch")->decode_memory(old.n, new.n);
	assert_int_equal(
		decode(old, (struct fl_bytes){ ours.p, ours.n }, memory, new.n, &back), FL_OK);
	assert_int_equal(back.n, new.n);
	assert_memory_equal(back.p, new.p, new.n);
	fl_buf_reset(&back);
	assert_int_equal(decode(old, (struct fl_bytes){ ours.p, ours.n }, memory / 4, new.n, &back),
		FL_TOO_LARGE);
	fl_buf_reset(&back);
	(void)decode(new, (struct fl_bytes){ ours.p, ours.n }, 0, new.n, &back);
	assert_true(back.n != new.n || memcmp(back.p, new.p, new.n) != 0);
	free((void *)(uintptr_t) new.p);
	fl_apply_unmap(&old);
}

/* An image of firmware: vectors, then code that calls around. */
static uint8_t *make_firmware(size_t n)
{
	uint8_t *p = calloc(1, n);
	uint64_t seed = 3;

	assert_non_null(p);
	for (size_t i = 0x100; i + 4 <= n; i += 4) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		exe_put32(p + i,
			i % 16 == 0 ? 0xf800f000 | (uint32_t)(seed >> 56) << 16
				    : (uint32_t)(seed >> 40) & 0x3fff3fff);
	}
	exe_put32(p, 0x20004000);
	exe_put32(p + 4, 0x08000101);
	return p;
}

static void firmware_is_known_by_its_vectors(void **state)
{
	/* A bare image for ARMv7-M is taken and comes back; other bytes are refused. */
	size_t n = 64 << 10, new_n;
	struct fl_bytes old = { make_firmware(n), n }, new;
	FL_AUTO_BUF struct fl_buf data = { 0 }, back = { 0 };
	struct fl_sink sink = fl_sink_buf(&data);
	struct exe_image image;
	uint64_t base;

	(void)state;
	assert_int_equal(exe_image_guess(old, &base, NULL), FL_OK);
	assert_int_equal(base, 0x08000000);
	exe_image_bare(old, EXE_THUMB2, base, &image);
	new.p = moved(&image, 64, &new_n);
	new.n = new_n;
	encode("exe-patch", old, new, &data);
	assert_int_equal(decode(old, (struct fl_bytes){ data.p, data.n }, 0, new.n, &back), FL_OK);
	assert_int_equal(back.n, new.n);
	assert_memory_equal(back.p, new.p, new.n);
	memset((uint8_t *)(uintptr_t)old.p, 'x', 16);
	assert_int_equal(fl_codec_find("exe-patch")->encode(old, new, 3, &sink, NULL), FL_REFUSED);
	free((void *)(uintptr_t)old.p);
	free((void *)(uintptr_t) new.p);
}

static void damaged_data_are_borne(void **state)
{
	/* Each byte of a delta turned over, each length cut: no more output than allowed, and never a crash. */
	size_t n = 8 << 10, new_n;
	struct fl_bytes old = { make_firmware(n), n }, new;
	FL_AUTO_BUF struct fl_buf data = { 0 }, back = { .max = 16 << 10 };
	struct exe_image image;

	(void)state;
	exe_image_bare(old, EXE_THUMB2, 0x08000000, &image);
	new.p = moved(&image, 64, &new_n);
	new.n = new_n;
	encode("exe-patch", old, new, &data);
	for (size_t i = 0; i < data.n; i++) {
		data.p[i] ^= 0xff;
		fl_buf_reset(&back);
		(void)decode(old, (struct fl_bytes){ data.p, data.n }, 4 << 20, new.n, &back);
		assert_true(back.n <= new.n);
		data.p[i] ^= 0xff;
		fl_buf_reset(&back);
		assert_int_equal(decode(old, (struct fl_bytes){ data.p, i }, 4 << 20, new.n, &back),
			FL_CORRUPT);
	}
	free((void *)(uintptr_t)old.p);
	free((void *)(uintptr_t) new.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(x86_64),
		cmocka_unit_test(aarch64),
		cmocka_unit_test(thumb2),
		cmocka_unit_test(riscv),
		cmocka_unit_test(numbers_survive_any_move),
		cmocka_unit_test(a_map_comes_back),
		cmocka_unit_test(a_moved_program_is_a_small_delta),
		cmocka_unit_test(firmware_is_known_by_its_vectors),
		cmocka_unit_test(damaged_data_are_borne),
	};

	return cmocka_run_group_tests_name("exe", tests, NULL, NULL);
}
