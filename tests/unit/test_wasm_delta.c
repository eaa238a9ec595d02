/* SPDX-License-Identifier: Apache-2.0
 *
 * The delta of WebAssembly modules: what goes in comes out with each
 * back end, and nothing that arrives can hurt. */
#include "lib/delta/wasm/delta.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/delta/wasm/code.h"
#include "lib/delta/wasm/module.h"
#include "lib/delta/wasm/old_code.h"
#include "tests/lib/wasm_build.h"
#include "tests/lib/wasm_program.h"

static void encode(
	const struct fl_buf *old, const struct fl_buf *new, unsigned back, struct fl_buf *delta)
{
	const struct wasm_delta_options options = { .back = (enum wasm_back_end)back };
	struct fl_err err = { 0 };

	assert_int_equal(
		wasm_delta_encode(fl_buf_bytes(old), fl_buf_bytes(new), &options, delta, &err),
		FL_OK);
}

static enum fl_code decode(
	const struct fl_buf *old, struct fl_bytes delta, uint64_t output_max, struct fl_buf *back)
{
	const struct fl_codec_limits limits = { .output_max = output_max };
	struct fl_sink sink = fl_sink_buf(back);

	return wasm_delta_decode(fl_buf_bytes(old), delta, &limits, &sink, NULL);
}

static enum fl_code decode_on(
	struct fl_heap *heap, const struct fl_buf *old, struct fl_bytes delta, struct fl_buf *back)
{
	const struct fl_codec_limits limits = { .output_max = 1 << 20, .heap = heap };
	struct fl_sink sink = fl_sink_buf(back);

	fl_buf_reset(back);
	return wasm_delta_decode(fl_buf_bytes(old), delta, &limits, &sink, NULL);
}

static size_t round_trip(const struct fl_buf *old, const struct fl_buf *new, unsigned back)
{
	FL_AUTO_BUF struct fl_buf delta = { 0 }, again = { 0 };

	encode(old, new, back, &delta);
	assert_int_equal(decode(old, fl_buf_bytes(&delta), new->n, &again), FL_OK);
	assert_int_equal(again.n, new->n);
	assert_memory_equal(again.p, new->p, new->n);
	return delta.n;
}

/* ---- round trips */

static const struct wasm_recipe first = { .seed = 1, .functions = 60, .names = true };

static void a_module_comes_back_with_every_back_end(void **state)
{
	/* Inserted functions, moved data, changed bodies, bodies that do not parse, padded indices,
	 * names that come and go: the decoded module is the new one. */
	static const struct wasm_recipe recipes[] = {
		{ .seed = 1, .functions = 60, .names = true },
		{ .seed = 1, .functions = 60, .names = true, .inserted = 3 },
		{ .seed = 1, .functions = 60, .names = true, .data_grown = 128 },
		{ .seed = 1, .functions = 60, .inserted = 1, .data_grown = 16, .changed = 7 },
		{ .seed = 1, .functions = 60, .raw = 5, .pad = 3 },
		{ .seed = 1, .functions = 0 },
		{ .seed = 2, .functions = 61, .names = true },
	};

	(void)state;
	for (size_t a = 0; a < FL_COUNT(recipes); a++)
		for (size_t b = 0; b < FL_COUNT(recipes); b++) {
			FL_AUTO_BUF struct fl_buf old = { 0 }, new = { 0 };

			wasm_build(&recipes[a], &old);
			wasm_build(&recipes[b], &new);
			/* the model is the same with each, so one other will do */
			(void)round_trip(&old, &new, WASM_ZSTD);
			if (b == (a + 1) % FL_COUNT(recipes))
				(void)round_trip(&old, &new, WASM_ADAPTIVE_256K + (unsigned)a % 3);
		}
}

static void shifted_indices_cost_next_to_nothing(void **state)
{
	/* A function inserted in front changes every call, moved data every address; the delta of
	 * both is a few hundred bytes. */
	struct wasm_recipe second = first;
	FL_AUTO_BUF struct fl_buf old = { 0 }, new = { 0 };

	(void)state;
	second.inserted = 1;
	second.data_grown = 64;
	wasm_build(&first, &old);
	wasm_build(&second, &new);
	assert_true(round_trip(&old, &new, WASM_ZSTD) < 600);
	assert_true(round_trip(&old, &new, WASM_ADAPTIVE_1M) < 500);
}

