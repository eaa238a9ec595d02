/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/stratum.h"

#include "server/store/db.h"

#include <string.h>

DB_SQL(stratum_select_attribute,
	"SELECT json_extract(attributes, $1) FROM device_profile WHERE device_no = $2");
DB_SQL(stratum_select_label,
	"SELECT json_extract(labels, $1) FROM device_profile WHERE device_no = $2");
DB_SQL(stratum_select_gateway,
	"SELECT g.id FROM device d JOIN device g ON g.no = d.gateway_no WHERE d.no = $1");
DB_SQL(stratum_select,
	"SELECT successes, failures, held_at <> 0 AND released_at = 0 FROM stratum WHERE "
	"rollout_id = $1 AND field = $2 AND value = $3");
DB_SQL(stratum_select_sum,
	"SELECT coalesce(sum(successes), 0), coalesce(sum(failures), 0), count(*) FROM stratum "
	"WHERE "
	"rollout_id = $1 AND field = $2");
DB_SQL(stratum_select_all,
	"SELECT field, value, successes, failures, why, held_at, released_at FROM stratum WHERE "
	"rollout_id = $1 ORDER BY field, value");
DB_SQL(stratum_upsert,
	"INSERT INTO stratum (rollout_id, field, value, successes, failures) VALUES "
	"($1, $2, $3, $4, $5) ON CONFLICT DO UPDATE SET successes = successes + "
	"excluded.successes, "
	"failures = failures + excluded.failures");
DB_SQL(stratum_update_held,
	"UPDATE stratum SET held_at = $1, released_at = 0, why = $2 WHERE rollout_id = $3 AND "
	"field = $4 AND value = $5");
DB_SQL(stratum_update_released,
	"UPDATE stratum SET released_at = $1 WHERE rollout_id = $2 AND field = $3 AND value = $4 "
	"AND "
	"held_at <> 0 AND released_at = 0");

enum fl_code stratum_value(struct store *store, int64_t device_no, const char *field,
	struct fl_buf *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	FL_AUTO_BUF struct fl_buf path = { 0 };
	bool attribute = strncmp(field, "attribute.", 10) == 0;
	const char *key = strchr(field, '.');
	const char *text;
	enum fl_code code;

	if (key == NULL) {
		code = db_one(
			store->db, stratum_select_gateway, DB_ARGS(DB_I(device_no)), &rows, err);
	} else {
		fl_buf_printf(&path, "$.\"%s\"", key + 1);
		code = fl_buf_check(&path, err);
		if (code == FL_OK)
			code = db_one(store->db,
				attribute ? stratum_select_attribute : stratum_select_label,
				DB_ARGS(DB_T((const char *)path.p), DB_I(device_no)), &rows, err);
	}
	if (code == FL_NOT_FOUND)
		return FL_OK;
	if (code != FL_OK)
		return code;
	text = db_text(&rows, 0);
	if (text != NULL)
		fl_buf_str(out, text);
	return fl_buf_check(out, err);
}

enum fl_code stratum_get(struct store *store, int64_t rollout_id, const char *field,
	const char *value, struct stratum_count *count, bool *held, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, stratum_select,
		DB_ARGS(DB_I(rollout_id), DB_T(field), DB_T(value)), &rows, err);

	if (code != FL_OK)
		return code;
	*count = (struct stratum_count){ db_int(&rows, 0), db_int(&rows, 1) };
	*held = db_int(&rows, 2) != 0;
	return FL_OK;
}

enum fl_code stratum_sum(struct store *store, int64_t rollout_id, const char *field,
	struct stratum_count *all, int64_t *strata, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(
		store->db, stratum_select_sum, DB_ARGS(DB_I(rollout_id), DB_T(field)), &rows, err);

	if (code != FL_OK)
		return code;
	*all = (struct stratum_count){ db_int(&rows, 0), db_int(&rows, 1) };
	*strata = db_int(&rows, 2);
	return FL_OK;
}

enum fl_code stratum_each(
	struct store *store, int64_t rollout_id, stratum_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code =
		db_query(store->db, stratum_select_all, DB_ARGS(DB_I(rollout_id)), &rows, err);

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		struct stratum s = { .field = db_text(&rows, 0),
			.value = db_text(&rows, 1),
			.count = { db_int(&rows, 2), db_int(&rows, 3) },
			.why = db_text(&rows, 4),
			.held_at = db_int(&rows, 5),
			.released_at = db_int(&rows, 6) };

		code = fn(context, &s, err);
	}
	return code;
}

enum fl_code stratum_add(struct store *store, int64_t rollout_id, const char *field,
	const char *value, bool success, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, stratum_upsert,
		DB_ARGS(DB_I(rollout_id), DB_T(field), DB_T(value), DB_I(success), DB_I(!success)),
		err);
}

enum fl_code stratum_hold(struct store *store, int64_t rollout_id, const char *field,
	const char *value, const char *why, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, stratum_update_held,
		DB_ARGS(DB_I(store->now_ms), DB_T(why), DB_I(rollout_id), DB_T(field), DB_T(value)),
		err);
}

enum fl_code stratum_release(struct store *store, int64_t rollout_id, const char *field,
	const char *value, bool *changed, struct fl_err *err)
{
	enum fl_code code;

	FL_BUG_IF(!store->write);
	code = db_exec(store->db, stratum_update_released,
		DB_ARGS(DB_I(store->now_ms), DB_I(rollout_id), DB_T(field), DB_T(value)), err);
	*changed = code == FL_OK && db_changes(store->db) > 0;
	return code;
}
