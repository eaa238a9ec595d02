/* SPDX-License-Identifier: Apache-2.0
 *
 * Deltas that were made when this version of the format began. One that decodes to something else, or no
 * more, is of another version: then VERSION of delta.c grows, and tests/lib/delta_vectors.py makes new ones. */
#include "lib/delta/wasm/delta.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/delta/wasm/adaptive.h"
#include "lib/digest.h"
#include "lib/file.h"
#include "tests/lib/wasm_build.h"

#define VERSION 1

/* As tests/lib/delta_vectors.py prints them. */
static const struct {
	const char *name, *pair, *sha256;
} deltas[] = {
	{ "module.none", "module",
		"f2f11632848b0887f90a5fc5910d0b7b8893d2a405f73e2c3843a42ae5d39604" },
	{ "module.256k", "module",
		"5031d22b9460d6d87e442a7aab4827376517409fe03e6f191cbe3013cf37d3b8" },
	{ "module.1m", "module",
		"979856d4a9953b29d6c828fd163810c7bebd165198b72ff10d429a6a32d5f293" },
	{ "module.16m", "module",
		"b54bd827d81cefa51cc8f266abf817594b36a41ba34a6e51450d83fed5bb4aa4" },
	{ "component.none", "component",
		"a0b8ce0ef76ff437b5a63a39125eabe04f4190bd20b935f254c1e5335172be6a" },
};

static struct fl_bytes bytes_of(const struct fl_buf *b)
{
	return (struct fl_bytes){ b->p, b->n };
}

static void read_vector(const char *name, const char *side, struct fl_buf *out)
{
	char path[1024];

	(void)snprintf(path, sizeof(path), "%s/%s%s", VECTORS, name, side);
	assert_int_equal(fl_file_get(path, 1 << 20, out, NULL), FL_OK);
}

static void assert_digest(struct fl_bytes bytes, const char *expected)
{
	uint8_t digest[FL_SHA256_LEN];
	char hex[FL_SHA256_HEX + 1];

	fl_sha256(bytes, digest);
	fl_hex(digest, sizeof(digest), hex);
	assert_string_equal(hex, expected);
}

static void deltas_of_this_version_decode(void **state)
{
	/* Whatever is written today has the version of the vectors, and each of them, unchanged, still
	 * decodes to the new module of its pair. */
	(void)state;
	for (size_t i = 0; i < FL_COUNT(deltas); i++) {
		FL_AUTO_BUF struct fl_buf old = { 0 }, new = { 0 }, delta = { 0 }, made = { 0 };
		FL_AUTO_BUF struct fl_buf again = { 0 };
		const struct wasm_delta_options options = { .back = WASM_ZSTD, .level = 1 };
		const struct fl_codec_limits limits = { .output_max = 1 << 20 };
		struct fl_sink sink = fl_sink_buf(&again);

		read_vector(deltas[i].pair, ".old", &old);
		read_vector(deltas[i].pair, ".new", &new);
		read_vector(deltas[i].name, "", &delta);
		assert_digest(bytes_of(&delta), deltas[i].sha256);
		assert_int_equal(
			wasm_delta_encode(bytes_of(&old), bytes_of(&new), &options, &made, NULL),
			FL_OK);
		assert_int_equal(made.p[1] >> 4, VERSION);
		assert_int_equal(
			wasm_delta_decode(bytes_of(&old), bytes_of(&delta), &limits, &sink, NULL),
			FL_OK);
		assert_int_equal(again.n, new.n);
		assert_memory_equal(again.p, new.p, new.n);
	}
}

/* Code pseudo-random symbols, more than a small model has room for, whose contexts are partly like before. */
static void code_symbols(struct adaptive *a, unsigned n)
{
	uint64_t seed = 7, contexts[ADAPTIVE_CONTEXTS_MAX];

	for (unsigned i = 0; i < n; i++) {
		uint64_t r = wasm_build_random(&seed);
		unsigned stream = (unsigned)(r % 5),
			 used = 1 + (unsigned)(r >> 8) % ADAPTIVE_CONTEXTS_MAX;

		for (unsigned k = 0; k < used; k++)
			contexts[k] = r >> 16 & (((uint64_t)1 << 4 * k) - 1);
		if (i % 3 == 0)
			(void)adaptive_bit(a, stream, (r >> 40) % 16 != 0, contexts, used,
				(unsigned)(r >> 48) % 8);
		else
			(void)adaptive_byte(
				a, 5 + stream, (uint8_t)(r >> 16 & 0x1f), contexts, used, i % 2);
	}
}

static void the_adaptive_coder_gives_the_same_bits_as_ever(void **state)
{
	/* Each size of the model fills up, and contexts displace others; what is written has the digests
	 * that it had when the version of the format began. */
	static const char *const digests[] = {
		"889c16c070117dcbab0c73b47438bee85ddfb3602493d990f741de5ed9937683",
		"eebf8f5ebe82d0c3a011832589840d9795a5a6b2d40273ae74b6400ffca94eca",
		"7bd30be9315381998a1ea0e48e8458cf1440c4e28742dadfea277f1805183246",
		"3b9681307e5aad8de92d7fc633faa263a20182ee083dddf222b2164c25c393ab",
	};

	(void)state;
	for (unsigned i = 0; i < FL_COUNT(digests); i++) {
		FL_AUTO_BUF struct fl_buf out = { 0 };
		unsigned size = i < ADAPTIVE_16M ? i : ADAPTIVE_16M;
		/* The last size has more memory for a larger module. */
		uint32_t sets = adaptive_sets((enum adaptive_size)size, i == 3 ? 1 << 30 : 1);
		struct adaptive *a = adaptive_new(NULL, sets, &out, (struct fl_bytes){ 0 });

		assert_non_null(a);
		code_symbols(a, 20000);
		adaptive_flush(a);
		adaptive_free(a);
		assert_digest(bytes_of(&out), digests[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deltas_of_this_version_decode),
		cmocka_unit_test(the_adaptive_coder_gives_the_same_bits_as_ever),
	};

	fl_digest_init();
	return cmocka_run_group_tests_name("wasm_vectors", tests, NULL, NULL);
}
