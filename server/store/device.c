/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/device.h"

#include "server/store/copy.h"
#include "server/store/db.h"
#include "server/store/select.h"
#include "server/store/state.h"

#include <stdlib.h>
#include <string.h>

#define NARROW                                                                             \
	"d.no, d.id, d.tier, d.gateway_no, d.state_id, d.manifest, d.epoch, d.last_seen, " \
	"d.retired_at "
#define WIDE                                                                               \
	"d.no, d.id, d.tier, d.gateway_no, d.state_id, d.manifest, d.epoch, d.last_seen, " \
	"d.retired_at, p.public_key, p.attributes, p.labels, p.created_at, p.changed_at "
#define FROM_NARROW "FROM device d "
#define FROM_WIDE   "FROM device d JOIN device_profile p ON p.device_no = d.no "

DB_SQL(device_select_id, "SELECT " WIDE FROM_WIDE "WHERE d.id = $1");
DB_SQL(device_select_by_no, "SELECT " WIDE FROM_WIDE "WHERE d.no = $1");
DB_SQL(device_select_no, "SELECT no FROM device WHERE id = $1");
DB_SQL(device_select_id_of, "SELECT id FROM device WHERE no = $1");
DB_SQL(device_select_all, "SELECT " NARROW FROM_NARROW "ORDER BY d.no");
DB_SQL(device_select_behind, "SELECT " NARROW FROM_NARROW "WHERE d.gateway_no = $1 ORDER BY d.no");
DB_SQL(device_select_last, "SELECT coalesce(max(no), 0) FROM device");
DB_SQL(device_select_gateway, "SELECT no, tier, retired_at FROM device WHERE id = $1");
DB_SQL(device_select_has_behind,
	"SELECT EXISTS (SELECT 1 FROM device WHERE gateway_no = $1 AND retired_at IS NULL)");
DB_SQL(device_select_profiles,
	"SELECT device_no, attributes, labels FROM device_profile WHERE device_no BETWEEN $1 AND "
	"$2 "
	"ORDER BY device_no");
DB_SQL(device_insert,
	"INSERT INTO device (id, tier, gateway_no, state_id) VALUES ($1, $2, $3, $4)");
DB_SQL(device_profile_insert,
	"INSERT INTO device_profile (device_no, public_key, attributes, labels, created_at, "
	"changed_at) "
	"VALUES ($1, $2, $3, $4, $5, $6)");
DB_SQL(device_update,
	"UPDATE device SET tier = $1, gateway_no = $2, state_id = $3, epoch = $4, "
	"retired_at = $5 WHERE no = $6");
DB_SQL(device_profile_update,
	"UPDATE device_profile SET public_key = $1, attributes = $2, "
	"labels = $3, changed_at = $4 WHERE device_no = $5");
DB_SQL(device_update_state, "UPDATE device SET state_id = $1 WHERE no = $2");
DB_SQL(device_select_state, "SELECT state_id FROM device WHERE no = $1");
DB_SQL(device_update_attributes,
	"UPDATE device_profile SET attributes = $1, changed_at = $2 WHERE device_no = $3 "
	"AND attributes <> $4");
DB_SQL(device_update_manifest, "UPDATE device SET manifest = $1 WHERE no = $2 AND manifest < $3");
DB_SQL(device_update_last_seen,
	"UPDATE device SET last_seen = $1 WHERE no = $2 AND last_seen < $3");
DB_SQL(device_update_retired,
	"UPDATE device SET retired_at = $1, epoch = epoch + 1 "
	"WHERE no = $2 AND retired_at IS NULL");
DB_SQL(device_select_epoch, "SELECT epoch FROM device WHERE no = $1");
DB_SQL(device_profile_update_key,
	"UPDATE device_profile SET public_key = $1, changed_at = $2 WHERE device_no = $3 "
	"AND (public_key IS NULL OR public_key = $4)");
DB_SQL(device_update_epoch, "UPDATE device SET epoch = epoch + 1 WHERE no = $1");
DB_SQL(device_profile_clear_key,
	"UPDATE device_profile SET public_key = NULL, changed_at = $1 WHERE device_no = $2");

/* ---- reading */

void device_fini(struct device *d)
{
	free(d->owned);
	*d = (struct device){ 0 };
}

