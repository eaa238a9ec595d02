/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/strategy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static enum fl_code read_text(const char *text, struct strategy *out, struct fl_err *err)
{
	FL_AUTO_JSON json_t *json = json_loads(text, 0, NULL);

	assert_non_null(json);
	memset(out, 0, sizeof(*out));
	return strategy_read(json, 42, out, err);
}

static void must_read(const char *text, struct strategy *out)
{
	struct fl_err err = { 0 };

	if (read_text(text, out, &err) != FL_OK)
		fail_msg("%s: %s", text, err.msg);
}

/* Behaviour: without a word from the operator the defaults are those of the manual. */
static void has_defaults(void **state)
{
	struct strategy s = { 0 };

	(void)state;
	assert_int_equal(strategy_read(NULL, 42, &s, NULL), FL_OK);
	assert_int_equal(s.n_waves, 3);
	assert_int_equal(s.waves[0].kind, WAVE_PERCENT);
	assert_int_equal(s.waves[0].ppm, 10000);
	assert_int_equal(s.waves[2].ppm, STRATEGY_PPM);
	assert_int_equal(s.seed, 42);
	assert_int_equal(s.order, ORDER_WAVE_FIRST);
	assert_int_equal(s.on_failure, ON_FAILURE_PAUSE);
	assert_int_equal(s.conflicts, CONFLICTS_REFUSE);
	assert_int_equal(s.gate.success_ppm, 950000);
	assert_int_equal(s.gate.success_minimum, 0);
	assert_int_equal(s.gate.error_ppm, 50000);
	assert_int_equal(s.gate.error_minimum, 1);
	assert_int_equal(s.gate.causes, 1U << CAUSE_RELEASE | 1U << CAUSE_UNKNOWN);
	assert_int_equal(s.reach_ms, 604800000);
	assert_int_equal(s.install_ms, 3600000);
	assert_int_equal(s.probation_ms, 30000);
	assert_int_equal(s.soak_ms, 0);
	assert_int_equal(s.max_drift_ppm, 20000);
	assert_int_equal(s.max_in_flight, 0);
	assert_int_equal(s.n_strata, 0);
	assert_int_equal(s.approvals, 0);
	assert_true(strategy_has_approver(&s, "anybody"));
	strategy_fini(&s);
	strategy_fini(&s);
}

static const char everything[] =
	"{\"waves\":[{\"count\":5,\"name\":\"canary\"},{\"percent\":12.5},{\"selector\":\"label."
	"ring==b\"},"
	"{\"percent\":100}],\"order\":\"pipelined\",\"early\":\"label.test==yes\",\"joiners\":"
	"\"last_wave\",\"max_joiners\":7,\"strata\":["
	"\"attribute.hw\",\"label.region\"]"
	","
	"\"seed\":9007199254740991,\"gate\":{\"success\":{\"percent\":99.5,\"minimum\":55},"
	"\"error\":{\"percent\":1,\"minimum\":3},\"causes\":[\"release\",\"device\"]},\"soak_s\":"
	"60,"
	"\"reach_s\":100,\"install_s\":200,\"probation_s\":0,\"on_failure\":\"rollback\","
	"\"conflicts\":\"leave_out\",\"max_drift_percent\":0,\"max_in_flight\":500,"
	"\"priority\":10,\"supersede\":true,"
	"\"approvals\":1,\"approvers\":[\"ann\",\"bob\"]}";

/* Behaviour: every setting is read. */
static void reads_everything(void **state)
{
	struct strategy s;

	(void)state;
	must_read(everything, &s);
	assert_int_equal(s.n_waves, 4);
	assert_int_equal(s.waves[0].kind, WAVE_COUNT);
	assert_int_equal(s.waves[0].count, 5);
	assert_string_equal(s.waves[0].name, "canary");
	assert_int_equal(s.waves[1].ppm, 125000);
	assert_int_equal(s.waves[2].kind, WAVE_SELECTOR);
	assert_string_equal(s.waves[2].selector, "label.ring==b");
	assert_int_equal(s.n_strata, 2);
	assert_int_equal(s.order, ORDER_PIPELINED);
	assert_string_equal(s.early, "label.test==yes");
	assert_int_equal(s.joiners, JOINERS_LAST_WAVE);
	assert_int_equal(s.max_joiners, 7);
	assert_string_equal(s.strata[1], "label.region");
	assert_int_equal(s.seed, 9007199254740991);
	assert_int_equal(s.gate.success_ppm, 995000);
	assert_int_equal(s.gate.success_minimum, 55);
	assert_int_equal(s.gate.error_ppm, 10000);
	assert_int_equal(s.gate.error_minimum, 3);
	assert_int_equal(s.gate.causes, 1U << CAUSE_RELEASE | 1U << CAUSE_DEVICE);
	assert_int_equal(s.on_failure, ON_FAILURE_ROLLBACK);
	assert_int_equal(s.conflicts, CONFLICTS_LEAVE_OUT);
	assert_int_equal(s.max_drift_ppm, 0);
	assert_int_equal(s.max_in_flight, 500);
	assert_int_equal(s.priority, 10);
	assert_true(s.supersede);
	assert_int_equal(s.approvals, 1);
	assert_int_equal(s.n_approvers, 2);
	assert_true(strategy_has_approver(&s, "bob"));
	assert_false(strategy_has_approver(&s, "eve"));
	strategy_fini(&s);
}

