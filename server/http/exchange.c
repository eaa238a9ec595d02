/* SPDX-License-Identifier: Apache-2.0 */
#include "server/http/exchange.h"

#include "server/http/http.h"
#include "server/http/loop.h"
#include "server/metrics.h"
#include "server/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define POOL_MAX   1024
#define CHUNK_SIZE 4096

struct exchange_chunk {
	struct exchange_chunk *next;
	_Alignas(16) char bytes[];
};

/* ---- memory */

void *request_alloc(struct request *rq, size_t size)
{
	struct exchange *x = exchange_of(rq);
	struct exchange_chunk *c;
	void *p;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = (size + 15) & ~(size_t)15;
	if (size <= EXCHANGE_INLINE - x->used) {
		p = x->memory + x->used;
		x->used += size;
		return p;
	}
	c = malloc(sizeof(*c) + size);
	if (c == NULL)
		return NULL;
	c->next = x->chunks;
	x->chunks = c;
	return c->bytes;
}

int request_socket(const struct request *rq)
{
	struct exchange *x = fl_container(rq, struct exchange, rq);
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	return info == NULL ? -1 : fcntl(info->connect_fd, F_DUPFD_CLOEXEC, 0);
}

bool request_hung_up(int socket)
{
	char byte;
	ssize_t n;

	if (socket < 0)
		return false;
	n = recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

char *request_strdup(struct request *rq, const char *s)
{
	size_t n = strlen(s) + 1;
	char *p = request_alloc(rq, n);

	if (p != NULL)
		memcpy(p, s, n);
	return p;
}

/* ---- life */

struct exchange *exchange_new(
	struct loop *loop, struct MHD_Connection *connection, const char *target)
{
	static atomic_uint_fast64_t ids;
	struct fl_link *link = fl_list_shift(&loop->pool);
	struct exchange *x =
		link != NULL ? fl_container(link, struct exchange, link) : malloc(sizeof(*x));

	if (x == NULL)
		return NULL;
	memset(x, 0, offsetof(struct exchange, memory));
	x->magic = EXCHANGE_MAGIC;
	x->loop = loop;
	x->connection = connection;
	x->refs = 1;
	x->began_us = loop->now_us;
	x->rq.id = atomic_fetch_add_explicit(&ids, 1, memory_order_relaxed) + 1;
	x->rq.server = loop->server;
	x->rq.method = "";
	x->rq.target = request_strdup(&x->rq, target);
	if (x->rq.target == NULL) {
		free(x);
		return NULL;
	}
	loop->n_requests++;
	return x;
}

static void release(struct exchange *x)
{
	if (x->headers != NULL)
		metrics_add(x->rq.server->metrics, METRIC_REQUESTS_ACTIVE, -1);
	if (x->rq.drop != NULL)
		x->rq.drop(x->rq.state);
	json_decref(x->rq.json);
	answer_reset(&x->answer);
	fl_buf_fini(&x->body);
	fl_buf_fini(&x->stream.fill);
	fl_buf_fini(&x->stream.piece);
	fl_buf_fini(&x->events.fresh);
	fl_buf_fini(&x->events.out);
	while (x->chunks != NULL) {
		struct exchange_chunk *c = x->chunks;

		x->chunks = c->next;
		free(c);
	}
}

void exchange_unref(struct exchange *x)
{
	struct loop *loop = x->loop;

	FL_BUG_IF(x->magic != EXCHANGE_MAGIC || x->refs <= 0);
	if (--x->refs > 0)
		return;
	FL_BUG_IF(fl_link_used(&x->link));
	release(x);
	x->magic = 0;
	if (loop->pool.n < POOL_MAX)
		fl_list_push(&loop->pool, &x->link);
	else
		free(x);
}

/* ---- parts of a request in their lanes */

enum fl_code exchange_parse(struct exchange *x, struct fl_err *err)
{
	enum fl_code code;

	if (x->rq.json != NULL || x->rq.body.n == 0 || x->rq.route->lane == LANE_STREAM)
		return FL_OK;
	code = fl_json_parse(x->rq.body, &x->rq.json, err);
	return code == FL_OK ? code : fl_wrap(err, "the body is not valid JSON");
}

enum fl_code exchange_run(struct exchange *x, struct fl_err *err)
{
	struct request *rq = &x->rq;
	enum fl_code code = exchange_parse(x, err);

	x->then.set = x->park.set = false;
	if (code == FL_OK)
		code = x->fn(rq, err);
	if (code != FL_OK)
		answer_problem(x, code, err->msg);
	return code;
}

static enum fl_code write_run(
	struct write_job *job, struct store *store, struct effects *e, struct fl_err *err)
{
	struct exchange *x = fl_container(job, struct exchange, job.write);
	enum fl_code code;

	if (x->answer.set)
		answer_reset(&x->answer); /* it is run again */
	x->rq.store = store;
	x->rq.effects = e;
	code = exchange_run(x, err);
	x->rq.store = NULL;
	x->rq.effects = NULL;
	return code;
}

/* The whole batch goes back with one hand-over per loop: lanes.c flushes batch_done after it. */
static void write_done(
	struct write_job *job, struct server *s, enum fl_code code, const struct fl_err *err)
{
	struct exchange *x = fl_container(job, struct exchange, job.write);

	(void)s;
	if (code != FL_OK) {
		x->then.set = x->park.set = false;
		answer_problem(x, code, err->msg);
	}
	fl_list_push(&x->loop->batch_done, &x->done_link);
}

static void read_run(struct read_job *job, struct server *s, struct store *store)
{
	struct exchange *x = fl_container(job, struct exchange, job.read);
	struct fl_err err = { 0 };

	(void)s;
	x->rq.store = store;
	(void)exchange_run(x, &err);
	x->rq.store = NULL;
	loop_return_one(x);
}

static void work_run(struct work_job *job, struct server *s)
{
	struct exchange *x = fl_container(job, struct exchange, job.work);
	struct fl_err err = { 0 };

	(void)s;
	(void)exchange_run(x, &err);
	loop_return_one(x);
}

/* ---- hand-over */

struct copy {
	struct exchange *x;
	size_t room;
};

static enum MHD_Result copy_header(
	void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct copy *c = cls;
	struct exchange_header *h = &c->x->headers[c->x->n_headers];

	(void)kind;
	if (c->x->n_headers == c->room)
		return MHD_NO;
	h->name = request_strdup(&c->x->rq, name);
	h->value = request_strdup(&c->x->rq, value == NULL ? "" : value);
	if (h->name == NULL || h->value == NULL)
		return MHD_NO;
	c->x->n_headers++;
	return MHD_YES;
}

/* A lane thread must not touch the connection, so it gets copies of the headers. */
static bool copy_headers(struct exchange *x)
{
	struct copy c = { .x = x };
	int n;

	if (x->headers != NULL)
		return true;
	n = MHD_get_connection_values(x->connection, MHD_HEADER_KIND, NULL, NULL);
	c.room = n < 0 ? 0 : (size_t)n;
	x->headers = request_alloc(&x->rq, (c.room + 1) * sizeof(*x->headers));
	if (x->headers == NULL)
		return false;
	metrics_add(x->rq.server->metrics, METRIC_REQUESTS_ACTIVE, 1);
	(void)MHD_get_connection_values(x->connection, MHD_HEADER_KIND, copy_header, &c);
	return x->n_headers == c.room;
}

static enum fl_code push(struct exchange *x)
{
	struct server *s = x->rq.server;

	/* A later part of a request that was let in is not turned away; the loop lets nobody in. */
	bool internal = x->admitted;

	switch (x->lane) {
	case LANE_READ:
		x->job.read = (struct read_job){ .run = read_run, .internal = internal };
		return lanes_read(s, &x->job.read);
	case LANE_WRITE:
		x->job.write = (struct write_job){
			.run = write_run,
			.done = write_done,
			.internal = internal,
			.again = strncmp(x->rq.route->path, "/device/", 8) == 0,
		};
		return lanes_write(s, &x->job.write);
	default:
		x->job.work = (struct work_job){ .run = work_run, .internal = internal };
		return lanes_work(s, &x->job.work);
	}
}

void exchange_suspend(struct exchange *x)
{
	if (x->suspended || x->connection == NULL)
		return;
	MHD_suspend_connection(x->connection);
	x->suspended = true;
}

void exchange_resume(struct exchange *x)
{
	if (!x->suspended || x->connection == NULL)
		return;
	x->suspended = false;
	MHD_resume_connection(x->connection);
}

static void submit_lane(struct exchange *x)
{
	/* Looked at before the push: behind it the handler may set it. */
	bool streams = x->stream.ops != NULL && !x->stream.ended;
	enum fl_code code = FL_OK;

	if (!copy_headers(x))
		code = FL_NOMEM;
	/* Before the push: from then on the lane may hand it back at any time, to the inbox. */
	x->phase = PHASE_LANE;
	x->in_lane = true;
	x->refs++;
	fl_list_push(&x->loop->active, &x->link);
	if (code == FL_OK)
		code = push(x);
	if (code == FL_OK) {
		x->admitted = true;
		/* A stream's next piece arrives while this one is worked on. */
		if (!streams)
			exchange_suspend(x);
		return;
	}
	fl_list_remove(&x->loop->active, &x->link);
	x->in_lane = false;
	x->refs--;
	metrics_add(x->rq.server->metrics, METRIC_QUEUE_REFUSALS, 1);
	answer_problem(x, FL_UNAVAILABLE,
		http_stopping(x->rq.server) ? "the server stops" : "the server has too much to do");
	exchange_ready(x);
}

void exchange_submit(struct exchange *x, enum lane lane, handler_fn fn)
{
	struct fl_err err = { 0 };

	x->lane = lane;
	x->fn = fn;
	x->wakes_seen = lanes_wakes(x->rq.server);
	if (lane != LANE_FAST) {
		submit_lane(x);
		return;
	}
	(void)exchange_run(x, &err);
	exchange_advance(x);
}

void exchange_advance(struct exchange *x)
{
	if (x->in_lane) {
		x->in_lane = false;
		x->phase = PHASE_NEW;
		if (fl_link_used(&x->link))
			fl_list_remove(&x->loop->active, &x->link);
		exchange_unref(x);
		if (x->abandoned || x->connection == NULL)
			return;
	}
	if (x->answer.set && x->answer.more == NULL) {
		exchange_ready(x);
	} else if (x->then.set) {
		exchange_submit(x, x->then.lane, x->then.fn);
	} else if (x->park.set) {
		park_add(x);
	} else if (x->answer.more != NULL) {
		events_advance(x);
	} else if (x->stream.ops != NULL) {
		stream_advance(x);
	} else {
		answer_problem(x, FL_INTERNAL, "the handler gave no answer");
		exchange_ready(x);
	}
}

void exchange_ready(struct exchange *x)
{
	x->phase = PHASE_READY;
	exchange_resume(x);
}

void exchange_abandon(struct exchange *x)
{
	fl_list_remove(&x->loop->active, &x->link);
	x->abandoned = true;
	metrics_add(x->rq.server->metrics, METRIC_REQUEST_DEADLINES, 1);
	exchange_ready(x);
}
