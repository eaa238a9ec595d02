/* SPDX-License-Identifier: Apache-2.0
 *
 * The SQLite engine behind store/db.h: connections, transactions, checkpoints. */
#include "server/store/sqlite_in.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_MS        5000
#define WAL_KEEP_BYTES (128 * 1024 * 1024)
/* sqlite.org/walformat.html: the log's header and frame headers, the index's first region. */
#define WAL_HEADER     32
#define WAL_FRAME      24
#define INDEX_REGION   32768
#define INDEX_PAGE     14
#define INDEX_MX_FRAME 16

/* ---- errors: the one place that reads SQLite's */

static enum fl_code code_of(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return FL_OK;
	case SQLITE_CONSTRAINT:
		return FL_CONFLICT;
	case SQLITE_FULL:
		return FL_FULL;
	case SQLITE_NOMEM:
		return FL_NOMEM;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return FL_CORRUPT;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return FL_UNAVAILABLE;
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return FL_IO;
	default:
		return FL_INTERNAL;
	}
}

enum fl_code sqlite_fail(struct db *db, int rc, const char *doing, struct fl_err *err)
{
	enum fl_code code = code_of(rc);

	/* A write that failed for want of space is an I/O error to SQLite in some places. */
	if (code == FL_IO && db->handle != NULL && sqlite3_system_errno(db->handle) == ENOSPC)
		code = FL_FULL;
	db->failed |= code == FL_IO || code == FL_CORRUPT;
	return fl_fail(err, code, "%s: %s", doing,
		db->handle != NULL ? sqlite3_errmsg(db->handle) : sqlite3_errstr(rc));
}

/* ---- open and close */

static int on_wal_commit(void *arg, sqlite3 *handle, const char *name, int pages)
{
	struct db *db = arg;

	(void)handle;
	(void)name;
	db->wal_pages = pages;
	return SQLITE_OK;
}

static enum fl_code pragma(struct db *db, const char *name, int64_t value, struct fl_err *err)
{
	char text[160];
	int rc;

	(void)snprintf(text, sizeof(text), "PRAGMA %s = %lld", name, (long long)value);
	rc = sqlite3_exec(db->handle, text, NULL, NULL, NULL);
	return rc == SQLITE_OK ? FL_OK : sqlite_fail(db, rc, text, err);
}

/* foreign_keys stays on: the checks are look-ups by primary key in pages that the same transaction
 * needs anyway, and they have found every wrong order of deletes so far. */
static enum fl_code configure(struct db *db, const struct db_options *o, struct fl_err *err)
{
	enum fl_code code;

