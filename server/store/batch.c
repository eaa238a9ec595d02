/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store/batch.h"

#include "server/http/lanes.h"
#include "server/metrics.h"
#include "server/parts.h"
#include "server/server.h"
#include "server/store/db.h"
#include "server/store/migrate.h"
#include "server/store/stage_cache.h"

#include "lib/clock.h"
#include "lib/log.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FILE_NAME "fleetd.db"
#define JOBS_MAX  4096

/* What became of one job before COMMIT. */
struct outcome {
	struct write_job *job;
	enum fl_code code;
	struct fl_err err; /* only meaningful when code is not FL_OK */
};

struct database {
	struct db *writer;
	struct effects *effects;
	struct stage_cache *stages;
	struct outcome *outcomes; /* JOBS_MAX */
	char path[PATH_MAX];
	atomic_bool broken;
};

bool database_broken(const struct database *d)
{
	return atomic_load(&d->broken);
}

/* ---- open and close */

static enum fl_code migrate(struct database *d, struct fl_err *err)
{
	struct db *db = NULL;
	const struct db_options o = { .path = d->path, .mode = DB_BARE };
	enum fl_code code = db_open(&o, &db, err);

	if (code == FL_OK)
		code = migrate_run(db, migrate_sqlite, err);
	db_close(db);
	return code;
}

static enum fl_code open_all(struct server *s, struct database *d, struct fl_err *err)
{
	const struct settings *set = s->settings;
	const struct db_options o = { .path = d->path,
		.mode = DB_WRITER,
		.cache_bytes = set->db_cache,
		.mmap_bytes = set->db_mmap };
	enum fl_code code;

	if (snprintf(d->path, sizeof(d->path), "%s/%s", set->data_dir, FILE_NAME) >=
		(int)sizeof(d->path))
		return fl_fail(err, FL_INVALID, "data_dir is too long");
	d->effects = effects_new();
	d->outcomes = calloc(JOBS_MAX, sizeof(*d->outcomes));
	d->stages = stage_cache_new();
	if (d->effects == NULL || d->outcomes == NULL || d->stages == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the database");
	code = migrate(d, err);
	if (code == FL_OK)
		code = db_open(&o, &d->writer, err);
	return code == FL_OK ? code : fl_wrap(err, "database %s", d->path);
}

enum fl_code database_up(struct server *s, struct fl_err *err)
{
	enum fl_code code;

	s->database = calloc(1, sizeof(*s->database));
	if (s->database == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the database");
	code = open_all(s, s->database, err);
	if (code != FL_OK)
		database_down(s);
	return code;
}

void database_down(struct server *s)
{
	struct database *d = s->database;

	if (d == NULL)
		return;
	if (d->writer != NULL && !database_broken(d))
		batch_checkpoint(s, true);
	db_close(d->writer);
	effects_free(d->effects);
	stage_cache_free(d->stages);
	free(d->outcomes);
	free(d);
	s->database = NULL;
}

enum fl_code database_reader(struct server *s, struct db **out, struct fl_err *err)
{
	const struct settings *set = s->settings;
	const struct db_options o = { .path = s->database->path,
		.mode = DB_READER,
		.cache_bytes = set->db_reader_cache,
		.mmap_bytes = set->db_mmap };

	return db_open(&o, out, err);
}

enum fl_code database_snapshot(struct db *db, struct store *out, struct fl_err *err)
{
	enum fl_code code = db_begin_read(db, err);

	if (code == FL_OK)
		*out = (struct store){
			.db = db, .write = false, .now_ms = fl_clock_ms(CLOCK_REALTIME)
		};
	return code;
}

void database_snapshot_end(struct store *store)
{
	db_rollback(store->db);
	*store = (struct store){ 0 };
}

/* ---- one batch */

/* Run the job; what it returns is in `o`. A failure: the engine has ended the transaction. */
static enum fl_code call_job(
	struct server *s, struct store *store, struct outcome *o, struct fl_err *err)
{
	struct database *d = s->database;

