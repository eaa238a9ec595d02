/* SPDX-License-Identifier: Apache-2.0
 *
 * What is supposed of a simulated fleet changes the figures as it should: where there is a closed form, by as
 * much as that says. */
#include "tests/unit/simulate_bench.h"

#include <math.h>

#define LENIENT "{\"success\":{\"percent\":1},\"error\":{\"percent\":99,\"minimum\":1000}}"
#define MANY    2000

static struct bench b;
static uint32_t gateway[MANY], group[MANY], class[MANY];

/* Whether a mean of n draws with such a deviation is what was expected: five of its own, and two seconds
 * for the grain of time. */
static void assert_mean(double mean, double expected, double deviation, double n)
{
	print_message("%.4f, expected %.4f\n", mean, expected);
	assert_true(fabs(mean - expected) <= 5 * deviation / sqrt(n) + 2);
}

/* Whether so many of MANY is what a share says. */
static void assert_share(int64_t count, double share)
{
	print_message("%lld of %d, expected %.1f\n", (long long)count, MANY, share * MANY);
	assert_true(
		fabs((double)count - share * MANY) <= 5 * sqrt(share * (1 - share) * MANY) + 1e-6);
}

/* ---- connections */

/* Behaviour: who is always there is through after half a poll interval and the installation, on average. */
static void who_is_there_asks_within_its_interval(void **state)
{
	(void)state;
	set_up(&b, LENIENT, MANY);
	b.link.poll_ms = 20 * MINUTE;
	run(&b);
	assert_int_equal(b.out.confirmed, MANY);
	/* evenly over 20 min, and over 5 min: the deviation of both is width / sqrt(12) */
	assert_mean(b.out.mean_s, 600 + 300, 60 * sqrt((20 * 20 + 5 * 5) / 12.0), MANY);
	assert_true(b.out.max_s <= 20 * 60 + 7.5 * 60 + 3);
}

/* Behaviour: who is there one hour of twelve is waited for as long as a random moment is from that hour. */
static void duty_cycles_are_waited_for(void **state)
{
	const double off = 11 * 3600.0, share = 11 / 12.0;

	(void)state;
	set_up(&b, LENIENT, MANY);
	b.link = (struct simulate_link){ SIMULATE_DUTY, MINUTE, HOUR, 11 * HOUR };
	run(&b);
	assert_int_equal(b.out.confirmed, MANY);
	/* half a minute of polling counts for those that are there already */
	assert_mean(b.out.mean_s, share * off / 2 + 30 + 300,
		sqrt(share * off * off / 3 - share * share * off * off / 4), MANY);
	assert_true(b.out.max_s <= off + 60 + 450 + 3);
}

/* Behaviour: who comes and goes at random is away with the share of its times, and then for an exponential
 * time. */
static void random_times_are_waited_for(void **state)
{
	const double off = 3 * 3600.0, share = 3 / 4.0;

	(void)state;
	set_up(&b, LENIENT, MANY);
	b.link = (struct simulate_link){ SIMULATE_RANDOM, MINUTE, HOUR, 3 * HOUR };
	run(&b);
	assert_int_equal(b.out.confirmed, MANY);
	assert_mean(
		b.out.mean_s, share * off + 30 + 300, sqrt(2 * share - share * share) * off, MANY);
}

/* ---- versions */

/* Behaviour: failures of layers add up as chances do, those that are told and those that are silent; an
 * installation takes as long as its own layer says. */
static void layers_fail_and_take_their_time(void **state)
{
	(void)state;
	set_up(&b, LENIENT, MANY);
	b.rules.layers = 2;
	b.rules.order = ENGINE_PIPELINED;
	b.layers[0].fail_ppm = 100000;
	b.layers[1].silent_ppm = 200000;
	run(&b);
	assert_share(b.out.harmed, 1 - 0.9 * 0.8);
	assert_share(b.out.confirmed, 0.9 * 0.8);
	assert_share(b.out.failures, 0.1 + 0.9 * 0.2);
	/* everybody gets the first one, who has it the second one */
	assert_share(b.out.delivered - MANY, 0.9);
	set_up(&b, LENIENT, MANY);
	run(&b);
	double once = b.out.mean_s;
	b.layers[0].install_ms = 30 * MINUTE;
	run(&b);
	assert_mean(b.out.mean_s - once, 25 * 60, 30 * 60, MANY);
}

/* Behaviour: a failure that is tried again up to three times, each time with the same chance, leaves one of
 * eight; each try comes after its back-off, which doubles. */
