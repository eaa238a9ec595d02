/* SPDX-License-Identifier: Apache-2.0
 *
 * Which pair is built next, and what a device gets: single flight, order, bounds, costs. */
#include "server/delta_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/delta_tiers.h"

#define MIB (1LL << 20)

static struct delta_want want(int64_t from, enum delta_place place)
{
	return (struct delta_want){
		.pair = { from, 100 }, .tiers = 1, .place = place, .devices = 1, .gain = 10
	};
}

static struct delta_job *put(struct delta_queue *q, struct delta_want w)
{
	return delta_queue_put(q, &w);
}

/* Take the next one and end it; its `from`, 0 if there is none. */
static int64_t next(struct delta_queue *q, bool background)
{
	struct delta_job *j = delta_queue_take(q, background);
	int64_t from = j == NULL ? 0 : j->want.pair.from;

	if (j != NULL)
		delta_queue_done(q, j);
	return from;
}

static void a_pair_is_queued_once(void **state)
{
	/* Ten thousand askers of one pair are one job that counts them; who asks while it runs for what
	 * is being built adds nothing, and for more gets a second turn. */
	struct delta_queue q;
	struct delta_job *j;

	(void)state;
	delta_queue_init(&q, 4, 4);
	for (int i = 0; i < 10000; i++)
		assert_non_null(put(&q, want(1, DELTA_ASKED)));
	assert_int_equal(q.lists[DELTA_ASKED].n, 1);
	j = delta_queue_take(&q, false);
	assert_int_equal(j->want.devices, 10000);
	assert_ptr_equal(put(&q, want(1, DELTA_ASKED)), j);
	assert_null(delta_queue_take(&q, false));
	{
		struct delta_want more = want(1, DELTA_ASKED);

		more.tiers = 3;
		assert_ptr_equal(delta_queue_put(&q, &more), j);
	}
	delta_queue_done(&q, j);
	j = delta_queue_take(&q, false);
	assert_non_null(j);
	assert_int_equal(j->want.tiers, 2);
	delta_queue_done(&q, j);
	assert_false(delta_queue_has(&q, false));
	delta_queue_fini(&q);
}

static void who_waits_comes_before_who_will(void **state)
{
	/* Asked pairs in the order of their coming, then warmed ones by rank; a warmed pair that somebody
	 * asks for moves in front. */
	struct delta_queue q;
	struct delta_want late = want(3, DELTA_WARMED), soon = want(4, DELTA_WARMED);

	(void)state;
	delta_queue_init(&q, 8, 8);
	late.rank = 2;
	soon.rank = 1;
	(void)put(&q, late);
	(void)put(&q, soon);
	(void)put(&q, want(9, DELTA_WARMED));
	(void)put(&q, want(1, DELTA_ASKED));
	(void)put(&q, want(2, DELTA_ASKED));
	assert_non_null(put(&q, want(9, DELTA_ASKED)));
	assert_int_equal(next(&q, false), 1);
	assert_int_equal(next(&q, false), 2);
	assert_int_equal(next(&q, false), 9);
	assert_int_equal(next(&q, false), 4);
	assert_int_equal(next(&q, false), 3);
	assert_int_equal(next(&q, false), 0);
	delta_queue_fini(&q);
}

static void the_background_goes_where_most_is_saved(void **state)
{
	/* Devices times bytes decide among equal ranks, and keep deciding as more ask; quick builders see
	 * none of it. */
	struct delta_queue q;
	struct delta_want many = want(1, DELTA_IMPROVED), large = want(2, DELTA_IMPROVED);
	struct delta_want planned = want(3, DELTA_IMPROVED);

	(void)state;
	delta_queue_init(&q, 8, 8);
	many.devices = 50;
	large.gain = 400;
	planned.rank = 1;
	planned.gain = INT64_MAX;
	planned.devices = INT64_MAX;
	(void)put(&q, planned);
	(void)put(&q, large);
	(void)put(&q, many);
	assert_false(delta_queue_has(&q, false));
	assert_null(delta_queue_take(&q, false));
	assert_int_equal(next(&q, true), 1);
	(void)put(&q, many);
	(void)put(&q, large);
	assert_int_equal(next(&q, true), 2);
	assert_int_equal(next(&q, true), 1);
	assert_int_equal(next(&q, true), 3);
	delta_queue_fini(&q);
}

