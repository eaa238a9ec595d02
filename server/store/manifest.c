/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/manifest.h"

#include "lib/digest.h"
#include "server/store/db.h"
#include "server/store/device.h"

DB_SQL(goal_by_digest, "SELECT id FROM goal WHERE digest = $1");
DB_SQL(goal_insert, "INSERT INTO goal (digest, content) VALUES ($1, $2)");
DB_SQL(goal_text, "SELECT content FROM goal WHERE id = $1");
DB_SQL(manifest_number, "SELECT manifest FROM device WHERE no = $1");
DB_SQL(manifest_replace,
	"INSERT OR REPLACE INTO manifest (device_no, number, goal_id, stage_id, issued_at, "
	"expires_at) "
	"VALUES ($1, $2, $3, $4, $5, $6)");
DB_SQL(manifest_select,
	"SELECT number, goal_id, stage_id, issued_at, expires_at FROM manifest WHERE device_no = "
	"$1");

enum fl_code manifest_goal(
	struct store *store, struct fl_bytes goal, int64_t *goal_id, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	uint8_t digest[FL_SHA256_LEN];
	enum fl_code code;

	FL_BUG_IF(!store->write);
	fl_sha256(goal, digest);
	code = db_one(store->db, goal_by_digest, DB_ARGS(DB_B(digest, sizeof(digest))), &rows, err);
	if (code == FL_OK)
		*goal_id = db_int(&rows, 0);
	if (code != FL_NOT_FOUND)
		return code;
	return db_insert(store->db, goal_insert,
		DB_ARGS(DB_B(digest, sizeof(digest)), DB_TN(goal.p, goal.n)), goal_id, err);
}

enum fl_code manifest_goal_text(
	struct store *store, int64_t goal_id, struct fl_buf *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, goal_text, DB_ARGS(DB_I(goal_id)), &rows, err);

	if (code == FL_NOT_FOUND)
		return fl_fail(err, code, "there is no goal %lld", (long long)goal_id);
	if (code != FL_OK)
		return code;
	fl_buf_str(out, db_text(&rows, 0));
	return fl_buf_check(out, err);
}

static enum fl_code next_number(
	struct store *store, int64_t device_no, int64_t *number, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code =
		db_one(store->db, manifest_number, DB_ARGS(DB_I(device_no)), &rows, err);

	if (code == FL_NOT_FOUND)
		return fl_fail(err, code, "there is no device number %lld", (long long)device_no);
	if (code == FL_OK)
		*number = db_int(&rows, 0) + 1;
	return code;
}

enum fl_code manifest_issue(struct store *store, struct manifest_row *row, struct fl_err *err)
{
	int64_t number = 0;
	enum fl_code code;

	FL_BUG_IF(!store->write);
	code = next_number(store, row->device_no, &number, err);
	if (code != FL_OK)
		return code;
	row->number = number;
	row->issued_ms = store->now_ms;
	if (row->expires_ms == 0)
		row->expires_ms = store->now_ms + MANIFEST_LIFE_MS;
	code = db_exec(store->db, manifest_replace,
		DB_ARGS(DB_I(row->device_no), DB_I(number), DB_I(row->goal_id),
			row->stage_id == 0 ? DB_NULL : DB_I(row->stage_id), DB_I(row->issued_ms),
			DB_I(row->expires_ms)),
		err);
	return code == FL_OK ? device_set_manifest(store, row->device_no, number, err) : code;
}

enum fl_code manifest_get(
	struct store *store, int64_t device_no, struct manifest_row *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code =
		db_one(store->db, manifest_select, DB_ARGS(DB_I(device_no)), &rows, err);

	if (code == FL_OK)
		*out = (struct manifest_row){ device_no, db_int(&rows, 0), db_int(&rows, 1),
			db_int(&rows, 2), db_int(&rows, 3), db_int(&rows, 4) };
	return code;
}
