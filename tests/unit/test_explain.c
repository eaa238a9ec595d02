/* SPDX-License-Identifier: Apache-2.0
 *
 * Explanations: every sentence of the table, stages and steps in all their states, and that what is said
 * of a waiting step is what the engine does. */
#include "server/rollout/explain_device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW    1700000000000
#define MINUTE 60000

/* ---- the table */

/* The names in braces become arguments; n of them. */
static size_t arguments(const char *words, char names[8][32], struct explain_arg args[8])
{
	size_t n = 0;

	while ((words = strchr(words, '{')) != NULL) {
		size_t length = strcspn(words, ":}") - 1;

		(void)snprintf(names[n], 32, "%.*s", (int)length, words + 1);
		args[n] = EXPLAIN_N(names[n], (int64_t)n + 4711);
		words++;
		for (size_t i = 0; i < n; i++)
			if (strcmp(names[i], names[n]) == 0)
				n--; /* it comes twice */
		n++;
	}
	return n;
}

/* Every row can be said; its text holds each argument, its structured form has them as members. */
static void test_every_sentence(void **state)
{
	(void)state;
	for (int c = 0; c < EXPLAIN_CODE_MAX; c++) {
		enum explain_code code = (enum explain_code)c;
		struct explain e = { 0 };
		struct explain_arg args[8];
		char names[8][32], number[16];
		json_t *lines = NULL;
		const json_t *line;
		const char *text;
		size_t n = arguments(explain_code_words(code), names, args);

		for (int k = 0; k < c; k++)
			assert_string_not_equal(
				explain_code_text(code), explain_code_text((enum explain_code)k));
		explain_say(&e, code, args, n);
		assert_true(explain_said(&e, code));
		assert_int_equal(explain_take(&e, &lines, NULL), FL_OK);
		line = json_array_get(lines, 0);
		text = json_string_value(json_object_get(line, "text"));
		assert_null(strpbrk(text, "{}"));
		for (size_t i = 0; i < n; i++) {
			(void)snprintf(number, sizeof(number), "%d", (int)i + 4711);
			assert_non_null(strstr(text, number));
			assert_non_null(json_object_get(line, names[i]));
		}
		json_decref(lines);
	}
}

/* Lengths of time are rounded as people say them. */
static void test_lengths(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} rows[] = { { -5, "0 s" }, { 0, "0 s" }, { 1, "1 s" }, { 37000, "37 s" },
		{ 89000, "89 s" }, { 4 * MINUTE, "4 min" }, { 59 * MINUTE, "59 min" },
		{ 60 * MINUTE, "1 h 0 min" }, { 125 * MINUTE, "2 h 5 min" },
		{ 3LL * 24 * 60 * MINUTE, "3 d 0 h" } };

	(void)state;
	for (size_t i = 0; i < FL_COUNT(rows); i++) {
		FL_AUTO_BUF struct fl_buf b = { 0 };

		explain_length(&b, rows[i].ms);
		assert_string_equal((const char *)b.p, rows[i].text);
	}
}

/* ---- stages */

struct world {
	struct engine_rules rules;
	struct engine_rollout rollout;
	struct engine_stage stages[4]; /* 2 layers, 2 waves */
	struct explain_rollout in;
};

static void make(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->rules = (struct engine_rules){ .layers = 2,
		.waves = 2,
		.order = ENGINE_WAVE_FIRST,
		.gate = { .causes = ~0u,
			.success_ppm = 1000000,
			.error_ppm = 100000,
			.error_minimum = 1 },
		.reach_ms = 60 * MINUTE,
		.install_ms = 30 * MINUTE,
		.pace = { .back_first = 10 } };
	w->rollout = (struct engine_rollout){ .id = 1,
		.state = ROLLOUT_RUNNING,
		.resume_to = ROLLOUT_RUNNING,
		.started_at = NOW - 10 * MINUTE };
	for (int i = 0; i < 4; i++)
		w->stages[i] = (struct engine_stage){
			.id = i + 1, .layer = i % 2, .wave = i / 2, .state = STAGE_PENDING
		};
	w->stages[0].state = STAGE_RUNNING;
	w->stages[0].reach_at = engine_clock(&w->rollout, NOW) + 5 * MINUTE;
	w->in = (struct explain_rollout){ .name = "r",
		.rollout = &w->rollout,
		.rules = &w->rules,
		.stages = w->stages,
		.now_ms = NOW };
}

static void steps(struct engine_stage *s, enum step_state state, int64_t n)
{
	s->sums.steps[state] += n;
	s->sums.rows += n;
	if (state == STEP_CONFIRMED)
		s->sums.outcome_confirmed += n;
}

