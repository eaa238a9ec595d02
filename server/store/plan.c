/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/plan.h"

#include "server/store/db.h"

#include <stdlib.h>
#include <string.h>

DB_SQL(plan_select,
	"SELECT digest, content, created_at, newest_no FROM plan WHERE rollout_id = $1");
DB_SQL(plan_select_name, "SELECT id FROM rollout WHERE name = $1");
DB_SQL(plan_select_digest,
	"SELECT max(rollout_id), count(DISTINCT digest) FROM plan "
	"WHERE substr(hex(digest), 1, length($1)) = upper($1)");
DB_SQL(plan_insert,
	"INSERT INTO plan (rollout_id, digest, content, newest_no, created_at) "
	"VALUES ($1, $2, $3, $4, $5) "
	"ON CONFLICT (rollout_id) DO UPDATE SET digest = excluded.digest, content = "
	"excluded.content, newest_no = excluded.newest_no, created_at = excluded.created_at");
DB_SQL(plan_select_sums, "SELECT sums FROM stage WHERE opened_at > 0 ORDER BY id DESC LIMIT 200");
DB_SQL(plan_select_switches,
	"SELECT device_no, stage_id, at, state = 'installing' FROM report WHERE "
	"id > (SELECT coalesce(max(id), 0) FROM report) - 5000 AND stage_id IS NOT NULL AND "
	"state IN ('installing', 'installed') ORDER BY device_no, stage_id, id");
DB_SQL(plan_select_builds,
	"SELECT total(d.built_ms), total(a.size) FROM (SELECT to_artifact, built_ms FROM delta "
	"WHERE state = 'ready' AND built_ms > 0 ORDER BY id DESC LIMIT 500) d "
	"JOIN artifact a ON a.id = d.to_artifact");
DB_SQL(plan_select_deltas,
	"SELECT from_artifact, to_artifact, min(size) FROM delta WHERE state = 'ready' "
	"AND from_artifact <> 0 GROUP BY from_artifact, to_artifact");

enum fl_code plan_get(struct store *store, int64_t rollout_id, struct plan_row *out,
	struct fl_buf *content, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, plan_select, DB_ARGS(DB_I(rollout_id)), &rows, err);
	struct fl_bytes digest;

	if (code != FL_OK)
		return code;
	digest = db_bytes(&rows, 0);
	if (digest.n != sizeof(out->digest))
		return fl_fail(err, FL_CORRUPT, "the plan of rollout %lld has no digest",
			(long long)rollout_id);
	memcpy(out->digest, digest.p, digest.n);
	out->created_at = db_int(&rows, 2);
	out->newest_no = db_int(&rows, 3);
	fl_buf_str(content, db_text(&rows, 1));
	return fl_buf_check(content, err);
}

static enum fl_code find_digest(
	struct store *store, const char *text, int64_t *rollout_id, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, plan_select_digest, DB_ARGS(DB_T(text)), &rows, err);

	if (code != FL_OK)
		return code;
	if (db_int(&rows, 1) > 1)
		return fl_fail(err, FL_CONFLICT, "%lld plans have a digest that begins with %s",
			(long long)db_int(&rows, 1), text);
	if (db_int(&rows, 1) == 0)
		return fl_fail(err, FL_NOT_FOUND, "there is no plan or rollout \"%.200s\"", text);
	*rollout_id = db_int(&rows, 0);
	return FL_OK;
}

enum fl_code plan_find(
	struct store *store, const char *text, int64_t *rollout_id, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, plan_select_name, DB_ARGS(DB_T(text)), &rows, err);
	size_t n = strlen(text);
	char *end;

	if (code == FL_OK)
		*rollout_id = db_int(&rows, 0);
	if (code != FL_NOT_FOUND)
		return code;
	if (strncmp(text, "plan-", 5) == 0 && text[5] >= '1' && text[5] <= '9') {
		*rollout_id = strtoll(text + 5, &end, 10);
		if (*end == '\0')
			return FL_OK;
	}
	if (n >= 8 && n <= 64 && strspn(text, "0123456789abcdefABCDEF") == n)
		return find_digest(store, text, rollout_id, err);
	return fl_fail(err, FL_NOT_FOUND, "there is no plan or rollout \"%.200s\"", text);
}

enum fl_code plan_put(struct store *store, int64_t rollout_id, const struct plan_row *row,
	const char *content, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, plan_insert,
		DB_ARGS(DB_I(rollout_id), DB_B(row->digest, sizeof(row->digest)), DB_T(content),
			DB_I(row->newest_no), DB_I(store->now_ms)),
		err);
}

enum fl_code plan_each_delta(
	struct store *store, plan_delta_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code = db_query(store->db, plan_select_deltas, DB_NO_ARGS, &rows, err);

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more)
		code = fn(context, db_int(&rows, 0), db_int(&rows, 1), db_int(&rows, 2), err);
	return code;
}

enum fl_code plan_each_sums(struct store *store, plan_sums_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code = db_query(store->db, plan_select_sums, DB_NO_ARGS, &rows, err);

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		struct figures_sums sums;

		code = figures_decode(db_bytes(&rows, 0), &sums, err);
		if (code == FL_OK)
			code = fn(context, &sums, err);
	}
	return code;
}

enum fl_code plan_each_switch(
	struct store *store, plan_switch_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code = db_query(store->db, plan_select_switches, DB_NO_ARGS, &rows, err);

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		struct plan_switch s = { db_int(&rows, 0), db_int(&rows, 1), db_int(&rows, 2),
			db_int(&rows, 3) != 0 };

		code = fn(context, &s, err);
	}
	return code;
}

enum fl_code plan_build_rate(struct store *store, int64_t *us_per_kib, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, plan_select_builds, DB_NO_ARGS, &rows, err);

	if (code != FL_OK)
		return code;
	*us_per_kib = db_real(&rows, 1) < 1024
		? -1
		: (int64_t)(db_real(&rows, 0) * 1000 * 1024 / db_real(&rows, 1));
	return FL_OK;
}
