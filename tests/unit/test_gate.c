/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/gate_numbers.h"
#include "server/rollout/strategy.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The gate that a strategy's JSON asks for. */
static struct gate_rules gate_of(const char *text)
{
	FL_AUTO_JSON json_t *json = json_loads(text, 0, NULL);
	struct gate_rules g = strategy_gate_default();
	struct fl_err err = { 0 };

	assert_non_null(json);
	if (strategy_gate_read(json, &g, &err) != FL_OK)
		fail_msg("%s: %s", text, err.msg);
	return g;
}

static void take(const struct gate_rules *g, struct gate_tally *t, int n, enum step_state state)
{
	for (int i = 0; i < n; i++)
		assert_true(gate_take(g, t, t->cursor + 1, state,
			state == STEP_FAILED || state == STEP_TIMED_OUT ? CAUSE_UNKNOWN
									: CAUSE_NONE));
}

static enum gate_decision judge(
	const struct gate_rules *g, const struct gate_tally *t, int64_t open, char *text)
{
	struct gate_feed feed = { .open = open };

	return gate_judge(g, t, &feed, text);
}

/* Behaviour: the sequential test of the design accepts after 55 clean devices, not after 54, and says
 * so with its numbers. */
static void sprt_accepts_after_55(void **state)
{
	struct gate_rules g = gate_of("{\"sprt\":{}}");
	struct gate_tally t = { 0 };
	char text[GATE_TEXT_MAX];

	(void)state;
	assert_int_equal(g.kinds, 1u << GATE_SPRT);
	assert_int_equal(gate_needs(&g), 55);
	take(&g, &t, 54, STEP_CONFIRMED);
	assert_int_equal(judge(&g, &t, 446, text), GATE_OPEN);
	assert_int_equal(judge(&g, &t, 0, text), GATE_INCONCLUSIVE);
	take(&g, &t, 1, STEP_CONFIRMED);
	assert_int_equal(judge(&g, &t, 445, text), GATE_HOLDS);
	assert_int_equal(t.at[GATE_SPRT], 55);
	assert_string_equal(text,
		"55 confirmed, 0 failed: log-likelihood ratio -2.268, accepts at -2.251, rejects "
		"at "
		"2.890");
}

/* Behaviour: two failures at the start fail the test; what it has decided stays, and a failure after an
 * acceptance that has not been acted upon still counts. */
static void sprt_decisions_stay(void **state)
{
	struct gate_rules g = gate_of("{\"sprt\":{}}");
	struct gate_tally t = { 0 }, u = { 0 };
	char text[GATE_TEXT_MAX];

	(void)state;
	take(&g, &t, 1, STEP_FAILED);
	assert_int_equal(judge(&g, &t, 9, text), GATE_OPEN);
	take(&g, &t, 1, STEP_TIMED_OUT);
	assert_int_equal(judge(&g, &t, 8, text), GATE_FAILED);
	take(&g, &t, 200, STEP_CONFIRMED);
	assert_int_equal(judge(&g, &t, 8, text), GATE_FAILED);

	take(&g, &u, 55, STEP_CONFIRMED);
	take(&g, &u, 1, STEP_FAILED);
	assert_int_equal(judge(&g, &u, 8, text), GATE_HOLDS);
	take(&g, &u, 3, STEP_FAILED);
	assert_int_equal(judge(&g, &u, 8, text), GATE_FAILED);
}

/* Behaviour: outcomes are taken in the order of delivery and the gate stops at the first open one. */
static void stops_at_the_first_open(void **state)
{
	struct gate_rules g = gate_of("{\"sprt\":{}}");
	struct gate_tally t = { 0 };

	(void)state;
	assert_true(gate_take(&g, &t, 1, STEP_CONFIRMED, CAUSE_NONE));
	assert_false(gate_take(&g, &t, 2, STEP_INSTALLING, CAUSE_NONE));
	assert_int_equal(t.cursor, 1);
	assert_true(gate_take(&g, &t, 2, STEP_FAILED, CAUSE_NETWORK));
	assert_int_equal(t.failures, 0);
	assert_int_equal(t.types[GATE_TYPE_FAILED], 1);
	assert_true(gate_take(&g, &t, 3, STEP_REMOVED, CAUSE_NONE));
	assert_int_equal(t.successes + t.failures, 1);
}

