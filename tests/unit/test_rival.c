/* SPDX-License-Identifier: Apache-2.0
 *
 * Who has a device that two rollouts want, and whose what it has is. */
#include "server/rollout/owner.h"
#include "server/rollout/rival.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Behaviour: the first one has it, unless the later one takes over. */
static void the_first_has_it(void **state)
{
	const struct rival first = { 2, 100, 0, false }, later = { 1, 200, 0, false },
			   hotfix = { 3, 200, 0, true };

	(void)state;
	assert_false(rival_yields(&first, &later));
	assert_true(rival_yields(&later, &first));
	assert_true(rival_yields(&first, &hotfix));
	assert_false(rival_yields(&hotfix, &first));
}

/* Behaviour: an older rollout that would take over others has no hold on a later one. */
static void only_the_later_one_takes_over(void **state)
{
	const struct rival hotfix = { 1, 100, 0, true }, later = { 2, 200, 0, false },
			   next = { 3, RIVAL_NOT_STARTED, 0, true };

	(void)state;
	assert_true(rival_yields(&later, &hotfix));
	assert_true(rival_yields(&hotfix, &next));
}

/* Behaviour: the priority comes before everything else. */
static void priority_comes_first(void **state)
{
	const struct rival low = { 1, 100, 0, true }, high = { 2, 200, 10, false };

	(void)state;
	assert_true(rival_yields(&low, &high));
	assert_false(rival_yields(&high, &low));
}

/* Behaviour: of any two exactly one gives way. */
static void exactly_one_yields(void **state)
{
	struct rival all[2 * 2 * 2];
	size_t n = 0;

	(void)state;
	for (int64_t at = 0; at < 2; at++)
		for (int64_t priority = 0; priority < 2; priority++)
			for (int supersede = 0; supersede < 2; supersede++, n++)
				all[n] = (struct rival){ (int64_t)n, at, priority, supersede != 0 };
	for (size_t a = 0; a < n; a++)
		for (size_t b = 0; b < n; b++)
			if (a != b)
				assert_int_not_equal(rival_yields(&all[a], &all[b]),
					rival_yields(&all[b], &all[a]));
}

/* Behaviour: a claim gives way to who takes over as to one that is newer, to who was first as to one that has
 * the device; one of a rollout that is over gives way to all, and rivals from before `since` do not count. */
static void what_a_claim_comes_to(void **state)
{
	const struct rival old = { 1, 100, 0, false }, hotfix = { 2, 200, 0, true },
			   later = { 3, 300, 0, false };
	struct rival_claim claim = { .us = old };

	(void)state;
	assert_int_equal(rival_fit(&claim, &hotfix), ENGINE_NOT_OURS);
	assert_int_equal(rival_fit(&claim, &later), ENGINE_FITS);
	claim.over = true;
	assert_int_equal(rival_fit(&claim, &later), ENGINE_NOT_OURS);
	claim = (struct rival_claim){ .us = old, .since = 201 };
	assert_int_equal(rival_fit(&claim, &hotfix), ENGINE_FITS);
	claim = (struct rival_claim){ .us = later };
	assert_int_equal(rival_fit(&claim, &old), ENGINE_UNFIT);
	claim = (struct rival_claim){ .us = old, .any = true };
	assert_int_equal(rival_fit(&claim, &later), ENGINE_UNFIT);
}

/* Behaviour: an order counts as long as its device may have what it brought; what was taken back, failed
 * without a switch, or was never carried out does not. */
static void what_a_device_may_have(void **state)
{
	static const struct {
		struct owner_order order;
		bool holds;
		enum engine_fit behind;
	} cases[] = {
		{ { .state = STEP_CONFIRMED }, true, ENGINE_LATER },
		{ { .state = STEP_INSTALLING }, true, ENGINE_LATER },
		{ { .state = STEP_TIMED_OUT }, true, ENGINE_LATER },
		{ { .state = STEP_FAILED }, false, ENGINE_FITS },
		{ { .state = STEP_FAILED, .flags = ENGINE_SWITCHED }, true, ENGINE_LATER },
		{ { .state = STEP_SUPERSEDED }, false, ENGINE_FITS },
		{ { .state = STEP_QUEUED, .back = true }, true, ENGINE_LATER },
		{ { .state = STEP_HELD, .back = true }, true, ENGINE_NO_WAY },
		{ { .state = STEP_ROLLED_BACK, .back = true }, false, ENGINE_FITS },
	};

	(void)state;
	for (size_t i = 0; i < FL_COUNT(cases); i++) {
		assert_int_equal(owner_holds(&cases[i].order), cases[i].holds);
		assert_int_equal(owner_behind(&cases[i].order), cases[i].behind);
	}
}

/* Behaviour: a module is the later order's, if that is another rollout's. */
static void the_later_order_owns(void **state)
{
	const struct owner_order ours = { .rollout_id = 1, .manifest = 5 };
	struct owner_order other = { .rollout_id = 2, .manifest = 6, .state = STEP_CONFIRMED };

	(void)state;
	assert_true(owner_since(&other, &ours));
	other.manifest = 4;
	assert_false(owner_since(&other, &ours));
	other = (struct owner_order){ .rollout_id = 1, .manifest = 6, .state = STEP_CONFIRMED };
	assert_false(owner_since(&other, &ours));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_has_it),
		cmocka_unit_test(only_the_later_one_takes_over),
		cmocka_unit_test(priority_comes_first),
		cmocka_unit_test(exactly_one_yields),
		cmocka_unit_test(what_a_claim_comes_to),
		cmocka_unit_test(what_a_device_may_have),
		cmocka_unit_test(the_later_order_owns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
