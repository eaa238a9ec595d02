/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/step.h"

#include "server/rollout/loss.h"
#include "server/store/assignment.h"
#include "server/store/db.h"
#include "server/store/rollout_row.h"

#include <stdlib.h>

/* Numbers of enum step_state in SQL: everything before confirmed has not ended; unreached ones are
 * offered when the device comes back. */
#define CONFIRMED "9"
#define UNREACHED "12"
_Static_assert(STEP_CONFIRMED == 9 && STEP_UNREACHED == 12, "the numbers in the statements below");
#define OPEN(s) "(" s ".state < " CONFIRMED " OR " s ".state = " UNREACHED ")"

DB_SQL(step_select_view,
	"SELECT " ROLLOUT_ROW_COLUMNS ", " STAGE_ROW_COLUMNS ", " STEP_ROW_COLUMNS
	" FROM step s JOIN stage g ON g.id = s.stage_id JOIN rollout r ON r.id = g.rollout_id "
	"WHERE s.stage_id = $1 AND s.device_no = $2");
DB_SQL(step_select,
	"SELECT " STEP_ROW_COLUMNS " FROM step s WHERE s.stage_id = $1 AND s.device_no = $2");
DB_SQL(step_select_open,
	"SELECT s.stage_id, g.rollout_id, s.manifest, g.layer, g.wave, s.state, s.back FROM step s "
	"JOIN stage g ON g.id = s.stage_id WHERE s.device_no = $1 AND " OPEN(
		"s") " ORDER BY "
		     "s.back DESC, g.rollout_id, CASE s.back WHEN 1 THEN -g.layer ELSE g.layer END "
		     "LIMIT $2");
DB_SQL(step_select_past,
	"SELECT s.stage_id, g.rollout_id, s.manifest, s.had, g.layer, s.class, s.state, s.back, "
	"s.flags, r.state FROM step s JOIN stage g ON g.id = s.stage_id JOIN rollout r ON r.id = "
	"g.rollout_id WHERE s.device_no = $1 AND s.manifest > 0 ORDER BY s.manifest DESC LIMIT $2");
DB_SQL(step_select_upper,
	"SELECT " STEP_ROW_COLUMNS " FROM stage g JOIN step s ON s.stage_id = g.id AND "
	"s.device_no = $1 WHERE g.rollout_id = $2 AND g.wave = $3 AND g.layer > $4 LIMIT $5");
DB_SQL(step_select_lower,
	"SELECT " STEP_ROW_COLUMNS " FROM stage g JOIN step s ON s.stage_id = g.id AND "
	"s.device_no = $1 WHERE g.rollout_id = $2 AND g.wave = $3 AND g.layer < $4 LIMIT $5");
/* Devices come first (CROSS JOIN keeps the order): who is behind a gateway are few, steps of a stage many. */
DB_SQL(step_select_behind,
	"SELECT " STEP_ROW_COLUMNS " FROM device d CROSS JOIN stage g CROSS JOIN step s WHERE "
	"g.rollout_id = $1 AND g.wave = $2 AND g.layer > $3 AND s.stage_id = g.id AND "
	"s.device_no = d.no AND d.gateway_no = $4 AND s.back = 1 AND s.state <> 18 LIMIT $5");
_Static_assert(STEP_ROLLED_BACK == 18, "the number in step_select_behind");
DB_SQL(step_select_orders_behind,
	"SELECT s.state, s.back, s.flags, s.manifest FROM device d CROSS JOIN step s CROSS JOIN "
	"stage g WHERE s.device_no = d.no AND s.manifest <> 0 AND g.id = s.stage_id AND "
	"g.rollout_id = $1 AND g.layer > $2 AND d.gateway_no = $3");
DB_SQL(step_select_slice,
	"SELECT " STEP_ROW_COLUMNS " FROM step s WHERE s.stage_id = $1 AND s.device_no > $2 "
	"ORDER BY s.device_no LIMIT $3");
DB_SQL(step_select_due,
	"SELECT " STEP_ROW_COLUMNS " FROM step s WHERE s.stage_id = $1 AND s.deadline IS NOT NULL "
	"AND s.deadline <= $2 ORDER BY s.deadline LIMIT $3");
DB_SQL(step_select_next_due,
	"SELECT min(deadline) FROM step WHERE stage_id = $1 AND deadline IS NOT NULL");