static void read_row(const struct db_rows *rows, bool wide, struct device *d)
{
	*d = (struct device){
		.no = db_int(rows, 0),
		.id = db_text(rows, 1),
		.gateway = strcmp(db_text(rows, 2), "gateway") == 0,
		.gateway_no = db_int(rows, 3),
		.state_id = db_int(rows, 4),
		.manifest = db_int(rows, 5),
		.epoch = db_int(rows, 6),
		.last_seen = db_int(rows, 7),
		.retired_at = db_int(rows, 8),
	};
	if (!wide)
		return;
	struct fl_bytes key = db_bytes(rows, 9);
	d->public_key = key.n == DEVICE_KEY_BYTES ? key.p : NULL;
	d->attributes = db_text(rows, 10);
	d->labels = db_text(rows, 11);
	d->created_at = db_int(rows, 12);
	d->changed_at = db_int(rows, 13);
}

/* Copy a wide row; the key stands at the front of the block. */
static enum fl_code keep_row(const struct db_rows *rows, struct device *out, struct fl_err *err)
{
	struct device d;

	read_row(rows, true, &d);
	size_t id = strlen(d.id) + 1, attributes = strlen(d.attributes) + 1;
	size_t labels = strlen(d.labels) + 1;
	char *block = malloc(DEVICE_KEY_BYTES + id + attributes + labels);
	if (block == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for device %s", d.id);
	if (d.public_key != NULL)
		d.public_key = memcpy(block, d.public_key, DEVICE_KEY_BYTES);
	d.owned = block;
	block += DEVICE_KEY_BYTES;
	d.id = memcpy(block, d.id, id);
	d.attributes = memcpy(block + id, d.attributes, attributes);
	d.labels = memcpy(block + id + attributes, d.labels, labels);
	*out = d;
	return FL_OK;
}

enum fl_code device_get(struct store *store, const char *id, struct device *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, device_select_id, DB_ARGS(DB_T(id)), &rows, err);

	if (code == FL_NOT_FOUND)
		return fl_fail(err, code, "there is no device \"%s\"", id);
	return code != FL_OK ? code : keep_row(&rows, out, err);
}

enum fl_code device_by_no(struct store *store, int64_t no, struct device *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, device_select_by_no, DB_ARGS(DB_I(no)), &rows, err);

	if (code == FL_NOT_FOUND)
		return fl_fail(err, code, "there is no device number %lld", (long long)no);
	return code != FL_OK ? code : keep_row(&rows, out, err);
}

enum fl_code device_no(struct store *store, const char *id, int64_t *no, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, device_select_no, DB_ARGS(DB_T(id)), &rows, err);

	if (code == FL_NOT_FOUND)
		return fl_fail(err, code, "there is no device \"%s\"", id);
	if (code == FL_OK)
		*no = db_int(&rows, 0);
	return code;
}

enum fl_code device_id(struct store *store, int64_t no, struct fl_buf *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, device_select_id_of, DB_ARGS(DB_I(no)), &rows, err);

	if (code == FL_NOT_FOUND)
		return fl_fail(err, code, "there is no device number %lld", (long long)no);
	if (code != FL_OK)
		return code;
	fl_buf_str(out, db_text(&rows, 0));
	return fl_buf_check(out, err);
}

/* Hand all rows to fn. */
static enum fl_code each_row(
	struct db_rows *rows, bool wide, device_fn fn, void *context, struct fl_err *err)
{
	enum fl_code code;
	bool more;

	while ((code = db_next(rows, &more, err)) == FL_OK && more) {
		struct device d;

		read_row(rows, wide, &d);
		code = fn(context, &d, err);
		if (code != FL_OK)
			break;
	}
	return code;
}

enum fl_code device_each(struct store *store, device_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_query(store->db, device_select_all, DB_NO_ARGS, &rows, err);

	return code != FL_OK ? code : each_row(&rows, false, fn, context, err);
}

enum fl_code device_each_behind(
	struct store *store, int64_t gateway_no, device_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code =
		db_query(store->db, device_select_behind, DB_ARGS(DB_I(gateway_no)), &rows, err);

	return code != FL_OK ? code : each_row(&rows, false, fn, context, err);
}

enum fl_code device_last_no(struct store *store, int64_t *no, struct fl_err *err)
{
	return db_number(store->db, device_select_last, DB_NO_ARGS, no, err);
}

/* ---- selecting */

/* "WHERE …" of a filter. The bounds on the number come first: they decide the order of the scan. */
static enum fl_code add_filter(
	struct select *s, struct store *store, const struct device_filter *f, struct fl_err *err)
{
	select_add(s, "WHERE d.no > ");
	select_bind(s, DB_I(f->after));
	select_add(s, " AND d.no <= ");
	select_bind(s, DB_I(f->until == 0 ? INT64_MAX : f->until));
	if (!f->retired)
		select_add(s, " AND d.retired_at IS NULL");
	select_add(s, " AND ");
	enum fl_code code = select_where(s, store, f->where, err);
	if (code != FL_OK)
		return code;
	select_add(s, " AND ");
	return select_where(s, store, f->scope, err);
}

