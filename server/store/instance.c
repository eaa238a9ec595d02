/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/instance.h"

#include "server/store/db.h"

DB_SQL(instance_select, "SELECT value FROM instance WHERE key = $1");
DB_SQL(instance_upsert,
	"INSERT INTO instance (key, value) VALUES ($1, $2) "
	"ON CONFLICT (key) DO UPDATE SET value = excluded.value");

enum fl_code instance_get(
	struct store *store, const char *key, struct fl_buf *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, instance_select, DB_ARGS(DB_T(key)), &rows, err);

	if (code != FL_OK)
		return code;
	fl_buf_str(out, db_text(&rows, 0));
	return fl_buf_check(out, err);
}

enum fl_code instance_put(
	struct store *store, const char *key, const char *value, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, instance_upsert, DB_ARGS(DB_T(key), DB_T(value)), err);
}
