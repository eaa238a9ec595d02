/* SPDX-License-Identifier: Apache-2.0 */
#include "server/webhooks_in.h"

#include "server/events.h"
#include "server/metrics.h"
#include "server/parts.h"
#include "server/server.h"
#include "server/store/batch.h"
#include "server/store/db.h"

#include "lib/clock.h"
#include "lib/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TURN_MS   30000 /* the longest wait */
#define REST_MS   1000  /* after the writer or libcurl had no room */
#define SCAN_ROWS 500   /* events looked at in one turn for one webhook */
#define SCAN_SAVE 2000  /* so many events behind the cursor that are not for it: move it */

void webhooks_wake(struct server *s)
{
	struct webhooks *w = s->webhooks;

	if (w != NULL && !atomic_exchange(&w->news, true))
		(void)curl_multi_wakeup(w->multi);
}

void webhooks_limits(const struct server *s, struct webhook_limits *out)
{
	*out = (struct webhook_limits){ .http = s->settings->webhook_http,
		.private_nets = s->settings->webhook_private };
}

static void due(struct webhooks *w, int64_t at_ms)
{
	if (at_ms < w->due_ms)
		w->due_ms = at_ms;
}

/* ---- hooks in memory */

static void free_hook(struct hook *h)
{
	webhook_send_end(h);
	free(h->name);
	free(h->url);
	free(h->kinds_text);
	free(h->selector_text);
	json_decref(h->kinds);
	rsql_free(h->selector);
	fl_buf_fini(&h->body);
	fl_list_remove(&h->all->hooks, &h->link);
	free(h);
}

static struct hook *hook_of(struct webhooks *w, int64_t id)
{
	struct hook *h;

	fl_list_each (&w->hooks, link) {
		h = fl_container(link, struct hook, link);
		if (h->id == id)
			return h;
	}
	h = calloc(1, sizeof(*h));
	if (h != NULL) {
		h->all = w;
		h->id = id;
		fl_list_push(&w->hooks, &h->link);
	}
	return h;
}

/* Replace *text if it differs; *changed is set then. False without memory. */
static bool take_text(char **text, const char *from, bool *changed)
{
	char *copy;

	if (from == NULL ? *text == NULL : *text != NULL && strcmp(*text, from) == 0)
		return true;
	copy = from == NULL ? NULL : strdup(from);
	if (from != NULL && copy == NULL)
		return false;
	free(*text);
	*text = copy;
	*changed = true;
	return true;
}

/* What the filters say now; when they changed, what was passed over may be for it after all. */
static enum fl_code take_filters(struct hook *h, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	json_decref(h->kinds);
	rsql_free(h->selector);
	h->kinds = NULL;
	h->selector = NULL;
	h->scanned = 0;
	code = fl_json_parse(fl_bytes(h->kinds_text, strlen(h->kinds_text)), &h->kinds, err);
	if (code == FL_OK && h->selector_text != NULL)
		code = rsql_parse(h->selector_text, &h->selector, err);
	return code;
}

static enum fl_code load_hook(void *context, const struct webhook *row, struct fl_err *err)
{
	struct webhooks *w = context;
	struct hook *h = hook_of(w, row->id);
	bool filters = false, other = false;

	if (h == NULL || !take_text(&h->name, row->name, &other) ||
		!take_text(&h->kinds_text, row->kinds, &filters) ||
		!take_text(&h->selector_text, row->selector, &filters))
		return fl_fail(err, FL_NOMEM, "no memory for a webhook");
	h->there = true;
	/* what is under way keeps the address that libcurl has, and its cursor */
	if (atomic_load(&h->state) != HOOK_FREE)
		return FL_OK;
	if (!take_text(&h->url, row->url, &other))
		return fl_fail(err, FL_NOMEM, "no memory for a webhook");
	if (row->cursor < h->cursor)
		h->scanned = 0; /* it was moved back */
	h->cursor = row->cursor;
	h->attempts = row->attempts;
	h->retry_at = row->retry_at;
	h->enabled = row->enabled;
	memcpy(h->salt, row->salt, sizeof(h->salt));
	return filters || h->kinds == NULL ? take_filters(h, err) : FL_OK;
}

static enum fl_code load_hooks(struct webhooks *w, struct store *store, struct fl_err *err)
{
	enum fl_code code;

	fl_list_each (&w->hooks, link)
		fl_container(link, struct hook, link)->there = false;
	code = webhook_each(store, 0, -1, load_hook, w, err);
	if (code != FL_OK)
		return code;
	fl_list_each (&w->hooks, link) {
		struct hook *h = fl_container(link, struct hook, link);

		if (!h->there && atomic_load(&h->state) != HOOK_SAVING)
			free_hook(h);
	}
	return FL_OK;
}

