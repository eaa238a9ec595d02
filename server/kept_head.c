/* SPDX-License-Identifier: Apache-2.0 */
#include "server/kept_head.h"

#include "server/events.h"
#include "server/http/lanes.h"
#include "server/parts.h"
#include "server/server.h"
#include "server/store/batch.h"
#include "server/trust.h"

#include "lib/file.h"
#include "lib/log.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DELAY_MS 2000
#define TEXT_MAX 4096

/* A signed head; seq 0: none. */
struct kept {
	struct fl_audit_mark mark;
	char text[TEXT_MAX];
};

struct kept_head {
	struct server *server;
	struct read_job job;
	_Atomic bool due; /* the timer or the job is under way */
	char path[PATH_MAX];
	struct kept last; /* what is in the file; the job's */
	bool lost;        /* the trail does not contain it, or it cannot be read; the job's */
	pthread_mutex_t lock;
	struct kept told; /* the one before: no reader's snapshot is older; under the lock */
	struct fl_err unreadable; /* set at the start */
};

static enum fl_code path_of(char path[PATH_MAX], const char *data_dir, struct fl_err *err)
{
	return snprintf(path, PATH_MAX, "%s/audit.head", data_dir) < PATH_MAX
		? FL_OK
		: fl_fail(err, FL_INVALID, "the path of the data directory is too long");
}

static enum fl_code load(
	const char *path, const struct fl_public *key, struct kept *out, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	FL_AUTO_JSON json_t *json = NULL;
	enum fl_code code = fl_file_get(path, TEXT_MAX - 1, &text, err);

	if (code == FL_OK)
		code = fl_json_parse(fl_bytes(text.p, text.n), &json, err);
	if (code == FL_OK)
		code = fl_audit_open(json, FL_AUDIT_HEAD, key, &out->mark, err);
	if (code != FL_OK)
		return code == FL_NOT_FOUND ? code : fl_wrap(err, "%s", path);
	memcpy(out->text, text.p, text.n);
	out->text[text.n] = '\0';
	return FL_OK;
}

static enum fl_code take_line(void *context, const struct event *e, struct fl_err *err)
{
	struct fl_audit_walk *at = context;

	(void)err;
	at->seq = e->seq;
	memcpy(at->hash, e->hash, sizeof(at->hash));
	return FL_OK;
}

/* Whether the trail contains the line that the mark signs, or was pruned behind it. */
static enum fl_code check(struct store *store, const struct fl_audit_mark *mark, struct fl_err *err)
{
	struct fl_audit_walk at = { 0 };
	struct event_checkpoint cut = { 0 };
	struct fl_err none = { 0 };
	enum fl_code code = event_checkpoint(store, &cut, &none);
	bool pruned = code == FL_OK && cut.seq >= mark->seq;

	event_checkpoint_fini(&cut);
	if (code != FL_OK && code != FL_NOT_FOUND)
		return fl_fail(err, code, "%s", none.msg);
	if (pruned)
		return FL_OK;
	code = event_head(store, &at.seq, at.hash, err);
	if (code == FL_OK && at.seq > mark->seq)
		code = event_each(store, mark->seq - 1, 1, take_line, &at, err);
	return code == FL_OK ? fl_audit_agree(&at, mark, err) : code;
}

/* ---- keeping */

static void tell(struct kept_head *k, const struct kept *told)
{
	pthread_mutex_lock(&k->lock);
	k->told = *told;
	pthread_mutex_unlock(&k->lock);
}

static enum fl_code sign(
	struct kept_head *k, struct store *store, struct kept *out, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	enum fl_code code;

	events_mark(k->server, store->now_ms, FL_AUDIT_HEAD, &out->mark);
	code = event_head(store, &out->mark.seq, out->mark.hash, err);
	if (code == FL_OK)
		code = fl_audit_seal(
			&text, &out->mark, trust_key(k->server->trust, TRUST_AUDIT), err);
	if (code != FL_OK)
		return code;
	FL_BUG_IF(text.n >= TEXT_MAX);
	memcpy(out->text, text.p, text.n);
	out->text[text.n] = '\0';
	return FL_OK;
}

/* Keep the head of this moment in place of the last one, if the trail still contains that. */
static enum fl_code keep(struct kept_head *k, struct store *store, struct fl_err *err)
{
	struct kept now;
	enum fl_code code = k->last.mark.seq > 0 ? check(store, &k->last.mark, err) : FL_OK;

	if (code == FL_CORRUPT) {
		k->lost = true;
		tell(k, &k->last);
		return code;
	}
	if (code == FL_OK)
		code = sign(k, store, &now, err);
	if (code != FL_OK || now.mark.seq == k->last.mark.seq)
		return code;
	code = fl_file_put(k->path, fl_bytes(now.text, strlen(now.text)), 0600, err);
	if (code != FL_OK)
		return code;
	tell(k, &k->last);
	k->last = now;
	return FL_OK;
}

