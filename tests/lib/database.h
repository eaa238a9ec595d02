/* SPDX-License-Identifier: Apache-2.0
 *
 * A real database of its own for one test: a temporary folder, all migrations, one open transaction
 * seen as the write lane's store. For cmocka. */
#ifndef TESTS_LIB_DATABASE_H
#define TESTS_LIB_DATABASE_H

#include "server/store/db.h"
#include "server/store/store.h"

struct test_database {
	char folder[64];
	char path[96];
	struct db *db;
	struct store store; /* the write lane's view; the clock stands at 1700000000000 */
};

/* Make it and begin; fails the test when it cannot. The caller ends it with test_database_fini. */
void test_database_init(struct test_database *t);
/* Roll back, close, remove the folder. */
void test_database_fini(struct test_database *t);
/* Commit and begin anew. */
void test_database_commit(struct test_database *t);

#endif
