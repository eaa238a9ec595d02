/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine and maintenance windows: who is held, and which times stand still. */
#include "server/rollout/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MINUTE (60 * INT64_C(1000))
#define HOUR   (60 * MINUTE)
#define NOON   (1000000 * HOUR)

/* One device in one stage, and a window that is open for two hours from NOON on, and a day later again. */
struct scene {
	struct engine_rules rules;
	struct engine_rollout rollout;
	struct engine_stage stage, next;
	struct engine_step step;
	struct window_span spans[2];
	struct window window;
	bool changed;
	unsigned start;
	struct engine_out out;
};

static void set(struct scene *s)
{
	*s = (struct scene){
		.rules = { .layers = 1,
			.waves = 1,
			.gate = { .success_ppm = 900000, .error_ppm = 100000 },
			.reach_ms = 3 * HOUR,
			.install_ms = HOUR,
			.soak_ms = HOUR,
			.back_reach_ms = HOUR,
			.pace = { .back_first = 10 } },
		.rollout = { .id = 1, .state = ROLLOUT_RUNNING, .started_at = NOON - HOUR },
		.stage = { .id = 1, .state = STAGE_RUNNING },
		.step = { .stage_id = 1, .device_no = 1, .attempt = 1, .state = STEP_QUEUED },
		.spans = { { NOON, NOON + 2 * HOUR }, { NOON + 24 * HOUR, NOON + 26 * HOUR } },
	};
	s->stage.sums.rows = s->stage.sums.steps[STEP_QUEUED] = 1;
	s->window = (struct window){ s->spans, 2, 2, NOON - HOUR, NOON + 1000 * HOUR };
}

/* Give the engine a fact at a moment and take over what it changes. */
static const struct engine_out *at(struct scene *s, int64_t now, struct engine_fact fact)
{
	bool of_step = fact.kind == FACT_POLLED || fact.kind == FACT_REPORTED ||
		fact.kind == FACT_INSTALL_DUE;
	struct engine_view view = { .rules = &s->rules,
		.rollout = &s->rollout,
		.stages = of_step ? NULL : &s->stage,
		.stage = &s->stage,
		.step = of_step ? &s->step : NULL,
		.now_ms = now };

	s->out = (struct engine_out){
		.stages = &s->next, .changed = &s->changed, .start = &s->start
	};
	engine_step(&view, &fact, &s->out);
	assert_null(s->out.broken);
	if (s->changed)
		s->stage = s->next;
	if (s->out.step_changed)
		s->step = s->out.step;
	if (s->out.rollout_changed)
		s->rollout = s->out.rollout;
	return &s->out;
}

static struct engine_fact polled(struct scene *s)
{
	return (struct engine_fact){ .kind = FACT_POLLED,
		.manifest = 1,
		.window = &s->window,
		.install_window = &s->window };
}

static void a_device_is_held_while_its_window_is_closed(void **unused)
{
	struct scene s;
	const struct engine_out *out;

	(void)unused;
	set(&s);
	out = at(&s, NOON - 1, polled(&s));
	assert_int_equal(out->hold, ENGINE_HOLD_WINDOW);
	assert_false(out->offer || out->keep); /* it is woken */
	assert_true(at(&s, NOON, polled(&s))->offer);
}

static void who_is_left_over_asks_again_by_itself(void **unused)
{
	struct scene s;

	(void)unused;
	set(&s);
	s.rollout.state = ROLLOUT_COMPLETED;
	s.rollout.ended_at = NOON - HOUR;
	s.stage.state = STAGE_SUCCEEDED;
	s.step.state = STEP_UNREACHED;
	assert_true(at(&s, NOON - 1, polled(&s))->keep);
}

static void the_time_to_install_stands_still_while_it_is_closed(void **unused)
{
	struct scene s;
	struct engine_fact due = { .kind = FACT_INSTALL_DUE };

	(void)unused;
	set(&s);
	(void)at(&s, NOON + 90 * MINUTE, polled(&s));
	/* thirty minutes are left today */
	assert_int_equal(s.step.deadline, NOON + 24 * HOUR + 30 * MINUTE);
	due.install_window = &s.window;
	assert_false(at(&s, s.step.deadline - 1, due)->step_changed);
	(void)at(&s, s.step.deadline, due);
	assert_int_equal(s.step.state, STEP_TIMED_OUT);
}

