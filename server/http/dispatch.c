/* SPDX-License-Identifier: Apache-2.0
 *
 * From MHD's calls to a handler: begin -> body -> route -> credentials -> lane -> answer.
 *
 * DESIGN. What can be refused by the headers alone is refused before the body is read. A refusal of a
 * request with a large body closes the connection; a small body is read and dropped first, so that
 * the connection can be used again. */
#include "server/http/dispatch.h"

#include "server/device/auth.h"
#include "server/http/exchange.h"
#include "server/http/http.h"
#include "server/http/loop.h"
#include "server/metrics.h"
#include "server/server.h"
#include "server/store/batch.h"
#include "server/tokens.h"

#include "lib/clock.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DISCARD_MAX (16 * 1024)        /* of a refused body that is read all the same */
#define DRAIN_MAX   (16 * 1024 * 1024) /* after a refusal in the middle of a body */
#define LENGTH_NONE -1                 /* no Content-Length: chunked, or no body */

void *dispatch_target(void *cls, const char *target, struct MHD_Connection *connection)
{
	return exchange_new(cls, connection, target);
}

void dispatch_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
	enum MHD_RequestTerminationCode how)
{
	struct exchange *x = *con_cls;

	(void)cls;
	(void)connection;
	(void)how;
	if (x == NULL)
		return;
	*con_cls = NULL;
	x->connection = NULL;
	x->suspended = false;
	x->loop->n_requests--;
	exchange_unref(x);
}

