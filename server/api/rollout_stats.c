/* SPDX-License-Identifier: Apache-2.0
 *
 * Figures of a rollout, per stage and per wave, from the kept sums; and its steps. The figures wait for
 * a change when asked to: If-None-Match with the last ETag, and Prefer: wait=SECONDS (RFC 7240). */
#include "server/http/handlers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/api/list.h"
#include "server/api/rollout_json.h"
#include "server/rollouts.h"
#include "server/store/device.h"
#include "server/store/stage.h"
#include "server/store/step.h"

#define WAIT_MAX_S 60
#define LOOK_MS    1000 /* a change between reading and parking is seen after this */

/* ---- as JSON */

/* A rate or a time; null for none. */
static json_t *real(double v)
{
	return v < 0 ? json_null() : json_real(v);
}

static json_t *steps_json(const struct figures_sums *s)
{
	json_t *json = json_object();

	for (int i = 0; i < STEP_STATE_MAX; i++)
		if (s->steps[i] > 0)
			(void)json_object_set_new(json, step_state_text((enum step_state)i),
				json_integer(s->steps[i]));
	return json;
}

static json_t *figures_json(const struct figures_sums *sums, int64_t devices)
{
	struct figures f;

	figures_derive(sums, devices, FIGURES_WAVE, &f);
	return json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:I, s:I}",
		"devices", (json_int_t)f.devices, "targets", (json_int_t)f.targets, "confirmed",
		(json_int_t)f.confirmed, "failed", (json_int_t)f.failed, "timed_out",
		(json_int_t)f.timed_out, "retried", (json_int_t)f.retried, "completion",
		real(f.completion), "failure", real(f.failure), "rollback", real(f.rollback),
		"rolled_back_by_device", (json_int_t)f.back_by_device, "rolled_back_by_server",
		(json_int_t)f.back_by_server, "rollback_failure", real(f.rollback_failure),
		"time_median_s", real(f.time_median_s), "time_p95_s", real(f.time_p95_s),
		"bytes_sent", (json_int_t)f.bytes_sent, "bytes_saved", (json_int_t)f.bytes_saved);
}

static json_t *stage_json(
	const struct engine_stage *g, const struct engine_rollout *r, int64_t now_ms)
{
	struct figures f;
	/* while it is paused nobody knows when */
	int64_t soak =
		g->soak_until == 0 || r->paused_at != 0 ? 0 : engine_wall(r, g->soak_until, now_ms);

	figures_derive(&g->sums, g->sums.rows, FIGURES_STAGE, &f);
	return json_pack("{s:I, s:i, s:i, s:s, s:o, s:I, s:o, s:o, s:o, s:I, s:I, "
			 "s:{s:s, s:s, s:I, s:I, s:I, s:s, s:s}, s:o, s:o, s:o}",
		"id", (json_int_t)g->id, "layer", g->layer, "wave", g->wave, "state",
		stage_state_text(g->state), "steps", steps_json(&g->sums), "targets",
		(json_int_t)f.targets, "completion", real(f.completion), "failure", real(f.failure),
		"rollback", real(f.rollback), "bytes_sent", (json_int_t)f.bytes_sent, "bytes_saved",
		(json_int_t)f.bytes_saved, "gate", "decision", gate_decision_text(g->decision),
		"text", g->text, "counted", (json_int_t)(g->tally.successes + g->tally.failures),
		"successes", (json_int_t)g->tally.successes, "failures",
		(json_int_t)g->tally.failures, "verdict", gate_verdict_text(g->verdict), "said",
		g->said, "opened_at", list_time(g->opened_at), "soak_until", list_time(soak),
		"ended_at", list_time(g->ended_at));
}

/* Append an element to the array that `b` ends in. */
static void add_element(struct fl_buf *b, bool first, json_t *take)
{
	if (!first)
		fl_buf_byte(b, ',');
	fl_json_write(b, take);
	json_decref(take);
}

static void add_stages(const struct stage_list *list, const struct engine_rollout *r,
	int64_t now_ms, struct fl_buf *b)
{
	fl_buf_str(b, ",\"stages\":[");
	for (size_t i = 0; i < list->n; i++)
		add_element(b, i == 0, stage_json(&list->stages[i], r, now_ms));
	fl_buf_byte(b, ']');
}

