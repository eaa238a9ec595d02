/* SPDX-License-Identifier: Apache-2.0 */
#include "server/delta_cache.h"

#include <poll.h>
#include <string.h>

#include "lib/log.h"
#include "server/blobs.h"
#include "server/metrics.h"
#include "server/server.h"
#include "server/store/batch.h"
#include "server/store/db.h"
#include "server/store/delta.h"
#include "server/write_wait.h"

#define SLICE 32 /* deltas or blobs looked at together */

enum fl_code delta_context_look(struct delta_context *c, struct store *out, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	*out = (struct store){ 0 };
	if (c->reader == NULL)
		code = database_reader(c->server, &c->reader, err);
	return code == FL_OK ? database_snapshot(c->reader, out, err) : code;
}

void delta_context_seen(struct store *view)
{
	if (view->db != NULL)
		database_snapshot_end(view);
	*view = (struct store){ 0 };
}

void delta_context_fini(struct delta_context *c)
{
	delta_worker_end(&c->worker);
	db_close(c->reader);
	c->reader = NULL;
}

static bool stopping(const struct delta_context *c)
{
	struct pollfd fd = { c->stop_fd, POLLIN, 0 };

	return poll(&fd, 1, 0) > 0;
}

/* ---- uses */

void delta_cache_used(struct delta_uses *uses, int64_t id)
{
	size_t i = 0;

	(void)pthread_mutex_lock(&uses->lock);
	while (i < uses->n && uses->at[i].id != id)
		i++;
	if (i < DELTA_CACHE_USES) {
		if (i == uses->n)
			uses->at[uses->n++] = (struct delta_use){ id, 0 };
		uses->at[i].uses++;
	}
	(void)pthread_mutex_unlock(&uses->lock);
}

static enum fl_code write_uses(
	struct store *store, struct effects *e, void *arg, struct fl_err *err)
{
	const struct delta_uses *uses = arg;
	enum fl_code code = FL_OK;

	(void)e;
	for (size_t i = 0; i < uses->n && code == FL_OK; i++)
		code = delta_used(store, uses->at[i].id, uses->at[i].uses, err);
	return code;
}

void delta_cache_flush(struct delta_context *c, struct delta_uses *uses)
{
	struct delta_uses taken = { 0 };
	struct fl_err err = { 0 };

	(void)pthread_mutex_lock(&uses->lock);
	taken.n = uses->n;
	memcpy(taken.at, uses->at, uses->n * sizeof(uses->at[0]));
	uses->n = 0;
	(void)pthread_mutex_unlock(&uses->lock);
	if (taken.n > 0 && write_wait(c->server, write_uses, &taken, &err) != FL_OK && !stopping(c))
		fl_log_warning("the uses of some deltas were not counted", FL_S("detail", err.msg));
}

/* ---- removal of deltas */

/* Deltas that shall go; their digests are claimed. */
struct leaving {
	struct delta deltas[SLICE];
	bool unwanted[SLICE];
	size_t n;
};

static enum fl_code delete_rows(
	struct store *store, struct effects *e, void *arg, struct fl_err *err)
{
	struct leaving *l = arg;

	(void)e;
	for (size_t i = 0; i < l->n; i++) {
		enum fl_code code = delta_delete(store, l->deltas[i].id, &l->unwanted[i], err);

		if (code == FL_NOT_FOUND)
			l->unwanted[i] = false;
		else if (code != FL_OK)
			return code;
	}
	return FL_OK;
}

/* Rows first, then files; ends the claims. */
static bool remove_leaving(struct delta_context *c, struct leaving *l)
{
	struct fl_err err = { 0 };
	enum fl_code code = l->n == 0 ? FL_OK : write_wait(c->server, delete_rows, l, &err);

	if (code != FL_OK)
		fl_log_warning("deltas could not be removed", FL_S("detail", err.msg));
	for (size_t i = 0; i < l->n; i++) {
		if (code == FL_OK && l->unwanted[i] &&
			blobs_remove(c->server->blobs, l->deltas[i].sha256, &err) != FL_OK)
			fl_log_warning("a blob that nobody wants stays until the next start",
				FL_S("detail", err.msg));
		blobs_disclaim(c->server->blobs, l->deltas[i].sha256);
	}
	return code == FL_OK && l->n > 0;
}