/* The incomplete beta function by another way: for whole a and b it is a binomial sum, added up in exact
 * order of size with long doubles. */
static double beta_above_by_sum(int a, int b, double x)
{
	int n = a + b - 1;
	long double sum = 0;

	for (int j = 0; j < a; j++) {
		long double term = 1;

		for (int i = 0; i < j; i++)
			term *= (long double)(n - i) / (j - i) * (long double)x;
		for (int i = 0; i < n - j; i++)
			term *= 1 - (long double)x;
		sum += term;
	}
	return (double)sum;
}

/* Behaviour: what the Bayesian gate says is the tail of the Beta distribution, as computed by binomial
 * sums and by hand. */
static void bayes_is_the_beta_tail(void **state)
{
	(void)state;
	for (int failures = 0; failures <= 20; failures += 4) {
		for (int successes = 0; successes <= 400; successes += 40) {
			struct gate_rules g = gate_of(
				"{\"bayes\":{\"prior_a\":1,\"prior_b\":1,\"limit_percent\":5}}");
			struct gate_tally t = { 0 };
			struct gate_feed feed = { .open = 1 };
			FL_AUTO_JSON json_t *numbers = NULL;
			double ours, theirs = beta_above_by_sum(1 + failures, 1 + successes, 0.05);

			take(&g, &t, failures, STEP_FAILED);
			take(&g, &t, successes, STEP_CONFIRMED);
			numbers = gate_numbers(&g, &t, &feed);
			ours = json_real_value(json_object_get(
				json_array_get(json_object_get(numbers, "votes"), 0),
				"probability_above_limit"));
			if (fabs(ours - theirs) > 1e-9 * theirs + 1e-15)
				fail_msg("%d failed, %d confirmed: %.15g, not %.15g", failures,
					successes, ours, theirs);
		}
	}
	/* uniform prior, no failure: (1 - limit)^(n + 1) <= 0.05 first for n = 58 */
	struct gate_rules g = gate_of("{\"bayes\":{\"pass_below\":0.05}}");
	assert_int_equal(gate_needs(&g), 58);
	g = gate_of("{\"bayes\":{\"minimum\":100}}");
	assert_int_equal(gate_needs(&g), 100);
}

/* Behaviour: the Bayesian gate passes and fails at its probabilities. */
static void bayes_passes_and_fails(void **state)
{
	struct gate_rules g = gate_of("{\"bayes\":{}}");
	struct gate_tally t = { 0 }, u = { 0 };
	char text[GATE_TEXT_MAX];

	(void)state;
	take(&g, &t, 57, STEP_CONFIRMED);
	assert_int_equal(judge(&g, &t, 3, text), GATE_OPEN);
	take(&g, &t, 1, STEP_CONFIRMED);
	assert_int_equal(judge(&g, &t, 3, text), GATE_HOLDS);
	take(&g, &u, 1, STEP_FAILED);
	assert_int_equal(judge(&g, &u, 3, text), GATE_FAILED);
	assert_non_null(strstr(text, "0 confirmed, 1 failed: more than 5 % fail with probability"));
}

