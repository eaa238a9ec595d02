/* SPDX-License-Identifier: Apache-2.0
 *
 * The lanes: threads and bounded queues between the loop and the work.
 *
 *   loop --push--> [read: N threads] --done--> loop (one uv_async per batch)
 *        --push--> [write: the one writer, a batch = one transaction] --done-->
 *        --push--> [work: pool] --done-->
 *
 * Requests travel as jobs; so does the server's own work (timers, plan slices, finished deltas). */
#ifndef HTTP_LANES_H
#define HTTP_LANES_H

#include "server/effects.h"
#include "server/http/request.h"

#include "lib/list.h"

/* Something that runs in the write lane under its own savepoint. Embedded in its owner. */
struct write_job {
	struct fl_link link; /* lanes only */
	/* Runs on the writer; may be run again after a failed batch of others. */
	enum fl_code (*run)(
		struct write_job *job, struct store *store, struct effects *e, struct fl_err *err);
	/* Runs on the writer after COMMIT (code FL_OK) or after its refusal; the job may be freed. */
	void (*done)(struct write_job *job, struct server *server, enum fl_code code,
		const struct fl_err *err);
	bool internal; /* the server's own: passes the queue limit */
	bool again;    /* `run` may be called twice for one `done`, with the database as it was: its
			* batch first tries without savepoints (store/batch.h) */
};

/* Something that runs on a worker thread. */
struct work_job {
	struct fl_link link; /* lanes only */
	void (*run)(struct work_job *job, struct server *server);
	bool internal;
};

/* Something that reads a snapshot on a reader thread. */
struct read_job {
	struct fl_link link; /* lanes only */
	void (*run)(struct read_job *job, struct server *server, struct store *store);
	bool internal;
};

/* Queue a job; any thread. FL_UNAVAILABLE when the queue is full (never for internal ones), or when
 * the server stops. The job is borrowed until its done/run has been called. */
enum fl_code lanes_write(struct server *s, struct write_job *job) FL_MUST_CHECK;
enum fl_code lanes_work(struct server *s, struct work_job *job) FL_MUST_CHECK;
enum fl_code lanes_read(struct server *s, struct read_job *job) FL_MUST_CHECK;

/* Call fn(server, arg) on the first loop's thread after `delay_ms` (0: next turn); any thread. The
 * one way to have a timer. `arg` is borrowed until then. When the server stops, fn of timers that have
 * not fired is never called. */
typedef void (*loop_fn)(struct server *s, void *arg);
void loop_after(struct server *s, int64_t delay_ms, loop_fn fn, void *arg);

/* How long the loops have worked since the start, in microseconds, summed: its growth says how much there
 * is to serve. Any thread. */
int64_t lanes_busy_us(const struct server *s);

/* ---- for files in server/http/ only */

/* How many wakes there have been, and which of them was the last for `topic` or one that shares its
 * bucket. Any thread. */
uint64_t lanes_wakes(const struct server *s);
uint64_t lanes_last_wake(const struct server *s, uint64_t topic);
size_t lanes_topic_bucket(uint64_t topic);
/* The loops; `i` < lanes_loops. They live from lanes_up to lanes_down. */
struct loop;
size_t lanes_loops(const struct server *s);
struct loop *lanes_loop(const struct server *s, size_t i);
/* End the threads of the lanes once their queues are empty, then come back. Jobs that are pushed
 * meanwhile are refused. Main thread, after the loops have ended. */
void lanes_drain(struct server *s);

#endif