/* ---- outcomes, to the writer */

static enum fl_code save_run(
	struct write_job *job, struct store *store, struct effects *e, struct fl_err *err)
{
	struct hook *h = fl_container(job, struct hook, job);
	enum fl_code code = webhook_settle(store, &h->settle, err);

	if (code != FL_OK || !h->settle.disable)
		return code;
	return events_write(store, e,
		&(struct events_line){ .kind = EVENT_WEBHOOK_DISABLED,
			.actor = "fleetd",
			.subject = h->name,
			.data = json_pack("{s:s}", "why", "the target answered 410") },
		err);
}

static void save_done(
	struct write_job *job, struct server *server, enum fl_code code, const struct fl_err *err)
{
	struct hook *h = fl_container(job, struct hook, job);
	static const enum metric counters[] = { [WEBHOOK_DELIVERED] = METRIC_WEBHOOKS_DELIVERED,
		[WEBHOOK_FAILED] = METRIC_WEBHOOKS_FAILED,
		[WEBHOOK_DEAD] = METRIC_WEBHOOKS_DEAD };

	if (code == FL_OK && h->settle.outcome != WEBHOOK_PASSED)
		metrics_add(server->metrics, counters[h->settle.outcome], 1);
	if (code != FL_OK)
		fl_log_warning(
			"what came of a webhook's event could not be stored; it is sent again",
			FL_S("why", (const char *)err->msg));
	atomic_store(&h->state, HOOK_FREE);
	webhooks_wake(server);
}

/* Hand h->settle over. */
static void save(struct hook *h)
{
	h->settle.webhook_id = h->id;
	h->settle.from = h->cursor;
	h->settle.error = h->error;
	h->job = (struct write_job){ .run = save_run, .done = save_done, .internal = true };
	atomic_store(&h->state, HOOK_SAVING);
	if (lanes_write(h->all->server, &h->job) == FL_OK)
		return;
	atomic_store(&h->state, HOOK_FREE);
	h->rest_until = h->all->now_ms + REST_MS;
	due(h->all, h->rest_until);
}

/* ---- the next event */

struct search {
	struct hook *hook;
	struct store *store;
	int64_t rows;
	bool found;
};

static enum fl_code wants(
	const struct search *s, const struct event *e, bool *out, struct fl_err *err)
{
	const struct hook *h = s->hook;

	/* a test is for the one webhook that it names, whatever its filters say */
	if (strcmp(e->kind, events_kind_text(EVENT_WEBHOOK_TESTED)) == 0 &&
		strcmp(e->subject, h->name) == 0) {
		*out = true;
		return FL_OK;
	}
	*out = webhook_wants(h->kinds, e->kind);
	return *out ? events_visible(s->store, h->selector, e, out, err) : FL_OK;
}

static enum fl_code write_body(struct hook *h, const struct event *e, struct fl_err *err)
{
	char at[FL_AUDIT_TIME];

	fl_audit_time(e->at, at);
	fl_buf_reset(&h->body);
	fl_buf_printf(&h->body, "{\"type\":\"%s\",\"timestamp\":\"%s\",\"data\":", e->kind, at);
	events_json(&h->body, e);
	fl_buf_str(&h->body, ",\"server\":");
	fl_buf_json(&h->body, h->all->server->settings->tenant,
		strlen(h->all->server->settings->tenant));
	fl_buf_byte(&h->body, '}');
	return fl_buf_check(&h->body, err);
}

static enum fl_code look(void *context, const struct event *e, struct fl_err *err)
{
	struct search *s = context;
	struct hook *h = s->hook;
	bool wanted = false;
	enum fl_code code = wants(s, e, &wanted, err);

	if (code != FL_OK)
		return code;
	s->rows++;
	if (!wanted) {
		h->scanned = e->seq;
		return FL_OK;
	}
	h->seq = e->seq;
	h->at = e->at;
	code = write_body(h, e, err);
	s->found = code == FL_OK;
	return code == FL_OK ? FL_STOPPED : code; /* it ends the walk */
}

/* The next event for a hook into h->seq and h->body. */
static enum fl_code search(struct hook *h, struct store *store, bool *found, struct fl_err *err)
{
	struct search s = { .hook = h, .store = store };
	enum fl_code code = event_each(
		store, h->scanned > h->cursor ? h->scanned : h->cursor, SCAN_ROWS, look, &s, err);

	*found = s.found;
	if (!s.found && s.rows == SCAN_ROWS)
		due(h->all, 0); /* there are more */
	return code == FL_STOPPED ? FL_OK : code;
}

/* Give up what is too old while the target does not answer. */
static bool expired(const struct hook *h)
{
	return h->attempts > 0 &&
		h->all->now_ms - h->at > h->all->server->settings->webhook_give_up;
}

