/* SPDX-License-Identifier: Apache-2.0 */
#include "server/http/lanes.h"
#include "server/metrics.h"
#include "server/store/batch.h"
#include "server/store/db.h"
#include "tests/lib/fake_server.h"
#include "tests/lib/fault_vfs.h"

#include "lib/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define JOBS 8

DB_SQL(note_put, "INSERT INTO instance (key, value) VALUES ($1, $2)");
DB_SQL(note_get, "SELECT value FROM instance WHERE key = $1");
DB_SQL(version_orphan, "INSERT INTO need (version_id, attribute, range) VALUES (99999, 'a', 'b')");

/* What a job does besides writing its own row. */
enum act { ACT_WRITE, ACT_REFUSE, ACT_REFUSE_EARLY, ACT_END_TRANSACTION, ACT_BREAK_COMMIT };

struct job {
	struct write_job job;
	int number;
	enum act act;
	bool sums;
	bool told;
	int runs;
	enum fl_code code;
	struct fl_err err;
};

struct fixture {
	struct fake_server fake;
	struct job jobs[JOBS];
	struct fl_list list;
};

static int commits_seen;      /* effects on memory that ran */
static int64_t summed;        /* what apply was given */
static int applied;           /* how often */
static enum fl_code sum_code; /* what apply returns */

static void on_commit(struct server *s, const void *payload)
{
	(void)s;
	commits_seen += *(const int *)payload;
}

static void add(void *into, const void *payload)
{
	*(int64_t *)into += *(const int64_t *)payload;
}

static enum fl_code apply(struct server *s, struct store *store, struct effects *e, int64_t key,
	const void *sum, struct fl_err *err)
{
	const int one = 1;

	(void)s;
	(void)store;
	(void)key;
	summed += *(const int64_t *)sum;
	applied++;
	effects_after_commit(e, on_commit, &one, sizeof(one));
	return sum_code == FL_OK ? FL_OK : fl_fail(err, sum_code, "the sum is refused");
}

static const struct effect_sum sum_kind = { .size = sizeof(int64_t), .add = add, .apply = apply };

static enum fl_code job_run(
	struct write_job *w, struct store *store, struct effects *e, struct fl_err *err)
{
	struct job *j = fl_container(w, struct job, job);
	const int64_t amount = 1 << j->number;
	const int one = 1;
	char key[16];
	enum fl_code code;

	j->runs++;
	(void)snprintf(key, sizeof(key), "job%d", j->number);
	effects_after_commit(e, on_commit, &one, sizeof(one));
	if (j->sums)
		effects_sum(e, &sum_kind, 7, &amount);
	if (j->act == ACT_REFUSE_EARLY)
		return fl_fail(err, FL_INVALID, "job %d refuses early", j->number);
	code = db_exec(store->db, note_put, DB_ARGS(DB_T(key), DB_T("here")), err);
	if (code != FL_OK)
		return code;
	if (j->act == ACT_REFUSE)
		return fl_fail(err, FL_CONFLICT, "job %d refuses", j->number);
	if (j->act == ACT_END_TRANSACTION)
		return db_script(store->db, "ROLLBACK", err);
	if (j->act == ACT_BREAK_COMMIT) {
		code = db_script(store->db, "PRAGMA defer_foreign_keys = ON", err);
		return code == FL_OK ? db_exec(store->db, version_orphan, DB_NO_ARGS, err) : code;
	}
	return FL_OK;
}

static void job_done(
	struct write_job *w, struct server *s, enum fl_code code, const struct fl_err *err)
{
	struct job *j = fl_container(w, struct job, job);

	(void)s;
	assert_false(j->told);
	j->told = true;
	j->code = code;
	if (code != FL_OK)
		j->err = *err;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fault_vfs_set(FAULT_NONE, 0);
	fake_server_init(&f->fake);
	fl_list_init(&f->list);
	for (int i = 0; i < JOBS; i++) {
		f->jobs[i].job = (struct write_job){ .run = job_run, .done = job_done };
		f->jobs[i].number = i;
		fl_list_push(&f->list, &f->jobs[i].job.link);
	}
	commits_seen = 0;
	summed = 0;
	applied = 0;
	sum_code = FL_OK;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fault_vfs_set(FAULT_NONE, 0);
	fake_server_fini(&f->fake);
	free(f);
	return 0;
}

struct look {
	int number;
	bool there;
};

static enum fl_code look(
	struct server *s, struct store *store, struct effects *e, void *arg, struct fl_err *err)
{
	struct look *l = arg;
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	char key[16];
	enum fl_code code;

	(void)s;
	(void)e;
	(void)snprintf(key, sizeof(key), "job%d", l->number);
	code = db_one(store->db, note_get, DB_ARGS(DB_T(key)), &rows, err);
	l->there = code == FL_OK;
	return code == FL_NOT_FOUND ? FL_OK : code;
}

