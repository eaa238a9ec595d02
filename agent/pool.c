/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pool.h"

#include "agent/random.h"

#include "lib/clock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h> /* TCP_NODELAY */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE     (32U << 10)
#define HEADER_MAX    (32U << 10)
#define EVENTS_MAX    256
#define BACKOFF_MIN   (50 * 1000)
#define BACKOFF_MAX   (2000 * 1000)
#define SLOW_SLICE_US (100 * 1000)

enum phase { CLOSED, CONNECTING, IDLE, SENDING, RECEIVING };

struct connection {
	struct fl_link link; /* in pool->closed, pool->idle or, in all other phases, pool->active */
	int fd;
	enum phase phase;
	struct pool_call *call; /* NULL when CLOSED or IDLE */
	bool used;              /* an answer came over this socket before */
	bool writable_wanted;   /* EPOLLOUT is armed */
	size_t sent;
	struct fl_buf in;
	bool headers_done, close_after;
	int64_t deadline_us;
	int64_t resume_us; /* reading is stopped until then (slow devices); 0: not */
	int64_t allowed;   /* body bytes that may be read in this slice */
};

struct pool {
	int epoll;
	struct pool_options options;
	struct connection *connections;
	struct fl_list closed, idle, active, queue;
	int64_t retry_us, backoff_us; /* no connect before; 0: the server is there */
	uint64_t random;
	int64_t checked_us; /* deadlines were looked at */
};

enum fl_code pool_new(struct pool **out, const struct pool_options *o, struct fl_err *err)
{
	struct pool *p = calloc(1, sizeof(*p));

	FL_BUG_IF(o->connections == 0);
	if (p == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the connections");
	p->options = *o;
	p->random = o->seed;
	fl_list_init(&p->closed);
	fl_list_init(&p->idle);
	fl_list_init(&p->active);
	fl_list_init(&p->queue);
	p->connections = calloc(o->connections, sizeof(*p->connections));
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (p->connections == NULL || p->epoll < 0) {
		enum fl_code code =
			fl_fail_errno(err, errno, "cannot make %zu connections", o->connections);

		pool_free(p);
		return code;
	}
	for (size_t i = 0; i < o->connections; i++) {
		p->connections[i].fd = -1;
		fl_list_push(&p->closed, &p->connections[i].link);
	}
	*out = p;
	return FL_OK;
}

void pool_free(struct pool *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; p->connections != NULL && i < p->options.connections; i++) {
		if (p->connections[i].fd >= 0)
			(void)close(p->connections[i].fd);
		fl_buf_fini(&p->connections[i].in);
	}
	if (p->epoll >= 0)
		(void)close(p->epoll);
	free(p->connections);
	free(p);
}

size_t pool_busy(const struct pool *p)
{
	return p->queue.n + p->active.n;
}

bool pool_down(const struct pool *p)
{
	return p->retry_us != 0;
}

void pool_start(struct pool *p, struct pool_call *call)
{
	call->code = FL_OK;
	call->answer = (struct pool_answer){ 0 };
	call->body = (struct fl_bytes){ 0 };
	call->received = 0;
	call->again = false;
	fl_list_push(&p->queue, &call->link);
}

/* ---- connections */

static void watch(struct pool *p, struct connection *c, bool writable)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };

	if (c->writable_wanted == writable)
		return;
	if (writable)
		e.events |= EPOLLOUT;
	c->writable_wanted = writable;
	(void)epoll_ctl(p->epoll, EPOLL_CTL_MOD, c->fd, &e);
}

/* Stop or go on with looking at a slow connection. */
static void listen_to(struct pool *p, struct connection *c, bool on)
{
	struct epoll_event e = { .events = on ? EPOLLIN : 0, .data.ptr = c };

	(void)epoll_ctl(p->epoll, EPOLL_CTL_MOD, c->fd, &e);
}

/* The call is over: to the free ones. */
static void set_free(struct pool *p, struct connection *c)
{
	fl_list_remove(&p->active, &c->link);
	fl_list_push(c->phase == CLOSED ? &p->closed : &p->idle, &c->link);
	c->call = NULL;
	c->resume_us = 0;
}

