/* SPDX-License-Identifier: Apache-2.0 */
#include "server/delta_service.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "server/delta_build.h"
#include "server/delta_cache.h"
#include "server/delta_warm.h"
#include "server/http/request.h"
#include "server/metrics.h"
#include "server/parts.h"
#include "server/server.h"

#define BUILDERS_MAX 64
#define OTHERS_TIMES 16 /* jobs of a kind that may wait, as a multiple of the asked ones */
#define FLUSH_S      2
#define TURNS_MAX    32

struct builder {
	struct delta_service *service;
	pthread_t thread;
	struct delta_context context;
	bool background;
};

struct delta_service {
	struct server *server;
	struct delta_options options;
	int stop_fd;
	struct delta_uses uses;
	pthread_mutex_t trim; /* one builder at a time makes space */
	size_t n_builders;
	struct builder builders[2 * BUILDERS_MAX];

	pthread_mutex_t lock;   /* guards the rest */
	pthread_cond_t filled;  /* something quick */
	pthread_cond_t improve; /* something for the background */
	bool stopping;
	int64_t flushed_ms; /* by the monotonic clock */
	struct delta_queue queue;
	delta_mask seen;            /* best tiers that devices can use */
	int64_t turns[TURNS_MAX];   /* the last rollouts that went back: a ring */
	size_t turned, turned_done; /* how many did; for how many a builder has looked */
	struct delta_figures figures;
};

/* ---- what others call; the queue is used under the lock */

static void show_queue(struct delta_service *d)
{
	const struct fl_list *l = d->queue.lists;

	metrics_set(d->server->metrics, METRIC_DELTA_QUEUE,
		(int64_t)(l[DELTA_ASKED].n + l[DELTA_WARMED].n));
	metrics_set(d->server->metrics, METRIC_DELTA_BACKGROUND, (int64_t)l[DELTA_IMPROVED].n);
}

static struct delta_job *put(struct delta_service *d, const struct delta_want *want)
{
	struct delta_job *j =
		d->stopping || want->tiers == 0 ? NULL : delta_queue_put(&d->queue, want);

	if (j != NULL)
		(void)pthread_cond_signal(j->background ? &d->improve : &d->filled);
	return j;
}

bool delta_service_ask(
	struct delta_service *d, struct delta_pair pair, delta_mask tiers, int64_t gain)
{
	struct delta_want want = { .pair = pair, .devices = 1, .gain = gain };
	bool taken;

	want.tiers = tiers & delta_wish_quick();
	want.place = DELTA_ASKED;
	(void)pthread_mutex_lock(&d->lock);
	taken = put(d, &want) != NULL;
	if (!taken && want.tiers != 0) {
		d->figures.refused++;
		metrics_add(d->server->metrics, METRIC_DELTAS_REFUSED, 1);
	}
	want.tiers = tiers & ~delta_wish_quick();
	want.place = DELTA_IMPROVED;
	d->seen |= want.tiers;
	if (d->options.background > 0)
		(void)put(d, &want);
	show_queue(d);
	(void)pthread_mutex_unlock(&d->lock);
	return taken;
}

uint64_t delta_service_topic(struct delta_pair pair)
{
	uint64_t h = (uint64_t)pair.from * 0x9e3779b97f4a7c15ULL ^ (uint64_t)pair.to;

	/* two pairs on one topic would only wake each other */
	return TOPIC(TOPIC_DELTA, h * 0xc2b2ae3d27d4eb4fULL >> 8);
}

/* One pair of a plan, quick and best. */
static bool warm(struct delta_service *d, const struct delta_need *need)
{
	delta_mask side = need->pair.from == 0 ? ~delta_wish_with_old() : delta_wish_with_old();
	struct delta_want want = {
		.pair = need->pair,
		.tiers = delta_wish_quick() & side,
		.place = DELTA_WARMED,
		.rank = need->rank,
		.devices = need->devices,
		.gain = need->gain,
	};

	if (need->pair.from == need->pair.to)
		return true;
	if (put(d, &want) == NULL)
		return false;
	want.tiers = d->seen & side;
	want.place = DELTA_IMPROVED;
	if (d->options.background > 0)
		(void)put(d, &want);
	return true;
}

size_t delta_service_warm(struct delta_service *d, const struct delta_need *needs, size_t n)
{
	size_t taken = 0;

	(void)pthread_mutex_lock(&d->lock);
	while (taken < n && warm(d, &needs[taken]))
		taken++;
	show_queue(d);
	(void)pthread_mutex_unlock(&d->lock);
	return taken;
}

