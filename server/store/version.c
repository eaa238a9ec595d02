/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/version.h"

#include "server/store/copy.h"
#include "server/store/db.h"

#include <stdlib.h>
#include <string.h>

#define COLUMNS                                                                      \
	"v.id, v.module_id, m.name, v.version, v.downgrade, v.floor, v.blocked_at, " \
	"v.blocked_why, "                                                            \
	"v.notes, v.digest, v.signature, v.created_at, v.created_by "
#define FROM "FROM version v JOIN module m ON m.id = v.module_id "

DB_SQL(version_select, "SELECT " COLUMNS FROM "WHERE m.name = $1 AND v.version = $2");
DB_SQL(version_select_id, "SELECT " COLUMNS FROM "WHERE v.id = $1");
DB_SQL(version_select_of, "SELECT " COLUMNS FROM "WHERE v.module_id = $1 ORDER BY v.id");
DB_SQL(version_select_all, "SELECT " COLUMNS FROM "ORDER BY v.id");
DB_SQL(version_insert,
	"INSERT INTO version (module_id, version, downgrade, floor, notes, digest, signature, "
	"created_at, "
	"created_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)");
DB_SQL(version_update_blocked,
	"UPDATE version SET blocked_at = $1, blocked_why = $2 WHERE id = $3");

#define VARIANT                                                                        \
	"SELECT a.version_id, a.ordinal, a.selector, a.artifact_id, f.sha256, f.size " \
	"FROM variant a LEFT JOIN artifact f ON f.id = a.artifact_id "
DB_SQL(variant_select_of, VARIANT "WHERE a.version_id = $1 ORDER BY a.ordinal");
DB_SQL(variant_select_all, VARIANT "ORDER BY a.version_id, a.ordinal");
DB_SQL(variant_insert,
	"INSERT INTO variant (version_id, ordinal, selector, artifact_id) VALUES ($1, $2, $3, $4)");

DB_SQL(requirement_select_of,
	"SELECT version_id, module, range FROM requirement WHERE version_id = $1 ORDER BY module");
DB_SQL(requirement_select_all,
	"SELECT version_id, module, range FROM requirement ORDER BY version_id, module");
DB_SQL(requirement_insert,
	"INSERT INTO requirement (version_id, module, range) VALUES ($1, $2, $3)");
DB_SQL(requirement_select_named,
	"SELECT q.version_id, q.module, q.range FROM module m JOIN version v ON v.module_id = m.id "
	"AND v.version = $1 JOIN requirement q ON q.version_id = v.id WHERE m.name = $2");
/* what a device has itself, its gateway need not have */
DB_SQL(requirement_select_behind,
	"SELECT DISTINCT 0, q.module, q.range FROM device d JOIN state_entry e ON "
	"e.state_id = d.state_id JOIN module m ON m.name = e.module JOIN version v ON "
	"v.module_id = m.id AND v.version = e.version JOIN requirement q ON q.version_id = v.id "
	"WHERE d.gateway_no = $1 AND d.retired_at IS NULL AND NOT EXISTS (SELECT 1 FROM "
	"state_entry o WHERE o.state_id = d.state_id AND o.module = q.module)");
DB_SQL(need_select_of,
	"SELECT version_id, attribute, range FROM need WHERE version_id = $1 ORDER BY attribute");
DB_SQL(need_select_all,
	"SELECT version_id, attribute, range FROM need ORDER BY version_id, attribute");
DB_SQL(need_insert, "INSERT INTO need (version_id, attribute, range) VALUES ($1, $2, $3)");

void version_fini(struct version *v)
{
	free(v->owned);
	*v = (struct version){ 0 };
}

static void read_row(const struct db_rows *rows, struct version *v)
{
	struct fl_bytes digest = db_bytes(rows, 9);

	*v = (struct version){
		.id = db_int(rows, 0),
		.module_id = db_int(rows, 1),
		.module = db_text(rows, 2),
		.version = db_text(rows, 3),
		.downgrade = db_int(rows, 4) != 0,
		.floor = db_int(rows, 5) != 0,
		.blocked_at = db_int(rows, 6),
		.blocked_why = db_text(rows, 7),
		.notes = db_text(rows, 8),
		.signature = db_text(rows, 10),
		.created_at = db_int(rows, 11),
		.created_by = db_text(rows, 12),
	};
	if (digest.n == sizeof(v->digest))
		memcpy(v->digest, digest.p, digest.n);
}

static enum fl_code keep_row(const struct db_rows *rows, struct version *out, struct fl_err *err)
{
	struct version v;

	read_row(rows, &v);
	enum fl_code code = copy_texts(&v.owned,
		(const char **[]){ &v.module, &v.version, &v.blocked_why, &v.notes, &v.signature,
			&v.created_by },
		6, err);
	if (code == FL_OK)
		*out = v;
	return code;
}