static void each_place_has_a_bound(void **state)
{
	/* A full place refuses; in the background what saves more displaces what saves least. */
	struct delta_queue q;
	struct delta_want more = want(5, DELTA_IMPROVED);

	(void)state;
	delta_queue_init(&q, 1, 2);
	assert_non_null(put(&q, want(1, DELTA_ASKED)));
	assert_null(put(&q, want(2, DELTA_ASKED)));
	assert_non_null(put(&q, want(3, DELTA_IMPROVED)));
	assert_non_null(put(&q, want(4, DELTA_IMPROVED)));
	assert_null(put(&q, want(6, DELTA_IMPROVED)));
	more.gain = 11;
	assert_non_null(put(&q, more));
	assert_int_equal(q.lists[DELTA_IMPROVED].n, 2);
	assert_int_equal(next(&q, false), 1);
	assert_int_equal(next(&q, true), 5);
	delta_queue_fini(&q);
	delta_queue_fini(&q);
}

static void quick_and_best_are_two_jobs(void **state)
{
	/* One pair may be built at both speeds side by side; the list shows running jobs first. */
	struct delta_queue q;
	struct delta_want seen[8];

	(void)state;
	delta_queue_init(&q, 4, 4);
	(void)put(&q, want(1, DELTA_IMPROVED));
	assert_non_null(delta_queue_take(&q, true));
	(void)put(&q, want(1, DELTA_ASKED));
	(void)put(&q, want(2, DELTA_WARMED));
	assert_ptr_not_equal(delta_queue_find(&q, (struct delta_pair){ 1, 100 }, false),
		delta_queue_find(&q, (struct delta_pair){ 1, 100 }, true));
	assert_int_equal(delta_queue_list(&q, seen, 8), 3);
	assert_int_equal(seen[0].place, DELTA_RUNNING);
	assert_int_equal(seen[1].place, DELTA_ASKED);
	assert_int_equal(seen[2].place, DELTA_WARMED);
	assert_int_equal(delta_queue_list(&q, seen, 2), 2);
	delta_queue_fini(&q);
}

static void the_background_begins_nothing_while_devices_wait(void **state)
{
	/* What is queued for later waits for the asked pairs to be taken, not for those that plans announced. */
	struct delta_queue q;

	(void)state;
	delta_queue_init(&q, 4, 4);
	(void)put(&q, want(1, DELTA_IMPROVED));
	(void)put(&q, want(2, DELTA_ASKED));
	(void)put(&q, want(3, DELTA_WARMED));
	assert_false(delta_queue_has(&q, true));
	assert_int_equal(next(&q, true), 0);
	assert_int_equal(next(&q, false), 2);
	assert_true(delta_queue_has(&q, true));
	assert_int_equal(next(&q, true), 1);
	delta_queue_fini(&q);
}

/* ---- wishes */

static void a_wish_is_for_what_the_device_can_decode(void **state)
{
	/* Codecs that it names, and of those what fits its memory; what needs old bytes only with some. */
	const struct delta_wish none = { 0 }, zstd = { .codecs = "zstd,identity" },
				all = { .codecs = "zstd-patch,zstd" },
				tiny = { .codecs = "zstd-patch,zstd", .memory = MIB };
	delta_mask with_old = delta_wish_with_old();

	(void)state;
	assert_int_equal(delta_wish_tiers(&none, 1000, 1000), 0);
	assert_int_equal(delta_wish_tiers(&none, -1, 1000), 0);
	assert_int_equal(delta_wish_tiers(&zstd, 1000, 1000), 0);
	assert_true(delta_wish_tiers(&zstd, -1, 1000) != 0);
	assert_true(delta_wish_tiers(&all, 1000, 1000) != 0);
	assert_int_equal(delta_wish_tiers(&all, 1000, 1000) & ~with_old, 0);
	assert_int_equal(delta_wish_tiers(&tiny, 8 * MIB, 8 * MIB), 0);
	assert_true((delta_wish_tiers(&all, 8 * MIB, 8 * MIB) & delta_wish_quick()) != 0);
	assert_true((delta_wish_tiers(&all, 8 * MIB, 8 * MIB) & ~delta_wish_quick()) != 0);
}