	(void)sqlite3_busy_timeout(db->handle, BUSY_MS);
	(void)sqlite3_extended_result_codes(db->handle, 1);
	code = db_script(db,
		"PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF",
		err);
	if (code == FL_OK && o->cache_bytes > 0)
		code = pragma(db, "cache_size", -(o->cache_bytes / 1024), err);
	if (code == FL_OK)
		code = pragma(db, "mmap_size", o->mmap_bytes, err);
	if (code != FL_OK)
		return code;
	if (o->mode == DB_READER) {
		(void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		return pragma(db, "query_only", 1, err);
	}
	code = db_script(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", err);
	if (code == FL_OK)
		code = pragma(db, "wal_autocheckpoint", 0, err);
	/* After a burst the log's file gives the room back when it begins anew. */
	if (code == FL_OK)
		code = pragma(db, "journal_size_limit", WAL_KEEP_BYTES, err);
	(void)sqlite3_wal_hook(db->handle, on_wal_commit, db);
	return code;
}

enum fl_code sqlite_prepare(
	struct db *db, const char *text, const char *name, sqlite3_stmt **out, struct fl_err *err)
{
	const char *rest = NULL;
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v3(db->handle, text, -1, SQLITE_PREPARE_PERSISTENT, &s, &rest);

	if (rc != SQLITE_OK)
		return sqlite_fail(db, rc, name, err);
	if (s == NULL || rest[strspn(rest, " \t\n;")] != '\0') {
		(void)sqlite3_finalize(s);
		return fl_fail(err, FL_INTERNAL, "%s: not exactly one statement", name);
	}
	*out = s;
	return FL_OK;
}

static enum fl_code prepare_frame(struct db *db, struct fl_err *err)
{
	const struct {
		const char *text;
		sqlite3_stmt **place;
	} frame[] = {
		{ "BEGIN IMMEDIATE", &db->begin },
		{ "BEGIN", &db->begin_read },
		{ "COMMIT", &db->commit },
		{ "ROLLBACK", &db->rollback },
		{ "SAVEPOINT job", &db->savepoint },
		{ "RELEASE job", &db->release },
		{ "ROLLBACK TO job", &db->undo },
	};
	enum fl_code code = FL_OK;

	for (size_t i = 0; i < FL_COUNT(frame) && code == FL_OK; i++)
		code = sqlite_prepare(db, frame[i].text, frame[i].text, frame[i].place, err);
	return code;
}

static enum fl_code prepare_declared(struct db *db, struct fl_err *err)
{
	size_t n = __start_db_sql == NULL ? 0 : (size_t)(__stop_db_sql - __start_db_sql);

	db->prepared = calloc(n + 1, sizeof(*db->prepared));
	if (db->prepared == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for %zu statements", n);
	db->n_prepared = n;
	for (size_t i = 0; i < n; i++) {
		enum fl_code code = sqlite_prepare(
			db, __start_db_sql[i].text, __start_db_sql[i].name, &db->prepared[i], err);

		if (code != FL_OK)
			return code;
		if (db->mode == DB_READER && !sqlite3_stmt_readonly(db->prepared[i])) {
			(void)sqlite3_finalize(db->prepared[i]);
			db->prepared[i] = NULL;
		}
	}
	return FL_OK;
}

/* Memory statistics cost a global lock at every allocation of every thread. */
static void setup(void)
{
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static enum fl_code read_page_size(struct db *db, struct fl_err *err)
{
	struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code = db_query_text(db, "PRAGMA page_size", NULL, 0, &rows, err);

	if (code == FL_OK)
		code = db_next(&rows, &more, err);
	if (code == FL_OK && more)
		db->page_bytes = db_int(&rows, 0);
	db_done(&rows);
	return code;
}

enum fl_code db_open(const struct db_options *o, struct db **out, struct fl_err *err)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct db *db = calloc(1, sizeof(*db));
	enum fl_code code = FL_OK;
	int rc;

	if (db == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a database connection");
	(void)pthread_once(&once, setup);
	db->mode = o->mode;
	if (o->mode != DB_READER)
		flags |= SQLITE_OPEN_CREATE;
	rc = sqlite3_open_v2(o->path, &db->handle, flags, NULL);
	if (rc != SQLITE_OK)
		code = sqlite_fail(db, rc, o->path, err);
	if (code == FL_OK)
		code = configure(db, o, err);
	if (code == FL_OK)
		code = prepare_frame(db, err);
	if (code == FL_OK)
		code = read_page_size(db, err);
	if (code == FL_OK && o->mode != DB_BARE)
		code = prepare_declared(db, err);
	if (code != FL_OK) {
		db_close(db);
		return code;
	}
	*out = db;
	return FL_OK;
}

void db_close(struct db *db)
{
	sqlite3_stmt *const frame[] = { db == NULL ? NULL : db->begin,
		db == NULL ? NULL : db->begin_read, db == NULL ? NULL : db->commit,
		db == NULL ? NULL : db->rollback, db == NULL ? NULL : db->savepoint,
		db == NULL ? NULL : db->release, db == NULL ? NULL : db->undo };

	if (db == NULL)
		return;
	for (size_t i = 0; i < FL_COUNT(frame); i++)
		(void)sqlite3_finalize(frame[i]);
	for (size_t i = 0; i < db->n_prepared; i++)
		(void)sqlite3_finalize(db->prepared[i]);
	for (size_t i = 0; i < SQLITE_CACHED; i++)
		(void)sqlite3_finalize(db->cache[i].statement);
	free(db->prepared);
	FL_BUG_IF(db->handle != NULL && sqlite3_close(db->handle) != SQLITE_OK);
	free(db);
}

/* ---- transactions */

static enum fl_code run(struct db *db, sqlite3_stmt *s, struct fl_err *err)
{
	int rc = sqlite3_step(s);
	enum fl_code code = FL_OK;

	if (rc != SQLITE_DONE)
		code = sqlite_fail(db, rc, sqlite3_sql(s), err);
	(void)sqlite3_reset(s);
	return code;
}

enum fl_code db_begin(struct db *db, struct fl_err *err)
{
	enum fl_code code;

	FL_BUG_IF(db->in_transaction || db->mode == DB_READER);
	code = run(db, db->begin, err);
	db->in_transaction = code == FL_OK;
	return code;
}

enum fl_code db_begin_read(struct db *db, struct fl_err *err)
{
	enum fl_code code;

	FL_BUG_IF(db->in_transaction);
	code = run(db, db->begin_read, err);
	db->in_transaction = code == FL_OK;
	return code;
}

enum fl_code db_commit(struct db *db, struct fl_err *err)
{
	enum fl_code code = run(db, db->commit, err);

	if (code == FL_OK)
		db->in_transaction = false;
	return code;
}

void db_rollback(struct db *db)
{
	if (sqlite3_get_autocommit(db->handle) == 0)
		(void)run(db, db->rollback, NULL);
	db->in_transaction = false;
}

enum fl_code db_savepoint(struct db *db, struct fl_err *err)
{
	return run(db, db->savepoint, err);
}

enum fl_code db_release(struct db *db, struct fl_err *err)
{
	return run(db, db->release, err);
}

enum fl_code db_rollback_to(struct db *db, struct fl_err *err)
{
	enum fl_code code = run(db, db->undo, err);

	return code == FL_OK ? run(db, db->release, err) : code;
}

bool db_transaction_lost(const struct db *db)
{
	return db->in_transaction && sqlite3_get_autocommit(db->handle) != 0;
}

/* ---- the rest */

enum fl_code db_script(struct db *db, const char *text, struct fl_err *err)
{
	int rc = sqlite3_exec(db->handle, text, NULL, NULL, NULL);

	return rc == SQLITE_OK ? FL_OK : sqlite_fail(db, rc, "script", err);
}

enum fl_code db_checkpoint(struct db *db, struct fl_err *err)
{
	int rc, in_log = 0, done = 0;

	FL_BUG_IF(db->mode == DB_READER || db->in_transaction);
	rc = sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_log, &done);
	if (rc != SQLITE_OK && rc != SQLITE_BUSY)
		return sqlite_fail(db, rc, "checkpoint", err);
	/* All copied: the next writer starts the log again at its beginning. */
	db->wal_pages = in_log > done ? in_log - done : 0;
	return FL_OK;
}

int64_t db_wal_bytes(const struct db *db)
{
	return db->wal_pages * (db->page_bytes + WAL_FRAME);
}

bool db_failed(const struct db *db)
{
	return db->failed;
}

void db_forget_uncommitted(struct db *db)
{
	sqlite3_file *file = NULL, *log = NULL;
	void volatile *index = NULL;
	uint32_t frames = 0;
	uint16_t page = 0;
	int64_t size;

	if (sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_FILE_POINTER, &file) !=
			SQLITE_OK ||
		sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) !=
			SQLITE_OK ||
		file == NULL || log == NULL || log->pMethods == NULL)
		return;
	if (file->pMethods->xShmMap(file, 0, INDEX_REGION, 0, &index) != SQLITE_OK || index == NULL)
		return;
	memcpy(&frames, (const uint8_t *)(uintptr_t)index + INDEX_MX_FRAME, sizeof(frames));
	memcpy(&page, (const uint8_t *)(uintptr_t)index + INDEX_PAGE, sizeof(page));
	size = page == 1 ? 65536 : page;
	size = frames == 0 ? 0 : WAL_HEADER + (int64_t)frames * (size + WAL_FRAME);
	if (log->pMethods->xTruncate(log, size) == SQLITE_OK)
		(void)log->pMethods->xSync(log, SQLITE_SYNC_NORMAL);
}

enum fl_code db_integrity(struct db *db, struct fl_buf *out, struct fl_err *err)
{
	struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code = db_query_text(db, "PRAGMA integrity_check(10)", NULL, 0, &rows, err);

	if (code == FL_OK)
		code = db_next(&rows, &more, err);
	if (code == FL_OK && more)
		fl_buf_str(out, db_text(&rows, 0));
	db_done(&rows);
	return code == FL_OK ? fl_buf_check(out, err) : code;
}
