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
		.state = state,
		.size = 10 * byte,
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
	struct delta d, put_d = put(w, 0, 2, DELTA_READY, 50);

	assert_int_equal(delta_find(w->store, put_d.from, put_d.to, "zstd-patch", &d, NULL), FL_OK);
	assert_int_equal(d.id, put_d.id);
	assert_int_equal(d.state, DELTA_READY);
	assert_int_equal(d.size, 500);
	assert_int_equal(d.from_size, 1000);
	assert_int_equal(d.to_size, 3000);
	assert_memory_equal(d.sha256, put_d.sha256, 32);
	assert_memory_equal(d.from_sha256, w->artifacts[0].sha256, 32);
	assert_memory_equal(d.to_sha256, w->artifacts[2].sha256, 32);
	assert_int_equal(
		delta_find(w->store, put_d.from, put_d.to, "zstd", &d, NULL), FL_NOT_FOUND);
	assert_int_equal(
		delta_find(w->store, put_d.to, put_d.from, "zstd-patch", &d, NULL), FL_NOT_FOUND);
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
	assert_int_equal(delta_find(w->store, a.from, a.to, "zstd-patch", &d[0], NULL), FL_OK);
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
	};

	return cmocka_run_group_tests_name("delta", tests, NULL, NULL);
}
