/* SPDX-License-Identifier: Apache-2.0
 *
 * A loop: a uv loop with an MHD daemon in it, on a thread of its own (the first on the main thread).
 *
 * DESIGN. MHD runs in external epoll mode: its epoll descriptor is one uv_poll handle. Whoever resumes
 * a connection must run MHD afterwards; loop_turn does both for everything that other threads have
 * put into the inbox, once per uv_async. The inbox holds exchanges that come back from lanes, topics
 * to wake and timers to start. Only files in server/http/ include this. */
#ifndef HTTP_LOOP_H
#define HTTP_LOOP_H

#include "server/http/exchange.h"

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#define PARK_BUCKETS 1024

struct loop_timer; /* loop.c */

struct loop {
	struct server *server;
	int number;
	uv_loop_t uv;
	uv_poll_t poll;
	uv_timer_t tick;
	uv_async_t async;
	uv_signal_t signals[3]; /* of the first loop */
	pthread_t thread;
	bool threaded; /* runs on `thread` */
	bool polling;  /* poll is open */
	struct MHD_Daemon *daemon;
	int listen_fd;

	/* inbox; any thread, under the lock */
	pthread_mutex_t lock;
	struct fl_list done; /* exchanges, by done_link */
	uint64_t *topics;
	size_t n_topics, cap_topics;
	struct fl_list timers;  /* struct loop_timer to start */
	struct fl_list running; /* struct loop_timer that run; loop thread */

	/* writer thread: what the present batch has finished; goes to `done` at once */
	struct fl_list batch_done;

	/* loop thread */
	struct fl_list active; /* exchanges in lanes, oldest first */
	struct fl_list parked[PARK_BUCKETS];
	atomic_size_t n_parked; /* read by wakers */
	struct fl_list pool;    /* exchanges to use again */
	size_t n_requests;      /* between MHD's first and last word on them */
	bool stopping;
	int64_t stop_deadline_us;
	int64_t now_us;   /* monotonic, at the begin of the turn */
	int64_t began_us; /* monotonic, when the loop was made */
};

/* Make the uv side of a loop; `number` 0 is the main thread's. */
enum fl_code loop_init(
	struct loop *l, struct server *s, int number, struct fl_err *err) FL_MUST_CHECK;
/* Give the daemon (owned by the loop from here on) to the loop. */
enum fl_code loop_attach(
	struct loop *l, struct MHD_Daemon *daemon, struct fl_err *err) FL_MUST_CHECK;
/* Run until the stop is complete; on its thread. */
void loop_run(struct loop *l);
/* Stop the daemon if there is one and close the listening socket. Safe twice; the loop does not run. */
void loop_detach(struct loop *l);
/* Close all handles and free. Safe twice. The thread has ended. */
void loop_fini(struct loop *l);

/* Hand exchanges (by done_link) over to their loop. Any thread; the list is empty afterwards. */
void loop_return(struct loop *l, struct fl_list *done);
/* Likewise for one. */
void loop_return_one(struct exchange *x);
/* Wake what is parked on `topic` on this loop. Any thread. */
void loop_wake(struct loop *l, uint64_t topic);
/* Make the loop look at its inbox and at http_stopping. Any thread. */
void loop_poke(struct loop *l);
/* How long it has not been waiting for anything, in microseconds. Any thread. */
int64_t loop_busy_us(struct loop *l);
/* Run MHD until it has nothing to do now. Loop thread. */
void loop_run_mhd(struct loop *l);

#endif