/* Add the figures of each wave and of all. */
static void add_waves(const struct stage_list *list, struct fl_buf *b)
{
	struct figures_sums all = { 0 }, wave = { 0 };
	int64_t devices = 0;

	fl_buf_str(b, ",\"waves\":[");
	for (size_t i = 0; i < list->n; i++) {
		const struct engine_stage *g = &list->stages[i];
		json_t *figures;

		figures_add(&wave, &g->sums, 1);
		if (i + 1 < list->n && list->stages[i + 1].wave == g->wave)
			continue;
		figures = figures_json(&wave, list->assigned[i]);
		(void)json_object_set_new(figures, "wave", json_integer(g->wave));
		add_element(b, g->wave == 0, figures);
		figures_add(&all, &wave, 1);
		devices += list->assigned[i];
		wave = (struct figures_sums){ 0 };
	}
	fl_buf_str(b, "],\"total\":");
	add_element(b, true, figures_json(&all, devices));
}

static void add_member(struct fl_buf *b, const char *before, const char *value)
{
	fl_buf_str(b, before);
	fl_buf_json(b, value, strlen(value));
}

/* All figures as they are sent. Written piece by piece: as one JSON value those of ten thousand stages are a
 * million objects. */
static enum fl_code stats_text(
	struct request *rq, struct fl_buf *out, int64_t *id, struct fl_err *err)
{
	struct rollout r = { 0 };
	struct stage_list list = { 0 };
	FL_AUTO_JSON json_t *slots = NULL;
	enum fl_code code = rollout_get(rq->store, rq->param[0], &r, err);

	if (code == FL_OK)
		code = rollouts_slots_json(rq->server, rq->store, &r, &slots, err);
	if (code == FL_OK)
		code = stage_list(rq->store, r.engine.id, &list, err);
	if (code == FL_OK) {
		*id = r.engine.id;
		add_member(out, "{\"rollout\":", r.name);
		add_member(out, ",\"state\":", rollout_state_text(r.engine.state));
		add_member(out, ",\"reason\":", r.engine.reason);
		fl_buf_str(out, ",\"slots\":");
		fl_json_write(out, slots);
		add_stages(&list, &r.engine, rq->now_ms, out);
		add_waves(&list, out);
		fl_buf_byte(out, '}');
		code = fl_buf_check(out, err);
	}
	stage_list_fini(&list);
	rollout_fini(&r);
	return code;
}

/* ---- waiting */

/* How long the request may wait; 0: not at all. */
static int64_t wait_ms(const struct request *rq)
{
	const char *prefer = request_header(rq, "Prefer");
	const char *wait = prefer == NULL ? NULL : strstr(prefer, "wait=");
	long s = wait == NULL ? 0 : strtol(wait + strlen("wait="), NULL, 10);

	return s <= 0 ? 0 : (s > WAIT_MAX_S ? WAIT_MAX_S : s) * 1000;
}

/* Whether the caller has this version already. */
static bool has(const struct request *rq, const char *etag)
{
	const char *known = request_header(rq, "If-None-Match");

	return known != NULL && strstr(known, etag) != NULL;
}

enum fl_code api_rollout_stats(struct request *rq, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	char etag[ROLLOUT_ETAG];
	int64_t id = 0, *until = rq->state;
	enum fl_code code = stats_text(rq, &text, &id, err);

	if (code != FL_OK)
		return code;
	rollout_etag_of((struct fl_bytes){ text.p, text.n }, etag);
	if (!has(rq, etag)) {
		reply_header(rq, "ETag", "\"%s\"", etag);
		reply_buf(rq, 200, "application/json", &text);
		return FL_OK;
	}
	if (until == NULL) {
		until = rq->state = request_alloc(rq, sizeof(*until));
		if (until == NULL)
			return fl_fail(err, FL_NOMEM, "no memory for a request that waits");
		*until = rq->store->now_ms + wait_ms(rq);
	}
	if (rq->store->now_ms < *until) {
		int64_t left = *until - rq->store->now_ms;

		request_park(rq, TOPIC(TOPIC_ROLLOUT, id), left < LOOK_MS ? left : LOOK_MS,
			LANE_READ, api_rollout_stats);
		return FL_OK;
	}
	reply_header(rq, "ETag", "\"%s\"", etag);
	reply_empty(rq, 304);
	return FL_OK;
}

