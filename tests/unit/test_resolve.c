/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/small_universe.h"

/* Behaviour: a chain of modules is ordered by what requires what. */
static void orders_a_chain(void **state)
{
	struct small s = { 0 };

	(void)state;
	small_publish(&s, "app 2.0.0", "lib ^2");
	small_publish(&s, "lib 2.0.0", "runtime ^2");
	small_publish(&s, "runtime 2.0.0", "");
	small_publish(&s, "app 1.0.0", "lib >=1");
	small_publish(&s, "lib 1.0.0", "runtime >=1");
	small_place(&s, "app 1.0.0, lib 1.0.0, runtime 1.0.0");
	small_release(&s, "app 2.0.0, lib 2.0.0, runtime 2.0.0");
	small_expect(&s, "runtime 1.0.0>2.0.0 | lib 1.0.0>2.0.0 | app 1.0.0>2.0.0");
}

/* Behaviour: update touches only what is installed, install adds, absent removes, the rest stays. */
static void follows_the_actions(void **state)
{
	struct small s = { 0 };

	(void)state;
	small_publish(&s, "app 2.0.0", "");
	small_publish(&s, "tool 1.0.0", "");
	small_publish(&s, "other 1.0.0", "");
	small_publish(&s, "extra 3.0.0", "");
	small_place(&s, "app 1.0.0, old 1.0.0, other 0.5.0");
	small_release(&s, "app 2.0.0, +tool 1.0.0, ~old, extra 3.0.0");
	small_expect(&s, "tool ->1.0.0 | old 1.0.0>- | app 1.0.0>2.0.0");
}

/* Behaviour: what is there already needs no hop. */
static void has_nothing_to_do(void **state)
{
	struct small s = { 0 };

	(void)state;
	small_publish(&s, "app 2.0.0", "lib ^1");
	small_publish(&s, "lib 1.0.0", "");
	small_publish(&s, "lib 1.5.0", "");
	small_place(&s, "app 2.0.0, lib 1.0.0");
	small_release(&s, "app 2.0.0, ~gone");
	small_expect(&s, "");
}

/* Behaviour: a required module comes along in the newest version that satisfies everybody. */
static void brings_what_is_required(void **state)
{
	struct small s = { 0 };

	(void)state;
	small_publish(&s, "app 2.0.0", "lib ^1.2");
	small_publish(&s, "lib 1.0.0", "");
	small_publish(&s, "lib 1.2.0", "");
	small_publish(&s, "lib 1.4.0", "");
	small_publish(&s, "lib 1.5.0", "");
	small_publish(&s, "lib 1.6.0#", "");
	small_publish(&s, "lib 1.7.0-", "");
	small_publish(&s, "lib 2.0.0", "");
	small_publish(&s, "old 1.0.0", "lib <1.5");
	small_place(&s, "app 1.0.0, lib 1.0.0, old 1.0.0");
	small_release(&s, "app 2.0.0");
	small_expect(&s, "lib 1.0.0>1.4.0 | app 1.0.0>2.0.0");
}

/* Behaviour: what satisfies already stays, although there is something newer. */
static void leaves_what_satisfies(void **state)
{
	struct small s = { 0 };

	(void)state;
	small_publish(&s, "app 2.0.0", "lib ^1");
	small_publish(&s, "lib 1.0.0", "");
	small_publish(&s, "lib 1.4.0", "");
	small_place(&s, "app 1.0.0, lib 1.0.0");
	small_release(&s, "app 2.0.0");
	small_expect(&s, "app 1.0.0>2.0.0");
}

