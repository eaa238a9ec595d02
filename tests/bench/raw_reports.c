/* SPDX-License-Identifier: Apache-2.0
 *
 * The peer of `scripts/bench reports`: plain SQLite that makes the row changes of device reports, with
 * nothing around it. raw-reports DATABASE REPORTS BATCH prints reports per second.
 *
 * A report is the look-up of its step with stage and rollout, the update of the step and the insertion of
 * its report row, all with the columns that fleetd reads and writes; a batch ends with the update of the
 * stage's counters and one COMMIT with synchronous=FULL. The database is a copy
 * of one that fleetd has filled. */
#include "server/store/rollout_row.h"

#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct place {
	int64_t stage, device;
};

static sqlite3 *db;

static void must(int rc, const char *what)
{
	if (rc == SQLITE_OK || rc == SQLITE_DONE || rc == SQLITE_ROW)
		return;
	(void)fprintf(stderr, "raw-reports: %s: %s\n", what, sqlite3_errmsg(db));
	exit(1);
}

static sqlite3_stmt *prepare(const char *text)
{
	sqlite3_stmt *s = NULL;

	must(sqlite3_prepare_v3(db, text, -1, SQLITE_PREPARE_PERSISTENT, &s, NULL), text);
	return s;
}

static void run(sqlite3_stmt *s)
{
	must(sqlite3_step(s), sqlite3_sql(s));
	must(sqlite3_reset(s), sqlite3_sql(s));
}

static void script(const char *text)
{
	must(sqlite3_exec(db, text, NULL, NULL, NULL), text);
}

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* All steps that can be reported about; their number in *n. */
static struct place *places(size_t *n)
{
	sqlite3_stmt *s = prepare("SELECT stage_id, device_no FROM step ORDER BY device_no");
	struct place *all = NULL;
	size_t cap = 0;

	for (*n = 0; sqlite3_step(s) == SQLITE_ROW; (*n)++) {
		if (*n == cap) {
			cap = cap == 0 ? 1024 : cap * 2;
			all = realloc(all, cap * sizeof(*all));
			if (all == NULL)
				exit(1);
		}
		all[*n] = (struct place){ sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1) };
	}
	must(sqlite3_finalize(s), "steps");
	if (*n == 0) {
		(void)fprintf(stderr, "raw-reports: there is no step in the database\n");
		exit(1);
	}
	return all;
}

struct statements {
	sqlite3_stmt *begin, *commit, *look, *step, *report, *stage;
};

static void prepare_all(struct statements *s)
{
	s->begin = prepare("BEGIN IMMEDIATE");
	s->commit = prepare("COMMIT");
	s->look = prepare("SELECT " STEP_ROW_COLUMNS ", " STAGE_ROW_COLUMNS ", " ROLLOUT_ROW_COLUMNS
			  " FROM step s JOIN stage g ON g.id = s.stage_id JOIN rollout r "
			  "ON r.id = g.rollout_id WHERE s.stage_id = $1 AND s.device_no = $2");
	s->step = prepare("UPDATE step SET state = $1, back = $2, flags = $3, outcome = $4, "
			  "cause = $5, attempt = $6, delivered = $7, delivered_at = $8, "
			  "deadline = $9, manifest = $10, changed_at = $11, took_ms = $12, "
			  "sent = $13, saved = $14 WHERE stage_id = $15 AND device_no = $16");
	s->report = prepare("INSERT INTO report (device_no, stage_id, at, state, cause, detail) "
			    "VALUES ($1, $2, $3, 'downloading', $4, $5)");
	s->stage = prepare("UPDATE stage SET sums = $1 WHERE id = $2");
}

/* The columns of a step that an update writes, by their places in STEP_ROW_COLUMNS, in its order. */
static const int written[] = { 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };

static void read_and_update(const struct statements *s, const struct place *p, int64_t i)
{
	(void)sqlite3_bind_int64(s->look, 1, p->stage);
	(void)sqlite3_bind_int64(s->look, 2, p->device);
	must(sqlite3_step(s->look), "look");
	for (int c = 17; c < STEP_ROW_N + STAGE_ROW_N + ROLLOUT_ROW_N; c++)
		(void)sqlite3_column_int64(s->look, c);
	for (int c = 0; c < (int)(sizeof(written) / sizeof(written[0])); c++)
		(void)sqlite3_bind_value(s->step, c + 1, sqlite3_column_value(s->look, written[c]));
	must(sqlite3_reset(s->look), "look");
	(void)sqlite3_bind_int64(s->step, 1, 4 + i % 4);
	(void)sqlite3_bind_int64(s->step, 11, 1700000000000 + i);
	(void)sqlite3_bind_int64(s->step, 13, 1000 * i);
	(void)sqlite3_bind_int64(s->step, 14, 9000 * i);
	(void)sqlite3_bind_int64(s->step, 15, p->stage);
	(void)sqlite3_bind_int64(s->step, 16, p->device);
	run(s->step);
}

static void one(const struct statements *s, const struct place *p, int64_t i)
{
	read_and_update(s, p, i);
	(void)sqlite3_bind_int64(s->report, 1, p->device);
	(void)sqlite3_bind_int64(s->report, 2, p->stage);
	(void)sqlite3_bind_int64(s->report, 3, 1700000000000 + i);
	(void)sqlite3_bind_text(s->report, 4, "", 0, SQLITE_STATIC);
	(void)sqlite3_bind_text(s->report, 5, "", 0, SQLITE_STATIC);
	run(s->report);
}

static void end_batch(const struct statements *s, int64_t stage, int64_t i)
{
	char sums[400];

	(void)snprintf(sums, sizeof(sums), "%0399lld", (long long)i); /* as long as the counters */
	(void)sqlite3_bind_blob(s->stage, 1, sums, sizeof(sums) - 1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(s->stage, 2, stage);
	run(s->stage);
	run(s->commit);
}

int main(int argc, char **argv)
{
	int64_t reports = argc == 4 ? strtoll(argv[2], NULL, 10) : 0;
	int64_t batch = argc == 4 ? strtoll(argv[3], NULL, 10) : 0;
	struct statements s;
	struct place *all;
	double began;
	size_t n;

	if (reports <= 0 || batch <= 0) {
		(void)fprintf(stderr, "usage: raw-reports DATABASE REPORTS BATCH\n");
		return 2;
	}
	must(sqlite3_open_v2(argv[1], &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL),
		"open");
	script("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -32768;"
	       "PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 8192");
	all = places(&n);
	prepare_all(&s);
	began = now();
	for (int64_t i = 0; i < reports; i++) {
		if (i % batch == 0)
			run(s.begin);
		one(&s, &all[(size_t)i % n], i);
		if (i % batch == batch - 1 || i == reports - 1)
			end_batch(&s, all[(size_t)i % n].stage, i);
	}
	(void)printf("%.1f\n", (double)reports / (now() - began));
	free(all);
	return 0;
}