static void a_stated_memory_is_kept(void **state)
{
	/* A ready delta is taken only by a device that names its codec and has its memory. */
	const struct delta d = { .codec = "zstd-patch", .memory = 5 * MIB };
	struct delta_wish w = { .codecs = "zstd-patch" };

	(void)state;
	assert_true(delta_wish_takes(&w, &d));
	w.memory = 5 * MIB;
	assert_true(delta_wish_takes(&w, &d));
	w.memory--;
	assert_false(delta_wish_takes(&w, &d));
	w = (struct delta_wish){ .codecs = "zstd-patching,zstd" };
	assert_false(delta_wish_takes(&w, &d));
}

static void bytes_or_time_decide(void **state)
{
	/* Without a rate bytes alone count; with one the time for both, so that a fast link prefers what
	 * decodes fast and a slow one what is small. */
	struct delta_wish w = { .speed = 100 };

	(void)state;
	assert_int_equal(delta_wish_cost(&w, "zstd", 1000, 50 * MIB), 1000);
	w.rate = 1000000;
	assert_int_equal(delta_wish_cost(&w, "identity", 3000000, 3000000), 3000000);
	assert_true(delta_wish_cost(&w, "zstd", 3000000, 50 * MIB) > 3000000);
	w.rate = 100 * 1000000;
	assert_true(delta_wish_cost(&w, "zstd-patch", 1000, 100 * MIB) <
		delta_wish_cost(&w, "identity", 100 * MIB, 100 * MIB));
	w.speed = 1;
	assert_true(delta_wish_cost(&w, "zstd-patch", 1000, 100 * MIB) >
		delta_wish_cost(&w, "identity", 100 * MIB, 100 * MIB));
}

/* The row of delta_tiers.h with this codec and level, as a bit. */
static delta_mask row_of(const char *codec, int level)
{
	struct delta d = { .level = level };

	(void)snprintf(d.codec, sizeof(d.codec), "%s", codec);
	return delta_wish_tier(&d);
}

static void a_family_gives_what_will_cost_least(void **state)
{
	/* Of the wasm-aware rows one is wanted: the largest model that fits where bytes decide, the one that
	 * decodes fastest behind a fast link; it or the family's quickest when the model ran out of time. */
	const delta_mask large = row_of("wasm-delta-16m", 0), middle = row_of("wasm-delta-1m", 0),
			 quick = row_of("wasm-delta", 0),
			 family = large | middle | quick | row_of("wasm-delta-256k", 0);
	struct delta_wish w = { .codecs = "wasm-delta-16m,wasm-delta-1m,wasm-delta,zstd-patch" };

	(void)state;
	assert_int_equal(delta_wish_check(NULL), FL_OK);
	assert_int_equal(delta_wish_tiers(&w, MIB, MIB) & family, large);
	w.memory = (int64_t)fl_codec_find("wasm-delta-1m")->decode_memory(MIB, MIB);
	assert_int_equal(delta_wish_tiers(&w, MIB, MIB) & family, middle);
	w = (struct delta_wish){ .codecs = w.codecs, .rate = 100 * 1000000, .speed = 10 };
	assert_int_equal(delta_wish_tiers(&w, MIB, MIB) & family, quick);
	w.rate = 1000;
	assert_int_equal(delta_wish_tiers(&w, MIB, MIB) & family, large);
	assert_int_equal(delta_wish_usual() & family, large);
	for (size_t i = 0; i < DELTA_TIERS; i++) {
		delta_mask row = (delta_mask)1 << i;

		assert_int_equal(
			delta_wish_instead(i), row != quick && (row & family) != 0 ? quick : 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pair_is_queued_once),
		cmocka_unit_test(who_waits_comes_before_who_will),
		cmocka_unit_test(the_background_goes_where_most_is_saved),
		cmocka_unit_test(each_place_has_a_bound),
		cmocka_unit_test(quick_and_best_are_two_jobs),
		cmocka_unit_test(the_background_begins_nothing_while_devices_wait),
		cmocka_unit_test(a_wish_is_for_what_the_device_can_decode),
		cmocka_unit_test(a_stated_memory_is_kept),
		cmocka_unit_test(bytes_or_time_decide),
		cmocka_unit_test(a_family_gives_what_will_cost_least),
	};

	return cmocka_run_group_tests_name("delta_queue", tests, NULL, NULL);
}