DB_SQL(step_select_last_due,
	"SELECT max(deadline) FROM step WHERE stage_id = $1 AND deadline IS NOT NULL");
DB_SQL(step_select_outcomes,
	"SELECT s.delivered, s.state, s.cause, s.flags, s.device_no FROM step s WHERE "
	"s.stage_id = $1 AND s.delivered IS NOT NULL AND s.delivered > $2 ORDER BY s.delivered");
/* Failures of a stage before a place that are a part of the loss of a device: loss_of */
#define EARLIER_FAILURE \
	"o.stage_id = $1 AND o.delivered < $2 AND o.state IN (10, 11) AND o.flags & 64"
_Static_assert(STEP_FAILED == 10 && STEP_TIMED_OUT == 11, "the numbers in EARLIER_FAILURE");
_Static_assert(ENGINE_WITH_GATEWAY == 64, "the number in EARLIER_FAILURE");
DB_SQL(step_select_loss,
	"SELECT EXISTS (SELECT 1 FROM step o WHERE " EARLIER_FAILURE
	" = 0 AND o.device_no = $3) OR EXISTS (SELECT 1 FROM device d CROSS JOIN step o "
	"WHERE o.device_no = d.no AND " EARLIER_FAILURE " <> 0 AND d.gateway_no = $3)");
DB_SQL(step_select_gateway, "SELECT coalesce(gateway_no, 0) FROM device WHERE no = $1");
DB_SQL(step_select_candidate,
	"SELECT d.retired_at, EXISTS (SELECT 1 FROM step s WHERE s.device_no = d.no AND " OPEN(
		"s") ") FROM device d WHERE d.no = $1");
DB_SQL(step_select_waiting,
	"SELECT s.device_no FROM stage g JOIN rollout r ON r.id = g.rollout_id JOIN step s ON "
	"s.stage_id = g.id WHERE g.state NOT IN ('pending', 'skipped') AND " OPEN("s"));
DB_SQL(step_select_lines,
	"SELECT " STEP_ROW_COLUMNS ", g.layer, g.wave, d.id, (SELECT p.detail FROM report p WHERE "
	"p.device_no = s.device_no AND p.stage_id = s.stage_id ORDER BY p.id DESC LIMIT 1) "
	"FROM stage g JOIN step s ON s.stage_id = g.id JOIN device d ON d.no = s.device_no "
	"WHERE g.rollout_id = $1 AND ($2 < 0 OR g.layer = $2) AND ($3 < 0 OR g.wave = $3) AND "
	"($4 < 0 OR s.state = $4) AND (g.id, s.device_no) > ($5, $6) "
	"ORDER BY g.id, s.device_no LIMIT $7");
/* 1..8 but rejected: in flight */
#define IN_FLIGHT(s) "(" s ".state BETWEEN 1 AND 8 AND " s ".state <> 2)"
_Static_assert(STEP_OFFERED == 1 && STEP_REJECTED == 2 && STEP_INSTALLED == 8, "IN_FLIGHT");
DB_SQL(step_select_count_behind,
	"SELECT count(DISTINCT d.no) FROM device me JOIN device d ON d.gateway_no = me.gateway_no "
	"JOIN step s ON s.device_no = d.no WHERE me.no = $1 AND " IN_FLIGHT("s"));
/* those in flight are few: their labels are looked at, not everybody's */
DB_SQL(step_select_count_label,
	"SELECT count(DISTINCT s.device_no) FROM stage g JOIN step s ON s.stage_id = g.id AND "
	"s.deadline > 0 JOIN device_profile i ON i.device_no = s.device_no WHERE "
	"g.rollout_id = $1 AND " IN_FLIGHT("s") " AND json_extract(i.labels, '$.' || "
						"json_quote($2)) = (SELECT json_extract(o.labels, "
						"'$.' || json_quote($2)) FROM "
						"device_profile o WHERE o.device_no = $3)");
DB_SQL(step_insert,
	"INSERT INTO step (stage_id, device_no, class, state, back, flags, outcome, cause, "
	"attempt, "
	"delivered, delivered_at, deadline, manifest, changed_at, took_ms, sent, saved) VALUES "
	"($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) "
	"ON CONFLICT DO NOTHING");
