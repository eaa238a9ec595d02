/* SPDX-License-Identifier: Apache-2.0
 *
 * Assignments, kept in rows of many devices: what goes in comes out, by wave, by device, in slices; and
 * how far the fleet has drifted from them. */
#include "server/store/assignment.h"

#include "tests/lib/database.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DEVICES 5000
#define WAVES   3

DB_SQL(test_release,
	"INSERT INTO release (id, name, digest, created_at, created_by) "
	"VALUES (1, 'r', x'00', 0, 'test')");
DB_SQL(test_rollout,
	"INSERT INTO rollout (id, name, release_id, selector, strategy, state, created_at, "
	"created_by) VALUES ($1, $2, 1, '', '{}', $3, 0, 'test')");
DB_SQL(test_state, "INSERT INTO state (id, digest) VALUES (2, x'02')");
DB_SQL(test_device, "INSERT INTO device (no, id, state_id) VALUES ($1, $2, $3)");
DB_SQL(test_move, "UPDATE device SET state_id = 2 WHERE no % $1 = 0");
DB_SQL(test_retire, "UPDATE device SET retired_at = 1 WHERE no = $1");

static struct test_database t;

static void must(enum fl_code code)
{
	assert_int_equal(code, FL_OK);
}

static void add_rollout(int64_t id, const char *name, const char *state)
{
	must(db_exec(t.db, test_rollout, DB_ARGS(DB_I(id), DB_T(name), DB_T(state)), NULL));
}

/* Device no is in wave no % WAVES and class no % 7. */
static void assign_all(int64_t rollout, int64_t devices, int64_t state)
{
	for (int64_t w = 0; w < WAVES; w++) {
		struct assignment a[ASSIGNMENT_CHUNK];
		size_t n = 0;

		for (int64_t no = 1; no <= devices; no++) {
			if (no % WAVES != w)
				continue;
			a[n++] = (struct assignment){ no, w, no % 7, state };
			if (n == ASSIGNMENT_CHUNK) {
				must(assignment_add(&t.store, rollout, a, n, NULL));
				n = 0;
			}
		}
		if (n > 0)
			must(assignment_add(&t.store, rollout, a, n, NULL));
	}
}

static int set_up(void **state)
{
	(void)state;
	test_database_init(&t);
	must(db_exec(t.db, test_release, DB_NO_ARGS, NULL));
	must(db_exec(t.db, test_state, DB_NO_ARGS, NULL));
	add_rollout(1, "one", "running");
	add_rollout(2, "two", "ready");
	add_rollout(3, "three", "paused");
	for (int64_t no = 1; no <= DEVICES; no++) {
		char id[32];

		(void)snprintf(id, sizeof(id), "d%lld", (long long)no);
		must(db_exec(t.db, test_device, DB_ARGS(DB_I(no), DB_T(id), DB_I(1)), NULL));
	}
	assign_all(1, DEVICES, 1);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	test_database_fini(&t);
	return 0;
}

static enum fl_code count(
	void *context, int64_t rollout_id, const struct assignment *a, struct fl_err *err)
{
	int64_t *n = context;

	(void)err;
	assert_int_equal(a->wave, a->device_no % WAVES);
	assert_int_equal(a->class, a->device_no % 7);
	n[rollout_id]++;
	return FL_OK;
}

/* Behaviour: every device comes out once, and only those of rollouts that are under way hold others. */
static void what_goes_in_comes_out(void **state)
{
	int64_t n[4] = { 0 };

	(void)state;
	assign_all(2, 100, 1);
	assign_all(3, 1000, 1);
	must(assignment_each(&t.store, 1, count, n, NULL));
	assert_int_equal(n[1], DEVICES);
	memset(n, 0, sizeof(n));
	must(assignment_each_active(&t.store, 0, count, n, NULL));
	assert_int_equal(n[1], DEVICES);
	assert_int_equal(n[2], 0);
	assert_int_equal(n[3], 1000);
	memset(n, 0, sizeof(n));
	must(assignment_each_active(&t.store, 1, count, n, NULL));
	assert_int_equal(n[1], 0);
}

