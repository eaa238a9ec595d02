/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/check.h"

#include "server/store/db.h"

/* Each statement gives findings, one text per row. */
DB_SQL(check_integrity,
	"SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'");
DB_SQL(check_references,
	"SELECT 'a row of ' || \"table\" || ' refers to a ' || parent || ' that is not there' "
	"FROM pragma_foreign_key_check");
DB_SQL(check_tables, "SELECT count(*) FROM sqlite_schema WHERE type = 'table'");
DB_SQL(check_numbers,
	"SELECT 'device ' || d.id || ' says manifest ' || d.manifest || ', its newest is ' || "
	"coalesce(m.number, 0) FROM device d LEFT JOIN manifest m ON m.device_no = d.no "
	"WHERE d.manifest <> coalesce(m.number, 0)");
DB_SQL(check_count_manifests, "SELECT count(*) FROM manifest");
/* 9: confirmed; states from 1 below it are in flight, but 2, rejected */
DB_SQL(check_in_flight,
	"SELECT 'device ' || s.device_no || ' has an order in stage ' || s.stage_id || ' of "
	"manifest ' "
	"|| s.manifest || ', its newest is ' || d.manifest FROM step s JOIN device d ON "
	"d.no = s.device_no WHERE s.state > 0 AND s.state < 9 AND s.state <> 2 AND "
	"s.manifest > d.manifest");
DB_SQL(check_two_orders,
	"SELECT 'device ' || s.device_no || ' has orders of ' || count(DISTINCT g.rollout_id) || "
	"' rollouts at once' FROM step s JOIN stage g ON g.id = s.stage_id JOIN device d ON "
	"d.no = s.device_no WHERE s.state > 0 AND s.state < 9 AND s.state <> 2 AND "
	"s.manifest = d.manifest GROUP BY s.device_no HAVING count(DISTINCT g.rollout_id) > 1");
DB_SQL(check_assigned,
	"SELECT 'wave ' || g.wave || ' of rollout ' || r.name || ' has ' || g.assigned || "
	"' devices, ' || (SELECT total(n) FROM assignment a WHERE a.rollout_id = r.id AND "
	"a.wave = g.wave) || ' are assigned' FROM stage g JOIN rollout r ON r.id = g.rollout_id "
	"WHERE g.layer = 0 AND g.assigned <> (SELECT total(n) FROM assignment a WHERE "
	"a.rollout_id = r.id AND a.wave = g.wave)");
DB_SQL(check_count_steps, "SELECT count(*) FROM step");

/* Hand over the findings of one statement. */
static enum fl_code find(
	struct store *store, const struct db_sql *sql, check_fn fn, void *arg, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code = db_query(store->db, sql, DB_NO_ARGS, &rows, err);

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more)
		fn(arg, db_text(&rows, 0));
	return code;
}

static enum fl_code count(
	struct store *store, const struct db_sql *sql, int64_t *n, struct fl_err *err)
{
	return db_number(store->db, sql, DB_NO_ARGS, n, err);
}

enum fl_code check_file(struct store *store, check_fn fn, void *arg, int64_t *n, struct fl_err *err)
{
	enum fl_code code = find(store, check_integrity, fn, arg, err);

	if (code == FL_OK)
		code = find(store, check_references, fn, arg, err);
	return code == FL_OK ? count(store, check_tables, n, err) : code;
}

enum fl_code check_manifests(
	struct store *store, check_fn fn, void *arg, int64_t *n, struct fl_err *err)
{
	enum fl_code code = find(store, check_numbers, fn, arg, err);

	return code == FL_OK ? count(store, check_count_manifests, n, err) : code;
}

enum fl_code check_steps(
	struct store *store, check_fn fn, void *arg, int64_t *n, struct fl_err *err)
{
	enum fl_code code = find(store, check_in_flight, fn, arg, err);

	if (code == FL_OK)
		code = find(store, check_two_orders, fn, arg, err);
	if (code == FL_OK)
		code = find(store, check_assigned, fn, arg, err);
	return code == FL_OK ? count(store, check_count_steps, n, err) : code;
}
