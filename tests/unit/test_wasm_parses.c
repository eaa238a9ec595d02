/* SPDX-License-Identifier: Apache-2.0
 *
 * What an encoder keeps of modules from one delta to the next: it saves parsing and changes no byte. */
#include "lib/delta/wasm/parses.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/delta/codec.h"
#include "lib/delta/wasm/delta.h"
#include "tests/lib/wasm_build.h"

#define VERSIONS 4

static struct fl_buf versions[VERSIONS];

static int build_versions(void **state)
{
	(void)state;
	for (unsigned i = 0; i < VERSIONS; i++)
		wasm_build(&(struct wasm_recipe){ .seed = 5,
				   .functions = 60,
				   .inserted = i,
				   .data_grown = 8 * i,
				   .raw = 7,
				   .names = true },
			&versions[i]);
	return 0;
}

static int drop_versions(void **state)
{
	(void)state;
	for (unsigned i = 0; i < VERSIONS; i++)
		fl_buf_fini(&versions[i]);
	return 0;
}

static struct fl_bytes version(unsigned i)
{
	return (struct fl_bytes){ versions[i].p, versions[i].n };
}

static void encode(const char *codec, const struct fl_codec_files *files, struct fl_buf *out)
{
	const struct fl_sink sink = fl_sink_buf(out);

	assert_int_equal(fl_codec_encode(fl_codec_find(codec), files, 0, &sink, NULL), FL_OK);
}

/* A delta with what is kept is the one without. */
static void check(struct wasm_parses *parses, const char *codec, unsigned old, unsigned new)
{
	FL_AUTO_BUF struct fl_buf kept = { 0 }, alone = { 0 };

	encode(codec, &(struct fl_codec_files){ version(old), version(new), parses }, &kept);
	encode(codec, &(struct fl_codec_files){ version(old), version(new), NULL }, &alone);
	assert_int_equal(kept.n, alone.n);
	assert_memory_equal(kept.p, alone.p, alone.n);
}

static void check_counts(const struct wasm_parses *parses, unsigned made, unsigned reused)
{
	assert_int_equal(parses->made, made);
	assert_int_equal(parses->reused, reused);
}

static void one_pair_is_parsed_once_for_all_models(void **state)
{
	/* Four deltas of one pair: each module is parsed once, and not aligned again. */
	struct wasm_parses parses = { .keeps = true };
	const uint32_t *from;

	(void)state;
	check(&parses, "wasm-delta-16m", 0, 1);
	from = parses.from;
	check(&parses, "wasm-delta-1m", 0, 1);
	check(&parses, "wasm-delta-256k", 0, 1);
	check(&parses, "wasm-delta", 0, 1);
	assert_ptr_equal(parses.from, from);
	check_counts(&parses, 2, 6);
	wasm_parses_fini(&parses);
}

static void a_new_version_is_parsed_once_for_all_old_ones(void **state)
{
	/* Many old versions to one new one, and back from it to each. */
	struct wasm_parses parses = { .keeps = true };

	(void)state;
	for (unsigned old = 0; old < VERSIONS - 1; old++)
		check(&parses, "wasm-delta", old, VERSIONS - 1);
	check_counts(&parses, 1 + VERSIONS - 1, VERSIONS - 2);
	for (unsigned old = 0; old < VERSIONS - 1; old++)
		check(&parses, "wasm-delta", VERSIONS - 1, old);
	check_counts(&parses, VERSIONS + VERSIONS - 1, 2 * VERSIONS - 3);
	wasm_parses_fini(&parses);
}

static void the_way_back_parses_nothing(void **state)
{
	/* After a delta the one in the other direction finds both modules; only the alignment is new. */
	struct wasm_parses parses = { .keeps = true };

	(void)state;
	check(&parses, "wasm-delta", 0, 1);
	check(&parses, "wasm-delta", 1, 0);
	check_counts(&parses, 2, 2);
	check(&parses, "wasm-delta", 0, 0);
	check(&parses, "wasm-delta", 0, 0);
	wasm_parses_fini(&parses);
}

