/* SPDX-License-Identifier: Apache-2.0
 *
 * Webhooks: where events are sent to. Only tokens that see everything may look at them or change them,
 * since a webhook without a selector sees everything. */
#include "server/http/handlers.h"

#include "server/api/list.h"
#include "server/devices.h"
#include "server/events.h"
#include "server/rsql.h"
#include "server/server.h"
#include "server/store/webhook.h"
#include "server/trust.h"
#include "server/webhooks.h"

#include "lib/digest.h"

#include <string.h>

/* ---- as JSON */

static enum fl_code webhook_json(
	struct store *store, const struct webhook *w, json_t **out, struct fl_err *err)
{
	uint8_t hash[EVENT_HASH_BYTES];
	int64_t newest = 0;
	enum fl_code code = event_head(store, &newest, hash, err);

	if (code != FL_OK)
		return code;
	*out = json_pack("{s:s, s:s, s:o, s:o, s:b, s:o, s:s, s:I, s:I, s:I, s:o, s:o, s:s, s:I, "
			 "s:I}",
		"name", w->name, "url", w->url, "kinds", json_loads(w->kinds, 0, NULL), "selector",
		list_text(w->selector), "enabled", (int)w->enabled, "created_at",
		list_time(w->created_at), "created_by", w->created_by, "cursor",
		(json_int_t)w->cursor, "behind", (json_int_t)(newest - w->cursor), "attempts",
		(json_int_t)w->attempts, "retry_at", list_time(w->retry_at), "failing_since",
		list_time(w->failing_since), "last_error", w->last_error, "delivered",
		(json_int_t)w->delivered, "dead", (json_int_t)w->dead);
	return *out == NULL ? fl_fail(err, FL_NOMEM, "no memory for a webhook") : FL_OK;
}

/* The webhook of the path; with `shown` its secret too. */
static enum fl_code reply_webhook(
	struct request *rq, unsigned status, bool shown, struct fl_err *err)
{
	struct webhook w = { 0 };
	FL_AUTO_JSON json_t *json = NULL;
	uint8_t secret[WEBHOOK_SECRET_BYTES];
	char text[WEBHOOK_SECRET_TEXT];
	enum fl_code code = webhook_get(rq->store, rq->param[0], &w, err);

	if (code == FL_OK)
		code = webhook_json(rq->store, &w, &json, err);
	if (code == FL_OK && shown) {
		webhook_secret(trust_session_secret(rq->server->trust),
			fl_bytes(w.salt, sizeof(w.salt)), secret);
		webhook_secret_text(secret, text);
		if (json_object_set_new(json, "secret", json_string(text)) != 0)
			code = fl_fail(err, FL_NOMEM, "no memory for a webhook");
		fl_wipe(secret, sizeof(secret));
		fl_wipe(text, sizeof(text));
	}
	if (code == FL_OK)
		reply_json(rq, status, fl_steal(&json));
	webhook_fini(&w);
	return code;
}

/* ---- reading */

struct page {
	struct list list;
	struct store *store;
};

static enum fl_code add_webhook(void *context, const struct webhook *w, struct fl_err *err)
{
	struct page *p = context;
	json_t *json = NULL;
	enum fl_code code = webhook_json(p->store, w, &json, err);

	return code == FL_OK ? list_add_no(&p->list, json, w->id, err) : code;
}

enum fl_code api_webhooks_list(struct request *rq, struct fl_err *err)
{
	struct page p = { .store = rq->store };
	int64_t after = 0;
	enum fl_code code = list_unlimited(rq, "look at webhooks", err);

	if (code == FL_OK)
		code = list_init(rq, &p.list, err);
	if (code == FL_OK)
		code = list_after(&p.list, &after, err);
	if (code == FL_OK)
		code = webhook_each(rq->store, after, p.list.limit + 1, add_webhook, &p, err);
	if (code == FL_OK)
		list_reply(rq, &p.list);
	list_fini(&p.list);
	return code;
}

enum fl_code api_webhook_get(struct request *rq, struct fl_err *err)
{
	enum fl_code code = list_unlimited(rq, "look at webhooks", err);

	return code == FL_OK ? reply_webhook(rq, 200, false, err) : code;
}

static enum fl_code add_delivery(
	void *context, const struct webhook_delivery *d, struct fl_err *err)
{
	return list_add_no(context,
		json_pack("{s:I, s:o, s:o, s:s, s:I, s:o, s:I, s:o, s:o}", "seq",
			(json_int_t)d->seq, "kind", list_text(d->kind), "subject",
			list_text(d->subject), "state", d->state, "attempts",
			(json_int_t)d->attempts, "status",
			d->status == 0 ? json_null() : json_integer(d->status), "took_ms",
			(json_int_t)d->took_ms, "error",
			list_text(d->error[0] == '\0' ? NULL : d->error), "at", list_time(d->at)),
		d->seq, err);
}