static void close_socket(struct connection *c)
{
	if (c->fd >= 0)
		(void)close(c->fd);
	c->fd = -1;
	c->phase = CLOSED;
	c->used = false;
	fl_buf_reset(&c->in);
}

static void finish(struct pool_call *call, enum fl_code code)
{
	call->code = code;
	call->ended_us = fl_clock_us(CLOCK_MONOTONIC);
	call->done(call);
}

/* The connection is lost: the call goes back to the queue if the server cannot have seen it. */
static void lose(struct pool *p, struct connection *c, enum fl_code code)
{
	struct pool_call *call = c->call;
	bool stale = c->used && c->in.n == 0 && !c->headers_done && !call->again;
	bool unsent = c->phase == CONNECTING;

	close_socket(c);
	set_free(p, c);
	if (unsent || (stale && code == FL_NETWORK)) {
		call->again = stale;
		fl_list_push(&p->queue, &call->link);
		return;
	}
	finish(call, code);
}

static void back_off(struct pool *p)
{
	p->backoff_us = p->backoff_us == 0 ? BACKOFF_MIN : p->backoff_us * 2;
	if (p->backoff_us > BACKOFF_MAX)
		p->backoff_us = BACKOFF_MAX;
	p->retry_us = fl_clock_us(CLOCK_MONOTONIC) + p->backoff_us / 2 +
		(int64_t)random_below(&p->random, (uint64_t)p->backoff_us / 2);
}

static bool open_socket(struct pool *p, struct connection *c)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT, .data.ptr = c };
	int one = 1;
	int family = p->options.address.ss_family;

	c->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return false;
	if (family == AF_INET || family == AF_INET6)
		(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->phase = CONNECTING;
	c->writable_wanted = true;
	if (connect(c->fd, (const struct sockaddr *)&p->options.address, p->options.address_len) !=
			0 &&
		errno != EINPROGRESS)
		return false;
	return epoll_ctl(p->epoll, EPOLL_CTL_ADD, c->fd, &e) == 0;
}

static void send_more(struct pool *p, struct connection *c)
{
	const struct fl_buf *request = &c->call->request;

	while (c->sent < request->n) {
		ssize_t n = send(c->fd, request->p + c->sent, request->n - c->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			watch(p, c, true);
			return;
		}
		if (n < 0) {
			lose(p, c, FL_NETWORK);
			return;
		}
		c->sent += (size_t)n;
	}
	c->phase = RECEIVING;
	watch(p, c, false);
}

static void begin_sending(struct pool *p, struct connection *c)
{
	c->phase = SENDING;
	c->sent = 0;
	c->headers_done = false;
	c->close_after = false;
	c->allowed = c->call->rate / (1000000 / SLOW_SLICE_US) + 1;
	fl_buf_reset(&c->in);
	c->call->sent_us = fl_clock_us(CLOCK_MONOTONIC);
	c->deadline_us = c->call->sent_us + p->options.timeout_ms * 1000;
	send_more(p, c);
}

/* Give waiting calls to free connections. */
static void dispatch(struct pool *p)
{
	while (p->queue.n > 0) {
		bool away = p->retry_us != 0 && fl_clock_us(CLOCK_MONOTONIC) < p->retry_us;
		struct fl_link *link = fl_list_shift(&p->idle);
		struct connection *c;

		if (link == NULL && !away)
			link = fl_list_shift(&p->closed);
		if (link == NULL)
			return;
		c = fl_container(link, struct connection, link);
		fl_list_push(&p->active, link);
		c->call = fl_container(fl_list_shift(&p->queue), struct pool_call, link);
		if (c->phase == IDLE) {
			begin_sending(p, c);
		} else if (!open_socket(p, c)) {
			back_off(p);
			lose(p, c, FL_NETWORK);
		} else {
			c->deadline_us =
				fl_clock_us(CLOCK_MONOTONIC) + p->options.timeout_ms * 1000;
		}
	}
}

