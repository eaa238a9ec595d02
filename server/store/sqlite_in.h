/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the SQLite engine; included by sqlite*.c only. */
#ifndef STORE_SQLITE_IN_H
#define STORE_SQLITE_IN_H

#include "server/store/db.h"

#include <sqlite3.h>

#define SQLITE_CACHED 32 /* composed texts that a connection keeps prepared */

/* Made by the linker; weak, since a test may declare no statement at all. */
extern const struct db_sql __start_db_sql[] __attribute__((weak));
extern const struct db_sql __stop_db_sql[] __attribute__((weak));

struct sqlite_cached {
	sqlite3_stmt *statement; /* NULL: free place */
	uint64_t used;           /* when, on the connection's own count; the oldest goes first */
	bool running;
};

struct db {
	sqlite3 *handle;
	enum db_mode mode;
	sqlite3_stmt **prepared; /* by place in the section; NULL: not for this mode */
	size_t n_prepared;
	struct sqlite_cached cache[SQLITE_CACHED];
	uint64_t uses;
	int64_t changes;
	int64_t page_bytes;
	int64_t wal_pages;   /* told by the WAL hook after each commit */
	bool in_transaction; /* we began one and have not ended it */
	bool failed;         /* an I/O error or damage was seen */
	sqlite3_stmt *begin, *begin_read, *commit, *rollback, *savepoint, *release, *undo;
};

/* Fail with what SQLite says of `rc`, and note I/O errors and damage in `db`; the one place that reads
 * SQLite's errors. `doing` begins the sentence. */
enum fl_code sqlite_fail(struct db *db, int rc, const char *doing, struct fl_err *err);
/* Prepare exactly one statement; `name` is for the error. The caller finalizes *out. */
enum fl_code sqlite_prepare(struct db *db, const char *text, const char *name, sqlite3_stmt **out,
	struct fl_err *err) FL_MUST_CHECK;

#endif
