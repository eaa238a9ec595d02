/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests that wait without a thread.
 *
 * DESIGN. A wake may come between the handler's look at the store and the parking here. So wakes are
 * counted: each bucket of topics keeps the count at its last wake (lanes.c), the exchange keeps the
 * count at its handler's begin, and one that was overtaken is not parked but goes on at once. */
#include "server/http/exchange.h"
#include "server/http/http.h"
#include "server/http/loop.h"

#include "lib/clock.h"

static struct fl_list *bucket_of(struct loop *loop, uint64_t topic)
{
	return &loop->parked[lanes_topic_bucket(topic) % PARK_BUCKETS];
}

/* The wait is over: run what was asked for. */
static void go_on(struct exchange *x)
{
	x->park.set = false;
	if (x->answer.more != NULL)
		events_advance(x);
	else
		exchange_submit(x, x->park.lane, x->park.fn);
}

static void unpark(struct loop *loop, struct exchange *x)
{
	fl_list_remove(bucket_of(loop, x->park.topic), &x->link);
	atomic_fetch_sub(&loop->n_parked, 1);
}

static void refuse(struct exchange *x)
{
	x->park.set = false;
	answer_problem(x, FL_STOPPED, "the server stops");
	exchange_ready(x);
}

void park_add(struct exchange *x)
{
	struct loop *loop = x->loop;

	if (http_stopping(x->rq.server) && x->answer.more == NULL) {
		refuse(x);
		return;
	}
	exchange_suspend(x);
	x->phase = PHASE_PARKED;
	x->park.deadline_us = fl_clock_us(CLOCK_MONOTONIC) + x->park.wait_ms * 1000;
	fl_list_push(bucket_of(loop, x->park.topic), &x->link);
	atomic_fetch_add(&loop->n_parked, 1);
	/* Only after it can be found: a waker that saw nobody here has counted before. */
	if (lanes_last_wake(x->rq.server, x->park.topic) > x->wakes_seen) {
		unpark(loop, x);
		go_on(x);
	}
}

/* Take those of one bucket that `topic` (0: any) and `now_us` (0: any) say, then let them go on: they
 * may park again in the same bucket. */
static void collect(struct loop *loop, struct fl_list *bucket, uint64_t topic, int64_t now_us,
	struct fl_list *out)
{
	fl_list_each (bucket, link) {
		struct exchange *x = fl_container(link, struct exchange, link);

		if ((topic != 0 && x->park.topic != topic) ||
			(now_us != 0 && x->park.deadline_us > now_us))
			continue;
		unpark(loop, x);
		fl_list_push(out, &x->link);
	}
}

static void go_on_all(struct fl_list *list, bool stop)
{
	for (struct fl_link *link = fl_list_shift(list); link != NULL; link = fl_list_shift(list)) {
		struct exchange *x = fl_container(link, struct exchange, link);

		if (stop && x->answer.more == NULL)
			refuse(x);
		else
			go_on(x);
	}
}

void park_wake(struct loop *loop, uint64_t topic)
{
	struct fl_list list;

	fl_list_init(&list);
	collect(loop, bucket_of(loop, topic), topic, 0, &list);
	go_on_all(&list, false);
}

static void each_bucket(struct loop *loop, int64_t now_us, bool stop)
{
	struct fl_list list;

	if (atomic_load(&loop->n_parked) == 0)
		return;
	fl_list_init(&list);
	for (size_t i = 0; i < PARK_BUCKETS; i++)
		collect(loop, &loop->parked[i], 0, now_us, &list);
	go_on_all(&list, stop);
}

void park_expire(struct loop *loop, int64_t now_us)
{
	each_bucket(loop, now_us, false);
}

void park_stop(struct loop *loop)
{
	each_bucket(loop, 0, true);
}