static enum fl_code read_state(
	const struct request *rq, struct webhook_deliveries *which, struct fl_err *err)
{
	which->state = request_query(rq, "state");
	if (which->state == NULL || strcmp(which->state, "waiting") == 0 ||
		strcmp(which->state, "delivered") == 0 || strcmp(which->state, "dead") == 0)
		return FL_OK;
	return fl_fail(err, FL_INVALID, "the parameter state is waiting, delivered or dead");
}

enum fl_code api_webhook_deliveries(struct request *rq, struct fl_err *err)
{
	struct list l = { 0 };
	struct webhook w = { 0 };
	struct webhook_deliveries which = { 0 };
	enum fl_code code = list_unlimited(rq, "look at webhooks", err);

	if (code == FL_OK)
		code = webhook_get(rq->store, rq->param[0], &w, err);
	if (code == FL_OK)
		code = read_state(rq, &which, err);
	if (code == FL_OK)
		code = list_init(rq, &l, err);
	if (code == FL_OK)
		code = list_after(&l, &which.before, err);
	which.webhook_id = w.id;
	which.limit = l.limit + 1;
	if (code == FL_OK)
		code = webhook_each_delivery(rq->store, &which, add_delivery, &l, err);
	if (code == FL_OK)
		list_reply(rq, &l);
	list_fini(&l);
	webhook_fini(&w);
	return code;
}

/* ---- creating and changing */

struct body {
	const char *url, *selector;
	json_t *kinds;
	bool enabled;
};

static const struct fl_json_field fields[] = {
	FL_FIELD(struct body, url, "url", STRING, .required = true, .min = 1,
		.max = WEBHOOK_URL_MAX),
	FL_FIELD(struct body, kinds, "kinds", ARRAY),
	FL_FIELD(struct body, selector, "selector", STRING, .min = 0, .max = RSQL_TEXT_MAX),
	FL_FIELD(struct body, enabled, "enabled", BOOL),
};

/* What is wanted; `kinds` and `host` hold texts of it. */
struct wanted {
	struct webhook w;
	struct fl_buf kinds, host;
};

static enum fl_code read_wanted(struct request *rq, struct wanted *out, struct fl_err *err)
{
	struct body b = { .enabled = true };
	struct webhook_limits limits;
	enum fl_code code = request_read(rq, fields, FL_COUNT(fields), &b, err);

	webhooks_limits(rq->server, &limits);
	if (code == FL_OK)
		code = devices_check_name("webhook", rq->param[0], err);
	if (code == FL_OK)
		code = webhook_url_check(b.url, &limits, &out->host, err);
	if (code == FL_OK && b.kinds != NULL)
		code = webhook_kinds_check(b.kinds, err);
	if (code == FL_OK && b.selector != NULL && b.selector[0] != '\0')
		code = rsql_check(b.selector, ~0u, err);
	if (code != FL_OK)
		return code;
	if (b.kinds != NULL)
		fl_json_write(&out->kinds, b.kinds);
	else
		fl_buf_str(&out->kinds, "[]");
	out->w = (struct webhook){ .name = rq->param[0],
		.url = b.url,
		.kinds = (const char *)out->kinds.p,
		.selector = b.selector == NULL || b.selector[0] == '\0' ? NULL : b.selector,
		.enabled = b.enabled,
		.created_by = rq->who.name };
	return fl_buf_check(&out->kinds, err);
}

static void changed(struct server *server, const void *payload)
{
	(void)payload;
	webhooks_wake(server);
}

static enum fl_code note(struct request *rq, enum event_kind kind, json_t *data, struct fl_err *err)
{
	effects_after_commit(rq->effects, changed, NULL, 0);
	return events_write(rq->store, rq->effects,
		&(struct events_line){ .kind = kind,
			.actor = rq->who.name,
			.subject = rq->param[0],
			.data = data },
		err);
}

/* It begins with what happens after its creation. */
static enum fl_code create(struct request *rq, struct wanted *in, struct fl_err *err)
{
	uint8_t hash[EVENT_HASH_BYTES];
	enum fl_code code = note(rq, EVENT_WEBHOOK_CREATED,
		json_pack("{s:s}", "host", (const char *)in->host.p), err);

	fl_random(in->w.salt, sizeof(in->w.salt));
	if (code == FL_OK)
		code = event_head(rq->store, &in->w.cursor, hash, err);
	if (code == FL_OK)
		code = webhook_add(rq->store, &in->w, &in->w.id, err);
	return code == FL_OK ? reply_webhook(rq, 201, true, err) : code;
}

static bool same(const struct webhook *a, const struct webhook *b)
{
	return strcmp(a->url, b->url) == 0 && strcmp(a->kinds, b->kinds) == 0 &&
		a->enabled == b->enabled &&
		(a->selector == NULL
				? b->selector == NULL
				: b->selector != NULL && strcmp(a->selector, b->selector) == 0);
}