static void retries_wait_and_help(void **state)
{
	(void)state;
	set_up(&b, LENIENT, MANY);
	b.layers[0].fail_ppm = 500000;
	b.rules.pace.retries[0] = (struct pace_retry){ .ends = PACE_FAILED,
		.causes = 1u << CAUSE_RELEASE,
		.attempts = 3,
		.backoff_ms = HOUR,
		.factor_ppm = 2000000 };
	b.rules.pace.n_retries = 1;
	run(&b);
	assert_share(b.out.confirmed, 1 - 1 / 8.0);
	assert_mean((double)b.out.delivered / MANY, 1 + 1 / 2.0 + 1 / 4.0, 0, MANY);
	assert_true(b.out.max_s > 3 * 3600 && b.out.max_s < 3.7 * 3600);
}

/* ---- gateways and groups */

/* Twenty devices of which the first is the gateway of the others, and thirty that stand alone. Devices take
 * longer than the gateway. */
static void set_up_gateway(void)
{
	set_up(&b, LENIENT, 50);
	for (uint32_t d = 0; d < 50; d++) {
		gateway[d] = d == 0 || d >= 20 ? SIMULATE_NOBODY : 0;
		class[d] = d == 0;
	}
	b.layers[0].install_ms = HOUR;
	b.in.gateway = gateway;
	b.in.class = class;
}

/* Behaviour: a gateway that dies takes the devices behind it along: twenty are harmed, and for the gate that
 * is one failure. Twenty bricks that have no gateway in common are twenty. */
static void a_dead_gateway_is_one_failure(void **state)
{
	(void)state;
	set_up_gateway();
	b.in.gateway_ppm = 1000000;
	run(&b);
	assert_int_equal(b.out.confirmed, 30);
	assert_int_equal(b.out.harmed, 20);
	assert_int_equal(b.out.failures, 1);
	set_up_gateway();
	for (uint32_t d = 0; d < 50; d++)
		class[d] = d < 20;
	b.layers[1].silent_ppm = 1000000;
	b.in.gateway = NULL;
	run(&b);
	assert_int_equal(b.out.harmed, 20);
	assert_int_equal(b.out.failures, 20);
}

/* Behaviour: what gateways get in a lower layer comes before what their devices get above it; behind one on
 * which it fails nobody is offered that. */
static void gateways_come_first(void **state)
{
	const struct simulate_layer nothing = { .absent = true }, good = { .install_ms = MINUTE },
				    bad = { .install_ms = MINUTE, .fail_ppm = 1000000 };
	/* of devices, of a gateway on which it fails, of one that is well */
	const struct simulate_layer layers[] = { nothing, good, bad, nothing, good, nothing };

	(void)state;
	set_up_gateway();
	b.rules.layers = 2;
	b.rules.gate.success_minimum = 1;
	b.in.layers = layers;
	for (uint32_t d = 20; d < 50; d++) {
		gateway[d] = d == 20 ? SIMULATE_NOBODY : 20;
		class[d] = d == 20 ? 2 : 0;
	}
	run(&b);
	assert_int_equal(b.out.harmed, 1);
	assert_int_equal(b.out.confirmed, 30); /* the second gateway and its devices */
	assert_int_equal(b.out.delivered, 31);
}

/* Behaviour: when everything is taken back gateways wait for the devices behind them, and everybody who
 * answers comes back. */
static void gateways_go_back_last(void **state)
{
	(void)state;
	set_up_gateway();
	b.rules.layers = 2;
	b.rules.on_failure = ENGINE_ROLL_IT_BACK;
	b.rules.gate = gate_of("{\"error\":{\"percent\":10,\"minimum\":20}}");
	/* the last layer fails on half of the devices, after gateways and devices have got the first */
	struct simulate_layer layers[] = { { .install_ms = MINUTE },
		{ .install_ms = MINUTE, .fail_ppm = 500000 }, { .install_ms = MINUTE },
		{ .install_ms = MINUTE } };
	b.in.layers = layers;
	run(&b);
	assert_int_equal(b.out.state, ROLLOUT_ROLLED_BACK);
	assert_false(b.out.cut);
}

/* Behaviour: of a group only so many are under way: ten after each other take ten times as long, by threes
 * four times. */
static void groups_take_turns(void **state)
{
	double alone[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		set_up(&b, LENIENT, 100);
		b.link.poll_ms = 1000;
		for (uint32_t d = 0; d < 100; d++)
			group[d] = d / 10;
		b.in.group = group;
		b.rules.pace.group = PACE_LABEL;
		b.rules.pace.max_unavailable = i == 0 ? 1 : 3;
		run(&b);
		assert_int_equal(b.out.confirmed, 100);
		alone[i] = b.out.max_s;
	}
	/* the slowest of ten groups; ten installations of 2.5 to 7.5 min */
	assert_true(alone[0] > 10 * 300 && alone[0] < 10 * 450);
	assert_true(alone[1] > 4 * 300 && alone[1] < 4 * 450);
}

