/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/assignment.h"

#include "server/store/db.h"

#define RECORD_BYTES 12
#define DRIFT_ROWS   32 /* of ASSIGNMENT_CHUNK devices, in one look */
#define DRIFT_SPREAD 8  /* devices spread wider than this are looked up one by one */

DB_SQL(assignment_insert,
	"INSERT INTO assignment (rollout_id, wave, first_no, n, members, joined_at) "
	"VALUES ($1, $2, $3, $4, $5, $6)");
DB_SQL(assignment_select_joined,
	"SELECT count(*) FROM assignment WHERE rollout_id = $1 AND joined_at > 0");
DB_SQL(assignment_delete,
	"DELETE FROM assignment WHERE rowid IN "
	"(SELECT rowid FROM assignment WHERE rollout_id = $1 LIMIT $2)");
DB_SQL(assignment_select_waves,
	"SELECT DISTINCT wave FROM assignment WHERE rollout_id = $1 ORDER BY wave");
DB_SQL(assignment_select_around,
	"SELECT wave, first_no, n, members FROM assignment WHERE rollout_id = $1 AND wave = $2 "
	"AND first_no <= $3 ORDER BY first_no DESC LIMIT 1");
DB_SQL(assignment_select_slice,
	"SELECT wave, first_no, n, members FROM assignment WHERE rollout_id = $1 AND wave = $2 "
	"AND first_no >= coalesce((SELECT max(first_no) FROM assignment WHERE rollout_id = $1 "
	"AND wave = $2 AND first_no <= $3), 0) ORDER BY first_no");
DB_SQL(assignment_select_all,
	"SELECT wave, first_no, n, members FROM assignment WHERE rollout_id = $1 "
	"ORDER BY wave, first_no");
DB_SQL(assignment_select_active,
	"SELECT a.wave, a.first_no, a.n, a.members, a.rollout_id FROM rollout r "
	"JOIN assignment a ON a.rollout_id = r.id WHERE r.id <> $1 AND r.state IN "
	"('starting', 'running', 'paused', 'stopping', 'rolling_back') "
	"ORDER BY a.rollout_id, a.wave, a.first_no");
DB_SQL(assignment_select_drift,
	"SELECT wave, first_no, n, members FROM assignment WHERE rollout_id = $1 "
	"AND (wave, first_no) > ($2, $3) ORDER BY wave, first_no LIMIT $4");
DB_SQL(assignment_select_device,
	"SELECT no, state_id FROM device WHERE no = $1 AND retired_at IS NULL");
DB_SQL(assignment_select_devices,
	"SELECT no, state_id FROM device WHERE no BETWEEN $1 AND $2 AND retired_at IS NULL "
	"ORDER BY no");

DB_SQL(assignment_select_under_way,
	"SELECT id, started_at FROM rollout WHERE started_at <> 0 AND ended_at = 0 AND id <> $1");

/* ---- records: distance from the first number, class, state; little-endian */

