/* SPDX-License-Identifier: Apache-2.0
 *
 * Rates, ramps and what is tried again. */
#include "server/rollout/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static struct pace_rules read_pace(const char *pace, const char *retries)
{
	FL_AUTO_JSON json_t *p = pace == NULL ? NULL : json_loads(pace, 0, NULL);
	FL_AUTO_JSON json_t *r = retries == NULL ? NULL : json_loads(retries, 0, NULL);
	struct pace_rules out;
	struct fl_err err = { 0 };

	assert_int_equal(
		pace_read(&(struct pace_members){ .pace = p, .retries = r }, &out, &err), FL_OK);
	return out;
}

static void assert_refused(const char *pace, const char *retries, const char *says)
{
	FL_AUTO_JSON json_t *p = pace == NULL ? NULL : json_loads(pace, 0, NULL);
	FL_AUTO_JSON json_t *r = retries == NULL ? NULL : json_loads(retries, 0, NULL);
	struct pace_rules out;
	struct fl_err err = { 0 };

	assert_int_equal(pace_read(&(struct pace_members){ .pace = p, .retries = r }, &out, &err),
		FL_INVALID);
	if (strstr(err.msg, says) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.msg, says);
}

/* Without rules there is no limit, and nothing is tried again. */
static void test_nothing(void **state)
{
	struct pace_rules r = read_pace(NULL, NULL);

	(void)state;
	assert_int_equal(pace_per_minute(&r, 1000000, 1000000), 0);
	assert_int_equal(pace_retry_after(&r, STEP_FAILED, CAUSE_NETWORK, 1), -1);
	assert_int_equal(r.back_first, 10);
}

/* The rate is multiplied each time so many were notified, up to the maximum. */
static void test_ramp_of_notified(void **state)
{
	struct pace_rules r = read_pace("{\"max_per_minute\": 300, \"ramp\": {\"base_per_minute\": "
					"50, \"increment_factor\": 2, \"notified\": 100}}",
		NULL);

	(void)state;
	assert_int_equal(pace_per_minute(&r, 0, 0), 50);
	assert_int_equal(pace_per_minute(&r, 99, 99), 50);
	assert_int_equal(pace_per_minute(&r, 100, 0), 100);
	assert_int_equal(pace_per_minute(&r, 250, 0), 200);
	assert_int_equal(pace_per_minute(&r, 300, 0), 300);
	assert_int_equal(pace_per_minute(&r, INT64_MAX, 0), 300);
}

/* Only successes raise the rate where that is asked for; a small rate rises by one at least. */
static void test_ramp_of_successes(void **state)
{
	struct pace_rules r = read_pace("{\"ramp\": {\"base_per_minute\": 1, \"increment_factor\": "
					"1.5, \"succeeded\": 10}}",
		NULL);

	(void)state;
	assert_int_equal(pace_per_minute(&r, 500, 9), 1);
	assert_int_equal(pace_per_minute(&r, 500, 10), 2);
	assert_int_equal(pace_per_minute(&r, 500, 20), 3);
	assert_int_equal(pace_per_minute(&r, 500, 40), 6);
	assert_true(pace_per_minute(&r, INT64_MAX, INT64_MAX) > 0);
}

#define LIMIT 7

/* The most offers that any 60 s have seen. */
static int most_in_a_minute(const int64_t *at, int n)
{
	int most = 0;

	for (int first = 0, i = 0; i < n; i++) {
		while (at[i] - at[first] > 60000)
			first++;
		most = i - first + 1 > most ? i - first + 1 : most;
	}
	return most;
}

/* However devices ask, in clumps or one by one, no 60 s see more offers than the limit, wherever they begin;
 * who asks all the time gets as many within any 65 s. */
static void test_no_minute_exceeds_the_rate(void **state)
{
	static int64_t at[40000];
	uint64_t random = 1;

	(void)state;
	for (int gap = 1; gap < 60000; gap *= 3) {
		struct pace_minute m = { 0 };
		int64_t clock = 1000000;
		int n = 0;

		for (int i = 0; i < 20000; i++) {
			random = random * 6364136223846793005u + 1442695040888963407u;
			clock += (random >> 60) == 0 ? (int64_t)(random >> 32) % (2 * gap)
						     : gap % 1000;
			if (pace_recent(&m, clock) >= LIMIT)
				continue;
			pace_note(&m, clock);
			at[n++] = clock;
		}
		assert_true(most_in_a_minute(at, n) <= LIMIT);
		if (gap < 1000)
			assert_true(n >= (clock - 1000000) / 65000 * LIMIT);
	}
}

/* As many as there may be at the end of a minute leave none for the beginning of the next; the limit is free
 * again 65 s later, and nothing is gained by a clock that is set back. */
