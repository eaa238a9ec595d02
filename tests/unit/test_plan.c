/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/small_fleet.h"

/* The layers as "runtime | app + lib, tool". */
static void expect_layers(const struct plan *p, const char *wanted)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };

	fl_buf_str(&b, "");
	for (uint32_t i = 0; i < p->n_units; i++) {
		if (i > 0)
			fl_buf_str(&b, p->units[i].layer == p->units[i - 1].layer ? ", " : " | ");
		for (uint32_t k = 0; k < p->units[i].n; k++)
			fl_buf_printf(&b, "%s%s", k > 0 ? " + " : "", p->units[i].modules[k]->name);
	}
	fl_buf_byte(&b, '\0');
	assert_string_equal((char *)b.p, wanted);
}

/* A set as "app 1.0.0, lib 2.0.0". */
static void expect_set(const struct plan_set *s, const char *wanted)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };

	fl_buf_str(&b, "");
	for (uint32_t i = 0; i < s->n; i++)
		fl_buf_printf(&b, "%s%s %s", i > 0 ? ", " : "", s->items[i].module->name,
			s->items[i].version);
	fl_buf_byte(&b, '\0');
	assert_string_equal((char *)b.p, wanted);
}

/* Behaviour: layers by depth, waves by size, one class per start, exact counts in every stage. */
static void plans_a_chain(void **state)
{
	static struct small_fleet f;
	struct plan p;
	uint32_t full;

	(void)state;
	small_fleet_begin(&f,
		"{\"waves\":[{\"count\":5,\"name\":\"canary\"},{\"percent\":10},{\"percent\":100}]"
		"}");
	small_fleet_chain(&f.s);
	full = small_fleet_add(&f, 90, "app 1.0.0, lib 1.0.0, runtime 1.0.0", PLAN_NO_DEVICE);
	(void)small_fleet_add(&f, 10, "app 2.0.0, lib 2.0.0, runtime 2.0.0", PLAN_NO_DEVICE);
	(void)small_fleet_add(&f, 10, "runtime 1.0.0", PLAN_NO_DEVICE);
	small_fleet_make(&f, &p);
	expect_layers(&p, "runtime | lib | app");
	assert_int_equal(p.n_layers, 3);
	assert_int_equal(p.n_waves, 3);
	assert_string_equal(p.waves[0].name, "canary");
	assert_int_equal(p.waves[0].devices, 5);
	assert_int_equal(p.waves[1].devices, 10);
	assert_int_equal(p.waves[2].devices, 85);
	assert_int_equal(p.n_classes, 3);
	assert_int_equal(p.totals[PLAN_UPDATE], 100);
	assert_int_equal(p.totals[PLAN_NOOP], 10);
	assert_int_equal(p.n_refusals, 0);
	expect_set(
		plan_class_before(&p, p.class_of[full], 0), "app 1.0.0, lib 1.0.0, runtime 1.0.0");
	expect_set(
		plan_class_after(&p, p.class_of[full], 0), "app 1.0.0, lib 1.0.0, runtime 2.0.0");
	expect_set(
		plan_class_after(&p, p.class_of[full], 1), "app 1.0.0, lib 2.0.0, runtime 2.0.0");
	expect_set(
		plan_class_after(&p, p.class_of[full], 2), "app 2.0.0, lib 2.0.0, runtime 2.0.0");
	assert_true(plan_class_changes(&p, p.class_of[full], 2));
	assert_false(plan_class_changes(&p, p.class_of[full + 95], 0));
	assert_false(plan_class_changes(&p, p.class_of[full + 100], 1));
	assert_int_equal(p.wave_of[full + 95], PLAN_NO_WAVE);
	for (uint32_t w = 0; w < 3; w++) {
		uint32_t of_layer[3] = { 0 };

		for (size_t i = 0; i < f.in.devices.n; i++) {
			for (uint32_t l = 0; l < 3; l++)
				of_layer[l] += p.wave_of[i] == w &&
					plan_class_changes(&p, p.class_of[i], l);
		}
		for (uint32_t l = 0; l < 3; l++)
			assert_int_equal(plan_stage(&p, l, w)->devices, of_layer[l]);
	}
	/* runtime 2.0.0 was published sixth: 1006 bytes; nothing is built yet. */
	assert_int_equal(plan_stage(&p, 0, 0)->bytes_full, 5 * 1006);
	assert_int_equal(plan_stage(&p, 0, 0)->bytes_delta, -1);
	assert_int_equal(plan_stage(&p, 0, 0)->deltas_to_build, 1);
	assert_int_equal(p.n_pairs, 3);
	assert_int_equal(p.pairs[0].from->size, 1005);
	assert_int_equal(p.pairs[0].devices, 100);
	small_fleet_end(&f, &p);
}

