/* SPDX-License-Identifier: Apache-2.0 */
#include "server/events.h"

#include "lib/digest.h"
#include "server/http/request.h" /* request_wake, TOPIC */

#include <ctype.h>
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

/* The hash of `e` (its data as stored) behind a line with hash `before`. */
static enum fl_code chain(const struct event *e, const json_t *data, const uint8_t *before,
	uint8_t out[EVENT_HASH_BYTES], struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };
	FL_AUTO_JSON json_t *line = json_pack("{s:s, s:I, s:O, s:s, s:I, s:s}", "actor", e->actor,
		"at", (json_int_t)e->at, "data", data, "kind", e->kind, "seq", (json_int_t)e->seq,
		"subject", e->subject);

	if (line == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for an event (or a text is not UTF-8)");
	fl_buf_add(&b, before, EVENT_HASH_BYTES);
	enum fl_code code = fl_json_canonical(&b, line, err);
	if (code == FL_OK)
		code = fl_buf_check(&b, err);
	if (code == FL_OK)
		fl_sha256(fl_bytes(b.p, b.n), out);
	return code;
}

/* After COMMIT: who waits for events reads on. */
static void wake(struct server *server, const void *payload)
{
	uint64_t topic;

	memcpy(&topic, payload, sizeof(topic));
	request_wake(server, topic);
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
	if (code == FL_OK)
		code = chain(&e, data, before, e.hash, err);
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
	if (code == FL_OK && e != NULL)
		effects_after_commit(e, wake, &topic, sizeof(topic));
	return code;
}

/* ---- verification */

struct verify {
	int64_t seq;
	uint8_t hash[EVENT_HASH_BYTES];
};

static enum fl_code verify_line(void *context, const struct event *e, struct fl_err *err)
{
	struct verify *v = context;
	FL_AUTO_JSON json_t *data = NULL;
	uint8_t hash[EVENT_HASH_BYTES];

	if (e->seq != v->seq + 1)
		return fl_fail(err, FL_CORRUPT, "event %lld is missing", (long long)(v->seq + 1));
	enum fl_code code = fl_json_parse(fl_bytes(e->data, strlen(e->data)), &data, err);
	if (code == FL_OK)
		code = chain(e, data, v->hash, hash, err);
	if (code == FL_NOMEM)
		return code;
	if (code != FL_OK || memcmp(hash, e->hash, sizeof(hash)) != 0)
		return fl_fail(err, FL_CORRUPT, "event %lld was changed after it was written",
			(long long)e->seq);
	v->seq = e->seq;
	memcpy(v->hash, hash, sizeof(hash));
	return FL_OK;
}

enum fl_code events_verify(struct store *store, int64_t *n, struct fl_err *err)
{
	struct verify v = { 0 };
	enum fl_code code = event_each(store, 0, -1, verify_line, &v, err);

	if (code == FL_OK)
		*n = v.seq;
	return code;
}
