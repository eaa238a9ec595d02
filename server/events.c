/* SPDX-License-Identifier: Apache-2.0 */
#include "server/events.h"

#include "server/http/request.h" /* request_wake, TOPIC */
#include "server/identity.h"
#include "server/kept_head.h"
#include "server/planning.h"
#include "server/server.h"
#include "server/store/device.h"
#include "server/trust.h"
#include "server/webhooks.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct kind_row {
	const char *text;
	enum event_subject subject;
	const char *summary, *subject_word;
} kinds[EVENT_KIND_MAX] = {
#define EVENT(code, text, subject, summary) \
	[EVENT_##code] = { text, EVENT_OF_##subject, summary, #subject },
#include "server/tbl/events.h"
#undef EVENT
};

const char *events_kind_text(enum event_kind k)
{
	FL_BUG_IF(k >= EVENT_KIND_MAX);
	return kinds[k].text;
}

enum event_subject events_subject(const char *kind)
{
	for (size_t i = 0; i < EVENT_KIND_MAX; i++)
		if (strcmp(kinds[i].text, kind) == 0)
			return kinds[i].subject;
	return EVENT_OF_SERVER;
}

void events_manual(struct fl_buf *b)
{
	for (size_t i = 0; i < EVENT_KIND_MAX; i++) {
		fl_buf_printf(b, ".It Ic %s\n%s (", kinds[i].text, kinds[i].summary);
		for (const char *c = kinds[i].subject_word; *c != '\0'; c++)
			fl_buf_byte(b, (uint8_t)tolower((unsigned char)*c));
		fl_buf_str(b, ").\n");
	}
}

/* The row as the chain sees it. */
static struct fl_audit_line line_of(const struct event *e, const json_t *data)
{
	struct fl_audit_line line = { .seq = e->seq,
		.at_ms = e->at,
		.actor = e->actor,
		.kind = e->kind,
		.subject = e->subject,
		.data = data };

	memcpy(line.hash, e->hash, sizeof(line.hash));
	return line;
}

/* After COMMIT: who waits for events reads on, webhooks go on, the new head is kept. */
static void wake(struct server *server, const void *payload)
{
	uint64_t topic;

	memcpy(&topic, payload, sizeof(topic));
	request_wake(server, topic);
	webhooks_wake(server);
	kept_head_wake(server);
}

static enum fl_code append(
	struct store *store, const struct events_line *line, const json_t *data, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	uint8_t before[EVENT_HASH_BYTES];
	struct event e = {
		.at = store->now_ms,
		.actor = line->actor,
		.kind = events_kind_text(line->kind),
		.subject = line->subject,
	};
	enum fl_code code = event_head(store, &e.seq, before, err);

	if (code != FL_OK)
		return code;
	e.seq++;
	code = fl_json_canonical(&text, data, err);
	if (code == FL_OK)
		code = fl_buf_check(&text, err);
	if (code == FL_OK) {
		const struct fl_audit_line chained = line_of(&e, data);

		code = fl_audit_hash(&chained, before, e.hash, err);
	}
	if (code != FL_OK)
		return fl_wrap(err, "event %s", e.kind);
	e.data = (const char *)text.p;
	return event_add(store, &e, err);
}

enum fl_code events_write(
	struct store *store, struct effects *e, const struct events_line *line, struct fl_err *err)
{
	FL_AUTO_JSON json_t *data = line->data != NULL ? line->data : json_object();
	const uint64_t topic = TOPIC(TOPIC_EVENTS, 0);

	if (data == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for an event");
	FL_BUG_IF(!json_is_object(data));
	enum fl_code code = append(store, line, data, err);
	if (code == FL_OK && e != NULL) {
		effects_after_commit(e, wake, &topic, sizeof(topic));
		planning_changed(e);
	}
	return code;
}

/* ---- for readers */

void events_json(struct fl_buf *out, const struct event *e)
{
	char at[FL_AUDIT_TIME];

	fl_audit_time(e->at, at);
	fl_buf_printf(out, "{\"seq\":%" PRId64 ",\"at\":\"%s\",\"actor\":", e->seq, at);
	fl_buf_json(out, e->actor, strlen(e->actor));
	fl_buf_printf(out, ",\"kind\":\"%s\",\"subject\":", e->kind);
	fl_buf_json(out, e->subject, strlen(e->subject));
	/* canonical JSON, without line breaks */
	fl_buf_printf(out, ",\"data\":%s,\"hash\":\"", e->data);
	fl_buf_hex(out, e->hash, sizeof(e->hash));
	fl_buf_str(out, "\"}");
}

enum fl_code events_visible(struct store *store, const struct rsql *scope, const struct event *e,
	bool *out, struct fl_err *err)
{
	struct fl_err none = { 0 };
	int64_t no = 0;

	*out = scope == NULL || events_subject(e->kind) != EVENT_OF_DEVICE;
	if (*out)
		return FL_OK;
	enum fl_code code = device_no(store, e->subject, &no, &none);
	if (code == FL_NOT_FOUND)
		return FL_OK;
	if (code != FL_OK)
		return fl_fail(err, code, "%s", none.msg);
	return device_in_scope(store, no, scope, out, err);
}

/* ---- marks */

void events_mark(
	const struct server *s, int64_t now_ms, enum fl_audit_kind kind, struct fl_audit_mark *out)
{
	*out = (struct fl_audit_mark){ .kind = kind, .at_ms = now_ms };
	(void)snprintf(out->tenant, sizeof(out->tenant), "%s", s->settings->tenant);
	(void)snprintf(out->uuid, sizeof(out->uuid), "%s", s->identity->uuid);
}

enum fl_code events_head(
	const struct server *s, struct store *store, json_t **out, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	struct fl_audit_mark mark;

	events_mark(s, store->now_ms, FL_AUDIT_HEAD, &mark);
	enum fl_code code = event_head(store, &mark.seq, mark.hash, err);
	if (code == FL_OK)
		code = fl_audit_seal(&text, &mark, trust_key(s->trust, TRUST_AUDIT), err);
	return code == FL_OK ? fl_json_parse(fl_bytes(text.p, text.n), out, err) : code;
}

/* ---- pruning */

/* How far the lines are older than a moment. */
struct reach {
	int64_t before_ms, until;
	struct fl_audit_mark *mark;
	int64_t lines;
};

static enum fl_code reach_line(void *context, const struct event *e, struct fl_err *err)
{
	struct reach *r = context;

	if (e->at >= r->before_ms || e->seq > r->until)
		return fl_fail(err, FL_STOPPED, "far enough");
	r->mark->seq = e->seq;
	memcpy(r->mark->hash, e->hash, sizeof(e->hash));
	r->lines++;
	return FL_OK;
}

/* Cut behind mark->seq and write down that it was done. */
static enum fl_code cut(const struct server *s, struct store *store,
	const struct fl_audit_mark *mark, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf envelope = { 0 };
	struct event_checkpoint row = { .seq = mark->seq };
	enum fl_code code = fl_audit_seal(&envelope, mark, trust_key(s->trust, TRUST_AUDIT), err);

	if (code != FL_OK)
		return code;
	memcpy(row.hash, mark->hash, sizeof(row.hash));
	row.envelope = (const char *)envelope.p;
	return event_prune(store, &row, err);
}

enum fl_code events_prune(const struct server *s, struct store *store, struct effects *e,
	struct events_prune *prune, struct fl_err *err)
{
	struct fl_audit_mark mark;
	struct fl_err stopped = { 0 };
	uint8_t newest[EVENT_HASH_BYTES];
	char hex[2 * EVENT_HASH_BYTES + 1];
	struct reach r = { .before_ms = prune->before_ms, .mark = &mark };
	enum fl_code code = event_head(store, &r.until, newest, err);

	if (code != FL_OK)
		return code;
	events_mark(s, store->now_ms, FL_AUDIT_CHECKPOINT, &mark);
	r.until = r.until - 1 < prune->until ? r.until - 1 : prune->until;
	code = event_each(store, 0, EVENTS_PRUNE_MAX, reach_line, &r, &stopped);
	if (code != FL_OK && code != FL_STOPPED)
		return fl_fail(err, code, "%s", stopped.msg);
	prune->lines = r.lines;
	prune->more = r.lines == EVENTS_PRUNE_MAX;
	if (r.lines == 0)
		return FL_OK;
	code = cut(s, store, &mark, err);
	fl_hex(mark.hash, sizeof(mark.hash), hex);
	if (code != FL_OK)
		return code;
	return events_write(store, e,
		&(struct events_line){ .kind = EVENT_AUDIT_PRUNED,
			.actor = prune->actor,
			.subject = s->settings->tenant,
			.data = json_pack("{s:I, s:s, s:I}", "through", (json_int_t)mark.seq,
				"hash", hex, "lines", (json_int_t)r.lines) },
		err);
}

/* ---- verification */

static enum fl_code verify_line(void *context, const struct event *e, struct fl_err *err)
{
	struct fl_audit_walk *walk = context;
	FL_AUTO_JSON json_t *data = NULL;
	struct fl_audit_line line;
	enum fl_code code = fl_json_parse(fl_bytes(e->data, strlen(e->data)), &data, err);

	if (code == FL_NOMEM)
		return code;
	if (code != FL_OK)
		return fl_fail(
			err, FL_CORRUPT, "the data of event %lld is no JSON", (long long)e->seq);
	line = line_of(e, data);
	return fl_audit_follow(walk, &line, err);
}

enum fl_code events_verify(struct store *store, int64_t *n, struct fl_err *err)
{
	struct fl_audit_walk walk = { 0 };
	struct fl_err none = { 0 };
	struct event_checkpoint cut = { 0 };
	enum fl_code code = event_checkpoint(store, &cut, &none);

	if (code != FL_OK && code != FL_NOT_FOUND)
		return fl_fail(err, code, "%s", none.msg);
	walk.seq = cut.seq;
	memcpy(walk.hash, cut.hash, sizeof(walk.hash));
	event_checkpoint_fini(&cut);
	code = event_each(store, 0, -1, verify_line, &walk, err);
	if (code == FL_OK)
		*n = walk.seq;
	return code;
}
