/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/gate_chance.h"

#include "tests/unit/simulate_bench.h"

#include <fnmatch.h>
#include <math.h>

#define RUNS 1000 /* FLEET_SIMULATIONS=10000 for those that scripts/campaign asks for */

/* How many runs of each kind. */
static int runs(void)
{
	const char *text = getenv("FLEET_SIMULATIONS");

	return text == NULL ? RUNS : (int)strtol(text, NULL, 10);
}

/* Behaviour: a good release reaches every device through layers and waves, in any order of stages. */
static void a_good_release_completes(void **state)
{
	static struct bench b;

	(void)state;
	for (int order = ENGINE_WAVE_FIRST; order <= ENGINE_PIPELINED; order++) {
		set_up(&b, "{}", 300);
		b.rules.layers = 3;
		b.rules.waves = 3;
		b.rules.order = (enum engine_order)order;
		b.rules.soak_ms = HOUR;
		for (int i = 0; i < 300; i++)
			b.wave[i] = (uint16_t)(i < 10 ? 0 : i < 100 ? 1 : 2);
		run(&b);
		assert_int_equal(b.out.state, ROLLOUT_COMPLETED);
		assert_true(b.out.passed && !b.out.cut);
		assert_int_equal(b.out.confirmed, 300);
		assert_int_equal(b.out.delivered, 900);
		assert_int_equal(b.out.bytes, 900000);
		assert_int_equal(b.out.harmed, 0);
		assert_true(b.out.mean_s > 0 && b.out.mean_s <= b.out.p95_s &&
			b.out.p95_s <= b.out.max_s);
		/* soaks: nine one after the other, or the longest chain of them */
		assert_true(b.out.ended_ms > (order == ENGINE_PIPELINED ? 5 : 9) * HOUR);
	}
}

/* Behaviour: equal input gives equal output; another seed gives another one. */
static void seeds_decide(void **state)
{
	static struct bench a, b, c;

	(void)state;
	set_up(&a, "{}", 500);
	a.layers[0].fail_ppm = 30000;
	b = a;
	c = a;
	a.in.rules = &a.rules, b.in.rules = &b.rules, c.in.rules = &c.rules;
	a.in.wave = a.wave, b.in.wave = b.wave, c.in.wave = c.wave;
	a.in.links = &a.link, b.in.links = &b.link, c.in.links = &c.link;
	a.in.layers = a.layers, b.in.layers = b.layers, c.in.layers = c.layers;
	c.in.seed = 2;
	run(&a);
	run(&b);
	run(&c);
	assert_memory_equal(&a.out, &b.out, sizeof(a.out));
	assert_true(a.out.facts != c.out.facts || a.out.mean_s < c.out.mean_s ||
		a.out.mean_s > c.out.mean_s);
}

/* Behaviour: a failed gate takes the devices back when the strategy says so; all that answer are back. */
static void a_bad_release_is_taken_back(void **state)
{
	static struct bench b;

	(void)state;
	set_up(&b, "{\"success\":{\"percent\":90},\"error\":{\"percent\":10,\"minimum\":20}}", 400);
	b.rules.on_failure = ENGINE_ROLL_IT_BACK;
	b.rules.layers = 2;
	b.rules.waves = 2;
	for (int i = 0; i < 400; i++)
		b.wave[i] = i >= 100;
	b.layers[0].fail_ppm = 500000;
	run(&b);
	assert_int_equal(b.out.state, ROLLOUT_ROLLED_BACK);
	assert_false(b.out.passed);
	assert_true(b.out.harmed > 5 && b.out.harmed < 100);
}

/* Behaviour: limits on time, work and patience end a run; what is too large is refused. */
static bool at_once(void *arg)
{
	(void)arg;
	return true;
}

static void runs_are_bounded(void **state)
{
	static struct bench b;
	struct fl_err err = { 0 };

	(void)state;
	set_up(&b, "{}", 500);
	b.in.until_ms = MINUTE;
	run(&b);
	assert_true(b.out.cut && b.out.ended_ms <= 2 * MINUTE);
	set_up(&b, "{}", 500);
	b.in.facts_max = 700;
	run(&b);
	assert_true(b.out.cut && b.out.facts < 2000);
	set_up(&b, "{}", 500);
	b.in.canceled = at_once;
	run(&b);
	assert_true(b.out.cut);
	b.in.devices = SIMULATE_DEVICES_MAX + 1;
	assert_int_equal(simulate(&b.in, &b.out, &err), FL_REFUSED);
}

