/* SPDX-License-Identifier: Apache-2.0
 *
 * The forecast of a plan: from how long devices have been silent to how long stages will take, against
 * figures worked out by hand. */
#include "tests/unit/small_fleet.h"

#define DEVICES 1000

static struct small_fleet f;
static uint32_t silent[DEVICES];

/* A thousand devices with app 1 and lib 1, both to be replaced; what else a test has put into f.in holds. */
static void make(const char *strategy, struct plan *p)
{
	const struct plan_input given = f.in;

	small_fleet_begin(&f, strategy);
	f.in = given;
	small_publish(&f.s, "app 1.0.0", "");
	small_publish(&f.s, "app 2.0.0", "lib ^2");
	small_publish(&f.s, "lib 1.0.0", "");
	small_publish(&f.s, "lib 2.0.0", "");
	small_release(&f.s, "app 2.0.0, lib 2.0.0");
	(void)small_fleet_add(&f, DEVICES, "app 1.0.0, lib 1.0.0", PLAN_NO_DEVICE);
	f.in.devices.silent_s = silent;
	small_fleet_make(&f, p);
	assert_int_equal(p->n_layers, 2);
}

static void end(struct plan *p)
{
	small_fleet_end(&f, p);
	memset(&f, 0, sizeof(f));
	memset(silent, 0, sizeof(silent));
}

/* Behaviour: a fleet that polls each minute is reached within a minute, whatever phase it is in; the load
 * is that of the first seconds. */
static void follows_the_polls(void **state)
{
	struct plan p;
	const struct plan_forecast *x;

	(void)state;
	f.in.history = (struct plan_history){ 4000, 9000, 2500, 50 };
	for (uint32_t i = 0; i < DEVICES; i++)
		silent[i] = i % 60;
	make("{\"waves\":[{\"percent\":100}],\"soak_s\":30,\"reach_s\":500,\"install_s\":100}", &p);
	x = &plan_stage(&p, 0, 0)->forecast;
	assert_in_range(x->reach_p95_s, 55, 59);
	assert_int_equal(x->never_seen, 0);
	assert_int_equal(x->time_s, x->reach_p95_s + 9 + 30);
	assert_int_equal(x->time_max_s, 500 + 100 + 30);
	/* Ten of sixty seconds: 170 devices in 10 s. */
	assert_int_equal(x->peak_offers_s, 17);
	assert_int_equal(x->peak_bytes_s, 17 * plan_stage(&p, 0, 0)->bytes_full / DEVICES);
	assert_int_equal(x->downtime_ms, 2500);
	assert_int_equal(p.time_s, 2 * x->time_s);
	assert_int_equal(p.time_max_s, 2 * x->time_max_s);
	assert_true(p.observed);
	end(&p);
}

/* Behaviour: devices that never spoke count as such, and when they are too many the stage is expected to
 * run until its deadline. */
static void counts_the_silent(void **state)
{
	struct plan p;

	(void)state;
	f.in.history = (struct plan_history){ -1, -1, -1, -1 };
	for (uint32_t i = 0; i < DEVICES; i++)
		silent[i] = i % 10 == 0 ? PLAN_NEVER_SEEN : 3600;
	make("{\"waves\":[{\"percent\":100}],\"reach_s\":86400,\"install_s\":100}", &p);
	assert_int_equal(plan_stage(&p, 0, 0)->forecast.never_seen, DEVICES / 10);
	assert_int_equal(plan_stage(&p, 0, 0)->forecast.reach_p95_s, 86400);
	assert_int_equal(plan_stage(&p, 0, 0)->forecast.downtime_ms, -1);
	assert_false(p.observed);
	end(&p);
	f.in.history = (struct plan_history){ -1, -1, -1, -1 };
	for (uint32_t i = 0; i < DEVICES; i++)
		silent[i] = i % 50 == 0 ? PLAN_NEVER_SEEN : 3600;
	make("{\"waves\":[{\"percent\":100}],\"reach_s\":86400}", &p);
	/* 98 % come; a bucket is at most an eighth wide. */
	assert_in_range(plan_stage(&p, 0, 0)->forecast.reach_p95_s, 3600, 3600 * 9 / 8);
	assert_int_equal(plan_stage(&p, 0, 0)->forecast.peak_offers_s, 0);
	end(&p);
}

