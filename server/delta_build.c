/* SPDX-License-Identifier: Apache-2.0 */
#include "server/delta_build.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/delta/apply.h"
#include "lib/delta/codec.h"
#include "lib/log.h"
#include "server/blobs.h"
#include "server/delta_tiers.h"
#include "server/metrics.h"
#include "server/server.h"
#include "server/store/artifact.h"
#include "server/store/delta.h"
#include "server/write_wait.h"

#define BACKGROUND_TIMES 10 /* as long by the clock as a build that somebody waits for */

/* One pair at work. */
struct work {
	struct delta_context *c;
	const struct delta_options *options;
	struct artifact from, to; /* from.id 0: none */
	delta_mask due, settled;  /* wanted and not settled; settled in the store */
	int64_t most; /* a delta must be smaller than this: the artifact, or a form of it or of the
			  * pair that every device can take which takes the new one */
	bool background; /* nobody waits */
};

/* ---- look */

/* Forms with which a delta that needs more of a device must compete. */
static bool is_plain(const struct delta *d)
{
	return strcmp(d->codec, "zstd") == 0 || strcmp(d->codec, "zstd-patch") == 0;
}

static bool is_there(const struct work *w, const struct delta *d)
{
	int64_t size;

	return blobs_size(w->c->server->blobs, d->sha256, &size, NULL) != FL_NOT_FOUND;
}

/* What the store has of (from, to): whatever is settled is not due, what is ready sets the mark. */
static enum fl_code look_at(struct work *w, struct store *view, int64_t from, struct fl_err *err)
{
	struct delta rows[DELTA_PAIR_MAX];
	size_t n = 0;
	enum fl_code code = delta_of_pair(view, from, w->to.id, rows, &n, err);

	for (size_t i = 0; i < n && code == FL_OK; i++) {
		bool ready = rows[i].state == DELTA_READY;

		if (ready && !is_there(w, &rows[i]))
			continue;
		if (delta_is_settled(&rows[i], view->now_ms) && from == w->from.id)
			w->settled |= delta_wish_tier(&rows[i]);
		if (ready && is_plain(&rows[i]) && rows[i].size < w->most)
			w->most = rows[i].size;
	}
	return code;
}

static enum fl_code look(struct work *w, struct delta_pair pair, struct fl_err *err)
{
	struct store view;
	enum fl_code code = delta_context_look(w->c, &view, err);

	if (code == FL_OK)
		code = artifact_get(&view, pair.to, &w->to, err);
	if (code == FL_OK && pair.from != 0)
		code = artifact_get(&view, pair.from, &w->from, err);
	if (code == FL_OK &&
		(w->to.size > w->options->size_max || w->from.size > w->options->size_max))
		code = fl_fail(err, FL_TOO_LARGE, "an artifact is above delta_size");
	w->most = w->to.size;
	if (code == FL_OK)
		code = look_at(w, &view, 0, err);
	if (code == FL_OK && pair.from != 0)
		code = look_at(w, &view, pair.from, err);
	delta_context_seen(&view);
	w->due &= ~w->settled;
	return code;
}

/* While a slow build ran a quick one may have become ready. */
static enum fl_code look_again(struct work *w, struct fl_err *err)
{
	struct store view;
	enum fl_code code = delta_context_look(w->c, &view, err);

	if (code == FL_OK)
		code = look_at(w, &view, 0, err);
	if (code == FL_OK && w->from.id != 0)
		code = look_at(w, &view, w->from.id, err);
	delta_context_seen(&view);
	return code;
}

/* ---- build */

/* In the background a build gets what processor time others leave, and of that its share. */
static int64_t wall_ms(const struct work *w)
{
	const struct delta_options *o = w->options;

	return w->background ? o->worker_ms * BACKGROUND_TIMES * 100 / o->share : o->worker_ms;
}

static enum fl_code run_worker(
	const struct work *w, const struct delta_tier *tier, int out_fd, struct fl_err *err)
{
	struct blobs *blobs = w->c->server->blobs;
	struct delta_build b = {
		.codec = tier->codec,
		.level = tier->level,
		.old_fd = -1,
		.new_fd = -1,
		.out_fd = out_fd,
		.cpu_ms = w->options->worker_cpu_ms,
		.wall_ms = wall_ms(w),
	};
	int64_t size;
	enum fl_code code = blobs_get(blobs, w->to.sha256, &b.new_fd, &size, err);

	if (code == FL_OK && w->from.id != 0)
		code = blobs_get(blobs, w->from.sha256, &b.old_fd, &size, err);
	if (code == FL_OK)
		code = delta_worker_run(&w->c->worker, &b, err);
	if (b.new_fd >= 0)
		(void)close(b.new_fd);
	if (b.old_fd >= 0)
		(void)close(b.old_fd);
	return code;
}

/* ---- keep */

static enum fl_code put_row(struct store *store, struct effects *e, void *arg, struct fl_err *err)
{
	(void)e;
	return delta_put(store, arg, err);
}

/* The blob is made durable and its row committed under the digest's hold. */
static enum fl_code keep(
	struct work *w, struct blob_draft *draft, struct delta *d, struct fl_err *err)
{
	struct server *s = w->c->server;
	enum fl_code code = blobs_hold(s->blobs, d->sha256, err);