DB_SQL(step_update,
	"UPDATE step SET state = $1, back = $2, flags = $3, outcome = $4, cause = $5, attempt = "
	"$6, "
	"delivered = $7, delivered_at = $8, deadline = $9, manifest = $10, changed_at = $11, "
	"took_ms = $12, sent = $13, saved = $14, retry_at = $15, had = $16, since = $17, since_at "
	"= $18 "
	"WHERE stage_id = $19 AND device_no = $20");

static struct db_arg number_or_null(int64_t v)
{
	return v == 0 ? DB_NULL : DB_I(v);
}

enum fl_code step_view(struct store *store, int64_t stage_id, int64_t device_no,
	struct step_view *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(
		store->db, step_select_view, DB_ARGS(DB_I(stage_id), DB_I(device_no)), &rows, err);

	if (code == FL_OK)
		code = rollout_row_engine(&rows, 0, &out->rollout, err);
	if (code == FL_OK)
		code = rollout_row_stage(&rows, ROLLOUT_ROW_N, &out->stage, err);
	if (code == FL_OK)
		code = rollout_row_step(&rows, ROLLOUT_ROW_N + STAGE_ROW_N, &out->step, err);
	return code;
}

enum fl_code step_get(struct store *store, int64_t stage_id, int64_t device_no,
	struct engine_step *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(
		store->db, step_select, DB_ARGS(DB_I(stage_id), DB_I(device_no)), &rows, err);

	return code == FL_OK ? rollout_row_step(&rows, 0, out, err) : code;
}

enum fl_code step_open(struct store *store, int64_t device_no, struct step_place *out, size_t max,
	size_t *n, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code = db_query(
		store->db, step_select_open, DB_ARGS(DB_I(device_no), DB_I(max)), &rows, err);

	*n = 0;
	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more)
		out[(*n)++] = (struct step_place){
			.stage_id = db_int(&rows, 0),
			.rollout_id = db_int(&rows, 1),
			.manifest = db_int(&rows, 2),
			.layer = (int)db_int(&rows, 3),
			.wave = (int)db_int(&rows, 4),
			.state = (enum step_state)db_int(&rows, 5),
			.back = db_int(&rows, 6) != 0,
		};
	return code;
}

static enum fl_code read_past(const struct db_rows *rows, struct step_past *out, struct fl_err *err)
{
	*out = (struct step_past){
		.order = { .rollout_id = db_int(rows, 1),
			.manifest = db_int(rows, 2),
			.state = (enum step_state)db_int(rows, 6),
			.back = db_int(rows, 7) != 0,
			.flags = (unsigned)db_int(rows, 8) },
		.stage_id = db_int(rows, 0),
		.had = db_int(rows, 3),
		.layer = (int)db_int(rows, 4),
		.class = (int)db_int(rows, 5),
	};
	if (rollout_state_parse(db_text(rows, 9), &out->order.rollout, err) != FL_OK)
		return fl_fail(err, FL_CORRUPT, "rollout %lld has an unknown state",
			(long long)out->order.rollout_id);
	return FL_OK;
}

enum fl_code step_past(struct store *store, int64_t device_no, struct step_past *out, size_t max,
	size_t *n, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code = db_query(
		store->db, step_select_past, DB_ARGS(DB_I(device_no), DB_I(max)), &rows, err);

	*n = 0;
	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more)
		code = read_past(&rows, &out[(*n)++], err);
	return code;
}

/* Read the rows of a query that gives the columns of a step. */
static enum fl_code read_steps(
	struct db_rows *rows, struct engine_step *out, size_t *n, struct fl_err *err)
{
	bool more = false;
	enum fl_code code = FL_OK;

	*n = 0;
	while (code == FL_OK && (code = db_next(rows, &more, err)) == FL_OK && more)
		code = rollout_row_step(rows, 0, &out[(*n)++], err);
	return code;
}

enum fl_code step_beside(struct store *store, const struct step_side *side, struct engine_step *out,
	size_t max, size_t *n, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_query(store->db, side->upper ? step_select_upper : step_select_lower,
		DB_ARGS(DB_I(side->device_no), DB_I(side->rollout_id), DB_I(side->wave),
			DB_I(side->layer), DB_I(max)),
		&rows, err);

	return code == FL_OK ? read_steps(&rows, out, n, err) : code;
}

