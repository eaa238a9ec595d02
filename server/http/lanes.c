/* SPDX-License-Identifier: Apache-2.0
 *
 * DESIGN. Each lane is a queue with its threads. Pushing signals only when a thread sleeps: under load
 * nobody does, and a push is a lock and two pointers. The writer takes all that waits, up to
 * batch_max, as one batch; what arrives during its fsync is the next one. */
#include "server/http/lanes.h"

#include "server/http/http.h"
#include "server/http/loop.h"
#include "server/metrics.h"
#include "server/parts.h"
#include "server/rollouts.h"
#include "server/server.h"
#include "server/store/batch.h"
#include "server/store/db.h"

#include "lib/clock.h"
#include "lib/log.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define THREADS_MAX 64
#define LOOPS_MAX   64
#define IDLE_MS     500 /* the writer checkpoints after this long without work */
#define TOPICS      4096

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t filled;
	struct fl_list jobs;
	size_t sleepers;
	bool closed; /* the server ends: nothing more goes in */
	enum metric gauge;
};

struct lanes {
	struct queue write, read, work;
	pthread_t writer, readers[THREADS_MAX], workers[THREADS_MAX];
	bool writer_runs;
	size_t n_readers, n_workers;
	struct db *reader_db[THREADS_MAX];
	struct loop *loops;
	size_t n_loops;
	atomic_uint_fast64_t wakes;
	atomic_uint_fast64_t last_wake[TOPICS];
};

/* ---- queues */

static void queue_init(struct queue *q, enum metric gauge)
{
	pthread_condattr_t attr;

	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_mutex_init(&q->lock, NULL);
	(void)pthread_cond_init(&q->filled, &attr);
	(void)pthread_condattr_destroy(&attr);
	fl_list_init(&q->jobs);
	q->gauge = gauge;
}

static void queue_fini(struct queue *q)
{
	FL_BUG_IF(q->jobs.n != 0);
	(void)pthread_cond_destroy(&q->filled);
	(void)pthread_mutex_destroy(&q->lock);
}

static enum fl_code queue_push(
	struct server *s, struct queue *q, struct fl_link *link, bool internal, int64_t limit)
{
	enum fl_code code = FL_OK;

	(void)pthread_mutex_lock(&q->lock);
	if (q->closed || (!internal && (int64_t)q->jobs.n >= limit)) {
		code = FL_UNAVAILABLE;
	} else {
		fl_list_push(&q->jobs, link);
		metrics_set(s->metrics, q->gauge, (int64_t)q->jobs.n);
		if (q->sleepers > 0)
			(void)pthread_cond_signal(&q->filled);
	}
	(void)pthread_mutex_unlock(&q->lock);
	return code;
}

static struct timespec after_us(int64_t us)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += us / 1000000;
	t.tv_nsec += (us % 1000000) * 1000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return t;
}

/* Move up to `max` jobs to `out`, waiting for one: at most wait_ms, or for ever when it is 0. False
 * when the queue is closed and empty: the thread ends. */
static bool queue_take(
	struct server *s, struct queue *q, size_t max, int64_t wait_ms, struct fl_list *out)
{
	struct timespec until = after_us(wait_ms * 1000);
	bool alive;

	(void)pthread_mutex_lock(&q->lock);
	while (q->jobs.n == 0 && !q->closed) {
		int rc = 0;

		q->sleepers++;
		if (wait_ms > 0)
			rc = pthread_cond_timedwait(&q->filled, &q->lock, &until);
		else
			(void)pthread_cond_wait(&q->filled, &q->lock);
		q->sleepers--;
		if (rc != 0)
			break;
	}
	while (out->n < max && q->jobs.n > 0)
		fl_list_push(out, fl_list_shift(&q->jobs));
	metrics_set(s->metrics, q->gauge, (int64_t)q->jobs.n);
	alive = out->n > 0 || !q->closed;
	(void)pthread_mutex_unlock(&q->lock);
	return alive;
}

static void queue_close(struct queue *q)
{
	(void)pthread_mutex_lock(&q->lock);
	q->closed = true;
	(void)pthread_cond_broadcast(&q->filled);
	(void)pthread_mutex_unlock(&q->lock);
}

