/* SPDX-License-Identifier: Apache-2.0 */
#include "server/http/loop.h"

#include "server/http/http.h"
#include "server/server.h"

#include "lib/clock.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS  100
#define RUNS_MAX 16 /* runs of MHD in one turn, so that other handles get their share */

/* A timer of loop_after. In the inbox, then running, then freed by its close callback. */
struct loop_timer {
	struct fl_link link;
	uv_timer_t timer;
	struct loop *loop;
	int64_t delay_ms;
	loop_fn fn;
	void *arg;
};

/* ---- inbox */

void loop_return(struct loop *l, struct fl_list *done)
{
	bool first;

	(void)pthread_mutex_lock(&l->lock);
	first = l->done.n == 0;
	for (struct fl_link *link = fl_list_shift(done); link != NULL; link = fl_list_shift(done))
		fl_list_push(&l->done, link);
	(void)pthread_mutex_unlock(&l->lock);
	if (first)
		loop_poke(l);
}

void loop_return_one(struct exchange *x)
{
	struct fl_list one;

	fl_list_init(&one);
	fl_list_push(&one, &x->done_link);
	loop_return(x->loop, &one);
}

void loop_wake(struct loop *l, uint64_t topic)
{
	(void)pthread_mutex_lock(&l->lock);
	if (l->n_topics == l->cap_topics) {
		size_t cap = l->cap_topics == 0 ? 64 : l->cap_topics * 2;
		uint64_t *p = realloc(l->topics, cap * sizeof(*p));

		FL_BUG_IF(p == NULL); /* a lost wake would be worse */
		l->topics = p;
		l->cap_topics = cap;
	}
	l->topics[l->n_topics++] = topic;
	(void)pthread_mutex_unlock(&l->lock);
	loop_poke(l);
}

void loop_poke(struct loop *l)
{
	(void)uv_async_send(&l->async);
}

void loop_after(struct server *s, int64_t delay_ms, loop_fn fn, void *arg)
{
	struct loop *l = lanes_loop(s, 0);
	struct loop_timer *t = calloc(1, sizeof(*t));

	FL_BUG_IF(t == NULL);
	t->loop = l;
	t->delay_ms = delay_ms < 0 ? 0 : delay_ms;
	t->fn = fn;
	t->arg = arg;
	(void)pthread_mutex_lock(&l->lock);
	fl_list_push(&l->timers, &t->link);
	(void)pthread_mutex_unlock(&l->lock);
	loop_poke(l);
}

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void on_timer(uv_timer_t *timer)
{
	struct loop_timer *t = timer->data;

	fl_list_remove(&t->loop->running, &t->link);
	uv_close((uv_handle_t *)timer, on_timer_closed);
	t->fn(t->loop->server, t->arg);
}

static void start_timer(struct loop *l, struct loop_timer *t)
{
	t->timer.data = t;
	(void)uv_timer_init(&l->uv, &t->timer);
	fl_list_push(&l->running, &t->link);
	(void)uv_timer_start(&t->timer, on_timer, (uint64_t)t->delay_ms, 0);
}

static void take_done(struct loop *l)
{
	struct fl_list done;
	struct fl_link *link;

	fl_list_init(&done);
	(void)pthread_mutex_lock(&l->lock);
	while ((link = fl_list_shift(&l->done)) != NULL)
		fl_list_push(&done, link);
	(void)pthread_mutex_unlock(&l->lock);
	while ((link = fl_list_shift(&done)) != NULL)
		exchange_advance(fl_container(link, struct exchange, done_link));
}

static void take_topics(struct loop *l)
{
	uint64_t *topics;
	size_t n;

	(void)pthread_mutex_lock(&l->lock);
	topics = l->topics;
	n = l->n_topics;
	l->topics = NULL;
	l->n_topics = l->cap_topics = 0;
	(void)pthread_mutex_unlock(&l->lock);
	for (size_t i = 0; i < n; i++)
		park_wake(l, topics[i]);
	free(topics);
}

static void take_timers(struct loop *l)
{
	for (;;) {
		struct fl_link *link;

		(void)pthread_mutex_lock(&l->lock);
		link = fl_list_shift(&l->timers);
		(void)pthread_mutex_unlock(&l->lock);
		if (link == NULL)
			return;
		start_timer(l, fl_container(link, struct loop_timer, link));
	}
}

/* ---- turns */

void loop_run_mhd(struct loop *l)
{
	unsigned long long timeout_ms;

	if (l->daemon == NULL)
		return;
	for (int i = 0; i < RUNS_MAX; i++) {
		(void)MHD_run(l->daemon);
		if (MHD_get_timeout(l->daemon, &timeout_ms) != MHD_YES || timeout_ms > 0)
			return;
	}
	loop_poke(l);
}

static void expire(struct loop *l)
{
	int64_t limit = l->now_us - l->server->settings->request_deadline * 1000;

	fl_list_each (&l->active, link) {
		struct exchange *x = fl_container(link, struct exchange, link);

		if (x->began_us > limit)
			return;
		if (x->stream.ops == NULL && x->answer.more == NULL &&
			x->rq.route->lane != LANE_STREAM)
			exchange_abandon(x);
	}
	park_expire(l, l->now_us);
}

static void close_listener(struct loop *l)
{
	if (l->daemon == NULL || l->listen_fd < 0)
		return;
	(void)MHD_quiesce_daemon(l->daemon);
	(void)close(l->listen_fd);
	l->listen_fd = -1;
}

