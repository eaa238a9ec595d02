/* SPDX-License-Identifier: Apache-2.0 */
#include "server/effects.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEYS 5000

static int64_t order[8];
static size_t n_order;
static int64_t totals[KEYS];
static int calls;

static void note(struct server *s, const void *payload)
{
	(void)s;
	order[n_order++] = *(const int64_t *)payload;
}

static void add(void *into, const void *payload)
{
	*(int64_t *)into += *(const int64_t *)payload;
}

static enum fl_code total(struct server *s, struct store *store, struct effects *e, int64_t key,
	const void *sum, struct fl_err *err)
{
	(void)s;
	(void)store;
	(void)e;
	(void)err;
	totals[key] += *(const int64_t *)sum;
	calls++;
	return FL_OK;
}

static const struct effect_sum kind = { .size = sizeof(int64_t), .add = add, .apply = total };

/* Hands its sum on to the other kind, for a further round. */
static enum fl_code hand_on(struct server *s, struct store *store, struct effects *e, int64_t key,
	const void *sum, struct fl_err *err)
{
	(void)s;
	(void)store;
	(void)err;
	effects_sum(e, &kind, key + 1, sum);
	return FL_OK;
}

static const struct effect_sum chain = { .size = sizeof(int64_t), .add = add, .apply = hand_on };

static int setup(void **state)
{
	*state = effects_new();
	n_order = 0;
	calls = 0;
	memset(totals, 0, sizeof(totals));
	return *state == NULL;
}

static int teardown(void **state)
{
	effects_free(*state);
	return 0;
}

static void after(struct effects *e, int64_t value)
{
	effects_after_commit(e, note, &value, sizeof(value));
}

static void sum(struct effects *e, const struct effect_sum *which, int64_t key, int64_t value)
{
	effects_sum(e, which, key, &value);
}

/* Effects on memory run once, in the order in which they were added, with their own copies. */
static void effects_run_in_order(void **state)
{
	struct effects *e = *state;

	for (int64_t i = 0; i < 5; i++)
		after(e, i);
	effects_run_after(e, NULL);
	effects_run_after(e, NULL);
	assert_int_equal(n_order, 5);
	for (int64_t i = 0; i < 5; i++)
		assert_int_equal(order[i], i);
}

/* What was added after a mark is undone, what was before it stays. */
static void undo_goes_back_to_the_mark(void **state)
{
	struct effects *e = *state;
	struct effects_mark mark;
	struct fl_err err = { 0 };

	after(e, 1);
	sum(e, &kind, 3, 10);
	mark = effects_mark(e);
	after(e, 2);
	sum(e, &kind, 3, 100);
	sum(e, &kind, 4, 100);
	effects_undo(e, mark);
	after(e, 3);
	assert_int_equal(effects_apply_sums(e, NULL, NULL, &err), FL_OK);
	effects_run_after(e, NULL);
	assert_int_equal(totals[3], 10);
	assert_int_equal(totals[4], 0);
	assert_int_equal(n_order, 2);
	assert_int_equal(order[1], 3);
}

/* Each kind and key is applied once with the sum of everything, however many were added. */
static void sums_are_merged(void **state)
{
	struct effects *e = *state;
	struct fl_err err = { 0 };

	for (int round = 0; round < 3; round++) {
		for (int64_t key = 0; key < KEYS; key++)
			sum(e, &kind, key, key);
	}
	assert_int_equal(effects_check(e, &err), FL_OK);
	assert_int_equal(effects_apply_sums(e, NULL, NULL, &err), FL_OK);
	assert_int_equal(calls, KEYS);
	for (int64_t key = 0; key < KEYS; key++)
		assert_int_equal(totals[key], 3 * key);
}

/* A sum that adds sums is followed by a further round. */
static void sums_may_add_sums(void **state)
{
	struct effects *e = *state;
	struct fl_err err = { 0 };

	sum(e, &chain, 1, 5);
	sum(e, &chain, 1, 6);
	sum(e, &kind, 2, 1);
	assert_int_equal(effects_apply_sums(e, NULL, NULL, &err), FL_OK);
	assert_int_equal(totals[2], 12);
	assert_int_equal(calls, 2);
}

/* After a reset nothing of the last batch is left. */
static void reset_forgets(void **state)
{
	struct effects *e = *state;
	struct fl_err err = { 0 };

	for (int i = 0; i < 20000; i++)
		sum(e, &kind, 1, 1);
	after(e, 1);
	effects_reset(e);
	assert_int_equal(effects_apply_sums(e, NULL, NULL, &err), FL_OK);
	effects_run_after(e, NULL);
	assert_int_equal(calls, 0);
	assert_int_equal(n_order, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(effects_run_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(undo_goes_back_to_the_mark, setup, teardown),
		cmocka_unit_test_setup_teardown(sums_are_merged, setup, teardown),
		cmocka_unit_test_setup_teardown(sums_may_add_sums, setup, teardown),
		cmocka_unit_test_setup_teardown(reset_forgets, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
