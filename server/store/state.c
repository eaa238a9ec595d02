/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/state.h"

#include "lib/digest.h"
#include "server/store/db.h"

#include <stdlib.h>
#include <string.h>

DB_SQL(state_select, "SELECT id FROM state WHERE digest = $1");
DB_SQL(state_insert, "INSERT INTO state (digest) VALUES ($1)");
DB_SQL(state_entry_insert,
	"INSERT INTO state_entry (state_id, module, version) VALUES ($1, $2, $3)");
DB_SQL(state_entry_select_of,
	"SELECT state_id, module, version FROM state_entry WHERE state_id = $1 ORDER BY module");
DB_SQL(state_entry_select_all,
	"SELECT state_id, module, version FROM state_entry ORDER BY state_id, module");
DB_SQL(state_version_select, "SELECT DISTINCT version FROM state_entry WHERE module = $1");

static int compare_entries(const void *a, const void *b)
{
	return strcmp(
		((const struct state_entry *)a)->module, ((const struct state_entry *)b)->module);
}

enum fl_code state_digest(struct state_entry *entries, size_t n, uint8_t digest[STATE_DIGEST_BYTES],
	struct fl_err *err)
{
	struct fl_sha256 h;

	if (n > STATE_ENTRIES_MAX)
		return fl_fail(err, FL_INVALID, "a device has at most %d modules, not %zu",
			STATE_ENTRIES_MAX, n);
	if (n > 0)
		qsort(entries, n, sizeof(entries[0]), compare_entries);
	fl_sha256_init(&h);
	for (size_t i = 0; i < n; i++) {
		const struct state_entry *e = &entries[i];

		if (i > 0 && strcmp(e->module, e[-1].module) == 0)
			return fl_fail(
				err, FL_INVALID, "module \"%s\" is installed twice", e->module);
		fl_sha256_add(&h, fl_bytes(e->module, strlen(e->module)));
		fl_sha256_add(&h, fl_bytes("@", 1));
		fl_sha256_add(&h, fl_bytes(e->version, strlen(e->version)));
		fl_sha256_add(&h, fl_bytes("\n", 1));
	}
	fl_sha256_end(&h, digest);
	return FL_OK;
}

enum fl_code state_intern(struct store *store, const struct state_entry *sorted, size_t n,
	const uint8_t digest[STATE_DIGEST_BYTES], int64_t *id, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };

	FL_BUG_IF(!store->write);
	if (n == 0) {
		*id = STATE_EMPTY;
		return FL_OK;
	}
	enum fl_code code = db_one(
		store->db, state_select, DB_ARGS(DB_B(digest, STATE_DIGEST_BYTES)), &rows, err);
	if (code == FL_OK)
		*id = db_int(&rows, 0);
	if (code != FL_NOT_FOUND)
		return code;
	int64_t made = 0;
	code = db_insert(
		store->db, state_insert, DB_ARGS(DB_B(digest, STATE_DIGEST_BYTES)), &made, err);
	for (size_t i = 0; code == FL_OK && i < n; i++)
		code = db_exec(store->db, state_entry_insert,
			DB_ARGS(DB_I(made), DB_T(sorted[i].module), DB_T(sorted[i].version)), err);
	if (code == FL_OK)
		*id = made;
	return code;
}

enum fl_code state_put(
	struct store *store, struct state_entry *entries, size_t n, int64_t *id, struct fl_err *err)
{
	uint8_t digest[STATE_DIGEST_BYTES];
	enum fl_code code = state_digest(entries, n, digest, err);

	return code != FL_OK ? code : state_intern(store, entries, n, digest, id, err);
}

enum fl_code state_each(
	struct store *store, int64_t state_id, state_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = state_id == 0
		? db_query(store->db, state_entry_select_all, DB_NO_ARGS, &rows, err)
		: db_query(store->db, state_entry_select_of, DB_ARGS(DB_I(state_id)), &rows, err);
	bool more = code == FL_OK;

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		const struct state_entry e = { db_text(&rows, 1), db_text(&rows, 2) };

		code = fn(context, db_int(&rows, 0), &e, err);
	}
	return code;
}

enum fl_code state_each_version(struct store *store, const char *module, state_version_fn fn,
	void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code =
		db_query(store->db, state_version_select, DB_ARGS(DB_T(module)), &rows, err);
	bool more = code == FL_OK;

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more)
		code = fn(context, db_text(&rows, 0), err);
	return code;
}
