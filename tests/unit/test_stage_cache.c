/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/stage_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* n stages of one layer, numbered from `first` on, one wave each. */
static struct stage_list make(int64_t first, size_t n)
{
	struct stage_list l = { .n = n };

	l.stages = calloc(n, sizeof(*l.stages));
	l.assigned = calloc(n, sizeof(*l.assigned));
	assert_true(l.stages != NULL && l.assigned != NULL);
	for (size_t i = 0; i < n; i++)
		l.stages[i] = (struct engine_stage){ .id = first + (int64_t)i, .wave = (int)i };
	return l;
}

static void add(struct stage_cache *c, int64_t rollout_id, int64_t first, size_t n)
{
	struct stage_list l = make(first, n);

	assert_true(stage_cache_add(c, rollout_id, &l));
}

/* Behaviour: a change is seen at once; a rollback takes the changed rollout away and no other, a COMMIT keeps
 * it also for later rollbacks. */
static void follows_the_transaction(void **state)
{
	struct stage_cache *c = stage_cache_new();

	(void)state;
	assert_non_null(c);
	add(c, 1, 100, 3);
	add(c, 2, 200, 3);
	stage_cache_stage(c, 201)->delivered = 7;
	assert_int_equal(stage_cache_get(c, 2)->stages[1].delivered, 7);
	stage_cache_commit(c);
	stage_cache_undo(c);
	assert_int_equal(stage_cache_get(c, 2)->stages[1].delivered, 7);
	stage_cache_stage(c, 202)->delivered = 8;
	stage_cache_undo(c);
	assert_null(stage_cache_get(c, 2));
	assert_null(stage_cache_stage(c, 202));
	assert_int_equal(stage_cache_get(c, 1)->n, 3);
	stage_cache_join(c, 1, 2, 5);
	assert_int_equal(stage_cache_get(c, 1)->assigned[2], 5);
	assert_int_equal(stage_cache_get(c, 1)->assigned[1], 0);
	stage_cache_undo(c);
	assert_null(stage_cache_get(c, 1));
	stage_cache_free(c);
}

/* Behaviour: rows that were handed out stay readable until the job's part of the transaction ends. */
static void rows_outlive_their_entry(void **state)
{
	struct stage_cache *c = stage_cache_new();
	const struct stage_list *l;
	const struct engine_stage *rows;

	(void)state;
	add(c, 1, 100, 2);
	l = stage_cache_get(c, 1);
	rows = l->stages;
	stage_cache_drop(c, 1);
	assert_null(stage_cache_get(c, 1));
	assert_int_equal(rows[1].id, 101);
	stage_cache_commit(c);
	stage_cache_free(c);
}

/* Behaviour: what is too large or not numbered in a row is not kept; above the limit those go that were
 * not used for the longest time. */
static void memory_is_bounded(void **state)
{
	struct stage_cache *c = stage_cache_new();
	struct stage_list gap = make(10, 2), large = make(1, STAGE_CACHE_MAX + 1);

	(void)state;
	gap.stages[1].id = 12;
	assert_false(stage_cache_add(c, 1, &gap));
	assert_false(stage_cache_add(c, 1, &large));
	stage_list_fini(&gap);
	stage_list_fini(&large);
	add(c, 1, 100000, STAGE_CACHE_MAX / 2);
	add(c, 2, 200000, STAGE_CACHE_MAX / 2);
	add(c, 3, 300000, 1);
	assert_non_null(stage_cache_get(c, 1));
	stage_cache_commit(c);
	assert_null(stage_cache_get(c, 2));
	assert_non_null(stage_cache_get(c, 1));
	assert_non_null(stage_cache_get(c, 3));
	stage_cache_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(follows_the_transaction),
		cmocka_unit_test(rows_outlive_their_entry),
		cmocka_unit_test(memory_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
