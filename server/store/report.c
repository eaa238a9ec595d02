/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/report.h"

#include "server/store/db.h"

DB_SQL(report_insert,
	"INSERT INTO report (device_no, stage_id, at, state, cause, detail) "
	"VALUES ($1, $2, $3, $4, $5, $6)");
DB_SQL(report_select,
	"SELECT id, device_no, stage_id, at, state, cause, detail FROM report "
	"WHERE device_no = $1 AND id < $2 ORDER BY id DESC LIMIT $3");

enum fl_code report_add(struct store *store, const struct report *r, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, report_insert,
		DB_ARGS(DB_I(r->device_no), r->stage_id == 0 ? DB_NULL : DB_I(r->stage_id),
			DB_I(store->now_ms), DB_T(r->state), DB_T(r->cause), DB_T(r->detail)),
		err);
}

enum fl_code report_each(struct store *store, int64_t device_no, int64_t before, int64_t limit,
	report_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code = db_query(store->db, report_select,
		DB_ARGS(DB_I(device_no), DB_I(before == 0 ? INT64_MAX : before), DB_I(limit)),
		&rows, err);

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		struct report r = {
			.id = db_int(&rows, 0),
			.device_no = db_int(&rows, 1),
			.stage_id = db_int(&rows, 2),
			.at = db_int(&rows, 3),
			.state = db_text(&rows, 4),
			.cause = db_text(&rows, 5),
			.detail = db_text(&rows, 6),
		};

		code = fn(context, &r, err);
	}
	return code;
}
