/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/migrate.h"

#include "server/store/db.h"

#include <string.h>
#include <time.h>

#define TABLE                                                                        \
	"CREATE TABLE IF NOT EXISTS migration ("                                     \
	"  name TEXT PRIMARY KEY, sha256 TEXT NOT NULL, applied_at INTEGER NOT NULL" \
	") STRICT, WITHOUT ROWID"

/* What the database says about one migration. */
static enum fl_code check_applied(
	const struct migration *m, const char *name, const char *sha256, struct fl_err *err)
{
	if (m->name == NULL)
		return fl_fail(err, FL_CONFLICT,
			"the database was made by a newer fleetd (it has migration %s); install "
			"that "
			"version, or restore the backup from before the upgrade",
			name);
	if (strcmp(m->name, name) != 0 || strcmp(m->sha256, sha256) != 0)
		return fl_fail(err, FL_CONFLICT,
			"the database was made with another text of migration %s than this fleetd "
			"has "
			"(%s); use the fleetd that made it",
			name, m->name);
	return FL_OK;
}

/* How many of `list` are applied; refuses what does not fit. */
static enum fl_code count_applied(
	struct db *db, const struct migration *list, size_t *out, struct fl_err *err)
{
	struct db_rows rows = { 0 };
	size_t n = 0;
	bool more = true;
	enum fl_code code = db_query_text(
		db, "SELECT name, sha256 FROM migration ORDER BY name", NULL, 0, &rows, err);

	while (code == FL_OK) {
		code = db_next(&rows, &more, err);
		if (code != FL_OK || !more)
			break;
		code = check_applied(&list[n], db_text(&rows, 0), db_text(&rows, 1), err);
		n++;
	}
	db_done(&rows);
	if (code == FL_OK)
		*out = n;
	return code;
}

static enum fl_code record(struct db *db, const struct migration *m, struct fl_err *err)
{
	struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code = db_query_text(db,
		"INSERT INTO migration (name, sha256, applied_at) VALUES ($1, $2, $3)",
		DB_ARGS(DB_T(m->name), DB_T(m->sha256), DB_I(time(NULL) * 1000)), &rows, err);

	if (code == FL_OK)
		code = db_next(&rows, &more, err);
	db_done(&rows);
	return code;
}

static enum fl_code apply(struct db *db, const struct migration *m, struct fl_err *err)
{
	enum fl_code code = db_begin(db, err);

	if (code != FL_OK)
		return code;
	code = db_script(db, m->sql, err);
	if (code == FL_OK)
		code = record(db, m, err);
	if (code == FL_OK)
		code = db_commit(db, err);
	if (code != FL_OK) {
		db_rollback(db);
		return fl_wrap(err, "migration %s", m->name);
	}
	return FL_OK;
}

enum fl_code migrate_run(struct db *db, const struct migration *list, struct fl_err *err)
{
	size_t applied = 0;
	enum fl_code code = db_script(db, TABLE, err);

	if (code == FL_OK)
		code = count_applied(db, list, &applied, err);
	for (size_t i = applied; code == FL_OK && list[i].name != NULL; i++)
		code = apply(db, &list[i], err);
	return code;
}
