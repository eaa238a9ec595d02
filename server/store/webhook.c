/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/webhook.h"

#include "server/store/copy.h"
#include "server/store/db.h"

#include <stdlib.h>
#include <string.h>

#define COLUMNS                                                                           \
	"id, name, url, kinds, selector, salt, enabled, created_at, created_by, cursor, " \
	"attempts, "                                                                      \
	"retry_at, failing_since, last_error, delivered, dead "

DB_SQL(webhook_insert,
	"INSERT INTO webhook (name, url, kinds, selector, salt, enabled, cursor, created_at, "
	"created_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)");
DB_SQL(webhook_select, "SELECT " COLUMNS "FROM webhook WHERE name = $1");
DB_SQL(webhook_select_all, "SELECT " COLUMNS "FROM webhook WHERE id > $1 ORDER BY id LIMIT $2");
DB_SQL(webhook_update,
	"UPDATE webhook SET url = $1, kinds = $2, selector = $3, salt = $4, enabled = $5, "
	"retry_at = 0 WHERE id = $6");
DB_SQL(webhook_update_cursor,
	"UPDATE webhook SET cursor = $1, attempts = 0, retry_at = 0, failing_since = 0, "
	"last_error = '' WHERE id = $2");
DB_SQL(webhook_delete_row, "DELETE FROM webhook WHERE id = $1");
DB_SQL(webhook_delete_deliveries, "DELETE FROM delivery WHERE webhook_id = $1 AND seq <= $2");
DB_SQL(webhook_select_cursor, "SELECT min(cursor) FROM webhook WHERE enabled = 1");
DB_SQL(webhook_update_passed, "UPDATE webhook SET cursor = $1 WHERE id = $2 AND cursor = $3");
DB_SQL(webhook_update_delivered,
	"UPDATE webhook SET cursor = $1, attempts = 0, retry_at = 0, failing_since = 0, "
	"last_error = '', delivered = delivered + 1 WHERE id = $2 AND cursor = $3");
DB_SQL(webhook_update_failed,
	"UPDATE webhook SET attempts = attempts + 1, retry_at = $1, failing_since = CASE "
	"failing_since WHEN 0 THEN $2 ELSE failing_since END, last_error = $3, enabled = "
	"CASE $4 WHEN 1 THEN 0 ELSE enabled END WHERE id = $5 AND cursor = $6");
DB_SQL(webhook_update_dead,
	"UPDATE webhook SET cursor = $1, dead = dead + 1 WHERE id = $2 AND cursor = $3");
DB_SQL(webhook_insert_delivery,
	"INSERT INTO delivery (webhook_id, seq, state, attempts, status, took_ms, error, at) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (webhook_id, seq) DO UPDATE SET "
	"state = excluded.state, attempts = attempts + excluded.attempts, status = "
	"excluded.status, took_ms = excluded.took_ms, error = excluded.error, at = excluded.at");
DB_SQL(webhook_update_delivery_dead,
	"INSERT INTO delivery (webhook_id, seq, state, attempts, status, took_ms, error, at) "
	"VALUES ($1, $2, 'dead', 0, 0, 0, $3, $4) ON CONFLICT (webhook_id, seq) DO UPDATE SET "
	"state = 'dead', at = excluded.at");
DB_SQL(webhook_select_deliveries,
	"SELECT d.seq, d.state, d.attempts, d.status, d.took_ms, d.at, d.error, e.kind, e.subject "
	"FROM delivery d LEFT JOIN event e ON e.seq = d.seq WHERE d.webhook_id = $1 AND d.seq < $2 "
	"AND ($3 = '' OR d.state = $3) ORDER BY d.seq DESC LIMIT $4");

void webhook_fini(struct webhook *w)
{
	free(w->owned);
	*w = (struct webhook){ 0 };
}

static void read_row(const struct db_rows *rows, struct webhook *w)
{
	struct fl_bytes salt = db_bytes(rows, 5);

	*w = (struct webhook){
		.id = db_int(rows, 0),
		.name = db_text(rows, 1),
		.url = db_text(rows, 2),
		.kinds = db_text(rows, 3),
		.selector = db_text(rows, 4),
		.enabled = db_int(rows, 6) != 0,
		.created_at = db_int(rows, 7),
		.created_by = db_text(rows, 8),
		.cursor = db_int(rows, 9),
		.attempts = db_int(rows, 10),
		.retry_at = db_int(rows, 11),
		.failing_since = db_int(rows, 12),
		.last_error = db_text(rows, 13),
		.delivered = db_int(rows, 14),
		.dead = db_int(rows, 15),
	};
	if (salt.n == sizeof(w->salt))
		memcpy(w->salt, salt.p, salt.n);
}

enum fl_code webhook_add(
	struct store *store, const struct webhook *w, int64_t *id, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	enum fl_code code = db_insert(store->db, webhook_insert,
		DB_ARGS(DB_T(w->name), DB_T(w->url), DB_T(w->kinds), DB_T(w->selector),
			DB_B(w->salt, sizeof(w->salt)), DB_I(w->enabled), DB_I(w->cursor),
			DB_I(store->now_ms), DB_T(w->created_by)),
		id, err);

	if (code == FL_CONFLICT)
		return fl_fail(err, code, "there is a webhook \"%s\" already", w->name);
	return code;
}

