/* SPDX-License-Identifier: Apache-2.0
 *
 * Deltas: what is ready or known not to pay, and what it saved. */
#include "server/http/handlers.h"

#include <stdlib.h>
#include <string.h>

#include "server/api/list.h"
#include "server/blobs.h"
#include "server/delta_tiers.h"
#include "server/delta_warm.h"
#include "server/server.h"
#include "server/store/artifact.h"
#include "server/store/delta.h"
#include "server/store/rollout.h"
#include "server/store/version.h"

#define QUEUE_MAX  1000 /* jobs shown */
#define CODECS_MAX 64
#define WARM_MAX   64 /* pairs of two versions' variants */

static json_t *render(const struct delta *d)
{
	bool ready = d->state == DELTA_READY;

	return json_pack("{so,so,ss,si,ss,so,sI,sI,sI,sI,sI,sI,so}", "from",
		d->from == 0 ? json_null() : list_hex(d->from_sha256, sizeof(d->from_sha256)), "to",
		list_hex(d->to_sha256, sizeof(d->to_sha256)), "codec", d->codec, "level", d->level,
		"state", delta_state_name(d->state), "sha256",
		ready ? list_hex(d->sha256, sizeof(d->sha256)) : json_null(), "size",
		(json_int_t)d->size, "memory", (json_int_t)d->memory, "full_size",
		(json_int_t)d->to_size, "saved",
		(json_int_t)(ready ? d->uses * (d->to_size - d->size) : 0), "uses",
		(json_int_t)d->uses, "built_ms", (json_int_t)d->built_ms, "created_at",
		list_time(d->created_at));
}

