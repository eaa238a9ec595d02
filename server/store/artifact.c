/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/artifact.h"

#include "lib/digest.h"
#include "server/store/db.h"

#include <string.h>

#define COLUMNS "id, sha256, size, created_at "

DB_SQL(artifact_select, "SELECT " COLUMNS "FROM artifact WHERE sha256 = $1");
DB_SQL(artifact_select_id, "SELECT " COLUMNS "FROM artifact WHERE id = $1");
DB_SQL(artifact_select_all, "SELECT " COLUMNS "FROM artifact ORDER BY id");
DB_SQL(artifact_insert, "INSERT INTO artifact (sha256, size, created_at) VALUES ($1, $2, $3)");
DB_SQL(artifact_select_uses,
	"SELECT m.name, v.version FROM variant a JOIN version v ON v.id = a.version_id "
	"JOIN module m ON m.id = v.module_id WHERE a.artifact_id = $1 "
	"GROUP BY m.name, v.version ORDER BY m.name, v.id");

static void read_row(const struct db_rows *rows, struct artifact *a)
{
	struct fl_bytes sha256 = db_bytes(rows, 1);

	*a = (struct artifact){
		.id = db_int(rows, 0),
		.size = db_int(rows, 2),
		.created_at = db_int(rows, 3),
	};
	if (sha256.n == sizeof(a->sha256))
		memcpy(a->sha256, sha256.p, sha256.n);
}

enum fl_code artifact_find(
	struct store *store, const uint8_t *sha256, struct artifact *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	char hex[FL_SHA256_HEX + 1];
	enum fl_code code = db_one(store->db, artifact_select,
		DB_ARGS(DB_B(sha256, ARTIFACT_SHA256_BYTES)), &rows, err);

	if (code == FL_NOT_FOUND) {
		fl_hex(sha256, ARTIFACT_SHA256_BYTES, hex);
		return fl_fail(err, code, "there is no artifact %s; upload it first", hex);
	}
	if (code == FL_OK)
		read_row(&rows, out);
	return code;
}

enum fl_code artifact_get(struct store *store, int64_t id, struct artifact *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, artifact_select_id, DB_ARGS(DB_I(id)), &rows, err);

	if (code == FL_NOT_FOUND)
		return fl_fail(err, code, "there is no artifact number %lld", (long long)id);
	if (code == FL_OK)
		read_row(&rows, out);
	return code;
}

enum fl_code artifact_put(struct store *store, const uint8_t *sha256, int64_t size, bool *added,
	struct artifact *out, struct fl_err *err)
{
	struct fl_err none = { 0 };
	enum fl_code code = artifact_find(store, sha256, out, &none);

	FL_BUG_IF(!store->write);
	if (code == FL_OK && out->size != size)
		return fl_fail(err, FL_CONFLICT,
			"an artifact of this digest has %lld bytes here, not %lld: run fleetd "
			"--verify",
			(long long)out->size, (long long)size);
	*added = code == FL_NOT_FOUND;
	if (code == FL_OK)
		return FL_OK;
	if (code != FL_NOT_FOUND)
		return fl_fail(err, code, "%s", none.msg);
	*out = (struct artifact){ .size = size, .created_at = store->now_ms };
	memcpy(out->sha256, sha256, sizeof(out->sha256));
	return db_insert(store->db, artifact_insert,
		DB_ARGS(DB_B(sha256, ARTIFACT_SHA256_BYTES), DB_I(size), DB_I(store->now_ms)),
		&out->id, err);
}

enum fl_code artifact_each_use(
	struct store *store, int64_t id, artifact_use_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code =
		db_query(store->db, artifact_select_uses, DB_ARGS(DB_I(id)), &rows, err);
	bool more = code == FL_OK;

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more)
		code = fn(context, db_text(&rows, 0), db_text(&rows, 1), err);
	return code;
}

enum fl_code artifact_each(struct store *store, artifact_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_query(store->db, artifact_select_all, DB_NO_ARGS, &rows, err);
	bool more = code == FL_OK;

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		struct artifact a;

		read_row(&rows, &a);
		code = fn(context, &a, err);
	}
	return code;
}