/* The first line of stage L0.W0 (or another) is this text. */
static void says(struct world *w, int layer, int wave, const char *text)
{
	struct explain e = { 0 };

	explain_stage(&e, &w->in, layer, wave);
	assert_string_equal(explain_first(&e), text);
	explain_fini(&e);
}

/* What a stage waits for, with its numbers, in each of its states. */
static void test_stages(void **state)
{
	struct world w;
	struct engine_stage *s = &w.stages[0];

	(void)state;
	make(&w);
	steps(s, STEP_QUEUED, 40);
	says(&w, 0, 0,
		"it waits for 40 confirmations, if nothing fails: 0 confirmed so far, 0 failed");
	steps(s, STEP_QUEUED, -3);
	steps(s, STEP_CONFIRMED, 3);
	s->tally = (struct gate_tally){ .cursor = 3, .successes = 3 };
	says(&w, 0, 0,
		"it waits for 37 confirmations, if nothing fails: 3 confirmed so far, 0 failed");
	says(&w, 1, 0, "it opens after L0.W0, which is running");
	w.rules.gate.success_minimum = 10;
	says(&w, 0, 0,
		"it waits for 7 confirmations, if nothing fails: 3 confirmed so far, 0 failed");
	s->jobs = ENGINE_OPEN;
	says(&w, 0, 0, "the rows of its 40 devices are being made");
	s->jobs = 0;
	s->state = STAGE_SOAKING;
	s->soak_until = engine_clock(&w.rollout, NOW) + 4 * MINUTE;
	says(&w, 0, 0, "success holds; 4 min of soak are left, until 2023-11-14 22:17 UTC");
	s->state = STAGE_SUCCEEDED;
	s->ended_at = NOW - 2 * MINUTE;
	(void)snprintf(s->text, sizeof(s->text), "10 of 10 confirmed");
	says(&w, 0, 0, "it succeeded 2 min ago: 10 of 10 confirmed");
	s->state = STAGE_FAILED;
	s->decision = GATE_FAILED;
	says(&w, 0, 0, "its gate failed: 10 of 10 confirmed");
	s->state = STAGE_INCONCLUSIVE;
	s->decision = GATE_INCONCLUSIVE;
	says(&w, 0, 0, "its gate is inconclusive: 10 of 10 confirmed");
	s->decision = GATE_OPEN;
	says(&w, 0, 0, "the rollout ended before its gate could decide");
	s->state = STAGE_SKIPPED;
	says(&w, 0, 0, "it was skipped: the rollout ended before it");
	s->state = STAGE_ROLLING_BACK;
	s->sums.back = 5;
	says(&w, 0, 0, "it is taken back: 5 devices still to go, 0 back, 0 failed to");
	s->state = STAGE_ROLLED_BACK;
	says(&w, 0, 0, "it has been taken back: 0 devices went back, 0 failed to, 0 held");
	w.rollout.state = ROLLOUT_READY;
	w.rollout.started_at = 0;
	says(&w, 1, 1, "the rollout is ready: no stage has been opened");
}

/* The line of this code says this; NULL: there is none. */
static void line_says(struct world *w, int layer, int wave, const char *code, const char *text)
{
	struct explain e = { 0 };
	FL_AUTO_JSON json_t *lines = NULL;
	const json_t *line;
	const char *found = NULL;
	size_t i;

	explain_stage(&e, &w->in, layer, wave);
	assert_int_equal(explain_take(&e, &lines, NULL), FL_OK);
	json_array_foreach (lines, i, line)
		if (strcmp(json_string_value(json_object_get(line, "code")), code) == 0)
			found = json_string_value(json_object_get(line, "text"));
	if (text == NULL)
		assert_null(found);
	else
		assert_string_equal(found, text);
	explain_fini(&e);
}

/* A stage that waits says what the one before it waits for, and how fast a limited rate lets it go. */
static void test_lines_behind_the_first(void **state)
{
	struct world w;

	(void)state;
	make(&w);
	steps(&w.stages[0], STEP_QUEUED, 120);
	line_says(&w, 1, 0, "needed_says",
		"L0.W0: it waits for 120 confirmations, if nothing fails: 0 confirmed so far, 0 "
		"failed");
	line_says(&w, 0, 0, "stage_rate", NULL);
	w.rules.pace.max_per_minute = 50;
	line_says(&w, 0, 0, "stage_rate",
		"at most 50 devices of the rollout may be offered it in a minute now, 0 so far: "
		"for the 120 left that takes 3 min at least");
}

