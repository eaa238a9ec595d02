/* SPDX-License-Identifier: Apache-2.0
 *
 * Modules taken apart: every instruction is understood, tokens give the same bytes again. */
#include "lib/delta/wasm/code.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/delta/wasm/leb.h"
#include "lib/delta/wasm/module.h"
#include "lib/delta/wasm/old_code.h"
#include "tests/lib/wasm_build.h"
#include "tests/lib/wasm_program.h"

static void parse(const struct fl_buf *body, struct wasm_code *code)
{
	const struct wasm_body whole = { .bytes = fl_buf_bytes(body) };

	assert_int_equal(wasm_code_parse(code, &whole, NULL), FL_OK);
}

/* The tokens as bytes again, their size before them, and how many bytes that size has. */
static size_t put_back(const struct wasm_code *code, struct fl_buf *again)
{
	struct wasm_body_mark mark = wasm_code_begin(again, 0, 0);
	size_t bytes;

	for (size_t t = 0; t < code->n_ops; t++)
		assert_true(wasm_code_put(again, code->op[t], code->imm + code->first[t],
			code->pad + code->first[t]));
	bytes = again->n - mark.start - mark.size_bytes;
	assert_true(wasm_code_end(again, &mark, 0));
	assert_int_equal(again->n, bytes + wasm_leb_unsigned_size(bytes));
	return again->n - bytes;
}

static void every_instruction_is_understood(void **state)
{
	/* A body with every known instruction and random immediates parses to tokens that give the
	 * same bytes again. */
	(void)state;
	wasm_opcodes_init();
	for (uint64_t seed = 0; seed < 300; seed++) {
		FL_AUTO_BUF struct fl_buf body = { 0 }, again = { 0 };
		struct wasm_code code = { 0 };
		size_t size_bytes;

		wasm_program_any_body(seed, &body);
		parse(&body, &code);
		assert_int_equal(code.op[0], WASM_TOKEN_FUNCTION);
		size_bytes = put_back(&code, &again);
		assert_int_equal(again.n - size_bytes, body.n);
		assert_memory_equal(again.p + size_bytes, body.p, body.n);
		wasm_code_fini(&code);
	}
}

static void a_body_that_is_not_understood_stays_bytes(void **state)
{
	/* Cut anywhere, a body is kept as raw bytes, and gives them back. */
	FL_AUTO_BUF struct fl_buf body = { 0 };

	(void)state;
	wasm_opcodes_init();
	wasm_program_any_body(5, &body);
	for (size_t n = 0; n < body.n; n += 1 + n / 50) {
		FL_AUTO_BUF struct fl_buf again = { 0 };
		struct fl_buf cut = { .p = body.p, .n = n };
		struct wasm_code code = { 0 };

		parse(&cut, &code);
		assert_int_equal(code.op[0], WASM_TOKEN_RAW);
		assert_int_equal(code.n_ops, n + 1);
		(void)put_back(&code, &again);
		assert_memory_equal(again.p + again.n - n, body.p, n);
		wasm_code_fini(&code);
	}
}

static void assert_same_token(
	const struct wasm_code *a, size_t i, const struct wasm_code *b, size_t k)
{
	size_t n = a->first[i + 1] - a->first[i];

	assert_int_equal(a->op[i], b->op[k]);
	assert_int_equal(n, b->first[k + 1] - b->first[k]);
	assert_memory_equal(a->imm + a->first[i], b->imm + b->first[k], n * sizeof(a->imm[0]));
	assert_memory_equal(a->pad + a->first[i], b->pad + b->first[k], n);
}

