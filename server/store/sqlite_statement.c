/* SPDX-License-Identifier: Apache-2.0
 *
 * Statements of the SQLite engine.
 *
 * DESIGN. Declared statements lie in the linker section db_sql, so a statement's number is its place
 * in it and finding its prepared form is one index. Composed texts are kept in a small cache that is
 * looked up by text; a running one is out of the cache until it is done. */
#include "server/store/sqlite_in.h"

#include <string.h>

struct db_arg db_arg_text(const char *s)
{
	if (s == NULL)
		return (struct db_arg){ .type = DB_ARG_NULL };
	return (struct db_arg){ .type = DB_ARG_TEXT, .p = s, .n = strlen(s) };
}

/* ---- running statements */

static int bind_one(sqlite3_stmt *s, int at, const struct db_arg *arg)
{
	switch (arg->type) {
	case DB_ARG_NULL:
		return sqlite3_bind_null(s, at);
	case DB_ARG_INT:
		return sqlite3_bind_int64(s, at, arg->i);
	case DB_ARG_REAL:
		return sqlite3_bind_double(s, at, arg->r);
	case DB_ARG_TEXT:
		return sqlite3_bind_text64(s, at, arg->p, arg->n, SQLITE_STATIC, SQLITE_UTF8);
	case DB_ARG_BLOB:
		/* A NULL pointer would bind NULL; an empty blob is what was meant. */
		if (arg->p == NULL)
			return sqlite3_bind_zeroblob(s, at, 0);
		return sqlite3_bind_blob64(s, at, arg->p, arg->n, SQLITE_STATIC);
	}
	return SQLITE_MISUSE;
}

static enum fl_code bind_all(
	struct db *db, sqlite3_stmt *s, const struct db_arg *args, size_t n, struct fl_err *err)
{
	FL_BUG_IF((size_t)sqlite3_bind_parameter_count(s) != n);
	for (size_t i = 0; i < n; i++) {
		int rc = bind_one(s, (int)i + 1, &args[i]);

		if (rc != SQLITE_OK)
			return sqlite_fail(db, rc, "bind", err);
	}
	return FL_OK;
}

static sqlite3_stmt *declared(struct db *db, const struct db_sql *sql)
{
	size_t at = (size_t)(sql - __start_db_sql);
	sqlite3_stmt *s;

	FL_BUG_IF(at >= db->n_prepared);
	s = db->prepared[at];
	FL_BUG_IF(s == NULL);                 /* a statement that writes, on a reader */
	FL_BUG_IF(sqlite3_stmt_busy(s) != 0); /* nested use */
	return s;
}

enum fl_code db_exec(struct db *db, const struct db_sql *sql, const struct db_arg *args, size_t n,
	struct fl_err *err)
{
	sqlite3_stmt *s = declared(db, sql);
	enum fl_code code = bind_all(db, s, args, n, err);
	int rc;

	if (code != FL_OK)
		return code;
	rc = sqlite3_step(s);
	FL_BUG_IF(rc == SQLITE_ROW);
	if (rc != SQLITE_DONE)
		code = sqlite_fail(db, rc, sql->name, err);
	else
		db->changes = sqlite3_changes64(db->handle);
	(void)sqlite3_reset(s);
	return code;
}

enum fl_code db_insert(struct db *db, const struct db_sql *sql, const struct db_arg *args, size_t n,
	int64_t *rowid, struct fl_err *err)
{
	enum fl_code code = db_exec(db, sql, args, n, err);

	if (code == FL_OK)
		*rowid = sqlite3_last_insert_rowid(db->handle);
	return code;
}

int64_t db_changes(const struct db *db)
{
	return db->changes;
}

int64_t db_total_changes(const struct db *db)
{
	return sqlite3_total_changes64(db->handle);
}

enum fl_code db_query(struct db *db, const struct db_sql *sql, const struct db_arg *args, size_t n,
	struct db_rows *rows, struct fl_err *err)
{
	sqlite3_stmt *s = declared(db, sql);
	enum fl_code code = bind_all(db, s, args, n, err);

	if (code == FL_OK)
		*rows = (struct db_rows){ .db = db, .statement = s };
	return code;
}

/* ---- composed texts */

