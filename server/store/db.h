/* SPDX-License-Identifier: Apache-2.0
 *
 * The database engine behind the store: connections, prepared statements, transactions.
 *
 * DESIGN. Only files in server/store/ include this. A statement is static text with $1, $2 … in
 * first-use order (the form that SQLite and PostgreSQL share), declared with DB_SQL. All declared
 * statements are collected by the linker and prepared once per connection, at open: a typo stops
 * `fleetd --check`, not a device. The engine is store/sqlite*.c; a second one is more files that implement
 * this header. RSQL is the one place that composes text, from constant fragments.
 *
 * A connection is used by one thread at a time. */
#ifndef STORE_DB_H
#define STORE_DB_H

#include "lib/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct db;

/* A declared statement. */
struct db_sql {
	const char *name; /* for errors */
	const char *text;
};

/* DB_SQL(device_by_id, "SELECT no FROM device WHERE id = $1"); at file scope. */
#define DB_SQL(name_, text_)                \
	static const struct db_sql name_[1] \
		__attribute__((section("db_sql"), used)) = { { #name_, text_ } }

/* A bound value: DB_I(integer), DB_T(text), DB_TN(text, bytes), DB_B(bytes, length), DB_R(real),
 * DB_NULL. DB_T(NULL) binds NULL. Memory must live until the statement is reset. */
struct db_arg {
	enum { DB_ARG_NULL, DB_ARG_INT, DB_ARG_REAL, DB_ARG_TEXT, DB_ARG_BLOB } type;
	int64_t i;
	double r;
	const void *p;
	size_t n;
};
#define DB_I(v)     ((struct db_arg){ .type = DB_ARG_INT, .i = (int64_t)(v) })
#define DB_R(v)     ((struct db_arg){ .type = DB_ARG_REAL, .r = (v) })
#define DB_T(v)     db_arg_text(v)
#define DB_TN(v, l) ((struct db_arg){ .type = DB_ARG_TEXT, .p = (v), .n = (l) })
#define DB_B(v, l)  ((struct db_arg){ .type = DB_ARG_BLOB, .p = (v), .n = (l) })
#define DB_NULL     ((struct db_arg){ .type = DB_ARG_NULL })
/* Text up to its NUL, or NULL; the memory is borrowed. */
struct db_arg db_arg_text(const char *s);
#define DB_ARGS(...)                            \
	(const struct db_arg[]){ __VA_ARGS__ }, \
		sizeof((const struct db_arg[]){ __VA_ARGS__ }) / sizeof(struct db_arg)
#define DB_NO_ARGS NULL, 0

/* The rows of a running query. Zeroed: none. */
struct db_rows {
	struct db *db;
	void *statement;
	bool owned; /* composed text: finalised, not reset, at the end */
};

enum db_mode {
	DB_WRITER, /* the one connection that writes and checkpoints */
	DB_READER, /* read-only, never checkpoints */
	DB_BARE,   /* writes, nothing prepared: for store/migrate.c */
};

struct db_options {
	const char *path;
	enum db_mode mode;
	int64_t cache_bytes;
	int64_t mmap_bytes;
};

/* Open a connection and prepare every declared statement (a reader only those that only read).
 * FL_IO, FL_FULL, FL_CORRUPT, FL_NOMEM. The caller owns *out. */
enum fl_code db_open(const struct db_options *o, struct db **out, struct fl_err *err) FL_MUST_CHECK;
/* Close; NULL is fine. */
void db_close(struct db *db);

/* Run a statement that returns no rows. A broken constraint gives FL_CONFLICT with the table and
 * column in the sentence; the caller says it in its own words. */
enum fl_code db_exec(struct db *db, const struct db_sql *sql, const struct db_arg *args, size_t n,
	struct fl_err *err) FL_MUST_CHECK;
/* Like db_exec for INSERT … without RETURNING; *rowid gets the new key. */
enum fl_code db_insert(struct db *db, const struct db_sql *sql, const struct db_arg *args, size_t n,
	int64_t *rowid, struct fl_err *err) FL_MUST_CHECK;
/* Rows changed by the last db_exec. */
int64_t db_changes(const struct db *db);

/* Rows changed since the connection was opened; a statement that failed has changed none. */
int64_t db_total_changes(const struct db *db);

/* Begin a query. A declared statement runs once at a time per connection (nested use of the same
 * one is our defect). End with db_done, also after an error. */
enum fl_code db_query(struct db *db, const struct db_sql *sql, const struct db_arg *args, size_t n,
	struct db_rows *rows, struct fl_err *err) FL_MUST_CHECK;
/* The same for composed text (RSQL): cached by its text. */
enum fl_code db_query_text(struct db *db, const char *sql, const struct db_arg *args, size_t n,
	struct db_rows *rows, struct fl_err *err) FL_MUST_CHECK;
/* Step. *more says whether there is a row. */
enum fl_code db_next(struct db_rows *rows, bool *more, struct fl_err *err) FL_MUST_CHECK;
/* One-row query: db_query + db_next; FL_NOT_FOUND (without touching err) when there is none. The
 * row can be read until db_done. */
enum fl_code db_one(struct db *db, const struct db_sql *sql, const struct db_arg *args, size_t n,
	struct db_rows *rows, struct fl_err *err) FL_MUST_CHECK;
/* One-row query: the first column of its row. FL_NOT_FOUND as db_one. */
enum fl_code db_number(struct db *db, const struct db_sql *sql, const struct db_arg *args, size_t n,
	int64_t *out, struct fl_err *err) FL_MUST_CHECK;
void db_done(struct db_rows *rows);
#define DB_AUTO_ROWS __attribute__((cleanup(db_done)))

/* Columns of the current row, from 0. Text and bytes are borrowed until the next step. */
int64_t db_int(const struct db_rows *rows, int column);
double db_real(const struct db_rows *rows, int column);
const char *db_text(const struct db_rows *rows, int column); /* NULL for NULL */
struct fl_bytes db_bytes(const struct db_rows *rows, int column);
bool db_is_null(const struct db_rows *rows, int column);

/* Transactions; only store/batch.c and store/migrate.c call these. */
enum fl_code db_begin(struct db *db, struct fl_err *err) FL_MUST_CHECK;
enum fl_code db_commit(struct db *db, struct fl_err *err) FL_MUST_CHECK;
void db_rollback(struct db *db);
enum fl_code db_savepoint(struct db *db, struct fl_err *err) FL_MUST_CHECK;
enum fl_code db_release(struct db *db, struct fl_err *err) FL_MUST_CHECK;
/* Undo to the savepoint and drop it. */
enum fl_code db_rollback_to(struct db *db, struct fl_err *err) FL_MUST_CHECK;
/* Begin a transaction that only reads; it ends with db_rollback. */
enum fl_code db_begin_read(struct db *db, struct fl_err *err) FL_MUST_CHECK;
/* Run several statements given as one text; only store/migrate.c. */
enum fl_code db_script(struct db *db, const char *text, struct fl_err *err) FL_MUST_CHECK;
/* Copy the write-ahead log into the database as far as readers allow; writer only. */
enum fl_code db_checkpoint(struct db *db, struct fl_err *err) FL_MUST_CHECK;
/* After a failed COMMIT: cut what it left behind the last commit out of the log. Without this, frames
 * that were written but not synced would be found, and taken as committed, by the next start. */
void db_forget_uncommitted(struct db *db);
/* Whether an I/O error or damage was seen on this connection since it was opened. */
bool db_failed(const struct db *db);
/* Size of the write-ahead log after the last commit, in bytes; writer only. */
int64_t db_wal_bytes(const struct db *db);
/* "ok", or what PRAGMA integrity_check found first, appended to `out`. */
enum fl_code db_integrity(struct db *db, struct fl_buf *out, struct fl_err *err) FL_MUST_CHECK;
/* Whether the engine has ended the transaction by itself (full disk, I/O error, no memory). */
bool db_transaction_lost(const struct db *db);

#endif
