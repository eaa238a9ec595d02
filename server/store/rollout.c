/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/rollout.h"

#include "server/store/copy.h"
#include "server/store/db.h"
#include "server/store/rollout_row.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS                                                                                    \
	ROLLOUT_ROW_COLUMNS                                                                        \
	", r.name, r.release_id, (SELECT name FROM release WHERE id = r.release_id), r.selector, " \
	"r.strategy, r.auto_start, r.created_at, r.created_by, p.digest, "                         \
	"(SELECT coalesce(max(layer) + 1, 0) FROM stage WHERE rollout_id = r.id AND wave = 0), "   \
	"(SELECT coalesce(max(wave) + 1, 0) FROM stage WHERE rollout_id = r.id), "                 \
	"(SELECT total(assigned) FROM stage WHERE rollout_id = r.id AND layer = 0), "              \
	"r.channel_id, (SELECT name FROM channel WHERE id = r.channel_id), r.brings, r.joins, "    \
	"r.priority "                                                                              \
	"FROM rollout r LEFT JOIN plan p ON p.rollout_id = r.id "

DB_SQL(rollout_select_name, "SELECT " COLUMNS "WHERE r.name = $1");
DB_SQL(rollout_select_id, "SELECT " COLUMNS "WHERE r.id = $1");
DB_SQL(rollout_select_all, "SELECT " COLUMNS "WHERE r.id < $1 ORDER BY r.id DESC LIMIT $2");
DB_SQL(rollout_select_engine, "SELECT " ROLLOUT_ROW_COLUMNS " FROM rollout r WHERE r.id = $1");
DB_SQL(rollout_select_active,
	"SELECT id FROM rollout WHERE state IN "
	"('starting', 'running', 'paused', 'stopping', 'rolling_back') "
	"OR id IN (SELECT rollout_id FROM stage WHERE due_at IS NOT NULL) ORDER BY id LIMIT $1");
DB_SQL(rollout_select_open,
	"SELECT id FROM rollout WHERE state NOT IN "
	"('denied', 'stopped', 'rolled_back', 'completed', 'failed') ORDER BY id LIMIT $1");
DB_SQL(rollout_select_since,
	"SELECT id FROM rollout WHERE started_at <> 0 AND (ended_at = 0 OR ended_at >= $1) "
	"ORDER BY id LIMIT $2");
DB_SQL(rollout_select_numbers, "SELECT id FROM rollout ORDER BY id");
DB_SQL(rollout_select_joined,
	"SELECT coalesce(min(id), 0) FROM rollout WHERE joins = 1 AND id > $1 AND state IN "
	"('starting', 'running', 'paused')");
DB_SQL(rollout_select_newest, "SELECT coalesce(max(id), 0) FROM rollout");
DB_SQL(rollout_select_plan, "SELECT content FROM plan WHERE rollout_id = $1");
DB_SQL(rollout_insert,
	"INSERT INTO rollout (name, release_id, selector, strategy, state, auto_start, created_at, "
	"created_by, channel_id, brings, joins, priority) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)");
DB_SQL(rollout_update,
	"UPDATE rollout SET state = $1, resume_to = $2, pause = $3, reason = $4, back_wave = $5, "
	"started_at = $6, ended_at = $7, paused_at = $8, stood_ms = $9, clock_floor = $10, "
	"start_at = $11, start_anyway = $12 WHERE id = $13");
DB_SQL(rollout_select_scheduled,
	"SELECT id FROM rollout WHERE state = 'scheduled' AND start_at <= $1 LIMIT 1");

void rollout_fini(struct rollout *r)
{
	free(r->owned);
	*r = (struct rollout){ 0 };
}

static enum fl_code read_row(const struct db_rows *rows, struct rollout *r, struct fl_err *err)
{
	int c = ROLLOUT_ROW_N;
	struct fl_bytes digest = db_bytes(rows, c + 8);

	*r = (struct rollout){
		.name = db_text(rows, c),
		.release_id = db_int(rows, c + 1),
		.release = db_text(rows, c + 2),
		.selector = db_text(rows, c + 3),
		.strategy = db_text(rows, c + 4),
		.auto_start = db_int(rows, c + 5) != 0,
		.created_at = db_int(rows, c + 6),
		.created_by = db_text(rows, c + 7),
		.planned = digest.n == sizeof(r->plan_digest),
		.layers = db_int(rows, c + 9),
		.waves = db_int(rows, c + 10),
		.assigned = (int64_t)db_real(rows, c + 11),
		.channel_id = db_int(rows, c + 12),
		.channel = db_text(rows, c + 13),
		.brings = db_int(rows, c + 14) != 0,
		.joins = db_int(rows, c + 15) != 0,
		.priority = db_int(rows, c + 16),
	};
	if (r->planned)
		memcpy(r->plan_digest, digest.p, digest.n);
	return rollout_row_engine(rows, 0, &r->engine, err);
}

/* The one row of `rows`, with its texts taken over. */
static enum fl_code keep_row(const struct db_rows *rows, struct rollout *out, struct fl_err *err)
{
	struct rollout r;
	enum fl_code code = read_row(rows, &r, err);
	const char **slots[] = { &r.name, &r.release, &r.selector, &r.strategy, &r.created_by,
		&r.channel };

	if (code == FL_OK)
		code = copy_texts(&r.owned, slots, FL_COUNT(slots), err);
	if (code == FL_OK)
		*out = r;
	return code;
}

enum fl_code rollout_get(
	struct store *store, const char *name, struct rollout *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, rollout_select_name, DB_ARGS(DB_T(name)), &rows, err);

	if (code == FL_NOT_FOUND)
		return fl_fail(err, FL_NOT_FOUND, "there is no rollout \"%s\"", name);
	return code == FL_OK ? keep_row(&rows, out, err) : code;
}

