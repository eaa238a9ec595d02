/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/gate_math.h"
#include "server/rollout/stratum.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static double choose(int n, int k)
{
	double v = 1;

	if (k < 0 || k > n)
		return 0;
	for (int i = 1; i <= k; i++)
		v *= (double)(n - k + i) / i;
	return v;
}

/* Behaviour: the tail is that of drawing without putting back, for every small table. */
static void the_tail_is_exact(void **state)
{
	(void)state;
	for (int all = 1; all <= 12; all++)
		for (int marked = 0; marked <= all; marked++)
			for (int n = 0; n <= all; n++)
				for (int k = 0; k <= n; k++) {
					double sum = 0;

					for (int i = k; i <= n; i++)
						sum += choose(marked, i) *
							choose(all - marked, n - i) /
							choose(all, n);
					assert_true(
						fabs(gate_math_drawn_at_least(k, n, marked, all) -
							sum) < 1e-12);
				}
}

static bool look(int64_t own_good, int64_t own_bad, int64_t all_good, int64_t all_bad)
{
	double p, limit;

	return stratum_suspicious(
		&(struct stratum_look){ { own_good, own_bad }, { all_good, all_bad }, 10, 1, 0.01 },
		&p, &limit);
}

/* Behaviour: failures in one of ten strata alone are seen after a few; evenly spread ones are not. */
static void concentration_is_seen(void **state)
{
	(void)state;
	assert_false(look(0, 1, 100, 1));
	assert_false(look(10, 2, 100, 2));
	assert_true(look(5, 7, 100, 7));
	assert_false(look(10, 5, 100, 50));
	assert_false(look(100, 7, 100, 7));
}

static uint64_t chance = 88172645463325252u;

static uint64_t below(uint64_t n)
{
	chance ^= chance << 13;
	chance ^= chance >> 7;
	chance ^= chance << 17;
	return chance % n;
}

/* One rollout of 400 outcomes over 8 strata; whether any stratum was held, and which. */
static int walk(int rate, int bad_stratum, int bad_rate)
{
	struct stratum_count own[8] = { 0 }, all = { 0 };

	for (int i = 0; i < 400; i++) {
		int s = (int)below(8);
		bool bad = (int)below(1000) < (s == bad_stratum ? bad_rate : rate);
		double p, limit;

		own[s].successes += !bad;
		own[s].failures += bad;
		all.successes += !bad;
		all.failures += bad;
		if (bad &&
			stratum_suspicious(
				&(struct stratum_look){ own[s], all, 8, 1, 0.05 }, &p, &limit))
			return s;
	}
	return -1;
}

/* Behaviour: looked at after every failure, a stratum is held without reason in fewer than alpha of the
 * rollouts, whatever the share of failures; one that fails much oftener is found nearly always. */
static void looking_often_costs_nothing(void **state)
{
	const int rates[] = { 10, 50, 200, 500 };

	(void)state;
	for (size_t r = 0; r < sizeof(rates) / sizeof(rates[0]); r++) {
		int held = 0, found = 0;

		for (int i = 0; i < 4000; i++)
			held += walk(rates[r], -1, 0) >= 0;
		for (int i = 0; i < 1000; i++)
			found += walk(10, 3, 600) == 3;
		print_message("%d of 4000 held without reason, %d of 1000 found\n", held, found);
		assert_true(held <= 4000 * 0.05);
		assert_true(found > 950);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tail_is_exact),
		cmocka_unit_test(concentration_is_seen),
		cmocka_unit_test(looking_often_costs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