/* Behaviour: devices with duty cycles and random times are reached too, only later. */
static void connections_matter(void **state)
{
	static struct bench b;
	double always, duty;

	(void)state;
	set_up(&b, "{}", 500);
	run(&b);
	always = b.out.p95_s;
	b.link = (struct simulate_link){ SIMULATE_DUTY, MINUTE, HOUR, 11 * HOUR };
	run(&b);
	duty = b.out.p95_s;
	assert_int_equal(b.out.confirmed, 500);
	assert_true(duty > 8 * 3600 && duty < 13 * 3600);
	b.link = (struct simulate_link){ SIMULATE_RANDOM, MINUTE, HOUR, 3 * HOUR };
	run(&b);
	assert_int_equal(b.out.confirmed, 500);
	assert_true(b.out.p95_s > always && b.out.mean_s > 3600 && b.out.mean_s < 4 * 3600);
}

/* Behaviour: devices get steps only in the layers that bring their class something, and only those count. */
static void classes_skip_layers(void **state)
{
	static struct bench b;
	static uint32_t class[300];
	struct simulate_layer layers[6];

	(void)state;
	set_up(&b, "{}", 300);
	b.rules.layers = 3;
	for (int i = 0; i < 6; i++)
		layers[i] = (struct simulate_layer){ .install_ms = MINUTE, .bytes = 10 };
	layers[1].absent = true; /* class 0: layers 0 and 2 */
	layers[3].absent = layers[5].absent = true;
	for (int i = 0; i < 300; i++)
		class[i] = i >= 100;
	b.in.class = class;
	b.in.layers = layers;
	run(&b);
	assert_int_equal(b.out.state, ROLLOUT_COMPLETED);
	assert_int_equal(b.out.confirmed, 300);
	assert_int_equal(b.out.delivered, 2 * 100 + 200);
	assert_int_equal(b.out.bytes, 10 * b.out.delivered);
}

/* Behaviour: devices that were observed ask first after as long as they have been silent; who never spoke is
 * not reached. */
static void silence_is_observed(void **state)
{
	static struct bench b;
	static uint32_t silent_s[200];

	(void)state;
	set_up(&b, "{\"success\":{\"percent\":50}}", 200);
	for (uint32_t i = 0; i < 200; i++)
		silent_s[i] = i < 100 ? 60 : i < 190 ? 7200 : SIMULATE_NEVER;
	b.in.silent_s = silent_s;
	run(&b);
	assert_int_equal(b.out.confirmed, 190);
	assert_true(b.out.reached_s[9] > 60 && b.out.reached_s[9] < 1000);
	assert_true(b.out.reached_s[10] > 7200 && b.out.reached_s[18] < 9000);
	assert_true(b.out.reached_s[19] < 0);
}

/* Behaviour: nobody is offered anything while the window is closed, who is held asks when it opens; a device
 * switches in its own window, and neither waiting makes it time out. */
static void windows_are_kept(void **state)
{
	static struct bench b;
	struct window offer = { 0 }, turn = { 0 };
	struct opening_hours hours = { .offer = &offer, .install = &offer };
	const int64_t start = 1700000000000;

	(void)state;
	set_up(&b, "{}", 200);
	b.rules.install_ms = HOUR;
	b.in.start_at = start;
	offer.from = turn.from = start - HOUR;
	offer.until = turn.until = start + 60 * 24 * HOUR;
	assert_int_equal(window_add(&offer, start + 5 * HOUR, start + 6 * HOUR, NULL), FL_OK);
	assert_int_equal(window_add(&offer, start + 29 * HOUR, start + 30 * HOUR, NULL), FL_OK);
	b.in.hours = &hours;
	b.in.n_hours = 1;
	run(&b);
	assert_int_equal(b.out.confirmed, 200);
	assert_true(b.out.reached_s[0] > 5 * 3600 && b.out.max_s < 6 * 3600);
	b.link.poll_ms = 2 * HOUR; /* each time half of them come too late */
	run(&b);
	assert_in_range(b.out.confirmed, 130, 170);
	assert_true(b.out.reached_s[0] < 6 * 3600 && b.out.max_s > 29 * 3600);
	b.link.poll_ms = MINUTE;
	assert_int_equal(window_add(&turn, start + 50 * HOUR, start + 51 * HOUR, NULL), FL_OK);
	hours.turn = hours.install = &turn;
	run(&b);
	assert_int_equal(b.out.confirmed, 200);
	assert_true(b.out.reached_s[0] >= 50 * 3600 && b.out.max_s < 51 * 3600);
	window_fini(&offer);
	window_fini(&turn);
}

