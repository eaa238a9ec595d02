/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/assignment.h"

#include "server/store/db.h"

DB_SQL(assignment_insert,
	"INSERT INTO assignment (rollout_id, device_no, wave, class, state_id) "
	"VALUES ($1, $2, $3, $4, $5)");
DB_SQL(assignment_delete,
	"DELETE FROM assignment WHERE rollout_id = $1 AND device_no IN "
	"(SELECT device_no FROM assignment WHERE rollout_id = $1 ORDER BY device_no LIMIT $2)");
DB_SQL(assignment_select_active,
	"SELECT a.rollout_id, a.device_no, a.wave, a.class, a.state_id FROM rollout r "
	"JOIN assignment a ON a.rollout_id = r.id WHERE r.id <> $1 AND r.state IN "
	"('starting', 'running', 'paused', 'stopping', 'rolling_back') "
	"ORDER BY a.rollout_id, a.device_no");

enum fl_code assignment_add(
	struct store *store, int64_t rollout_id, const struct assignment *a, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, assignment_insert,
		DB_ARGS(DB_I(rollout_id), DB_I(a->device_no), DB_I(a->wave), DB_I(a->class),
			DB_I(a->state_id)),
		err);
}

enum fl_code assignment_remove(
	struct store *store, int64_t rollout_id, int64_t limit, int64_t *n, struct fl_err *err)
{
	enum fl_code code;

	FL_BUG_IF(!store->write);
	code = db_exec(store->db, assignment_delete, DB_ARGS(DB_I(rollout_id), DB_I(limit)), err);
	if (code == FL_OK)
		*n = db_changes(store->db);
	return code;
}

enum fl_code assignment_each_active(
	struct store *store, int64_t except, assignment_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code =
		db_query(store->db, assignment_select_active, DB_ARGS(DB_I(except)), &rows, err);

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		struct assignment a = { db_int(&rows, 1), db_int(&rows, 2), db_int(&rows, 3),
			db_int(&rows, 4) };

		code = fn(context, db_int(&rows, 0), &a, err);
	}
	return code;
}
