/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/job.h"

#include "server/store/db.h"

DB_SQL(job_insert,
	"INSERT INTO job (kind, subject, argument, created_at) VALUES ($1, $2, $3, $4) "
	"ON CONFLICT (kind, subject) DO UPDATE SET cursor = 0, argument = excluded.argument");
DB_SQL(job_select, "SELECT cursor, argument FROM job WHERE kind = $1 AND subject = $2");
DB_SQL(job_select_all, "SELECT kind, subject FROM job ORDER BY id");
DB_SQL(job_update_cursor, "UPDATE job SET cursor = $1 WHERE kind = $2 AND subject = $3");
DB_SQL(job_delete, "DELETE FROM job WHERE kind = $1 AND subject = $2");

enum fl_code job_begin(struct store *store, const char *kind, int64_t subject, const char *argument,
	struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, job_insert,
		DB_ARGS(DB_T(kind), DB_I(subject), DB_T(argument), DB_I(store->now_ms)), err);
}

enum fl_code job_get(struct store *store, const char *kind, int64_t subject, int64_t *cursor,
	struct fl_buf *argument, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code =
		db_one(store->db, job_select, DB_ARGS(DB_T(kind), DB_I(subject)), &rows, err);

	if (code != FL_OK)
		return code;
	*cursor = db_int(&rows, 0);
	if (argument == NULL)
		return FL_OK;
	fl_buf_str(argument, db_text(&rows, 1));
	return fl_buf_check(argument, err);
}

enum fl_code job_advance(
	struct store *store, const char *kind, int64_t subject, int64_t cursor, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, job_update_cursor,
		DB_ARGS(DB_I(cursor), DB_T(kind), DB_I(subject)), err);
}

enum fl_code job_end(struct store *store, const char *kind, int64_t subject, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, job_delete, DB_ARGS(DB_T(kind), DB_I(subject)), err);
}

enum fl_code job_each(struct store *store, job_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code = db_query(store->db, job_select_all, DB_NO_ARGS, &rows, err);

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more)
		code = fn(context, db_text(&rows, 0), db_int(&rows, 1), err);
	return code;
}
