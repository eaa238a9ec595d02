/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/device_step.h"

#include "server/store/db.h"

DB_SQL(device_step_select,
	"SELECT r.name, g.layer, g.wave, s.state, s.cause, s.changed_at FROM step s "
	"JOIN stage g ON g.id = s.stage_id JOIN rollout r ON r.id = g.rollout_id "
	"WHERE s.device_no = $1 ORDER BY s.stage_id DESC LIMIT $2");

enum fl_code device_step_each(struct store *store, int64_t device_no, int64_t limit,
	device_step_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_query(
		store->db, device_step_select, DB_ARGS(DB_I(device_no), DB_I(limit)), &rows, err);
	bool more = code == FL_OK;

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		const struct device_step s = {
			.rollout = db_text(&rows, 0),
			.layer = db_int(&rows, 1),
			.wave = db_int(&rows, 2),
			.state = (enum step_state)db_int(&rows, 3),
			.cause = (enum step_cause)db_int(&rows, 4),
			.changed_at = db_int(&rows, 5),
		};
		code = fn(context, &s, err);
	}
	return code;
}
