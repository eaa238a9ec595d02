/* SPDX-License-Identifier: Apache-2.0 */
#include "server/delta_service.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "lib/list.h"
#include "lib/log.h"
#include "server/delta_build.h"
#include "server/delta_cache.h"
#include "server/http/request.h"
#include "server/metrics.h"
#include "server/parts.h"
#include "server/server.h"

#define BUCKETS      1024
#define BUILDERS_MAX 64
#define WARM_TIMES   16 /* warmed pairs that may wait, as a multiple of the asked ones */
#define FLUSH_S      2

/* Where a pair is. */
enum place { ASKED, WARMED, RUNNING };

struct job {
	struct fl_link link; /* of its place's list */
	struct job *next;    /* of its bucket */
	struct delta_pair pair;
	enum place place;
};

struct builder {
	struct delta_service *service;
	pthread_t thread;
	struct delta_context context;
};

struct delta_service {
	struct server *server;
	struct delta_options options;
	int stop_fd;
	struct delta_uses uses;
	pthread_mutex_t trim; /* one builder at a time makes space */
	size_t n_builders;
	struct builder builders[BUILDERS_MAX];

	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t filled;
	bool stopping;
	time_t flushed;          /* monotonic seconds */
	struct fl_list lists[3]; /* by place */
	struct job *buckets[BUCKETS];
	struct delta_figures figures;
};

/* ---- pairs, once each; all under the lock */

static struct job **bucket_of(struct delta_service *d, struct delta_pair pair)
{
	uint64_t h = (uint64_t)pair.from * 0x9e3779b97f4a7c15ULL ^ (uint64_t)pair.to;

	return &d->buckets[(h * 0x9e3779b97f4a7c15ULL) >> 54];
}

static struct job *find_job(struct delta_service *d, struct delta_pair pair)
{
	struct job *j = *bucket_of(d, pair);

	while (j != NULL && (j->pair.from != pair.from || j->pair.to != pair.to))
		j = j->next;
	return j;
}

static void move_job(struct delta_service *d, struct job *j, enum place place)
{
	fl_list_remove(&d->lists[j->place], &j->link);
	fl_list_push(&d->lists[place], &j->link);
	j->place = place;
}

static struct job *add_job(struct delta_service *d, struct delta_pair pair, enum place place)
{
	struct job *j = calloc(1, sizeof(*j));
	struct job **bucket = bucket_of(d, pair);

	if (j == NULL)
		return NULL;
	j->pair = pair;
	j->place = place;
	j->next = *bucket;
	*bucket = j;
	fl_list_push(&d->lists[place], &j->link);
	return j;
}

static void drop_job(struct delta_service *d, struct job *j)
{
	struct job **at = bucket_of(d, j->pair);

	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
	fl_list_remove(&d->lists[j->place], &j->link);
	free(j);
}

static bool has_room(const struct delta_service *d, enum place place)
{
	int64_t max = place == ASKED ? d->options.queue_max : d->options.queue_max * WARM_TIMES;

	return (int64_t)d->lists[place].n < max;
}

static void show_queue(struct delta_service *d)
{
	metrics_set(d->server->metrics, METRIC_DELTA_QUEUE,
		(int64_t)(d->lists[ASKED].n + d->lists[WARMED].n));
}

/* ---- what others call */

bool delta_service_ask(struct delta_service *d, struct delta_pair pair)
{
	struct job *j;
	bool taken;

	(void)pthread_mutex_lock(&d->lock);
	j = find_job(d, pair);
	if (j != NULL && j->place == WARMED && has_room(d, ASKED))
		move_job(d, j, ASKED);
	if (j == NULL && !d->stopping && has_room(d, ASKED))
		j = add_job(d, pair, ASKED);
	taken = j != NULL && !d->stopping;
	if (!taken) {
		d->figures.refused++;
		metrics_add(d->server->metrics, METRIC_DELTAS_REFUSED, 1);
	}
	show_queue(d);
	(void)pthread_cond_signal(&d->filled);
	(void)pthread_mutex_unlock(&d->lock);
	return taken;
}

