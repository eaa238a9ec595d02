/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers: what handlers say, and how it becomes MHD's response. */
#include "server/device/auth.h"
#include "server/http/exchange.h"
#include "server/http/file_reply.h"
#include "server/http/http.h"
#include "server/http/loop.h"
#include "server/metrics.h"
#include "server/server.h"

#include "lib/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROBLEM "application/problem+json"

void answer_reset(struct answer *a)
{
	fl_buf_fini(&a->body);
	if (a->has_file && a->file.fd >= 0)
		(void)close(a->file.fd);
	a->set = a->has_file = false;
	a->more = NULL;
	a->content_type = NULL;
	a->n_headers = 0;
}

static struct answer *answer_begin(struct request *rq, unsigned status)
{
	struct answer *a = &exchange_of(rq)->answer;

	FL_BUG_IF(a->set);
	a->set = true;
	a->status = status;
	return a;
}

/* ---- what handlers call */

void reply_json(struct request *rq, unsigned status, json_t *take)
{
	struct answer *a = answer_begin(rq, status);

	if (take == NULL) {
		a->body.failed = true;
	} else {
		fl_json_write(&a->body, take);
		json_decref(take);
	}
	a->content_type = "application/json";
	if (a->body.failed)
		answer_problem(exchange_of(rq), FL_NOMEM, "no memory for the answer");
}

void reply_buf(struct request *rq, unsigned status, const char *content_type, struct fl_buf *take)
{
	struct answer *a = answer_begin(rq, status);

	a->body = *take;
	*take = (struct fl_buf){ 0 };
	a->content_type = content_type;
	if (a->body.failed)
		answer_problem(exchange_of(rq), FL_NOMEM, "no memory for the answer");
}

void reply_empty(struct request *rq, unsigned status)
{
	(void)answer_begin(rq, status);
}

void reply_file(struct request *rq, const struct reply_file *f)
{
	struct answer *a = answer_begin(rq, 200);

	a->has_file = true;
	a->file = *f;
}

void reply_events(struct request *rq, uint64_t topic, reply_more_fn next)
{
	struct exchange *x = exchange_of(rq);
	struct answer *a = answer_begin(rq, 200);

	a->content_type = "text/event-stream";
	a->more = next;
	x->park.topic = topic;
	reply_header(rq, "Cache-Control", "no-store");
}

static char *format(struct request *rq, const char *fmt, va_list ap) FL_PRINTF(2, 0);

/* The text of a header; the common "%s" is worth a way of its own. */
static char *format(struct request *rq, const char *fmt, va_list ap)
{
	va_list again;
	char *value;
	int n;

	if (strcmp(fmt, "%s") == 0)
		return request_strdup(rq, va_arg(ap, const char *));
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	value = n < 0 ? NULL : request_alloc(rq, (size_t)n + 1);
	if (value != NULL)
		(void)vsnprintf(value, (size_t)n + 1, fmt, ap);
	return value;
}

void reply_header(struct request *rq, const char *name, const char *fmt, ...)
{
	struct answer *a = &exchange_of(rq)->answer;
	va_list ap;
	char *value;

	FL_BUG_IF(a->n_headers == EXCHANGE_HEADERS);
	va_start(ap, fmt);
	value = format(rq, fmt, ap);
	va_end(ap);
	if (value != NULL)
		a->headers[a->n_headers++] =
			(struct exchange_header){ .name = name, .value = value };
}

/* ---- problems (RFC 9457) */

static void problem_text(
	struct fl_buf *b, uint64_t id, enum fl_code code, const char *detail, const json_t *extra)
{
	const char *key;
	json_t *value;

	fl_buf_printf(b, "{\"type\":\"/problems/%s\",\"title\":\"%s\",\"status\":%d,\"detail\":",
		fl_problem_type(code), fl_title(code), fl_http_status(code));
	fl_buf_json(b, detail, strlen(detail));
	fl_buf_printf(b, ",\"instance\":\"%016" PRIx64 "\"", id);
	json_object_foreach ((json_t *)(uintptr_t)extra, key, value) {
		fl_buf_byte(b, ',');
		fl_buf_json(b, key, strlen(key));
		fl_buf_byte(b, ':');
		fl_json_write(b, value);
	}
	fl_buf_byte(b, '}');
}