/* Behaviour: stop criteria count by type, whatever the cause, and not before their minimum. */
static void stop_criteria_by_type(void **state)
{
	struct gate_rules g =
		gate_of("{\"stop\":[{\"type\":\"timed_out\",\"threshold\":10,\"min_executed\":5},"
			"{\"type\":\"rejected\",\"threshold\":40}],\"error\":{\"percent\":100}}");
	struct gate_tally t = { 0 }, u = { 0 };
	char text[GATE_TEXT_MAX];

	(void)state;
	take(&g, &t, 1, STEP_TIMED_OUT);
	take(&g, &t, 3, STEP_CONFIRMED);
	assert_int_equal(judge(&g, &t, 6, text), GATE_OPEN);
	take(&g, &t, 1, STEP_CONFIRMED);
	assert_int_equal(judge(&g, &t, 5, text), GATE_FAILED);
	assert_string_equal(text, "1 of 5 timed out, more than 10 % stop it");
	take(&g, &u, 2, STEP_CONFIRMED);
	take(&g, &u, 1, STEP_REJECTED);
	assert_int_equal(judge(&g, &u, 6, text), GATE_OPEN);
	take(&g, &u, 1, STEP_REJECTED);
	assert_int_equal(judge(&g, &u, 6, text), GATE_FAILED);
}

/* Behaviour: a gate of several kinds passes when all do, fails when one does, and tells which it waits
 * for. */
static void kinds_combine(void **state)
{
	struct gate_rules g = gate_of("{\"sprt\":{},\"success\":{\"percent\":90,\"minimum\":70},"
				      "\"external\":{\"within_s\":60}}");
	struct gate_tally t = { 0 };
	struct gate_feed feed = { .open = 10 };
	char text[GATE_TEXT_MAX];

	(void)state;
	take(&g, &t, 60, STEP_CONFIRMED);
	assert_int_equal(gate_judge(&g, &t, &feed, text), GATE_OPEN);
	assert_non_null(strstr(text, "60 confirmed"));
	take(&g, &t, 10, STEP_CONFIRMED);
	assert_int_equal(gate_judge(&g, &t, &feed, text), GATE_OPEN);
	assert_string_equal(text, "waits for a verdict, at most 60 s");
	feed.verdict = VERDICT_PASS;
	assert_int_equal(gate_judge(&g, &t, &feed, text), GATE_HOLDS);
	feed.verdict = VERDICT_INCONCLUSIVE;
	feed.said = "ci: no data";
	assert_int_equal(gate_judge(&g, &t, &feed, text), GATE_INCONCLUSIVE);
	assert_string_equal(text, "the verdict is inconclusive: ci: no data");
	feed.verdict = VERDICT_FAIL;
	assert_int_equal(gate_judge(&g, &t, &feed, text), GATE_FAILED);
}

/* Behaviour: a manual gate never passes by itself; with nothing to do there is nobody to wait for. */
static void manual_waits(void **state)
{
	struct gate_rules g = gate_of("{\"manual\":true}");
	struct gate_tally t = { 0 };
	char text[GATE_TEXT_MAX];

	(void)state;
	assert_int_equal(judge(&g, &t, 0, text), GATE_HOLDS);
	take(&g, &t, 3, STEP_CONFIRMED);
	assert_int_equal(judge(&g, &t, 0, text), GATE_OPEN);
	assert_string_equal(text, "waits for a person to promote it");
}

/* Behaviour: a gate waits for a person once all its other kinds agree, and only if it is manual. */
static void waits_for_a_person(void **state)
{
	struct gate_rules both = gate_of("{\"manual\":true}"),
			  alone = gate_of("{\"success\":{\"percent\":100}}");
	struct gate_feed open = { .open = 1 }, ended = { 0 };
	struct gate_tally t = { 0 };

	(void)state;
	take(&both, &t, 3, STEP_CONFIRMED);
	assert_false(gate_waits_for_person(&both, &t, &open));
	assert_true(gate_waits_for_person(&both, &t, &ended));
	assert_false(gate_waits_for_person(&alone, &t, &ended));
	both.kinds = 1u << GATE_MANUAL;
	assert_true(gate_waits_for_person(&both, &t, &open));
}

/* Behaviour: with `carry` an undecided wave goes on and hands its evidence over; the last one is
 * inconclusive, and after a decision the next begins with none. */