/* Whether the expressions read the wide part. */
static bool reads_wide(const struct device_filter *f)
{
	unsigned fields = (f->where == NULL ? 0 : f->where->fields) |
		(f->scope == NULL ? 0 : f->scope->fields);

	return (fields & (1u << RSQL_ENROLLED | 1u << RSQL_ATTRIBUTE | 1u << RSQL_LABEL)) != 0;
}

static enum fl_code select_rows(struct store *store, const struct device_filter *f, bool wide,
	device_fn fn, void *context, struct fl_err *err)
{
	struct select s = { 0 };
	struct db_rows rows = { 0 };

	select_add(&s, wide ? "SELECT " WIDE : "SELECT " NARROW);
	select_add(&s, wide || reads_wide(f) ? FROM_WIDE : FROM_NARROW);
	enum fl_code code = add_filter(&s, store, f, err);
	if (code != FL_OK)
		goto out;
	select_add(&s, " ORDER BY d.no LIMIT ");
	select_bind(&s, DB_I(f->limit));
	code = select_query(&s, store, &rows, err);
	if (code == FL_OK)
		code = each_row(&rows, wide, fn, context, err);
out:
	db_done(&rows);
	select_fini(&s);
	return code;
}

enum fl_code device_select(struct store *store, const struct device_filter *f, device_fn fn,
	void *context, struct fl_err *err)
{
	return select_rows(store, f, true, fn, context, err);
}

enum fl_code device_each_profile(struct store *store, int64_t first, int64_t last, device_fn fn,
	void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code = db_query(
		store->db, device_select_profiles, DB_ARGS(DB_I(first), DB_I(last)), &rows, err);

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		struct device d = { .no = db_int(&rows, 0),
			.attributes = db_text(&rows, 1),
			.labels = db_text(&rows, 2) };

		code = fn(context, &d, err);
	}
	return code;
}

enum fl_code device_select_narrow(struct store *store, const struct device_filter *f, device_fn fn,
	void *context, struct fl_err *err)
{
	return select_rows(store, f, false, fn, context, err);
}

enum fl_code device_count(
	struct store *store, const struct device_filter *f, int64_t *n, struct fl_err *err)
{
	struct select s = { 0 };
	struct db_rows rows = { 0 };
	bool more = false;

	select_add(
		&s, reads_wide(f) ? "SELECT count(*) " FROM_WIDE : "SELECT count(*) " FROM_NARROW);
	enum fl_code code = add_filter(&s, store, f, err);
	if (code == FL_OK)
		code = select_query(&s, store, &rows, err);
	if (code == FL_OK)
		code = db_next(&rows, &more, err);
	if (code == FL_OK)
		*n = more ? db_int(&rows, 0) : 0;
	db_done(&rows);
	select_fini(&s);
	return code;
}

enum fl_code device_in_scope(
	struct store *store, int64_t no, const struct rsql *scope, bool *inside, struct fl_err *err)
{
	const struct device_filter f = {
		.scope = scope, .retired = true, .after = no - 1, .until = no
	};
	int64_t n = 0;

	if (scope == NULL) {
		*inside = true;
		return FL_OK;
	}
	enum fl_code code = device_count(store, &f, &n, err);
	if (code == FL_OK)
		*inside = n == 1;
	return code;
}

/* ---- registration */

/* What a put makes of a device: the columns that it may change. */
struct target {
	const char *tier;
	int64_t gateway_no; /* 0: none */
	int64_t state_id;
	const uint8_t *key;
	const char *attributes, *labels;
};

static struct db_arg key_arg(const uint8_t *key)
{
	return key == NULL ? DB_NULL : DB_B(key, DEVICE_KEY_BYTES);
}

static struct db_arg id_or_null(int64_t id)
{
	return id == 0 ? DB_NULL : DB_I(id);
}

/* The number of the gateway with this id, which must be one. */
static enum fl_code find_gateway(
	struct store *store, const char *id, int64_t *no, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, device_select_gateway, DB_ARGS(DB_T(id)), &rows, err);

	if (code == FL_NOT_FOUND)
		return fl_fail(err, FL_REFUSED,
			"there is no device \"%s\" to be the gateway; register the gateway first",
			id);
	if (code != FL_OK)
		return code;
	if (strcmp(db_text(&rows, 1), "gateway") != 0)
		return fl_fail(err, FL_REFUSED, "device \"%s\" is not of tier gateway", id);
	if (!db_is_null(&rows, 2))
		return fl_fail(err, FL_REFUSED, "gateway \"%s\" is retired", id);
	*no = db_int(&rows, 0);
	return FL_OK;
}

