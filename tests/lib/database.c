/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/database.h"

#include "server/store/migrate.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void must(enum fl_code code, const struct fl_err *err)
{
	if (code != FL_OK)
		fail_msg("%s", err->msg);
}

void test_database_init(struct test_database *t)
{
	struct fl_err err = { 0 };
	struct db *bare = NULL;

	*t = (struct test_database){ 0 };
	(void)snprintf(t->folder, sizeof(t->folder), "/tmp/fleetd-test.XXXXXX");
	assert_non_null(mkdtemp(t->folder));
	(void)snprintf(t->path, sizeof(t->path), "%s/fleetd.db", t->folder);
	must(db_open(&(struct db_options){ .path = t->path, .mode = DB_BARE }, &bare, &err), &err);
	must(migrate_run(bare, migrate_sqlite, &err), &err);
	db_close(bare);
	must(db_open(&(struct db_options){ .path = t->path, .mode = DB_WRITER }, &t->db, &err),
		&err);
	must(db_begin(t->db, &err), &err);
	t->store = (struct store){ .db = t->db, .write = true, .now_ms = 1700000000000 };
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

void test_database_fini(struct test_database *t)
{
	db_rollback(t->db);
	db_close(t->db);
	assert_int_equal(nftw(t->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	*t = (struct test_database){ 0 };
}

void test_database_commit(struct test_database *t)
{
	struct fl_err err = { 0 };

	must(db_commit(t->db, &err), &err);
	must(db_begin(t->db, &err), &err);
}