void delta_service_turn(struct delta_service *d, int64_t rollout)
{
	bool known = false;

	(void)pthread_mutex_lock(&d->lock);
	for (size_t i = 0; i < TURNS_MAX; i++)
		known = known || d->turns[i] == rollout;
	if (!known)
		d->turns[d->turned++ % TURNS_MAX] = rollout;
	(void)pthread_cond_broadcast(&d->filled);
	(void)pthread_mutex_unlock(&d->lock);
}

size_t delta_service_list(struct delta_service *d, struct delta_want *out, size_t max)
{
	size_t n;

	(void)pthread_mutex_lock(&d->lock);
	n = delta_queue_list(&d->queue, out, max);
	(void)pthread_mutex_unlock(&d->lock);
	return n;
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
	f.waiting = (int64_t)d->queue.lists[DELTA_ASKED].n;
	f.warming = (int64_t)d->queue.lists[DELTA_WARMED].n;
	f.improving = (int64_t)d->queue.lists[DELTA_IMPROVED].n;
	f.building = (int64_t)d->queue.lists[DELTA_RUNNING].n;
	(void)pthread_mutex_unlock(&d->lock);
	return f;
}

/* ---- builders */

/* Whether it is time to write uses; under the lock. */
static bool flush_due(struct delta_service *d)
{
	int64_t now_ms = fl_clock_ms(CLOCK_MONOTONIC);

	if (now_ms - d->flushed_ms < FLUSH_S * 1000)
		return false;
	d->flushed_ms = now_ms;
	return true;
}

/* The next job, NULL when the service stops or uses are to be written. Under the lock. */
static struct delta_job *next_job(struct delta_service *d, bool background)
{
	struct timespec until = { .tv_sec = fl_clock_ms(CLOCK_MONOTONIC) / 1000 + FLUSH_S };
	pthread_cond_t *come = background ? &d->improve : &d->filled;
	struct delta_job *j;

	while (!d->stopping && !delta_queue_has(&d->queue, background) &&
		(background || d->turned == d->turned_done))
		if (pthread_cond_timedwait(come, &d->lock, &until) == ETIMEDOUT)
			return NULL;
	j = d->stopping ? NULL : delta_queue_take(&d->queue, background);
	if (delta_queue_has(&d->queue,
		    true)) /* this was the last that a device waited for, or there is more */
		(void)pthread_cond_signal(&d->improve);
	return j;
}

/* Before a pair its target alone: whether the pair pays is judged by it. NULL if another builder is
 * at it. Under the lock. */
static struct delta_job *full_of(struct delta_service *d, const struct delta_job *j)
{
	const struct delta_want want = {
		.pair = { 0, j->want.pair.to },
		.tiers = delta_wish_quick() & ~delta_wish_with_old(),
		.place = DELTA_RUNNING,
		.rank = j->want.rank,
	};
	struct delta_job *full = delta_queue_find(&d->queue, want.pair, false);

	if (j->want.pair.from == 0 || j->background ||
		(full != NULL && full->want.place == DELTA_RUNNING))
		return NULL;
	if (full == NULL)
		return delta_queue_put(&d->queue, &want);
	delta_queue_run(&d->queue, full);
	return full;
}

static void count_outcome(struct delta_service *d, const struct delta_outcome *o)
{
	struct metrics *m = d->server->metrics;

	d->figures.built += o->built;
	d->figures.useless += o->useless;
	d->figures.failed += o->failed;
	metrics_add(m, METRIC_DELTAS_BUILT, o->built);
	metrics_add(m, METRIC_DELTAS_USELESS, o->useless);
	metrics_add(m, METRIC_DELTAS_FAILED, o->failed);
}

static void count_work(struct delta_service *d, struct delta_worker_counts *c)
{
	struct metrics *m = d->server->metrics;

	d->figures.processes += c->processes;
	d->figures.parsed += c->parsed;
	d->figures.reused += c->reused;
	metrics_add(m, METRIC_DELTA_PROCESSES, c->processes);
	metrics_add(m, METRIC_DELTA_PARSES, c->parsed);
	metrics_add(m, METRIC_DELTA_PARSES_REUSED, c->reused);
	*c = (struct delta_worker_counts){ 0 };
}