static void put_number(uint8_t *p, int64_t v)
{
	FL_BUG_IF(v < 0 || v > UINT32_MAX);
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static int64_t get_number(const uint8_t *p)
{
	return (int64_t)((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
		(uint32_t)p[3] << 24);
}

/* A row of the table as it is read. */
struct chunk {
	int64_t wave, first_no;
	size_t n;
	const uint8_t *records;
};

static enum fl_code read_chunk(const struct db_rows *rows, struct chunk *c, struct fl_err *err)
{
	struct fl_bytes members = db_bytes(rows, 3);

	*c = (struct chunk){ db_int(rows, 0), db_int(rows, 1), (size_t)db_int(rows, 2), members.p };
	if (c->n == 0 || c->n > ASSIGNMENT_CHUNK || members.n != c->n * RECORD_BYTES)
		return fl_fail(err, FL_CORRUPT, "assignments from device %lld on are damaged",
			(long long)c->first_no);
	return FL_OK;
}

static struct assignment get_record(const struct chunk *c, size_t i)
{
	const uint8_t *p = c->records + i * RECORD_BYTES;

	return (struct assignment){ c->first_no + get_number(p), c->wave, get_number(p + 4),
		get_number(p + 8) };
}

/* ---- writing */

static enum fl_code add(struct store *store, int64_t rollout_id, const struct assignment *a,
	size_t n, int64_t joined_at, struct fl_err *err)
{
	uint8_t members[ASSIGNMENT_CHUNK * RECORD_BYTES];

	FL_BUG_IF(!store->write || n == 0 || n > ASSIGNMENT_CHUNK);
	for (size_t i = 0; i < n; i++) {
		uint8_t *p = members + i * RECORD_BYTES;

		FL_BUG_IF(
			a[i].wave != a[0].wave || (i > 0 && a[i].device_no <= a[i - 1].device_no));
		put_number(p, a[i].device_no - a[0].device_no);
		put_number(p + 4, a[i].class);
		put_number(p + 8, a[i].state_id);
	}
	return db_exec(store->db, assignment_insert,
		DB_ARGS(DB_I(rollout_id), DB_I(a[0].wave), DB_I(a[0].device_no), DB_I(n),
			DB_B(members, n * RECORD_BYTES), DB_I(joined_at)),
		err);
}

enum fl_code assignment_add(struct store *store, int64_t rollout_id, const struct assignment *a,
	size_t n, struct fl_err *err)
{
	return add(store, rollout_id, a, n, 0, err);
}

enum fl_code assignment_join(
	struct store *store, int64_t rollout_id, const struct assignment *a, struct fl_err *err)
{
	return add(store, rollout_id, a, 1, store->now_ms, err);
}

enum fl_code assignment_joined(
	struct store *store, int64_t rollout_id, int64_t *n, struct fl_err *err)
{
	return db_number(store->db, assignment_select_joined, DB_ARGS(DB_I(rollout_id)), n, err);
}

enum fl_code assignment_remove(
	struct store *store, int64_t rollout_id, int64_t limit, int64_t *n, struct fl_err *err)
{
	enum fl_code code;

	FL_BUG_IF(!store->write);
	code = db_exec(store->db, assignment_delete, DB_ARGS(DB_I(rollout_id), DB_I(limit)), err);
	if (code == FL_OK)
		*n = db_changes(store->db);
	return code;
}

/* ---- reading */

/* Look for a device in one wave. */
static enum fl_code find_in_wave(struct store *store, int64_t rollout_id,
	const struct assignment *wanted, struct assignment *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	struct chunk c;
	size_t low = 0, high;
	enum fl_code code = db_one(store->db, assignment_select_around,
		DB_ARGS(DB_I(rollout_id), DB_I(wanted->wave), DB_I(wanted->device_no)), &rows, err);

	if (code == FL_OK)
		code = read_chunk(&rows, &c, err);
	if (code != FL_OK)
		return code;
	high = c.n;
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (get_record(&c, middle).device_no < wanted->device_no)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == c.n || get_record(&c, low).device_no != wanted->device_no)
		return FL_NOT_FOUND;
	*out = get_record(&c, low);
	return FL_OK;
}

enum fl_code assignment_find(struct store *store, int64_t rollout_id, int64_t device_no,
	struct assignment *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code =
		db_query(store->db, assignment_select_waves, DB_ARGS(DB_I(rollout_id)), &rows, err);

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		struct assignment wanted = { .device_no = device_no, .wave = db_int(&rows, 0) };

		code = find_in_wave(store, rollout_id, &wanted, out, err);
		if (code != FL_NOT_FOUND)
			return code;
		code = FL_OK;
	}
	return code == FL_OK ? FL_NOT_FOUND : code;
}

enum fl_code assignment_slice(struct store *store, int64_t rollout_id,
	const struct assignment *after, struct assignment *out, size_t max, size_t *n,
	struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code = db_query(store->db, assignment_select_slice,
		DB_ARGS(DB_I(rollout_id), DB_I(after->wave), DB_I(after->device_no)), &rows, err);

	*n = 0;
	while (*n < max && code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		struct chunk c;

		code = read_chunk(&rows, &c, err);
		for (size_t i = 0; code == FL_OK && i < c.n && *n < max; i++) {
			struct assignment a = get_record(&c, i);

			if (a.device_no > after->device_no)
				out[(*n)++] = a;
		}
	}
	return code;
}

enum fl_code assignment_rivals(struct store *store, int64_t device_no, int64_t except,
	struct assignment_rivals *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code =
		db_query(store->db, assignment_select_under_way, DB_ARGS(DB_I(except)), &rows, err);

	out->n = 0;
	while (code == FL_OK && out->n < ASSIGNMENT_RIVALS_MAX &&
		(code = db_next(&rows, &more, err)) == FL_OK && more) {
		struct assignment a;

		code = assignment_find(store, db_int(&rows, 0), device_no, &a, err);
		if (code == FL_OK)
			out->of[out->n++] = (struct assignment_rival){
				.rollout_id = db_int(&rows, 0),
				.started_at = db_int(&rows, 1),
				.wave = (int)a.wave,
				.class = (int)a.class,
			};
		else if (code == FL_NOT_FOUND)
			code = FL_OK;
	}
	return code;
}

