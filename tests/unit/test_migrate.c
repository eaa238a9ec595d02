/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/db.h"
#include "server/store/migrate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct migration two[] = {
	{ "0001-a", "CREATE TABLE a (x INTEGER) STRICT; INSERT INTO a VALUES (1);", "aa" },
	{ "0002-b", "CREATE TABLE b (x INTEGER) STRICT; UPDATE a SET x = x + 1;", "bb" },
	{ NULL, NULL, NULL },
};
static const struct migration one[] = {
	{ "0001-a", "CREATE TABLE a (x INTEGER) STRICT; INSERT INTO a VALUES (1);", "aa" },
	{ NULL, NULL, NULL },
};
static const struct migration changed[] = {
	{ "0001-a", "CREATE TABLE a (x INTEGER) STRICT; INSERT INTO a VALUES (1);", "ab" },
	{ NULL, NULL, NULL },
};
static const struct migration broken[] = {
	{ "0001-a", "CREATE TABLE a (x INTEGER) STRICT; INSERT INTO a VALUES (1);", "aa" },
	{ "0002-b", "CREATE TABLE b (x INTEGER) STRICT; INSERT INTO nowhere VALUES (1);", "cc" },
	{ NULL, NULL, NULL },
};

struct fixture {
	char path[64];
	struct db *db;
	struct fl_err err;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fd;

	(void)snprintf(f->path, sizeof(f->path), "/tmp/test_migrate.XXXXXX");
	fd = mkstemp(f->path);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(
		db_open(&(struct db_options){ .path = f->path, .mode = DB_BARE }, &f->db, &f->err),
		FL_OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	db_close(f->db);
	(void)unlink(f->path);
	free(f);
	return 0;
}

/* The first column of the first row, -1 without one or when the query fails. */
static int64_t value(struct fixture *f, const char *sql)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;

	if (db_query_text(f->db, sql, NULL, 0, &rows, NULL) != FL_OK ||
		db_next(&rows, &more, NULL) != FL_OK || !more)
		return -1;
	return db_int(&rows, 0);
}

/* Migrations are applied in order, each once, also when it is run again or grows. */
static void each_is_applied_once(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(migrate_run(f->db, one, &f->err), FL_OK);
	assert_int_equal(migrate_run(f->db, two, &f->err), FL_OK);
	assert_int_equal(migrate_run(f->db, two, &f->err), FL_OK);
	assert_int_equal(value(f, "SELECT x FROM a"), 2);
	assert_int_equal(value(f, "SELECT count(*) FROM migration"), 2);
}

/* A database with more than this program knows is refused. */
static void newer_database_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(migrate_run(f->db, two, &f->err), FL_OK);
	assert_int_equal(migrate_run(f->db, one, &f->err), FL_CONFLICT);
	assert_non_null(strstr(f->err.msg, "newer fleetd"));
	assert_non_null(strstr(f->err.msg, "0002-b"));
}

/* So is one that was made with another text of a migration. */
static void changed_text_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(migrate_run(f->db, one, &f->err), FL_OK);
	assert_int_equal(migrate_run(f->db, changed, &f->err), FL_CONFLICT);
	assert_non_null(strstr(f->err.msg, "another text of migration 0001-a"));
}

/* A failing migration leaves nothing of itself; those before it stay. */
static void failing_one_leaves_nothing(void **state)
{
	struct fixture *f = *state;

	assert_int_not_equal(migrate_run(f->db, broken, &f->err), FL_OK);
	assert_non_null(strstr(f->err.msg, "migration 0002-b"));
	assert_int_equal(value(f, "SELECT count(*) FROM sqlite_master WHERE name = 'b'"), 0);
	assert_int_equal(value(f, "SELECT count(*) FROM migration"), 1);
	assert_int_equal(migrate_run(f->db, two, &f->err), FL_OK);
	assert_int_equal(value(f, "SELECT x FROM a"), 2);
}

/* The embedded ones are numbered without a gap and make a database that is whole. */
static void embedded_ones_apply(void **state)
{
	struct fixture *f = *state;
	FL_AUTO_BUF struct fl_buf found = { 0 };
	char number[8];

	for (int i = 0; migrate_sqlite[i].name != NULL; i++) {
		(void)snprintf(number, sizeof(number), "%04d-", i + 1);
		assert_memory_equal(migrate_sqlite[i].name, number, 5);
		assert_int_equal(strlen(migrate_sqlite[i].sha256), 64);
	}
	assert_int_equal(migrate_run(f->db, migrate_sqlite, &f->err), FL_OK);
	assert_int_equal(db_integrity(f->db, &found, &f->err), FL_OK);
	assert_string_equal((const char *)found.p, "ok");
	assert_int_equal(value(f, "SELECT count(*) FROM state"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_is_applied_once, setup, teardown),
		cmocka_unit_test_setup_teardown(newer_database_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(changed_text_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(failing_one_leaves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(embedded_ones_apply, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
