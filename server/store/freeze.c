/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/freeze.h"

#include "server/store/copy.h"
#include "server/store/db.h"

#include <stdlib.h>

#define FOREVER INT64_MAX                         /* a span's end, in the table */
#define KEEP_MS (400 * 24 * 3600 * INT64_C(1000)) /* spans that are over are kept so long */

#define COLUMNS                                                                                  \
	"f.id, f.name, f.selector, f.why, f.from_at, f.until_at, f.every, f.zone, f.lifted_at, " \
	"f.created_at, f.created_by, s.from_at, s.until_at, s.told "
/* Spans come first (CROSS JOIN keeps the order): those that are over are many. */
#define OF_SPANS \
	"SELECT " COLUMNS "FROM freeze_span s CROSS JOIN freeze f WHERE f.id = s.freeze_id AND "
/* the span that holds at $1 or comes next */
#define WITH_NEXT                                                                        \
	"SELECT " COLUMNS "FROM freeze f LEFT JOIN freeze_span s ON s.freeze_id = f.id " \
	"AND s.from_at = (SELECT min(from_at) FROM freeze_span WHERE freeze_id = f.id "  \
	"AND until_at > $1) "

DB_SQL(freeze_select, WITH_NEXT "WHERE f.name = $2");
DB_SQL(freeze_select_all, WITH_NEXT "WHERE f.id > $2 ORDER BY f.id LIMIT $3");
DB_SQL(freeze_select_active, OF_SPANS "s.until_at > $1 AND s.from_at <= $1 ORDER BY f.id");
DB_SQL(freeze_select_since,
	OF_SPANS "s.until_at > $1 AND s.from_at <= $2 ORDER BY f.id, s.from_at");
DB_SQL(freeze_select_turned,
	OF_SPANS "s.told < 2 AND s.from_at <= $1 AND (s.told = 0 OR s.until_at <= $1) "
		 "ORDER BY CASE s.told WHEN 0 THEN s.from_at ELSE s.until_at END LIMIT 1");
DB_SQL(freeze_select_due,
	"SELECT " COLUMNS "FROM freeze f LEFT JOIN freeze_span s ON s.freeze_id = f.id AND "
	"s.from_at = (SELECT max(from_at) FROM freeze_span WHERE freeze_id = f.id) "
	"WHERE f.look_at <= $1 LIMIT 1");
DB_SQL(freeze_select_begun,
	"SELECT count(*) FROM freeze_span WHERE freeze_id = $1 AND from_at <= $2");
DB_SQL(freeze_select_id, "SELECT id FROM freeze WHERE name = $1");
DB_SQL(freeze_upsert,
	"INSERT INTO freeze (name, selector, why, from_at, until_at, every, zone, created_at, "
	"created_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (name) DO UPDATE SET "
	"selector = excluded.selector, why = excluded.why, from_at = excluded.from_at, until_at = "
	"excluded.until_at, every = excluded.every, zone = excluded.zone, look_at = NULL, "
	"created_at = excluded.created_at, created_by = excluded.created_by, lifted_at = 0");
DB_SQL(freeze_update_lifted,
	"UPDATE freeze SET lifted_at = $1, look_at = NULL WHERE id = $2 AND lifted_at = 0");
DB_SQL(freeze_update_look, "UPDATE freeze SET look_at = $1 WHERE id = $2");
DB_SQL(freeze_span_upsert,
	"INSERT INTO freeze_span (freeze_id, from_at, until_at, told) VALUES ($1, $2, $3, $4) "
	"ON CONFLICT (freeze_id, from_at) DO UPDATE SET until_at = excluded.until_at");
DB_SQL(freeze_span_update_end,
	"UPDATE freeze_span SET until_at = $1, told = $2 WHERE freeze_id = $3 AND until_at > $1");
DB_SQL(freeze_span_update_told,
	"UPDATE freeze_span SET told = $1 WHERE freeze_id = $2 AND from_at = $3");
DB_SQL(freeze_span_delete, "DELETE FROM freeze_span WHERE freeze_id = $1 AND from_at >= $2");
DB_SQL(freeze_span_delete_old,
	"DELETE FROM freeze_span WHERE freeze_id = $1 AND until_at < $2 AND told = 2 AND from_at < "
	"(SELECT max(from_at) FROM freeze_span WHERE freeze_id = $1)");

void freeze_fini(struct freeze *f)
{
	free(f->owned);
	*f = (struct freeze){ 0 };
}

static void read_row(const struct db_rows *rows, struct freeze *f)
{
	int64_t until = db_int(rows, 12);

	*f = (struct freeze){
		.id = db_int(rows, 0),
		.name = db_text(rows, 1),
		.selector = db_text(rows, 2),
		.why = db_text(rows, 3),
		.from_ms = db_int(rows, 4),
		.until_ms = db_int(rows, 5),
		.every = db_text(rows, 6),
		.zone = db_text(rows, 7),
		.lifted_ms = db_int(rows, 8),
		.created_at = db_int(rows, 9),
		.created_by = db_text(rows, 10),
		.span = { db_int(rows, 11), until == FOREVER ? 0 : until,
			(enum freeze_told)db_int(rows, 13) },
	};
}

/* ---- one */

/* The row of a query for one; FL_NOT_FOUND leaves err alone. */
static enum fl_code one(struct store *store, const struct db_sql *sql, const struct db_arg *args,
	size_t n, struct freeze *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	struct freeze f;
	enum fl_code code = db_one(store->db, sql, args, n, &rows, err);

	if (code != FL_OK)
		return code;
	read_row(&rows, &f);
	code = copy_texts(&f.owned,
		(const char **[]){ &f.name, &f.selector, &f.why, &f.every, &f.zone, &f.created_by },
		6, err);
	if (code == FL_OK)
		*out = f;
	return code;
}