enum fl_code step_behind(struct store *store, const struct step_side *side, struct engine_step *out,
	size_t max, size_t *n, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_query(store->db, step_select_behind,
		DB_ARGS(DB_I(side->rollout_id), DB_I(side->wave), DB_I(side->layer),
			DB_I(side->device_no), DB_I(max)),
		&rows, err);

	return code == FL_OK ? read_steps(&rows, out, n, err) : code;
}

enum fl_code step_orders_behind(struct store *store, const struct step_side *side, step_order_fn fn,
	void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code = db_query(store->db, step_select_orders_behind,
		DB_ARGS(DB_I(side->rollout_id), DB_I(side->layer), DB_I(side->device_no)), &rows,
		err);

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more)
		code = fn(context,
			&(struct owner_order){ .rollout_id = side->rollout_id,
				.state = (enum step_state)db_int(&rows, 0),
				.back = db_int(&rows, 1) != 0,
				.flags = (unsigned)db_int(&rows, 2),
				.manifest = db_int(&rows, 3) },
			err);
	return code;
}

enum fl_code step_count_behind(
	struct store *store, int64_t device_no, int64_t *n, struct fl_err *err)
{
	return db_number(store->db, step_select_count_behind, DB_ARGS(DB_I(device_no)), n, err);
}

enum fl_code step_count_label(
	struct store *store, const struct step_group *group, int64_t *n, struct fl_err *err)
{
	return db_number(store->db, step_select_count_label,
		DB_ARGS(DB_I(group->rollout_id), DB_T(group->label), DB_I(group->device_no)), n,
		err);
}

enum fl_code step_slice(struct store *store, int64_t stage_id, int64_t after,
	struct engine_step *out, size_t max, size_t *n, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_query(store->db, step_select_slice,
		DB_ARGS(DB_I(stage_id), DB_I(after), DB_I(max)), &rows, err);

	return code == FL_OK ? read_steps(&rows, out, n, err) : code;
}

enum fl_code step_due(struct store *store, int64_t stage_id, int64_t clock, struct engine_step *out,
	size_t max, size_t *n, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_query(store->db, step_select_due,
		DB_ARGS(DB_I(stage_id), DB_I(clock), DB_I(max)), &rows, err);

	return code == FL_OK ? read_steps(&rows, out, n, err) : code;
}

enum fl_code step_next_due(
	struct store *store, int64_t stage_id, int64_t *clock, struct fl_err *err)
{
	return db_number(store->db, step_select_next_due, DB_ARGS(DB_I(stage_id)), clock, err);
}

enum fl_code step_last_due(
	struct store *store, int64_t stage_id, int64_t *clock, struct fl_err *err)
{
	return db_number(store->db, step_select_last_due, DB_ARGS(DB_I(stage_id)), clock, err);
}

/* Whether an earlier failure of the stage is part of the same loss as this one. */
static enum fl_code is_lost_before(struct store *store, int64_t stage_id,
	const struct engine_step *failed, bool *before, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 }, found = { 0 };
	int64_t gateway_no = 0;
	enum fl_code code = FL_OK;

	if ((failed->flags & ENGINE_WITH_GATEWAY) != 0) {
		code = db_one(store->db, step_select_gateway, DB_ARGS(DB_I(failed->device_no)),
			&rows, err);
		gateway_no = code == FL_OK ? db_int(&rows, 0) : 0;
	}
	if (code == FL_OK)
		code = db_one(store->db, step_select_loss,
			DB_ARGS(DB_I(stage_id), DB_I(failed->delivered),
				DB_I(loss_of(failed, gateway_no))),
			&found, err);
	*before = code == FL_OK && db_int(&found, 0) != 0;
	return code;
}

enum fl_code step_tally(struct store *store, int64_t stage_id, const struct gate_rules *rules,
	struct gate_tally *tally, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false, open = false;
	enum fl_code code = db_query(store->db, step_select_outcomes,
		DB_ARGS(DB_I(stage_id), DB_I(tally->cursor)), &rows, err);

	while (code == FL_OK && !open && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		struct engine_step s = { .delivered = db_int(&rows, 0),
			.state = (enum step_state)db_int(&rows, 1),
			.cause = (enum step_cause)db_int(&rows, 2),
			.flags = (unsigned)db_int(&rows, 3),
			.device_no = db_int(&rows, 4) };
		bool before = false;

		if (s.state == STEP_FAILED || s.state == STEP_TIMED_OUT)
			code = is_lost_before(store, stage_id, &s, &before, err);
		if (code == FL_OK && before)
			gate_pass_over(tally, s.delivered);
		else if (code == FL_OK)
			open = !gate_take(rules, tally, s.delivered, s.state, s.cause);
	}
	return code;
}

