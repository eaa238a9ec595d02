/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers that go on: server-sent events.
 *
 * DESIGN. The reader lane makes bytes (`more`), MHD takes them; in between the request is parked on its
 * topic with the connection suspended. The first bytes are made before the response begins, so that a
 * failure can still be an ordinary problem. */
#include "server/http/exchange.h"
#include "server/http/http.h"
#include "server/http/loop.h"

#include <string.h>

#define KEEPALIVE_MS 15000
#define BLOCK_BYTES  4096

static enum fl_code fetch(struct request *rq, struct fl_err *err)
{
	struct exchange *x = exchange_of(rq);
	enum fl_code code;

	fl_buf_reset(&x->events.fresh);
	code = x->answer.more(rq, &x->events.fresh, err);
	return code == FL_OK ? fl_buf_check(&x->events.fresh, err) : code;
}

/* A comment line keeps proxies from closing a quiet stream, and shows us that the client is gone. */
static void keep_alive(struct exchange *x)
{
	if (x->events.out.n == 0 && x->loop->now_us - x->events.quiet_us >= KEEPALIVE_MS * 1000)
		fl_buf_str(&x->events.out, ":\n\n");
}

static void take_fresh(struct exchange *x)
{
	struct exchange_events *e = &x->events;
	struct fl_buf swap = e->out;

	e->out = e->fresh;
	e->fresh = swap;
	e->sent = 0;
	keep_alive(x);
}

void events_advance(struct exchange *x)
{
	struct exchange_events *e = &x->events;

	if (http_stopping(x->rq.server)) {
		e->fetching = false;
		exchange_ready(x);
	} else if (!e->fetching) {
		e->fetching = true;
		if (!e->begun)
			e->quiet_us = x->loop->now_us;
		e->begun = true;
		exchange_submit(x, LANE_READ, fetch);
	} else {
		e->fetching = false;
		take_fresh(x);
		if (e->out.n > 0 || !e->queued) {
			exchange_ready(x);
			return;
		}
		x->park.wait_ms = KEEPALIVE_MS;
		park_add(x);
	}
}

static ssize_t read_more(void *cls, uint64_t at, char *to, size_t max)
{
	struct exchange *x = cls;
	struct exchange_events *e = &x->events;
	size_t n = e->out.n - e->sent;

	(void)at;
	if (n > 0) {
		if (n > max)
			n = max;
		memcpy(to, e->out.p + e->sent, n);
		e->sent += n;
		e->quiet_us = x->loop->now_us;
		return (ssize_t)n;
	}
	if (x->answer.more == NULL || http_stopping(x->rq.server))
		return MHD_CONTENT_READER_END_OF_STREAM;
	x->park.wait_ms = KEEPALIVE_MS;
	park_add(x);
	return 0;
}

struct MHD_Response *events_response(struct exchange *x)
{
	x->events.queued = true;
	return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_more, x, NULL);
}