enum fl_code lanes_write(struct server *s, struct write_job *job)
{
	return queue_push(s, &s->lanes->write, &job->link, job->internal, s->settings->write_queue);
}

enum fl_code lanes_work(struct server *s, struct work_job *job)
{
	return queue_push(s, &s->lanes->work, &job->link, job->internal, s->settings->work_queue);
}

enum fl_code lanes_read(struct server *s, struct read_job *job)
{
	return queue_push(s, &s->lanes->read, &job->link, job->internal, s->settings->read_queue);
}

/* ---- threads */

static void flush_done(struct lanes *l)
{
	for (size_t i = 0; i < l->n_loops; i++) {
		if (l->loops[i].batch_done.n > 0)
			loop_return(&l->loops[i], &l->loops[i].batch_done);
	}
}

static void *writer_main(void *arg)
{
	struct server *s = arg;
	struct lanes *l = s->lanes;
	struct fl_list jobs;
	bool told = false;

	(void)pthread_setname_np(pthread_self(), "fleetd-writer");
	fl_list_init(&jobs);
	while (queue_take(s, &l->write, (size_t)s->settings->batch_max, IDLE_MS, &jobs)) {
		if (jobs.n == 0) {
			batch_checkpoint(s, true);
			continue;
		}
		rollouts_before_batch(s, &jobs);
		batch_run(s, &jobs);
		flush_done(l);
		batch_checkpoint(s, false);
		if (database_broken(s->database) && !told) {
			told = true;
			http_stop_broken(s);
		}
	}
	return NULL;
}

struct reader_start {
	struct server *server;
	struct db *db;
};

static void read_one(struct server *s, struct db *db, struct read_job *job)
{
	struct store store = { 0 };
	struct fl_err err = { 0 };

	if (database_snapshot(db, &store, &err) != FL_OK) {
		/* The job still runs: its first statement fails and says why. */
		fl_log_error("a read snapshot could not be opened", FL_S("detail", err.msg));
		store = (struct store){ .db = db, .now_ms = fl_clock_ms(CLOCK_REALTIME) };
	}
	job->run(job, s, &store);
	database_snapshot_end(&store);
}

static void *reader_main(void *arg)
{
	struct reader_start start = *(struct reader_start *)arg;
	struct fl_list jobs;

	(void)pthread_setname_np(pthread_self(), "fleetd-reader");
	free(arg);
	fl_list_init(&jobs);
	while (queue_take(start.server, &start.server->lanes->read, 1, 0, &jobs)) {
		struct fl_link *link = fl_list_shift(&jobs);

		if (link != NULL)
			read_one(start.server, start.db, fl_container(link, struct read_job, link));
	}
	return NULL;
}

static void *worker_main(void *arg)
{
	struct server *s = arg;
	struct fl_list jobs;

	(void)pthread_setname_np(pthread_self(), "fleetd-worker");
	fl_list_init(&jobs);
	while (queue_take(s, &s->lanes->work, 1, 0, &jobs)) {
		struct fl_link *link = fl_list_shift(&jobs);
		struct work_job *job;

		if (link == NULL)
			continue;
		job = fl_container(link, struct work_job, link);
		job->run(job, s);
	}
	return NULL;
}

/* ---- wakes */

size_t lanes_topic_bucket(uint64_t topic)
{
	return (size_t)((topic * 0x9e3779b97f4a7c15u) >> 40) % TOPICS;
}

uint64_t lanes_wakes(const struct server *s)
{
	return atomic_load(&s->lanes->wakes);
}

uint64_t lanes_last_wake(const struct server *s, uint64_t topic)
{
	return atomic_load(&s->lanes->last_wake[lanes_topic_bucket(topic)]);
}

void request_wake(struct server *s, uint64_t topic)
{
	struct lanes *l = s->lanes;

	if (l == NULL)
		return; /* at start nobody waits */
	atomic_store(&l->last_wake[lanes_topic_bucket(topic)], atomic_fetch_add(&l->wakes, 1) + 1);
	for (size_t i = 0; i < l->n_loops; i++) {
		if (atomic_load(&l->loops[i].n_parked) > 0)
			loop_wake(&l->loops[i], topic);
	}
}

/* ---- up and down */

size_t lanes_loops(const struct server *s)
{
	return s->lanes == NULL ? 0 : s->lanes->n_loops;
}