/* All that waits for a lane is answered 504; MHD must not be stopped with suspended connections. */
static void give_up(struct loop *l)
{
	fl_list_each (&l->active, link)
		exchange_abandon(fl_container(link, struct exchange, link));
	park_stop(l);
	loop_run_mhd(l);
}

static void stop_step(struct loop *l)
{
	if (!l->stopping) {
		l->stopping = true;
		l->stop_deadline_us = l->now_us + l->server->settings->stop_limit * 1000;
		close_listener(l);
		park_stop(l);
		loop_run_mhd(l);
	}
	if (l->n_requests == 0)
		uv_stop(&l->uv);
	else if (l->now_us >= l->stop_deadline_us) {
		give_up(l);
		uv_stop(&l->uv);
	}
}

static void turn(struct loop *l)
{
	l->now_us = fl_clock_us(CLOCK_MONOTONIC);
	take_timers(l);
	take_done(l);
	take_topics(l);
	loop_run_mhd(l);
	if (http_stopping(l->server))
		stop_step(l);
}

static void on_async(uv_async_t *async)
{
	turn(async->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct loop *l = poll->data;

	(void)status;
	(void)events;
	l->now_us = fl_clock_us(CLOCK_MONOTONIC);
	loop_run_mhd(l);
	if (l->stopping)
		stop_step(l);
}

static void on_tick(uv_timer_t *tick)
{
	struct loop *l = tick->data;

	l->now_us = fl_clock_us(CLOCK_MONOTONIC);
	expire(l);
	/* Expired ones were resumed; besides, MHD closes idle connections only when it is run. */
	loop_run_mhd(l);
	if (http_stopping(l->server))
		stop_step(l);
}

/* ---- begin and end */

enum fl_code loop_init(struct loop *l, struct server *s, int number, struct fl_err *err)
{
	int rc = uv_loop_init(&l->uv);

	if (rc != 0)
		return fl_fail(err, FL_IO, "cannot make an event loop: %s", uv_strerror(rc));
	rc = uv_loop_configure(&l->uv, UV_METRICS_IDLE_TIME);
	FL_BUG_IF(rc != 0);
	l->server = s;
	l->number = number;
	l->listen_fd = -1;
	(void)pthread_mutex_init(&l->lock, NULL);
	fl_list_init(&l->done);
	fl_list_init(&l->timers);
	fl_list_init(&l->running);
	fl_list_init(&l->batch_done);
	fl_list_init(&l->active);
	fl_list_init(&l->pool);
	for (size_t i = 0; i < PARK_BUCKETS; i++)
		fl_list_init(&l->parked[i]);
	l->async.data = l->tick.data = l->poll.data = l;
	rc = uv_async_init(&l->uv, &l->async, on_async);
	FL_BUG_IF(rc != 0);
	rc = uv_timer_init(&l->uv, &l->tick);
	FL_BUG_IF(rc != 0);
	l->began_us = l->now_us = fl_clock_us(CLOCK_MONOTONIC);
	return FL_OK;
}

int64_t loop_busy_us(struct loop *l)
{
	int64_t idle_us = (int64_t)(uv_metrics_idle_time(&l->uv) / 1000);

	return fl_clock_us(CLOCK_MONOTONIC) - l->began_us - idle_us;
}

enum fl_code loop_attach(struct loop *l, struct MHD_Daemon *daemon, struct fl_err *err)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
	int rc;

	l->daemon = daemon;
	if (info == NULL)
		return fl_fail(err, FL_INTERNAL, "libmicrohttpd has no epoll descriptor");
	rc = uv_poll_init(&l->uv, &l->poll, info->epoll_fd);
	if (rc != 0)
		return fl_fail(err, FL_IO, "cannot watch the sockets: %s", uv_strerror(rc));
	l->polling = true;
	return FL_OK;
}

void loop_run(struct loop *l)
{
	if (l->polling)
		(void)uv_poll_start(&l->poll, UV_READABLE, on_poll);
	(void)uv_timer_start(&l->tick, on_tick, TICK_MS, TICK_MS);
	loop_poke(l);
	(void)uv_run(&l->uv, UV_RUN_DEFAULT);
	if (l->polling)
		(void)uv_poll_stop(&l->poll);
	(void)uv_timer_stop(&l->tick);
	loop_detach(l);
}

static void close_handle(uv_handle_t *handle, void *arg)
{
	(void)arg;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

static void free_timers(struct loop *l)
{
	struct fl_link *link;

	while ((link = fl_list_shift(&l->running)) != NULL) {
		struct loop_timer *t = fl_container(link, struct loop_timer, link);

		uv_close((uv_handle_t *)&t->timer, on_timer_closed);
	}
	while ((link = fl_list_shift(&l->timers)) != NULL)
		free(fl_container(link, struct loop_timer, link));
}

void loop_detach(struct loop *l)
{
	if (l->daemon != NULL)
		MHD_stop_daemon(l->daemon);
	l->daemon = NULL;
	if (l->listen_fd >= 0)
		(void)close(l->listen_fd);
	l->listen_fd = -1;
}

void loop_fini(struct loop *l)
{
	struct fl_link *link;

	loop_detach(l);
	take_done(l); /* what came back after the loop had ended */
	free_timers(l);
	uv_walk(&l->uv, close_handle, NULL);
	(void)uv_run(&l->uv, UV_RUN_DEFAULT);
	FL_BUG_IF(uv_loop_close(&l->uv) != 0);
	while ((link = fl_list_shift(&l->pool)) != NULL)
		free(fl_container(link, struct exchange, link));
	free(l->topics);
	(void)pthread_mutex_destroy(&l->lock);
}
