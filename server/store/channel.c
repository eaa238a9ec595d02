/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/channel.h"

#include "server/rollout/figures.h"
#include "server/store/copy.h"
#include "server/store/db.h"

#include <stdlib.h>
#include <string.h>

#define COLUMNS                                                                                 \
	"c.id, c.name, c.selector, c.release_id, (SELECT name FROM release WHERE id = "         \
	"c.release_id), c.previous_release_id, c.max_in_flight, c.error_ppm, c.error_minimum, " \
	"c.retries, c.state, c.reason, c.made, c.since_rollout, c.look, c.looked_at, "          \
	"c.created_at, c.created_by FROM channel c "
/* The rollouts that a channel made for its release since it was forgiven. */
#define MADE                                                                     \
	"FROM channel c JOIN rollout r ON r.channel_id = c.id AND r.brings = 1 " \
	"AND r.id > c.since_rollout AND r.release_id = c.release_id "

DB_SQL(channel_select_name, "SELECT " COLUMNS "WHERE c.name = $1");
DB_SQL(channel_select_id, "SELECT " COLUMNS "WHERE c.id = $1");
DB_SQL(channel_select_all, "SELECT " COLUMNS "WHERE c.id > $1 ORDER BY c.id LIMIT $2");
DB_SQL(channel_select_sums,
	"SELECT g.sums " MADE "JOIN stage g ON g.rollout_id = r.id WHERE c.id = $1");
DB_SQL(channel_select_given_up,
	"SELECT s.device_no " MADE "JOIN stage g ON g.rollout_id = r.id JOIN step s ON "
	"s.stage_id = g.id WHERE c.id = $1 AND s.outcome IN ($2, $3) GROUP BY s.device_no "
	"HAVING count(DISTINCT r.id) > c.retries");
DB_SQL(channel_select_rollouts,
	"SELECT r.id, coalesce((SELECT g.gate_text FROM stage g WHERE g.rollout_id = r.id AND "
	"g.state = 'failed' LIMIT 1), '') FROM channel c JOIN rollout r ON r.channel_id = c.id "
	"AND r.brings = 1 AND r.id > c.since_rollout WHERE c.id = $1 AND (r.state NOT IN "
	"('stopped', 'rolled_back', 'completed', 'failed', 'denied') OR EXISTS (SELECT 1 FROM "
	"stage g WHERE g.rollout_id = r.id AND g.state = 'failed'))");
DB_SQL(channel_insert,
	"INSERT INTO channel (name, selector, release_id, max_in_flight, error_ppm, "
	"error_minimum, retries, state, created_at, created_by) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, 'on', $8, $9)");
DB_SQL(channel_update,
	"UPDATE channel SET selector = $1, release_id = $2, previous_release_id = $3, "
	"max_in_flight = $4, error_ppm = $5, error_minimum = $6, retries = $7, state = $8, "
	"reason = $9, made = $10, since_rollout = $11, look = $12, looked_at = $13 WHERE id = $14");
DB_SQL(channel_forget, "UPDATE rollout SET channel_id = NULL WHERE channel_id = $1");
DB_SQL(channel_delete_row, "DELETE FROM channel WHERE id = $1");

static const char *const states[] = { "on", "paused", "halted" };

const char *channel_state_text(enum channel_state s)
{
	FL_BUG_IF((unsigned)s >= CHANNEL_STATE_MAX);
	return states[s];
}

void channel_fini(struct channel *c)
{
	free(c->owned);
	*c = (struct channel){ 0 };
}

static enum fl_code read_row(const struct db_rows *rows, struct channel *c, struct fl_err *err)
{
	const char *state = db_text(rows, 10);

	*c = (struct channel){
		.id = db_int(rows, 0),
		.name = db_text(rows, 1),
		.selector = db_text(rows, 2),
		.release_id = db_int(rows, 3),
		.release = db_text(rows, 4),
		.previous_release_id = db_int(rows, 5),
		.max_in_flight = db_int(rows, 6),
		.error_ppm = db_int(rows, 7),
		.error_minimum = db_int(rows, 8),
		.retries = db_int(rows, 9),
		.reason = db_text(rows, 11),
		.made = db_int(rows, 12),
		.since_rollout = db_int(rows, 13),
		.look = db_text(rows, 14),
		.looked_at = db_int(rows, 15),
		.created_at = db_int(rows, 16),
		.created_by = db_text(rows, 17),
	};
	for (int s = 0; s < CHANNEL_STATE_MAX; s++) {
		if (strcmp(states[s], state) == 0) {
			c->state = (enum channel_state)s;
			return FL_OK;
		}
	}
	return fl_fail(err, FL_CORRUPT, "channel %s has the unknown state \"%s\"", c->name, state);
}

static enum fl_code keep_row(const struct db_rows *rows, struct channel *out, struct fl_err *err)
{
	struct channel c;
	enum fl_code code = read_row(rows, &c, err);
	const char **slots[] = { &c.name, &c.selector, &c.release, &c.reason, &c.look,
		&c.created_by };