/* ---- answers */

static void copy_value(char *to, size_t size, const char *value, size_t n)
{
	if (n >= size)
		return;
	memcpy(to, value, n);
	to[n] = '\0';
}

static int64_t number_of(const char *value, size_t n)
{
	int64_t out = 0;

	for (size_t i = 0; i < n && value[i] >= '0' && value[i] <= '9' && out < INT64_MAX / 16; i++)
		out = out * 10 + (value[i] - '0');
	return out;
}

static bool is_name(const char *line, size_t n, const char *name, size_t name_n)
{
	return n == name_n && strncasecmp(line, name, name_n) == 0;
}
#define IS(name_) is_name(line, colon, name_, sizeof(name_) - 1)

static void take_header(struct connection *c, const char *line, size_t n)
{
	struct pool_answer *a = &c->call->answer;
	const char *found = memchr(line, ':', n);
	size_t colon = found == NULL ? 0 : (size_t)(found - line);
	const char *value = line + colon + 1;
	size_t value_n;

	if (found == NULL)
		return;
	while (value < line + n && *value == ' ')
		value++;
	value_n = (size_t)(line + n - value);
	if (IS("content-length"))
		a->length = number_of(value, value_n);
	else if (IS("retry-after"))
		a->retry_after_s = number_of(value, value_n);
	else if (IS("fleet-mac"))
		copy_value(a->mac, sizeof(a->mac), value, value_n);
	else if (IS("etag"))
		copy_value(a->etag, sizeof(a->etag), value, value_n);
	else if (IS("connection"))
		c->close_after = value_n == 5 && strncasecmp(value, "close", 5) == 0;
	else if (IS("transfer-encoding"))
		a->length = -1;
}
#undef IS

/* Parse the head when it is whole. False: the connection is gone. */
static bool take_head(struct pool *p, struct connection *c)
{
	const char *text = (const char *)c->in.p;
	const char *end = memmem(text, c->in.n, "\r\n\r\n", 4);
	size_t head_n;

	if (end == NULL && c->in.n > HEADER_MAX) {
		lose(p, c, FL_TOO_LARGE);
		return false;
	}
	if (end == NULL)
		return true;
	if (c->in.n < 12 || memcmp(text, "HTTP/1.", 7) != 0) {
		lose(p, c, FL_INVALID);
		return false;
	}
	c->call->answer.status = (int)number_of(text + 9, 3);
	for (const char *line = text; line < end;) {
		const char *stop = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);

		take_header(c, line, (size_t)(stop - line));
		line = stop + 2;
	}
	if (c->call->answer.length < 0) {
		lose(p, c, FL_INVALID); /* chunked coding, which fleetd does not send here */
		return false;
	}
	c->headers_done = true;
	head_n = (size_t)(end + 4 - text);
	memmove(c->in.p, c->in.p + head_n, c->in.n - head_n);
	c->in.n -= head_n;
	return true;
}

/* Hand the answer over; the connection is free before `done` runs, which may start the next. */
static void complete(struct pool *p, struct connection *c)
{
	struct pool_call *call = c->call;

	call->body = (struct fl_bytes){ c->in.p, call->piece == NULL ? c->in.n : 0 };
	c->used = true;
	c->phase = IDLE;
	if (c->close_after)
		close_socket(c);
	set_free(p, c);
	/* `done` can only queue calls, so the body stays where it is. */
	finish(call, FL_OK);
	fl_buf_reset(&c->in);
}

/* Body bytes lie in the buffer. False: the connection has changed hands or is gone. */
static bool take_body(struct pool *p, struct connection *c)
{
	struct pool_call *call = c->call;
	int64_t come = call->piece == NULL ? (int64_t)c->in.n : call->received + (int64_t)c->in.n;
	bool whole = come >= call->answer.length;

	if (call->piece == NULL && call->answer.length > (int64_t)call->body_max) {
		lose(p, c, FL_TOO_LARGE);
		return false;
	}
	if (call->piece != NULL && c->in.n > 0) {
		call->piece(call, (struct fl_bytes){ c->in.p, c->in.n });
		fl_buf_reset(&c->in);
	}
	call->received = come;
	if (!whole && call->cut_after >= 0 && come >= call->cut_after) {
		lose(p, c, FL_NETWORK);
		return false;
	}
	if (whole)
		complete(p, c);
	return !whole;
}