static void an_unchanged_module_is_a_few_bytes(void **state)
{
	/* The delta of a module to itself fits 48 bytes with each back end. */
	FL_AUTO_BUF struct fl_buf old = { 0 };

	(void)state;
	wasm_build(&first, &old);
	for (unsigned back = WASM_ZSTD; back <= WASM_ADAPTIVE_16M; back++)
		assert_true(round_trip(&old, &old, back) <= 48);
}

static void mutated_modules_come_back_or_are_refused(void **state)
{
	/* Random damage to either module: encoding refuses it cleanly or the delta decodes to it. */
	FL_AUTO_BUF struct fl_buf base = { 0 };
	uint64_t seed = 42;
	unsigned refused = 0;

	(void)state;
	wasm_build(&first, &base);
	for (unsigned i = 0; i < 80; i++) {
		FL_AUTO_BUF struct fl_buf old = { 0 }, new = { 0 }, delta = { 0 }, again = { 0 };
		const struct wasm_delta_options options = { (enum wasm_back_end)(i % 3), 3, NULL };
		struct fl_err err;

		fl_buf_add(&old, base.p, base.n);
		fl_buf_add(&new, base.p, base.n);
		for (unsigned k = 0; k < 1 + i % 8; k++) {
			struct fl_buf *victim = k % 3 == 2 ? &old : &new;

			victim->p[wasm_build_random(&seed) % victim->n] =
				(uint8_t)wasm_build_random(&seed);
		}
		new.n -= i % 5 == 0 ? wasm_build_random(&seed) % 100 : 0;
		if (wasm_delta_encode(fl_buf_bytes(&old), fl_buf_bytes(&new), &options, &delta,
			    &err) == FL_REFUSED) {
			refused++;
			continue;
		}
		assert_int_equal(decode(&old, fl_buf_bytes(&delta), new.n, &again), FL_OK);
		assert_int_equal(again.n, new.n);
		assert_memory_equal(again.p, new.p, new.n);
	}
	assert_in_range(refused, 1, 40);
}

/* ---- components */

static void add_section(struct fl_buf *to, uint8_t id, const struct fl_buf *content)
{
	uint8_t size[WASM_LEB_MAX];

	fl_buf_byte(to, id);
	fl_buf_add(to, size, (size_t)(wasm_put_unsigned(size, content->n, 0) - size));
	fl_buf_add(to, content->p, content->n);
}

/* A component with a core module, some text, and with `inner` a component that has another. */
static void build_component(struct fl_buf *to, const struct wasm_recipe *recipe,
	const struct wasm_recipe *inner, const char *text)
{
	static const uint8_t magic[] = { 0, 'a', 's', 'm', 0x0d, 0, 1, 0 };
	FL_AUTO_BUF struct fl_buf module = { 0 }, custom = { 0 }, nested = { 0 };

	fl_buf_add(to, magic, sizeof(magic));
	wasm_build(recipe, &module);
	add_section(to, 1, &module);
	fl_buf_str(&custom, text);
	add_section(to, 0, &custom);
	if (inner == NULL)
		return;
	build_component(&nested, inner, NULL, "within");
	add_section(to, 4, &nested);
	add_section(to, 7, &custom);
}