/* Behaviour: a choice that leads into a dead end is taken back. */
static void backtracks(void **state)
{
	struct small s = { 0 };

	(void)state;
	small_publish(&s, "app 2.0.0", "lib *, base ^1");
	small_publish(&s, "lib 3.0.0", "base ^2");
	small_publish(&s, "lib 2.0.0", "base ^1.1");
	small_publish(&s, "base 1.0.0", "");
	small_publish(&s, "base 1.1.0", "");
	small_publish(&s, "base 2.0.0", "");
	small_place(&s, "app 1.0.0");
	small_release(&s, "app 2.0.0");
	small_expect(&s, "base ->1.1.0 | lib ->2.0.0 | app 1.0.0>2.0.0");
}

/* Behaviour: something required that stayed at first is moved when what comes breaks it. */
static void moves_what_is_required(void **state)
{
	struct small s = { 0 };

	(void)state;
	small_publish(&s, "app 2.0.0", "lib ^1, base ^2");
	small_publish(&s, "lib 1.0.0", "base ^1");
	small_publish(&s, "lib 1.1.0", "base ^2");
	small_publish(&s, "base 1.0.0", "");
	small_publish(&s, "base 2.0.0", "");
	small_place(&s, "app 1.0.0, lib 1.0.0, base 1.0.0");
	small_release(&s, "app 2.0.0");
	small_expect(&s, "lib 1.0.0>1.1.0 + base 1.0.0>2.0.0 | app 1.0.0>2.0.0");
}

/* Behaviour: two that contradict each other are named with the way each came in. */
static void names_a_conflict(void **state)
{
	struct small s = { 0 };

	(void)state;
	small_publish(&s, "app 2.1.0", "lib ^3");
	small_publish(&s, "runtime 1.2.0", "lib <3");
	small_publish(&s, "lib 2.0.0", "");
	small_publish(&s, "lib 3.0.0", "");
	small_place(&s, "app 1.0.0, runtime 1.2.0, lib 2.0.0");
	small_release(&s, "app 2.1.0");
	small_expect(&s,
		"conflict: app 2.1.0 needs lib ^3 and runtime 1.2.0 needs lib <3: no version of "
		"lib "
		"satisfies both / the release has app 2.1.0 / runtime 1.2.0 is installed and not "
		"in the "
		"release");
}

/* Behaviour: the release must not break what it does not name; a version that would work is named. */
static void keeps_what_it_does_not_name(void **state)
{
	struct small s = { 0 };

	(void)state;
	small_publish(&s, "lib 2.0.0", "");
	small_publish(&s, "other 1.0.0", "lib ^1");
	small_publish(&s, "other 1.2.0", "lib ^1 || ^2");
	small_place(&s, "other 1.0.0, lib 1.0.0");
	small_release(&s, "lib 2.0.0");
	small_expect(&s,
		"conflict: other 1.0.0 needs lib ^1, but the release has 2.0.0 / other 1.0.0 is "
		"installed and not in the release / the release has lib 2.0.0 / other 1.2.0 would "
		"work: "
		"add it to the release");
}

/* Behaviour: nothing that others need is removed. */
static void keeps_what_is_needed(void **state)
{
	struct small s = { 0 };

	(void)state;
	small_publish(&s, "app 1.0.0", "lib ^1");
	small_place(&s, "app 1.0.0, lib 1.0.0");
	small_release(&s, "~lib");
	small_expect(&s,
		"conflict: app 1.0.0 needs lib ^1, which the release removes / app 1.0.0 is "
		"installed and "
		"not in the release / the release removes lib");
}

/* Behaviour: what was broken before does not stand in the way of something else. */
static void tolerates_what_is_broken(void **state)
{
	struct small s = { 0 };

	(void)state;
	small_publish(&s, "sick 1.0.0", "lib ^5");
	small_publish(&s, "app 2.0.0", "");
	small_place(&s, "app 1.0.0, lib 1.0.0, sick 1.0.0");
	small_release(&s, "app 2.0.0");
	small_expect(&s, "app 1.0.0>2.0.0");
}