/* Behaviour: pairs come in the order in which the strategy comes to the stages that need them. */
static void pairs_come_in_the_order_of_stages(void **state)
{
	/* Sizes of the old artifacts: app 1.0.0, lib 1.0.0, runtime 1.0.0, runtime 1.5.0; the device with
	 * runtime 1.5.0 is in the second wave. */
	static const struct {
		const char *order;
		int64_t from[4];
		uint32_t wave[4];
	} cases[] = {
		{ "wave_first", { 1005, 1003, 1001, 1007 }, { 0, 0, 0, 1 } },
		{ "layer_first", { 1005, 1007, 1003, 1001 }, { 0, 1, 0, 0 } },
		{ "pipelined", { 1005, 1007, 1003, 1001 }, { 0, 1, 0, 0 } },
	};

	(void)state;
	for (size_t i = 0; i < FL_COUNT(cases); i++) {
		static struct small_fleet f;
		struct plan p;
		char text[128];
		uint32_t other;

		(void)snprintf(text, sizeof(text),
			"{\"waves\":[{\"count\":1},{\"percent\":100}],\"order\":\"%s\"}",
			cases[i].order);
		small_fleet_begin(&f, text);
		small_fleet_chain(&f.s);
		small_publish(&f.s, "runtime 1.5.0", "");
		(void)small_fleet_add(
			&f, 30, "app 1.0.0, lib 1.0.0, runtime 1.0.0", PLAN_NO_DEVICE);
		other = small_fleet_add(&f, 1, "runtime 1.5.0", PLAN_NO_DEVICE);
		small_fleet_make(&f, &p);
		assert_int_equal(p.wave_of[other], 1);
		assert_int_equal(p.n_pairs, 4);
		for (uint32_t k = 0; k < p.n_pairs; k++) {
			assert_int_equal(p.pairs[k].from->size, cases[i].from[k]);
			assert_int_equal(p.pairs[k].wave, cases[i].wave[k]);
		}
		small_fleet_end(&f, &p);
	}
}

/* Behaviour: deltas that are ready count with their size, others are to be built. */
static void forecasts_bytes(void **state)
{
	static struct small_fleet f;
	struct plan p;
	struct plan_delta ready[] = { { 4, 5, 100 }, { 4, 5, 200 }, { 2, 3, 99999 }, { 0, 5, 1 } };

	(void)state;
	small_fleet_begin(&f, "{\"waves\":[{\"percent\":100}]}");
	small_fleet_chain(&f.s);
	(void)small_fleet_add(&f, 10, "app 1.0.0, lib 1.0.0, runtime 1.0.0", PLAN_NO_DEVICE);
	(void)small_fleet_add(&f, 2, "runtime 1.5.0", PLAN_NO_DEVICE);
	f.in.deltas = ready;
	f.in.n_deltas = 4;
	small_fleet_make(&f, &p);
	assert_int_equal(plan_stage(&p, 0, 0)->bytes_full, 12 * 1006);
	assert_int_equal(plan_stage(&p, 0, 0)->bytes_delta, 10 * 100 + 2 * 1006);
	assert_int_equal(plan_stage(&p, 0, 0)->deltas_to_build, 0);
	/* The one for lib is no smaller than lib itself. */
	assert_int_equal(plan_stage(&p, 1, 0)->bytes_delta, -1);
	assert_int_equal(plan_stage(&p, 1, 0)->deltas_to_build, 1);
	/* Nobody has the bytes of runtime 1.5.0. */
	assert_int_equal(plan_stage(&p, 0, 0)->no_way_back, 2);
	assert_int_equal(p.n_notes, 1);
	assert_string_equal(p.notes[0],
		"after layer 0 there is no way back for 2 devices: the bytes of "
		"runtime 1.5.0 are not here");
	small_fleet_end(&f, &p);
}

