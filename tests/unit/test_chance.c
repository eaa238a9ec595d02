/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/gate_chance.h"
#include "server/rollout/strategy.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RATES GATE_CHANCE_RATES

static struct gate_rules gate_of(const char *text)
{
	FL_AUTO_JSON json_t *json = json_loads(text, 0, NULL);
	struct gate_rules g = strategy_gate_default();

	assert_non_null(json);
	assert_int_equal(strategy_gate_read(json, &g, NULL), FL_OK);
	return g;
}

static void chances(const struct gate_rules *g, const int64_t *devices, size_t n, int64_t ahead,
	struct gate_chance *out)
{
	struct gate_curve *c = NULL;

	assert_int_equal(gate_curve_make(g, devices, n, &c, NULL), FL_OK);
	gate_curve_layer(c, devices, n, ahead, out);
	gate_curve_free(c);
}

/* n choose k, exactly enough for the small stages here. */
static double choose(int n, int k)
{
	double v = 1;

	for (int i = 1; i <= k; i++)
		v *= (double)(n - k + i) / i;
	return v;
}

/* Behaviour: a stage that is judged at its end alone passes with the binomial probability. */
static void thresholds_are_binomial(void **state)
{
	struct gate_rules g = gate_of("{\"success\":{\"percent\":90},\"error\":{\"percent\":100}}");
	int64_t devices = 40;
	struct gate_chance out[RATES];

	(void)state;
	chances(&g, &devices, 1, 0, out);
	for (int i = 0; i < RATES; i++) {
		double q = (double)gate_chance_rates[i] / 1e6, pass = 0;

		for (int f = 0; f <= 4; f++)
			pass += choose(40, f) * pow(q, f) * pow(1 - q, 40 - f);
		assert_true(fabs(out[i].pass - pass) < 1e-12);
		assert_true(fabs(out[i].sample - 40) < 1e-9);
		assert_true(fabs(out[i].harmed - 40 * q) < 1e-9);
		assert_true(out[i].exact);
	}
}

/* Behaviour: the sequential test keeps its errors, and its figures are those that a full enumeration of
 * all sequences gives. */
static void sprt_agrees_with_enumeration(void **state)
{
	struct gate_rules g = gate_of(
		"{\"sprt\":{\"p0_percent\":5,\"p1_percent\":50,\"alpha\":0.1,\"beta\":0.2}}");
	int64_t devices = 16;
	struct gate_chance out[RATES];

	(void)state;
	chances(&g, &devices, 1, 0, out);
	for (int i = 1; i < RATES; i++) {
		double q = (double)gate_chance_rates[i] / 1e6, pass = 0, fail = 0, sample = 0;

		for (unsigned word = 0; word < 1u << 16; word++) {
			double p = 1, ratio = 0;
			int n = 0, decided = 0;

			for (int k = 0; k < 16; k++)
				p *= (word & 1u << k) != 0 ? q : 1 - q;
			while (n < 16 && decided == 0) {
				ratio +=
					(word & 1u << n++) != 0 ? log(0.5 / 0.05) : log(0.5 / 0.95);
				decided = ratio >= log(0.8 / 0.1) ? 1
					: ratio <= log(0.2 / 0.9) ? 2
								  : 0;
			}
			fail += decided == 1 ? p : 0;
			pass += decided == 2 ? p : 0;
			sample += p * n;
		}
		assert_true(fabs(out[i].pass - pass) < 1e-9);
		assert_true(fabs(out[i].fail - fail) < 1e-9);
		assert_true(fabs(out[i].sample - sample) < 1e-9);
	}
}

/* Behaviour: the test of the design lets a good release through with 95 % and a bad one with about
 * 10 %, and one that bricks every tenth device in less than one case of a hundred. */
static void the_design_s_test(void **state)
{
	struct gate_rules g = gate_of("{\"sprt\":{}}");
	int64_t devices = 500;
	struct gate_chance out[RATES];

	(void)state;
	chances(&g, &devices, 1, 0, out);
	print_message("500 devices: %.5f of 1 %% pass, %.5f of 5 %%, %.6f of 10 %%\n", out[2].pass,
		out[4].pass, out[5].pass);
	assert_true(out[0].pass > 1 - 1e-12 && fabs(out[0].sample - 55) < 1e-9);
	assert_true(out[2].pass > 0.95);        /* 1 % */
	assert_true(out[4].pass < 0.10 / 0.95); /* 5 %; Wald's bound is beta / (1 - alpha) */
	assert_true(out[5].pass < 0.01);        /* 10 % */
	assert_true(out[5].fail > 0.99);
	assert_true(fabs(out[5].harmed_silent - 50) < 1e-9); /* all 500 have it by then */
	assert_true(out[5].harmed < 5);
}

/* Behaviour: with a limit on devices in flight a silent failure harms only those. */
static void a_limit_in_flight_saves_devices(void **state)
{
	struct gate_rules g = gate_of("{\"sprt\":{}}");
	int64_t devices = 500;
	struct gate_chance out[RATES];

	(void)state;
	chances(&g, &devices, 1, 20, out);
	assert_true(fabs(out[5].harmed_silent - (out[5].harmed + 2)) < 0.1);
}

/* Behaviour: waves that carry their evidence decide together what one large wave decides. */
static void carried_waves_are_one_test(void **state)
{
	struct gate_rules g = gate_of("{\"sprt\":{},\"carry\":true}"), h = gate_of("{\"sprt\":{}}");
	int64_t waves[] = { 5, 10, 15, 470 }, whole = 500;
	struct gate_chance split[4 * RATES], one[RATES];

	(void)state;
	chances(&g, waves, 4, 0, split);
	chances(&h, &whole, 1, 0, one);
	for (int i = 1; i < RATES; i++) {
		double reached = 1;

		/* before the last wave nothing but a failure can be decided: 55 are needed */
		for (int w = 0; w < 3; w++)
			reached *= split[w * RATES + i].pass;
		assert_true(fabs(reached * split[3 * RATES + i].pass - one[i].pass) < 1e-9);
	}
}

/* Behaviour: stages too large to follow are estimated, close to the binomial probability. */
static void large_stages_are_estimated(void **state)
{
	struct gate_rules g = gate_of("{\"success\":{\"percent\":98},\"error\":{\"percent\":100}}");
	int64_t devices[] = { 20000, 500 };
	struct gate_chance out[2 * RATES];
	double pass = 0;

	(void)state;
	chances(&g, devices, 2, 0, out);
	assert_false(out[3].exact);
	/* 2 %: at most 400 of 20000; the logarithms are summed */
	for (int f = 0; f <= 400; f++)
		pass += exp(lgamma(20001) - lgamma(f + 1) - lgamma(20001 - f) + f * log(0.02) +
			(20000 - f) * log(0.98));
	assert_true(fabs(out[3].pass - pass) < 0.01);
	assert_true(out[RATES + 3].exact);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(thresholds_are_binomial),
		cmocka_unit_test(sprt_agrees_with_enumeration),
		cmocka_unit_test(the_design_s_test),
		cmocka_unit_test(a_limit_in_flight_saves_devices),
		cmocka_unit_test(carried_waves_are_one_test),
		cmocka_unit_test(large_stages_are_estimated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