static enum fl_code change(
	struct request *rq, const struct webhook *there, struct wanted *in, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	in->w.id = there->id;
	memcpy(in->w.salt, there->salt, sizeof(in->w.salt));
	if (!same(there, &in->w)) {
		code = webhook_change(rq->store, &in->w, err);
		if (code == FL_OK)
			code = note(rq, EVENT_WEBHOOK_CHANGED,
				json_pack("{s:s, s:b}", "host", (const char *)in->host.p, "enabled",
					(int)in->w.enabled),
				err);
	}
	return code == FL_OK ? reply_webhook(rq, 200, false, err) : code;
}

enum fl_code api_webhook_put(struct request *rq, struct fl_err *err)
{
	struct wanted in = { 0 };
	struct webhook there = { 0 };
	struct fl_err none = { 0 };
	enum fl_code found, code = list_unlimited(rq, "change webhooks", err);

	if (code == FL_OK)
		code = read_wanted(rq, &in, err);
	if (code == FL_OK) {
		found = webhook_get(rq->store, rq->param[0], &there, &none);
		if (found == FL_OK)
			code = change(rq, &there, &in, err);
		else if (found == FL_NOT_FOUND)
			code = create(rq, &in, err);
		else
			code = fl_fail(err, found, "%s", none.msg);
	}
	webhook_fini(&there);
	fl_buf_fini(&in.kinds);
	fl_buf_fini(&in.host);
	return code;
}

enum fl_code api_webhook_delete(struct request *rq, struct fl_err *err)
{
	struct webhook w = { 0 };
	enum fl_code code = list_unlimited(rq, "change webhooks", err);

	if (code == FL_OK)
		code = webhook_get(rq->store, rq->param[0], &w, err);
	if (code == FL_OK)
		code = webhook_delete(rq->store, w.id, err);
	if (code == FL_OK)
		code = note(rq, EVENT_WEBHOOK_DELETED, NULL, err);
	if (code == FL_OK)
		reply_empty(rq, 204);
	webhook_fini(&w);
	return code;
}

/* ---- verbs */

/* The test is an event like any other: it goes its whole way, in its turn. */
static enum fl_code test(struct request *rq, const struct webhook *w, struct fl_err *err)
{
	uint8_t hash[EVENT_HASH_BYTES];
	int64_t seq = 0;
	enum fl_code code;

	if (!w->enabled)
		return fl_fail(err, FL_CONFLICT, "webhook \"%s\" is switched off", w->name);
	code = note(rq, EVENT_WEBHOOK_TESTED, NULL, err);
	if (code == FL_OK)
		code = event_head(rq->store, &seq, hash, err);
	if (code == FL_OK)
		reply_json(rq, 202,
			json_pack("{s:I, s:I}", "seq", (json_int_t)seq, "before_it",
				(json_int_t)(seq - 1 - w->cursor)));
	return code;
}

static enum fl_code rotate(struct request *rq, struct webhook *w, struct fl_err *err)
{
	enum fl_code code;

	fl_random(w->salt, sizeof(w->salt));
	code = webhook_change(rq->store, w, err);
	if (code == FL_OK)
		code = note(rq, EVENT_WEBHOOK_CHANGED, json_pack("{s:b}", "secret", 1), err);
	return code == FL_OK ? reply_webhook(rq, 200, true, err) : code;
}

struct replay_body {
	int64_t after;
};

static const struct fl_json_field replay_fields[] = {
	FL_FIELD(struct replay_body, after, "after", INT, .required = true, .min = 0,
		.max = INT64_MAX),
};

static enum fl_code replay(struct request *rq, const struct webhook *w, struct fl_err *err)
{
	struct replay_body b = { 0 };
	uint8_t hash[EVENT_HASH_BYTES];
	int64_t newest = 0;
	enum fl_code code = request_read(rq, replay_fields, FL_COUNT(replay_fields), &b, err);

	if (code == FL_OK)
		code = event_head(rq->store, &newest, hash, err);
	if (code == FL_OK && b.after > newest)
		code = fl_fail(err, FL_INVALID, "the newest event is %lld", (long long)newest);
	if (code == FL_OK)
		code = webhook_move(rq->store, w->id, b.after, err);
	if (code == FL_OK)
		code = note(rq, EVENT_WEBHOOK_CHANGED,
			json_pack("{s:I}", "after", (json_int_t)b.after), err);
	return code == FL_OK ? reply_webhook(rq, 200, false, err) : code;
}

enum fl_code api_webhook_verb(struct request *rq, struct fl_err *err)
{
	struct webhook w = { 0 };
	enum fl_code code = list_unlimited(rq, "change webhooks", err);

	if (code == FL_OK)
		code = webhook_get(rq->store, rq->param[0], &w, err);
	if (code != FL_OK)
		return code;
	if (strcmp(rq->param[1], "test") == 0)
		code = test(rq, &w, err);
	else if (strcmp(rq->param[1], "rotate") == 0)
		code = rotate(rq, &w, err);
	else if (strcmp(rq->param[1], "replay") == 0)
		code = replay(rq, &w, err);
	else
		code = fl_fail(err, FL_NOT_FOUND, "\"%.40s\" is no verb: test, rotate or replay",
			rq->param[1]);
	webhook_fini(&w);
	return code;
}