size_t delta_service_warm(struct delta_service *d, const struct delta_pair *pairs, size_t n)
{
	size_t taken = 0;

	(void)pthread_mutex_lock(&d->lock);
	while (taken < n && !d->stopping) {
		if (pairs[taken].from != pairs[taken].to && find_job(d, pairs[taken]) == NULL &&
			(!has_room(d, WARMED) || add_job(d, pairs[taken], WARMED) == NULL))
			break;
		taken++;
	}
	show_queue(d);
	(void)pthread_cond_broadcast(&d->filled);
	(void)pthread_mutex_unlock(&d->lock);
	return taken;
}

void delta_service_used(struct delta_service *d, int64_t id)
{
	delta_cache_used(&d->uses, id);
}

struct delta_figures delta_service_figures(struct delta_service *d)
{
	struct delta_figures f;

	(void)pthread_mutex_lock(&d->lock);
	f = d->figures;
	f.waiting = (int64_t)d->lists[ASKED].n;
	f.warming = (int64_t)d->lists[WARMED].n;
	f.building = (int64_t)d->lists[RUNNING].n;
	(void)pthread_mutex_unlock(&d->lock);
	return f;
}

/* ---- builders */

static time_t monotonic_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* Whether it is time to write uses; under the lock. */
static bool flush_due(struct delta_service *d)
{
	time_t now = monotonic_s();

	if (now - d->flushed < FLUSH_S)
		return false;
	d->flushed = now;
	return true;
}

/* The next pair, NULL when the service stops or uses are to be written. Under the lock. */
static struct job *next_job(struct delta_service *d)
{
	struct timespec until = { .tv_sec = monotonic_s() + FLUSH_S };
	struct fl_link *link;

	while (!d->stopping && d->lists[ASKED].n + d->lists[WARMED].n == 0)
		if (pthread_cond_timedwait(&d->filled, &d->lock, &until) == ETIMEDOUT)
			return NULL;
	if (d->stopping)
		return NULL;
	link = fl_list_first(&d->lists[d->lists[ASKED].n > 0 ? ASKED : WARMED]);
	return fl_container(link, struct job, link);
}

/* Before a pair its target alone: whether the pair pays is judged by it. NULL if another builder is
 * at it. Under the lock. */
static struct job *full_of(struct delta_service *d, const struct job *j)
{
	const struct delta_pair pair = { 0, j->pair.to };
	struct job *full = find_job(d, pair);

	if (j->pair.from == 0 || (full != NULL && full->place == RUNNING))
		return NULL;
	if (full == NULL)
		return add_job(d, pair, RUNNING);
	move_job(d, full, RUNNING);
	return full;
}

static void count(struct delta_service *d, const struct delta_outcome *o)
{
	struct metrics *m = d->server->metrics;

	d->figures.built += o->built;
	d->figures.useless += o->useless;
	d->figures.failed += o->failed;
	metrics_add(m, METRIC_DELTAS_BUILT, o->built);
	metrics_add(m, METRIC_DELTAS_USELESS, o->useless);
	metrics_add(m, METRIC_DELTAS_FAILED, o->failed);
}

/* Build a running job; gives up the lock meanwhile and drops the job. */
static void run_job(struct builder *b, struct job *j)
{
	struct delta_service *d = b->service;
	struct delta_outcome outcome = { 0 };
	struct delta_pair pair = j->pair;

	(void)pthread_mutex_unlock(&d->lock);
	delta_build_pair(&b->context, &d->options, pair, &outcome);
	(void)pthread_mutex_lock(&d->lock);
	count(d, &outcome);
	drop_job(d, j);
	(void)pthread_mutex_unlock(&d->lock);
	request_wake(d->server, TOPIC(TOPIC_DELTA, pair.to));
	if (outcome.built > 0) {
		int64_t evicted;

		(void)pthread_mutex_lock(&d->trim);
		delta_cache_flush(&b->context, &d->uses);
		evicted = delta_cache_trim(&b->context, d->options.cache_max);
		(void)pthread_mutex_unlock(&d->trim);
		metrics_add(d->server->metrics, METRIC_DELTAS_EVICTED, evicted);
		(void)pthread_mutex_lock(&d->lock);
		d->figures.evicted += evicted;
		(void)pthread_mutex_unlock(&d->lock);
	}
	(void)pthread_mutex_lock(&d->lock);
}