static struct sqlite_cached *cache_find(struct db *db, const char *text)
{
	for (size_t i = 0; i < SQLITE_CACHED; i++) {
		struct sqlite_cached *c = &db->cache[i];

		if (c->statement != NULL && !c->running &&
			strcmp(sqlite3_sql(c->statement), text) == 0)
			return c;
	}
	return NULL;
}

/* A place to keep one more: free, or the one that was not used for the longest time. */
static struct sqlite_cached *cache_place(struct db *db)
{
	struct sqlite_cached *oldest = NULL;

	for (size_t i = 0; i < SQLITE_CACHED; i++) {
		struct sqlite_cached *c = &db->cache[i];

		if (c->running)
			continue;
		if (c->statement == NULL)
			return c;
		if (oldest == NULL || c->used < oldest->used)
			oldest = c;
	}
	return oldest;
}

static enum fl_code cache_take(
	struct db *db, const char *text, struct sqlite_cached **out, struct fl_err *err)
{
	struct sqlite_cached *c = cache_find(db, text);
	sqlite3_stmt *fresh = NULL;
	enum fl_code code;

	if (c == NULL) {
		c = cache_place(db);
		FL_BUG_IF(c == NULL); /* nobody nests that many */
		code = sqlite_prepare(db, text, "a composed query", &fresh, err);
		if (code != FL_OK)
			return code;
		(void)sqlite3_finalize(c->statement);
		c->statement = fresh;
	}
	c->running = true;
	c->used = ++db->uses;
	*out = c;
	return FL_OK;
}

enum fl_code db_query_text(struct db *db, const char *sql, const struct db_arg *args, size_t n,
	struct db_rows *rows, struct fl_err *err)
{
	struct sqlite_cached *c = NULL;
	enum fl_code code = cache_take(db, sql, &c, err);

	if (code != FL_OK)
		return code;
	code = bind_all(db, c->statement, args, n, err);
	if (code != FL_OK) {
		c->running = false;
		return code;
	}
	*rows = (struct db_rows){ .db = db, .statement = c->statement, .owned = true };
	return FL_OK;
}

enum fl_code db_next(struct db_rows *rows, bool *more, struct fl_err *err)
{
	int rc = sqlite3_step(rows->statement);

	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return sqlite_fail(rows->db, rc, sqlite3_sql(rows->statement), err);
	*more = rc == SQLITE_ROW;
	return FL_OK;
}

enum fl_code db_one(struct db *db, const struct db_sql *sql, const struct db_arg *args, size_t n,
	struct db_rows *rows, struct fl_err *err)
{
	bool more = false;
	enum fl_code code = db_query(db, sql, args, n, rows, err);

	if (code == FL_OK)
		code = db_next(rows, &more, err);
	return code == FL_OK && !more ? FL_NOT_FOUND : code;
}

enum fl_code db_number(struct db *db, const struct db_sql *sql, const struct db_arg *args, size_t n,
	int64_t *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(db, sql, args, n, &rows, err);

	if (code == FL_OK)
		*out = db_int(&rows, 0);
	return code;
}

void db_done(struct db_rows *rows)
{
	if (rows->statement == NULL)
		return;
	/* Its result repeats an error that db_next has already told. */
	(void)sqlite3_reset(rows->statement);
	if (rows->owned) {
		(void)sqlite3_clear_bindings(rows->statement);
		for (size_t i = 0; i < SQLITE_CACHED; i++) {
			if (rows->db->cache[i].statement == rows->statement)
				rows->db->cache[i].running = false;
		}
	}
	*rows = (struct db_rows){ 0 };
}

/* ---- columns */

int64_t db_int(const struct db_rows *rows, int column)
{
	return sqlite3_column_int64(rows->statement, column);
}

double db_real(const struct db_rows *rows, int column)
{
	return sqlite3_column_double(rows->statement, column);
}

const char *db_text(const struct db_rows *rows, int column)
{
	return (const char *)sqlite3_column_text(rows->statement, column);
}

struct fl_bytes db_bytes(const struct db_rows *rows, int column)
{
	const void *p = sqlite3_column_blob(rows->statement, column);

	return (struct fl_bytes){ .p = p,
		.n = (size_t)sqlite3_column_bytes(rows->statement, column) };
}

bool db_is_null(const struct db_rows *rows, int column)
{
	return sqlite3_column_type(rows->statement, column) == SQLITE_NULL;
}
