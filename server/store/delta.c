/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/delta.h"

#include <string.h>

#include "server/store/db.h"

#define COLUMNS                                                                                  \
	"d.id, d.from_artifact, d.to_artifact, d.codec, d.state, d.sha256, d.size, d.built_ms, " \
	"d.used_at, d.uses, d.created_at, f.sha256, f.size, t.sha256, t.size, d.level, d.memory "
#define TABLES                                                  \
	"FROM delta d JOIN artifact t ON t.id = d.to_artifact " \
	"LEFT JOIN artifact f ON f.id = d.from_artifact "

DB_SQL(delta_upsert,
	"INSERT INTO delta (from_artifact, to_artifact, codec, level, state, sha256, size, "
	"memory, built_ms, used_at, uses, created_at) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11) "
	"ON CONFLICT (to_artifact, from_artifact, codec, level) DO UPDATE SET "
	"state = excluded.state, sha256 = excluded.sha256, size = excluded.size, "
	"memory = excluded.memory, built_ms = excluded.built_ms, used_at = excluded.used_at, "
	"created_at = excluded.created_at");
DB_SQL(delta_select_one,
	"SELECT " COLUMNS TABLES "WHERE d.to_artifact = $1 AND d.from_artifact = $2 "
	"AND d.codec = $3 AND d.level = $4");
DB_SQL(delta_select_pair,
	"SELECT " COLUMNS TABLES "WHERE d.to_artifact = $1 AND d.from_artifact = $2 "
	"ORDER BY d.state <> 'ready', d.size, d.id LIMIT $3");
DB_SQL(delta_select_towards,
	"SELECT " COLUMNS TABLES "WHERE d.to_artifact = $1 AND d.from_artifact <> 0 "
	"AND d.state = 'ready' ORDER BY d.size, d.id LIMIT $2");
DB_SQL(delta_select_coldest,
	"SELECT " COLUMNS TABLES "WHERE d.state = 'ready' ORDER BY d.used_at, d.id LIMIT $1");
DB_SQL(delta_select_page, "SELECT " COLUMNS TABLES "WHERE d.id > $1 ORDER BY d.id LIMIT $2");
DB_SQL(delta_update_used, "UPDATE delta SET uses = uses + $1, used_at = $2 WHERE id = $3");
DB_SQL(delta_select_sha256, "SELECT sha256 FROM delta WHERE id = $1");
DB_SQL(delta_remove, "DELETE FROM delta WHERE id = $1");
DB_SQL(delta_select_wanted,
	"SELECT EXISTS (SELECT 1 FROM artifact WHERE sha256 = $1) OR "
	"EXISTS (SELECT 1 FROM delta WHERE sha256 = $1 AND state = 'ready')");
/* what a use saves: the full size less the delta's */
#define SUMS                                                                            \
	"coalesce(sum(d.state = 'ready'), 0), coalesce(sum(d.state = 'useless'), 0), "  \
	"coalesce(sum(d.state = 'failed'), 0), "                                        \
	"coalesce(sum(CASE d.state WHEN 'ready' THEN d.size ELSE 0 END), 0), "          \
	"coalesce(sum(d.uses), 0), coalesce(sum(CASE d.state WHEN 'ready' THEN d.uses " \
	"* (t.size - d.size) ELSE 0 END), 0)"
DB_SQL(delta_select_summary,
	"SELECT " SUMS " FROM delta d JOIN artifact t ON t.id = d.to_artifact");
DB_SQL(delta_select_codecs,
	"SELECT " SUMS ", d.codec, d.level, sum(d.built_ms) "
	"FROM delta d JOIN artifact t ON t.id = d.to_artifact "
	"GROUP BY d.codec, d.level ORDER BY d.codec, d.level LIMIT $1");

static const char *const state_names[DELTA_STATE_MAX] = {
	[DELTA_READY] = "ready",
	[DELTA_USELESS] = "useless",
	[DELTA_FAILED] = "failed",
};