static enum fl_code read_candidate(struct store *store, const struct assignment *a,
	struct step_candidate *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code =
		db_one(store->db, step_select_candidate, DB_ARGS(DB_I(a->device_no)), &rows, err);

	if (code == FL_NOT_FOUND)
		return fl_fail(err, FL_CORRUPT, "device number %lld is assigned but not there",
			(long long)a->device_no);
	if (code == FL_OK)
		*out = (struct step_candidate){
			.device_no = a->device_no,
			.class = (int)a->class,
			.retired = !db_is_null(&rows, 0),
			.busy = db_int(&rows, 1) != 0,
		};
	return code;
}

enum fl_code step_candidates(struct store *store, int64_t rollout_id, int wave, int64_t after,
	struct step_candidate *out, size_t max, size_t *n, struct fl_err *err)
{
	struct assignment *a = calloc(max, sizeof(*a));
	enum fl_code code =
		a == NULL ? fl_fail(err, FL_NOMEM, "there is no memory for a slice") : FL_OK;

	*n = 0;
	if (code == FL_OK)
		code = assignment_slice(store, rollout_id,
			&(struct assignment){ .wave = wave, .device_no = after }, a, max, n, err);
	for (size_t i = 0; i < *n && code == FL_OK; i++)
		code = read_candidate(store, &a[i], &out[i], err);
	free(a);
	return code;
}

enum fl_code step_waiting(struct store *store, step_device_fn fn, void *arg, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code = db_query(store->db, step_select_waiting, DB_NO_ARGS, &rows, err);

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more)
		fn(arg, db_int(&rows, 0));
	return code;
}

enum fl_code step_lines(struct store *store, const struct step_filter *f, step_line_fn fn,
	void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code = db_query(store->db, step_select_lines,
		DB_ARGS(DB_I(f->rollout_id), DB_I(f->layer), DB_I(f->wave), DB_I(f->state),
			DB_I(f->after_stage), DB_I(f->after_device), DB_I(f->limit)),
		&rows, err);

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		const char *detail = db_text(&rows, STEP_ROW_N + 3);
		struct step_line l = {
			.layer = (int)db_int(&rows, STEP_ROW_N),
			.wave = (int)db_int(&rows, STEP_ROW_N + 1),
			.device = db_text(&rows, STEP_ROW_N + 2),
			.detail = detail == NULL ? "" : detail,
		};

		code = rollout_row_step(&rows, 0, &l.step, err);
		if (code == FL_OK)
			code = fn(context, &l, err);
	}
	return code;
}

enum fl_code step_add(
	struct store *store, const struct engine_step *s, bool *added, struct fl_err *err)
{
	enum fl_code code;

	FL_BUG_IF(!store->write);
	code = db_exec(store->db, step_insert,
		DB_ARGS(DB_I(s->stage_id), DB_I(s->device_no), DB_I(s->class), DB_I(s->state),
			DB_I(s->back), DB_I(s->flags), DB_I(s->outcome), DB_I(s->cause),
			DB_I(s->attempt), number_or_null(s->delivered), DB_I(s->delivered_at),
			number_or_null(s->deadline), DB_I(s->manifest), DB_I(s->changed_at),
			DB_I(s->took_ms), DB_I(s->sent), DB_I(s->saved)),
		err);
	*added = code == FL_OK && db_changes(store->db) > 0;
	return code;
}

enum fl_code step_put(struct store *store, const struct engine_step *s, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, step_update,
		DB_ARGS(DB_I(s->state), DB_I(s->back), DB_I(s->flags), DB_I(s->outcome),
			DB_I(s->cause), DB_I(s->attempt), number_or_null(s->delivered),
			DB_I(s->delivered_at), number_or_null(s->deadline), DB_I(s->manifest),
			DB_I(s->changed_at), DB_I(s->took_ms), DB_I(s->sent), DB_I(s->saved),
			DB_I(s->retry_at), DB_I(s->had), DB_I(s->term.since),
			DB_I(s->term.since_at), DB_I(s->stage_id), DB_I(s->device_no)),
		err);
}