/* Behaviour: stages with no way back are named, with the devices that they touch. */
static void names_no_way_back(void **state)
{
	static struct small_fleet f;
	struct plan p;

	(void)state;
	small_fleet_begin(&f, "{\"waves\":[{\"count\":1},{\"percent\":100}]}");
	small_publish(&f.s, "fw 1.0.0", "");
	small_publish(&f.s, "fw 2.0.0$", "");
	small_publish(&f.s, "app 1.0.0", "");
	small_publish(&f.s, "app 2.0.0", "fw ^2");
	(void)small_fleet_add(&f, 4, "fw 1.0.0, app 1.0.0", PLAN_NO_DEVICE);
	small_release(&f.s, "fw 2.0.0, app 2.0.0");
	small_fleet_make(&f, &p);
	expect_layers(&p, "fw | app");
	assert_int_equal(plan_stage(&p, 0, 0)->no_way_back, 1);
	assert_int_equal(plan_stage(&p, 0, 1)->no_way_back, 3);
	assert_int_equal(plan_stage(&p, 1, 1)->no_way_back, 0);
	assert_string_equal(p.notes[0],
		"after layer 0 there is no way back for 4 devices: fw 2.0.0 allows no way back");
	small_fleet_end(&f, &p);
}

/* Behaviour: a gateway and its devices are in one wave; its module is a layer before theirs. */
static void keeps_gateways_together(void **state)
{
	static struct small_fleet f;
	struct plan p;

	(void)state;
	small_fleet_begin(&f, "{\"waves\":[{\"count\":7},{\"percent\":100}]}");
	small_publish(&f.s, "Bridge 2.0.0", "");
	small_publish(&f.s, "app 2.0.0", "Bridge ^2");
	for (int i = 0; i < 20; i++) {
		uint32_t gateway = small_fleet_add(&f, 1, "Bridge 1.0.0", PLAN_NO_DEVICE);

		f.flags[gateway] |= PLAN_GATEWAY;
		(void)small_fleet_add(&f, 3, "app 1.0.0", gateway);
		(void)small_fleet_add(&f, 1, "app 1.5.0", gateway);
	}
	small_release(&f.s, "Bridge 2.0.0, app 2.0.0");
	small_fleet_make(&f, &p);
	expect_layers(&p, "Bridge | app");
	assert_int_equal(p.n_classes, 3);
	assert_int_equal(p.waves[0].devices, 5);
	assert_int_equal(p.waves[1].devices, 95);
	for (size_t i = 0; i < f.in.devices.n; i++)
		assert_int_equal(p.wave_of[i], p.wave_of[i - i % 5]);
	assert_int_equal(plan_stage(&p, 0, 0)->devices, 1);
	assert_int_equal(plan_stage(&p, 1, 0)->devices, 4);
	small_fleet_end(&f, &p);
}

/* Behaviour: a gateway outside of the rollout is not touched, and what needs another version of its
 * module is refused; conflicts can be left out instead. */
