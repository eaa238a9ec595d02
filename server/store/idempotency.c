/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/idempotency.h"

#include "server/store/db.h"

#include <string.h>

DB_SQL(idempotency_select,
	"SELECT request, status, response FROM idempotency "
	"WHERE token_id = $1 AND key = $2 AND created_at > $3");
DB_SQL(idempotency_upsert,
	"INSERT INTO idempotency (token_id, key, request, status, response, created_at) "
	"VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (token_id, key) DO UPDATE SET "
	"request = excluded.request, status = excluded.status, response = excluded.response, "
	"created_at = excluded.created_at");
/* A few at a time, so that no single request pays for a day's keys. */
DB_SQL(idempotency_prune,
	"DELETE FROM idempotency WHERE (token_id, key) IN (SELECT token_id, key FROM idempotency "
	"WHERE created_at <= $1 ORDER BY created_at LIMIT 8)");

enum fl_code idempotency_get(struct store *store, int64_t token_id, const char *key,
	struct idempotency *out, struct fl_buf *response, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, idempotency_select,
		DB_ARGS(DB_I(token_id), DB_T(key), DB_I(store->now_ms - IDEMPOTENCY_LIFE_MS)),
		&rows, err);

	if (code != FL_OK)
		return code;
	struct fl_bytes request = db_bytes(&rows, 0);
	struct idempotency found = { .token_id = token_id, .status = (int)db_int(&rows, 1) };
	if (request.n == sizeof(found.request))
		memcpy(found.request, request.p, request.n);
	fl_buf_str(response, db_text(&rows, 2));
	code = fl_buf_check(response, err);
	if (code == FL_OK)
		*out = found;
	return code;
}

enum fl_code idempotency_put(
	struct store *store, const struct idempotency *i, const char *response, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	enum fl_code code = db_exec(store->db, idempotency_prune,
		DB_ARGS(DB_I(store->now_ms - IDEMPOTENCY_LIFE_MS)), err);

	if (code != FL_OK)
		return code;
	return db_exec(store->db, idempotency_upsert,
		DB_ARGS(DB_I(i->token_id), DB_T(i->key), DB_B(i->request, sizeof(i->request)),
			DB_I(i->status), DB_T(response), DB_I(store->now_ms)),
		err);
}
