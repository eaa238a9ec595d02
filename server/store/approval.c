/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/approval.h"

#include "server/store/db.h"

#include <string.h>

DB_SQL(approval_select,
	"SELECT actor, agrees, digest, why, at FROM approval WHERE rollout_id = $1 "
	"ORDER BY at, actor");
DB_SQL(approval_select_count,
	"SELECT coalesce(sum(a.agrees), 0), "
	"coalesce(max(CASE WHEN a.actor = $1 THEN a.agrees END), -1) "
	"FROM approval a LEFT JOIN token t ON t.name = a.actor "
	"WHERE a.rollout_id = $2 AND (t.revoked_at IS NULL OR a.agrees = 0)");
DB_SQL(approval_insert,
	"INSERT INTO approval (rollout_id, actor, agrees, digest, why, at) "
	"VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (rollout_id, actor) DO UPDATE SET "
	"agrees = excluded.agrees, digest = excluded.digest, why = excluded.why, at = excluded.at");

enum fl_code approval_each(
	struct store *store, int64_t rollout_id, approval_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code =
		db_query(store->db, approval_select, DB_ARGS(DB_I(rollout_id)), &rows, err);

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		struct fl_bytes digest = db_bytes(&rows, 2);
		struct approval a = { .actor = db_text(&rows, 0),
			.agrees = db_int(&rows, 1) != 0,
			.why = db_text(&rows, 3),
			.at = db_int(&rows, 4) };

		if (digest.n == sizeof(a.digest))
			memcpy(a.digest, digest.p, digest.n);
		code = fn(context, &a, err);
	}
	return code;
}

enum fl_code approval_count(struct store *store, int64_t rollout_id, const char *actor,
	int64_t *agree, int *said, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, approval_select_count,
		DB_ARGS(DB_T(actor), DB_I(rollout_id)), &rows, err);

	if (code == FL_OK) {
		*agree = db_int(&rows, 0);
		*said = (int)db_int(&rows, 1);
	}
	return code;
}

enum fl_code approval_put(
	struct store *store, int64_t rollout_id, const struct approval *a, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, approval_insert,
		DB_ARGS(DB_I(rollout_id), DB_T(a->actor), DB_I(a->agrees),
			DB_B(a->digest, sizeof(a->digest)), DB_T(a->why), DB_I(store->now_ms)),
		err);
}
