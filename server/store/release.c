/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/release.h"

#include "server/store/copy.h"
#include "server/store/db.h"

#include <stdlib.h>
#include <string.h>

#define COLUMNS "id, name, notes, digest, created_at, created_by "

DB_SQL(release_select, "SELECT " COLUMNS "FROM release WHERE name = $1");
DB_SQL(release_select_id, "SELECT " COLUMNS "FROM release WHERE id = $1");
DB_SQL(release_select_all, "SELECT " COLUMNS "FROM release WHERE id > $1 ORDER BY id LIMIT $2");
DB_SQL(release_insert,
	"INSERT INTO release (name, notes, digest, created_at, created_by) "
	"VALUES ($1, $2, $3, $4, $5)");
DB_SQL(release_entry_select,
	"SELECT e.release_id, e.module_id, e.version_id, m.name, v.version, e.action "
	"FROM release_entry e JOIN module m ON m.id = e.module_id "
	"LEFT JOIN version v ON v.id = e.version_id WHERE e.release_id = $1 ORDER BY m.name");
DB_SQL(release_entry_insert,
	"INSERT INTO release_entry (release_id, module_id, version_id, action) "
	"VALUES ($1, $2, $3, $4)");

void release_fini(struct release *r)
{
	free(r->owned);
	*r = (struct release){ 0 };
}

static void read_row(const struct db_rows *rows, struct release *r)
{
	struct fl_bytes digest = db_bytes(rows, 3);

	*r = (struct release){
		.id = db_int(rows, 0),
		.name = db_text(rows, 1),
		.notes = db_text(rows, 2),
		.created_at = db_int(rows, 4),
		.created_by = db_text(rows, 5),
	};
	if (digest.n == sizeof(r->digest))
		memcpy(r->digest, digest.p, digest.n);
}

static enum fl_code keep_row(const struct db_rows *rows, struct release *out, struct fl_err *err)
{
	struct release r;

	read_row(rows, &r);
	enum fl_code code =
		copy_texts(&r.owned, (const char **[]){ &r.name, &r.notes, &r.created_by }, 3, err);
	if (code == FL_OK)
		*out = r;
	return code;
}

enum fl_code release_get(
	struct store *store, const char *name, struct release *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, release_select, DB_ARGS(DB_T(name)), &rows, err);

	if (code == FL_NOT_FOUND)
		return fl_fail(err, code, "there is no release \"%s\"", name);
	return code != FL_OK ? code : keep_row(&rows, out, err);
}

enum fl_code release_by_id(struct store *store, int64_t id, struct release *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, release_select_id, DB_ARGS(DB_I(id)), &rows, err);

	if (code == FL_NOT_FOUND)
		return fl_fail(err, code, "there is no release number %lld", (long long)id);
	return code != FL_OK ? code : keep_row(&rows, out, err);
}

enum fl_code release_each(struct store *store, int64_t after, int64_t limit, release_fn fn,
	void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_query(
		store->db, release_select_all, DB_ARGS(DB_I(after), DB_I(limit)), &rows, err);
	bool more = code == FL_OK;

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		struct release r;

		read_row(&rows, &r);
		code = fn(context, &r, err);
	}
	return code;
}

enum fl_code release_each_entry(struct store *store, int64_t release_id, release_entry_fn fn,
	void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code =
		db_query(store->db, release_entry_select, DB_ARGS(DB_I(release_id)), &rows, err);
	bool more = code == FL_OK;

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		const struct release_entry e = {
			.release_id = db_int(&rows, 0),
			.module_id = db_int(&rows, 1),
			.version_id = db_int(&rows, 2),
			.module = db_text(&rows, 3),
			.version = db_text(&rows, 4),
			.action = db_text(&rows, 5),
		};
		code = fn(context, &e, err);
	}
	return code;
}

enum fl_code release_add(
	struct store *store, const struct release *r, int64_t *id, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	enum fl_code code = db_insert(store->db, release_insert,
		DB_ARGS(DB_T(r->name), DB_T(r->notes), DB_B(r->digest, sizeof(r->digest)),
			DB_I(store->now_ms), DB_T(r->created_by)),
		id, err);

	if (code == FL_CONFLICT)
		return fl_fail(err, code, "there is a release \"%s\" already", r->name);
	return code;
}

enum fl_code release_add_entry(
	struct store *store, const struct release_entry *e, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, release_entry_insert,
		DB_ARGS(DB_I(e->release_id), DB_I(e->module_id),
			e->version_id == 0 ? DB_NULL : DB_I(e->version_id), DB_T(e->action)),
		err);
}