/* The coldest deltas that may go, until `excess` bytes are found. */
static enum fl_code choose_leaving(
	struct delta_context *c, int64_t max, struct leaving *l, struct fl_err *err)
{
	struct delta_summary sum = { 0 };
	struct store view;
	size_t n = 0, kept = 0;
	enum fl_code code = delta_context_look(c, &view, err);

	if (code == FL_OK)
		code = delta_summarise(&view, &sum, err);
	if (code == FL_OK) {
		metrics_set(c->server->metrics, METRIC_DELTA_READY, sum.ready);
		metrics_set(c->server->metrics, METRIC_DELTA_BYTES, sum.bytes);
	}
	if (code == FL_OK && sum.bytes > max)
		code = delta_coldest(&view, l->deltas, SLICE, &n, err);
	delta_context_seen(&view);
	for (size_t i = 0; i < n && code == FL_OK && sum.bytes > max; i++) {
		if (!blobs_claim(c->server->blobs, l->deltas[i].sha256))
			continue; /* somebody is adding these very bytes */
		sum.bytes -= l->deltas[i].size;
		l->deltas[kept++] = l->deltas[i];
	}
	l->n = kept;
	return code;
}

int64_t delta_cache_trim(struct delta_context *c, int64_t max)
{
	struct leaving l;
	struct fl_err err = { 0 };
	int64_t removed = 0;

	do {
		l = (struct leaving){ 0 };
		if (choose_leaving(c, max, &l, &err) != FL_OK) {
			fl_log_warning(
				"the space of deltas cannot be looked at", FL_S("detail", err.msg));
			break;
		}
		if (!remove_leaving(c, &l))
			break;
		removed += (int64_t)l.n;
	} while (!stopping(c));
	return removed;
}

/* ---- what nobody wants */

void delta_cache_discard(struct delta_context *c, const uint8_t sha256[32])
{
	struct fl_err err = { 0 };
	bool wanted = true;
	struct store view;
	enum fl_code code;

	if (!blobs_claim(c->server->blobs, sha256))
		return;
	/* the snapshot is newer than the claim: no row can come while it lasts */
	code = delta_context_look(c, &view, &err);
	if (code == FL_OK)
		code = delta_wanted(&view, sha256, &wanted, &err);
	delta_context_seen(&view);
	if (code == FL_OK && !wanted)
		code = blobs_remove(c->server->blobs, sha256, &err);
	blobs_disclaim(c->server->blobs, sha256);
	if (code != FL_OK)
		fl_log_warning("a blob cannot be looked at", FL_S("detail", err.msg));
}

static enum fl_code sweep_blob(
	void *arg, const uint8_t sha256[BLOB_DIGEST], int64_t size, struct fl_err *err)
{
	struct delta_context *c = arg;

	(void)size;
	if (stopping(c))
		return fl_fail(err, FL_STOPPED, "the server stops");
	delta_cache_discard(c, sha256);
	return FL_OK;
}

/* Of one page of rows, those whose blob is missing. */
static void sweep_rows(struct delta_context *c, const struct delta *rows, size_t n)
{
	struct leaving l = { 0 };
	int64_t size;

	for (size_t i = 0; i < n; i++) {
		if (rows[i].state == DELTA_READY &&
			blobs_size(c->server->blobs, rows[i].sha256, &size, NULL) == FL_NOT_FOUND &&
			blobs_claim(c->server->blobs, rows[i].sha256))
			l.deltas[l.n++] = rows[i];
	}
	if (remove_leaving(c, &l))
		fl_log_warning("deltas without their bytes were forgotten", FL_N("deltas", l.n));
}

void delta_cache_sweep(struct delta_context *c)
{
	struct delta rows[SLICE];
	struct fl_err err = { 0 };
	int64_t after = 0;
	size_t n = SLICE;

	while (n == SLICE && !stopping(c)) {
		struct store view;
		enum fl_code code = delta_context_look(c, &view, &err);

		if (code == FL_OK)
			code = delta_page(&view, after, rows, SLICE, &n, &err);
		delta_context_seen(&view);
		if (code != FL_OK) {
			fl_log_warning("deltas cannot be looked at", FL_S("detail", err.msg));
			return;
		}
		sweep_rows(c, rows, n);
		after = n > 0 ? rows[n - 1].id : after;
	}
	if (blobs_each(c->server->blobs, sweep_blob, c, &err) != FL_OK && err.code != FL_STOPPED)
		fl_log_warning("blobs cannot be looked at", FL_S("detail", err.msg));
}