/* A gateway is behind nothing, and a device has nothing behind it. */
static enum fl_code check_tier(struct store *store, const struct device_put *in,
	const struct device *had, const struct target *t, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };

	if (strcmp(t->tier, "gateway") == 0) {
		if (t->gateway_no != 0)
			return fl_fail(err, FL_REFUSED,
				"\"%s\" is a gateway and cannot be behind another one", in->id);
		return FL_OK;
	}
	if (had == NULL || !had->gateway)
		return FL_OK;
	enum fl_code code =
		db_one(store->db, device_select_has_behind, DB_ARGS(DB_I(had->no)), &rows, err);
	if (code == FL_OK && db_int(&rows, 0) != 0)
		return fl_fail(err, FL_REFUSED,
			"\"%s\" has devices behind it and stays a gateway; move them first",
			in->id);
	return code;
}

static enum fl_code make_target(struct store *store, const struct device_put *in,
	const struct device *had, struct target *t, struct fl_err *err)
{
	bool fresh = had == NULL || had->retired_at != 0;

	*t = (struct target){
		.tier = in->tier != NULL              ? in->tier
			: had != NULL && had->gateway ? "gateway"
						      : "device",
		.gateway_no = fresh ? 0 : had->gateway_no,
		.state_id = in->state_id != 0 ? in->state_id
			: fresh               ? STATE_EMPTY
					      : had->state_id,
		.key = in->public_key != NULL ? in->public_key
			: fresh               ? NULL
					      : had->public_key,
		.attributes = in->attributes != NULL ? in->attributes
			: fresh                      ? "{}"
						     : had->attributes,
		.labels = in->labels != NULL ? in->labels
			: fresh              ? "{}"
					     : had->labels,
	};
	if (in->gateway != NULL && in->gateway[0] == '\0')
		t->gateway_no = 0;
	if (in->gateway != NULL && in->gateway[0] != '\0') {
		enum fl_code code = find_gateway(store, in->gateway, &t->gateway_no, err);
		if (code != FL_OK)
			return code;
	}
	if (!fresh && had->public_key != NULL && in->public_key != NULL &&
		memcmp(had->public_key, in->public_key, DEVICE_KEY_BYTES) != 0)
		return fl_fail(err, FL_CONFLICT,
			"device \"%s\" has another key; retire it first if it was replaced",
			in->id);
	return check_tier(store, in, had, t, err);
}

static enum fl_code create(struct store *store, const char *id, const struct target *t, int64_t *no,
	struct fl_err *err)
{
	enum fl_code code = db_insert(store->db, device_insert,
		DB_ARGS(DB_T(id), DB_T(t->tier), id_or_null(t->gateway_no), DB_I(t->state_id)), no,
		err);

	if (code != FL_OK)
		return code;
	return db_exec(store->db, device_profile_insert,
		DB_ARGS(DB_I(*no), key_arg(t->key), DB_T(t->attributes), DB_T(t->labels),
			DB_I(store->now_ms), DB_I(store->now_ms)),
		err);
}

static bool same_key(const uint8_t *a, const uint8_t *b)
{
	return a == b || (a != NULL && b != NULL && memcmp(a, b, DEVICE_KEY_BYTES) == 0);
}

/* Write what differs; *changed says whether anything did. */
static enum fl_code change(struct store *store, const struct device *had, const struct target *t,
	bool *changed, struct fl_err *err)
{
	bool revived = had->retired_at != 0;
	bool narrow = revived || had->gateway != (strcmp(t->tier, "gateway") == 0) ||
		had->gateway_no != t->gateway_no || had->state_id != t->state_id;
	bool wide = strcmp(had->attributes, t->attributes) != 0 ||
		strcmp(had->labels, t->labels) != 0 || !same_key(had->public_key, t->key);
	enum fl_code code = FL_OK;

	if (narrow)
		code = db_exec(store->db, device_update,
			DB_ARGS(DB_T(t->tier), id_or_null(t->gateway_no), DB_I(t->state_id),
				DB_I(had->epoch + revived), DB_NULL, DB_I(had->no)),
			err);
	if (code == FL_OK && wide)
		code = db_exec(store->db, device_profile_update,
			DB_ARGS(key_arg(t->key), DB_T(t->attributes), DB_T(t->labels),
				DB_I(store->now_ms), DB_I(had->no)),
			err);
	*changed = narrow || wide;
	return code;
}