enum fl_code rollout_by_id(struct store *store, int64_t id, struct rollout *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, rollout_select_id, DB_ARGS(DB_I(id)), &rows, err);

	if (code == FL_NOT_FOUND)
		return fl_fail(err, FL_NOT_FOUND, "there is no rollout number %" PRId64, id);
	return code == FL_OK ? keep_row(&rows, out, err) : code;
}

enum fl_code rollout_each(struct store *store, int64_t before, int64_t limit, rollout_fn fn,
	void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code = db_query(store->db, rollout_select_all,
		DB_ARGS(DB_I(before == 0 ? INT64_MAX : before), DB_I(limit)), &rows, err);

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		struct rollout r;

		code = read_row(&rows, &r, err);
		if (code == FL_OK)
			code = fn(context, &r, err);
	}
	return code;
}

enum fl_code rollout_engine(
	struct store *store, int64_t id, struct engine_rollout *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, rollout_select_engine, DB_ARGS(DB_I(id)), &rows, err);

	if (code == FL_NOT_FOUND)
		return fl_fail(err, FL_NOT_FOUND, "there is no rollout number %" PRId64, id);
	return code == FL_OK ? rollout_row_engine(&rows, 0, out, err) : code;
}

enum fl_code rollout_next_joined(
	struct store *store, int64_t after, int64_t *id, struct fl_err *err)
{
	return db_number(store->db, rollout_select_joined, DB_ARGS(DB_I(after)), id, err);
}

enum fl_code rollout_newest(struct store *store, int64_t *id, struct fl_err *err)
{
	return db_number(store->db, rollout_select_newest, DB_NO_ARGS, id, err);
}

static enum fl_code take_ids(struct store *store, const struct db_sql *sql, int64_t *ids,
	size_t max, size_t *n, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code = db_query(store->db, sql, DB_ARGS(DB_I(max)), &rows, err);

	*n = 0;
	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more)
		ids[(*n)++] = db_int(&rows, 0);
	return code;
}

enum fl_code rollout_active(
	struct store *store, int64_t *ids, size_t max, size_t *n, struct fl_err *err)
{
	return take_ids(store, rollout_select_active, ids, max, n, err);
}

enum fl_code rollout_since(
	struct store *store, int64_t at, int64_t *ids, size_t max, size_t *n, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code =
		db_query(store->db, rollout_select_since, DB_ARGS(DB_I(at), DB_I(max)), &rows, err);

	*n = 0;
	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more)
		ids[(*n)++] = db_int(&rows, 0);
	return code;
}

enum fl_code rollout_open(
	struct store *store, int64_t *ids, size_t max, size_t *n, struct fl_err *err)
{
	return take_ids(store, rollout_select_open, ids, max, n, err);
}

enum fl_code rollout_numbers(struct store *store, int64_t **ids, size_t *n, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	FL_AUTO_BUF struct fl_buf list = { 0 };
	bool more = false;
	enum fl_code code = db_query(store->db, rollout_select_numbers, DB_NO_ARGS, &rows, err);

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		int64_t id = db_int(&rows, 0);

		fl_buf_add(&list, &id, sizeof(id));
	}
	if (code == FL_OK)
		code = fl_buf_check(&list, err);
	if (code != FL_OK)
		return code;
	*n = list.n / sizeof(**ids);
	*ids = (int64_t *)(void *)fl_buf_take(&list);
	return FL_OK;
}

enum fl_code rollout_plan_text(
	struct store *store, int64_t id, struct fl_buf *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, rollout_select_plan, DB_ARGS(DB_I(id)), &rows, err);

	if (code == FL_NOT_FOUND)
		return fl_fail(err, FL_NOT_FOUND, "the rollout has no plan yet");
	if (code != FL_OK)
		return code;
	fl_buf_str(out, db_text(&rows, 0));
	return fl_buf_check(out, err);
}

enum fl_code rollout_add(
	struct store *store, const struct rollout *r, int64_t *id, struct fl_err *err)
{
	enum fl_code code;

	FL_BUG_IF(!store->write);
	code = db_insert(store->db, rollout_insert,
		DB_ARGS(DB_T(r->name), DB_I(r->release_id), DB_T(r->selector), DB_T(r->strategy),
			DB_T(rollout_state_text(r->engine.state)), DB_I(r->auto_start),
			DB_I(store->now_ms), DB_T(r->created_by),
			r->channel_id == 0 ? DB_NULL : DB_I(r->channel_id), DB_I(r->brings),
			DB_I(r->joins), DB_I(r->priority)),
		id, err);
	if (code == FL_CONFLICT)
		return fl_fail(err, FL_CONFLICT, "there is a rollout \"%s\" already", r->name);
	return code;
}

enum fl_code rollout_put(struct store *store, const struct engine_rollout *r, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, rollout_update,
		DB_ARGS(DB_T(rollout_state_text(r->state)), DB_T(rollout_state_text(r->resume_to)),
			DB_I(r->pause), DB_T(r->reason), DB_I(r->back_wave), DB_I(r->started_at),
			DB_I(r->ended_at), DB_I(r->paused_at), DB_I(r->stood_ms),
			DB_I(r->clock_floor), DB_I(r->start_at), DB_I(r->start_anyway),
			DB_I(r->id)),
		err);
}

enum fl_code rollout_to_start(struct store *store, int64_t *id, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(
		store->db, rollout_select_scheduled, DB_ARGS(DB_I(store->now_ms)), &rows, err);

	*id = code == FL_OK ? db_int(&rows, 0) : 0;
	return code == FL_NOT_FOUND ? FL_OK : code;
}