static void bury(struct hook *h)
{
	h->settle = (struct webhook_settle){ .seq = h->seq, .outcome = WEBHOOK_DEAD };
	(void)snprintf(
		h->error, sizeof(h->error), "not tried: the target did not answer earlier ones");
	save(h);
}

static void pass(struct hook *h)
{
	h->settle = (struct webhook_settle){ .seq = h->scanned, .outcome = WEBHOOK_PASSED };
	h->error[0] = '\0';
	save(h);
}

static void begin(struct hook *h)
{
	int64_t now = h->all->now_ms;

	if (expired(h)) {
		bury(h);
	} else if (h->attempts > 0 && h->retry_at > now) {
		due(h->all, h->retry_at);
	} else {
		h->settle = (struct webhook_settle){ 0 };
		atomic_store(&h->state, HOOK_SENDING);
		if (webhook_send(h))
			return;
		atomic_store(&h->state, HOOK_FREE);
		h->rest_until = now + REST_MS;
		due(h->all, h->rest_until);
	}
}

static enum fl_code serve_hook(struct hook *h, struct store *store, struct fl_err *err)
{
	bool found = false;
	enum fl_code code;

	if (!h->enabled || atomic_load(&h->state) != HOOK_FREE)
		return FL_OK;
	if (h->rest_until > h->all->now_ms) {
		due(h->all, h->rest_until);
		return FL_OK;
	}
	code = search(h, store, &found, err);
	if (code != FL_OK)
		return code;
	if (found)
		begin(h);
	else if (h->scanned - h->cursor >= SCAN_SAVE)
		pass(h);
	return FL_OK;
}

/* ---- the thread */

static enum fl_code turn(struct webhooks *w, struct fl_err *err)
{
	struct store store = { 0 };
	enum fl_code code = database_snapshot(w->db, &store, err);

	if (code != FL_OK)
		return code;
	w->now_ms = store.now_ms;
	w->due_ms = w->now_ms + TURN_MS;
	code = load_hooks(w, &store, err);
	fl_list_each (&w->hooks, link) {
		if (code == FL_OK)
			code = serve_hook(fl_container(link, struct hook, link), &store, err);
	}
	database_snapshot_end(&store);
	return code;
}

static void *run(void *arg)
{
	struct webhooks *w = arg;

	while (!atomic_load(&w->stop)) {
		struct fl_err err = { 0 };
		int running = 0;
		int64_t wait;

		atomic_store(&w->news, false);
		if (turn(w, &err) != FL_OK) {
			fl_log_warning("webhooks wait: their events cannot be read",
				FL_S("why", (const char *)err.msg));
			w->now_ms = fl_clock_ms(CLOCK_REALTIME);
			w->due_ms = w->now_ms + REST_MS;
		}
		(void)curl_multi_perform(w->multi, &running);
		webhook_collect(w, save);
		wait = w->due_ms - fl_clock_ms(CLOCK_REALTIME);
		(void)curl_multi_poll(w->multi, NULL, 0,
			wait < 0                 ? 0
				: wait > TURN_MS ? TURN_MS
						 : (int)wait,
			NULL);
		(void)curl_multi_perform(w->multi, &running);
		w->now_ms = fl_clock_ms(CLOCK_REALTIME);
		webhook_collect(w, save);
	}
	return NULL;
}

enum fl_code webhooks_up(struct server *s, struct fl_err *err)
{
	struct webhooks *w = calloc(1, sizeof(*w));
	enum fl_code code = FL_OK;

	if (w == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for webhooks");
	w->server = s;
	fl_list_init(&w->hooks);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
		(w->multi = curl_multi_init()) == NULL)
		code = fl_fail(err, FL_NOMEM, "libcurl does not start");
	if (code == FL_OK)
		code = database_reader(s, &w->db, err);
	s->webhooks = w;
	if (code == FL_OK && pthread_create(&w->thread, NULL, run, w) != 0)
		code = fl_fail(err, FL_NOMEM, "no thread for webhooks");
	if (code != FL_OK) {
		s->webhooks = NULL;
		db_close(w->db);
		(void)curl_multi_cleanup(w->multi);
		free(w);
	}
	return code;
}

void webhooks_down(struct server *s)
{
	struct webhooks *w = s->webhooks;

	if (w == NULL)
		return;
	atomic_store(&w->stop, true);
	(void)curl_multi_wakeup(w->multi);
	(void)pthread_join(w->thread, NULL);
	fl_list_each (&w->hooks, link)
		free_hook(fl_container(link, struct hook, link));
	db_close(w->db);
	(void)curl_multi_cleanup(w->multi);
	curl_global_cleanup();
	free(w);
	s->webhooks = NULL;
}