enum fl_code webhook_get(
	struct store *store, const char *name, struct webhook *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	struct webhook w;
	enum fl_code code = db_one(store->db, webhook_select, DB_ARGS(DB_T(name)), &rows, err);

	if (code == FL_NOT_FOUND)
		return fl_fail(err, code, "there is no webhook \"%.128s\"", name);
	if (code != FL_OK)
		return code;
	read_row(&rows, &w);
	code = copy_texts(&w.owned,
		(const char **[]){
			&w.name, &w.url, &w.kinds, &w.selector, &w.created_by, &w.last_error },
		6, err);
	if (code == FL_OK)
		*out = w;
	return code;
}

enum fl_code webhook_each(struct store *store, int64_t after, int64_t limit, webhook_fn fn,
	void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code = db_query(
		store->db, webhook_select_all, DB_ARGS(DB_I(after), DB_I(limit)), &rows, err);

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		struct webhook w;

		read_row(&rows, &w);
		code = fn(context, &w, err);
	}
	return code;
}

enum fl_code webhook_change(struct store *store, const struct webhook *w, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, webhook_update,
		DB_ARGS(DB_T(w->url), DB_T(w->kinds), DB_T(w->selector),
			DB_B(w->salt, sizeof(w->salt)), DB_I(w->enabled), DB_I(w->id)),
		err);
}

enum fl_code webhook_move(struct store *store, int64_t id, int64_t cursor, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, webhook_update_cursor, DB_ARGS(DB_I(cursor), DB_I(id)), err);
}

enum fl_code webhook_delete(struct store *store, int64_t id, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	enum fl_code code = db_exec(
		store->db, webhook_delete_deliveries, DB_ARGS(DB_I(id), DB_I(INT64_MAX)), err);

	return code == FL_OK ? db_exec(store->db, webhook_delete_row, DB_ARGS(DB_I(id)), err)
			     : code;
}

enum fl_code webhook_least_cursor(struct store *store, int64_t *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, webhook_select_cursor, DB_NO_ARGS, &rows, err);

	if (code == FL_OK)
		*out = db_is_null(&rows, 0) ? INT64_MAX : db_int(&rows, 0);
	return code;
}

/* ---- what comes of events */

static enum fl_code settle_hook(
	struct store *store, const struct webhook_settle *s, struct fl_err *err)
{
	static const struct db_sql *const moves[] = { [WEBHOOK_PASSED] = webhook_update_passed,
		[WEBHOOK_DELIVERED] = webhook_update_delivered,
		[WEBHOOK_DEAD] = webhook_update_dead };

	if (s->outcome == WEBHOOK_FAILED)
		return db_exec(store->db, webhook_update_failed,
			DB_ARGS(DB_I(s->retry_at), DB_I(store->now_ms), DB_T(s->error),
				DB_I(s->disable), DB_I(s->webhook_id), DB_I(s->from)),
			err);
	return db_exec(store->db, moves[s->outcome],
		DB_ARGS(DB_I(s->seq), DB_I(s->webhook_id), DB_I(s->from)), err);
}

static enum fl_code note_delivery(
	struct store *store, const struct webhook_settle *s, struct fl_err *err)
{
	if (s->outcome == WEBHOOK_DEAD)
		return db_exec(store->db, webhook_update_delivery_dead,
			DB_ARGS(DB_I(s->webhook_id), DB_I(s->seq), DB_T(s->error),
				DB_I(store->now_ms)),
			err);
	return db_exec(store->db, webhook_insert_delivery,
		DB_ARGS(DB_I(s->webhook_id), DB_I(s->seq),
			DB_T(s->outcome == WEBHOOK_DELIVERED ? "delivered" : "waiting"), DB_I(1),
			DB_I(s->status), DB_I(s->took_ms), DB_T(s->error == NULL ? "" : s->error),
			DB_I(store->now_ms)),
		err);
}

enum fl_code webhook_settle(struct store *store, const struct webhook_settle *s, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	enum fl_code code = settle_hook(store, s, err);

	if (code != FL_OK || db_changes(store->db) == 0 || s->outcome == WEBHOOK_PASSED)
		return code;
	code = note_delivery(store, s, err);
	if (code != FL_OK || s->outcome == WEBHOOK_FAILED)
		return code;
	return db_exec(store->db, webhook_delete_deliveries,
		DB_ARGS(DB_I(s->webhook_id), DB_I(s->seq - WEBHOOK_KEPT)), err);
}

enum fl_code webhook_each_delivery(struct store *store, const struct webhook_deliveries *which,
	webhook_delivery_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code = db_query(store->db, webhook_select_deliveries,
		DB_ARGS(DB_I(which->webhook_id),
			DB_I(which->before == 0 ? INT64_MAX : which->before),
			DB_T(which->state == NULL ? "" : which->state), DB_I(which->limit)),
		&rows, err);

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		struct webhook_delivery d = {
			.seq = db_int(&rows, 0),
			.state = db_text(&rows, 1),
			.attempts = db_int(&rows, 2),
			.status = db_int(&rows, 3),
			.took_ms = db_int(&rows, 4),
			.at = db_int(&rows, 5),
			.error = db_text(&rows, 6),
			.kind = db_text(&rows, 7),
			.subject = db_text(&rows, 8),
		};

		code = fn(context, &d, err);
	}
	return code;
}