static void evidence_is_carried(void **state)
{
	struct gate_rules g = gate_of("{\"sprt\":{},\"carry\":true}");
	struct gate_tally t = { 0 }, next;
	struct gate_feed feed = { .onward = true };
	char text[GATE_TEXT_MAX];

	(void)state;
	take(&g, &t, 5, STEP_CONFIRMED);
	assert_int_equal(gate_judge(&g, &t, &feed, text), GATE_HOLDS);
	assert_string_equal(
		text, "undecided with 5 confirmed and 0 failed: the next wave adds to that");
	feed.onward = false;
	assert_int_equal(gate_judge(&g, &t, &feed, text), GATE_INCONCLUSIVE);
	assert_true(gate_undecided(&g, &t));
	next = gate_carry(&t);
	assert_int_equal(next.carried_successes, 5);
	assert_int_equal(next.cursor, 0);
	take(&g, &next, 49, STEP_CONFIRMED);
	assert_true(gate_undecided(&g, &next));
	take(&g, &next, 1, STEP_CONFIRMED);
	assert_int_equal(gate_judge(&g, &next, &feed, text), GATE_HOLDS);
	assert_false(gate_undecided(&g, &next));
	/* a wave that brings nothing of its own is a doubt, not a success */
	next = gate_carry(&t);
	feed = (struct gate_feed){ .onward = true, .silent = 3 };
	assert_int_equal(gate_judge(&g, &next, &feed, text), GATE_INCONCLUSIVE);
}

/* Behaviour: what is read is written completely, and read again it is the same. */
static void json_goes_round(void **state)
{
	static const char *const texts[] = {
		"{}",
		"{\"sprt\":{\"p0_percent\":0.5,\"p1_percent\":12.5,\"alpha\":0.01,\"beta\":0.2}}",
		"{\"bayes\":{\"prior_a\":0.5,\"prior_b\":9.5,\"limit_percent\":2,\"pass_below\":0."
		"1,"
		"\"fail_above\":0.9,\"minimum\":20},\"carry\":true}",
		"{\"stop\":[{\"type\":\"all\",\"threshold\":12.5,\"min_executed\":7}],\"manual\":"
		"true,"
		"\"external\":{\"within_s\":90}}",
		"{\"sprt\":{},\"error\":{\"percent\":3,\"minimum\":9},\"causes\":[\"network\"]}",
	};

	(void)state;
	for (size_t i = 0; i < FL_COUNT(texts); i++) {
		struct gate_rules g = gate_of(texts[i]), again = strategy_gate_default();
		FL_AUTO_JSON json_t *json = strategy_gate_json(&g), *twice = NULL;

		assert_non_null(json);
		assert_int_equal(strategy_gate_read(json, &again, NULL), FL_OK);
		twice = strategy_gate_json(&again);
		assert_true(json_equal(json, twice));
		assert_int_equal(g.kinds, again.kinds);
	}
}

/* Behaviour: a gate that makes no sense is refused with the member's name. */
static void refuses_nonsense(void **state)
{
	static const char *const texts[][2] = {
		{ "{\"sprt\":{\"p0_percent\":5,\"p1_percent\":5}}",
			"sprt: p0_percent (5) must be less" },
		{ "{\"sprt\":{\"alpha\":0}}", "sprt: alpha must be at least 0.000001" },
		{ "{\"sprt\":{\"alpha\":0.5,\"beta\":0.5}}", "sprt: alpha and beta" },
		{ "{\"sprt\":{\"gamma\":1}}", "sprt" },
		{ "{\"bayes\":{\"prior_a\":0}}", "bayes: prior_a must be at least 0.001" },
		{ "{\"bayes\":{\"pass_below\":0.9,\"fail_above\":0.1}}", "bayes: pass_below" },
		{ "{\"stop\":[]}", "stop" },
		{ "{\"stop\":[{\"type\":\"lost\",\"threshold\":1}]}", "stop[0]: type" },
		{ "{\"stop\":[{\"type\":\"all\",\"threshold\":101}]}", "stop[0]: threshold" },
		{ "{\"external\":{\"within_s\":0}}", "external" },
		{ "{\"manual\":1}", "manual" },
		{ "{\"strata\":{\"by\":[\"hw\"]}}", "strata: by[0] must be" },
		{ "{\"strata\":{\"by\":[]}}", "strata" },
	};

	(void)state;
	for (size_t i = 0; i < FL_COUNT(texts); i++) {
		FL_AUTO_JSON json_t *json = json_loads(texts[i][0], 0, NULL);
		struct gate_rules g = strategy_gate_default();
		struct fl_err err = { 0 };

		assert_non_null(json);
		assert_int_equal(strategy_gate_read(json, &g, &err), FL_INVALID);
		if (strstr(err.msg, texts[i][1]) == NULL)
			fail_msg("%s: %s", texts[i][0], err.msg);
	}
}