const char *delta_state_name(enum delta_state state)
{
	return state_names[state];
}

bool delta_is_settled(const struct delta *d, int64_t now_ms)
{
	return d->state != DELTA_FAILED || now_ms - d->created_at <= DELTA_RETRY_MS;
}

static enum fl_code parse_state(const char *name, enum delta_state *out, struct fl_err *err)
{
	for (int i = 0; i < DELTA_STATE_MAX; i++) {
		if (strcmp(name, state_names[i]) == 0) {
			*out = (enum delta_state)i;
			return FL_OK;
		}
	}
	return fl_fail(err, FL_CORRUPT, "a delta has the state \"%.40s\"", name);
}

static void read_digest(const struct db_rows *rows, int column, uint8_t out[32])
{
	struct fl_bytes bytes = db_bytes(rows, column);

	if (bytes.n == 32)
		memcpy(out, bytes.p, 32);
}

static enum fl_code read_row(const struct db_rows *rows, struct delta *out, struct fl_err *err)
{
	struct delta d = {
		.id = db_int(rows, 0),
		.from = db_int(rows, 1),
		.to = db_int(rows, 2),
		.size = db_int(rows, 6),
		.built_ms = db_int(rows, 7),
		.used_at = db_int(rows, 8),
		.uses = db_int(rows, 9),
		.created_at = db_int(rows, 10),
		.from_size = db_int(rows, 12),
		.to_size = db_int(rows, 14),
		.level = (int)db_int(rows, 15),
		.memory = db_int(rows, 16),
	};
	const char *codec = db_text(rows, 3);
	enum fl_code code = parse_state(db_text(rows, 4), &d.state, err);

	if (code != FL_OK)
		return code;
	if (strlen(codec) >= sizeof(d.codec))
		return fl_fail(err, FL_CORRUPT, "a delta has the codec \"%.40s…\"", codec);
	memcpy(d.codec, codec, strlen(codec) + 1);
	read_digest(rows, 5, d.sha256);
	read_digest(rows, 11, d.from_sha256);
	read_digest(rows, 13, d.to_sha256);
	*out = d;
	return FL_OK;
}

enum fl_code delta_find(
	struct store *s, const struct delta *key, struct delta *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(s->db, delta_select_one,
		DB_ARGS(DB_I(key->to), DB_I(key->from), DB_T(key->codec), DB_I(key->level)), &rows,
		err);

	return code == FL_OK ? read_row(&rows, out, err) : code;
}

enum fl_code delta_put(struct store *s, struct delta *d, struct fl_err *err)
{
	struct db_arg digest = d->state == DELTA_READY ? DB_B(d->sha256, 32) : DB_NULL;
	enum fl_code code;

	FL_BUG_IF(!s->write);
	code = db_exec(s->db, delta_upsert,
		DB_ARGS(DB_I(d->from), DB_I(d->to), DB_T(d->codec), DB_I(d->level),
			DB_T(state_names[d->state]), digest, DB_I(d->size), DB_I(d->memory),
			DB_I(d->built_ms), DB_I(s->now_ms), DB_I(s->now_ms)),
		err);
	return code == FL_OK ? delta_find(s, d, d, err) : code;
}

enum fl_code delta_used(struct store *s, int64_t id, int64_t uses, struct fl_err *err)
{
	FL_BUG_IF(!s->write);
	return db_exec(
		s->db, delta_update_used, DB_ARGS(DB_I(uses), DB_I(s->now_ms), DB_I(id)), err);
}

enum fl_code delta_wanted(
	struct store *s, const uint8_t sha256[32], bool *wanted, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code =
		db_one(s->db, delta_select_wanted, DB_ARGS(DB_B(sha256, 32)), &rows, err);

	if (code == FL_OK)
		*wanted = db_int(&rows, 0) != 0;
	return code;
}