static void what_closes_later_moves_the_deadline_when_it_comes(void **unused)
{
	struct scene s;
	struct engine_fact due = { .kind = FACT_INSTALL_DUE };

	(void)unused;
	set(&s);
	(void)at(&s, NOON, polled(&s));
	assert_int_equal(s.step.deadline, NOON + HOUR);
	/* somebody has closed it after half of the time */
	s.spans[0].close = NOON + 30 * MINUTE;
	due.install_window = &s.window;
	(void)at(&s, NOON + HOUR, due);
	assert_int_equal(s.step.state, STEP_OFFERED);
	assert_int_equal(s.step.deadline, NOON + 24 * HOUR + 30 * MINUTE);
	(void)at(&s, s.step.deadline, due);
	assert_int_equal(s.step.state, STEP_TIMED_OUT);
}

static void a_pause_and_a_closed_window_are_not_counted_twice_against_a_device(void **unused)
{
	struct scene s;
	struct engine_fact due = { .kind = FACT_INSTALL_DUE };

	(void)unused;
	set(&s);
	(void)at(&s, NOON, polled(&s));
	(void)at(&s, NOON + 30 * MINUTE, (struct engine_fact){ .kind = FACT_PAUSE });
	(void)at(&s, NOON + 5 * HOUR, (struct engine_fact){ .kind = FACT_RESUME });
	due.install_window = &s.window;
	/* half an hour of its hour is left, and the window is closed until tomorrow */
	(void)at(&s, NOON + 5 * HOUR + 30 * MINUTE, due);
	assert_int_equal(s.step.state, STEP_OFFERED);
	assert_true(s.step.deadline >= engine_clock(&s.rollout, NOON + 24 * HOUR + 30 * MINUTE));
}

static void the_time_of_an_update_is_from_delivery_to_confirmation(void **unused)
{
	struct scene s;

	(void)unused;
	set(&s);
	(void)at(&s, NOON, polled(&s));
	(void)at(&s, NOON + 10 * MINUTE,
		(struct engine_fact){
			.kind = FACT_REPORTED, .reported = STEP_CONFIRMED, .manifest = 1 });
	assert_int_equal(s.step.took_ms, 10 * MINUTE);
}

static void the_time_to_reach_devices_stands_still_while_it_is_closed(void **unused)
{
	struct scene s;
	struct engine_fact due = { .kind = FACT_STAGE_DUE };

	(void)unused;
	set(&s);
	due.window = &s.window;
	s.stage.reach = (struct engine_term){ NOON, NOON };
	s.stage.reach_at = NOON + 3 * HOUR;
	(void)at(&s, NOON + 3 * HOUR, due);
	assert_int_equal(s.stage.reach_at, NOON + 25 * HOUR);
	assert_int_equal(s.stage.jobs, 0);
	(void)at(&s, NOON + 25 * HOUR, due);
	assert_int_equal(s.stage.reach_at, 0);
	assert_int_equal(s.stage.jobs, ENGINE_REACH);
}

static void soak_stands_still_while_it_is_closed(void **unused)
{
	struct scene s;
	struct engine_fact due = { .kind = FACT_STAGE_DUE };

	(void)unused;
	set(&s);
	due.window = &s.window;
	s.stage.state = STAGE_SOAKING;
	s.stage.soak = (struct engine_term){ NOON + 90 * MINUTE, NOON + 90 * MINUTE };
	s.stage.soak_until = NOON + 150 * MINUTE;
	(void)at(&s, s.stage.soak_until, due);
	assert_int_equal(s.stage.state, STAGE_SOAKING);
	assert_int_equal(s.stage.soak_until, NOON + 24 * HOUR + 30 * MINUTE);
}

static void devices_are_woken_when_it_opens(void **unused)
{
	struct scene s;
	struct engine_fact due = { .kind = FACT_STAGE_DUE, .opened = true };

	(void)unused;
	set(&s);
	(void)at(&s, NOON, due);
	assert_int_equal(s.start, ENGINE_ATTEND);
	set(&s);
	s.stage.jobs = ENGINE_OPEN; /* they are woken when their rows are made */
	(void)at(&s, NOON, due);
	assert_int_equal(s.start, 0);
}

