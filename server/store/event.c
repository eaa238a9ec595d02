/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/event.h"

#include "server/store/copy.h"
#include "server/store/db.h"

#include <stdlib.h>
#include <string.h>

DB_SQL(event_select_head, "SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1");
DB_SQL(event_insert,
	"INSERT INTO event (seq, at, actor, kind, subject, data, hash) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7)");
DB_SQL(event_select,
	"SELECT seq, at, actor, kind, subject, data, hash FROM event "
	"WHERE seq > $1 ORDER BY seq LIMIT $2");
DB_SQL(event_select_back,
	"SELECT seq, at, actor, kind, subject, data, hash FROM event "
	"WHERE seq < $1 ORDER BY seq DESC LIMIT $2");
DB_SQL(event_select_of,
	"SELECT seq, at, actor, kind, subject, data, hash FROM event "
	"WHERE seq > $1 AND subject = $2 ORDER BY seq LIMIT $3");
DB_SQL(event_select_of_back,
	"SELECT seq, at, actor, kind, subject, data, hash FROM event "
	"WHERE seq < $1 AND subject = $2 ORDER BY seq DESC LIMIT $3");
DB_SQL(event_delete_until, "DELETE FROM event WHERE seq <= $1");
DB_SQL(event_insert_checkpoint,
	"INSERT INTO audit_checkpoint (seq, hash, envelope, created_at) VALUES ($1, $2, $3, $4)");
DB_SQL(event_select_checkpoint,
	"SELECT seq, hash, envelope FROM audit_checkpoint ORDER BY seq DESC LIMIT 1");

enum fl_code event_head(
	struct store *store, int64_t *seq, uint8_t hash[EVENT_HASH_BYTES], struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, event_select_head, DB_NO_ARGS, &rows, err);

	if (code == FL_NOT_FOUND) {
		*seq = 0;
		memset(hash, 0, EVENT_HASH_BYTES);
		return FL_OK;
	}
	if (code != FL_OK)
		return code;
	struct fl_bytes last = db_bytes(&rows, 1);
	if (last.n != EVENT_HASH_BYTES)
		return fl_fail(err, FL_CORRUPT, "the hash of event %lld has %zu bytes",
			(long long)db_int(&rows, 0), last.n);
	*seq = db_int(&rows, 0);
	memcpy(hash, last.p, EVENT_HASH_BYTES);
	return FL_OK;
}

enum fl_code event_add(struct store *store, const struct event *e, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, event_insert,
		DB_ARGS(DB_I(e->seq), DB_I(e->at), DB_T(e->actor), DB_T(e->kind), DB_T(e->subject),
			DB_T(e->data), DB_B(e->hash, sizeof(e->hash))),
		err);
}

static enum fl_code call(const struct db_rows *rows, event_fn fn, void *context, struct fl_err *err)
{
	struct fl_bytes hash = db_bytes(rows, 6);
	struct event e = {
		.seq = db_int(rows, 0),
		.at = db_int(rows, 1),
		.actor = db_text(rows, 2),
		.kind = db_text(rows, 3),
		.subject = db_text(rows, 4),
		.data = db_text(rows, 5),
	};

	if (hash.n == sizeof(e.hash))
		memcpy(e.hash, hash.p, hash.n);
	return fn(context, &e, err);
}

enum fl_code event_each(struct store *store, int64_t after, int64_t limit, event_fn fn,
	void *context, struct fl_err *err)
{
	return event_walk(
		store, &(struct event_walk){ .from = after, .limit = limit }, fn, context, err);
}

enum fl_code event_walk(struct store *store, const struct event_walk *w, event_fn fn, void *context,
	struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	int64_t from = w->newest && w->from == 0 ? INT64_MAX : w->from;
	enum fl_code code = w->subject == NULL
		? db_query(store->db, w->newest ? event_select_back : event_select,
			  DB_ARGS(DB_I(from), DB_I(w->limit)), &rows, err)
		: db_query(store->db, w->newest ? event_select_of_back : event_select_of,
			  DB_ARGS(DB_I(from), DB_T(w->subject), DB_I(w->limit)), &rows, err);
	bool more = code == FL_OK;

	while (code == FL_OK && !(w->enough != NULL && *w->enough) &&
		(code = db_next(&rows, &more, err)) == FL_OK && more)
		code = call(&rows, fn, context, err);
	return code;
}

/* ---- checkpoints */

enum fl_code event_checkpoint(struct store *store, struct event_checkpoint *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	struct event_checkpoint c = { 0 };
	enum fl_code code = db_one(store->db, event_select_checkpoint, DB_NO_ARGS, &rows, err);

	if (code != FL_OK)
		return code;
	struct fl_bytes hash = db_bytes(&rows, 1);
	if (hash.n != EVENT_HASH_BYTES)
		return fl_fail(err, FL_CORRUPT, "the hash of a checkpoint has %zu bytes", hash.n);
	c.seq = db_int(&rows, 0);
	memcpy(c.hash, hash.p, EVENT_HASH_BYTES);
	c.envelope = db_text(&rows, 2);
	code = copy_texts(&c.owned, (const char **[]){ &c.envelope }, 1, err);
	if (code == FL_OK)
		*out = c;
	return code;
}

void event_checkpoint_fini(struct event_checkpoint *c)
{
	free(c->owned);
	*c = (struct event_checkpoint){ 0 };
}

enum fl_code event_prune(struct store *store, const struct event_checkpoint *c, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	enum fl_code code = db_exec(store->db, event_delete_until, DB_ARGS(DB_I(c->seq)), err);

	if (code != FL_OK)
		return code;
	return db_exec(store->db, event_insert_checkpoint,
		DB_ARGS(DB_I(c->seq), DB_B(c->hash, sizeof(c->hash)), DB_T(c->envelope),
			DB_I(store->now_ms)),
		err);
}