/* Confirmations that lie behind a device that is still open are there, but do not count yet. */
static void test_order_of_delivery(void **state)
{
	struct world w;
	struct explain e = { 0 };

	(void)state;
	make(&w);
	w.rules.gate.success_minimum = 3;
	steps(&w.stages[0], STEP_INSTALLING, 1);
	steps(&w.stages[0], STEP_CONFIRMED, 4); /* delivered after the one that installs */
	explain_stage(&e, &w.in, 0, 0);
	assert_true(explain_said(&e, EXPLAIN_SG_HEAD_OF_LINE));
	explain_fini(&e);
}

/* A gate that not even confirmations of all can satisfy is told. */
static void test_cannot_pass(void **state)
{
	struct world w;

	(void)state;
	make(&w);
	steps(&w.stages[0], STEP_QUEUED, 4);
	w.rules.gate.success_minimum = 50;
	assert_int_equal(explain_confirmations(&w.in, &w.stages[0]), -1);
	says(&w, 0, 0,
		"even with success of the 4 devices still open, the gate does not pass by "
		"outcomes");
}

/* ---- devices */

struct part {
	struct world w;
	struct explain_about about;
	struct engine_step steps[2];
	bool changes[2], has[2];
	struct explain_part p;
};

static void make_part(struct part *x)
{
	memset(x, 0, sizeof(*x));
	make(&x->w);
	x->about = (struct explain_about){ .enrolled = true,
		.registered_ms = NOW - 100 * MINUTE,
		.asked_ms = NOW - 20000,
		.interval_ms = MINUTE,
		.now_ms = NOW };
	x->changes[0] = x->changes[1] = x->has[0] = true;
	x->steps[0] = (struct engine_step){ .stage_id = 1,
		.device_no = 1,
		.state = STEP_QUEUED,
		.attempt = 1,
		.changed_at = NOW - 3 * MINUTE };
	x->p = (struct explain_part){ .in = x->w.in,
		.device = &x->about,
		.member = EXPLAIN_ASSIGNED,
		.attention = true,
		.changes = x->changes,
		.has = x->has,
		.steps = x->steps };
	x->p.in.rollout = &x->w.rollout;
	x->p.in.rules = &x->w.rules;
	x->p.in.stages = x->w.stages;
}

static void part_says(struct part *x, bool offered, const char *text)
{
	struct explain e = { 0 };
	bool would = !offered;

	explain_part(&e, &x->p, &would);
	assert_string_equal(explain_first(&e), text);
	assert_int_equal(would, offered);
	explain_fini(&e);
}

/* Every state of a step that holds an order or has ended has its words. */
static void test_step_states(void **state)
{
	static const struct {
		enum step_state state;
		bool back;
		const char *text;
	} rows[] = {
		{ STEP_OFFERED, false, "it was offered L0.W0 2 min ago and is offered" },
		{ STEP_WAITING, false, "it was offered L0.W0 2 min ago and is waiting" },
		{ STEP_INSTALLED, false, "it was offered L0.W0 2 min ago and is installed" },
		{ STEP_REJECTED, false, "it rejected the order of L0.W0 3 min ago" },
		{ STEP_FAILED, false, "it failed in L0.W0 3 min ago (cause: device, attempt 1)" },
		{ STEP_TIMED_OUT, false,
			"it was offered L0.W0 and had not ended within 30 min: it counts as a "
			"failure since 3 min" },
		{ STEP_INELIGIBLE, false,
			"it was not what the plan took it for, or another rollout had it, when "
			"L0.W0 was its turn 3 min ago" },
		{ STEP_CANCELED, false,
			"its step in L0.W0 was called back 3 min ago, when the rollout was ended" },
		{ STEP_SUPERSEDED, false, "another rollout has taken it over 3 min ago" },
		{ STEP_REMOVED, false, "its step in L0.W0 ended 3 min ago, when it was retired" },
		{ STEP_DOWNLOADING, true,
			"it was told 2 min ago to go back from L0.W0 and is downloading" },
		{ STEP_ROLLED_BACK, true,
			"it went back from L0.W0 to what it had before, 3 min ago" },
		{ STEP_ROLLBACK_FAILED, true, "it failed to go back from L0.W0 3 min ago" },
		{ STEP_HELD, false,
			"failures are concentrated in its stratum, which is held since 3 min: it "
			"is offered L0.W0 when somebody releases the stratum" },
		{ STEP_HELD, true,
			"it keeps what it has since 3 min: there is no way back from L0.W0 for "
			"it, or a layer above is held" },
	};

	(void)state;
	for (size_t i = 0; i < FL_COUNT(rows); i++) {
		struct part x;

		make_part(&x);
		x.steps[0].state = rows[i].state;
		x.steps[0].back = rows[i].back;
		x.steps[0].cause = CAUSE_DEVICE;
		x.steps[0].delivered_at = NOW - 2 * MINUTE;
		x.steps[0].deadline = engine_clock(&x.w.rollout, NOW) + MINUTE;
		part_says(&x, false, rows[i].text);
	}
}