enum fl_code freeze_get(
	struct store *store, const char *name, struct freeze *out, struct fl_err *err)
{
	enum fl_code code =
		one(store, freeze_select, DB_ARGS(DB_I(store->now_ms), DB_T(name)), out, err);

	if (code == FL_NOT_FOUND)
		return fl_fail(err, code, "there is no freeze \"%.128s\"", name);
	return code;
}

enum fl_code freeze_turned(struct store *store, struct freeze *out, struct fl_err *err)
{
	return one(store, freeze_select_turned, DB_ARGS(DB_I(store->now_ms)), out, err);
}

enum fl_code freeze_due(struct store *store, struct freeze *out, struct fl_err *err)
{
	return one(store, freeze_select_due, DB_ARGS(DB_I(store->now_ms)), out, err);
}

enum fl_code freeze_count_begun(struct store *store, int64_t id, int64_t *n, struct fl_err *err)
{
	return db_number(
		store->db, freeze_select_begun, DB_ARGS(DB_I(id), DB_I(store->now_ms)), n, err);
}

/* ---- many */

/* The rows of a query that has begun. */
static enum fl_code each(struct db_rows *rows, freeze_fn fn, void *context, struct fl_err *err)
{
	bool more = false;
	enum fl_code code;

	while ((code = db_next(rows, &more, err)) == FL_OK && more) {
		struct freeze f;

		read_row(rows, &f);
		code = fn(context, &f, err);
		if (code != FL_OK)
			break;
	}
	return code;
}

enum fl_code freeze_each(struct store *store, int64_t after, int64_t limit, freeze_fn fn,
	void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_query(store->db, freeze_select_all,
		DB_ARGS(DB_I(store->now_ms), DB_I(after), DB_I(limit)), &rows, err);

	return code == FL_OK ? each(&rows, fn, context, err) : code;
}

enum fl_code freeze_each_active(
	struct store *store, freeze_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code =
		db_query(store->db, freeze_select_active, DB_ARGS(DB_I(store->now_ms)), &rows, err);

	return code == FL_OK ? each(&rows, fn, context, err) : code;
}

enum fl_code freeze_each_since(
	struct store *store, int64_t since_ms, freeze_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_query(store->db, freeze_select_since,
		DB_ARGS(DB_I(since_ms), DB_I(store->now_ms)), &rows, err);

	return code == FL_OK ? each(&rows, fn, context, err) : code;
}

/* ---- writing */

enum fl_code freeze_put(
	struct store *store, const struct freeze *f, int64_t *id, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code;

	FL_BUG_IF(!store->write);
	code = db_exec(store->db, freeze_upsert,
		DB_ARGS(DB_T(f->name), DB_T(f->selector), DB_T(f->why), DB_I(f->from_ms),
			DB_I(f->until_ms), DB_T(f->every), DB_T(f->zone), DB_I(store->now_ms),
			DB_T(f->created_by)),
		err);
	if (code == FL_OK)
		code = db_one(store->db, freeze_select_id, DB_ARGS(DB_T(f->name)), &rows, err);
	if (code == FL_OK)
		*id = db_int(&rows, 0);
	return code;
}

enum fl_code freeze_lift(struct store *store, int64_t id, struct fl_err *err)
{
	enum fl_code code;

	FL_BUG_IF(!store->write);
	code = db_exec(
		store->db, freeze_update_lifted, DB_ARGS(DB_I(store->now_ms), DB_I(id)), err);
	return code == FL_OK ? freeze_cut(store, id, err) : code;
}

enum fl_code freeze_cut(struct store *store, int64_t id, struct fl_err *err)
{
	enum fl_code code = freeze_forget(store, id, store->now_ms, err);

	return code == FL_OK
		? db_exec(store->db, freeze_span_update_end,
			  DB_ARGS(DB_I(store->now_ms), DB_I(FREEZE_OVER), DB_I(id)), err)
		: code;
}

enum fl_code freeze_forget(struct store *store, int64_t id, int64_t from_ms, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, freeze_span_delete, DB_ARGS(DB_I(id), DB_I(from_ms)), err);
}

enum fl_code freeze_add_span(
	struct store *store, int64_t id, const struct freeze_span *span, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, freeze_span_upsert,
		DB_ARGS(DB_I(id), DB_I(span->from_ms),
			DB_I(span->until_ms == 0 ? FOREVER : span->until_ms), DB_I(span->told)),
		err);
}

enum fl_code freeze_tell(
	struct store *store, const struct freeze *f, enum freeze_told told, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, freeze_span_update_told,
		DB_ARGS(DB_I(told), DB_I(f->id), DB_I(f->span.from_ms)), err);
}

enum fl_code freeze_put_due(struct store *store, int64_t id, int64_t at_ms, struct fl_err *err)
{
	enum fl_code code;

	FL_BUG_IF(!store->write);
	code = db_exec(store->db, freeze_update_look,
		DB_ARGS(at_ms == 0 ? DB_NULL : DB_I(at_ms), DB_I(id)), err);
	return code == FL_OK ? db_exec(store->db, freeze_span_delete_old,
				       DB_ARGS(DB_I(id), DB_I(store->now_ms - KEEP_MS)), err)
			     : code;
}