	if (code != FL_OK)
		return code;
	code = blob_draft_finish(s->blobs, draft, d->sha256, err);
	if (code == FL_OK)
		code = write_wait(s, put_row, d, err);
	blobs_release(s->blobs, d->sha256);
	if (code != FL_OK)
		delta_cache_discard(w->c, d->sha256);
	return code;
}

/* What the delta itself states that decoding takes, where its codec does. */
static enum fl_code read_memory(const struct blob_draft *draft, struct delta *d, struct fl_err *err)
{
	const struct fl_codec *codec = fl_codec_find(d->codec);
	struct fl_bytes data;
	enum fl_code code = FL_OK;

	if (codec->stated_memory == NULL)
		return FL_OK;
	code = fl_apply_map(draft->fd, &data, err);
	if (code != FL_OK)
		return code;
	d->memory = (int64_t)codec->stated_memory(data);
	fl_apply_unmap(&data);
	return FL_OK;
}

/* Build one tier and judge the result: d->state. */
static enum fl_code build(
	struct work *w, const struct delta_tier *tier, struct delta *d, struct fl_err *err)
{
	struct blob_draft draft = { .fd = -1 };
	int64_t began = fl_clock_ms(CLOCK_MONOTONIC);
	enum fl_code code = blobs_draft(w->c->server->blobs, &draft, err);

	if (code == FL_OK)
		code = run_worker(w, tier, draft.fd, err);
	if (code == FL_OK)
		code = blob_draft_digest(&draft, d->sha256, &d->size, err);
	if (code == FL_OK)
		code = read_memory(&draft, d, err);
	d->built_ms = fl_clock_ms(CLOCK_MONOTONIC) - began;
	if (code == FL_OK && w->background)
		code = look_again(w, err);
	if (code == FL_REFUSED) { /* not for this codec */
		d->state = DELTA_USELESS;
		blob_draft_drop(&draft);
		return FL_OK;
	}
	d->state = code != FL_OK ? DELTA_FAILED : d->size < w->most ? DELTA_READY : DELTA_USELESS;
	if (d->state == DELTA_READY)
		code = keep(w, &draft, d, err);
	blob_draft_drop(&draft);
	return code;
}

static const char *hex_of(const struct artifact *a, char room[2 * BLOB_DIGEST + 1])
{
	room[0] = '\0';
	if (a->id != 0)
		blobs_hex(a->sha256, room);
	return room;
}

static void log_failure(const struct work *w, const struct delta_tier *tier, const char *detail)
{
	char from[2 * BLOB_DIGEST + 1], to[2 * BLOB_DIGEST + 1];

	fl_log_warning("a delta could not be built; devices get the full artifact",
		FL_S("codec", tier->codec), FL_S("from", hex_of(&w->from, from)),
		FL_S("to", hex_of(&w->to, to)), FL_S("detail", detail));
}

/* Build one tier and write how it ended; FL_OK unless it failed. */
static enum fl_code build_tier(
	struct work *w, const struct delta_tier *tier, struct delta_outcome *outcome)
{
	const struct fl_codec *codec = fl_codec_find(tier->codec);
	struct delta d = { .from = w->from.id, .to = w->to.id, .level = tier->level };
	struct metrics *m = w->c->server->metrics;
	struct fl_err err = { 0 };
	enum fl_code code;

	(void)strncpy(d.codec, tier->codec, sizeof(d.codec) - 1);
	d.memory = (int64_t)codec->decode_memory((uint64_t)w->from.size, (uint64_t)w->to.size);
	code = build(w, tier, &d, &err);
	if (code == FL_STOPPED || code == FL_UNAVAILABLE)
		return code;
	metrics_time(m, METRIC_DELTA_SECONDS, d.built_ms * 1000);
	if (code != FL_OK) {
		log_failure(w, tier, err.msg);
		d.state = DELTA_FAILED;
		d.size = 0;
	}
	if (d.state != DELTA_READY && write_wait(w->c->server, put_row, &d, &err) != FL_OK)
		log_failure(w, tier, err.msg);
	if (d.state == DELTA_READY && is_plain(&d))
		w->most = d.size;
	outcome->built += d.state == DELTA_READY;
	outcome->useless += d.state == DELTA_USELESS;
	outcome->failed += d.state == DELTA_FAILED;
	return code;
}

/* A row of a family that ran out of time is followed by the quickest one, unless that is known. */
static void build_due(struct work *w, struct delta_outcome *outcome)
{
	for (size_t i = 0; i < DELTA_TIERS; i++)
		if ((w->due >> i & 1) != 0 && build_tier(w, &delta_tiers[i], outcome) == FL_TIMEOUT)
			w->due |= delta_wish_instead(i) & ~w->settled;
}

void delta_build_pair(struct delta_context *c, const struct delta_options *o,
	const struct delta_want *want, struct delta_outcome *outcome)
{
	struct work w = {
		.c = c,
		.options = o,
		.due = want->tiers,
		.background = (want->tiers & delta_wish_quick()) == 0,
	};
	const struct delta_pair pair = want->pair;
	struct fl_err err = { 0 };
	enum fl_code code = look(&w, pair, &err);

	if (code != FL_OK) {
		fl_log_debug("a pair is not built", FL_N("from", pair.from), FL_N("to", pair.to),
			FL_S("detail", err.msg));
		return;
	}
	build_due(&w, outcome);
}