/* ---- steps */

struct steps {
	struct list list;
	struct store *store;
	const struct rsql *scope; /* NULL: everything */
};

static json_t *step_json(const struct step_line *l)
{
	return json_pack("{s:s, s:i, s:i, s:s, s:s, s:b, s:i, s:o, s:o, s:s}", "device", l->device,
		"layer", l->layer, "wave", l->wave, "state", step_state_text(l->step.state),
		"cause", step_cause_text(l->step.cause), "back", l->step.back, "attempt",
		l->step.attempt, "delivered_at", list_time(l->step.delivered_at), "changed_at",
		list_time(l->step.changed_at), "detail", l->detail);
}

static enum fl_code add_step(void *context, const struct step_line *l, struct fl_err *err)
{
	struct steps *s = context;
	bool inside = false;
	char key[64];
	enum fl_code code = device_in_scope(s->store, l->step.device_no, s->scope, &inside, err);

	snprintf(key, sizeof(key), "%" PRId64 ":%" PRId64, l->step.stage_id, l->step.device_no);
	if (code == FL_OK && inside)
		code = list_add(&s->list, step_json(l), key, err);
	else if (code == FL_OK)
		list_skip(&s->list, key);
	return code;
}

static enum fl_code read_filter(struct request *rq, struct step_filter *f, struct fl_err *err)
{
	const char *state = request_query(rq, "state");
	int64_t layer = -1, wave = -1;
	enum step_state s;
	enum fl_code code = request_query_int(rq, "layer", 0, INT32_MAX, -1, &layer, err);

	if (code == FL_OK)
		code = request_query_int(rq, "wave", 0, INT32_MAX, -1, &wave, err);
	f->layer = (int)layer;
	f->wave = (int)wave;
	f->state = -1;
	if (code == FL_OK && state != NULL) {
		code = step_state_parse(state, &s, err);
		f->state = code == FL_OK ? (int)s : -1;
	}
	return code;
}

enum fl_code api_rollout_steps(struct request *rq, struct fl_err *err)
{
	RSQL_AUTO struct rsql *scope = NULL;
	struct steps steps = { .store = rq->store };
	struct list *list = &steps.list;
	struct step_filter f = { 0 };
	struct rollout r = { 0 };
	enum fl_code code = list_init(rq, list, err);

	if (code == FL_OK)
		code = list_scope(rq, &scope, err);
	steps.scope = scope;
	if (code == FL_OK)
		code = rollout_get(rq->store, rq->param[0], &r, err);
	if (code == FL_OK)
		code = read_filter(rq, &f, err);
	if (code == FL_OK && list->after[0] != '\0' &&
		sscanf(list->after, "%" SCNd64 ":%" SCNd64, &f.after_stage, &f.after_device) != 2)
		code = fl_fail(err, FL_INVALID, "\"cursor\" is of another list");
	if (code == FL_OK) {
		f.rollout_id = r.engine.id;
		f.limit = list->limit + 1;
		code = step_lines(rq->store, &f, add_step, &steps, err);
	}
	if (code == FL_OK)
		list_reply(rq, list);
	list_fini(list);
	rollout_fini(&r);
	return code;
}

/* ---- explanations */

/* A layer or wave of the path: a number from 0. */
static enum fl_code read_number(const char *text, const char *what, int *out, struct fl_err *err)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || n > 100000)
		return fl_fail(err, FL_NOT_FOUND, "\"%.40s\" is no %s; they are numbered from 0",
			text, what);
	*out = (int)n;
	return FL_OK;
}

enum fl_code api_stage_explain(struct request *rq, struct fl_err *err)
{
	struct rollouts_stage_place at = { 0 };
	struct rollout r = { 0 };
	json_t *json = NULL;
	enum fl_code code = rollout_get(rq->store, rq->param[0], &r, err);

	at.rollout_id = r.engine.id;
	if (code == FL_OK)
		code = read_number(rq->param[1], "layer", &at.layer, err);
	if (code == FL_OK)
		code = read_number(rq->param[2], "wave", &at.wave, err);
	if (code == FL_OK)
		code = rollouts_explain_stage(rq->server, rq->store, &at, &json, err);
	if (code == FL_OK)
		reply_json(rq, 200, json);
	rollout_fini(&r);
	return code;
}