static bool stored(struct fixture *f, int number)
{
	struct look l = { .number = number };
	struct fl_err err = { 0 };

	assert_int_equal(database_run(&f->fake.server, look, &l, &err), FL_OK);
	return l.there;
}

static void run(struct fixture *f)
{
	batch_run(&f->fake.server, &f->list);
	assert_int_equal(f->list.n, 0);
	for (int i = 0; i < JOBS; i++)
		assert_true(f->jobs[i].told);
}

static void assert_all(struct fixture *f, enum fl_code code, bool there)
{
	for (int i = 0; i < JOBS; i++) {
		assert_int_equal(f->jobs[i].code, code);
		assert_int_equal(stored(f, i), there);
	}
}

/* All jobs of a batch are committed with one commit, and then their effects run. */
static void a_batch_is_one_commit(void **state)
{
	struct fixture *f = *state;

	run(f);
	assert_int_equal(metrics_get(f->fake.server.metrics, METRIC_BATCHES), 1);
	assert_int_equal(metrics_get(f->fake.server.metrics, METRIC_COMMIT_SECONDS), 1);
	assert_int_equal(commits_seen, JOBS);
	assert_all(f, FL_OK, true);
	fake_server_restart(&f->fake);
	assert_all(f, FL_OK, true);
}

/* A refused job rolls back alone, with its effects and its sums; it hears its own error. */
static void a_refused_job_rolls_back_alone(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < JOBS; i++)
		f->jobs[i].sums = true;
	f->jobs[3].act = ACT_REFUSE;
	run(f);
	assert_int_equal(f->jobs[3].code, FL_CONFLICT);
	assert_string_equal(f->jobs[3].err.msg, "job 3 refuses");
	assert_false(stored(f, 3));
	assert_true(stored(f, 2));
	assert_true(stored(f, 4));
	assert_int_equal(applied, 1);
	assert_int_equal(summed, 255 - (1 << 3));
	assert_int_equal(commits_seen, JOBS - 1 + 1);
	assert_int_equal(metrics_get(f->fake.server.metrics, METRIC_BATCH_REFUSED), 1);
}

static void let_run_again(struct fixture *f)
{
	for (int i = 0; i < JOBS; i++) {
		f->jobs[i].job.again = true;
		f->jobs[i].sums = true;
	}
}

/* Jobs that may be run again need no savepoints: one that is refused before it changed a row leaves the
 * others alone, and everything runs once. */
static void an_early_refusal_needs_no_savepoint(void **state)
{
	struct fixture *f = *state;

	let_run_again(f);
	f->jobs[2].act = ACT_REFUSE_EARLY;
	run(f);
	for (int i = 0; i < JOBS; i++) {
		assert_int_equal(f->jobs[i].runs, 1);
		assert_int_equal(f->jobs[i].code, i == 2 ? FL_INVALID : FL_OK);
		assert_int_equal(stored(f, i), i != 2);
	}
	assert_int_equal(metrics_get(f->fake.server.metrics, METRIC_BATCHES_AGAIN), 0);
	assert_int_equal(summed, 255 - (1 << 2));
	assert_int_equal(commits_seen, JOBS - 1 + 1);
}

/* If one is refused after it changed something, the batch runs again with savepoints: its change is not
 * there, the others' are, and effects and sums count once. */
static void a_late_refusal_runs_the_batch_again(void **state)
{
	struct fixture *f = *state;

	let_run_again(f);
	f->jobs[5].act = ACT_REFUSE;
	run(f);
	for (int i = 0; i < JOBS; i++) {
		assert_int_equal(f->jobs[i].runs, i <= 5 ? 2 : 1);
		assert_int_equal(f->jobs[i].code, i == 5 ? FL_CONFLICT : FL_OK);
		assert_int_equal(stored(f, i), i != 5);
	}
	assert_int_equal(metrics_get(f->fake.server.metrics, METRIC_BATCHES_AGAIN), 1);
	assert_int_equal(applied, 1);
	assert_int_equal(summed, 255 - (1 << 5));
	assert_int_equal(commits_seen, JOBS - 1 + 1);
}

/* One job that must not be run twice gives the whole batch savepoints from the start. */
static void one_that_may_not_run_again_decides(void **state)
{
	struct fixture *f = *state;

	let_run_again(f);
	f->jobs[7].job.again = false;
	f->jobs[5].act = ACT_REFUSE;
	run(f);
	for (int i = 0; i < JOBS; i++) {
		assert_int_equal(f->jobs[i].runs, 1);
		assert_int_equal(stored(f, i), i != 5);
	}
}

/* When the engine ends the transaction in the middle, nothing of the batch is stored, all hear 503 and
 * no memory changes; the next batch works. */