static void components_follow_their_modules(void **state)
{
	/* The core modules of a component, nested ones too, become deltas to the old ones; what is
	 * around them comes back, also where modules came and went. */
	static const struct wasm_recipe one = { .seed = 1, .functions = 60, .names = true },
					next = { .seed = 1,
						.functions = 60,
						.names = true,
						.inserted = 2,
						.data_grown = 32 },
					two = { .seed = 2, .functions = 40 },
					other = { .seed = 2, .functions = 40, .inserted = 1 };
	struct fl_buf components[4] = { 0 };

	(void)state;
	build_component(&components[0], &one, &two, "a text");
	build_component(&components[1], &next, &other, "a longer text");
	build_component(&components[2], &next, NULL, "alone");
	build_component(&components[3], &two, &one, "");
	assert_true(round_trip(&components[0], &components[1], WASM_ZSTD) < 1500);
	assert_true(round_trip(&components[0], &components[1], WASM_ADAPTIVE_256K) < 1500);
	for (unsigned i = 1; i < 4; i++) {
		(void)round_trip(&components[0], &components[i], WASM_ZSTD);
		(void)round_trip(&components[i], &components[0], WASM_ZSTD);
	}
	for (unsigned i = 0; i < 4; i++)
		fl_buf_fini(&components[i]);
}