static void keep_or_say(struct kept_head *k, struct store *store)
{
	struct fl_err err = { 0 };

	if (k->lost || keep(k, store, &err) == FL_OK)
		return;
	if (k->lost)
		fl_log_error("the audit trail does not contain the head that was kept of it; the "
			     "file stays as evidence until it is removed",
			FL_S("file", k->path), FL_S("why", (const char *)err.msg));
	else
		fl_log_warning("the head of the audit trail could not be kept",
			FL_S("why", (const char *)err.msg));
}

static void run(struct read_job *job, struct server *server, struct store *store)
{
	struct kept_head *k = fl_container(job, struct kept_head, job);

	(void)server;
	atomic_store(&k->due, false);
	keep_or_say(k, store);
}

static void tick(struct server *server, void *arg)
{
	struct kept_head *k = arg;

	if (lanes_read(server, &k->job) != FL_OK)
		atomic_store(&k->due, false);
}

void kept_head_wake(struct server *s)
{
	struct kept_head *k = s->kept_head;

	if (k != NULL && !atomic_exchange(&k->due, true))
		loop_after(s, DELAY_MS, tick, k);
}

/* ---- the part */

enum fl_code kept_head_up(struct server *s, struct fl_err *err)
{
	struct kept_head *k = calloc(1, sizeof(*k));
	enum fl_code code;

	if (k == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the head of the audit trail");
	k->server = s;
	k->job = (struct read_job){ .run = run, .internal = true };
	(void)pthread_mutex_init(&k->lock, NULL);
	code = path_of(k->path, s->settings->data_dir, err);
	if (code != FL_OK) {
		free(k);
		return code;
	}
	code = load(k->path, &trust_key(s->trust, TRUST_AUDIT)->public, &k->last, &k->unreadable);
	if (code != FL_OK && code != FL_NOT_FOUND) {
		k->lost = true;
		fl_log_error("the head that was kept of the audit trail cannot be read",
			FL_S("why", (const char *)k->unreadable.msg));
	}
	k->told = k->last;
	s->kept_head = k;
	kept_head_wake(s);
	return FL_OK;
}

static enum fl_code keep_at_end(struct server *server, struct store *store, struct effects *e,
	void *arg, struct fl_err *err)
{
	(void)server;
	(void)e;
	(void)err;
	keep_or_say(arg, store);
	return FL_OK;
}

void kept_head_down(struct server *s)
{
	struct kept_head *k = s->kept_head;
	struct fl_err err = { 0 };

	if (k == NULL)
		return;
	if (database_run(s, keep_at_end, k, &err) != FL_OK)
		fl_log_warning("the head of the audit trail could not be kept",
			FL_S("why", (const char *)err.msg));
	(void)pthread_mutex_destroy(&k->lock);
	free(k);
	s->kept_head = NULL;
}

/* ---- for others */

enum fl_code kept_head_json(struct server *s, json_t **out, struct fl_err *err)
{
	struct kept_head *k = s->kept_head;
	struct kept told;

	if (k->unreadable.code != FL_OK && k->unreadable.code != FL_NOT_FOUND)
		return fl_fail(err, FL_CORRUPT, "%s", k->unreadable.msg);
	pthread_mutex_lock(&k->lock);
	told = k->told;
	pthread_mutex_unlock(&k->lock);
	if (told.mark.seq == 0) {
		*out = json_null();
		return FL_OK;
	}
	return fl_json_parse(fl_bytes(told.text, strlen(told.text)), out, err);
}

enum fl_code kept_head_verify(const char *data_dir, struct store *store, struct fl_err *err)
{
	char path[PATH_MAX], key_path[PATH_MAX];
	struct fl_sign_key key = { 0 };
	struct kept kept = { 0 };
	struct fl_err why = { 0 };
	enum fl_code code = path_of(path, data_dir, err);

	if (code != FL_OK)
		return code;
	if (snprintf(key_path, PATH_MAX, "%s/keys/audit.key", data_dir) >= PATH_MAX)
		return fl_fail(err, FL_INVALID, "the path of the data directory is too long");
	code = fl_sign_key_load(&key, key_path, &why);
	if (code == FL_OK)
		code = load(path, &key.public, &kept, &why);
	fl_wipe(&key, sizeof(key));
	if (code == FL_NOT_FOUND)
		return FL_OK;
	return code == FL_OK ? check(store, &kept.mark, err)
			     : fl_fail(err, FL_CORRUPT, "%s", why.msg);
}