static const char *header(const struct exchange *x, const char *name)
{
	return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

/* ---- route */

static enum fl_code decode_params(
	struct exchange *x, const struct routes_match *m, struct fl_err *err)
{
	for (size_t i = 0; i < m->n_params; i++) {
		char *text = request_alloc(&x->rq, m->params[i].n + 1);

		if (text == NULL)
			return fl_fail(err, FL_NOMEM, "no memory for the request");
		if (!request_decode((const char *)m->params[i].p, m->params[i].n, false, text))
			return fl_fail(err, FL_INVALID, "the address is not encoded as it must be");
		x->rq.param[i] = text;
	}
	return FL_OK;
}

static void answer_options(struct exchange *x, const struct routes_match *m, bool refuse)
{
	FL_AUTO_BUF struct fl_buf allow = { 0 };

	routes_allow(m, &allow);
	if (refuse)
		answer_problem(x, FL_METHOD, "this address does not take this method");
	else
		reply_empty(&x->rq, 204);
	reply_header(&x->rq, "Allow", "%s", allow.failed ? "" : (const char *)allow.p);
}

/* Find the row. False: the answer is set. */
static bool route(struct exchange *x, const char *method_text)
{
	enum method method = routes_method(method_text);
	struct routes_match m;
	struct fl_err err = { 0 };
	enum fl_code code;

	x->rq.method = routes_method_text(method);
	if (!routes_find(http_routes(x->rq.server), x->rq.target, strcspn(x->rq.target, "?"), &m)) {
		answer_problem(x, FL_NOT_FOUND, "there is nothing at this address");
		return false;
	}
	if (method == METHOD_MAX || m.by_method[method] == NULL) {
		answer_options(x, &m, method != METHOD_OPTIONS);
		return false;
	}
	x->rq.route = m.by_method[method];
	code = decode_params(x, &m, &err);
	if (code != FL_OK)
		answer_problem(x, code, err.msg);
	return code == FL_OK;
}

/* ---- body limits and type */

static int64_t content_length(const struct exchange *x)
{
	const char *text = header(x, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return text == NULL ? LENGTH_NONE : strtoll(text, NULL, 10); /* MHD has checked it */
}

static bool has_body(const struct exchange *x, int64_t length)
{
	return length > 0 || header(x, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL;
}

static bool is_json(const char *type)
{
	static const char json[] = "application/json";
	size_t n = sizeof(json) - 1;

	return type != NULL && strncasecmp(type, json, n) == 0 &&
		(type[n] == '\0' || type[n] == ';' || type[n] == ' ');
}

static enum fl_code check_body(const struct exchange *x, int64_t length, struct fl_err *err)
{
	const struct route *r = x->rq.route;

	if (!has_body(x, length))
		return FL_OK;
	if (r->body_limit == 0)
		return fl_fail(err, FL_TOO_LARGE, "this address takes no body");
	if (length > r->body_limit)
		return fl_fail(err, FL_TOO_LARGE, "the body may have at most %lld bytes",
			(long long)r->body_limit);
	if (r->lane != LANE_STREAM && !is_json(header(x, MHD_HTTP_HEADER_CONTENT_TYPE)))
		return fl_fail(err, FL_MEDIA, "the body must be application/json");
	return FL_OK;
}

/* ---- credentials */

static enum fl_code check_bearer(struct exchange *x, const char *bearer, struct fl_err *err)
{
	struct request *rq = &x->rq;
	FL_AUTO_BUF struct fl_buf needed = { 0 };
	enum fl_code code = tokens_auth(rq, bearer, err);

	if (code != FL_OK || (rq->who.roles & rq->route->who) != 0)
		return code;
	tokens_roles_words(rq->route->who, &needed);
	return fl_fail(err, FL_FORBIDDEN, "the token %s lacks the role for this: it takes %s",
		rq->who.name, needed.p == NULL ? "a device" : (const char *)needed.p);
}

/* What the headers alone can prove or refute; the rest needs the body (check_proof). */
static enum fl_code check_credentials(struct exchange *x, struct fl_err *err)
{
	unsigned who = x->rq.route->who;
	const char *authorization;

	if (who == WHO_ANYONE)
		return FL_OK;
	if ((who & WHO_DEVICE_KEY) != 0 && header(x, "Signature-Input") != NULL)
		return FL_OK;
	authorization = header(x, MHD_HTTP_HEADER_AUTHORIZATION);
	if (authorization != NULL && strncasecmp(authorization, "Bearer ", 7) == 0)
		return check_bearer(x, authorization + 7, err);
	if (authorization != NULL && (who & WHO_DEVICE) != 0 &&
		strncasecmp(authorization, "Fleet ", 6) == 0)
		return FL_OK;
	return fl_fail(err, FL_UNAUTHENTICATED, "%s",
		(who & WHO_DEVICE_KEY) != 0 ? "the request must be signed by the device's key"
			: (who & WHO_DEVICE) != 0
			? "a device session is needed: Authorization: Fleet …"
			: "a token is needed: Authorization: Bearer …");
}

static enum fl_code check_proof(struct exchange *x, struct fl_err *err)
{
	enum fl_code code;

	if ((x->rq.route->who & WHO_DEVICE) == 0 || x->rq.who.token_id != 0)
		return FL_OK;
	code = device_auth_mac(&x->rq, err);
	x->proved = code == FL_OK;
	return code;
}

/* ---- parts */

/* The answer is set before the body was read. */
static enum MHD_Result refuse_early(struct exchange *x, int64_t length)
{
	if (has_body(x, length) && (length == LENGTH_NONE || length > DISCARD_MAX)) {
		x->closing = true;
		return answer_queue(x);
	}
	x->phase = PHASE_DISCARD;
	return MHD_YES;
}

static bool begin(struct exchange *x, const char *method, int64_t length)
{
	struct fl_err err = { 0 };
	enum fl_code code;

	x->rq.now_ms = fl_clock_ms(CLOCK_REALTIME);
	if (!route(x, method))
		return false;
	if (http_stopping(x->rq.server)) {
		answer_problem(x, FL_UNAVAILABLE, "the server stops");
		return false;
	}
	code = check_credentials(x, &err);
	if (code == FL_OK)
		code = check_body(x, length, &err);
	if (code != FL_OK)
		answer_problem(x, code, err.msg);
	return code == FL_OK;
}

static enum MHD_Result on_headers(struct exchange *x, const char *method)
{
	int64_t length = content_length(x);

	if (!begin(x, method, length))
		return refuse_early(x, length);
	if (x->rq.route->lane == LANE_STREAM) {
		exchange_submit(x, LANE_WORK, x->rq.route->handler);
		return x->phase == PHASE_READY && !x->suspended ? refuse_early(x, length) : MHD_YES;
	}
	x->phase = PHASE_BODY;
	if (length > 0)
		(void)fl_buf_reserve(&x->body, (size_t)length);
	x->body.max = (size_t)x->rq.route->body_limit;
	return MHD_YES;
}

static void on_body(struct exchange *x, const char *bytes, size_t n)
{
	fl_buf_add(&x->body, bytes, n);
	if (!x->body.failed)
		return;
	answer_problem(x, x->body.n + n > x->body.max ? FL_TOO_LARGE : FL_NOMEM,
		"the body is larger than allowed, or there is no memory for it");
	x->phase = PHASE_DISCARD;
}

static enum MHD_Result on_complete(struct exchange *x)
{
	struct fl_err err = { 0 };
	enum fl_code code;

	x->rq.body = (struct fl_bytes){ .p = x->body.p, .n = x->body.n };
	code = check_proof(x, &err);
	/* The writer is the narrow place: it gets bodies that are parsed. */
	if (code == FL_OK && x->rq.route->lane == LANE_WRITE)
		code = exchange_parse(x, &err);
	if (code != FL_OK) {
		answer_problem(x, code, err.msg);
		return answer_queue(x);
	}
	exchange_submit(x, x->rq.route->lane, x->rq.route->handler);
	return x->phase == PHASE_READY && !x->suspended ? answer_queue(x) : MHD_YES;
}

/* The answer is known and body bytes still come. */
static enum MHD_Result drop_bytes(struct exchange *x, size_t *n)
{
	x->discarded += (int64_t)*n;
	*n = 0;
	return x->discarded > DRAIN_MAX ? MHD_NO : MHD_YES;
}

static enum MHD_Result on_stream(struct exchange *x, const char *bytes, size_t *n)
{
	if (!x->stream.begun) {
		x->stream.begun = true; /* MHD repeats the call for the headers after a resume */
		return MHD_YES;
	}
	*n -= stream_take(x, bytes, *n);
	return x->phase == PHASE_READY && !x->suspended && *n == 0 && x->stream.ended
		? answer_queue(x)
		: MHD_YES;
}

enum MHD_Result dispatch_request(void *cls, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *upload, size_t *upload_size,
	void **con_cls)
{
	struct exchange *x = *con_cls;

	(void)cls;
	(void)connection;
	(void)url;
	(void)version;
	if (x == NULL)
		return MHD_NO; /* no memory for it */
	switch (x->phase) {
	case PHASE_NEW:
		return on_headers(x, method);
	case PHASE_BODY:
		if (*upload_size == 0)
			return on_complete(x);
		on_body(x, upload, *upload_size);
		*upload_size = 0;
		return MHD_YES;
	case PHASE_STREAM:
		return on_stream(x, upload, upload_size);
	case PHASE_DISCARD:
	case PHASE_READY:
		return *upload_size == 0 ? answer_queue(x) : drop_bytes(x, upload_size);
	case PHASE_LANE:
		/* A stream's bytes arrive while its lane works. */
		return x->stream.begun ? on_stream(x, upload, upload_size) : MHD_YES;
	case PHASE_PARKED:
	case PHASE_ANSWER:
		break;
	}
	return MHD_YES;
}
