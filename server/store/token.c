/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/token.h"

#include "server/store/copy.h"
#include "server/store/db.h"

#include <stdlib.h>
#include <string.h>

#define COLUMNS                                                                                    \
	"id, name, hash, roles, selector, uses_left, labels, expires_at, created_at, created_by, " \
	"revoked_at "

DB_SQL(token_insert,
	"INSERT INTO token (name, hash, roles, selector, uses_left, labels, expires_at, "
	"created_at, "
	"created_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)");
DB_SQL(token_select, "SELECT " COLUMNS "FROM token WHERE id = $1");
DB_SQL(token_select_all, "SELECT " COLUMNS "FROM token WHERE id > $1 ORDER BY id LIMIT $2");
DB_SQL(token_update_revoked,
	"UPDATE token SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL");
DB_SQL(token_update_uses,
	"UPDATE token SET uses_left = uses_left - 1 WHERE id = $1 AND (uses_left IS NULL OR "
	"uses_left > 0) "
	"AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)");
DB_SQL(token_select_count,
	"SELECT count(*) FROM token WHERE roles & $1 <> 0 AND id <> $2 AND selector IS NULL "
	"AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)");

void token_fini(struct token *t)
{
	free(t->owned);
	*t = (struct token){ 0 };
}

static void read_row(const struct db_rows *rows, struct token *t)
{
	struct fl_bytes hash = db_bytes(rows, 2);

	*t = (struct token){
		.id = db_int(rows, 0),
		.name = db_text(rows, 1),
		.roles = (unsigned)db_int(rows, 3),
		.selector = db_text(rows, 4),
		.uses_left = db_is_null(rows, 5) ? -1 : db_int(rows, 5),
		.labels = db_text(rows, 6),
		.expires_at = db_int(rows, 7),
		.created_at = db_int(rows, 8),
		.created_by = db_text(rows, 9),
		.revoked_at = db_int(rows, 10),
	};
	if (hash.n == sizeof(t->hash))
		memcpy(t->hash, hash.p, hash.n);
}

static struct db_arg positive_or_null(int64_t v, int64_t least)
{
	return v < least ? DB_NULL : DB_I(v);
}

enum fl_code token_add(struct store *store, const struct token *t, int64_t *id, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	enum fl_code code = db_insert(store->db, token_insert,
		DB_ARGS(DB_T(t->name), DB_B(t->hash, sizeof(t->hash)), DB_I(t->roles),
			DB_T(t->selector), positive_or_null(t->uses_left, 0), DB_T(t->labels),
			positive_or_null(t->expires_at, 1), DB_I(store->now_ms),
			DB_T(t->created_by)),
		id, err);

	if (code == FL_CONFLICT)
		return fl_fail(err, FL_CONFLICT,
			"there is a token \"%s\" already; choose another name", t->name);
	return code;
}

enum fl_code token_get(struct store *store, int64_t id, struct token *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	struct token t;
	enum fl_code code = db_one(store->db, token_select, DB_ARGS(DB_I(id)), &rows, err);

	if (code == FL_NOT_FOUND)
		return fl_fail(err, code, "there is no token %lld", (long long)id);
	if (code != FL_OK)
		return code;
	read_row(&rows, &t);
	code = copy_texts(&t.owned,
		(const char **[]){ &t.name, &t.selector, &t.labels, &t.created_by }, 4, err);
	if (code == FL_OK)
		*out = t;
	return code;
}

enum fl_code token_each(struct store *store, int64_t after, int64_t limit, token_fn fn,
	void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_query(
		store->db, token_select_all, DB_ARGS(DB_I(after), DB_I(limit)), &rows, err);
	bool more = code == FL_OK;

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		struct token t;

		read_row(&rows, &t);
		code = fn(context, &t, err);
	}
	return code;
}

enum fl_code token_revoke(struct store *store, int64_t id, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(
		store->db, token_update_revoked, DB_ARGS(DB_I(store->now_ms), DB_I(id)), err);
}

enum fl_code token_use(struct store *store, int64_t id, int64_t *left, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	struct token t = { 0 };
	enum fl_code code =
		db_exec(store->db, token_update_uses, DB_ARGS(DB_I(id), DB_I(store->now_ms)), err);

	if (code != FL_OK)
		return code;
	if (db_changes(store->db) == 0)
		return fl_fail(err, FL_FORBIDDEN,
			"this enrolment token is used up, expired or revoked; ask for a new one");
	code = token_get(store, id, &t, err);
	if (code == FL_OK)
		*left = t.uses_left;
	token_fini(&t);
	return code;
}

enum fl_code token_count(
	struct store *store, unsigned roles, int64_t except, int64_t *n, struct fl_err *err)
{
	return db_number(store->db, token_select_count,
		DB_ARGS(DB_I(roles), DB_I(except), DB_I(store->now_ms)), n, err);
}
