/* SPDX-License-Identifier: Apache-2.0
 *
 * Simulations of a real fleet: what the plan says of every device is what is simulated. */
#include "server/rollout/compare.h"

#include "tests/unit/small_universe.h"

#define DEVICES 300
#define BODY                                                                                   \
	"{\"release\":\"spring\",\"runs\":2,\"cases\":[{\"name\":\"good\"}],\"strategies\":[{" \
	"\"name\":\"s\",\"strategy\":{\"waves\":[{\"percent\":100}],\"gate\":{\"success\":{"   \
	"\"percent\":10}}}}]%s}"

struct fleet {
	struct small s;
	struct plan_input in;
	struct plan plan;
	struct compare c;
	int64_t no[DEVICES];
	uint32_t state[DEVICES], zeros[DEVICES], gateway[DEVICES], silent[DEVICES];
	uint8_t flags[DEVICES];
};
static struct fleet f;

/* The first hundred devices lack only the new app; the others lib as well, a layer below it. */
static void make_fleet(void)
{
	uint32_t half, none;

	small_publish(&f.s, "app 1.0.0", "");
	small_publish(&f.s, "app 2.0.0", "lib ^2");
	small_publish(&f.s, "lib 1.0.0", "");
	small_publish(&f.s, "lib 2.0.0", "");
	small_release(&f.s, "app 2.0.0, lib 2.0.0");
	half = small_state(&f.s, "app 1.0.0, lib 2.0.0");
	none = small_state(&f.s, "app 1.0.0, lib 1.0.0");
	for (size_t i = 0; i < DEVICES; i++) {
		f.no[i] = (int64_t)i + 1;
		f.state[i] = i < 100 ? half : none;
		f.gateway[i] = PLAN_NO_DEVICE;
		f.flags[i] = PLAN_SELECTED;
	}
	small_seal(&f.s);
	f.in = (struct plan_input){ .universe = &f.s.u,
		.release = "spring",
		.entries = f.s.entries,
		.n_entries = f.s.n_entries,
		.n_signatures = 1,
		.history = { -1, -1, -1, -1 },
		.devices = { .n = DEVICES,
			.no = f.no,
			.state = f.state,
			.signature = f.zeros,
			.gateway = f.gateway,
			.stratum = f.zeros,
			.held = f.zeros,
			.flags = f.flags,
			.silent_s = f.silent } };
}

/* Read a body with more members, plan for its strategy, and hand the fleet over. */
static enum fl_code begin(const char *more, struct fl_err *err)
{
	char text[1024];
	FL_AUTO_JSON json_t *json = NULL;

	(void)snprintf(text, sizeof(text), BODY, more);
	json = json_loads(text, 0, NULL);
	assert_non_null(json);
	make_fleet();
	assert_int_equal(compare_read(json, 60000, &f.c, err), FL_OK);
	f.in.strategy = &f.c.strategies[0].strategy;
	assert_int_equal(plan_make(&f.in, &f.plan, err), FL_OK);
	assert_int_equal(f.plan.n_layers, 2);
	return compare_fleet(&f.c, 0, &f.in, &f.plan, err);
}

static int end(void **state)
{
	(void)state;
	plan_fini(&f.plan);
	compare_fini(&f.c);
	universe_fini(&f.s.u);
	memset(&f, 0, sizeof(f));
	return 0;
}

static void run_all(void)
{
	struct fl_err err = { 0 };
	bool done = false;

	while (!done)
		if (compare_next(&f.c, NULL, NULL, &done, &err) != FL_OK)
			fail_msg("%s", err.msg);
	assert_int_equal(f.c.sums[0][0].runs, 2);
}

/* Behaviour: a device gets an order in each layer that brings its class something, with the bytes of the
 * plan, and in no other; installing takes as long as was observed. */
static void classes_are_the_plans(void **state)
{
	struct fl_err err = { 0 };
	int64_t planned = 0;

	(void)state;
	assert_int_equal(begin("", &err), FL_OK);
	for (uint32_t l = 0; l < 2; l++)
		planned += plan_stage(&f.plan, l, 0)->bytes_full;
	run_all();
	assert_int_equal(f.c.devices, DEVICES);
	assert_int_equal(f.c.sums[0][0].delivered, 2 * (100 + 2 * 200));
	assert_int_equal(f.c.sums[0][0].bytes, 2 * planned);
	assert_int_equal(f.c.sums[0][0].confirmed, 2 * DEVICES);
	assert_int_equal(f.c.install_ms, 120000);
}

/* Behaviour: without links devices ask as they were observed to; those that never spoke are not reached. */
static void silence_is_the_fleets(void **state)
{
	struct fl_err err = { 0 };

	(void)state;
	for (uint32_t i = 0; i < DEVICES; i++)
		f.silent[i] = i < 30 ? PLAN_NEVER_SEEN : 600;
	assert_int_equal(begin("", &err), FL_OK);
	assert_true(f.c.observed);
	assert_int_equal(f.c.never_seen, 30);
	run_all();
	assert_int_equal(f.c.sums[0][0].confirmed, 2 * 270);
	assert_true(f.c.sums[0][0].mean_s / 2 > 600);
}

/* Behaviour: links that are given count more than what was observed. */
static void links_are_given(void **state)
{
	struct fl_err err = { 0 };

	(void)state;
	for (uint32_t i = 0; i < DEVICES; i++)
		f.silent[i] = PLAN_NEVER_SEEN;
	assert_int_equal(begin(",\"links\":[{\"kind\":\"always\",\"poll_s\":10}]", &err), FL_OK);
	assert_false(f.c.observed);
	run_all();
	assert_int_equal(f.c.sums[0][0].confirmed, 2 * DEVICES);
}

/* Behaviour: what is feared of a version meets those who get it, in the layer that brings it; a version that
 * nobody gets is refused. */
static void versions_meet_who_gets_them(void **state)
{
	struct fl_err err = { 0 };

	(void)state;
	assert_int_equal(begin(",\"versions\":[{\"module\":\"lib\",\"version\":\"2.0.0\","
			       "\"fail_percent\":100}]",
				 &err),
		FL_OK);
	run_all();
	assert_int_equal(f.c.sums[0][0].harmed, 2 * 200);
	end(state);
	assert_int_equal(begin(",\"versions\":[{\"module\":\"lib\",\"version\":\"1.0.0\"}]", &err),
		FL_REFUSED);
	assert_non_null(strstr(err.msg, "versions[0]"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(classes_are_the_plans, end),
		cmocka_unit_test_teardown(silence_is_the_fleets, end),
		cmocka_unit_test_teardown(links_are_given, end),
		cmocka_unit_test_teardown(versions_meet_who_gets_them, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