	o->err.code = FL_OK;
	o->err.msg[0] = '\0';
	o->code = o->job->run(o->job, store, d->effects, &o->err);
	if (o->code == FL_OK)
		o->code = effects_check(d->effects, &o->err);
	if (!db_transaction_lost(d->writer))
		return FL_OK;
	*err = o->err;
	return o->code != FL_OK ? o->code : FL_IO;
}

/* Under its savepoint. A returned failure ends the batch; a refusal is in `o`. */
static enum fl_code run_job(
	struct server *s, struct store *store, struct outcome *o, struct fl_err *err)
{
	struct database *d = s->database;
	struct effects_mark mark = effects_mark(d->effects);
	enum fl_code code = db_savepoint(d->writer, err);

	if (code == FL_OK)
		code = call_job(s, store, o, err);
	if (code != FL_OK)
		return code;
	if (o->code == FL_OK)
		return db_release(d->writer, err);
	effects_undo(d->effects, mark);
	stage_cache_undo(d->stages);
	return db_rollback_to(d->writer, err);
}

/* Without one. *undo: it was refused after it had changed something. */
static enum fl_code try_job(
	struct server *s, struct store *store, struct outcome *o, bool *undo, struct fl_err *err)
{
	struct database *d = s->database;
	struct effects_mark mark = effects_mark(d->effects);
	int64_t before = db_total_changes(d->writer);
	enum fl_code code = call_job(s, store, o, err);

	if (code != FL_OK || o->code == FL_OK)
		return code;
	effects_undo(d->effects, mark);
	*undo = db_total_changes(d->writer) != before;
	return FL_OK;
}

static bool may_run_again(const struct database *d, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!d->outcomes[i].job->again)
			return false;
	}
	return n > 1;
}

/* BEGIN and all jobs. */
static enum fl_code run_jobs(struct server *s, size_t n, struct store *store, struct fl_err *err)
{
	struct database *d = s->database;
	bool undo = false;
	enum fl_code code = db_begin(d->writer, err);

	if (code == FL_OK && may_run_again(d, n)) {
		for (size_t i = 0; i < n && code == FL_OK && !undo; i++)
			code = try_job(s, store, &d->outcomes[i], &undo, err);
		if (code != FL_OK || !undo)
			return code;
		metrics_add(s->metrics, METRIC_BATCHES_AGAIN, 1);
		db_rollback(d->writer);
		stage_cache_undo(d->stages);
		effects_reset(d->effects);
		code = db_begin(d->writer, err);
	}
	for (size_t i = 0; i < n && code == FL_OK; i++)
		code = run_job(s, store, &d->outcomes[i], err);
	return code;
}

static enum fl_code commit(struct server *s, struct fl_err *err)
{
	struct db *db = s->database->writer;
	int64_t began = fl_clock_us(CLOCK_MONOTONIC);
	enum fl_code code = db_commit(db, err);

	if (code == FL_OK)
		metrics_time(
			s->metrics, METRIC_COMMIT_SECONDS, fl_clock_us(CLOCK_MONOTONIC) - began);
	else
		(void)fl_wrap(err, "commit");
	return code;
}

/* Everything from BEGIN to COMMIT. After a failure nothing of it is in the database. */
static enum fl_code transact(struct server *s, size_t n, struct fl_err *err)
{
	struct database *d = s->database;
	struct store store = {
		.db = d->writer,
		.stages = d->stages,
		.write = true,
		.now_ms = fl_clock_ms(CLOCK_REALTIME),
	};
	int64_t began = fl_clock_us(CLOCK_MONOTONIC);
	enum fl_code code = run_jobs(s, n, &store, err);

	if (code == FL_OK)
		code = effects_apply_sums(d->effects, s, &store, err);
	metrics_time(s->metrics, METRIC_HOLD_SECONDS, fl_clock_us(CLOCK_MONOTONIC) - began);
	if (code == FL_OK)
		code = commit(s, err);
	if (code == FL_OK) {
		stage_cache_commit(d->stages);
		return FL_OK;
	}
	db_rollback(d->writer);
	stage_cache_undo(d->stages);
	db_forget_uncommitted(d->writer);
	return code;
}

/* Say once what happened, and whether it can go on. */
static void note_loss(struct server *s, size_t n, enum fl_code code, const struct fl_err *err)
{
	struct database *d = s->database;

	metrics_add(s->metrics, METRIC_BATCHES_LOST, 1);
	if (db_failed(d->writer) && !atomic_exchange(&d->broken, true))
		fl_log_error("the database had an I/O error; fleetd stops, and recovers when it is "
			     "started again: check the disk first",
			FL_S("detail", err->msg), FL_N("jobs", n));
	else
		fl_log_error(
			"a batch could not be committed; its requests got 503 and changed nothing",
			FL_S("type", fl_problem_type(code)), FL_S("detail", err->msg),
			FL_N("jobs", n));
}

