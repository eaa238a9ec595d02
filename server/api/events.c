/* SPDX-License-Identifier: Apache-2.0
 *
 * The audit trail, in pages or as a stream (SSE). A token with a selector does not see events about
 * devices outside of it. */
#include "server/http/handlers.h"

#include "server/api/list.h"
#include "server/events.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define STREAM_ROWS 500 /* of one turn */

/* ---- pages */

#define LOOK_ROWS 20000 /* of one page, also when few of them are asked for */

struct page {
	struct list list;
	struct store *store;
	const struct rsql *scope;
	const char *kind;  /* only this kind, or this group of kinds ("rollout"); NULL: all */
	const char *actor; /* only by this one; NULL: all */
	int64_t looked;    /* rows that were looked at */
};

static bool asked_for(const struct page *p, const struct event *e)
{
	size_t n = p->kind == NULL ? 0 : strlen(p->kind);

	if (p->actor != NULL && strcmp(e->actor, p->actor) != 0)
		return false;
	return p->kind == NULL ||
		(strncmp(e->kind, p->kind, n) == 0 && (e->kind[n] == '\0' || e->kind[n] == '.'));
}

static json_t *event_json(const struct event *e)
{
	return json_pack("{s:I, s:o, s:s, s:s, s:s, s:o, s:o}", "seq", (json_int_t)e->seq, "at",
		list_time(e->at), "actor", e->actor, "kind", e->kind, "subject", e->subject, "data",
		json_loads(e->data, 0, NULL), "hash", list_hex(e->hash, sizeof(e->hash)));
}

static enum fl_code add_event(void *context, const struct event *e, struct fl_err *err)
{
	struct page *p = context;
	bool shown = false;
	char key[24];

	(void)snprintf(key, sizeof(key), "%" PRId64, e->seq);
	if (++p->looked > LOOK_ROWS)
		p->list.more = true;
	if (p->list.more)
		return FL_OK;
	if (!asked_for(p, e)) {
		list_pass(&p->list, key);
		return FL_OK;
	}
	enum fl_code code = events_visible(p->store, p->scope, e, &shown, err);
	if (code == FL_OK && shown)
		code = list_add(&p->list, event_json(e), key, err);
	else if (code == FL_OK)
		list_skip(&p->list, key);
	return code;
}

/* Where to begin: cursor, or the parameter after. */
static enum fl_code read_after(
	struct request *rq, const struct list *l, int64_t *after, struct fl_err *err)
{
	enum fl_code code = list_after(l, after, err);

	if (code == FL_OK && l->after[0] == '\0')
		code = request_query_int(rq, "after", 0, INT64_MAX, 0, after, err);
	return code;
}

/* oldest (what is said when nothing is) or newest first */
static enum fl_code read_order(struct request *rq, bool *newest, struct fl_err *err)
{
	const char *order = request_query(rq, "order");

	*newest = order != NULL && strcmp(order, "newest") == 0;
	if (order != NULL && !*newest && strcmp(order, "oldest") != 0)
		return fl_fail(err, FL_INVALID, "order is oldest or newest, not \"%.40s\"", order);
	return FL_OK;
}

static enum fl_code reply_page(struct request *rq, const struct rsql *scope, struct fl_err *err)
{
	struct page p = { .store = rq->store,
		.scope = scope,
		.kind = request_query(rq, "kind"),
		.actor = request_query(rq, "actor") };
	struct event_walk walk = { .subject = request_query(rq, "subject"),
		.enough = &p.list.more };
	bool all = p.kind == NULL && p.actor == NULL;
	enum fl_code code = list_init(rq, &p.list, err);

	if (code == FL_OK)
		code = read_after(rq, &p.list, &walk.from, err);
	if (code == FL_OK)
		code = read_order(rq, &walk.newest, err);
	walk.limit = all ? p.list.limit + 1 : LOOK_ROWS + 1;
	if (code == FL_OK)
		code = event_walk(rq->store, &walk, add_event, &p, err);
	if (code == FL_OK)
		list_reply(rq, &p.list);
	list_fini(&p.list);
	return code;
}

/* ---- the stream */

/* Where one listener stands. */
struct listener {
	int64_t after;
	struct rsql *scope; /* owned; NULL: everything */
};

static void drop_listener(void *state)
{
	struct listener *l = state;

	rsql_free(l->scope);
	free(l);
}

struct turn {
	struct listener *listener;
	struct store *store;
	struct fl_buf *out;
};

