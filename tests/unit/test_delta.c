/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of deltas: one per pair and codec, the coldest first, and which bytes somebody still wants. */
#include "server/store/delta.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/store/artifact.h"
#include "tests/lib/database.h"

struct world {
	struct test_database database;
	struct store *store;
	struct artifact artifacts[3]; /* of 1000, 2000 and 3000 bytes; digests all 1, 2, 3 */
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	test_database_init(&w->database);
	w->store = &w->database.store;
	for (int i = 0; i < 3; i++) {
		uint8_t sha256[32];
		bool added;

		memset(sha256, i + 1, sizeof(sha256));
		assert_int_equal(artifact_put(w->store, sha256, 1000 * (i + 1), &added,
					 &w->artifacts[i], NULL),
			FL_OK);
	}
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	test_database_fini(&w->database);
	free(w);
	return 0;
}

/* A row between artifacts `from` (-1: none) and `to`; its digest is all `byte`. */
static struct delta put(struct world *w, int from, int to, enum delta_state state, int byte)
{
	struct delta d = {
		.from = from < 0 ? 0 : w->artifacts[from].id,
		.to = w->artifacts[to].id,
		.codec = "zstd-patch",
		.level = 3,
		.state = state,
		.size = 10 * byte,
		.memory = 4096,
		.built_ms = 7,
	};

	memset(d.sha256, byte, sizeof(d.sha256));
	assert_int_equal(delta_put(w->store, &d, NULL), FL_OK);
	return d;
}

static void a_row_comes_back_with_its_artifacts(void **state)
{
	/* What was put is found by pair and codec, with digests and sizes of both sides. */
	struct world *w = *state;
	struct delta d, other, put_d = put(w, 0, 2, DELTA_READY, 50);

	assert_int_equal(delta_find(w->store, &put_d, &d, NULL), FL_OK);
	assert_int_equal(d.id, put_d.id);
	assert_int_equal(d.state, DELTA_READY);
	assert_int_equal(d.size, 500);
	assert_int_equal(d.from_size, 1000);
	assert_int_equal(d.to_size, 3000);
	assert_int_equal(d.memory, 4096);
	assert_int_equal(d.level, 3);
	assert_memory_equal(d.sha256, put_d.sha256, 32);
	assert_memory_equal(d.from_sha256, w->artifacts[0].sha256, 32);
	assert_memory_equal(d.to_sha256, w->artifacts[2].sha256, 32);
	other = put_d;
	other.level = 19;
	assert_int_equal(delta_find(w->store, &other, &d, NULL), FL_NOT_FOUND);
	other = put_d;
	(void)strncpy(other.codec, "zstd", sizeof(other.codec) - 1);
	assert_int_equal(delta_find(w->store, &other, &d, NULL), FL_NOT_FOUND);
	other = put_d;
	other.from = put_d.to;
	assert_int_equal(delta_find(w->store, &other, &d, NULL), FL_NOT_FOUND);
}

static void a_pair_has_one_row(void **state)
{
	/* A second result replaces the first, in place; also for the artifact by itself. */
	struct world *w = *state;
	struct delta failed = put(w, -1, 1, DELTA_FAILED, 0),
		     ready = put(w, -1, 1, DELTA_READY, 60);
	struct delta d[4];
	size_t n;

	assert_int_equal(failed.id, ready.id);
	assert_int_equal(delta_page(w->store, 0, d, 4, &n, NULL), FL_OK);
	assert_int_equal(n, 1);
	assert_int_equal(d[0].state, DELTA_READY);
	assert_int_equal(d[0].from, 0);
}

static void the_coldest_come_first(void **state)
{
	/* Least recently used first; a use makes a delta the warmest; only ready ones count. */
	struct world *w = *state;
	struct delta a = put(w, 0, 1, DELTA_READY, 50), b, d[4];
	size_t n;

	w->store->now_ms += 1000;
	b = put(w, 0, 2, DELTA_READY, 51);
	(void)put(w, 1, 2, DELTA_USELESS, 52);
	assert_int_equal(delta_coldest(w->store, d, 4, &n, NULL), FL_OK);
	assert_int_equal(n, 2);
	assert_int_equal(d[0].id, a.id);
	w->store->now_ms += 1000;
	assert_int_equal(delta_used(w->store, a.id, 3, NULL), FL_OK);
	assert_int_equal(delta_coldest(w->store, d, 1, &n, NULL), FL_OK);
	assert_int_equal(n, 1);
	assert_int_equal(d[0].id, b.id);
	assert_int_equal(delta_find(w->store, &a, &d[0], NULL), FL_OK);
	assert_int_equal(d[0].uses, 3);
	assert_int_equal(d[0].used_at, w->store->now_ms);
	assert_int_equal(delta_used(w->store, 999, 1, NULL), FL_OK);
}

static void a_deleted_row_says_whether_its_bytes_may_go(void **state)
{
	/* Bytes that another delta or an artifact has stay wanted. */
	struct world *w = *state;
	struct delta a = put(w, 0, 1, DELTA_READY, 50), b = put(w, 0, 2, DELTA_READY, 50);
	struct delta same_as_artifact = put(w, 1, 2, DELTA_READY, 3);
	bool unwanted = true;

	assert_int_equal(delta_delete(w->store, a.id, &unwanted, NULL), FL_OK);
	assert_false(unwanted);
	assert_int_equal(delta_delete(w->store, b.id, &unwanted, NULL), FL_OK);
	assert_true(unwanted);
	assert_int_equal(delta_delete(w->store, same_as_artifact.id, &unwanted, NULL), FL_OK);
	assert_false(unwanted);
	assert_int_equal(delta_delete(w->store, a.id, &unwanted, NULL), FL_NOT_FOUND);
}