static void leaves_neighbours_alone(void **state)
{
	static struct small_fleet f;
	struct plan p;
	uint32_t gateway;

	(void)state;
	for (int leave_out = 0; leave_out < 2; leave_out++) {
		small_fleet_begin(&f, leave_out ? "{\"conflicts\":\"leave_out\"}" : "{}");
		small_publish(&f.s, "Bridge 2.0.0", "");
		small_publish(&f.s, "app 2.0.0", "Bridge ^2");
		gateway = small_fleet_add(&f, 1, "Bridge 1.0.0", PLAN_NO_DEVICE);
		f.flags[gateway] = PLAN_GATEWAY;
		(void)small_fleet_add(&f, 3, "app 1.0.0", gateway);
		gateway = small_fleet_add(&f, 1, "Bridge 2.0.0", PLAN_NO_DEVICE);
		f.flags[gateway] = PLAN_GATEWAY;
		(void)small_fleet_add(&f, 2, "app 1.0.0", gateway);
		small_release(&f.s, "Bridge 2.0.0, app 2.0.0");
		small_fleet_make(&f, &p);
		assert_int_equal(p.class_of[0], UINT32_MAX);
		assert_int_equal(p.totals[PLAN_INCOMPATIBLE], 3);
		assert_int_equal(p.totals[PLAN_UPDATE], 2);
		assert_string_equal(p.classes[p.class_of[1]].reason,
			"app 2.0.0 on the device needs Bridge ^2, but there is 1.0.0");
		assert_int_equal(p.n_refusals, !leave_out);
		if (!leave_out) {
			assert_int_equal(p.refusals[0].devices, 3);
			assert_string_equal(p.refusals[0].chain[0], "the release has app 2.0.0");
		}
		small_fleet_end(&f, &p);
	}
}

/* Behaviour: devices on which another rollout changes the same module are held, others are not; when all
 * are held the plan is refused. */
static void holds_for_other_rollouts(void **state)
{
	static struct small_fleet f;
	struct plan p;
	uint32_t app, other;
	struct plan_hold holds[3] = { 0 };

	(void)state;
	small_fleet_begin(&f, "{}");
	small_publish(&f.s, "app 2.0.0", "");
	(void)small_fleet_add(&f, 10, "app 1.0.0, other 1.0.0", PLAN_NO_DEVICE);
	small_release(&f.s, "app 2.0.0");
	app = small_module(&f.s, "app");
	other = small_module(&f.s, "other");
	holds[1] = (struct plan_hold){ "hotfix", &app, 1 };
	holds[2] = (struct plan_hold){ "elsewhere", &other, 1 };
	f.held[3] = f.held[4] = 1;
	f.held[5] = 2;
	f.in.holds = holds;
	f.in.n_holds = 3;
	small_fleet_make(&f, &p);
	assert_int_equal(p.totals[PLAN_HELD], 2);
	assert_int_equal(p.totals[PLAN_UPDATE], 8);
	assert_int_equal(p.classes[p.class_of[3]].kind, PLAN_HELD);
	assert_string_equal(p.classes[p.class_of[3]].reason, "rollout hotfix is changing app");
	assert_int_equal(p.wave_of[4], PLAN_NO_WAVE);
	for (size_t i = 0; i < 10; i++)
		f.held[i] = 1;
	plan_fini(&p);
	small_fleet_make(&f, &p);
	assert_int_equal(p.n_refusals, 1);
	assert_non_null(strstr(p.refusals[0].reason, "rollout hotfix is changing app"));
	assert_non_null(strstr(p.refusals[0].reason, "supersede"));
	assert_int_equal(p.refusals[0].devices, 10);
	small_fleet_end(&f, &p);
}