/* Behaviour: what is written reads back as the same, defaults included. */
static void writes_what_it_reads(void **state)
{
	static const char *const texts[] = { "{}", everything };

	(void)state;
	for (size_t i = 0; i < FL_COUNT(texts); i++) {
		struct strategy a, b = { 0 };
		FL_AUTO_JSON json_t *once = NULL, *twice = NULL;

		must_read(texts[i], &a);
		once = strategy_json(&a);
		assert_non_null(once);
		assert_int_equal(strategy_read(once, 1, &b, NULL), FL_OK);
		twice = strategy_json(&b);
		assert_true(json_equal(once, twice));
		assert_int_equal(json_object_size(once), i == 0 ? 22 : 23);
		strategy_fini(&a);
		strategy_fini(&b);
	}
}

/* Behaviour: a wrong setting is refused with a sentence that names it. */
static void names_what_is_wrong(void **state)
{
	static const char *const cases[][2] = {
		{ "{\"wave\":[]}", "did you mean \"waves\"" },
		{ "{\"waves\":[]}", "\"waves\" must be from 1" },
		{ "{\"waves\":[{\"count\":1},{\"percent\":120}]}",
			"waves[1]: percent must be at least 0.0001" },
		{ "{\"waves\":[{\"percent\":0}]}", "waves[0]: percent" },
		{ "{\"waves\":[{\"count\":0}]}", "\"count\" must be from 1" },
		{ "{\"waves\":[{}]}", "exactly one of" },
		{ "{\"waves\":[{\"count\":1,\"percent\":1}]}", "exactly one of" },
		{ "{\"waves\":[5]}", "waves[0]: a JSON object" },
		{ "{\"strata\":[\"hw\"]}", "strata[0] must be" },
		{ "{\"strata\":[\"label.\"]}", "strata[0] must be" },
		{ "{\"strata\":[7]}", "strata[0] must be" },
		{ "{\"seed\":-1}", "\"seed\" must be from 0" },
		{ "{\"gate\":{\"success\":{\"percent\":101}}}", "gate: success: percent" },
		{ "{\"gate\":{\"error\":{\"minimum\":0}}}",
			"gate: error: minimum must be at least 1" },
		{ "{\"gate\":{\"success\":{\"percent\":80},\"error\":{\"percent\":5}}}",
			"contradict" },
		{ "{\"gate\":{\"causes\":[\"none\"]}}", "no failure" },
		{ "{\"gate\":{\"causes\":[\"bad\"]}}", "causes[0]: \"bad\"" },
		{ "{\"gate\":{\"causes\":[]}}", "\"causes\" must be from 1" },
		{ "{\"on_failure\":\"retry\"}",
			"on_failure: must be one of \"pause\", \"stop\", \"rollback\", not "
			"\"retry\"" },
		{ "{\"order\":\"sideways\"}", "order: must be one of" },
		{ "{\"waves\":[{\"factor\":2}]}", "waves[0]: a factor needs a wave" },
		{ "{\"waves\":[{\"selector\":\"id==a\"},{\"factor\":2}]}",
			"waves[1]: a factor needs" },
		{ "{\"waves\":[{\"count\":1},{\"factor\":1}]}", "factor must be from 1.1 to 100" },
		{ "{\"waves\":[{\"count\":1},{\"factor\":2,\"name\":\"x\"}]}", "and alone" },
		{ "{\"waves\":[{\"count\":1},{\"factor\":2},{\"count\":1}]}", "waves[1]: unknown" },
		{ "{\"joiners\":\"all\"}", "joiners: must be one of" },
		{ "{\"priority\":1001}", "priority" },
		{ "{\"supersede\":1}", "supersede" },
		{ "{\"joiners\":\"last_wave\",\"waves\":[{\"selector\":\"id==a\"}]}",
			"takes the rest" },
		{ "{\"early\":\"\"}", "\"early\"" },
		{ "{\"conflicts\":1}", "\"conflicts\" must be a string" },
		{ "{\"install_s\":0}", "\"install_s\" must be from 1" },
		{ "{\"install_s\":30}", "install_s (30) must be more than probation_s (30)" },
		{ "{\"approvals\":33}", "\"approvals\" must be from 0" },
		{ "{\"approvals\":1,\"approvers\":[7]}", "approvers[0] must be" },
		{ "{\"approvals\":1,\"approvers\":[\"a\",\"a\"]}", "approvers[1]: \"a\" is named" },
		{ "{\"approvals\":2,\"approvers\":[\"a\"]}", "can never agree" },
		{ "{\"approvers\":[\"a\"]}", "how many" },
		{ "{\"max_drift_percent\":-1}", "max_drift_percent must be at least 0" },
	};

	(void)state;
	for (size_t i = 0; i < FL_COUNT(cases); i++) {
		struct strategy s;
		struct fl_err err = { 0 };

		if (read_text(cases[i][0], &s, &err) == FL_OK)
			fail_msg("%s was taken", cases[i][0]);
		if (strstr(err.msg, cases[i][1]) == NULL || strncmp(err.msg, "strategy: ", 10) != 0)
			fail_msg("%s gave: %s", cases[i][0], err.msg);
		assert_null(s.waves);
	}
}