static void pages_walk_all_rows_once(void **state)
{
	/* after and max walk the rows in the order of their keys. */
	struct world *w = *state;
	struct delta d[2];
	int64_t after = 0, last = 0;
	size_t n, seen = 0;

	for (int from = -1; from < 2; from++)
		(void)put(w, from, 2, DELTA_READY, 60 + from);
	do {
		assert_int_equal(delta_page(w->store, after, d, 2, &n, NULL), FL_OK);
		for (size_t i = 0; i < n; i++) {
			assert_true(d[i].id > last);
			last = after = d[i].id;
			seen++;
		}
	} while (n == 2);
	assert_int_equal(seen, 3);
}

static void the_sums_are_right(void **state)
{
	/* Counts per state; bytes of ready ones; savings are uses times full size less delta size. */
	struct world *w = *state;
	struct delta_summary s;
	struct delta a = put(w, 0, 1, DELTA_READY, 50), b = put(w, 0, 2, DELTA_READY, 51);

	(void)put(w, 1, 2, DELTA_USELESS, 52);
	(void)put(w, 2, 1, DELTA_FAILED, 0);
	assert_int_equal(delta_used(w->store, a.id, 2, NULL), FL_OK);
	assert_int_equal(delta_used(w->store, b.id, 1, NULL), FL_OK);
	assert_int_equal(delta_summarise(w->store, &s, NULL), FL_OK);
	assert_int_equal(s.ready, 2);
	assert_int_equal(s.useless, 1);
	assert_int_equal(s.failed, 1);
	assert_int_equal(s.bytes, 500 + 510);
	assert_int_equal(s.uses, 3);
	assert_int_equal(s.saved, 2 * (2000 - 500) + (3000 - 510));
}

static void a_pair_shows_all_its_forms(void **state)
{
	/* All rows of a pair, ready ones first, the smallest first; other pairs and the artifact by
	 * itself are not among them. */
	struct world *w = *state;
	struct delta large = put(w, 0, 2, DELTA_READY, 90), small = large, useless = large;
	struct delta d[DELTA_PAIR_MAX];
	size_t n;

	(void)put(w, 1, 2, DELTA_READY, 20);
	(void)put(w, -1, 2, DELTA_READY, 21);
	useless.level = 20;
	useless.size = 1;
	useless.state = DELTA_USELESS;
	assert_int_equal(delta_put(w->store, &useless, NULL), FL_OK);
	small.level = 19;
	small.size = 300;
	assert_int_equal(delta_put(w->store, &small, NULL), FL_OK);
	assert_int_equal(delta_of_pair(w->store, large.from, large.to, d, &n, NULL), FL_OK);
	assert_int_equal(n, 3);
	assert_int_equal(d[0].id, small.id);
	assert_int_equal(d[1].id, large.id);
	assert_int_equal(d[2].id, useless.id);
	assert_int_equal(delta_towards(w->store, large.to, d, 8, &n, NULL), FL_OK);
	assert_int_equal(n, 3);
	assert_int_equal(d[0].size, 200);
	assert_int_equal(d[0].from, w->artifacts[1].id);
}

static void sums_by_codec_add_up(void **state)
{
	/* A line for each codec and level, with its own counts and the time spent on it. */
	struct world *w = *state;
	struct delta a = put(w, 0, 1, DELTA_READY, 50), b = a;
	struct delta_codec_sums sums[4];
	size_t n;

	(void)put(w, 0, 2, DELTA_FAILED, 0);
	b.level = 19;
	b.size = 400;
	assert_int_equal(delta_put(w->store, &b, NULL), FL_OK);
	assert_int_equal(delta_used(w->store, b.id, 2, NULL), FL_OK);
	assert_int_equal(delta_by_codec(w->store, sums, 4, &n, NULL), FL_OK);
	assert_int_equal(n, 2);
	assert_string_equal(sums[0].codec, "zstd-patch");
	assert_int_equal(sums[0].level, 3);
	assert_int_equal(sums[0].sums.ready, 1);
	assert_int_equal(sums[0].sums.failed, 1);
	assert_int_equal(sums[0].built_ms, 14);
	assert_int_equal(sums[1].level, 19);
	assert_int_equal(sums[1].sums.saved, 2 * (2000 - 400));
}

static void only_old_failures_are_tried_again(void **state)
{
	/* Ready, useless, and freshly failed rows are settled. */
	struct world *w = *state;
	struct delta d = put(w, 0, 1, DELTA_FAILED, 0), ready = put(w, 0, 2, DELTA_READY, 50);
	int64_t now = w->store->now_ms;

	assert_true(delta_is_settled(&d, now));
	assert_true(delta_is_settled(&d, now + DELTA_RETRY_MS));
	assert_false(delta_is_settled(&d, now + DELTA_RETRY_MS + 1));
	assert_true(delta_is_settled(&ready, now + 2 * DELTA_RETRY_MS));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_row_comes_back_with_its_artifacts),
		TEST(a_pair_has_one_row),
		TEST(the_coldest_come_first),
		TEST(a_deleted_row_says_whether_its_bytes_may_go),
		TEST(pages_walk_all_rows_once),
		TEST(the_sums_are_right),
		TEST(a_pair_shows_all_its_forms),
		TEST(sums_by_codec_add_up),
		TEST(only_old_failures_are_tried_again),
	};

	return cmocka_run_group_tests_name("delta", tests, NULL, NULL);
}
