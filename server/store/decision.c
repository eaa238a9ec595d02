/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/decision.h"

#include "server/store/db.h"

DB_SQL(decision_insert,
	"INSERT INTO decision (stage_id, at, state, text, numbers) VALUES ($1, $2, $3, $4, $5)");
DB_SQL(decision_select,
	"SELECT d.id, d.at, g.layer, g.wave, d.state, d.text, d.numbers FROM stage g JOIN decision "
	"d "
	"ON d.stage_id = g.id WHERE g.rollout_id = $1 AND d.id > $2 ORDER BY d.id LIMIT $3");

enum fl_code decision_add(struct store *store, int64_t stage_id, enum stage_state state,
	const char *text, const json_t *numbers, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf json = { 0 };
	enum fl_code code;

	FL_BUG_IF(!store->write);
	if (numbers == NULL)
		return fl_fail(err, FL_NOMEM, "there is no memory for a decision");
	fl_json_write(&json, numbers);
	code = fl_buf_check(&json, err);
	if (code != FL_OK)
		return code;
	return db_exec(store->db, decision_insert,
		DB_ARGS(DB_I(stage_id), DB_I(store->now_ms), DB_T(stage_state_text(state)),
			DB_T(text), DB_T((const char *)json.p)),
		err);
}

enum fl_code decision_each(struct store *store, int64_t rollout_id, int64_t after, int64_t limit,
	decision_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code = db_query(store->db, decision_select,
		DB_ARGS(DB_I(rollout_id), DB_I(after), DB_I(limit)), &rows, err);

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		struct decision d = {
			.id = db_int(&rows, 0),
			.at = db_int(&rows, 1),
			.layer = (int)db_int(&rows, 2),
			.wave = (int)db_int(&rows, 3),
			.state = db_text(&rows, 4),
			.text = db_text(&rows, 5),
			.numbers = db_text(&rows, 6),
		};

		code = fn(context, &d, err);
	}
	return code;
}