static void old_tokens_are_found_by_their_places(void **state)
{
	/* Wherever a decoder asks, forwards, backwards or anywhere, it gets the token that parsing all
	 * bodies gives, also of one that does not parse. */
	FL_AUTO_BUF struct fl_buf bytes = { 0 };
	const struct wasm_recipe recipe = { .seed = 4, .functions = 40, .raw = 9, .pad = 2 };
	struct wasm_module module = { 0 };
	struct wasm_code all = { 0 };
	struct old_code old = { 0 };
	uint64_t seed = 8;

	(void)state;
	wasm_opcodes_init();
	wasm_build(&recipe, &bytes);
	assert_int_equal(wasm_module_split(&module, fl_buf_bytes(&bytes), NULL), FL_OK);
	assert_int_equal(old_code_count(&old, &module, NULL), FL_OK);
	for (uint32_t f = 0; f < module.n_bodies; f++) {
		assert_int_equal(old.start[f], all.n_ops);
		assert_int_equal(wasm_code_parse(&all, &module.bodies[f], NULL), FL_OK);
	}
	assert_int_equal(old_code_total(&old), all.n_ops);
	assert_true(old.n_points > 0);
	for (uint32_t i = 0; i < 3 * all.n_ops; i++) {
		uint32_t n = (uint32_t)all.n_ops, left,
			 place = i < n ? i
			: i < 2 * n    ? 2 * n - 1 - i
				       : (uint32_t)(wasm_build_random(&seed) % n);
		size_t index;
		const struct wasm_code *code = old_code_at(&old, place, &index, &left);

		assert_non_null(code);
		assert_in_range(left, 1, OLD_CODE_WINDOW);
		assert_same_token(code, index, &all, place);
	}
	old_code_fini(&old);
	wasm_code_fini(&all);
	wasm_module_fini(&module);
}

static void padded_integers_come_back(void **state)
{
	/* Longer forms of a LEB than needed keep their padding. */
	(void)state;
	for (unsigned pad = 0; pad < 5; pad++)
		for (int64_t v = -70000; v < 70000; v += 997) {
			uint8_t u[2 * WASM_LEB_MAX], s[2 * WASM_LEB_MAX];
			uint64_t natural = (uint64_t)(v < 0 ? -v : v);
			struct wasm_reader ru = { .p = u,
				.end = wasm_put_unsigned(u, natural, pad) };
			struct wasm_reader rs = { .p = s, .end = wasm_put_signed(s, v, pad) };
			unsigned seen_u = 99, seen_s = 99;

			assert_int_equal(wasm_unsigned(&ru, &seen_u), natural);
			assert_int_equal(wasm_signed(&rs, &seen_s), v);
			assert_true(seen_u == pad && seen_s == pad && !ru.bad && !rs.bad);
			assert_int_equal(wasm_left(&ru) + wasm_left(&rs), 0);
		}
}

static void types_and_imports_of_newer_proposals_are_read(void **state)
{
	/* Groups of types, structures, arrays, references with heap types, 64-bit memories and tags
	 * before a function's import: types count one by one, and the import is found. */
	static const uint8_t bytes[] = { 0, 'a', 's', 'm', 1, 0, 0, 0, 1, 29, 3, /* three groups */
		0x60, 1, 0x64, 0x01, 1, 0x7f,                         /* (ref 1) -> i32 */
		0x4e, 2, 0x50, 1, 0, 0x5f, 2, 0x78, 1, 0x63, 0x6e, 0, /* a structure below type 0 */
		0x4f, 0, 0x5e, 0x7f, 1,                               /* a final array */
		0x60, 2, 0x7f, 0x7b, 0,                               /* i32 v128 -> */
		2, 40, 5, 1, 'a', 1, 't', 1, 0x64, 0x70, 0, 1,        /* table of (ref func) */
		1, 'a', 1, 'm', 2, 0x0d, 1, 2, 16,                    /* 64-bit memory, its pages */
		1, 'a', 1, 'g', 3, 0x63, 2, 1,                        /* global of (ref null 2) */
		1, 'a', 1, 'e', 4, 0, 0,                              /* tag */
		1, 'a', 1, 'f', 0, 3 };                               /* function */
	struct wasm_module m = { 0 };

	(void)state;
	assert_int_equal(
		wasm_module_split(&m, (struct fl_bytes){ bytes, sizeof(bytes) }, NULL), FL_OK);
	assert_int_equal(m.n_types, 4);
	assert_int_equal(m.types[1].n, 10);
	assert_int_equal(m.n_imports, 1);
	assert_memory_equal(m.imports[0].p, "\1a\1f", 4);
	wasm_module_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_instruction_is_understood),
		cmocka_unit_test(a_body_that_is_not_understood_stays_bytes),
		cmocka_unit_test(old_tokens_are_found_by_their_places),
		cmocka_unit_test(padded_integers_come_back),
		cmocka_unit_test(types_and_imports_of_newer_proposals_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