/* Behaviour: devices of which no variant fits are incompatible, which refuses nothing. */
static void sorts_out_incompatible(void **state)
{
	static struct small_fleet f;
	static const uint64_t signatures[] = { 1, 0 };
	struct plan p;
	uint32_t v;

	(void)state;
	small_fleet_begin(&f, "{}");
	v = universe_version(&f.s.u, small_module(&f.s, "app"), "2.0.0");
	universe_publish_version(&f.s.u, v, &(struct universe_publication){ 0 });
	universe_variant(&f.s.u, v, universe_selector(&f.s.u, "attribute.hw==a"),
		universe_artifact(&f.s.u, (const uint8_t[32]){ 1 }, 500, 1));
	(void)small_fleet_add(&f, 6, "app 1.0.0", PLAN_NO_DEVICE);
	small_release(&f.s, "app 2.0.0");
	f.signature[0] = f.signature[1] = 1;
	f.in.signatures = signatures;
	small_fleet_make(&f, &p);
	assert_int_equal(p.totals[PLAN_INCOMPATIBLE], 2);
	assert_int_equal(p.totals[PLAN_UPDATE], 4);
	assert_int_equal(p.n_refusals, 0);
	assert_string_equal(p.classes[p.class_of[0]].reason,
		"app 2.0.0 has no variant for this kind of device");
	small_fleet_end(&f, &p);
}

/* Behaviour: a gate that its stage cannot feed is refused with both numbers. */
static void refuses_hungry_gates(void **state)
{
	static struct small_fleet f;
	struct plan p;

	(void)state;
	small_fleet_begin(&f,
		"{\"waves\":[{\"count\":5},{\"percent\":100}],\"gate\":{\"success\":{\"minimum\":"
		"55}}}");
	small_publish(&f.s, "app 2.0.0", "");
	(void)small_fleet_add(&f, 100, "app 1.0.0", PLAN_NO_DEVICE);
	small_release(&f.s, "app 2.0.0");
	small_fleet_make(&f, &p);
	assert_int_equal(p.n_refusals, 1);
	assert_string_equal(p.refusals[0].reason,
		"the gate of layer 0 needs 55 outcomes, but wave 0 has 5 devices in it");
	small_fleet_end(&f, &p);
}

/* Behaviour: devices that no selector wave takes are a refusal, not a silent part of the last one. */
static void refuses_forgotten_devices(void **state)
{
	static struct small_fleet f;
	struct plan p;

	(void)state;
	small_fleet_begin(&f,
		"{\"waves\":[{\"selector\":\"label.ring==a\"},{\"selector\":\"label.ring==b\"}]}");
	small_publish(&f.s, "app 2.0.0", "");
	(void)small_fleet_add(&f, 10, "app 1.0.0", PLAN_NO_DEVICE);
	small_release(&f.s, "app 2.0.0");
	for (int i = 0; i < 7; i++)
		f.wave[i] = i < 3 ? 0 : 1;
	small_fleet_make(&f, &p);
	assert_int_equal(p.waves[0].devices, 3);
	assert_int_equal(p.waves[1].devices, 4);
	assert_int_equal(p.n_refusals, 1);
	assert_int_equal(p.refusals[0].devices, 3);
	small_fleet_end(&f, &p);
}

/* Behaviour: a last wave that was given as a part of the fleet does not take all of it. */
static void refuses_short_waves(void **state)
{
	static const struct {
		const char *strategy;
		uint32_t left; /* devices that the waves do not ask for; 0: it is no refusal */
	} cases[] = {
		{ "{\"waves\":[{\"percent\":5},{\"percent\":10}]}", 85 },
		{ "{\"waves\":[{\"count\":5}]}", 95 },
		{ "{\"waves\":[{\"count\":5},{\"count\":94}]}", 1 },
		{ "{\"waves\":[{\"count\":5},{\"count\":95}]}", 0 },
		{ "{\"waves\":[{\"count\":5},{\"percent\":100}]}", 0 },
		{ "{\"waves\":[{\"percent\":33.3},{\"percent\":33.3},{\"percent\":33.3}]}", 0 },
		{ "{\"waves\":[{\"percent\":1},{\"factor\":2}]}", 0 },
	};

	(void)state;
	for (size_t i = 0; i < FL_COUNT(cases); i++) {
		static struct small_fleet f;
		struct plan p;

		small_fleet_begin(&f, cases[i].strategy);
		small_publish(&f.s, "app 2.0.0", "");
		(void)small_fleet_add(&f, 100, "app 1.0.0", PLAN_NO_DEVICE);
		small_release(&f.s, "app 2.0.0");
		small_fleet_make(&f, &p);
		assert_int_equal(p.n_refusals, cases[i].left > 0);
		if (cases[i].left > 0) {
			assert_int_equal(p.refusals[0].devices, cases[i].left);
			assert_non_null(strstr(p.refusals[0].reason, "of 100 devices"));
		}
		small_fleet_end(&f, &p);
	}
}

