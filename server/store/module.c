/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/module.h"

#include "server/store/copy.h"
#include "server/store/db.h"

#include <stdlib.h>

#define COLUMNS "id, name, kind, tier, description, created_at "

DB_SQL(module_select, "SELECT " COLUMNS "FROM module WHERE name = $1");
DB_SQL(module_select_all, "SELECT " COLUMNS "FROM module WHERE name > $1 ORDER BY name LIMIT $2");
DB_SQL(module_insert,
	"INSERT INTO module (name, kind, tier, description, created_at) VALUES ($1, $2, $3, $4, "
	"$5)");
DB_SQL(module_update, "UPDATE module SET description = $1 WHERE id = $2");
DB_SQL(module_delete_row, "DELETE FROM module WHERE id = $1");
DB_SQL(module_select_used,
	"SELECT EXISTS (SELECT 1 FROM version WHERE module_id = $1), "
	"EXISTS (SELECT 1 FROM release_entry WHERE module_id = $2)");

void module_fini(struct module *m)
{
	free(m->owned);
	*m = (struct module){ 0 };
}

static void read_row(const struct db_rows *rows, struct module *m)
{
	*m = (struct module){
		.id = db_int(rows, 0),
		.name = db_text(rows, 1),
		.kind = db_text(rows, 2),
		.tier = db_text(rows, 3),
		.description = db_text(rows, 4),
		.created_at = db_int(rows, 5),
	};
}

enum fl_code module_get(
	struct store *store, const char *name, struct module *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	struct module m;
	enum fl_code code = db_one(store->db, module_select, DB_ARGS(DB_T(name)), &rows, err);

	if (code == FL_NOT_FOUND)
		return fl_fail(err, code, "there is no module \"%s\"", name);
	if (code != FL_OK)
		return code;
	read_row(&rows, &m);
	code = copy_texts(
		&m.owned, (const char **[]){ &m.name, &m.kind, &m.tier, &m.description }, 4, err);
	if (code == FL_OK)
		*out = m;
	return code;
}

enum fl_code module_add(
	struct store *store, const struct module *m, int64_t *id, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	enum fl_code code = db_insert(store->db, module_insert,
		DB_ARGS(DB_T(m->name), DB_T(m->kind), DB_T(m->tier), DB_T(m->description),
			DB_I(store->now_ms)),
		id, err);

	if (code == FL_CONFLICT)
		return fl_fail(err, code, "there is a module \"%s\" already", m->name);
	return code;
}

enum fl_code module_describe(
	struct store *store, int64_t id, const char *description, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, module_update, DB_ARGS(DB_T(description), DB_I(id)), err);
}

enum fl_code module_delete(struct store *store, const struct module *m, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };

	FL_BUG_IF(!store->write);
	enum fl_code code = db_one(
		store->db, module_select_used, DB_ARGS(DB_I(m->id), DB_I(m->id)), &rows, err);
	if (code != FL_OK)
		return code;
	if (db_int(&rows, 0) != 0)
		return fl_fail(err, FL_CONFLICT,
			"module \"%s\" has versions and stays; block what must not be used",
			m->name);
	if (db_int(&rows, 1) != 0)
		return fl_fail(
			err, FL_CONFLICT, "module \"%s\" is named by a release and stays", m->name);
	db_done(&rows);
	return db_exec(store->db, module_delete_row, DB_ARGS(DB_I(m->id)), err);
}

enum fl_code module_each(struct store *store, const char *after, int64_t limit, module_fn fn,
	void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_query(
		store->db, module_select_all, DB_ARGS(DB_T(after), DB_I(limit)), &rows, err);
	bool more = code == FL_OK;

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		struct module m;

		read_row(&rows, &m);
		code = fn(context, &m, err);
	}
	return code;
}