static void test_a_boundary_gains_nothing(void **state)
{
	struct pace_minute m = { 0 };

	(void)state;
	for (int i = 0; i < LIMIT; i++)
		pace_note(&m, 59999);
	assert_int_equal(pace_recent(&m, 60000), LIMIT);
	assert_int_equal(pace_recent(&m, 119999), LIMIT);
	assert_int_equal(pace_recent(&m, 59999 + 60000 + PACE_SLOT_MS), 0);
	pace_note(&m, 1000);
	assert_int_equal(pace_recent(&m, 1000), LIMIT + 1);
	pace_note(&m, 1000000);
	assert_int_equal(pace_recent(&m, 1000000), 1);
}

/* The first rule that fits says how often and after how long. */
static void test_retries(void **state)
{
	struct pace_rules r = read_pace(NULL,
		"[{\"type\": \"failed\", \"causes\": [\"network\", \"server\"], \"attempts\": 4, "
		"\"backoff_s\": 10, \"factor\": 3}, {\"type\": \"timed_out\", \"attempts\": 2, "
		"\"backoff_s\": 0}]");

	(void)state;
	assert_int_equal(pace_retry_after(&r, STEP_FAILED, CAUSE_NETWORK, 1), 10000);
	assert_int_equal(pace_retry_after(&r, STEP_FAILED, CAUSE_SERVER, 2), 30000);
	assert_int_equal(pace_retry_after(&r, STEP_FAILED, CAUSE_SERVER, 3), 90000);
	assert_int_equal(pace_retry_after(&r, STEP_FAILED, CAUSE_SERVER, 4), -1);
	assert_int_equal(pace_retry_after(&r, STEP_FAILED, CAUSE_RELEASE, 1), -1);
	assert_int_equal(pace_retry_after(&r, STEP_TIMED_OUT, CAUSE_UNKNOWN, 1), 0);
	assert_int_equal(pace_retry_after(&r, STEP_TIMED_OUT, CAUSE_UNKNOWN, 2), -1);
}

/* A wait that grows without end stops growing. */
static void test_long_waits(void **state)
{
	struct pace_rules r =
		read_pace(NULL, "[{\"attempts\": 100, \"backoff_s\": 86400, \"factor\": 100}]");

	(void)state;
	assert_int_equal(pace_retry_after(&r, STEP_FAILED, CAUSE_DEVICE, 99), 2592000000);
}

/* What is written is what was read. */
static void test_round_trip(void **state)
{
	struct pace_rules r = read_pace("{\"max_per_minute\": 7, \"ramp\": "
					"{\"base_per_minute\": 5, \"increment_factor\": 1.5, "
					"\"succeeded\": 9}, \"max_unavailable\": {\"by\": "
					"\"label.site\", \"devices\": 2}}",
		"[{\"type\": \"failed\", \"causes\": [\"device\"], \"attempts\": 3}]");
	struct pace_rules again;
	struct fl_err err;
	FL_AUTO_JSON json_t *pace = pace_json(&r);
	FL_AUTO_JSON json_t *retries = pace_retries_json(&r);
	FL_AUTO_JSON json_t *rollback = pace_rollback_json(&r);

	(void)state;
	assert_int_equal(
		pace_read(&(struct pace_members){ pace, retries, rollback }, &again, &err), FL_OK);
	assert_string_equal(again.label, "site");
	assert_int_equal(again.group, PACE_LABEL);
	assert_int_equal(again.factor_ppm, 1500000);
	assert_int_equal(again.retries[0].causes, 1u << CAUSE_DEVICE);
	assert_int_equal(again.back_error_ppm, r.back_error_ppm);
}

/* Each refusal names the member. */
static void test_refusals(void **state)
{
	(void)state;
	assert_refused("{\"ramp\": {\"base_per_minute\": 5}}", NULL, "pace: ramp: needs one of");
	assert_refused("{\"ramp\": {\"base_per_minute\": 5, \"increment_factor\": 1, "
		       "\"notified\": 1}}",
		NULL, "1.1 to 100");
	assert_refused("{\"max_unavailable\": {\"by\": \"color\", \"devices\": 1}}", NULL,
		"\"gateway\" or \"label.NAME\"");
	assert_refused(NULL, "[{\"attempts\": 3, \"causes\": [\"rain\"]}]", "retries[0]");
	assert_refused(NULL, "[{\"attempts\": 1}]", "retries[0]");
	assert_refused(NULL, "[{\"attempts\": 3, \"type\": \"rejected\"}]", "failed, timed_out");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_ramp_of_notified),
		cmocka_unit_test(test_ramp_of_successes),
		cmocka_unit_test(test_no_minute_exceeds_the_rate),
		cmocka_unit_test(test_a_boundary_gains_nothing),
		cmocka_unit_test(test_retries),
		cmocka_unit_test(test_long_waits),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
