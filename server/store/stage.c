/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/stage.h"

#include "server/store/db.h"
#include "server/store/rollout_row.h"
#include "server/store/stage_cache.h"

#include <stdlib.h>

DB_SQL(stage_select_all,
	"SELECT " STAGE_ROW_COLUMNS ", g.assigned FROM stage g WHERE g.rollout_id = $1 "
	"ORDER BY g.wave, g.layer");
DB_SQL(stage_select_count, "SELECT count(*) FROM stage WHERE rollout_id = $1");
DB_SQL(stage_select_place, "SELECT rollout_id, layer, wave FROM stage WHERE id = $1");
DB_SQL(stage_select_due,
	"SELECT id FROM stage WHERE due_at IS NOT NULL AND due_at <= $1 UNION "
	"SELECT id FROM stage WHERE opens_at IS NOT NULL AND opens_at <= $1 LIMIT $2");
DB_SQL(stage_select_flight,
	"SELECT g.rollout_id, r.priority, sum(g.in_flight) FROM stage g JOIN rollout r ON "
	"r.id = g.rollout_id WHERE g.in_flight > 0 GROUP BY g.rollout_id, r.priority "
	"ORDER BY g.rollout_id");
DB_SQL(stage_update_opens,
	"UPDATE stage SET opens_at = $1 WHERE id = $2 AND (opens_at IS NULL OR opens_at > $1)");
DB_SQL(stage_update_opened, "UPDATE stage SET opens_at = NULL WHERE id = $1 AND opens_at <= $2");
DB_SQL(stage_update_joined,
	"UPDATE stage SET assigned = assigned + $1 WHERE rollout_id = $2 AND wave = $3");
DB_SQL(stage_insert,
	"INSERT INTO stage (rollout_id, layer, wave, assigned, expected, state) "
	"VALUES ($1, $2, $3, $4, $5, $6)");
/* the stored due_at stays if it is earlier; NULL says nothing */
#define EARLIER(p) "due_at = min(coalesce(due_at, " p "), coalesce(" p ", due_at))"
DB_SQL(stage_update,
	"UPDATE stage SET state = $1, jobs = $2, follow = $3, cancel_in_flight = $4, "
	"retry_causes = $5, delivered = $6, counted_delivered = $7, gate_tally = $8, "
	"gate_decision = $9, gate_text = $10, verdict = $11, verdict_said = $12, "
	"verdict_at = $13, back_place = $14, back_ok = $15, back_failed = $16, reach_at = $17, "
	"soak_until = $18, opened_at = $19, ended_at = $20, sums = $21, " EARLIER(
		"$22") ", reach_since = $23, reach_since_at = $24, soak_since = $25, soak_since_at "
		       "= $26, in_flight = $27 WHERE id = $28");
DB_SQL(stage_update_delivered,
	"UPDATE stage SET delivered = $1, " EARLIER(
		"$2") ", minute = $3, in_flight = $4 WHERE id = $5");
DB_SQL(stage_update_due, "UPDATE stage SET due_at = $1 WHERE id = $2");
DB_SQL(stage_update_all_due, "UPDATE stage SET due_at = $1 WHERE rollout_id = $2 AND due_at > $1");

static struct db_arg time_or_null(int64_t t)
{
	return t == 0 ? DB_NULL : DB_I(t);
}

void stage_list_fini(struct stage_list *l)
{
	if (!l->cached) {
		free(l->stages);
		free(l->assigned);
	}
	*l = (struct stage_list){ 0 };
}

static enum fl_code count(struct store *store, int64_t rollout_id, size_t *n, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code =
		db_one(store->db, stage_select_count, DB_ARGS(DB_I(rollout_id)), &rows, err);

	if (code == FL_OK)
		*n = (size_t)db_int(&rows, 0);
	return code;
}

static enum fl_code load(
	struct store *store, int64_t rollout_id, struct stage_list *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	size_t i = 0;
	enum fl_code code =
		db_query(store->db, stage_select_all, DB_ARGS(DB_I(rollout_id)), &rows, err);

	while (code == FL_OK && i < out->n && (code = db_next(&rows, &more, err)) == FL_OK &&
		more) {
		code = rollout_row_stage(&rows, 0, &out->stages[i], err);
		out->assigned[i++] = db_int(&rows, STAGE_ROW_N);
	}
	return code;
}

static enum fl_code read_all(
	struct store *store, int64_t rollout_id, struct stage_list *out, struct fl_err *err)
{
	struct stage_list l = { 0 };
	enum fl_code code = count(store, rollout_id, &l.n, err);

	if (code == FL_OK && l.n > 0) {
		l.stages = calloc(l.n, sizeof(*l.stages));
		l.assigned = calloc(l.n, sizeof(*l.assigned));
		if (l.stages == NULL || l.assigned == NULL)
			code = fl_fail(err, FL_NOMEM, "there is no memory for %zu stages", l.n);
	}
	if (code == FL_OK)
		code = load(store, rollout_id, &l, err);
	if (code == FL_OK)
		*out = l;
	else
		stage_list_fini(&l);
	return code;
}

enum fl_code stage_list(
	struct store *store, int64_t rollout_id, struct stage_list *out, struct fl_err *err)
{
	const struct stage_list *known =
		store->stages == NULL ? NULL : stage_cache_get(store->stages, rollout_id);
	enum fl_code code = FL_OK;

	if (known != NULL) {
		*out = *known;
		out->cached = true;
		return FL_OK;
	}
	code = read_all(store, rollout_id, out, err);
	if (code == FL_OK && store->stages != NULL)
		out->cached = stage_cache_add(store->stages, rollout_id, out);
	return code;
}

void stage_list_forget(struct store *store, int64_t rollout_id)
{
	if (store->stages != NULL)
		stage_cache_drop(store->stages, rollout_id);
}