static void what_is_forgotten_is_parsed_again(void **state)
{
	/* Other bytes at the same place are another file once the first is forgotten, also when that was
	 * in the middle of what is forgotten; the other side knows nothing of the bytes that went. */
	struct wasm_parses parses = { .keeps = true };
	size_t n = versions[0].n < versions[1].n ? versions[1].n : versions[0].n;
	uint8_t *place = malloc(n + 1);
	FL_AUTO_BUF struct fl_buf kept = { 0 }, alone = { 0 };

	(void)state;
	assert_non_null(place);
	memcpy(place + 1, versions[0].p, versions[0].n);
	encode("wasm-delta",
		&(struct fl_codec_files){ { place + 1, versions[0].n }, version(2), &parses },
		&kept);
	wasm_parses_forget(&parses, (struct fl_bytes){ place, n + 1 });
	check_counts(&parses, 2, 0);
	fl_buf_reset(&kept);
	memcpy(place + 1, versions[1].p, versions[1].n);
	encode("wasm-delta",
		&(struct fl_codec_files){ { place + 1, versions[1].n }, version(2), &parses },
		&kept);
	encode("wasm-delta", &(struct fl_codec_files){ version(1), version(2), NULL }, &alone);
	assert_int_equal(kept.n, alone.n);
	assert_memory_equal(kept.p, alone.p, alone.n);
	check_counts(&parses, 3, 1);
	wasm_parses_fini(&parses);
	free(place);
}

static void without_keeping_the_next_pair_is_still_right(void **state)
{
	/* Parses that keep no more than the present pair needs give the same deltas of pairs that follow. */
	struct wasm_parses parses = { 0 };

	(void)state;
	check(&parses, "wasm-delta", 0, 2);
	check(&parses, "wasm-delta", 0, 2);
	check(&parses, "wasm-delta", 1, 2);
	check(&parses, "wasm-delta", 2, 1);
	check_counts(&parses, 3, 5);
	wasm_parses_fini(&parses);
}

static void a_refusal_leaves_nothing_behind(void **state)
{
	/* A file that is no module is refused, each time, and what was kept is gone; the next pair works. */
	static const uint8_t text[] = "no module at all";
	struct wasm_parses parses = { .keeps = true };
	struct wasm_parsed_pair pair;

	(void)state;
	check(&parses, "wasm-delta", 0, 1);
	for (int i = 0; i < 2; i++)
		assert_int_equal(wasm_parses_take(&parses, version(0),
					 (struct fl_bytes){ text, sizeof(text) }, &pair, NULL),
			FL_REFUSED);
	assert_int_equal(wasm_parses_take(&parses, (struct fl_bytes){ 0 }, version(0), &pair, NULL),
		FL_REFUSED);
	assert_null(parses.of[0].module.bytes.p);
	assert_null(parses.from);
	check(&parses, "wasm-delta", 0, 1);
	wasm_parses_fini(&parses);
}

static void codecs_that_keep_nothing_take_no_harm(void **state)
{
	/* They make what they make without. */
	struct wasm_parses parses = { .keeps = true };

	(void)state;
	check(&parses, "zstd-patch", 0, 1);
	check_counts(&parses, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_pair_is_parsed_once_for_all_models),
		cmocka_unit_test(a_new_version_is_parsed_once_for_all_old_ones),
		cmocka_unit_test(the_way_back_parses_nothing),
		cmocka_unit_test(what_is_forgotten_is_parsed_again),
		cmocka_unit_test(without_keeping_the_next_pair_is_still_right),
		cmocka_unit_test(a_refusal_leaves_nothing_behind),
		cmocka_unit_test(codecs_that_keep_nothing_take_no_harm),
	};

	return cmocka_run_group_tests_name("wasm_parses", tests, build_versions, drop_versions);
}