enum fl_code delta_delete(struct store *s, int64_t id, bool *unwanted, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	uint8_t sha256[32] = { 0 };
	bool wanted = true;
	enum fl_code code = db_one(s->db, delta_select_sha256, DB_ARGS(DB_I(id)), &rows, err);

	FL_BUG_IF(!s->write);
	if (code == FL_NOT_FOUND)
		return fl_fail(err, code, "there is no delta number %lld", (long long)id);
	if (code != FL_OK)
		return code;
	read_digest(&rows, 0, sha256);
	db_done(&rows);
	code = db_exec(s->db, delta_remove, DB_ARGS(DB_I(id)), err);
	if (code == FL_OK)
		code = delta_wanted(s, sha256, &wanted, err);
	if (code == FL_OK)
		*unwanted = !wanted;
	return code;
}

/* Rows of a running query into out[0..max). */
static enum fl_code read_rows(
	struct db_rows *rows, struct delta *out, size_t max, size_t *n, struct fl_err *err)
{
	enum fl_code code = FL_OK;
	bool more = true;

	*n = 0;
	while (*n < max && (code = db_next(rows, &more, err)) == FL_OK && more &&
		(code = read_row(rows, &out[*n], err)) == FL_OK)
		++*n;
	return code;
}

enum fl_code delta_coldest(
	struct store *s, struct delta *out, size_t max, size_t *n, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_query(s->db, delta_select_coldest, DB_ARGS(DB_I(max)), &rows, err);

	return code == FL_OK ? read_rows(&rows, out, max, n, err) : code;
}

enum fl_code delta_page(struct store *s, int64_t after, struct delta *out, size_t max, size_t *n,
	struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code =
		db_query(s->db, delta_select_page, DB_ARGS(DB_I(after), DB_I(max)), &rows, err);

	return code == FL_OK ? read_rows(&rows, out, max, n, err) : code;
}

enum fl_code delta_of_pair(struct store *s, int64_t from, int64_t to,
	struct delta out[DELTA_PAIR_MAX], size_t *n, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_query(s->db, delta_select_pair,
		DB_ARGS(DB_I(to), DB_I(from), DB_I(DELTA_PAIR_MAX)), &rows, err);

	return code == FL_OK ? read_rows(&rows, out, DELTA_PAIR_MAX, n, err) : code;
}

enum fl_code delta_towards(
	struct store *s, int64_t to, struct delta *out, size_t max, size_t *n, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code =
		db_query(s->db, delta_select_towards, DB_ARGS(DB_I(to), DB_I(max)), &rows, err);

	return code == FL_OK ? read_rows(&rows, out, max, n, err) : code;
}

static struct delta_summary read_sums(const struct db_rows *rows)
{
	return (struct delta_summary){
		.ready = db_int(rows, 0),
		.useless = db_int(rows, 1),
		.failed = db_int(rows, 2),
		.bytes = db_int(rows, 3),
		.uses = db_int(rows, 4),
		.saved = db_int(rows, 5),
	};
}

enum fl_code delta_summarise(struct store *s, struct delta_summary *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(s->db, delta_select_summary, DB_NO_ARGS, &rows, err);

	if (code == FL_OK)
		*out = read_sums(&rows);
	return code;
}

enum fl_code delta_by_codec(
	struct store *s, struct delta_codec_sums *out, size_t max, size_t *n, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_query(s->db, delta_select_codecs, DB_ARGS(DB_I(max)), &rows, err);
	bool more = true;

	*n = 0;
	while (code == FL_OK && *n < max && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		struct delta_codec_sums *o = &out[(*n)++];

		*o = (struct delta_codec_sums){
			.level = (int)db_int(&rows, 7),
			.sums = read_sums(&rows),
			.built_ms = db_int(&rows, 8),
		};
		(void)strncpy(o->codec, db_text(&rows, 6), sizeof(o->codec) - 1);
	}
	return code;
}
