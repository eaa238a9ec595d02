/* SPDX-License-Identifier: Apache-2.0
 *
 * Resolving a gateway and the devices behind it. */
#include "tests/unit/small_universe.h"

/* Behaviour: a gateway's module comes before what needs it on the devices. */
static void gateways_come_first(void **state)
{
	struct small s = { .gateway = true };

	(void)state;
	small_publish(&s, "Bridge 2.0.0", "");
	small_publish(&s, "app 2.0.0", "Bridge ^2");
	small_place(&s, "Bridge 1.0.0");
	small_place(&s, "app 1.0.0");
	small_place(&s, "app 1.5.0");
	small_release(&s, "app 2.0.0, Bridge 2.0.0");
	small_expect(&s, "Bridge@0 1.0.0>2.0.0 | app@2 1.5.0>2.0.0 | app@1 1.0.0>2.0.0");
}

/* Behaviour: what a device needs of its gateway comes along there. */
static void brings_along_on_the_gateway(void **state)
{
	struct small s = { .gateway = true };

	(void)state;
	small_publish(&s, "Bridge 2.0.0", "");
	small_publish(&s, "app 2.0.0", "Bridge ^2");
	small_place(&s, "");
	small_place(&s, "app 1.0.0");
	small_release(&s, "app 2.0.0");
	small_expect(&s, "Bridge@0 ->2.0.0 | app@1 1.0.0>2.0.0");
}

/* Behaviour: where a gateway's change would break what still runs behind it, devices go first. */
static void devices_go_first_if_they_must(void **state)
{
	struct small s = { .gateway = true };

	(void)state;
	small_publish(&s, "Bridge 2.0.0", "");
	small_publish(&s, "app 1.0.0", "Bridge ^1");
	small_publish(&s, "app 2.0.0", "Bridge >=1");
	small_place(&s, "Bridge 1.0.0");
	small_place(&s, "app 1.0.0");
	small_release(&s, "app 2.0.0, Bridge 2.0.0");
	small_expect(&s, "app@1 1.0.0>2.0.0 | Bridge@0 1.0.0>2.0.0");
}

/* Behaviour: where no order works across gateway and device, the missing version is named. */
static void names_the_missing_bridge(void **state)
{
	struct small s = { .gateway = true };

	(void)state;
	small_publish(&s, "Bridge 2.0.0", "");
	small_publish(&s, "app 1.0.0", "Bridge ^1");
	small_publish(&s, "app 2.0.0", "Bridge ^2");
	small_publish(&s, "app 1.9.0", "Bridge ^1 || ^2");
	small_place(&s, "Bridge 1.0.0");
	small_place(&s, "app 1.0.0");
	small_release(&s, "app 2.0.0, Bridge 2.0.0");
	small_expect(&s,
		"conflict: app 2.0.0 on the device and Bridge 2.0.0 on its gateway would have to "
		"switch at "
		"the same moment: a version of app is missing that works with Bridge 1.0.0 and "
		"2.0.0 / app "
		"1.0.0 on the device needs Bridge ^1 / app 2.0.0 on the device needs Bridge ^2 / "
		"app 1.9.0 "
		"works with both: publish it as a floor");
}

/* Behaviour: with the bridging version as a floor the way is found. */
static void goes_over_the_bridge(void **state)
{
	struct small s = { .gateway = true };

	(void)state;
	small_publish(&s, "Bridge 2.0.0", "");
	small_publish(&s, "app 1.0.0", "Bridge ^1");
	small_publish(&s, "app 1.9.0!", "Bridge ^1 || ^2");
	small_publish(&s, "app 2.0.0", "Bridge ^2");
	small_place(&s, "Bridge 1.0.0");
	small_place(&s, "app 1.0.0");
	small_release(&s, "app 2.0.0, Bridge 2.0.0");
	small_expect(&s, "app@1 1.0.0>1.9.0 | Bridge@0 1.0.0>2.0.0 | app@1 1.9.0>2.0.0");
}

/* Behaviour: a gateway is not updated under a device that stays and needs the old one; the gateway is
 * the one that is given up. */
static void keeps_devices_behind_a_gateway(void **state)
{
	struct small s = { .gateway = true };
	struct resolve_problem p;
	struct resolve_result r = { 0 };

	(void)state;
	small_publish(&s, "Bridge 2.0.0", "");
	small_publish(&s, "app 1.0.0", "Bridge ^1");
	small_place(&s, "Bridge 1.0.0");
	small_place(&s, "app 1.0.0");
	s.places[1].fixed = true;
	small_release(&s, "Bridge 2.0.0");
	small_seal(&s);
	p = small_problem(&s);
	assert_int_equal(resolve(&p, &r, NULL), FL_OK);
	assert_int_equal(r.outcome, RESOLVE_CONFLICT);
	assert_int_equal(r.place, 0);
	assert_string_equal(
		r.reason, "app 1.0.0 on the device needs Bridge ^1, but the release has 2.0.0");
	resolve_fini(&r);
	universe_fini(&s.u);
}

/* Behaviour: a device that needs a gateway and has none is told so. */
static void misses_a_gateway(void **state)
{
	struct small s = { 0 };

	(void)state;
	small_publish(&s, "Bridge 2.0.0", "");
	small_publish(&s, "app 2.0.0", "Bridge ^2");
	small_place(&s, "app 1.0.0");
	small_release(&s, "app 2.0.0");
	small_expect(&s,
		"conflict: app 2.0.0 needs Bridge ^2 on its gateway, but the device has no gateway "
		"/ the "
		"release has app 2.0.0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gateways_come_first),
		cmocka_unit_test(brings_along_on_the_gateway),
		cmocka_unit_test(devices_go_first_if_they_must),
		cmocka_unit_test(names_the_missing_bridge),
		cmocka_unit_test(goes_over_the_bridge),
		cmocka_unit_test(keeps_devices_behind_a_gateway),
		cmocka_unit_test(misses_a_gateway),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