/* ---- freezes */

/* Behaviour: nobody is offered anything while a freeze holds for it, who has an order does not switch, and none
 * of them times out; the others are not held up. */
static void freezes_hold_whom_they_are_about(void **state)
{
	static uint32_t frozen[100];
	const int64_t start = 1700000000000;
	struct window freezes[2] = { 0 };

	(void)state;
	for (int i = 0; i < 2; i++)
		freezes[i] =
			(struct window){ .from = start - HOUR, .until = start + 60 * 24 * HOUR };
	/* the second one holds on from the first */
	assert_int_equal(window_add(&freezes[0], start - HOUR, start + 20 * HOUR, NULL), FL_OK);
	assert_int_equal(
		window_add(&freezes[1], start + 19 * HOUR, start + 30 * HOUR, NULL), FL_OK);
	for (int all = 0; all < 2; all++) {
		set_up(&b, LENIENT, 100);
		/* the stage's own time runs as long as somebody may be reached */
		b.rules.reach_ms = all ? HOUR : 48 * HOUR;
		b.rules.install_ms = HOUR;
		b.in.start_at = start;
		for (uint32_t d = 0; d < 100; d++)
			frozen[d] = all ? 3 : d < 50 ? 0 : d < 75 ? 1 : 2;
		b.in.freezes = freezes;
		b.in.n_freezes = 2;
		b.in.frozen = frozen;
		run(&b);
		assert_int_equal(b.out.harmed + b.out.failures, 0);
		assert_int_equal(b.out.confirmed, 100);
		if (all) {
			assert_true(b.out.reached_s[0] > 30 * 3600);
		} else {
			/* those of the second one are through before it */
			assert_true(b.out.reached_s[14] < 3600 && b.out.reached_s[15] > 20 * 3600);
			assert_true(b.out.max_s < 20.5 * 3600);
		}
	}
	/* orders that are being installed when it begins */
	set_up(&b, LENIENT, 100);
	b.rules.install_ms = 2 * HOUR;
	b.layers[0].install_ms = HOUR;
	b.in.start_at = start + 18 * HOUR + 30 * MINUTE;
	for (uint32_t d = 0; d < 100; d++)
		frozen[d] = 2;
	b.in.freezes = freezes;
	b.in.n_freezes = 2;
	b.in.frozen = frozen;
	run(&b);
	assert_int_equal(b.out.failures, 0);
	assert_int_equal(b.out.confirmed, 100);
	assert_true(b.out.reached_s[0] >= 11.5 * 3600 || b.out.reached_s[0] <= 1800 + 60);
	assert_true(b.out.max_s >= 11.5 * 3600 && b.out.max_s < 13 * 3600);
	window_fini(&freezes[0]);
	window_fini(&freezes[1]);
}

/* ---- the way back */

/* Behaviour: a rollback that obeys the rates takes as many minutes as it has devices, one that does not is
 * over with the polls and installations. */
static void ways_back_have_rates(void **state)
{
	double took[2];

	(void)state;
	for (int paced = 0; paced < 2; paced++) {
		set_up(&b,
			"{\"success\":{\"percent\":90},\"error\":{\"percent\":10,\"minimum\":60}}",
			60);
		b.layers[0].fail_ppm = 500000;
		b.rules.on_failure = ENGINE_ROLL_IT_BACK;
		b.rules.pace.max_per_minute = 1;
		b.rules.pace.back_pace = paced != 0;
		run(&b);
		assert_int_equal(b.out.state, ROLLOUT_ROLLED_BACK);
		assert_int_equal(b.out.delivered, 120);
		took[paced] = (double)(b.out.ended_ms - b.out.stopped_ms) / 60000;
		print_message("%.1f minutes\n", took[paced]);
	}
	assert_true(took[1] > 60 && took[1] < 80);
	assert_true(took[0] < 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_there_asks_within_its_interval),
		cmocka_unit_test(duty_cycles_are_waited_for),
		cmocka_unit_test(random_times_are_waited_for),
		cmocka_unit_test(layers_fail_and_take_their_time),
		cmocka_unit_test(retries_wait_and_help),
		cmocka_unit_test(a_dead_gateway_is_one_failure),
		cmocka_unit_test(gateways_come_first),
		cmocka_unit_test(gateways_go_back_last),
		cmocka_unit_test(groups_take_turns),
		cmocka_unit_test(freezes_hold_whom_they_are_about),
		cmocka_unit_test(ways_back_have_rates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