/* Behaviour: starts that need contrary orders share a unit on a device; across versions of one module
 * they get layers of their own. Nothing is broken after any layer in either. */
static void joins_contrary_orders(void **state)
{
	static struct small_fleet f;
	struct plan p;

	(void)state;
	small_fleet_begin(&f, "{\"waves\":[{\"percent\":100}]}");
	small_publish(&f.s, "app 1.0.0", "");
	small_publish(&f.s, "app 0.9.0", "lib <2");
	small_publish(&f.s, "app 2.0.0", "lib >=1.5");
	small_publish(&f.s, "lib 2.0.0", "");
	(void)small_fleet_add(&f, 1, "app 1.0.0, lib 1.0.0", PLAN_NO_DEVICE);
	(void)small_fleet_add(&f, 1, "app 0.9.0, lib 1.5.0", PLAN_NO_DEVICE);
	small_release(&f.s, "app 2.0.0, lib 2.0.0");
	small_fleet_make(&f, &p);
	expect_layers(&p, "app + lib");
	small_fleet_end(&f, &p);
}

/* Behaviour: devices far behind pass the floors in layers of their own; the others wait for nothing. */
static void layers_floors(void **state)
{
	static struct small_fleet f;
	struct plan p;

	(void)state;
	small_fleet_begin(&f, "{\"waves\":[{\"percent\":100}]}");
	small_publish(&f.s, "app 1.0.0", "");
	small_publish(&f.s, "app 2.0.0!", "");
	small_publish(&f.s, "app 3.0.0", "");
	(void)small_fleet_add(&f, 3, "app 1.0.0", PLAN_NO_DEVICE);
	(void)small_fleet_add(&f, 4, "app 2.0.0", PLAN_NO_DEVICE);
	small_release(&f.s, "app 3.0.0");
	small_fleet_make(&f, &p);
	expect_layers(&p, "app | app");
	assert_int_equal(plan_stage(&p, 0, 0)->devices, 3);
	assert_int_equal(plan_stage(&p, 1, 0)->devices, 7);
	small_fleet_end(&f, &p);
}

/* Behaviour: an empty fleet gives an empty plan. */
static void plans_nothing(void **state)
{
	static struct small_fleet f;
	struct plan p;

	(void)state;
	small_fleet_begin(&f, "{}");
	small_publish(&f.s, "app 2.0.0", "");
	small_release(&f.s, "app 2.0.0");
	small_fleet_make(&f, &p);
	assert_int_equal(p.n_layers + p.n_waves + p.n_classes + p.n_refusals, 0);
	small_fleet_end(&f, &p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plans_a_chain),
		cmocka_unit_test(pairs_come_in_the_order_of_stages),
		cmocka_unit_test(forecasts_bytes),
		cmocka_unit_test(names_no_way_back),
		cmocka_unit_test(keeps_gateways_together),
		cmocka_unit_test(leaves_neighbours_alone),
		cmocka_unit_test(holds_for_other_rollouts),
		cmocka_unit_test(sorts_out_incompatible),
		cmocka_unit_test(refuses_hungry_gates),
		cmocka_unit_test(refuses_forgotten_devices),
		cmocka_unit_test(refuses_short_waves),
		cmocka_unit_test(joins_contrary_orders),
		cmocka_unit_test(layers_floors),
		cmocka_unit_test(plans_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