/* Behaviour: versions that nobody published, or that are no semver, may be left behind. */
static void leaves_unknown_versions(void **state)
{
	struct small s = { 0 };

	(void)state;
	small_publish(&s, "app 2.0.0", "lib *");
	small_publish(&s, "lib 0.1.0", "");
	small_place(&s, "app build-77, lib snapshot");
	small_release(&s, "app 2.0.0");
	small_expect(&s, "lib snapshot>0.1.0 | app build-77>2.0.0");
}

/* Behaviour: missing versions are told with what there is. */
static void tells_what_there_is(void **state)
{
	struct small s = { 0 };

	(void)state;
	small_publish(&s, "app 2.0.0", "lib ^3");
	small_publish(&s, "lib 1.0.0", "");
	small_publish(&s, "lib 2.0.0", "");
	small_place(&s, "app 1.0.0");
	small_release(&s, "app 2.0.0");
	small_expect(&s,
		"conflict: app 2.0.0 needs lib ^3, but there are only 2.0.0, 1.0.0 / the release "
		"has app "
		"2.0.0");
	s = (struct small){ 0 };
	small_publish(&s, "app 2.0.0", "lib ^3");
	small_publish(&s, "lib 3.0.0#", "");
	small_place(&s, "app 1.0.0");
	small_release(&s, "app 2.0.0");
	small_expect(&s,
		"conflict: app 2.0.0 needs lib ^3, but lib 3.0.0 is blocked: it burns / the "
		"release has app 2.0.0");
	s = (struct small){ 0 };
	small_publish(&s, "app 2.0.0", "lib ^3");
	small_publish(&s, "lib 3.0.0#", "");
	small_publish(&s, "lib 3.1.0#", "");
	small_place(&s, "app 1.0.0");
	small_release(&s, "app 2.0.0");
	small_expect(&s,
		"conflict: app 2.0.0 needs lib ^3, but lib 3.1.0 is blocked: it burns, and lib "
		"3.0.0 is blocked: it burns / the release has app 2.0.0");
	s = (struct small){ 0 };
	small_publish(&s, "app 2.0.0", "lib ^3");
	small_place(&s, "app 1.0.0");
	small_release(&s, "app 2.0.0");
	small_expect(&s,
		"conflict: app 2.0.0 needs lib ^3, but no version of lib is published / the "
		"release has "
		"app 2.0.0");
}

/* Behaviour: a blocked version is never a target, with the reason that was given. */
static void refuses_blocked(void **state)
{
	struct small s = { 0 };

	(void)state;
	small_publish(&s, "app 2.0.0#", "");
	small_place(&s, "app 1.0.0");
	small_release(&s, "app 2.0.0");
	small_expect(&s, "conflict: app 2.0.0 is blocked: it burns / the release has app 2.0.0");
}

/* Behaviour: a device that is further than the release is left alone. */
static void takes_nothing_down(void **state)
{
	struct small s = { 0 };

	(void)state;
	small_publish(&s, "app 2.0.0", "");
	small_place(&s, "app 3.0.0");
	small_release(&s, "app 2.0.0");
	small_expect(&s,
		"incompatible: app 2.0.0 is older than what is installed, and a rollout takes no "
		"version "
		"down (3.0.0) / the release has app 2.0.0");
}

/* Behaviour: floors are passed one after the other, lowest first, each with what it requires. */
static void passes_floors(void **state)
{
	struct small s = { 0 };

	(void)state;
	small_publish(&s, "app 1.5.0!", "");
	small_publish(&s, "app 2.0.0!", "lib ^1");
	small_publish(&s, "app 2.5.0", "");
	small_publish(&s, "app 3.0.0", "lib ^2");
	small_publish(&s, "app 4.0.0!", "");
	small_publish(&s, "lib 2.0.0", "");
	small_place(&s, "app 1.0.0, lib 1.0.0");
	small_release(&s, "app 3.0.0, lib 2.0.0");
	small_expect(&s, "app 1.0.0>1.5.0 | app 1.5.0>2.0.0 | app 2.0.0>3.0.0 + lib 1.0.0>2.0.0");
}

