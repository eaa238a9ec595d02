/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Behaviour: pieces of any size are zeroed, aligned, and do not overlap. */
static void gives_pieces(void **state)
{
	static const size_t sizes[] = { 1, 7, 0, 100, 70000, 3, 1000000, 16, 20000, 1 };
	FL_AUTO_ARENA struct fl_arena a = { 0 };
	unsigned char *pieces[sizeof(sizes) / sizeof(sizes[0])];

	(void)state;
	for (size_t round = 0; round < 2; round++) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			pieces[i] = fl_arena_get(&a, sizes[i], 1);
			assert_non_null(pieces[i]);
			assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
			for (size_t k = 0; k < sizes[i]; k++)
				assert_int_equal(pieces[i][k], 0);
			memset(pieces[i], (int)i + 1, sizes[i]);
		}
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			for (size_t k = 0; k < sizes[i]; k++)
				assert_int_equal(pieces[i][k], i + 1);
		}
	}
}

/* Behaviour: a product that overflows, and more than the limit, give NULL; the rest goes on. */
static void knows_its_limits(void **state)
{
	FL_AUTO_ARENA struct fl_arena a = { .max = 1 << 20 };

	(void)state;
	assert_null(fl_arena_get(&a, SIZE_MAX / 2, 4));
	assert_null(fl_arena_get(&a, SIZE_MAX, 1));
	assert_null(fl_arena_get(&a, 1, 2 << 20));
	assert_non_null(fl_arena_get(&a, 1, 1000));
	for (int i = 0; i < 10; i++)
		(void)fl_arena_get(&a, 1, 200000);
	assert_true(a.total <= a.max);
}

/* Behaviour: texts are copied and terminated. */
static void copies_texts(void **state)
{
	FL_AUTO_ARENA struct fl_arena a = { 0 };

	(void)state;
	assert_string_equal(fl_arena_text(&a, "hello world", 5), "hello");
	assert_string_equal(fl_arena_text(&a, "", 0), "");
	fl_arena_fini(&a);
	assert_int_equal(a.total, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_pieces),
		cmocka_unit_test(knows_its_limits),
		cmocka_unit_test(copies_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
