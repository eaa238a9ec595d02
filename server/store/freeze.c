/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/freeze.h"

#include "server/store/copy.h"
#include "server/store/db.h"

#include <stdlib.h>

#define COLUMNS "id, name, selector, why, from_at, until_at, lifted_at, created_at, created_by "

DB_SQL(freeze_select, "SELECT " COLUMNS "FROM freeze WHERE name = $1");
DB_SQL(freeze_select_all, "SELECT " COLUMNS "FROM freeze WHERE id > $1 ORDER BY id LIMIT $2");
DB_SQL(freeze_select_active,
	"SELECT " COLUMNS "FROM freeze WHERE lifted_at = 0 AND from_at <= $1 AND "
	"(until_at = 0 OR until_at > $1) ORDER BY id");
DB_SQL(freeze_select_since,
	"SELECT " COLUMNS "FROM freeze WHERE (lifted_at = 0 OR lifted_at > max($1, from_at)) AND "
	"(until_at = 0 OR until_at > $1) AND from_at <= $2 ORDER BY id");
DB_SQL(freeze_select_turned,
	"SELECT EXISTS (SELECT 1 FROM freeze WHERE lifted_at = 0 AND "
	"((from_at > $1 AND from_at <= $2) OR (until_at > $1 AND until_at <= $2)))");
DB_SQL(freeze_upsert,
	"INSERT INTO freeze (name, selector, why, from_at, until_at, created_at, created_by) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) DO UPDATE SET selector = "
	"excluded.selector, why = excluded.why, from_at = excluded.from_at, until_at = "
	"excluded.until_at, created_at = excluded.created_at, created_by = excluded.created_by, "
	"lifted_at = 0");
DB_SQL(freeze_update_lifted, "UPDATE freeze SET lifted_at = $1 WHERE id = $2 AND lifted_at = 0");

void freeze_fini(struct freeze *f)
{
	free(f->owned);
	*f = (struct freeze){ 0 };
}

static void read_row(const struct db_rows *rows, struct freeze *f)
{
	*f = (struct freeze){
		.id = db_int(rows, 0),
		.name = db_text(rows, 1),
		.selector = db_text(rows, 2),
		.why = db_text(rows, 3),
		.from_ms = db_int(rows, 4),
		.until_ms = db_int(rows, 5),
		.lifted_ms = db_int(rows, 6),
		.created_at = db_int(rows, 7),
		.created_by = db_text(rows, 8),
	};
}

enum fl_code freeze_get(
	struct store *store, const char *name, struct freeze *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	struct freeze f;
	enum fl_code code = db_one(store->db, freeze_select, DB_ARGS(DB_T(name)), &rows, err);

	if (code == FL_NOT_FOUND)
		return fl_fail(err, code, "there is no freeze \"%.128s\"", name);
	if (code != FL_OK)
		return code;
	read_row(&rows, &f);
	code = copy_texts(
		&f.owned, (const char **[]){ &f.name, &f.selector, &f.why, &f.created_by }, 4, err);
	if (code == FL_OK)
		*out = f;
	return code;
}

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
	enum fl_code code = db_query(
		store->db, freeze_select_all, DB_ARGS(DB_I(after), DB_I(limit)), &rows, err);

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

enum fl_code freeze_turned(struct store *store, int64_t after_ms, bool *turned, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, freeze_select_turned,
		DB_ARGS(DB_I(after_ms), DB_I(store->now_ms)), &rows, err);

	*turned = code == FL_OK && db_int(&rows, 0) != 0;
	return code;
}

enum fl_code freeze_put(struct store *store, const struct freeze *f, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, freeze_upsert,
		DB_ARGS(DB_T(f->name), DB_T(f->selector), DB_T(f->why), DB_I(f->from_ms),
			DB_I(f->until_ms), DB_I(store->now_ms), DB_T(f->created_by)),
		err);
}

enum fl_code freeze_lift(struct store *store, int64_t id, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(
		store->db, freeze_update_lifted, DB_ARGS(DB_I(store->now_ms), DB_I(id)), err);
}