static json_t *render_summary(const struct delta_summary *s, const struct delta_figures *f)
{
	return json_pack("{sI,sI,sI,sI,sI,sI,sI,sI,sI,sI}", "ready", (json_int_t)s->ready,
		"useless", (json_int_t)s->useless, "failed", (json_int_t)s->failed, "bytes",
		(json_int_t)s->bytes, "uses", (json_int_t)s->uses, "saved", (json_int_t)s->saved,
		"waiting", (json_int_t)f->waiting, "warming", (json_int_t)f->warming, "improving",
		(json_int_t)f->improving, "building", (json_int_t)f->building);
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

/* ---- the queue */

static const char *const places[DELTA_PLACE_MAX] = {
	[DELTA_ASKED] = "asked",
	[DELTA_WARMED] = "warmed",
	[DELTA_IMPROVED] = "improved",
	[DELTA_RUNNING] = "running",
};

static json_t *render_tiers(delta_mask tiers)
{
	json_t *list = json_array();

	for (size_t i = 0; i < DELTA_TIERS && list != NULL; i++)
		if ((tiers >> i & 1) != 0)
			(void)json_array_append_new(list,
				delta_tiers[i].level == 0
					? json_string(delta_tiers[i].codec)
					: json_sprintf("%s/%d", delta_tiers[i].codec,
						  delta_tiers[i].level));
	return list;
}

/* One job; an artifact that has gone meanwhile shows as null. */
static enum fl_code add_want(
	struct request *rq, const struct delta_want *w, json_t *items, struct fl_err *err)
{
	struct artifact from = { 0 }, to = { 0 };
	struct fl_err none = { 0 };
	enum fl_code code =
		w->pair.from == 0 ? FL_OK : artifact_get(rq->store, w->pair.from, &from, &none);

	if (code == FL_OK)
		code = artifact_get(rq->store, w->pair.to, &to, &none);
	if (code != FL_OK && code != FL_NOT_FOUND)
		return fl_fail(err, code, "%s", none.msg);
	(void)json_array_append_new(items,
		json_pack("{so,so,ss,so,sI,sI,sI}", "from",
			from.id == 0 ? json_null() : list_hex(from.sha256, sizeof(from.sha256)),
			"to", to.id == 0 ? json_null() : list_hex(to.sha256, sizeof(to.sha256)),
			"place", places[w->place], "tiers", render_tiers(w->tiers), "rank",
			(json_int_t)w->rank, "devices", (json_int_t)w->devices, "gain",
			(json_int_t)w->gain));
	return FL_OK;
}

enum fl_code api_deltas_queue(struct request *rq, struct fl_err *err)
{
	struct delta_want *wants = request_alloc(rq, QUEUE_MAX * sizeof(*wants));
	json_t *items = json_array();
	enum fl_code code = FL_OK;
	size_t n = 0;

	if (wants == NULL || items == NULL)
		code = fl_fail(err, FL_NOMEM, "no memory for the queue");
	else
		n = delta_service_list(rq->server->deltas, wants, QUEUE_MAX);
	for (size_t i = 0; i < n && code == FL_OK; i++)
		code = add_want(rq, &wants[i], items, err);
	if (code == FL_OK)
		reply_json(rq, 200, json_pack("{sO}", "items", items));
	json_decref(items);
	return code;
}

/* ---- statistics */

static json_t *render_codec(const struct delta_codec_sums *c)
{
	return json_pack("{ss,si,sI,sI,sI,sI,sI,sI,sI}", "codec", c->codec, "level", c->level,
		"ready", (json_int_t)c->sums.ready, "useless", (json_int_t)c->sums.useless,
		"failed", (json_int_t)c->sums.failed, "bytes", (json_int_t)c->sums.bytes, "uses",
		(json_int_t)c->sums.uses, "saved", (json_int_t)c->sums.saved, "built_ms",
		(json_int_t)c->built_ms);
}

static json_t *render_builds(const struct delta_figures *f)
{
	return json_pack("{sI,sI,sI,sI,sI,sI,sI}", "built", (json_int_t)f->built, "useless",
		(json_int_t)f->useless, "failed", (json_int_t)f->failed, "refused",
		(json_int_t)f->refused, "processes", (json_int_t)f->processes, "parsed",
		(json_int_t)f->parsed, "reused", (json_int_t)f->reused);
}

enum fl_code api_deltas_stats(struct request *rq, struct fl_err *err)
{
	const struct delta_figures f = delta_service_figures(rq->server->deltas);
	struct delta_codec_sums codecs[CODECS_MAX];
	struct delta_summary sum;
	json_t *list = json_array();
	size_t n = 0;
	enum fl_code code = delta_summarise(rq->store, &sum, err);

	if (code == FL_OK)
		code = delta_by_codec(rq->store, codecs, CODECS_MAX, &n, err);
	for (size_t i = 0; i < n && code == FL_OK; i++)
		(void)json_array_append_new(list, render_codec(&codecs[i]));
	if (code == FL_OK)
		reply_json(rq, 200,
			json_pack("{so,sO,s{sI,sI,sI},so}", "summary", render_summary(&sum, &f),
				"codecs", list, "cache", "bytes", (json_int_t)sum.bytes, "limit",
				(json_int_t)rq->server->settings->delta_cache, "evicted",
				(json_int_t)f.evicted, "since_start", render_builds(&f)));
	json_decref(list);
	return code;
}

/* ---- warming */

struct warm_body {
	const char *from, *to, *module, *rollout;
	bool reverse;
};

/* Pairs in the making. */
struct warming {
	struct delta_need needs[2 * WARM_MAX];
	size_t n;
	int64_t artifacts[2][8]; /* of the variants of two versions */
	int64_t sizes[2][8];
	size_t n_artifacts[2];
	size_t side;
};

static void add_pair(struct warming *w, int64_t from, int64_t to, int64_t size)
{
	if (from == to || w->n == FL_COUNT(w->needs))
		return;
	w->needs[w->n++] = (struct delta_need){ { from, to }, 0, 1, size / 8 };
}

static enum fl_code add_artifact(
	struct request *rq, struct warming *w, const char *hex, struct fl_err *err)
{
	uint8_t sha256[BLOB_DIGEST];
	struct artifact a;
	enum fl_code code = blobs_parse(hex, sha256, err);

	if (code == FL_OK)
		code = artifact_find(rq->store, sha256, &a, err);
	if (code != FL_OK)
		return code;
	w->artifacts[w->side][0] = a.id;
	w->sizes[w->side][0] = a.size;
	w->n_artifacts[w->side] = 1;
	return FL_OK;
}

static enum fl_code add_variant(void *context, const struct variant *v, struct fl_err *err)
{
	struct warming *w = context;
	size_t *n = &w->n_artifacts[w->side];

	(void)err;
	if (v->artifact_id != 0 && *n < FL_COUNT(w->artifacts[0])) {
		w->artifacts[w->side][*n] = v->artifact_id;
		w->sizes[w->side][(*n)++] = v->size;
	}
	return FL_OK;
}

/* All artifacts of one side: a digest, or a version of the module. */
static enum fl_code add_side(struct request *rq, struct warming *w, const struct warm_body *b,
	const char *name, struct fl_err *err)
{
	struct version v = { 0 };
	enum fl_code code;

	if (b->module == NULL)
		return add_artifact(rq, w, name, err);
	code = version_get(rq->store, b->module, name, &v, err);
	if (code == FL_OK)
		code = version_each_variant(rq->store, v.id, add_variant, w, err);
	version_fini(&v);
	return code;
}

static enum fl_code warm_sides(
	struct request *rq, const struct warm_body *b, size_t *taken, struct fl_err *err)
{
	struct warming w = { 0 };
	enum fl_code code = add_side(rq, &w, b, b->from, err);

	w.side = 1;
	if (code == FL_OK)
		code = add_side(rq, &w, b, b->to, err);
	if (code != FL_OK)
		return code;
	for (size_t i = 0; i < w.n_artifacts[0]; i++)
		for (size_t k = 0; k < w.n_artifacts[1]; k++) {
			add_pair(&w, w.artifacts[0][i], w.artifacts[1][k], w.sizes[1][k]);
			if (b->reverse)
				add_pair(&w, w.artifacts[1][k], w.artifacts[0][i], w.sizes[0][i]);
		}
	*taken = delta_service_warm(rq->server->deltas, w.needs, w.n);
	return FL_OK;
}

static enum fl_code warm_rollout(
	struct request *rq, const struct warm_body *b, size_t *taken, struct fl_err *err)
{
	struct rollout r = { 0 };
	enum fl_code code = rollout_get(rq->store, b->rollout, &r, err);

	if (code == FL_OK)
		code = delta_warm_rollout(rq->server->deltas, rq->store, r.engine.id,
			b->reverse ? DELTA_BOTH : DELTA_THERE, taken, err);
	rollout_fini(&r);
	return code;
}

enum fl_code api_deltas_warm(struct request *rq, struct fl_err *err)
{
	static const struct fl_json_field fields[] = {
		FL_FIELD(struct warm_body, from, "from", STRING, .min = 1, .max = 300),
		FL_FIELD(struct warm_body, to, "to", STRING, .min = 1, .max = 300),
		FL_FIELD(struct warm_body, module, "module", STRING, .min = 1, .max = 300),
		FL_FIELD(struct warm_body, rollout, "rollout", STRING, .min = 1, .max = 300),
		FL_FIELD(struct warm_body, reverse, "reverse", BOOL),
	};
	struct warm_body b = { 0 };
	size_t taken = 0;
	enum fl_code code = list_unlimited(rq, "have deltas built", err);

	if (code == FL_OK)
		code = request_read(rq, fields, FL_COUNT(fields), &b, err);
	if (code != FL_OK)
		return code;
	if (b.rollout != NULL && b.from == NULL && b.to == NULL && b.module == NULL)
		code = warm_rollout(rq, &b, &taken, err);
	else if (b.rollout == NULL && b.from != NULL && b.to != NULL)
		code = warm_sides(rq, &b, &taken, err);
	else
		code = fl_fail(err, FL_INVALID,
			"say a rollout, or from and to: digests, or versions of a module");
	if (code == FL_OK)
		reply_json(rq, 202, json_pack("{sI}", "pairs", (json_int_t)taken));
	return code;
}