/* ---- what is promised */

/* The release that silently bricks every tenth device. */
static void set_up_bricks(struct bench *b, uint64_t seed)
{
	set_up(b, "{\"sprt\":{\"p0_percent\":1,\"p1_percent\":5,\"alpha\":0.05,\"beta\":0.1}}",
		500);
	b->layers[0].silent_ppm = 100000;
	b->rules.pace.max_per_minute = 50;
	b->in.seed = seed;
}

/* Behaviour: a release that silently bricks 10 % of its devices passes the sequential test in less than
 * one of a hundred runs. The deadline decides, after everybody has got it. */
static void silent_bricks_do_not_pass(void **state)
{
	static struct bench b;
	int passed = 0;

	(void)state;
	for (int i = 0; i < runs(); i++) {
		set_up_bricks(&b, (uint64_t)i + 1);
		run(&b);
		passed += b.out.passed;
		assert_false(b.out.cut);
		if (!b.out.passed)
			assert_true(b.out.ended_ms >= 24 * HOUR && b.out.harmed > 15);
	}
	print_message("%d of %d runs passed\n", passed, runs());
	assert_true(passed * 100 < runs());
}

/* Behaviour: neither an outage of three hours, nor a jump of the clock in either direction, nor a weekend
 * during which no device asks changes a verdict, whatever the release is like. */
static void disturbances_change_no_verdict(void **state)
{
	static const struct simulate_span outage = { 5 * MINUTE, 5 * MINUTE + 3 * HOUR };
	static const struct simulate_span weekend = { 6 * MINUTE, 6 * MINUTE + 60 * HOUR };
	static struct bench b;
	const int64_t rates[] = { 0, 10000, 50000, 100000 };

	(void)state;
	for (size_t r = 0; r < FL_COUNT(rates); r++) {
		int passed[5] = { 0 };

		for (int i = 0; i < 100; i++) {
			for (int kind = 0; kind < 5; kind++) {
				set_up_bricks(&b, (uint64_t)i + 1);
				b.layers[0].silent_ppm = rates[r];
				b.in.outages = &outage;
				b.in.n_outages = kind == 1;
				b.in.jump_at_ms = 7 * MINUTE;
				b.in.jump_ms = kind == 2 ? 30 * 24 * HOUR
					: kind == 3      ? -30 * 24 * HOUR
							 : 0;
				b.in.sleeps = &weekend;
				b.in.n_sleeps = kind == 4;
				run(&b);
				assert_false(b.out.cut);
				passed[kind] += b.out.passed;
			}
		}
		print_message(
			"%g %%: %d of 100 pass; after an outage %d, jumps %d and %d, a weekend "
			"%d\n",
			(double)rates[r] / 10000, passed[0], passed[1], passed[2], passed[3],
			passed[4]);
		for (int kind = 1; kind < 5; kind++)
			/* the lots fall otherwise: five standard deviations of the difference */
			assert_true(abs(passed[kind] - passed[0]) <=
				5 * sqrt(2 * (passed[0] + 1.0) * (101.0 - passed[0]) / 100));
		if (rates[r] == 0)
			for (int kind = 0; kind < 5; kind++)
				assert_int_equal(passed[kind], 100);
	}
}

/* A gate and the waves of 70 devices that it judges. */
static const struct judged {
	const char *gate;
	int waves;
} judged[] = {
	{ "{\"sprt\":{}}", 1 },
	{ "{\"bayes\":{}}", 1 },
	{ "{\"success\":{\"percent\":95},\"error\":{\"percent\":10,\"minimum\":20}}", 1 },
	{ "{\"sprt\":{\"p0_percent\":2,\"p1_percent\":10},\"success\":{\"percent\":90,"
	  "\"minimum\":40}}",
		1 },
	{ "{\"stop\":[{\"type\":\"all\",\"threshold\":4,\"min_executed\":15}],\"success\":{"
	  "\"percent\":94}}",
		1 },
	{ "{\"sprt\":{},\"carry\":true}", 2 },
};
#define JUDGED_DEVICES 70