/* Behaviour: "canary 1 %, then doubling" becomes the waves that it stands for, whole and in full. */
static void generates_waves(void **state)
{
	static const int64_t doubling[] = { 10000, 20000, 40000, 80000, 160000, 320000, 370000 };
	static const double factors[] = { 1.1, 1.5, 2, 10, 100 };
	struct strategy s;

	(void)state;
	must_read("{\"waves\":[{\"percent\":1,\"name\":\"canary\"},{\"factor\":2}]}", &s);
	assert_int_equal(s.n_waves, FL_COUNT(doubling));
	for (size_t i = 0; i < s.n_waves; i++) {
		assert_int_equal(s.waves[i].kind, WAVE_PERCENT);
		assert_int_equal(s.waves[i].ppm, doubling[i]);
	}
	assert_string_equal(s.waves[0].name, "canary");
	assert_null(s.waves[1].name);
	strategy_fini(&s);
	for (size_t f = 0; f < FL_COUNT(factors); f++) {
		char text[128];
		int64_t all = 0;

		(void)snprintf(text, sizeof(text),
			"{\"waves\":[{\"selector\":\"id==x\"},{\"count\":1},{\"factor\":%g}]}",
			factors[f]);
		must_read(text, &s);
		for (size_t i = 1; i < s.n_waves; i++) {
			assert_int_equal(s.waves[i].kind, WAVE_COUNT);
			all += s.waves[i].count;
			if (i > 1 && i + 1 < s.n_waves)
				assert_true(s.waves[i].count > s.waves[i - 1].count);
		}
		assert_int_equal(all, 100000000);
		strategy_fini(&s);
	}
}

/* Behaviour: a threshold that is left open follows the one that is given. */
static void thresholds_follow_each_other(void **state)
{
	struct strategy s;

	(void)state;
	must_read("{\"gate\":{\"success\":{\"percent\":80}}}", &s);
	assert_int_equal(s.gate.error_ppm, 200000);
	strategy_fini(&s);
	must_read("{\"gate\":{\"error\":{\"percent\":1}}}", &s);
	assert_int_equal(s.gate.success_ppm, 990000);
	strategy_fini(&s);
	must_read("{\"gate\":{\"error\":{\"percent\":30}}}", &s);
	assert_int_equal(s.gate.success_ppm, 950000);
	strategy_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_defaults),
		cmocka_unit_test(reads_everything),
		cmocka_unit_test(writes_what_it_reads),
		cmocka_unit_test(names_what_is_wrong),
		cmocka_unit_test(thresholds_follow_each_other),
		cmocka_unit_test(generates_waves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