static void a_way_back(struct scene *s)
{
	set(s);
	s->rollout.state = ROLLOUT_ROLLING_BACK;
	s->rollout.back_wave = ENGINE_ALL_WAVES;
	s->stage.state = STAGE_ROLLING_BACK;
	s->step.back = true;
}

static void a_way_back_waits_for_windows_only_if_it_is_told_to(void **unused)
{
	struct scene s;

	(void)unused;
	a_way_back(&s);
	assert_true(at(&s, NOON - 1, polled(&s))->offer);
	a_way_back(&s);
	s.rules.pace.back_windows = true;
	assert_int_equal(at(&s, NOON - 1, polled(&s))->hold, ENGINE_HOLD_WINDOW);
}

static void a_way_back_obeys_the_limit_and_rates_if_it_is_told_to(void **unused)
{
	struct engine_fact fact;
	struct scene s;

	(void)unused;
	a_way_back(&s);
	s.rules.max_in_flight = 3;
	fact = polled(&s);
	fact.in_flight = 3;
	assert_int_equal(at(&s, NOON, fact)->hold, ENGINE_HOLD_SLOTS);
	fact = polled(&s);
	fact.recent = 5;
	s.rules.pace.max_per_minute = 5;
	s.rules.pace.back_pace = true;
	assert_int_equal(at(&s, NOON, fact)->hold, ENGINE_HOLD_RATE);
	s.rules.pace.back_pace = false;
	assert_true(at(&s, NOON, fact)->offer);
}

/* Without a slot of the fleet nothing is delivered, forward or back, and the device asks again; who would get
 * no order anyhow wants none. */
static void a_slot_of_the_fleet_is_needed_for_an_order_alone(void **unused)
{
	struct engine_fact fact;
	struct scene s;

	(void)unused;
	a_way_back(&s);
	fact = polled(&s);
	fact.no_slot = true;
	assert_int_equal(at(&s, NOON, fact)->hold, ENGINE_HOLD_FLEET);
	assert_true(at(&s, NOON, fact)->keep);
	fact.fit = ENGINE_FROZEN;
	assert_int_equal(at(&s, NOON, fact)->hold, ENGINE_HOLD_FROZEN);
	fact.fit = ENGINE_ALREADY;
	assert_int_equal(at(&s, NOON, fact)->hold, ENGINE_HOLD_FLEET);
	fact.fit = ENGINE_NO_WAY;
	assert_int_equal(at(&s, NOON, fact)->hold, ENGINE_HOLD_NONE);
}

/* A rollout does not stand still for a time in which it had not started, although nobody was there. */
static void an_absence_that_began_before_the_start_is_one_since_the_start(void **unused)
{
	const struct engine_fact away = {
		.kind = FACT_AWAY, .from = NOON - 500 * HOUR, .grace_ms = MINUTE
	};
	struct scene s;

	(void)unused;
	set(&s);
	s.rollout.started_at = NOON;
	(void)at(&s, NOON + HOUR, away);
	assert_int_equal(engine_clock(&s.rollout, NOON + HOUR + MINUTE), NOON);
	assert_int_equal(engine_clock(&s.rollout, NOON + 2 * HOUR + MINUTE), NOON + HOUR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_device_is_held_while_its_window_is_closed),
		cmocka_unit_test(who_is_left_over_asks_again_by_itself),
		cmocka_unit_test(the_time_to_install_stands_still_while_it_is_closed),
		cmocka_unit_test(what_closes_later_moves_the_deadline_when_it_comes),
		cmocka_unit_test(
			a_pause_and_a_closed_window_are_not_counted_twice_against_a_device),
		cmocka_unit_test(the_time_of_an_update_is_from_delivery_to_confirmation),
		cmocka_unit_test(the_time_to_reach_devices_stands_still_while_it_is_closed),
		cmocka_unit_test(soak_stands_still_while_it_is_closed),
		cmocka_unit_test(devices_are_woken_when_it_opens),
		cmocka_unit_test(a_way_back_waits_for_windows_only_if_it_is_told_to),
		cmocka_unit_test(a_way_back_obeys_the_limit_and_rates_if_it_is_told_to),
		cmocka_unit_test(a_slot_of_the_fleet_is_needed_for_an_order_alone),
		cmocka_unit_test(an_absence_that_began_before_the_start_is_one_since_the_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