/* Hand over every device of every row; the rollout is column 4, or fixed. */
static enum fl_code each(struct db_rows *rows, int64_t rollout_id, assignment_fn fn, void *context,
	struct fl_err *err)
{
	bool more = false;
	enum fl_code code;

	while ((code = db_next(rows, &more, err)) == FL_OK && more) {
		int64_t id = rollout_id != 0 ? rollout_id : db_int(rows, 4);
		struct chunk c;

		code = read_chunk(rows, &c, err);
		for (size_t i = 0; code == FL_OK && i < c.n; i++) {
			struct assignment a = get_record(&c, i);

			code = fn(context, id, &a, err);
		}
		if (code != FL_OK)
			return code;
	}
	return code;
}

enum fl_code assignment_each(struct store *store, int64_t rollout_id, assignment_fn fn,
	void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code =
		db_query(store->db, assignment_select_all, DB_ARGS(DB_I(rollout_id)), &rows, err);

	return code == FL_OK ? each(&rows, rollout_id, fn, context, err) : code;
}

enum fl_code assignment_each_active(
	struct store *store, int64_t except, assignment_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code =
		db_query(store->db, assignment_select_active, DB_ARGS(DB_I(except)), &rows, err);

	return code == FL_OK ? each(&rows, 0, fn, context, err) : code;
}

/* ---- drift */

/* A chunk whose devices are compared. */
struct comparing {
	struct store *store;
	const struct assignment_watch *watch;
	struct chunk c;
	int64_t same; /* devices that have not drifted */
};

static enum fl_code compare(struct comparing *with, const struct assignment *planned,
	int64_t state_id, struct fl_err *err)
{
	bool drifted = false;
	enum fl_code code = FL_OK;

	if (planned->state_id != state_id)
		code = with->watch->moved(with->watch->context, planned, state_id, &drifted, err);
	with->same += !drifted;
	return code;
}

/* Devices that stand close together: one walk beside the records. */
static enum fl_code compare_walking(struct comparing *with, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	const struct chunk *c = &with->c;
	bool more = false;
	size_t i = 0;
	enum fl_code code = db_query(with->store->db, assignment_select_devices,
		DB_ARGS(DB_I(c->first_no), DB_I(get_record(c, c->n - 1).device_no)), &rows, err);

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		struct assignment a;

		while (i < c->n && get_record(c, i).device_no < db_int(&rows, 0))
			i++;
		if (i == c->n)
			break;
		a = get_record(c, i);
		if (a.device_no == db_int(&rows, 0))
			code = compare(with, &a, db_int(&rows, 1), err);
	}
	return code;
}

static enum fl_code compare_each(struct comparing *with, struct fl_err *err)
{
	for (size_t i = 0; i < with->c.n; i++) {
		DB_AUTO_ROWS struct db_rows rows = { 0 };
		struct assignment a = get_record(&with->c, i);
		enum fl_code code = db_one(with->store->db, assignment_select_device,
			DB_ARGS(DB_I(a.device_no)), &rows, err);

		if (code == FL_OK)
			code = compare(with, &a, db_int(&rows, 1), err);
		if (code != FL_OK && code != FL_NOT_FOUND)
			return code;
	}
	return FL_OK;
}

enum fl_code assignment_drift_more(struct store *store, int64_t rollout_id,
	const struct assignment_watch *watch, struct assignment_drift *d, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	int64_t rows_n = 0;
	enum fl_code code = db_query(store->db, assignment_select_drift,
		DB_ARGS(DB_I(rollout_id), DB_I(d->wave), DB_I(d->first_no), DB_I(DRIFT_ROWS)),
		&rows, err);

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		struct comparing with = { .store = store, .watch = watch };
		const struct chunk *c = &with.c;

		code = read_chunk(&rows, &with.c, err);
		if (code != FL_OK)
			return code;
		if (get_record(c, c->n - 1).device_no - c->first_no <
			(int64_t)(c->n * DRIFT_SPREAD))
			code = compare_walking(&with, err);
		else
			code = compare_each(&with, err);
		d->wave = c->wave;
		d->first_no = c->first_no;
		d->of += (int64_t)c->n;
		d->drifted += (int64_t)c->n - with.same;
		rows_n++;
	}
	d->whole = rows_n < DRIFT_ROWS;
	return code;
}
