/* SPDX-License-Identifier: Apache-2.0
 *
 * What a handler can ask about its request, and where it can send it. */
#include "server/http/exchange.h"
#include "server/http/loop.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- the query */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool request_decode(const char *from, size_t n, bool plus, char *to)
{
	for (size_t i = 0; i < n; i++) {
		char c = from[i];

		if (c == '%') {
			int high = i + 2 < n ? hex_digit(from[i + 1]) : -1;
			int low = high >= 0 ? hex_digit(from[i + 2]) : -1;

			if (low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		if (c == '\0')
			return false;
		*to++ = c;
	}
	*to = '\0';
	return true;
}

const char *request_query(const struct request *rq, const char *name)
{
	const char *p = strchr(rq->target, '?');
	size_t length = strlen(name);

	while (p != NULL && *p != '\0') {
		const char *pair = p + 1;
		size_t n = strcspn(pair, "&");
		size_t key = strcspn(pair, "=&");
		char *value;

		p = pair + n;
		if (key != length || memcmp(pair, name, length) != 0)
			continue;
		n = key < n ? n - key - 1 : 0;
		value = request_alloc((struct request *)(uintptr_t)rq, n + 1);
		if (value == NULL || !request_decode(pair + key + 1, n, true, value))
			return NULL;
		return value;
	}
	return NULL;
}

enum fl_code request_query_int(const struct request *rq, const char *name, int64_t min, int64_t max,
	int64_t otherwise, int64_t *out, struct fl_err *err)
{
	const char *text = request_query(rq, name);
	char *end;
	int64_t value;

	if (text == NULL) {
		*out = otherwise;
		return FL_OK;
	}
	errno = 0;
	value = strtoll(text, &end, 10);
	if (end == text || *end != '\0' || errno != 0 || value < min || value > max)
		return fl_fail(err, FL_INVALID,
			"the parameter %s must be a whole number from %" PRId64 " to %" PRId64,
			name, min, max);
	*out = value;
	return FL_OK;
}

/* ---- headers and body */

const char *request_header(const struct request *rq, const char *name)
{
	const struct exchange *x = exchange_of((struct request *)(uintptr_t)rq);

	if (x->headers == NULL)
		return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
	for (size_t i = 0; i < x->n_headers; i++) {
		if (strcasecmp(x->headers[i].name, name) == 0)
			return x->headers[i].value;
	}
	return NULL;
}

enum fl_code request_read(struct request *rq, const struct fl_json_field *fields, size_t n,
	void *out, struct fl_err *err)
{
	bool device = strncmp(rq->route->path, "/device/", 8) == 0;

	if (rq->json == NULL)
		return fl_fail(err, FL_INVALID, "a JSON body is needed");
	return fl_json_read(
		rq->json, fields, n, device ? FL_JSON_IGNORE : FL_JSON_REJECT, out, err);
}

/* ---- where it goes on */

void request_then(struct request *rq, enum lane lane, handler_fn fn)
{
	struct exchange *x = exchange_of(rq);

	FL_BUG_IF(x->then.set || x->park.set || lane >= LANE_STREAM);
	x->then.set = true;
	x->then.lane = lane;
	x->then.fn = fn;
}

void request_park(
	struct request *rq, uint64_t topic, int64_t wait_ms, enum lane lane, handler_fn fn)
{
	struct exchange *x = exchange_of(rq);

	FL_BUG_IF(x->then.set || x->park.set || lane >= LANE_STREAM);
	x->park.set = true;
	x->park.topic = topic;
	x->park.wait_ms = wait_ms;
	x->park.lane = lane;
	x->park.fn = fn;
}

void request_stream(struct request *rq, const struct request_stream *ops)
{
	struct exchange *x = exchange_of(rq);

	FL_BUG_IF(x->stream.ops != NULL || rq->route->lane != LANE_STREAM);
	x->stream.ops = ops;
}