	if (code == FL_OK)
		code = copy_texts(&c.owned, slots, FL_COUNT(slots), err);
	if (code == FL_OK)
		*out = c;
	return code;
}

enum fl_code channel_get(
	struct store *store, const char *name, struct channel *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, channel_select_name, DB_ARGS(DB_T(name)), &rows, err);

	if (code == FL_NOT_FOUND)
		return fl_fail(err, FL_NOT_FOUND, "there is no channel \"%.128s\"", name);
	return code == FL_OK ? keep_row(&rows, out, err) : code;
}

enum fl_code channel_by_id(struct store *store, int64_t id, struct channel *out, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	enum fl_code code = db_one(store->db, channel_select_id, DB_ARGS(DB_I(id)), &rows, err);

	if (code == FL_NOT_FOUND)
		return fl_fail(err, FL_NOT_FOUND, "there is no channel number %lld", (long long)id);
	return code == FL_OK ? keep_row(&rows, out, err) : code;
}

enum fl_code channel_each(struct store *store, int64_t after, int64_t limit, channel_fn fn,
	void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code = db_query(
		store->db, channel_select_all, DB_ARGS(DB_I(after), DB_I(limit)), &rows, err);

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		struct channel c;

		code = read_row(&rows, &c, err);
		if (code == FL_OK)
			code = fn(context, &c, err);
	}
	return code;
}

enum fl_code channel_tally(struct store *store, const struct channel *c, int64_t *confirmed,
	int64_t *failed, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code =
		db_query(store->db, channel_select_sums, DB_ARGS(DB_I(c->id)), &rows, err);

	*confirmed = *failed = 0;
	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more) {
		struct figures_sums sums;

		code = figures_decode(db_bytes(&rows, 0), &sums, err);
		if (code != FL_OK)
			return code;
		*confirmed += sums.outcome_confirmed_last;
		*failed += sums.outcome_failed + sums.outcome_timed_out;
	}
	return code;
}

enum fl_code channel_each_given_up(struct store *store, const struct channel *c,
	channel_device_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code = db_query(store->db, channel_select_given_up,
		DB_ARGS(DB_I(c->id), DB_I(STEP_FAILED), DB_I(STEP_TIMED_OUT)), &rows, err);

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more)
		code = fn(context, db_int(&rows, 0), err);
	return code;
}

enum fl_code channel_each_rollout(struct store *store, const struct channel *c,
	channel_rollout_fn fn, void *context, struct fl_err *err)
{
	DB_AUTO_ROWS struct db_rows rows = { 0 };
	bool more = false;
	enum fl_code code =
		db_query(store->db, channel_select_rollouts, DB_ARGS(DB_I(c->id)), &rows, err);

	while (code == FL_OK && (code = db_next(&rows, &more, err)) == FL_OK && more)
		code = fn(context, db_int(&rows, 0), db_text(&rows, 1), err);
	return code;
}

/* A release, NULL for none. */
static struct db_arg release_arg(int64_t id)
{
	return id == 0 ? DB_NULL : DB_I(id);
}

enum fl_code channel_add(
	struct store *store, const struct channel *c, int64_t *id, struct fl_err *err)
{
	enum fl_code code;

	FL_BUG_IF(!store->write);
	code = db_insert(store->db, channel_insert,
		DB_ARGS(DB_T(c->name), DB_T(c->selector), release_arg(c->release_id),
			DB_I(c->max_in_flight), DB_I(c->error_ppm), DB_I(c->error_minimum),
			DB_I(c->retries), DB_I(store->now_ms), DB_T(c->created_by)),
		id, err);
	if (code == FL_CONFLICT)
		return fl_fail(err, FL_CONFLICT, "there is a channel \"%s\" already", c->name);
	return code;
}

enum fl_code channel_put(struct store *store, const struct channel *c, struct fl_err *err)
{
	FL_BUG_IF(!store->write);
	return db_exec(store->db, channel_update,
		DB_ARGS(DB_T(c->selector), release_arg(c->release_id),
			release_arg(c->previous_release_id), DB_I(c->max_in_flight),
			DB_I(c->error_ppm), DB_I(c->error_minimum), DB_I(c->retries),
			DB_T(channel_state_text(c->state)), DB_T(c->reason), DB_I(c->made),
			DB_I(c->since_rollout), DB_T(c->look), DB_I(c->looked_at), DB_I(c->id)),
		err);
}

enum fl_code channel_delete(struct store *store, int64_t id, struct fl_err *err)
{
	enum fl_code code;

	FL_BUG_IF(!store->write);
	code = db_exec(store->db, channel_forget, DB_ARGS(DB_I(id)), err);
	return code == FL_OK ? db_exec(store->db, channel_delete_row, DB_ARGS(DB_I(id)), err)
			     : code;
}