/* Behaviour: each kind says what it demands, and every word of the wire is read back. */
static void says_what_it_demands(void **state)
{
	struct gate_rules g =
		gate_of("{\"success\":{\"minimum\":20},\"error\":{},\"stop\":[{\"type\":"
			"\"all\",\"threshold\":5}],\"sprt\":{},\"bayes\":{},"
			"\"external\":{},\"manual\":true}");
	FL_AUTO_JSON json_t *demands = gate_demands(&g);
	enum gate_type type;
	enum gate_verdict verdict;

	(void)state;
	assert_int_equal(json_array_size(demands), GATE_KIND_MAX);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(demands, GATE_SPRT), "text")),
		"sequential test: passes 1 % failures with 5 % error, fails 5 % with 10 %; after "
		"55 "
		"clean devices at the earliest");
	for (int i = 0; i < GATE_TYPE_MAX; i++) {
		assert_int_equal(
			gate_type_parse(gate_type_text((enum gate_type)i), &type, NULL), FL_OK);
		assert_int_equal(type, i);
	}
	for (int i = VERDICT_PASS; i < VERDICT_MAX; i++) {
		assert_int_equal(
			gate_verdict_parse(gate_verdict_text((enum gate_verdict)i), &verdict, NULL),
			FL_OK);
		assert_int_equal(verdict, i);
	}
	assert_int_equal(gate_verdict_parse("none", &verdict, NULL), FL_INVALID);
}

/* Behaviour: what is one with an earlier outcome moves the cursor and counts nothing. */
static void passes_over_what_is_one(void **state)
{
	const struct gate_rules rules = { .causes = ~0u, .error_ppm = 500000, .error_minimum = 1 };
	struct gate_tally tally = { 0 };

	(void)state;
	assert_true(gate_take(&rules, &tally, 1, STEP_TIMED_OUT, CAUSE_UNKNOWN));
	gate_pass_over(&tally, 2);
	assert_true(gate_take(&rules, &tally, 3, STEP_CONFIRMED, CAUSE_NONE));
	assert_int_equal(tally.cursor, 3);
	assert_int_equal(tally.failures, 1);
	assert_int_equal(tally.successes, 1);
	assert_int_equal(tally.types[GATE_TYPE_TIMED_OUT], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sprt_accepts_after_55),
		cmocka_unit_test(sprt_decisions_stay),
		cmocka_unit_test(stops_at_the_first_open),
		cmocka_unit_test(bayes_is_the_beta_tail),
		cmocka_unit_test(bayes_passes_and_fails),
		cmocka_unit_test(stop_criteria_by_type),
		cmocka_unit_test(kinds_combine),
		cmocka_unit_test(manual_waits),
		cmocka_unit_test(waits_for_a_person),
		cmocka_unit_test(evidence_is_carried),
		cmocka_unit_test(json_goes_round),
		cmocka_unit_test(refuses_nonsense),
		cmocka_unit_test(says_what_it_demands),
		cmocka_unit_test(passes_over_what_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