static void work(struct builder *b)
{
	struct delta_service *d = b->service;
	struct job *j = next_job(d), *full;

	if (j != NULL) {
		move_job(d, j, RUNNING);
		full = full_of(d, j);
		show_queue(d);
		if (full != NULL)
			run_job(b, full);
		run_job(b, j);
	}
	if (flush_due(d)) {
		(void)pthread_mutex_unlock(&d->lock);
		delta_cache_flush(&b->context, &d->uses);
		(void)pthread_mutex_lock(&d->lock);
	}
}

static void *builder_main(void *arg)
{
	struct builder *b = arg;
	struct delta_service *d = b->service;

	if (b == &d->builders[0])
		delta_cache_sweep(&b->context);
	(void)pthread_mutex_lock(&d->lock);
	while (!d->stopping)
		work(b);
	(void)pthread_mutex_unlock(&d->lock);
	if (b == &d->builders[0])
		delta_cache_flush(&b->context, &d->uses);
	delta_context_fini(&b->context);
	return NULL;
}

/* ---- start and stop */

static void init(struct delta_service *d, struct server *s, const struct delta_options *o)
{
	pthread_condattr_t attr;

	d->server = s;
	d->options = *o;
	d->flushed = monotonic_s();
	for (size_t i = 0; i < FL_COUNT(d->lists); i++)
		fl_list_init(&d->lists[i]);
	(void)pthread_mutex_init(&d->lock, NULL);
	(void)pthread_mutex_init(&d->trim, NULL);
	(void)pthread_mutex_init(&d->uses.lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&d->filled, &attr);
	(void)pthread_condattr_destroy(&attr);
}

static enum fl_code start_builders(struct delta_service *d, struct fl_err *err)
{
	for (size_t i = 0; i < (size_t)d->options.builders && i < BUILDERS_MAX; i++) {
		struct builder *b = &d->builders[i];

		b->service = d;
		b->context = (struct delta_context){ .server = d->server, .stop_fd = d->stop_fd };
		if (pthread_create(&b->thread, NULL, builder_main, b) != 0)
			return fl_fail(
				err, FL_UNAVAILABLE, "cannot start a thread that builds deltas");
		d->n_builders++;
	}
	return FL_OK;
}

enum fl_code delta_service_start(struct server *s, const struct delta_options *o,
	struct delta_service **out, struct fl_err *err)
{
	struct delta_service *d = calloc(1, sizeof(*d));
	enum fl_code code;

	if (d == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the delta service");
	init(d, s, o);
	d->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	code = d->stop_fd < 0 ? fl_fail_errno(err, errno, "cannot make an eventfd")
			      : start_builders(d, err);
	if (code != FL_OK) {
		delta_service_stop(d);
		return code;
	}
	*out = d;
	return FL_OK;
}

void delta_service_stop(struct delta_service *d)
{
	static const uint64_t one = 1;

	if (d == NULL)
		return;
	(void)pthread_mutex_lock(&d->lock);
	d->stopping = true;
	(void)pthread_cond_broadcast(&d->filled);
	(void)pthread_mutex_unlock(&d->lock);
	if (d->stop_fd >= 0 && write(d->stop_fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
		fl_log_warning("a running build is waited for", FL_N("builders", d->n_builders));
	for (size_t i = 0; i < d->n_builders; i++)
		(void)pthread_join(d->builders[i].thread, NULL);
	for (size_t i = 0; i < FL_COUNT(d->lists); i++)
		while (d->lists[i].n > 0)
			drop_job(d, fl_container(fl_list_first(&d->lists[i]), struct job, link));
	(void)pthread_cond_destroy(&d->filled);
	(void)pthread_mutex_destroy(&d->uses.lock);
	(void)pthread_mutex_destroy(&d->trim);
	(void)pthread_mutex_destroy(&d->lock);
	if (d->stop_fd >= 0)
		(void)close(d->stop_fd);
	free(d);
}

enum fl_code deltas_up(struct server *s, struct fl_err *err)
{
	const struct settings *set = s->settings;
	const struct delta_options o = {
		.size_max = set->delta_size,
		.cache_max = set->delta_cache,
		.builders = set->delta_builders,
		.queue_max = set->delta_queue,
		.worker_memory = set->delta_memory,
		.worker_cpu_ms = set->delta_cpu,
		.worker_ms = set->delta_time,
	};

	return delta_service_start(s, &o, &s->deltas, err);
}

void deltas_down(struct server *s)
{
	delta_service_stop(s->deltas);
	s->deltas = NULL;
}