/* Behaviour: no floor is passed that is blocked or cannot run there. */
static void refuses_bad_floors(void **state)
{
	struct small s = { 0 };

	(void)state;
	small_publish(&s, "app 2.0.0!#", "");
	small_publish(&s, "app 3.0.0", "");
	small_place(&s, "app 1.0.0");
	small_release(&s, "app 3.0.0");
	small_expect(&s,
		"conflict: app 2.0.0 is blocked: it burns / app 2.0.0 must be passed through on "
		"the way "
		"from 1.0.0 to 3.0.0 / the release has app 3.0.0");
	s = (struct small){ 0 };
	small_publish(&s, "app 2.0.0!", "lib ^7");
	small_publish(&s, "app 3.0.0", "");
	small_place(&s, "app 1.0.0, lib 1.0.0");
	small_release(&s, "app 3.0.0");
	small_expect(&s,
		"conflict: app 2.0.0 needs lib ^7, which does not hold on the way through this "
		"version / "
		"the release has app 3.0.0");
}

/* Behaviour: two that break each other in either order switch together; the rest does not. */
static void forms_units(void **state)
{
	struct small s = { 0 };

	(void)state;
	small_publish(&s, "app 1.0.0", "lib ^1");
	small_publish(&s, "app 2.0.0", "lib ^2");
	small_publish(&s, "lib 2.0.0", "runtime ^2");
	small_publish(&s, "runtime 2.0.0", "");
	small_publish(&s, "top 2.0.0", "app ^2");
	small_place(&s, "app 1.0.0, lib 1.0.0, runtime 1.0.0, top 1.0.0");
	small_release(&s, "top 2.0.0, app 2.0.0, lib 2.0.0, runtime 2.0.0");
	small_expect(
		&s, "runtime 1.0.0>2.0.0 | app 1.0.0>2.0.0 + lib 1.0.0>2.0.0 | top 1.0.0>2.0.0");
}

/* Behaviour: a version that runs with both makes single steps possible, with the new one first. */
static void prefers_single_modules(void **state)
{
	struct small s = { 0 };

	(void)state;
	small_publish(&s, "app 1.0.0", "lib ^1");
	small_publish(&s, "app 2.0.0", "lib ^1 || ^2");
	small_publish(&s, "lib 2.0.0", "");
	small_place(&s, "app 1.0.0, lib 1.0.0");
	small_release(&s, "app 2.0.0, lib 2.0.0");
	small_expect(&s, "app 1.0.0>2.0.0 | lib 1.0.0>2.0.0");
}

/* Behaviour: changed modules that need each other in a circle are refused, and named. */
static void refuses_circles(void **state)
{
	struct small s = { 0 };

	(void)state;
	small_publish(&s, "a 2.0.0", "b ^2");
	small_publish(&s, "b 2.0.0", "c ^2");
	small_publish(&s, "c 2.0.0", "a ^2");
	small_place(&s, "a 1.0.0, b 1.0.0, c 1.0.0");
	small_release(&s, "a 2.0.0, b 2.0.0, c 2.0.0");
	small_expect(&s,
		"conflict: a 2.0.0 needs b 2.0.0 needs c 2.0.0 needs a 2.0.0: they need each other "
		"in a circle / a 2.0.0 needs b ^2 / b 2.0.0 needs c ^2 / c 2.0.0 needs a ^2");
}