static void a_lost_transaction_refuses_all(void **state)
{
	struct fixture *f = *state;

	f->jobs[4].act = ACT_END_TRANSACTION;
	run(f);
	assert_int_equal(commits_seen, 0);
	assert_all(f, FL_UNAVAILABLE, false);
	assert_false(database_broken(f->fake.server.database));
}

/* When COMMIT fails, nothing is stored and all hear 503. */
static void a_failed_commit_refuses_all(void **state)
{
	struct fixture *f = *state;

	f->jobs[6].act = ACT_BREAK_COMMIT;
	run(f);
	assert_int_equal(commits_seen, 0);
	assert_all(f, FL_UNAVAILABLE, false);
	assert_false(database_broken(f->fake.server.database));
}

/* A sum that cannot be applied fails the batch. */
static void a_refused_sum_refuses_all(void **state)
{
	struct fixture *f = *state;

	sum_code = FL_INTERNAL;
	f->jobs[0].sums = true;
	run(f);
	assert_int_equal(commits_seen, 0);
	assert_all(f, FL_UNAVAILABLE, false);
}

/* A disk that is full during the commit refuses the batch; with space again the next one works. */
static void a_full_disk_refuses_the_batch(void **state)
{
	struct fixture *f = *state;

	fault_vfs_set(FAULT_WRITE_FULL, 1);
	run(f);
	fault_vfs_set(FAULT_NONE, 0);
	assert_non_null(strstr(f->jobs[0].err.msg, "full"));
	assert_int_equal(commits_seen, 0);
	assert_all(f, FL_UNAVAILABLE, false);
	assert_false(database_broken(f->fake.server.database));
	fake_server_restart(&f->fake);
	assert_all(f, FL_UNAVAILABLE, false);
}

/* Let the first half of the jobs be committed. */
static void run_half(struct fixture *f)
{
	struct fl_list first;

	fl_list_init(&first);
	for (int i = 0; i < JOBS / 2; i++)
		fl_list_push(&first, fl_list_shift(&f->list));
	batch_run(&f->fake.server, &first);
}

/* Let the sync number `after` of the batch fail, start again, and look: only the first `good` jobs may
 * be there. The frames of the refused ones were written whole. */
static void fail_sync_and_restart(struct fixture *f, int after, int good)
{
	fault_vfs_set(FAULT_SYNC, after);
	run(f);
	assert_true(database_broken(f->fake.server.database));
	fake_server_restart(&f->fake);
	fault_vfs_set(FAULT_NONE, 0);
	for (int i = 0; i < JOBS; i++) {
		assert_int_equal(f->jobs[i].code, i < good ? FL_OK : FL_UNAVAILABLE);
		assert_int_equal(stored(f, i), i < good);
	}
}

/* A log that cannot be synced ends the use of the database, and the next start finds nothing of the
 * refused batch. A new log is synced once for its header, then for the commit. */
static void a_failed_sync_leaves_nothing_behind(void **state)
{
	fail_sync_and_restart(*state, 1, 0);
	assert_int_equal(commits_seen, 0);
}

/* The same in a log that has commits already: they stay. */
static void a_failed_sync_keeps_earlier_commits(void **state)
{
	run_half(*state);
	fail_sync_and_restart(*state, 0, JOBS / 2);
}

/* The same when the log begins anew after a checkpoint, at its header and at its first commit. */
static void a_failed_sync_after_a_checkpoint_keeps_earlier_commits(void **state)
{
	struct fixture *f = *state;

	run_half(f);
	batch_checkpoint(&f->fake.server, true);
	fail_sync_and_restart(f, 1, JOBS / 2);
}

/* After an I/O error every later batch is refused, without touching the disk. */
static void a_broken_database_refuses_everything(void **state)
{
	struct fixture *f = *state;
	struct fl_err err = { 0 };
	struct look l = { .number = 0 };

	fault_vfs_set(FAULT_WRITE_ERROR, 0);
	run(f);
	fault_vfs_set(FAULT_NONE, 0);
	assert_true(database_broken(f->fake.server.database));
	assert_int_equal(database_run(&f->fake.server, look, &l, &err), FL_UNAVAILABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_batch_is_one_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(a_refused_job_rolls_back_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(
			an_early_refusal_needs_no_savepoint, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_late_refusal_runs_the_batch_again, setup, teardown),
		cmocka_unit_test_setup_teardown(
			one_that_may_not_run_again_decides, setup, teardown),
		cmocka_unit_test_setup_teardown(a_lost_transaction_refuses_all, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failed_commit_refuses_all, setup, teardown),
		cmocka_unit_test_setup_teardown(a_refused_sum_refuses_all, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_disk_refuses_the_batch, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_failed_sync_leaves_nothing_behind, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_failed_sync_keeps_earlier_commits, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_failed_sync_after_a_checkpoint_keeps_earlier_commits, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_broken_database_refuses_everything, setup, teardown),
	};

	fl_log_setup(FL_LOG_ERROR, false);
	fault_vfs_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