/* What the plan prints for a rollout of so many waves: the chance that every gate passes, and that one
 * fails. Each stage's is given that it is opened. */
static void printed(const struct judged *j, int rate, bool silent, double *pass, double *fail)
{
	struct gate_rules rules = gate_of(j->gate);
	struct gate_chance chances[2 * GATE_CHANCE_RATES];
	struct gate_curve *curve = NULL;
	int64_t devices[] = { JUDGED_DEVICES, JUDGED_DEVICES };

	assert_int_equal(gate_curve_make(&rules, devices, (size_t)j->waves, &curve, NULL), FL_OK);
	gate_curve_layer(curve, devices, (size_t)j->waves, 0, chances);
	gate_curve_free(curve);
	*pass = 1;
	*fail = 0;
	for (int w = 0; w < j->waves; w++) {
		const struct gate_chance *c = &chances[w * GATE_CHANCE_RATES + rate];

		*fail += *pass * c->fail;
		/* who has nothing decided hands it on */
		*pass *= w + 1 < j->waves ? 1 - c->fail : silent ? c->pass_silent : c->pass;
	}
}

/* So many runs; how many passed every gate, and how many a gate has failed. */
static void count_verdicts(const struct judged *j, int rate, bool silent, int *passed, int *failed)
{
	static struct bench b;

	*passed = *failed = 0;
	for (int i = 0; i < runs(); i++) {
		set_up(&b, j->gate, (uint32_t)(JUDGED_DEVICES * j->waves));
		b.rules.waves = j->waves;
		for (int d = 0; d < JUDGED_DEVICES * j->waves; d++)
			b.wave[d] = (uint16_t)(d / JUDGED_DEVICES);
		*(silent ? &b.layers[0].silent_ppm : &b.layers[0].fail_ppm) =
			gate_chance_rates[rate];
		b.in.seed = (uint64_t)i * 7 + (uint64_t)(j - judged) * 1000003 + 1;
		run(&b);
		*passed += b.out.passed;
		*failed += fnmatch("the gate of L0.W? failed*", b.out.reason, 0) == 0;
	}
}

/* Behaviour: what the plan says of its gates is what happens: for every kind of gate that outcomes
 * decide, alone, together and with evidence handed on, the shares of runs that pass and fail agree with
 * the printed ones within one joint bound (99.9 %, by Bonferroni). */
static void printed_chances_are_right(void **state)
{
	/* 6 gates, 3 shares and a silent one, 2 figures each: two-sided 0.001 / 48 */
	const double bound = 4.3, n = runs();

	(void)state;
	for (size_t g = 0; g < FL_COUNT(judged); g++) {
		for (int r = 2; r <= 5; r++) {
			bool silent = r == 5;
			int rate = silent ? 4 : r, passed, failed;
			double pass, fail;

			printed(&judged[g], rate, silent, &pass, &fail);
			count_verdicts(&judged[g], rate, silent, &passed, &failed);
			print_message("%s, %g %%%s: %.4f pass (printed %.4f), %.4f fail (%.4f)\n",
				judged[g].gate, (double)gate_chance_rates[rate] / 10000,
				silent ? " silent" : "", passed / n, pass, failed / n, fail);
			assert_true(
				fabs(passed - n * pass) <= bound * sqrt(n * pass * (1 - pass)) + 1);
			assert_true(
				fabs(failed - n * fail) <= bound * sqrt(n * fail * (1 - fail)) + 1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_release_completes),
		cmocka_unit_test(seeds_decide),
		cmocka_unit_test(a_bad_release_is_taken_back),
		cmocka_unit_test(runs_are_bounded),
		cmocka_unit_test(connections_matter),
		cmocka_unit_test(classes_skip_layers),
		cmocka_unit_test(silence_is_observed),
		cmocka_unit_test(windows_are_kept),
		cmocka_unit_test(silent_bricks_do_not_pass),
		cmocka_unit_test(disturbances_change_no_verdict),
		cmocka_unit_test(printed_chances_are_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