struct loop *lanes_loop(const struct server *s, size_t i)
{
	return &s->lanes->loops[i];
}

int64_t lanes_busy_us(const struct server *s)
{
	int64_t busy = 0;

	for (size_t i = 0; i < lanes_loops(s); i++)
		busy += loop_busy_us(&s->lanes->loops[i]);
	return busy;
}

static enum fl_code start_thread(
	pthread_t *thread, void *(*fn)(void *), void *arg, struct fl_err *err)
{
	int rc = pthread_create(thread, NULL, fn, arg);

	return rc == 0 ? FL_OK : fl_fail_errno(err, rc, "cannot start a thread");
}

static enum fl_code start_reader(struct server *s, struct fl_err *err)
{
	struct lanes *l = s->lanes;
	struct reader_start *start;
	enum fl_code code = database_reader(s, &l->reader_db[l->n_readers], err);

	if (code != FL_OK)
		return code;
	start = malloc(sizeof(*start));
	if (start == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a reader");
	*start = (struct reader_start){ .server = s, .db = l->reader_db[l->n_readers] };
	code = start_thread(&l->readers[l->n_readers], reader_main, start, err);
	if (code != FL_OK)
		free(start);
	else
		l->n_readers++;
	return code;
}

static enum fl_code start_threads(struct server *s, struct fl_err *err)
{
	struct lanes *l = s->lanes;
	const struct settings *set = s->settings;
	enum fl_code code = start_thread(&l->writer, writer_main, s, err);

	l->writer_runs = code == FL_OK;
	while (code == FL_OK && l->n_readers < (size_t)set->readers)
		code = start_reader(s, err);
	while (code == FL_OK && l->n_workers < (size_t)set->workers) {
		code = start_thread(&l->workers[l->n_workers], worker_main, s, err);
		if (code == FL_OK)
			l->n_workers++;
	}
	return code;
}

static enum fl_code start_loops(struct server *s, struct fl_err *err)
{
	struct lanes *l = s->lanes;
	size_t n = (size_t)s->settings->loops;
	enum fl_code code = FL_OK;

	l->loops = calloc(n, sizeof(*l->loops));
	if (l->loops == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the loops");
	while (code == FL_OK && l->n_loops < n) {
		code = loop_init(&l->loops[l->n_loops], s, (int)l->n_loops, err);
		if (code == FL_OK)
			l->n_loops++;
	}
	return code;
}

enum fl_code lanes_up(struct server *s, struct fl_err *err)
{
	struct lanes *l = calloc(1, sizeof(*l));
	sigset_t all, old;
	enum fl_code code;

	if (l == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the lanes");
	s->lanes = l;
	queue_init(&l->write, METRIC_WRITE_QUEUE);
	queue_init(&l->read, METRIC_READ_QUEUE);
	queue_init(&l->work, METRIC_WORK_QUEUE);
	code = start_loops(s, err);
	/* Signals are for the first loop's thread. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	if (code == FL_OK)
		code = start_threads(s, err);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (code != FL_OK)
		lanes_down(s);
	return code;
}

void lanes_drain(struct server *s)
{
	struct lanes *l = s->lanes;

	/* Workers and readers may still hand work to the writer, so it ends last. */
	queue_close(&l->work);
	for (; l->n_workers > 0; l->n_workers--)
		(void)pthread_join(l->workers[l->n_workers - 1], NULL);
	queue_close(&l->read);
	for (; l->n_readers > 0; l->n_readers--)
		(void)pthread_join(l->readers[l->n_readers - 1], NULL);
	queue_close(&l->write);
	if (l->writer_runs)
		(void)pthread_join(l->writer, NULL);
	l->writer_runs = false;
}

void lanes_down(struct server *s)
{
	struct lanes *l = s->lanes;

	if (l == NULL)
		return;
	lanes_drain(s);
	for (size_t i = 0; i < THREADS_MAX; i++)
		db_close(l->reader_db[i]);
	for (size_t i = 0; i < l->n_loops; i++)
		loop_fini(&l->loops[i]);
	queue_fini(&l->write);
	queue_fini(&l->read);
	queue_fini(&l->work);
	free(l->loops);
	free(l);
	s->lanes = NULL;
}
