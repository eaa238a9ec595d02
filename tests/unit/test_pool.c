/* SPDX-License-Identifier: Apache-2.0
 *
 * The swarm's client against a server in the same thread that answers byte for byte what a test
 * wants: keep-alive, cuts, closed connections, a server that is away. */
#include "agent/pool.h"

#include "lib/clock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LIMIT_US (20LL * 1000000)

struct client {
	struct pool *pool;
	struct pool_call call;
	int done;
	size_t pieces;
	char body[256];
};

static int listener = -1, peer = -1;
static struct sockaddr_in address;

static int listen_on(struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	socklen_t n = sizeof(*at);

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)at, sizeof(*at)) != 0 || listen(fd, 8) != 0)
		return -1;
	(void)getsockname(fd, (struct sockaddr *)at, &n);
	return fd;
}

static void done(struct pool_call *call)
{
	struct client *c = call->owner;

	c->done++;
	if (call->body.n > 0 && call->body.n < sizeof(c->body))
		memcpy(c->body, call->body.p, call->body.n);
}

static void piece(struct pool_call *call, struct fl_bytes bytes)
{
	((struct client *)call->owner)->pieces += bytes.n;
}

static void make(struct client *c, size_t connections)
{
	struct pool_options o = { .connections = connections, .timeout_ms = 20000, .seed = 1 };

	memset(c, 0, sizeof(*c));
	address = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	listener = listen_on(&address);
	assert_true(listener >= 0);
	memcpy(&o.address, &address, sizeof(address));
	o.address_len = sizeof(address);
	assert_int_equal(pool_new(&c->pool, &o, NULL), FL_OK);
	fl_buf_str(&c->call.request, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	c->call.owner = c;
	c->call.done = done;
	c->call.body_max = 200;
	c->call.cut_after = -1;
}

static void unmake(struct client *c)
{
	pool_free(c->pool);
	fl_buf_fini(&c->call.request);
	if (peer >= 0)
		(void)close(peer);
	if (listener >= 0)
		(void)close(listener);
	peer = listener = -1;
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

/* Run the client until the server has a whole request, on a new connection if `fresh`. */
static void serve(struct client *c, bool fresh)
{
	int64_t limit = fl_clock_us(CLOCK_MONOTONIC) + LIMIT_US;
	char in[256];

	while (fresh && !readable(listener)) {
		assert_true(fl_clock_us(CLOCK_MONOTONIC) < limit);
		pool_run(c->pool, 10);
	}
	if (fresh) {
		if (peer >= 0)
			(void)close(peer);
		peer = accept(listener, NULL, NULL);
	}
	while (!readable(peer)) {
		assert_true(fl_clock_us(CLOCK_MONOTONIC) < limit);
		pool_run(c->pool, 10);
	}
	assert_true(read(peer, in, sizeof(in)) > 0);
}

static void say(const char *text)
{
	assert_int_equal(write(peer, text, strlen(text)), (ssize_t)strlen(text));
}

static void hang_up(void)
{
	(void)close(peer);
	peer = -1;
}

static void finish(struct client *c, int times)
{
	int64_t limit = fl_clock_us(CLOCK_MONOTONIC) + LIMIT_US;

	while (c->done < times) {
		assert_true(fl_clock_us(CLOCK_MONOTONIC) < limit);
		pool_run(c->pool, 10);
	}
}

static void an_answer_in_pieces_is_put_together(void **unused)
{
	static const char text[] = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nFleet-Mac: 7.abc\r\n"
				   "Retry-After: 9\r\nETag: \"t\"\r\n\r\nhello";
	struct client c;

	(void)unused;
	make(&c, 1);
	pool_start(c.pool, &c.call);
	serve(&c, true);
	for (const char *p = text; *p != '\0'; p++) {
		const char one[2] = { *p, '\0' };

		say(one);
		pool_run(c.pool, 0);
	}
	finish(&c, 1);
	assert_int_equal(c.call.code, FL_OK);
	assert_int_equal(c.call.answer.status, 200);
	assert_string_equal(c.call.answer.mac, "7.abc");
	assert_string_equal(c.call.answer.etag, "\"t\"");
	assert_int_equal(c.call.answer.retry_after_s, 9);
	assert_string_equal(c.body, "hello");
	unmake(&c);
}

static void the_connection_is_used_again(void **unused)
{
	struct client c;

	(void)unused;
	make(&c, 1);
	for (int i = 1; i <= 3; i++) {
		pool_start(c.pool, &c.call);
		serve(&c, i == 1);
		say("HTTP/1.1 204 No Content\r\n\r\n");
		finish(&c, i);
		assert_int_equal(c.call.answer.status, 204);
	}
	assert_false(readable(listener));
	unmake(&c);
}

static void a_request_on_a_connection_that_was_closed_meanwhile_is_sent_again(void **unused)
{
	struct client c;

	(void)unused;
	make(&c, 1);
	pool_start(c.pool, &c.call);
	serve(&c, true);
	say("HTTP/1.1 204 No Content\r\n\r\n");
	finish(&c, 1);
	pool_start(c.pool, &c.call);
	serve(&c, false);
	hang_up();
	serve(&c, true);
	say("HTTP/1.1 204 No Content\r\n\r\n");
	finish(&c, 2);
	assert_int_equal(c.call.code, FL_OK);
	unmake(&c);
}

static void an_answer_that_breaks_off_is_a_failure(void **unused)
{
	struct client c;

	(void)unused;
	make(&c, 1);
	pool_start(c.pool, &c.call);
	serve(&c, true);
	say("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf");
	hang_up();
	finish(&c, 1);
	assert_int_equal(c.call.code, FL_NETWORK);
	unmake(&c);
}

static void what_is_not_our_http_is_refused(void **unused)
{
	static const struct {
		const char *text;
		enum fl_code code;
	} cases[] = {
		{ "SSH-2.0-x and some more\r\n\r\n", FL_INVALID },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", FL_INVALID },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 201\r\n\r\nx", FL_TOO_LARGE },
	};

	(void)unused;
	for (size_t i = 0; i < FL_COUNT(cases); i++) {
		struct client c;

		make(&c, 1);
		pool_start(c.pool, &c.call);
		serve(&c, true);
		say(cases[i].text);
		finish(&c, 1);
		assert_int_equal(c.call.code, cases[i].code);
		unmake(&c);
	}
}

static void a_download_comes_in_pieces_and_can_be_cut(void **unused)
{
	struct client c;

	(void)unused;
	make(&c, 1);
	c.call.piece = piece;
	pool_start(c.pool, &c.call);
	serve(&c, true);
	say("HTTP/1.1 206 Partial Content\r\nContent-Length: 10\r\n\r\n0123456789");
	finish(&c, 1);
	assert_int_equal(c.pieces, 10);
	c.call.cut_after = 4;
	pool_start(c.pool, &c.call);
	serve(&c, false);
	say("HTTP/1.1 206 Partial Content\r\nContent-Length: 10\r\n\r\n01234");
	finish(&c, 2);
	assert_int_equal(c.call.code, FL_NETWORK);
	assert_int_equal(c.call.received, 5);
	unmake(&c);
}

static void a_slow_reader_takes_its_time(void **unused)
{
	struct client c;
	int64_t began;

	(void)unused;
	make(&c, 1);
	c.call.piece = piece;
	c.call.rate = 20;
	pool_start(c.pool, &c.call);
	serve(&c, true);
	began = fl_clock_us(CLOCK_MONOTONIC);
	say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789");
	finish(&c, 1);
	assert_int_equal(c.pieces, 10);
	assert_true(fl_clock_us(CLOCK_MONOTONIC) - began > 200000);
	unmake(&c);
}

static void calls_wait_while_the_server_is_away(void **unused)
{
	struct client c;

	(void)unused;
	make(&c, 2);
	(void)close(listener);
	pool_start(c.pool, &c.call);
	for (int i = 0; i < 20; i++)
		pool_run(c.pool, 10);
	assert_true(pool_down(c.pool));
	assert_int_equal(c.done, 0);
	assert_int_equal(pool_busy(c.pool), 1);
	listener = listen_on(&address);
	assert_true(listener >= 0);
	serve(&c, true);
	say("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
	finish(&c, 1);
	assert_int_equal(c.call.code, FL_OK);
	assert_false(pool_down(c.pool));
	unmake(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_in_pieces_is_put_together),
		cmocka_unit_test(the_connection_is_used_again),
		cmocka_unit_test(a_request_on_a_connection_that_was_closed_meanwhile_is_sent_again),
		cmocka_unit_test(an_answer_that_breaks_off_is_a_failure),
		cmocka_unit_test(what_is_not_our_http_is_refused),
		cmocka_unit_test(a_download_comes_in_pieces_and_can_be_cut),
		cmocka_unit_test(a_slow_reader_takes_its_time),
		cmocka_unit_test(calls_wait_while_the_server_is_away),
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