/* The row in memory that has to follow the table's; NULL: none. */
static struct engine_stage *kept(struct store *store, int64_t stage_id)
{
	return store->stages == NULL ? NULL : stage_cache_stage(store->stages, stage_id);
}

enum fl_code stage_place(struct store *store, int64_t stage_id, int64_t *rollout_id, int *layer,
	int *wave, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code =
		db_one(store->db, stage_select_place, DB_ARGS(DB_I(stage_id)), &rows, err);

	if (code != FL_OK)
		return code;
	*rollout_id = db_int(&rows, 0);
	*layer = (int)db_int(&rows, 1);
	*wave = (int)db_int(&rows, 2);
	return FL_OK;
}

enum fl_code stage_due(struct store *store, int64_t *ids, size_t max, size_t *n, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code = db_query(
		store->db, stage_select_due, DB_ARGS(DB_I(store->now_ms), DB_I(max)), &rows, err);

	*n = 0;
	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more)
		ids[(*n)++] = db_int(&rows, 0);
	return code;
}

enum fl_code stage_each_flight(
	struct store *store, stage_flight_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code = db_query(store->db, stage_select_flight, DB_NO_ARGS, &rows, err);

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more)
		code = fn(context,
			&(struct stage_flight){
				db_int(&rows, 0), db_int(&rows, 1), db_int(&rows, 2) },
			err);
	return code;
}

enum fl_code stage_join(
	struct store *store, int64_t rollout_id, int64_t wave, int64_t devices, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	if (store->stages != NULL)
		stage_cache_join(store->stages, rollout_id, wave, devices);
	return db_exec(store->db, stage_update_joined,
		DB_ARGS(DB_I(devices), DB_I(rollout_id), DB_I(wave)), err);
}

enum fl_code stage_add(struct store *store, int64_t rollout_id, const struct engine_stage *s,
	int64_t assigned, struct fl_err *err)
{
	FL_BUG_IF(!store->write || s->state != STAGE_PENDING);
	stage_list_forget(store, rollout_id);
	return db_exec(store->db, stage_insert,
		DB_ARGS(DB_I(rollout_id), DB_I(s->layer), DB_I(s->wave), DB_I(assigned),
			DB_I(s->expected), DB_T(stage_state_text(s->state))),
		err);
}

enum fl_code stage_put(
	struct store *store, const struct engine_stage *s, int64_t due_at, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf sums = { 0 }, tally = { 0 };
	struct engine_stage *row = kept(store, s->id);
	enum fl_code code;

	FL_BUG_IF(!store->write);
	if (row != NULL && row != s)
		*row = *s;
	figures_encode(&s->sums, &sums);
	figures_encode_vector((const int64_t *)&s->tally, GATE_TALLY_N, &tally);
	code = fl_buf_check(&sums, err);
	if (code == FL_OK)
		code = fl_buf_check(&tally, err);
	if (code != FL_OK)
		return code;
	return db_exec(store->db, stage_update,
		DB_ARGS(DB_T(stage_state_text(s->state)), DB_I(s->jobs), DB_I(s->follow),
			DB_I(s->cancel_in_flight), DB_I(s->retry_causes), DB_I(s->delivered),
			DB_I(s->counted_delivered), DB_B(tally.p, tally.n), DB_I(s->decision),
			DB_T(s->text), DB_I(s->verdict), DB_T(s->said), DB_I(s->verdict_at),
			DB_I(s->back_place), DB_I(s->back_ok), DB_I(s->back_failed),
			DB_I(s->reach_at), DB_I(s->soak_until), DB_I(s->opened_at),
			DB_I(s->ended_at), DB_B(sums.p, sums.n), time_or_null(due_at),
			DB_I(s->reach.since), DB_I(s->reach.since_at), DB_I(s->soak.since),
			DB_I(s->soak.since_at), DB_I(engine_under_way(s)), DB_I(s->id)),
		err);
}

enum fl_code stage_put_delivered(
	struct store *store, const struct engine_stage *s, int64_t due_at, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf minute = { 0 };
	struct engine_stage *row = kept(store, s->id);
	enum fl_code code;

	FL_BUG_IF(!store->write);
	if (row != NULL)
		engine_tell(row, &(struct engine_told){ s->delivered, s->minute });
	figures_encode_vector((const int64_t *)&s->minute, PACE_MINUTE_N, &minute);
	code = fl_buf_check(&minute, err);
	if (code != FL_OK)
		return code;
	return db_exec(store->db, stage_update_delivered,
		DB_ARGS(DB_I(s->delivered), time_or_null(due_at), DB_B(minute.p, minute.n),
			DB_I(engine_under_way(s)), DB_I(s->id)),
		err);
}

enum fl_code stage_put_due(
	struct store *store, int64_t stage_id, int64_t due_at, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(
		store->db, stage_update_due, DB_ARGS(time_or_null(due_at), DB_I(stage_id)), err);
}

enum fl_code stage_look_again(struct store *store, int64_t rollout_id, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, stage_update_all_due,
		DB_ARGS(DB_I(store->now_ms), DB_I(rollout_id)), err);
}

enum fl_code stage_put_opens(
	struct store *store, int64_t stage_id, int64_t at_ms, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, stage_update_opens, DB_ARGS(DB_I(at_ms), DB_I(stage_id)), err);
}

enum fl_code stage_take_opened(
	struct store *store, int64_t stage_id, bool *opened, struct fl_err *err)
{
	enum fl_code code;

	FL_BUG_IF(!store->write);
	code = db_exec(
		store->db, stage_update_opened, DB_ARGS(DB_I(stage_id), DB_I(store->now_ms)), err);
	*opened = code == FL_OK && db_changes(store->db) > 0;
	return code;
}