/* A waiting step in every state of the rollout and of the stage, for every fit: never a word less than
 * one, `offered` exactly when the engine delivers, and then it says so. */
static void test_waiting_steps_agree_with_the_engine(void **state)
{
	int offers = 0;

	(void)state;
	for (int r = 0; r < ROLLOUT_STATE_MAX; r++)
		for (int g = 0; g < STAGE_STATE_MAX; g++)
			for (int fit = ENGINE_FITS; fit <= ENGINE_GONE; fit++)
				for (int back = 0; back < 2; back++) {
					struct part x;
					struct explain e = { 0 };
					bool offered = false;

					make_part(&x);
					x.w.rollout.state = (enum rollout_state)r;
					x.w.stages[0].state = (enum stage_state)g;
					x.p.fit = (enum engine_fit)fit;
					x.steps[0].back = back != 0;
					explain_part(&e, &x.p, &offered);
					assert_true(json_array_size(e.lines) > 0);
					if (offered)
						assert_true(explain_said(&e, EXPLAIN_OFFERED_NEXT));
					else
						assert_false(
							explain_said(&e, EXPLAIN_OFFERED_NEXT));
					offers += offered;
					explain_fini(&e);
				}
	/* forward: running and completed x running, soaking, succeeded x FITS; and the ways back */
	assert_true(offers > 6);
}

/* Reasons with their numbers. */
static void test_reasons(void **state)
{
	struct part x;

	(void)state;
	make_part(&x);
	part_says(&x, true,
		"it is offered L0.W0 as soon as it asks: within 40 s, if it keeps to its time");
	x.p.attention = false;
	part_says(&x, false,
		"L0.W0 is about to be offered to it: its stage is still going through its devices");
	x.p.attention = true;
	x.about.asked_ms = NOW - 20 * MINUTE;
	part_says(&x, true,
		"it is offered L0.W0 as soon as it asks; it should have asked 19 min ago");
	x.about.asked_ms = 0;
	part_says(&x, true, "it is offered L0.W0 as soon as it asks for the first time");
	x.w.rules.max_in_flight = 50;
	x.p.poll.in_flight = 50;
	part_says(&x, false,
		"the rollout has 50 devices under way and may have 50: one has to end first");
	x.p.other = "hotfix";
	x.p.other_place = "L1.W3";
	part_says(&x, false,
		"it carries out an order of rollout hotfix (L1.W3) first: one order at a time");
	make_part(&x);
	x.has[0] = false;
	x.p.wave = 1;
	x.w.stages[0].state = STAGE_SOAKING;
	part_says(&x, false, "L0.W1 has not been opened: it comes after L0.W0, which is soaking");
	make_part(&x);
	x.steps[0].state = STEP_CONFIRMED;
	part_says(&x, false, "L1.W0 has not been opened: it comes after L0.W0, which is running");
	x.changes[1] = false;
	part_says(&x, false, "it has done its part: 1 step, the last one 3 min ago");
	x.p.member = EXPLAIN_LEFT_OUT;
	x.p.kind = PLAN_HELD;
	x.p.reason = "rollout other has it";
	part_says(&x, false, "the plan left it out: rollout other has it");
	x.p.member = EXPLAIN_UNKNOWN;
	x.p.planned_ms = NOW;
	part_says(&x, false,
		"it was not part of the plan, which was made at 2023-11-14 22:13 UTC: its labels, "
		"attributes or software were others then");
	x.w.rollout.state = ROLLOUT_DENIED;
	(void)snprintf(x.w.rollout.reason, sizeof(x.w.rollout.reason), "Friday");
	part_says(&x, false, "the plan was denied: Friday");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_sentence),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_stages),
		cmocka_unit_test(test_lines_behind_the_first),
		cmocka_unit_test(test_order_of_delivery),
		cmocka_unit_test(test_cannot_pass),
		cmocka_unit_test(test_step_states),
		cmocka_unit_test(test_waiting_steps_agree_with_the_engine),
		cmocka_unit_test(test_reasons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
