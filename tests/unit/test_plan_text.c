/* SPDX-License-Identifier: Apache-2.0
 *
 * What a plan is as text: its digest, its remarks, its JSON. */
#include "tests/unit/small_fleet.h"

static void sample(struct small_fleet *f, const char *strategy)
{
	small_fleet_begin(f, strategy);
	small_fleet_chain(&f->s);
	small_publish(&f->s, "fw 2.0.0$", "");
	(void)small_fleet_add(f, 90, "app 1.0.0, lib 1.0.0, runtime 1.0.0", PLAN_NO_DEVICE);
	(void)small_fleet_add(f, 10, "fw 1.0.0", PLAN_NO_DEVICE);
	(void)small_fleet_add(f, 10, "app 9.0.0", PLAN_NO_DEVICE);
	small_release(&f->s, "app 2.0.0, lib 2.0.0, runtime 2.0.0, fw 2.0.0");
}

/* Behaviour: equal input gives an equal digest; another seed, device or strategy another one. */
static void digest_covers_it_all(void **state)
{
	static const char usual[] = "{\"seed\":1,\"gate\":{\"success\":{\"minimum\":3}}}";
	static struct small_fleet f;
	struct plan p;
	uint8_t first[32], members[32];

	(void)state;
	sample(&f, usual);
	small_fleet_make(&f, &p);
	memcpy(first, p.digest, 32);
	memcpy(members, p.members, 32);
	small_fleet_end(&f, &p);
	sample(&f, usual);
	small_fleet_make(&f, &p);
	assert_memory_equal(first, p.digest, 32);
	small_fleet_end(&f, &p);
	sample(&f, "{\"seed\":2,\"gate\":{\"success\":{\"minimum\":3}}}");
	small_fleet_make(&f, &p);
	assert_memory_not_equal(first, p.digest, 32);
	assert_memory_not_equal(members, p.members, 32);
	small_fleet_end(&f, &p);
	sample(&f, usual);
	f.no[5] = 12345;
	small_fleet_make(&f, &p);
	assert_memory_not_equal(first, p.digest, 32);
	small_fleet_end(&f, &p);
}

/* Behaviour: what is approved does not change when a delta is built meanwhile. */
static void digest_leaves_the_cache_out(void **state)
{
	static struct small_fleet f;
	struct plan p;
	struct plan_delta ready = { 4, 5, 100 };
	uint8_t before[32];

	(void)state;
	for (int built = 0; built <= 1; built++) {
		small_fleet_begin(&f, "{\"waves\":[{\"percent\":100}]}");
		small_fleet_chain(&f.s);
		(void)small_fleet_add(
			&f, 10, "app 1.0.0, lib 1.0.0, runtime 1.0.0", PLAN_NO_DEVICE);
		f.in.deltas = &ready;
		f.in.n_deltas = (uint32_t)built;
		small_fleet_make(&f, &p);
		assert_int_equal(plan_stage(&p, 0, 0)->deltas_to_build, 1 - built);
		if (built == 1)
			assert_memory_equal(before, p.digest, 32);
		memcpy(before, p.digest, 32);
		small_fleet_end(&f, &p);
	}
}

/* Behaviour: a plan under which nothing happens says so, and why. */
static void says_that_nothing_happens(void **state)
{
	static struct small_fleet f;
	struct plan p;

	(void)state;
	small_fleet_begin(&f, "{}");
	small_fleet_chain(&f.s);
	small_fleet_make(&f, &p);
	assert_int_equal(p.n_notes, 1);
	assert_string_equal(p.notes[0], "nothing would happen: the selector matches no device");
	small_fleet_end(&f, &p);
	small_fleet_begin(&f, "{\"conflicts\":\"leave_out\"}");
	small_fleet_chain(&f.s);
	(void)small_fleet_add(&f, 3, "app 2.0.0, lib 2.0.0, runtime 2.0.0", PLAN_NO_DEVICE);
	(void)small_fleet_add(&f, 2, "app 9.0.0", PLAN_NO_DEVICE);
	small_fleet_make(&f, &p);
	assert_int_equal(p.n_notes, 1);
	assert_string_equal(p.notes[0],
		"nothing would happen: 3 devices have all of it already, 2 are "
		"incompatible");
	small_fleet_end(&f, &p);
}