/* What a job hears when its batch is lost; a full disk is worth naming. */
static struct fl_err loss_of(enum fl_code code)
{
	struct fl_err err = { 0 };

	(void)fl_fail(&err, FL_UNAVAILABLE, "%s",
		code == FL_FULL ? "the server's disk is full; nothing was changed"
				: "the change could not be stored; nothing was changed");
	return err;
}

static void tell(struct server *s, size_t n, enum fl_code code)
{
	struct database *d = s->database;
	struct fl_err lost = { 0 };
	int64_t refused = 0;

	if (code != FL_OK)
		lost = loss_of(code);
	for (size_t i = 0; i < n; i++) {
		struct outcome *o = &d->outcomes[i];

		refused += o->code != FL_OK;
		if (code != FL_OK)
			o->job->done(o->job, s, FL_UNAVAILABLE, &lost);
		else
			o->job->done(o->job, s, o->code, &o->err);
	}
	metrics_add(s->metrics, METRIC_BATCH_REFUSED, refused);
}

static void run_some(struct server *s, struct fl_list *jobs)
{
	struct database *d = s->database;
	struct fl_err err = { 0 };
	enum fl_code code = FL_IO;
	size_t n = 0;

	while (n < JOBS_MAX && jobs->n > 0) {
		d->outcomes[n].job = fl_container(fl_list_shift(jobs), struct write_job, link);
		d->outcomes[n++].code = FL_OK;
	}
	if (!database_broken(d)) {
		effects_reset(d->effects);
		code = transact(s, n, &err);
		if (code == FL_OK)
			effects_run_after(d->effects, s);
		else
			note_loss(s, n, code, &err);
	}
	metrics_add(s->metrics, METRIC_BATCHES, 1);
	metrics_add(s->metrics, METRIC_BATCH_JOBS, (int64_t)n);
	tell(s, n, code);
	metrics_set(s->metrics, METRIC_WAL_BYTES, db_wal_bytes(d->writer));
}

void batch_run(struct server *s, struct fl_list *jobs)
{
	while (jobs->n > 0)
		run_some(s, jobs);
}

void batch_checkpoint(struct server *s, bool idle)
{
	struct database *d = s->database;
	int64_t bytes = db_wal_bytes(d->writer);
	struct fl_err err = { 0 };

	if (bytes == 0 || database_broken(d) || (!idle && bytes < s->settings->checkpoint_size))
		return;
	if (db_checkpoint(d->writer, &err) != FL_OK)
		fl_log_warning("a checkpoint failed; the write-ahead log grows until one succeeds",
			FL_S("detail", err.msg));
	if (db_failed(d->writer))
		atomic_store(&d->broken, true);
	metrics_add(s->metrics, METRIC_CHECKPOINTS, 1);
	metrics_set(s->metrics, METRIC_WAL_BYTES, db_wal_bytes(d->writer));
}

/* ---- a batch of one, without the lanes */

struct lone {
	struct write_job job;
	struct server *server;
	database_fn fn;
	void *arg;
	enum fl_code code;
	struct fl_err *err;
};

static enum fl_code lone_run(
	struct write_job *job, struct store *store, struct effects *e, struct fl_err *err)
{
	struct lone *l = fl_container(job, struct lone, job);

	return l->fn(l->server, store, e, l->arg, err);
}

static void lone_done(
	struct write_job *job, struct server *s, enum fl_code code, const struct fl_err *err)
{
	struct lone *l = fl_container(job, struct lone, job);

	(void)s;
	l->code = code;
	if (code != FL_OK && l->err != NULL)
		*l->err = *err;
}

enum fl_code database_run(struct server *s, database_fn fn, void *arg, struct fl_err *err)
{
	struct lone lone = { .job = { .run = lone_run, .done = lone_done },
		.server = s,
		.fn = fn,
		.arg = arg,
		.err = err };
	struct fl_list jobs;

	fl_list_init(&jobs);
	fl_list_push(&jobs, &lone.job.link);
	batch_run(s, &jobs);
	return lone.code;
}