enum fl_code version_get(struct store *store, const char *module, const char *version,
	struct version *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code =
		db_one(store->db, version_select, DB_ARGS(DB_T(module), DB_T(version)), &rows, err);

	if (code == FL_NOT_FOUND)
		return fl_fail(
			err, code, "there is no version %s of module \"%s\"", version, module);
	return code != FL_OK ? code : keep_row(&rows, out, err);
}

enum fl_code version_by_id(struct store *store, int64_t id, struct version *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, version_select_id, DB_ARGS(DB_I(id)), &rows, err);

	if (code == FL_NOT_FOUND)
		return fl_fail(err, code, "there is no version number %lld", (long long)id);
	return code != FL_OK ? code : keep_row(&rows, out, err);
}

/* Begin `one` bound to `id`, or `all` when it is 0. */
static enum fl_code query_of(struct store *store, const struct db_sql *one,
	const struct db_sql *all, int64_t id, struct db_rows *rows, struct fl_err *err)
{
	if (id == 0)
		return db_query(store->db, all, DB_NO_ARGS, rows, err);
	return db_query(store->db, one, DB_ARGS(DB_I(id)), rows, err);
}

enum fl_code version_each(
	struct store *store, int64_t module_id, version_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code =
		query_of(store, version_select_of, version_select_all, module_id, &rows, err);
	bool more = code == FL_OK;

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		struct version v;

		read_row(&rows, &v);
		code = fn(context, &v, err);
	}
	return code;
}

enum fl_code version_each_variant(
	struct store *store, int64_t version_id, variant_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code =
		query_of(store, variant_select_of, variant_select_all, version_id, &rows, err);
	bool more = code == FL_OK;

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		const struct variant v = {
			.version_id = db_int(&rows, 0),
			.ordinal = db_int(&rows, 1),
			.selector = db_text(&rows, 2),
			.artifact_id = db_int(&rows, 3),
			.sha256 = db_is_null(&rows, 4) ? NULL : db_bytes(&rows, 4).p,
			.size = db_int(&rows, 5),
		};
		code = fn(context, &v, err);
	}
	return code;
}

static enum fl_code each_demand(
	struct db_rows *rows, demand_fn fn, void *context, struct fl_err *err)
{
	enum fl_code code;
	bool more;

	while ((code = db_next(rows, &more, err)) == FL_OK && more) {
		const struct version_demand d = {
			.version_id = db_int(rows, 0),
			.name = db_text(rows, 1),
			.range = db_text(rows, 2),
		};
		code = fn(context, &d, err);
		if (code != FL_OK)
			break;
	}
	return code;
}

enum fl_code version_each_requirement(
	struct store *store, int64_t version_id, demand_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = query_of(
		store, requirement_select_of, requirement_select_all, version_id, &rows, err);

	return code != FL_OK ? code : each_demand(&rows, fn, context, err);
}

enum fl_code version_each_required(struct store *store, const char *module, const char *version,
	demand_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_query(store->db, requirement_select_named,
		DB_ARGS(DB_T(version), DB_T(module)), &rows, err);

	return code != FL_OK ? code : each_demand(&rows, fn, context, err);
}

enum fl_code version_each_required_behind(
	struct store *store, int64_t gateway_no, demand_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_query(
		store->db, requirement_select_behind, DB_ARGS(DB_I(gateway_no)), &rows, err);

	return code != FL_OK ? code : each_demand(&rows, fn, context, err);
}

enum fl_code version_each_need(
	struct store *store, int64_t version_id, demand_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code =
		query_of(store, need_select_of, need_select_all, version_id, &rows, err);

	return code != FL_OK ? code : each_demand(&rows, fn, context, err);
}

enum fl_code version_add(
	struct store *store, const struct version *v, int64_t *id, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_insert(store->db, version_insert,
		DB_ARGS(DB_I(v->module_id), DB_T(v->version), DB_I(v->downgrade), DB_I(v->floor),
			DB_T(v->notes), DB_B(v->digest, sizeof(v->digest)), DB_T(v->signature),
			DB_I(store->now_ms), DB_T(v->created_by)),
		id, err);
}

enum fl_code version_add_variant(struct store *store, const struct variant *v, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, variant_insert,
		DB_ARGS(DB_I(v->version_id), DB_I(v->ordinal), DB_T(v->selector),
			v->artifact_id == 0 ? DB_NULL : DB_I(v->artifact_id)),
		err);
}

enum fl_code version_add_requirement(
	struct store *store, const struct version_demand *d, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, requirement_insert,
		DB_ARGS(DB_I(d->version_id), DB_T(d->name), DB_T(d->range)), err);
}

enum fl_code version_add_need(
	struct store *store, const struct version_demand *d, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, need_insert,
		DB_ARGS(DB_I(d->version_id), DB_T(d->name), DB_T(d->range)), err);
}

enum fl_code version_block(struct store *store, int64_t id, const char *why, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, version_update_blocked,
		DB_ARGS(why == NULL ? DB_NULL : DB_I(store->now_ms), DB_T(why), DB_I(id)), err);
}
