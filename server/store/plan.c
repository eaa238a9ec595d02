/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/plan.h"

#include "server/store/db.h"

#include <string.h>

DB_SQL(plan_select, "SELECT digest, content, created_at FROM plan WHERE rollout_id = $1");
DB_SQL(plan_insert,
	"INSERT INTO plan (rollout_id, digest, content, created_at) VALUES ($1, $2, $3, $4) "
	"ON CONFLICT (rollout_id) DO UPDATE SET digest = excluded.digest, "
	"content = excluded.content, created_at = excluded.created_at");
DB_SQL(plan_select_deltas,
	"SELECT from_artifact, to_artifact, min(size) FROM delta WHERE state = 'ready' "
	"AND from_artifact <> 0 GROUP BY from_artifact, to_artifact");

enum fl_code plan_get(struct store *store, int64_t rollout_id, struct plan_row *out,
	struct fl_buf *content, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, plan_select, DB_ARGS(DB_I(rollout_id)), &rows, err);
	struct fl_bytes digest;

	if (code != FL_OK)
		return code;
	digest = db_bytes(&rows, 0);
	if (digest.n != sizeof(out->digest))
		return fl_fail(err, FL_CORRUPT, "the plan of rollout %lld has no digest",
			(long long)rollout_id);
	memcpy(out->digest, digest.p, digest.n);
	out->created_at = db_int(&rows, 2);
	fl_buf_str(content, db_text(&rows, 1));
	return fl_buf_check(content, err);
}

enum fl_code plan_put(struct store *store, int64_t rollout_id, const uint8_t digest[32],
	const char *content, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, plan_insert,
		DB_ARGS(DB_I(rollout_id), DB_B(digest, 32), DB_T(content), DB_I(store->now_ms)),
		err);
}

enum fl_code plan_each_delta(
	struct store *store, plan_delta_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code = db_query(store->db, plan_select_deltas, DB_NO_ARGS, &rows, err);

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more)
		code = fn(context, db_int(&rows, 0), db_int(&rows, 1), db_int(&rows, 2), err);
	return code;
}
