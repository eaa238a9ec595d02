/* SPDX-License-Identifier: Apache-2.0
 *
 * Group commit: many jobs, one transaction, one fsync.
 *
 * DESIGN. batch_run opens a transaction and runs each job under a savepoint of its own. A refused
 * job rolls back alone, with its effects. Then the sums of the effects are applied (effects.h), and
 * COMMIT runs with synchronous=FULL. Only after it the effects on memory run and the jobs' done
 * functions hear FL_OK. If the engine ended the transaction (full disk, I/O error, no memory), or a
 * sum could not be applied, or COMMIT failed, nothing happened: all hear FL_UNAVAILABLE. After an
 * I/O error the database is `broken`: every later batch is refused, and the process must stop.
 *
 * A savepoint costs about as much as a small job. A batch whose jobs may all be run again (device
 * reports and polls) therefore starts without: a refusal that has changed no row needs none. If one
 * has, the transaction is rolled back and the batch runs once more, with savepoints.
 *
 * Only the writer's connection checkpoints (the WAL-reset bug of SQLite before 3.51.3: checkpoints
 * by several connections can corrupt the file). */
#ifndef STORE_BATCH_H
#define STORE_BATCH_H

#include "lib/list.h"
#include "server/effects.h"
#include "server/store/store.h"

struct server;
struct db;
struct database;

/* Something to run in a transaction. */
typedef enum fl_code (*database_fn)(
	struct server *s, struct store *store, struct effects *e, void *arg, struct fl_err *err);

/* Run fn in a transaction of its own, with effects, as a batch of one. Only while the writer thread
 * does not run: at start before lanes_up, at the end after lanes_drain, in tools and tests. The error is fn's own. */
enum fl_code database_run(
	struct server *s, database_fn fn, void *arg, struct fl_err *err) FL_MUST_CHECK;

/* Run the write jobs (struct write_job, http/lanes.h) on the list, in order, as one batch, and call
 * their done functions. The list is empty afterwards. Writer thread. */
void batch_run(struct server *s, struct fl_list *jobs);

/* Copy the write-ahead log into the database as far as readers allow, if it is larger than the
 * setting says, or if `idle` and there is anything in it. Writer thread, between batches. */
void batch_checkpoint(struct server *s, bool idle);

/* Whether an I/O error has ended the use of this database; any thread. */
bool database_broken(const struct database *d);

/* Open one more read-only connection; the caller closes it with db_close. Any thread. */
enum fl_code database_reader(struct server *s, struct db **out, struct fl_err *err) FL_MUST_CHECK;

/* Begin and end a read snapshot on a connection of database_reader. */
enum fl_code database_snapshot(struct db *db, struct store *out, struct fl_err *err) FL_MUST_CHECK;
void database_snapshot_end(struct store *store);

#endif