/* Behaviour: a first wave that whole gateways make much larger than asked is remarked on. */
static void remarks_on_a_large_first_wave(void **state)
{
	static struct small_fleet f;
	struct plan p;

	(void)state;
	small_fleet_begin(&f, "{\"waves\":[{\"percent\":1},{\"percent\":99}]}");
	small_fleet_chain(&f.s);
	for (int i = 0; i < 10; i++) {
		uint32_t gateway = small_fleet_add(&f, 1, "fw 1.0.0", PLAN_NO_DEVICE);

		f.flags[gateway] |= PLAN_GATEWAY;
		(void)small_fleet_add(&f, 10, "app 1.0.0, lib 1.0.0, runtime 1.0.0", gateway);
	}
	small_fleet_make(&f, &p);
	assert_int_equal(p.waves[0].devices, 10);
	assert_int_equal(p.n_notes, 1);
	assert_string_equal(p.notes[0],
		"wave 0 has 10 devices, not 1: a gateway and the devices behind it come together");
	small_fleet_end(&f, &p);
}

/* Behaviour: each class and each refusal about devices names the first of them. */
static void names_an_example(void **state)
{
	static struct small_fleet f;
	struct plan p;

	(void)state;
	small_fleet_begin(&f, "{}");
	small_fleet_chain(&f.s);
	small_publish(&f.s, "tool 1.0.0", "lib <2");
	(void)small_fleet_add(&f, 3, "app 1.0.0, lib 1.0.0, runtime 1.0.0", PLAN_NO_DEVICE);
	(void)small_fleet_add(&f, 2, "lib 1.0.0, tool 1.0.0", PLAN_NO_DEVICE);
	small_fleet_make(&f, &p);
	assert_int_equal(p.n_classes, 2);
	assert_int_equal(p.classes[0].example_no + p.classes[1].example_no, 1 + 4);
	assert_int_equal(p.n_refusals, 1);
	assert_int_equal(p.refusals[0].example_no, 4);
	small_fleet_end(&f, &p);
}

/* Behaviour: a plan that was written reads back as the same. */
static void reads_what_it_writes(void **state)
{
	static struct small_fleet f;
	struct plan p, back = { 0 };
	FL_AUTO_JSON json_t *once = NULL, *twice = NULL, *view = NULL;

	(void)state;
	sample(&f, "{\"gate\":{\"success\":{\"minimum\":3}}}");
	small_fleet_make(&f, &p);
	assert_true(p.n_refusals > 0 && p.n_notes > 0 && p.n_pairs > 0);
	once = plan_json(&p);
	assert_non_null(once);
	assert_int_equal(plan_read(once, &back, NULL), FL_OK);
	twice = plan_json(&back);
	assert_true(json_equal(once, twice));
	assert_int_equal(back.totals[PLAN_INCOMPATIBLE], 10);
	assert_int_equal(plan_stage(&back, 2, 1)->wave, 1);
	view = plan_view(&back);
	assert_int_equal(json_array_size(json_object_get(view, "classes")), 3);
	plan_fini(&back);
	small_fleet_end(&f, &p);
}

/* Behaviour: damage in a stored plan is noticed, whatever member it hits. */
static void notices_damage(void **state)
{
	static struct small_fleet f;
	struct plan p;
	FL_AUTO_JSON json_t *json = NULL;
	const char *key;
	json_t *value;

	(void)state;
	sample(&f, "{}");
	small_fleet_make(&f, &p);
	json = plan_json(&p);
	json_object_foreach (json, key, value) {
		FL_AUTO_JSON json_t *copy = json_deep_copy(json);
		struct plan back = { 0 };

		if (strcmp(key, "totals") == 0 || strcmp(key, "notes") == 0)
			continue; /* made of the others; free text */
		assert_int_equal(json_object_set_new(copy, key, json_true()), 0);
		if (plan_read(copy, &back, NULL) != FL_CORRUPT)
			fail_msg("%s", key);
		plan_fini(&back);
	}
	small_fleet_end(&f, &p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digest_covers_it_all),
		cmocka_unit_test(digest_leaves_the_cache_out),
		cmocka_unit_test(says_that_nothing_happens),
		cmocka_unit_test(remarks_on_a_large_first_wave),
		cmocka_unit_test(names_an_example),
		cmocka_unit_test(reads_what_it_writes),
		cmocka_unit_test(notices_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
