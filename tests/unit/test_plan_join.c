/* SPDX-License-Identifier: Apache-2.0
 *
 * Which class of a plan a later device can join, and what two plans do differently. */
#include "server/rollout/plan_diff.h"

#include "tests/unit/small_fleet.h"

/* Plan up to four devices, each with what it has installed. */
static void make(struct small_fleet *f, const char *const *installed, struct plan *p)
{
	small_fleet_begin(f, "{}");
	small_publish(&f->s, "app 1.0.0", "");
	small_publish(&f->s, "app 2.0.0", "lib ^2");
	small_publish(&f->s, "lib 1.0.0", "");
	small_publish(&f->s, "lib 1.5.0", "");
	small_publish(&f->s, "lib 2.0.0", "");
	small_release(&f->s, "app 2.0.0, lib 2.0.0");
	for (size_t i = 0; installed[i] != NULL; i++)
		(void)small_fleet_add(f, 1, installed[i], PLAN_NO_DEVICE);
	small_fleet_make(f, p);
}

static struct small_fleet f, g;
static const char *const first[] = { "app 1.0.0, lib 1.0.0", "app 2.0.0, lib 2.0.0", NULL };
static const char *const later[] = { "app 1.0.0, lib 1.5.0", "app 1.0.0, lib 1.0.0",
	"app 2.0.0, lib 2.0.0", NULL };

/* Behaviour: a device that starts as others of the plan did joins their class; one that starts from
 * something else does not, even if it would end in the same set. */
static void joins_the_same_way(void **state)
{
	struct plan p, q;

	(void)state;
	make(&f, first, &p);
	make(&g, later, &q);
	assert_int_equal(plan_class_like(&p, &q, q.class_of[1]), p.class_of[0]);
	assert_int_equal(plan_class_like(&p, &q, q.class_of[0]), UINT32_MAX);
	/* It has everything: nothing to join. */
	assert_int_equal(plan_class_like(&p, &q, q.class_of[2]), UINT32_MAX);
	small_fleet_end(&f, &p);
	small_fleet_end(&g, &q);
}

/* Behaviour: other bytes under the same version are another way. */
static void bytes_count(void **state)
{
	struct plan p, q;
	struct plan_artifact other;

	(void)state;
	make(&f, first, &p);
	make(&g, first, &q);
	assert_int_equal(plan_class_like(&p, &q, q.class_of[0]), p.class_of[0]);
	for (uint32_t s = 0; s < q.n_sets; s++) {
		for (uint32_t i = 0; i < q.sets[s].n; i++) {
			struct plan_item *item = (struct plan_item *)(uintptr_t)&q.sets[s].items[i];

			if (strcmp(item->version, "2.0.0") != 0 || item->artifact == NULL)
				continue;
			other = *item->artifact;
			other.sha256[0] ^= 1;
			item->artifact = &other;
		}
	}
	assert_int_equal(plan_class_like(&p, &q, q.class_of[0]), UINT32_MAX);
	small_fleet_end(&f, &p);
	small_fleet_end(&g, &q);
}

static bool tells(const json_t *diff, const char *what)
{
	for (size_t i = 0; i < json_array_size(diff); i++) {
		const char *text =
			json_string_value(json_object_get(json_array_get(diff, i), "what"));

		if (strcmp(text, what) == 0)
			return true;
	}
	return false;
}

/* Behaviour: a plan does not differ from itself; from another it does in what a person compares. */
static void tells_differences(void **state)
{
	struct plan p, q;
	FL_AUTO_JSON json_t *a = NULL, *b = NULL, *none = NULL, *diff = NULL;
	FL_AUTO_JSON json_t *x = json_pack("{s:i,s:i}", "soak_s", 1, "seed", 2);
	FL_AUTO_JSON json_t *y = json_pack("{s:i,s:i}", "soak_s", 5, "seed", 3);

	(void)state;
	make(&f, first, &p);
	make(&g, later, &q);
	a = plan_view(&p);
	b = plan_view(&q);
	none = plan_diff(a, a, x, x);
	assert_int_equal(json_array_size(none), 0);
	diff = plan_diff(a, b, x, y);
	assert_true(tells(diff, "strategy: soak_s"));
	assert_false(tells(diff, "strategy: seed"));
	assert_true(tells(diff, "totals: update"));
	assert_true(tells(diff, "update from app 1.0.0, lib 1.5.0: devices"));
	assert_false(tells(diff, "update from app 1.0.0, lib 1.0.0: devices"));
	assert_false(tells(diff, "release"));
	small_fleet_end(&f, &p);
	small_fleet_end(&g, &q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(joins_the_same_way),
		cmocka_unit_test(bytes_count),
		cmocka_unit_test(tells_differences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
