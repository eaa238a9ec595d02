/* SPDX-License-Identifier: Apache-2.0
 *
 * Who has a device that two rollouts want. */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_has_it),
		cmocka_unit_test(only_the_later_one_takes_over),
		cmocka_unit_test(priority_comes_first),
		cmocka_unit_test(exactly_one_yields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
