/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether the server lives and can work, and its figures. */
#include "server/http/handlers.h"
#include "server/http/http.h"
#include "server/http/request.h"
#include "server/metrics.h"
#include "server/server.h"
#include "server/store/batch.h"

static void reply_ok(struct request *rq)
{
	struct fl_buf b = { 0 };

	fl_buf_str(&b, "ok\n");
	reply_buf(rq, 200, "text/plain", &b);
}

enum fl_code api_healthz(struct request *rq, struct fl_err *err)
{
	(void)err;
	reply_ok(rq);
	return FL_OK;
}

enum fl_code api_readyz(struct request *rq, struct fl_err *err)
{
	if (http_stopping(rq->server))
		return fl_fail(err, FL_UNAVAILABLE, "the server stops");
	if (database_broken(rq->server->database))
		return fl_fail(err, FL_UNAVAILABLE, "the database had an I/O error");
	reply_ok(rq);
	return FL_OK;
}

enum fl_code api_metrics(struct request *rq, struct fl_err *err)
{
	struct fl_buf b = { 0 };

	(void)err;
	metrics_render(rq->server->metrics, &b);
	reply_buf(rq, 200, "text/plain; version=0.0.4", &b);
	return FL_OK;
}