/* Behaviour: one device is found in whatever wave it is; one without an assignment is not. */
static void finds_one(void **state)
{
	static const int64_t there[] = { 1, 2, 3, 1023, 1024, 1025, 3072, 4999, DEVICES };
	struct assignment a;

	(void)state;
	for (size_t i = 0; i < FL_COUNT(there); i++) {
		must(assignment_find(&t.store, 1, there[i], &a, NULL));
		assert_int_equal(a.device_no, there[i]);
		assert_int_equal(a.wave, there[i] % WAVES);
		assert_int_equal(a.state_id, 1);
	}
	assert_int_equal(assignment_find(&t.store, 1, 0, &a, NULL), FL_NOT_FOUND);
	assert_int_equal(assignment_find(&t.store, 1, DEVICES + 1, &a, NULL), FL_NOT_FOUND);
	assert_int_equal(assignment_find(&t.store, 2, 1, &a, NULL), FL_NOT_FOUND);
}

/* Behaviour: slices of any size give each device of the wave once, in order. */
static void slices_are_whole(void **state)
{
	static const size_t sizes[] = { 1, 7, 500, 1024, 3000 };

	(void)state;
	for (size_t i = 0; i < FL_COUNT(sizes); i++) {
		struct assignment *out = calloc(sizes[i], sizeof(*out)), after = { .wave = 2 };
		size_t n, all = 0;

		do {
			must(assignment_slice(&t.store, 1, &after, out, sizes[i], &n, NULL));
			for (size_t k = 0; k < n; k++) {
				assert_true(out[k].device_no > after.device_no);
				assert_int_equal(out[k].wave, 2);
				after.device_no = out[k].device_no;
			}
			all += n;
		} while (n == sizes[i]);
		assert_int_equal(all, DEVICES / WAVES + 1);
		free(out);
	}
}

/* Whether devices with another state have drifted: as the test says. */
static enum fl_code moved(void *context, const struct assignment *planned, int64_t state_id,
	bool *drifted, struct fl_err *err)
{
	(void)err;
	assert_int_not_equal(planned->state_id, state_id);
	*drifted = *(const bool *)context;
	return FL_OK;
}

static void look_with(int64_t rollout, bool matters, struct assignment_drift *d)
{
	const struct assignment_watch watch = { moved, &matters };

	memset(d, 0, sizeof(*d));
	while (!d->whole)
		must(assignment_drift_more(&t.store, rollout, &watch, d, NULL));
}

static void look(int64_t rollout, struct assignment_drift *d)
{
	look_with(rollout, true, d);
}

/* Behaviour: devices with other software that matters and retired ones have drifted, close together or far
 * apart. */
static void drift_is_counted(void **state)
{
	struct assignment far[10];
	struct assignment_drift d;

	(void)state;
	for (int64_t i = 0; i < 10; i++)
		far[i] = (struct assignment){ 1 + i * 500, 0, 0, 1 };
	must(assignment_add(&t.store, 3, far, 10, NULL));
	look(1, &d);
	assert_int_equal(d.of, DEVICES);
	assert_int_equal(d.drifted, 0);
	must(db_exec(t.db, test_move, DB_ARGS(DB_I(50)), NULL));
	must(db_exec(t.db, test_retire, DB_ARGS(DB_I(1)), NULL));
	look(1, &d);
	assert_int_equal(d.drifted, DEVICES / 50 + 1);
	look_with(1, false, &d);
	assert_int_equal(d.drifted, 1);
	look(3, &d);
	assert_int_equal(d.of, 10);
	assert_int_equal(d.drifted, 1);
	look(2, &d);
	assert_int_equal(d.of, 0);
}

/* Behaviour: what an older plan left is removed row by row; nothing of others goes. */
static void removes(void **state)
{
	int64_t n[4] = { 0 }, rows = 1, turns = 0;

	(void)state;
	assign_all(3, 1000, 1);
	while (rows > 0) {
		must(assignment_remove(&t.store, 1, 2, &rows, NULL));
		turns++;
	}
	assert_int_equal(turns, 4);
	must(assignment_each_active(&t.store, 0, count, n, NULL));
	assert_int_equal(n[1], 0);
	assert_int_equal(n[3], 1000);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(what_goes_in_comes_out),
		TEST(finds_one),
		TEST(slices_are_whole),
		TEST(drift_is_counted),
		TEST(removes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
