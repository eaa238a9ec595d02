/* SPDX-License-Identifier: Apache-2.0
 *
 * Slots of the fleet that rollouts share by weight. */
#include "server/rollout/share.h"

#include "lib/err.h" /* FL_COUNT */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* If all want more, a weight p of a sum s has limit * p / s slots; a rollout without priority counts as one. */
static void test_closed_form(void **state)
{
	const struct share_claim claims[] = {
		{ .weight = share_weight(3), .wants = true },
		{ .weight = share_weight(1), .wants = true },
		{ .weight = share_weight(0), .wants = true, .in_use = 40 },
	};
	struct share_level two = share_level(200, claims, 2);

	(void)state;
	assert_int_equal(share_of(&two, 3), 150);
	assert_int_equal(share_of(&two, 1), 50);
	for (int64_t limit = 0; limit < 500; limit++) {
		struct share_level level = share_level(limit, claims, 3);

		assert_int_equal(share_of(&level, 3), limit * 3 / 5);
		assert_int_equal(share_of(&level, 1), limit / 5);
	}
}

/* Who wants no more leaves the rest of his share to the others, by their weights; who has more than his share
 * leaves none. */
static void test_what_one_does_not_use_the_others_may(void **state)
{
	struct share_claim claims[] = {
		{ .weight = 2, .in_use = 10 },
		{ .weight = 3, .wants = true },
		{ .weight = 1, .wants = true },
		{ .weight = 2, .in_use = 45 },
	};
	struct share_level level = share_level(100, claims, 4);

	(void)state;
	assert_int_equal(share_of(&level, 3), 45); /* 90 * 3 / 6 */
	assert_int_equal(share_of(&level, 1), 15);
	assert_true(share_may_take(100, claims, 4, 1));
	claims[3].in_use = 90;
	assert_false(share_may_take(100, claims, 4, 1)); /* all are in use */
	claims[3].in_use = 89;
	assert_true(share_may_take(100, claims, 4, 1));
}

/* A free slot that nobody below his share wants goes to whoever asks; as soon as one does, to him. */
static void test_beyond_the_share(void **state)
{
	struct share_claim claims[] = {
		{ .weight = 1, .in_use = 80, .wants = true },
		{ .weight = 1, .in_use = 5 },
	};

	(void)state;
	assert_true(share_may_take(100, claims, 2, 0));
	claims[1].wants = true;
	assert_false(share_may_take(100, claims, 2, 0));
	assert_true(share_may_take(100, claims, 2, 1));
}

/* ---- a fleet that goes on for a while */

#define ROLLOUTS_MAX 8

struct fleet {
	struct share_claim of[ROLLOUTS_MAX];
	size_t n;
	int64_t limit, clock;
	int64_t grants[ROLLOUTS_MAX];
	uint64_t random;
};

static int64_t draw(struct fleet *f, int64_t below)
{
	f->random = f->random * 6364136223846793005u + 1442695040888963407u;
	return (int64_t)(f->random >> 33) % below;
}

static int64_t in_use(const struct fleet *f)
{
	int64_t sum = 0;

	for (size_t i = 0; i < f->n; i++)
		sum += f->of[i].in_use;
	return sum;
}

static void set_up(struct fleet *f, uint64_t seed)
{
	*f = (struct fleet){ .random = seed };
	f->n = (size_t)draw(f, ROLLOUTS_MAX) + 1;
	f->limit = draw(f, 2) == 0 ? draw(f, 6) + 1 : draw(f, 300) + 1;
	for (size_t i = 0; i < f->n; i++)
		f->of[i] = (struct share_claim){ .weight = draw(f, 9) + 1, .wants = true };
}

/* A device asks. */
static void ask(struct fleet *f, size_t i)
{
	f->of[i].wants = true;
	if (!share_may_take(f->limit, f->of, f->n, i))
		return;
	f->of[i].in_use++;
	f->of[i].served = ++f->clock;
	f->grants[i]++;
	assert_true(in_use(f) <= f->limit);
}

/* An order under way ends, whoever's. */
static void end_one(struct fleet *f)
{
	int64_t which = draw(f, in_use(f));

	for (size_t i = 0; i < f->n; i++) {
		which -= f->of[i].in_use;
		if (which < 0) {
			f->of[i].in_use--;
			return;
		}
	}
}

static void ask_all(struct fleet *f)
{
	for (size_t k = 0, first = (size_t)draw(f, (int64_t)f->n); k < f->n; k++)
		ask(f, (first + k) % f->n);
}

/* If all always want more, every slot is used, nobody is ever more than one slot away from his share, and
 * everybody gets some: also where there are fewer slots than rollouts. */
static void test_a_busy_fleet(void **state)
{
	struct fleet f;

	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct share_level level;

		set_up(&f, seed);
		level = share_level(f.limit, f.of, f.n);
		for (int64_t i = 0; i < f.limit; i++)
			ask_all(&f);
		for (int i = 0; i < 400; i++) {
			assert_int_equal(in_use(&f), f.limit);
			for (size_t k = 0; k < f.n; k++) {
				int64_t share = share_of(&level, f.of[k].weight);

				assert_in_range(
					f.of[k].in_use, share > 0 ? share - 1 : 0, share + 1);
			}
			end_one(&f);
			ask_all(&f);
		}
		for (size_t k = 0; k < f.n; k++)
			assert_true(f.grants[k] >= 5);
	}
}

/* Whatever comes: rollouts begin and cease to want slots, ask seldom or often. The limit holds, and whoever
 * wants the only slot asked for gets it. */
static void test_a_fleet_that_changes(void **state)
{
	struct fleet f;

	(void)state;
	for (uint64_t seed = 1; seed <= 200; seed++) {
		set_up(&f, seed);
		for (int i = 0; i < 1000; i++) {
			size_t k = (size_t)draw(&f, (int64_t)f.n);

			if (draw(&f, 3) > 0)
				ask(&f, k);
			else if (draw(&f, 2) == 0 && in_use(&f) > 0)
				end_one(&f);
			else
				f.of[k].wants = false;
		}
		for (size_t k = 0; k < f.n; k++)
			f.of[k].wants = false;
		while (in_use(&f) >= f.limit)
			end_one(&f);
		f.of[0].wants = true;
		assert_true(share_may_take(f.limit, f.of, f.n, 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_closed_form),
		cmocka_unit_test(test_what_one_does_not_use_the_others_may),
		cmocka_unit_test(test_beyond_the_share),
		cmocka_unit_test(test_a_busy_fleet),
		cmocka_unit_test(test_a_fleet_that_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