/* How many bytes may be read now; 0: stop for the rest of the slice. */
static size_t read_size(struct pool *p, struct connection *c)
{
	int64_t now;

	if (c->call->rate == 0)
		return READ_SIZE;
	if (c->allowed > 0)
		return c->allowed < READ_SIZE ? (size_t)c->allowed : READ_SIZE;
	now = fl_clock_us(CLOCK_MONOTONIC);
	c->resume_us = now + SLOW_SLICE_US;
	c->deadline_us = now + p->options.timeout_ms * 1000;
	c->allowed = c->call->rate / (1000000 / SLOW_SLICE_US) + 1;
	listen_to(p, c, false);
	return 0;
}

static void receive(struct pool *p, struct connection *c)
{
	for (;;) {
		size_t want = read_size(p, c);
		uint8_t *to;
		ssize_t n;

		if (want == 0)
			return;
		to = fl_buf_reserve(&c->in, want);
		if (to == NULL) {
			lose(p, c, FL_NOMEM);
			return;
		}
		n = recv(c->fd, to, want, 0);
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
			return;
		if (n <= 0) {
			lose(p, c, FL_NETWORK);
			return;
		}
		c->in.n += (size_t)n;
		c->allowed -= n;
		if (!c->headers_done && !take_head(p, c))
			return;
		if (c->headers_done && !take_body(p, c))
			return;
		if ((size_t)n < want && c->call->rate == 0)
			return; /* the socket is empty, most likely */
	}
}

static void handle(struct pool *p, struct connection *c, uint32_t events)
{
	int failed = 0;
	socklen_t n = sizeof(failed);

	switch (c->phase) {
	case CLOSED:
		return; /* closed earlier in this turn */
	case IDLE:
		/* Only the end of the connection can come now. */
		fl_list_remove(&p->idle, &c->link);
		close_socket(c);
		fl_list_push(&p->closed, &c->link);
		return;
	case CONNECTING:
		(void)getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &failed, &n);
		if (failed != 0 || (events & (EPOLLERR | EPOLLHUP)) != 0) {
			back_off(p);
			lose(p, c, FL_NETWORK);
			return;
		}
		p->retry_us = p->backoff_us = 0;
		begin_sending(p, c);
		return;
	case SENDING:
		send_more(p, c);
		return;
	case RECEIVING:
		receive(p, c);
		return;
	}
}

/* Deadlines and slow readers; looked at every 50 ms at most. */
static void check_times(struct pool *p)
{
	int64_t now = fl_clock_us(CLOCK_MONOTONIC);

	if (now - p->checked_us < 50000)
		return;
	p->checked_us = now;
	fl_list_each (&p->active, link) {
		struct connection *c = fl_container(link, struct connection, link);

		if (now >= c->deadline_us) {
			lose(p, c, FL_TIMEOUT);
		} else if (c->resume_us != 0 && now >= c->resume_us) {
			c->resume_us = 0;
			listen_to(p, c, true);
		}
	}
}

void pool_run(struct pool *p, int timeout_ms)
{
	struct epoll_event events[EVENTS_MAX];
	int n;

	dispatch(p);
	/* Slow readers and waits for the server want a turn soon, whatever the caller says. */
	if (timeout_ms < 0 || timeout_ms > 100)
		timeout_ms = pool_busy(p) > 0 ? 100 : timeout_ms;
	n = epoll_wait(p->epoll, events, EVENTS_MAX, timeout_ms);
	for (int i = 0; i < n; i++) {
		handle(p, events[i].data.ptr, events[i].events);
		dispatch(p);
	}
	check_times(p);
	dispatch(p);
}