enum fl_code device_put(struct store *store, const struct device_put *in, int64_t *no,
	enum device_outcome *outcome, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	struct device had = { 0 };
	struct target t;
	bool changed = false;

	FL_BUG_IF(!store->write);
	enum fl_code code = db_one(store->db, device_select_id, DB_ARGS(DB_T(in->id)), &rows, err);
	bool found = code == FL_OK;
	if (code != FL_OK && code != FL_NOT_FOUND)
		return code;
	if (found)
		read_row(&rows, true, &had);
	if (found && had.retired_at != 0 && !in->revive)
		return fl_fail(err, FL_GONE,
			"device \"%s\" is retired; register it again if it is to come back",
			in->id);
	code = make_target(store, in, found ? &had : NULL, &t, err);
	if (code != FL_OK)
		return code;
	if (!found) {
		*outcome = DEVICE_CREATED;
		return create(store, in->id, &t, no, err);
	}
	code = change(store, &had, &t, &changed, err);
	*no = had.no;
	*outcome = had.retired_at != 0 ? DEVICE_REVIVED
		: changed              ? DEVICE_CHANGED
				       : DEVICE_UNCHANGED;
	return code;
}

/* ---- single changes */

enum fl_code device_epoch(struct store *store, int64_t no, int64_t *epoch, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, device_select_epoch, DB_ARGS(DB_I(no)), &rows, err);

	if (code == FL_NOT_FOUND)
		return fl_fail(err, code, "there is no device number %lld", (long long)no);
	if (code == FL_OK)
		*epoch = db_int(&rows, 0);
	return code;
}

enum fl_code device_enrol(struct store *store, int64_t no, const uint8_t *public_key,
	int64_t *epoch, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	enum fl_code code = db_exec(store->db, device_profile_update_key,
		DB_ARGS(key_arg(public_key), DB_I(store->now_ms), DB_I(no), key_arg(public_key)),
		err);

	if (code != FL_OK)
		return code;
	if (db_changes(store->db) == 0)
		return fl_fail(err, FL_CONFLICT,
			"this device has enrolled with another key; retire it first if it was "
			"replaced");
	code = db_exec(store->db, device_update_epoch, DB_ARGS(DB_I(no)), err);
	return code != FL_OK ? code : device_epoch(store, no, epoch, err);
}

enum fl_code device_set_state(
	struct store *store, int64_t no, int64_t state_id, int64_t *before, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };

	FL_BUG_IF(!store->write);
	enum fl_code code = db_one(store->db, device_select_state, DB_ARGS(DB_I(no)), &rows, err);
	if (code == FL_NOT_FOUND)
		return fl_fail(err, code, "there is no device number %lld", (long long)no);
	if (code != FL_OK)
		return code;
	int64_t had = db_int(&rows, 0);
	if (before != NULL)
		*before = had;
	if (had == state_id)
		return FL_OK;
	return db_exec(store->db, device_update_state, DB_ARGS(DB_I(state_id), DB_I(no)), err);
}

enum fl_code device_set_attributes(
	struct store *store, int64_t no, const char *attributes, bool *changed, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	enum fl_code code = db_exec(store->db, device_update_attributes,
		DB_ARGS(DB_T(attributes), DB_I(store->now_ms), DB_I(no), DB_T(attributes)), err);

	if (code == FL_OK && changed != NULL)
		*changed = db_changes(store->db) > 0;
	return code;
}

enum fl_code device_set_manifest(
	struct store *store, int64_t no, int64_t number, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	enum fl_code code = db_exec(store->db, device_update_manifest,
		DB_ARGS(DB_I(number), DB_I(no), DB_I(number)), err);

	FL_BUG_IF(code == FL_OK && db_changes(store->db) != 1);
	return code;
}

enum fl_code device_set_last_seen(
	struct store *store, int64_t no, int64_t seconds, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, device_update_last_seen,
		DB_ARGS(DB_I(seconds), DB_I(no), DB_I(seconds)), err);
}

enum fl_code device_retire(struct store *store, int64_t no, int64_t *epoch, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	enum fl_code code = db_exec(
		store->db, device_update_retired, DB_ARGS(DB_I(store->now_ms), DB_I(no)), err);

	if (code == FL_OK && db_changes(store->db) > 0)
		code = db_exec(store->db, device_profile_clear_key,
			DB_ARGS(DB_I(store->now_ms), DB_I(no)), err);
	return code != FL_OK ? code : device_epoch(store, no, epoch, err);
}