/* Keep the cache below its limit. */
static void trim(struct builder *b)
{
	struct delta_service *d = b->service;
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

/* Build a running job; gives up the lock meanwhile and ends the job. */
static void run_job(struct builder *b, struct delta_job *j)
{
	struct delta_service *d = b->service;
	struct delta_outcome outcome = { 0 };
	const struct delta_want want = j->want;

	(void)pthread_mutex_unlock(&d->lock);
	delta_build_pair(&b->context, &d->options, &want, &outcome);
	(void)pthread_mutex_lock(&d->lock);
	count_outcome(d, &outcome);
	count_work(d, &b->context.worker.counts);
	delta_queue_done(&d->queue, j);
	show_queue(d);
	(void)pthread_mutex_unlock(&d->lock);
	request_wake(d->server, delta_service_topic(want.pair));
	if (outcome.built > 0)
		trim(b);
	(void)pthread_mutex_lock(&d->lock);
}

/* Warm what plans need that are under way: rollout 0 after a start, or one that goes back. */
static void warm_from_store(struct builder *b, int64_t rollout)
{
	struct delta_service *d = b->service;
	struct fl_err err = { 0 };
	struct store view;
	size_t n;
	enum fl_code code = delta_context_look(&b->context, &view, &err);

	if (code == FL_OK && rollout == 0)
		code = delta_warm_active(d, &view, &err);
	else if (code == FL_OK)
		code = delta_warm_rollout(d, &view, rollout, DELTA_BACK, &n, &err);
	delta_context_seen(&view);
	if (code != FL_OK)
		fl_log_warning("the deltas of a plan are built when devices ask",
			FL_N("rollout", rollout), FL_S("detail", err.msg));
}

/* Under the lock, which is given up meanwhile. */
static void turn(struct builder *b)
{
	struct delta_service *d = b->service;
	int64_t rollout;

	while (d->turned_done < d->turned && !b->background) {
		rollout = d->turns[d->turned_done++ % TURNS_MAX];
		(void)pthread_mutex_unlock(&d->lock);
		warm_from_store(b, rollout);
		(void)pthread_mutex_lock(&d->lock);
	}
}

/* Without a job there is no process that waits for one. Under the lock, which is given up meanwhile. */
static void rest(struct builder *b)
{
	struct delta_service *d = b->service;

	if (delta_queue_has(&d->queue, b->background))
		return;
	(void)pthread_mutex_unlock(&d->lock);
	delta_worker_end(&b->context.worker);
	(void)pthread_mutex_lock(&d->lock);
}

static void work(struct builder *b)
{
	struct delta_service *d = b->service;
	struct delta_job *j, *full;

	turn(b);
	rest(b);
	j = next_job(d, b->background);
	if (j != NULL) {
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

	if (b == &d->builders[0]) {
		delta_cache_sweep(&b->context);
		trim(b);
		warm_from_store(b, 0);
	}
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
	d->flushed_ms = fl_clock_ms(CLOCK_MONOTONIC);
	delta_queue_init(&d->queue, (size_t)o->queue_max, (size_t)o->queue_max * OTHERS_TIMES);
	d->seen = delta_wish_usual();
	(void)pthread_mutex_init(&d->lock, NULL);
	(void)pthread_mutex_init(&d->trim, NULL);
	(void)pthread_mutex_init(&d->uses.lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&d->filled, &attr);
	(void)pthread_cond_init(&d->improve, &attr);
	(void)pthread_condattr_destroy(&attr);
}

static struct delta_worker_options worker_options(const struct delta_service *d, bool background)
{
	const struct delta_options *o = &d->options;

	return (struct delta_worker_options){
		.program = o->worker,
		.memory = o->worker_memory,
		.share = background ? o->share : 100,
		.background = background,
		.stop_fd = d->stop_fd,
	};
}

static enum fl_code start_builders(struct delta_service *d, struct fl_err *err)
{
	size_t quick = (size_t)d->options.builders, all = quick + (size_t)d->options.background;

	for (size_t i = 0; i < all && i < FL_COUNT(d->builders); i++) {
		struct builder *b = &d->builders[i];

		b->service = d;
		b->background = i >= quick;
		b->context = (struct delta_context){
			.server = d->server,
			.stop_fd = d->stop_fd,
			.worker.options = worker_options(d, b->background),
		};
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
	enum fl_code code = delta_wish_check(err);
	struct delta_service *d;

	if (code != FL_OK)
		return code;
	d = calloc(1, sizeof(*d));
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
	(void)pthread_cond_broadcast(&d->improve);
	(void)pthread_mutex_unlock(&d->lock);
	if (d->stop_fd >= 0 && write(d->stop_fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
		fl_log_warning("a running build is waited for", FL_N("builders", d->n_builders));
	for (size_t i = 0; i < d->n_builders; i++)
		(void)pthread_join(d->builders[i].thread, NULL);
	delta_queue_fini(&d->queue);
	(void)pthread_cond_destroy(&d->improve);
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
		.background = set->delta_background,
		.queue_max = set->delta_queue,
		.worker_memory = set->delta_memory,
		.worker_cpu_ms = set->delta_cpu,
		.worker_ms = set->delta_time,
		.share = set->delta_share,
	};

	return delta_service_start(s, &o, &s->deltas, err);
}

void deltas_down(struct server *s)
{
	delta_service_stop(s->deltas);
	s->deltas = NULL;
}
