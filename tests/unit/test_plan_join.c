/* SPDX-License-Identifier: Apache-2.0
 *
 * Which class of a plan a later device can join, and what two plans do differently. */
#include "server/rollout/plan.h"
#include "server/rollout/plan_diff.h"

#include "tests/unit/small_universe.h"

struct fleet {
	struct small s;
	struct strategy strategy;
	struct plan_input in;
	int64_t no[4];
	uint32_t state[4], zeros[4], gateway[4];
	uint8_t flags[4];
};

/* Plan up to four devices, each with what it has installed. */
static void make(struct fleet *f, const char *const *installed, struct plan *p)
{
	assert_int_equal(strategy_read(NULL, 7, &f->strategy, NULL), FL_OK);
	small_publish(&f->s, "app 1.0.0", "");
	small_publish(&f->s, "app 2.0.0", "lib ^2");
	small_publish(&f->s, "lib 1.0.0", "");
	small_publish(&f->s, "lib 1.5.0", "");
	small_publish(&f->s, "lib 2.0.0", "");
	small_release(&f->s, "app 2.0.0, lib 2.0.0");
	for (size_t i = 0; installed[i] != NULL; i++) {
		f->no[i] = (int64_t)i + 1;
		f->state[i] = small_state(&f->s, installed[i]);
		f->gateway[i] = PLAN_NO_DEVICE;
		f->flags[i] = PLAN_SELECTED;
		f->in.devices.n = i + 1;
	}
	small_seal(&f->s);
	f->in.universe = &f->s.u;
	f->in.release = "spring";
	f->in.entries = f->s.entries;
	f->in.n_entries = f->s.n_entries;
	f->in.strategy = &f->strategy;
	f->in.n_signatures = 1;
	f->in.devices.no = f->no;
	f->in.devices.state = f->state;
	f->in.devices.signature = f->in.devices.stratum = f->in.devices.held = f->zeros;
	f->in.devices.gateway = f->gateway;
	f->in.devices.flags = f->flags;
	memset(p, 0, sizeof(*p));
	assert_int_equal(plan_make(&f->in, p, NULL), FL_OK);
}

static void end(struct fleet *f, struct plan *p)
{
	plan_fini(p);
	universe_fini(&f->s.u);
	strategy_fini(&f->strategy);
	memset(f, 0, sizeof(*f));
}

static struct fleet f, g;
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
	end(&f, &p);
	end(&g, &q);
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
	end(&f, &p);
	end(&g, &q);
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
	end(&f, &p);
	end(&g, &q);
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