/* Behaviour: variants and needs decide by the device's signature. */
static void asks_the_device(void **state)
{
	struct small s = { 0 };
	uint32_t v;

	(void)state;
	v = small_publish(&s, "app 2.0.0", "");
	universe_need(&s.u, v, universe_attribute(&s.u, "runtime", ">=2"));
	small_place(&s, "app 1.0.0");
	small_release(&s, "app 2.0.0");
	small_expect(&s,
		"incompatible: app 2.0.0 needs what this kind of device does not have: runtime >=2 "
		"/ the "
		"release has app 2.0.0");
	s = (struct small){ .signature = 1 };
	v = small_publish(&s, "app 2.0.0", "");
	universe_need(&s.u, v, universe_attribute(&s.u, "runtime", ">=2"));
	small_place(&s, "app 1.0.0");
	small_release(&s, "app 2.0.0");
	small_expect(&s, "app 1.0.0>2.0.0");
	s = (struct small){ 0 };
	v = universe_version(&s.u, small_module(&s, "app"), "2.0.0");
	universe_publish_version(&s.u, v, &(struct universe_publication){ 0 });
	universe_variant(&s.u, v, universe_selector(&s.u, "attribute.hw==b"), UNIVERSE_NONE);
	small_place(&s, "app 1.0.0");
	small_release(&s, "app 2.0.0");
	small_expect(&s,
		"incompatible: app 2.0.0 has no variant for this kind of device / the release has "
		"app "
		"2.0.0");
}

/* ---- gateways */

/* Behaviour: a range that nobody can read is a failure that names its version. */
static void refuses_bad_ranges(void **state)
{
	struct small s = { 0 };
	struct fl_err err;

	(void)state;
	small_publish(&s, "app 2.0.0", "lib latest");
	assert_int_equal(universe_seal(&s.u, &err), FL_INVALID);
	assert_non_null(strstr(err.msg, "app 2.0.0 requires: \"latest\""));
	universe_fini(&s.u);
}

/* Behaviour: needs compare versions and numbers, else words. */
static void needs_of_a_device(void **state)
{
	static const struct {
		const char *value, *range;
		bool meets;
	} cases[] = {
		{ "1.2.3", ">=1.0", true },
		{ "1.2.3", "^2", false },
		{ "1.10", ">=1.9", true },
		{ "2", ">=1.5", true },
		{ "128", ">=64 <=512", true },
		{ "513", ">=64 <=512", false },
		{ NULL, "*", false },
		{ "anything", "*", true },
		{ "wasi", "wasi", true },
		{ "[\"gpu\",\"wasi\"]", "wasi", true },
		{ "gpu, wasi", "gpu", true },
		{ "wasi2", "wasi", false },
		{ "gpu", "wasi", false },
		{ "two words", "two words", true },
		{ "abc", ">=1", false },
		{ "1.2.3-rc.1", ">=1.2.3-rc.0", true },
	};

	(void)state;
	for (size_t i = 0; i < FL_COUNT(cases); i++) {
		if (predicate_meets(cases[i].value, cases[i].range) != cases[i].meets)
			fail_msg("%s in %s", cases[i].value ? cases[i].value : "(none)",
				cases[i].range);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(orders_a_chain),
		cmocka_unit_test(follows_the_actions),
		cmocka_unit_test(has_nothing_to_do),
		cmocka_unit_test(brings_what_is_required),
		cmocka_unit_test(leaves_what_satisfies),
		cmocka_unit_test(backtracks),
		cmocka_unit_test(moves_what_is_required),
		cmocka_unit_test(names_a_conflict),
		cmocka_unit_test(keeps_what_it_does_not_name),
		cmocka_unit_test(keeps_what_is_needed),
		cmocka_unit_test(tolerates_what_is_broken),
		cmocka_unit_test(leaves_unknown_versions),
		cmocka_unit_test(tells_what_there_is),
		cmocka_unit_test(refuses_blocked),
		cmocka_unit_test(takes_nothing_down),
		cmocka_unit_test(passes_floors),
		cmocka_unit_test(refuses_bad_floors),
		cmocka_unit_test(forms_units),
		cmocka_unit_test(prefers_single_modules),
		cmocka_unit_test(refuses_circles),
		cmocka_unit_test(asks_the_device),
		cmocka_unit_test(refuses_bad_ranges),
		cmocka_unit_test(needs_of_a_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