static void components_that_are_damaged_do_no_harm(void **state)
{
	/* Changed or cut deltas of components end within their limits, without memory with FL_NOMEM;
	 * components that do not split, or have no module, are refused. */
	static const struct wasm_recipe small = { .seed = 3, .functions = 5 },
					next = { .seed = 3, .functions = 5, .inserted = 1 };
	static const uint8_t empty[] = { 0, 'a', 's', 'm', 0x0d, 0, 1, 0 };
	const struct wasm_delta_options options = { .back = WASM_ZSTD };
	FL_AUTO_BUF struct fl_buf old = { 0 }, new = { 0 }, delta = { 0 }, back = { 0 };
	struct fl_heap all = { 0 };

	(void)state;
	build_component(&old, &small, &small, "text");
	build_component(&new, &next, &small, "text");
	encode(&old, &new, WASM_ZSTD, &delta);
	for (size_t bit = 0; bit < 8 * delta.n; bit += 61) {
		delta.p[bit / 8] ^= (uint8_t)(1U << bit % 8);
		fl_buf_reset(&back);
		(void)decode(&old, fl_buf_bytes(&delta), new.n, &back);
		assert_true(back.n <= new.n);
		delta.p[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	for (size_t n = 0; n < delta.n; n += 37)
		assert_int_not_equal(
			decode(&old, (struct fl_bytes){ delta.p, n }, new.n, &back), FL_OK);
	assert_int_equal(decode_on(&all, &old, fl_buf_bytes(&delta), &back), FL_OK);
	for (uint64_t call = 1; call <= all.calls; call++) {
		struct fl_heap heap = { .fail_at = call };

		assert_int_equal(decode_on(&heap, &old, fl_buf_bytes(&delta), &back), FL_NOMEM);
		assert_int_equal(heap.used, 0);
	}
	fl_buf_reset(&delta);
	assert_int_equal(wasm_delta_encode(fl_buf_bytes(&old),
				 (struct fl_bytes){ empty, sizeof(empty) }, &options, &delta, NULL),
		FL_REFUSED);
	assert_int_equal(wasm_delta_encode((struct fl_bytes){ old.p, old.n - 1 },
				 fl_buf_bytes(&new), &options, &delta, NULL),
		FL_REFUSED);
}

/* ---- what is refused */

static void what_is_no_module_is_refused(void **state)
{
	/* Text, nothing, a component, a cut module: FL_REFUSED, whichever side it is on. */
	static const uint8_t component[] = { 0, 'a', 's', 'm', 0x0d, 0, 1, 0 };
	FL_AUTO_BUF struct fl_buf module = { 0 };
	const struct wasm_delta_options options = { .back = WASM_ZSTD };

	(void)state;
	wasm_build(&first, &module);
	{
		const struct fl_bytes good = fl_buf_bytes(&module),
				      bad[] = {
					      { (const uint8_t *)"hello, world", 12 },
					      { (const uint8_t *)"", 0 },
					      { component, sizeof(component) },
					      { module.p, module.n - 1 },
				      };

		for (size_t i = 0; i < FL_COUNT(bad); i++) {
			FL_AUTO_BUF struct fl_buf out = { 0 };

			assert_int_equal(
				wasm_delta_encode(good, bad[i], &options, &out, NULL), FL_REFUSED);
			assert_int_equal(
				wasm_delta_encode(bad[i], good, &options, &out, NULL), FL_REFUSED);
		}
	}
}

static void damaged_deltas_stay_in_their_limits(void **state)
{
	/* With one bit changed, or cut anywhere, decoding ends, without an error only if a
	 * whole module came out, and writes no more than it may. */
	struct wasm_recipe small = { .seed = 3, .functions = 6, .names = true }, next = small;
	FL_AUTO_BUF struct fl_buf old = { 0 }, new = { 0 };

	(void)state;
	next.inserted = 1;
	next.changed = 3;
	wasm_build(&small, &old);
	wasm_build(&next, &new);
	for (unsigned back = WASM_ZSTD; back <= WASM_ADAPTIVE_256K; back++) {
		FL_AUTO_BUF struct fl_buf delta = { 0 }, again = { 0 };

		encode(&old, &new, back, &delta);
		for (size_t bit = 0; bit < 8 * delta.n; bit += 11) {
			enum fl_code code;

			delta.p[bit / 8] ^= (uint8_t)(1U << bit % 8);
			fl_buf_reset(&again);
			code = decode(&old, fl_buf_bytes(&delta), new.n, &again);
			assert_true(again.n <= new.n && (code == FL_OK || code == FL_CORRUPT));
			delta.p[bit / 8] ^= (uint8_t)(1U << bit % 8);
		}
		for (size_t n = 0; n < delta.n; n += 5) {
			fl_buf_reset(&again);
			assert_true(decode(&old, (struct fl_bytes){ delta.p, n }, new.n, &again) ==
					FL_CORRUPT ||
				n + 4 >= delta.n);
			assert_true(again.n <= new.n);
		}
	}
}

static void a_delta_for_another_module_is_harmless(void **state)
{
	/* Applied to a module that it was not made for, a delta gives an error or other bytes within
	 * the limits (the offer's digest tells); applied to no module, FL_CORRUPT. */
	struct wasm_recipe other = { .seed = 9, .functions = 33 };
	FL_AUTO_BUF struct fl_buf old = { 0 }, new = { 0 }, wrong = { 0 }, none = { 0 };

	(void)state;
	wasm_build(&first, &old);
	wasm_build(&other, &wrong);
	other.inserted = 2;
	wasm_build(&other, &new);
	for (unsigned back = WASM_ZSTD; back <= WASM_ADAPTIVE_16M; back++) {
		FL_AUTO_BUF struct fl_buf delta = { 0 }, again = { 0 };

		encode(&old, &new, back, &delta);
		(void)decode(&wrong, fl_buf_bytes(&delta), new.n, &again);
		assert_true(again.n <= new.n);
		fl_buf_reset(&again);
		assert_int_equal(decode(&none, fl_buf_bytes(&delta), new.n, &again), FL_CORRUPT);
	}
}

static void limits_are_kept(void **state)
{
	/* A delta of more bytes than the offer says is FL_CORRUPT, one that needs more memory than
	 * allowed FL_TOO_LARGE, both before a byte is written. */
	FL_AUTO_BUF struct fl_buf old = { 0 }, delta = { 0 }, back = { 0 };
	struct fl_sink sink = fl_sink_buf(&back);
	struct fl_codec_limits limits = { 0 };

	(void)state;
	wasm_build(&first, &old);
	encode(&old, &old, WASM_ADAPTIVE_1M, &delta);
	assert_int_equal(decode(&old, fl_buf_bytes(&delta), old.n - 1, &back), FL_CORRUPT);
	limits.output_max = old.n;
	limits.memory_max = 1 << 20;
	assert_int_equal(
		wasm_delta_decode(fl_buf_bytes(&old), fl_buf_bytes(&delta), &limits, &sink, NULL),
		FL_TOO_LARGE);
	assert_int_equal(back.n, 0);
	limits.memory_max = wasm_delta_decode_memory(WASM_ADAPTIVE_1M, old.n, old.n) + 65536;
	assert_int_equal(
		wasm_delta_decode(fl_buf_bytes(&old), fl_buf_bytes(&delta), &limits, &sink, NULL),
		FL_OK);
}

/* ---- memory */

static void decoding_takes_what_is_stated(void **state)
{
	/* The encoder states the most that decoding may take; with what it was seen to take the delta
	 * decodes too, and nothing is left allocated. One that states less does not decode. */
	struct wasm_recipe next = first;
	FL_AUTO_BUF struct fl_buf old = { 0 }, new = { 0 };

	(void)state;
	next.inserted = 2;
	next.changed = 3;
	next.data_grown = 32;
	wasm_build(&first, &old);
	wasm_build(&next, &new);
	for (unsigned kind = WASM_ZSTD; kind <= WASM_ADAPTIVE_16M; kind++) {
		FL_AUTO_BUF struct fl_buf delta = { 0 }, back = { 0 };
		struct fl_heap heap = { 0 }, again = { 0 }, less = { 0 };
		uint64_t stated;

		encode(&old, &new, kind, &delta);
		stated = wasm_delta_stated_memory(fl_buf_bytes(&delta));
		assert_int_equal(decode_on(&heap, &old, fl_buf_bytes(&delta), &back), FL_OK);
		assert_int_equal(heap.used, 0);
		assert_in_range(heap.peak, 1, stated);
		wasm_delta_state_memory(&delta, heap.peak);
		assert_in_range(wasm_delta_stated_memory(fl_buf_bytes(&delta)),
			heap.peak + WASM_DELTA_MARGIN, heap.peak + WASM_DELTA_MARGIN + 65535);
		assert_int_equal(decode_on(&again, &old, fl_buf_bytes(&delta), &back), FL_OK);
		assert_int_equal(back.n, new.n);
		assert_memory_equal(back.p, new.p, new.n);
		assert_int_equal(again.peak, heap.peak);
		wasm_delta_state_memory(&delta, heap.peak - WASM_DELTA_MARGIN - 65536);
		assert_int_equal(decode_on(&less, &old, fl_buf_bytes(&delta), &back), FL_CORRUPT);
		assert_true(less.over && less.used == 0);
	}
}

static void no_memory_at_any_point_leaves_nothing(void **state)
{
	/* Whichever allocation fails, decoding says FL_NOMEM and frees all of its memory. */
	struct wasm_recipe small = { .seed = 3, .functions = 6, .names = true, .raw = 2 },
			   next = small;
	FL_AUTO_BUF struct fl_buf old = { 0 }, new = { 0 }, back = { 0 };

	(void)state;
	next.inserted = 1;
	next.changed = 2;
	next.data_grown = 8;
	wasm_build(&small, &old);
	wasm_build(&next, &new);
	for (unsigned kind = WASM_ZSTD; kind <= WASM_ADAPTIVE_256K; kind++) {
		FL_AUTO_BUF struct fl_buf delta = { 0 };
		struct fl_heap all = { 0 };

		encode(&old, &new, kind, &delta);
		assert_int_equal(decode_on(&all, &old, fl_buf_bytes(&delta), &back), FL_OK);
		assert_in_range(all.calls, 20, 500);
		for (uint64_t call = 1; call <= all.calls; call++) {
			struct fl_heap heap = { .fail_at = call };

			assert_int_equal(
				decode_on(&heap, &old, fl_buf_bytes(&delta), &back), FL_NOMEM);
			assert_int_equal(heap.used, 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_module_comes_back_with_every_back_end),
		cmocka_unit_test(shifted_indices_cost_next_to_nothing),
		cmocka_unit_test(an_unchanged_module_is_a_few_bytes),
		cmocka_unit_test(mutated_modules_come_back_or_are_refused),
		cmocka_unit_test(components_follow_their_modules),
		cmocka_unit_test(components_that_are_damaged_do_no_harm),
		cmocka_unit_test(what_is_no_module_is_refused),
		cmocka_unit_test(damaged_deltas_stay_in_their_limits),
		cmocka_unit_test(a_delta_for_another_module_is_harmless),
		cmocka_unit_test(limits_are_kept),
		cmocka_unit_test(decoding_takes_what_is_stated),
		cmocka_unit_test(no_memory_at_any_point_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
