/* SPDX-License-Identifier: Apache-2.0
 *
 * Counted memory: what is in use and the most that was, limits, failures on demand. */
#include "lib/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void what_is_used_is_counted(void **state)
{
	/* Blocks count with a little for each; the peak stays when they are freed. */
	struct fl_heap h = { 0 };
	char *a = fl_heap_alloc(&h, 10, 100), *b = fl_heap_alloc(&h, 1, 1);
	uint64_t both = h.used;

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	assert_in_range(both, 1001, 1001 + 2 * 64);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(a[i], 0);
	memset(a, 7, 1000);
	a = fl_heap_resize(&h, a, 3000, 1);
	assert_int_equal(h.used, both + 2000);
	assert_int_equal(a[999], 7);
	a = fl_heap_resize(&h, a, 5, 1);
	assert_int_equal(h.used, both - 995);
	fl_heap_free(&h, a);
	fl_heap_free(&h, b);
	fl_heap_free(&h, NULL);
	assert_int_equal(h.used, 0);
	assert_int_equal(h.peak, both + 2000);
	assert_int_equal(h.calls, 4);
	assert_false(h.failed);
}

static void a_limit_is_kept(void **state)
{
	/* What would pass the limit gives NULL and changes nothing; that it was the limit is told. */
	struct fl_heap h = { .limit = 1000 };
	void *a = fl_heap_alloc(&h, 1, 600);
	uint64_t used = h.used;

	(void)state;
	assert_null(fl_heap_alloc(&h, 1, 500));
	assert_true(h.failed && h.over);
	assert_null(fl_heap_resize(&h, a, 1, 1000));
	assert_int_equal(h.used, used);
	a = fl_heap_resize(&h, a, 1, 1000 - (used - 600));
	assert_non_null(a);
	assert_int_equal(h.used, 1000);
	fl_heap_free(&h, a);
}

static void products_that_overflow_give_nothing(void **state)
{
	/* n * size beyond what a size_t holds is no memory, not a small block. */
	struct fl_heap h = { 0 };

	(void)state;
	assert_null(fl_heap_alloc(&h, SIZE_MAX / 2, 3));
	assert_null(fl_heap_resize(&h, NULL, SIZE_MAX, 1));
	assert_true(h.failed && !h.over);
	assert_int_equal(h.used, 0);
}

static void the_chosen_call_fails(void **state)
{
	/* fail_at is the number of the call that gives no memory, for tests of what follows. */
	struct fl_heap h = { .fail_at = 2 };
	void *a = fl_heap_alloc(&h, 1, 8), *b = fl_heap_alloc(&h, 1, 8),
	     *c = fl_heap_alloc(&h, 1, 8);

	(void)state;
	assert_non_null(a);
	assert_null(b);
	assert_non_null(c);
	assert_true(h.failed && !h.over);
	fl_heap_free(&h, a);
	fl_heap_free(&h, c);
}

static void without_a_heap_it_is_malloc(void **state)
{
	/* NULL instead of a heap gives memory that free takes. */
	void *a = fl_heap_alloc(NULL, 4, 4);

	(void)state;
	a = fl_heap_resize(NULL, a, 8, 4);
	assert_non_null(a);
	free(a);
	fl_heap_free(NULL, fl_heap_alloc(NULL, 1, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_used_is_counted),
		cmocka_unit_test(a_limit_is_kept),
		cmocka_unit_test(products_that_overflow_give_nothing),
		cmocka_unit_test(the_chosen_call_fails),
		cmocka_unit_test(without_a_heap_it_is_malloc),
	};

	return cmocka_run_group_tests_name("heap", tests, NULL, NULL);
}