static void problem(struct request *rq, enum fl_code code, const char *detail, const json_t *extra)
{
	struct answer *a = answer_begin(rq, (unsigned)fl_http_status(code));

	a->content_type = PROBLEM;
	problem_text(&a->body, rq->id, code, detail, extra);
	if (a->status == 503 || a->status == 429)
		reply_header(rq, "Retry-After", "1");
	if (a->status == 401)
		reply_header(rq, "WWW-Authenticate", "%s",
			rq->route != NULL && (rq->route->who & WHO_DEVICE) != 0 ? "Fleet"
										: "Bearer");
}

void reply_problem(struct request *rq, enum fl_code code, const char *detail, json_t *take_extra)
{
	problem(rq, code, detail, take_extra);
	json_decref(take_extra);
}

void answer_problem(struct exchange *x, enum fl_code code, const char *detail)
{
	answer_reset(&x->answer);
	problem(&x->rq, code, detail[0] != '\0' ? detail : fl_title(code), NULL);
}

/* ---- to MHD */

static struct MHD_Response *from_body(struct answer *a)
{
	struct MHD_Response *r;
	size_t n = a->body.n;
	char *p = fl_buf_take(&a->body);

	if (n == 0) {
		free(p);
		return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	}
	r = MHD_create_response_from_buffer(n, p, MHD_RESPMEM_MUST_FREE);
	if (r == NULL)
		free(p);
	return r;
}

static struct MHD_Response *make_response(struct exchange *x)
{
	struct answer *a = &x->answer;
	struct MHD_Response *r = NULL;
	struct fl_err err = { 0 };
	enum fl_code code;

	if (a->more != NULL)
		return events_response(x);
	if (!a->has_file)
		return from_body(a);
	a->has_file = false; /* taken over, also when it fails */
	code = file_reply_make(&x->rq, &a->file, &a->status, &r, &err);
	if (code == FL_OK)
		return r;
	answer_problem(x, code, err.msg);
	if (code == FL_RANGE)
		reply_header(&x->rq, "Content-Range", "bytes */%" PRId64, a->file.size);
	return from_body(a);
}

static void add_id(const struct exchange *x, struct MHD_Response *r)
{
	char id[24];

	(void)snprintf(id, sizeof(id), "%016" PRIx64, x->rq.id);
	(void)MHD_add_response_header(r, "X-Request-Id", id);
}

static void add_headers(struct exchange *x, struct MHD_Response *r)
{
	struct answer *a = &x->answer;

	if (a->content_type != NULL)
		(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, a->content_type);
	for (size_t i = 0; i < a->n_headers; i++)
		(void)MHD_add_response_header(r, a->headers[i].name, a->headers[i].value);
	if (x->closing || http_stopping(x->rq.server))
		(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
	/* Devices poll by the million and have a nonce of their own to find an answer by. */
	if (x->proved && a->status < 400)
		return;
	add_id(x, r);
}

static void count(const struct exchange *x, unsigned status)
{
	struct metrics *m = x->rq.server->metrics;

	metrics_add(m, METRIC_REQUESTS, 1);
	if (status >= 500)
		metrics_add(m, METRIC_REQUEST_ERRORS, 1);
	else if (status >= 400)
		metrics_add(m, METRIC_REQUESTS_REFUSED, 1);
	if (x->headers != NULL)
		metrics_time(m, METRIC_REQUEST_SECONDS, fl_clock_us(CLOCK_MONOTONIC) - x->began_us);
}

/* The lane may be writing x->answer, so this touches only what never changes. */
static enum MHD_Result queue_timeout(struct exchange *x)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };
	struct MHD_Response *r;
	enum MHD_Result result;

	problem_text(&b, x->rq.id, FL_TIMEOUT,
		"the server did not finish this in time; it may still be carried out", NULL);
	r = b.failed ? NULL : MHD_create_response_from_buffer(b.n, b.p, MHD_RESPMEM_MUST_COPY);
	if (r == NULL)
		return MHD_NO;
	(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, PROBLEM);
	add_id(x, r);
	result = MHD_queue_response(x->connection, 504, r);
	MHD_destroy_response(r);
	count(x, 504);
	return result;
}

enum MHD_Result answer_queue(struct exchange *x)
{
	struct answer *a = &x->answer;
	struct MHD_Response *r;
	enum MHD_Result result;

	x->phase = PHASE_ANSWER;
	if (x->abandoned)
		return queue_timeout(x);
	FL_BUG_IF(!a->set);
	if (x->proved)
		device_auth_answer(
			&x->rq, a->status, (struct fl_bytes){ .p = a->body.p, .n = a->body.n });
	r = make_response(x);
	if (r == NULL)
		return MHD_NO;
	add_headers(x, r);
	result = MHD_queue_response(x->connection, a->status, r);
	MHD_destroy_response(r);
	count(x, a->status);
	return result;
}