static enum fl_code write_event(void *context, const struct event *e, struct fl_err *err)
{
	struct turn *t = context;
	bool shown = false;
	enum fl_code code = events_visible(t->store, t->listener->scope, e, &shown, err);

	if (code != FL_OK)
		return code;
	t->listener->after = e->seq;
	if (!shown)
		return FL_OK;
	fl_buf_printf(t->out, "id: %" PRId64 "\nevent: %s\ndata: ", e->seq, e->kind);
	events_json(t->out, e);
	fl_buf_str(t->out, "\n\n");
	return FL_OK;
}

/* What the listener says it has had was never written, or is gone with a backup that was restored: it is
 * told, and hears what comes now. */
static enum fl_code step_back(struct turn *t, struct fl_err *err)
{
	uint8_t hash[EVENT_HASH_BYTES];
	int64_t head = 0;
	enum fl_code code = event_head(t->store, &head, hash, err);

	if (code == FL_OK && t->listener->after > head) {
		fl_buf_printf(t->out,
			"id: %" PRId64 "\nevent: rewound\ndata: {\"after\":%" PRId64
			",\"head\":%" PRId64 "}\n\n",
			head, t->listener->after, head);
		t->listener->after = head;
	}
	return code;
}

/* Lines that the listener has not had are pruned: it is told, there is no silent gap. */
static enum fl_code skip_pruned(struct turn *t, struct fl_err *err)
{
	struct event_checkpoint cut = { 0 };
	struct fl_err none = { 0 };
	enum fl_code code = event_checkpoint(t->store, &cut, &none);

	if (code != FL_OK && code != FL_NOT_FOUND)
		return fl_fail(err, code, "%s", none.msg);
	if (cut.seq > t->listener->after) {
		fl_buf_printf(t->out,
			"id: %" PRId64 "\nevent: pruned\ndata: {\"after\":%" PRId64
			",\"through\":%" PRId64 "}\n\n",
			cut.seq, t->listener->after, cut.seq);
		t->listener->after = cut.seq;
	}
	event_checkpoint_fini(&cut);
	return FL_OK;
}

static enum fl_code next_events(struct request *rq, struct fl_buf *out, struct fl_err *err)
{
	struct turn t = { .listener = rq->state, .store = rq->store, .out = out };
	int64_t before;
	enum fl_code code = skip_pruned(&t, err);

	if (code == FL_OK)
		code = step_back(&t, err);
	if (code != FL_OK)
		return code;
	do {
		before = t.listener->after;
		code = event_each(rq->store, before, STREAM_ROWS, write_event, &t, err);
	} while (code == FL_OK && out->n == 0 && t.listener->after - before >= STREAM_ROWS);
	return code == FL_OK ? fl_buf_check(out, err) : code;
}

/* Go on behind Last-Event-ID (what a browser sends after a cut), the parameter after, or now. */
static enum fl_code first_after(struct request *rq, int64_t *after, struct fl_err *err)
{
	const char *last = request_header(rq, "Last-Event-ID");
	uint8_t hash[EVENT_HASH_BYTES];
	char *end;

	if (last != NULL && last[0] != '\0') {
		*after = strtoll(last, &end, 10);
		if (*end != '\0' || *after < 0)
			return fl_fail(
				err, FL_INVALID, "Last-Event-ID must be the number of an event");
		return FL_OK;
	}
	if (request_query(rq, "after") != NULL)
		return request_query_int(rq, "after", 0, INT64_MAX, 0, after, err);
	return event_head(rq->store, after, hash, err);
}

static enum fl_code stream(struct request *rq, struct rsql **scope, struct fl_err *err)
{
	struct listener *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a stream of events");
	rq->state = l;
	rq->drop = drop_listener;
	l->scope = fl_steal(scope);
	enum fl_code code = first_after(rq, &l->after, err);
	if (code == FL_OK)
		reply_events(rq, TOPIC(TOPIC_EVENTS, 0), next_events);
	return code;
}

enum fl_code api_events(struct request *rq, struct fl_err *err)
{
	const char *accept = request_header(rq, "Accept");
	RSQL_AUTO struct rsql *scope = NULL;
	enum fl_code code = list_scope(rq, &scope, err);

	if (code != FL_OK)
		return code;
	if (accept != NULL && strstr(accept, "text/event-stream") != NULL)
		return stream(rq, &scope, err);
	return reply_page(rq, scope, err);
}
