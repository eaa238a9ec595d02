/* SPDX-License-Identifier: Apache-2.0
 *
 * The back ends of a module's delta against each other: the same pairs of modules of any instructions
 * through zstd streams and through the adaptive coder with each of its models. */
#include "lib/delta/wasm/delta.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/wasm_build.h"
#include "tests/lib/wasm_program.h"

#define PAIRS      60
#define STATEMENTS 250 /* at most */
#define EDITS      6

struct pair {
	struct fl_buf old, new;
};

static void pair_fini(struct pair *pair)
{
	fl_buf_fini(&pair->old);
	fl_buf_fini(&pair->new);
}

static void add_random(struct fl_buf *b, size_t n, uint64_t *chance)
{
	for (size_t i = 0; i < n; i++)
		fl_buf_byte(b, (uint8_t)wasm_build_random(chance));
}

static struct fl_bytes bytes_of(const struct fl_buf *b)
{
	return (struct fl_bytes){ b->p, b->n };
}

/* A module, and the one that a few edits make of it, or of its beginning; some pairs have a byte damaged
 * besides. */
static void make_pair(struct pair *pair, uint64_t *chance)
{
	FL_AUTO_BUF struct fl_buf program = { 0 }, edits = { 0 }, edited = { 0 };

	add_random(&program, WASM_STATEMENT * (1 + wasm_build_random(chance) % STATEMENTS), chance);
	add_random(&edits, WASM_EDIT * (wasm_build_random(chance) % EDITS), chance);
	wasm_program_edit(bytes_of(&program), bytes_of(&edits), &edited);
	if (wasm_build_random(chance) % 4 == 0)
		edited.n /= 8;
	wasm_program_build(bytes_of(&program), &pair->old);
	wasm_program_build(bytes_of(&edited), &pair->new);
	if (wasm_build_random(chance) % 3 == 0) {
		struct fl_buf *victim =
			wasm_build_random(chance) % 2 == 0 ? &pair->old : &pair->new;

		victim->p[wasm_build_random(chance) % victim->n] ^=
			(uint8_t)wasm_build_random(chance);
	}
}

/* Whether a back end takes the pair; then its delta gives the new module, byte for byte. */
static bool takes(const struct pair *pair, enum wasm_back_end back)
{
	const struct wasm_delta_options options = { .back = back, .level = 1 };
	const struct fl_codec_limits limits = { .output_max = pair->new.n };
	FL_AUTO_BUF struct fl_buf delta = { 0 }, again = { 0 };
	const struct fl_sink sink = fl_sink_buf(&again);
	enum fl_code code = wasm_delta_encode(
		bytes_of(&pair->old), bytes_of(&pair->new), &options, &delta, NULL);

	if (code == FL_REFUSED)
		return false;
	assert_int_equal(code, FL_OK);
	assert_int_equal(
		wasm_delta_decode(bytes_of(&pair->old), bytes_of(&delta), &limits, &sink, NULL),
		FL_OK);
	assert_int_equal(again.n, pair->new.n);
	assert_memory_equal(again.p, pair->new.p, again.n);
	return true;
}

static void all_back_ends_give_the_same_module(void **state)
{
	/* Whatever instructions and sections a pair has, all back ends refuse it, or the delta of each
	 * decodes to the very same new module. */
	uint64_t chance = 11;
	unsigned taken = 0;

	(void)state;
	for (unsigned i = 0; i < PAIRS; i++) {
		struct pair pair = { 0 };
		bool streams;

		make_pair(&pair, &chance);
		streams = takes(&pair, WASM_ZSTD);
		taken += streams;
		for (unsigned back = WASM_ADAPTIVE_256K; back <= WASM_ADAPTIVE_16M; back++)
			if (back != WASM_ADAPTIVE_16M || i % 10 == 0) /* it clears 16 MB */
				assert_int_equal(takes(&pair, back), streams);
		pair_fini(&pair);
	}
	assert_in_range(taken, PAIRS * 3 / 4, PAIRS);
}

static void sections_that_come_twice_come_back(void **state)
{
	/* A module with an empty section of each kind before the one that counts: the second stays whole,
	 * and both come back. */
	static const uint8_t ids[] = { 3, 7, 9, 10, 11 };
	uint64_t chance = 3;

	(void)state;
	for (size_t i = 0; i < FL_COUNT(ids); i++) {
		FL_AUTO_BUF struct fl_buf later = { 0 };
		struct pair pair = { 0 };

		make_pair(&pair, &chance);
		fl_buf_add(&later, pair.new.p + 8, pair.new.n - 8);
		pair.new.n = 8;
		fl_buf_add(&pair.new, (uint8_t[]){ ids[i], 1, 0 }, 3);
		fl_buf_add(&pair.new, later.p, later.n);
		for (unsigned back = WASM_ZSTD; back <= WASM_ADAPTIVE_256K; back++)
			assert_true(takes(&pair, back));
		pair_fini(&pair);
	}
}

static void names_of_functions_that_come_twice_come_back(void **state)
{
	/* A name section with two maps of functions, the second larger than the first: nothing is written
	 * behind the table of names, on whichever side it is, and the module comes back. */
	static const uint8_t first[] = { 0, 80, 4, 'n', 'a', 'm', 'e', 1, 10, 3, 0, 1, 'a', 1, 1,
		'b', 2, 1, 'c', 1, 61, 20 };
	static const uint8_t name[] = { 0, 1, 'a' };
	struct pair pair = { 0 };
	uint64_t chance = 3;

	(void)state;
	make_pair(&pair, &chance);
	for (unsigned side = 0; side < 2; side++) {
		struct fl_buf *module = side == 0 ? &pair.new : &pair.old;

		module->n = 8; /* nothing but names */
		fl_buf_add(module, first, sizeof(first));
		for (unsigned i = 0; i < 20; i++)
			fl_buf_add(module, name, sizeof(name));
		for (unsigned back = WASM_ZSTD; back <= WASM_ADAPTIVE_256K; back++)
			assert_true(takes(&pair, back));
	}
	pair_fini(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_back_ends_give_the_same_module),
		cmocka_unit_test(sections_that_come_twice_come_back),
		cmocka_unit_test(names_of_functions_that_come_twice_come_back),
	};

	return cmocka_run_group_tests_name("wasm_back_ends", tests, NULL, NULL);
}
