/* SPDX-License-Identifier: Apache-2.0
 *
 * Deltas: what is ready or known not to pay, and what it saved. */
#include "server/http/handlers.h"

#include <stdlib.h>
#include <string.h>

#include "server/api/list.h"
#include "server/delta_service.h"
#include "server/server.h"
#include "server/store/delta.h"

static json_t *render(const struct delta *d)
{
	bool ready = d->state == DELTA_READY;

	return json_pack("{so,so,ss,ss,so,sI,sI,sI,sI,sI,so}", "from",
		d->from == 0 ? json_null() : list_hex(d->from_sha256, sizeof(d->from_sha256)), "to",
		list_hex(d->to_sha256, sizeof(d->to_sha256)), "codec", d->codec, "state",
		delta_state_name(d->state), "sha256",
		ready ? list_hex(d->sha256, sizeof(d->sha256)) : json_null(), "size",
		(json_int_t)d->size, "full_size", (json_int_t)d->to_size, "saved",
		(json_int_t)(ready ? d->uses * (d->to_size - d->size) : 0), "uses",
		(json_int_t)d->uses, "built_ms", (json_int_t)d->built_ms, "created_at",
		list_time(d->created_at));
}

static json_t *render_summary(const struct delta_summary *s, const struct delta_figures *f)
{
	return json_pack("{sI,sI,sI,sI,sI,sI,sI,sI,sI}", "ready", (json_int_t)s->ready, "useless",
		(json_int_t)s->useless, "failed", (json_int_t)s->failed, "bytes",
		(json_int_t)s->bytes, "uses", (json_int_t)s->uses, "saved", (json_int_t)s->saved,
		"waiting", (json_int_t)f->waiting, "warming", (json_int_t)f->warming, "building",
		(json_int_t)f->building);
}

static enum fl_code add_page(
	struct request *rq, struct list *l, struct delta *rows, struct fl_err *err)
{
	int64_t after;
	size_t n = 0;
	enum fl_code code = list_after(l, &after, err);

	if (code == FL_OK)
		code = delta_page(rq->store, after, rows, (size_t)l->limit + 1, &n, err);
	for (size_t i = 0; i < n && code == FL_OK; i++)
		code = list_add_no(l, render(&rows[i]), rows[i].id, err);
	return code;
}

enum fl_code api_deltas_list(struct request *rq, struct fl_err *err)
{
	struct list l = { 0 };
	struct delta_summary sum;
	struct delta *rows = NULL;
	enum fl_code code = list_init(rq, &l, err);

	if (code != FL_OK)
		goto out;
	rows = request_alloc(rq, ((size_t)l.limit + 1) * sizeof(*rows));
	code = rows == NULL ? fl_fail(err, FL_NOMEM, "no memory for a page of deltas")
			    : add_page(rq, &l, rows, err);
	if (code == FL_OK)
		code = delta_summarise(rq->store, &sum, err);
	if (code == FL_OK) {
		const struct delta_figures f = delta_service_figures(rq->server->deltas);

		list_reply_with(rq, &l, "summary", render_summary(&sum, &f));
	}
out:
	list_fini(&l);
	return code;
}