/* Behaviour: a limit of devices in flight makes the stage longer and its peak lower. */
static void limits_make_it_longer(void **state)
{
	struct plan p;
	const struct plan_forecast *x;

	(void)state;
	f.in.history = (struct plan_history){ 10000, 20000, -1, -1 };
	make("{\"waves\":[{\"percent\":100}],\"max_in_flight\":50}", &p);
	x = &plan_stage(&p, 0, 0)->forecast;
	/* All ask at once: 20 rounds of 50, of which 19 must be waited for; 50 in 10 s are 5 a second. */
	assert_int_equal(x->time_s, 0 + 19 * 10 + 20);
	assert_int_equal(x->peak_offers_s, 5);
	end(&p);
	f.in.history = (struct plan_history){ 10000, 20000, -1, -1 };
	make("{\"waves\":[{\"percent\":100}],\"pace\":{\"max_per_minute\":30}}", &p);
	x = &plan_stage(&p, 0, 0)->forecast;
	/* 1000 devices, 30 of them at once and then as many a minute. */
	assert_int_equal(x->time_s, 33 * 60 + 20);
	assert_int_equal(x->peak_offers_s, 30);
	end(&p);
}

/* Behaviour: with a ramp the rate grows from stage to stage. */
static void a_ramp_makes_it_shorter(void **state)
{
	struct plan p;

	(void)state;
	f.in.history = (struct plan_history){ 10000, 20000, -1, -1 };
	make("{\"waves\":[{\"count\":100},{\"percent\":100}],\"pace\":{\"max_per_minute\":400,"
	     "\"ramp\":{\"base_per_minute\":50,\"increment_factor\":2,\"notified\":100}}}",
		&p);
	/* 50, then 50; the next layer of the wave: 100 at once; wave 1: 200 (of 400), then 400, then 300 */
	assert_int_equal(plan_stage(&p, 0, 0)->forecast.time_s, 60 + 20);
	assert_int_equal(plan_stage(&p, 1, 0)->forecast.time_s, 0 + 20);
	assert_int_equal(plan_stage(&p, 0, 1)->forecast.time_s, 2 * 60 + 20);
	end(&p);
}

/* Behaviour: the time of the whole follows the order: pipelined stages run beside each other. */
static void adds_up_by_order(void **state)
{
	static const char *const orders[] = { "wave_first", "layer_first", "pipelined" };
	struct plan p;

	(void)state;
	for (size_t i = 0; i < FL_COUNT(orders); i++) {
		char text[256];
		int64_t each;

		(void)snprintf(text, sizeof(text),
			"{\"waves\":[{\"count\":10},{\"count\":10},{\"percent\":100}],\"order\":\"%"
			"s\","
			"\"soak_s\":100}",
			orders[i]);
		f.in.history = (struct plan_history){ 1000, 2000, -1, -1 };
		make(text, &p);
		each = plan_stage(&p, 0, 0)->forecast.time_s;
		assert_int_equal(each, 102);
		/* 3 waves, 2 layers: six in a row, or a way of four */
		assert_int_equal(p.time_s, (i == 2 ? 4 : 6) * each);
		end(&p);
	}
}

/* Behaviour: the forecast is not part of the digest, comes back from the JSON as it was, and tells the
 * processor time of what is to be built. */
static void stands_beside_the_digest(void **state)
{
	struct plan p, q = { 0 };
	uint8_t digest[32];
	FL_AUTO_JSON json_t *json = NULL;

	(void)state;
	f.in.history = (struct plan_history){ 1000, 2000, 3000, 2000000 };
	make("{}", &p);
	memcpy(digest, p.digest, 32);
	assert_int_equal(plan_stage(&p, 0, 0)->deltas_to_build, 1);
	/* lib 2.0.0 was published fourth: 1004 bytes are not a KiB */
	assert_int_equal(plan_stage(&p, 0, 0)->forecast.build_ms, 0);
	json = plan_json(&p);
	assert_int_equal(plan_read(json, &q, NULL), FL_OK);
	assert_memory_equal(&plan_stage(&p, 1, 1)->forecast, &plan_stage(&q, 1, 1)->forecast,
		sizeof(struct plan_forecast));
	assert_int_equal(p.time_s, q.time_s);
	assert_int_equal(p.observed, q.observed);
	plan_fini(&q);
	end(&p);
	f.in.history = (struct plan_history){ -1, -1, -1, -1 };
	for (uint32_t i = 0; i < DEVICES; i++)
		silent[i] = 77;
	make("{}", &p);
	assert_memory_equal(digest, p.digest, 32);
	end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(follows_the_polls),
		cmocka_unit_test(counts_the_silent),
		cmocka_unit_test(limits_make_it_longer),
		cmocka_unit_test(a_ramp_makes_it_shorter),
		cmocka_unit_test(adds_up_by_order),
		cmocka_unit_test(stands_beside_the_digest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
