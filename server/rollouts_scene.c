/* SPDX-License-Identifier: Apache-2.0
 *
 * A rollout with all its stages: for verbs, jobs, deadlines and gates. Loaded, changed by facts,
 * stored, within one part of a batch. */
#include "server/rollouts_in.h"

#include "server/channels.h"
#include "server/events.h"
#include "server/delta_service.h"
#include "server/http/request.h"
#include "server/rollout/gate_numbers.h"
#include "server/server.h"
#include "server/store/decision.h"
#include "server/store/job.h"
#include "server/store/rollout.h"

#include "lib/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whether stages were changed that are not stored. */
static bool spoilt(const struct rollouts_scene *s)
{
	for (size_t i = 0; i < s->list.n && s->dirty != NULL; i++)
		if (s->dirty[i])
			return true;
	return false;
}

void rollouts_scene_fini(struct rollouts_scene *s)
{
	if (spoilt(s))
		stage_list_forget(s->lane->store, s->rollout.id);
	stage_list_fini(&s->list);
	free(s->dirty);
	free(s->next);
	free(s->changed);
	free(s->start);
	*s = (struct rollouts_scene){ 0 };
}

/* A plan without stages has rules too, as that it must be approved: it may move a channel. */
static enum fl_code load_empty(struct rollouts_scene *s, struct fl_err *err)
{
	struct fl_err none = { 0 };
	enum fl_code code = rollouts_parsed_get(s->lane, s->rollout.id, &s->parsed, &none);

	if (code == FL_NOT_FOUND)
		return FL_OK;
	if (code != FL_OK)
		return fl_fail(err, code, "%s", none.msg);
	if (s->parsed->rules.layers * s->parsed->rules.waves > 0) /* it is refused */
		s->parsed = NULL;
	return FL_OK;
}

/* Load the rows; without a plan there are no stages and no rules. */
enum fl_code rollouts_scene_load(const struct rollouts_lane *lane, int64_t rollout_id,
	struct rollouts_scene *s, struct fl_err *err)
{
	size_t n;
	enum fl_code code;

	*s = (struct rollouts_scene){ .lane = lane };
	code = rollout_engine(lane->store, rollout_id, &s->rollout, err);
	if (code == FL_OK)
		code = stage_list(lane->store, rollout_id, &s->list, err);
	if (code == FL_OK && s->list.n > 0)
		code = rollouts_parsed_get(lane, rollout_id, &s->parsed, err);
	else if (code == FL_OK && s->rollout.state == ROLLOUT_PLANNING)
		code = load_empty(s, err);
	if (code != FL_OK)
		return code;
	n = s->list.n + 1; /* never a request for nothing */
	s->dirty = calloc(n, sizeof(*s->dirty));
	s->next = calloc(n, sizeof(*s->next));
	s->changed = calloc(n, sizeof(*s->changed));
	s->start = calloc(n, sizeof(*s->start));
	if (s->dirty == NULL || s->next == NULL || s->changed == NULL || s->start == NULL)
		return fl_fail(err, FL_NOMEM, "there is no memory for a rollout's stages");
	if (s->parsed != NULL &&
		s->list.n != (size_t)s->parsed->rules.layers * (size_t)s->parsed->rules.waves)
		return fl_fail(err, FL_CORRUPT, "rollout %s has %zu stages, its plan says %d",
			s->parsed->name, s->list.n,
			s->parsed->rules.layers * s->parsed->rules.waves);
	return FL_OK;
}

int rollouts_scene_index(const struct rollouts_scene *s, int64_t stage_id)
{
	size_t n = s->list.n, likely = n == 0 ? 0 : (size_t)(stage_id - s->list.stages[0].id);

	if (likely < n && s->list.stages[likely].id == stage_id)
		return (int)likely;
	for (size_t i = 0; i < n; i++)
		if (s->list.stages[i].id == stage_id)
			return (int)i;
	return -1;
}

/* ---- what a decision entails */

/* Store a gate's decision; *numbers (a new reference) led to it. */
static enum fl_code write_decision(struct rollouts_scene *s, const struct engine_stage *g,
	json_t **numbers, struct fl_err *err)
{
	const struct engine_rules *rules = &s->parsed->rules;
	struct gate_feed feed = engine_feed(
		g, &s->list.stages[g->wave * rules->layers], g->wave + 1 < rules->waves);

	*numbers = gate_numbers(&rules->gate, &g->tally, &feed);
	return decision_add(s->lane->store, g->id, g->state, g->text, *numbers, err);
}

static enum fl_code write_event(
	struct rollouts_scene *s, const struct engine_event *e, struct fl_err *err)
{
	struct events_line line = { .actor = "fleetd" };
	struct rollout row = { 0 };
	const struct engine_stage *g = e->stage < 0 ? NULL : &s->list.stages[e->stage];
	FL_AUTO_JSON json_t *numbers = NULL;
	char place[32];
	enum fl_code code = rollout_by_id(s->lane->store, s->rollout.id, &row, err);

	if (code != FL_OK)
		return code;
	line.subject = row.name;
	if (g != NULL)
		snprintf(place, sizeof(place), "L%d.W%d", g->layer, g->wave);
	switch (e->kind) {
	case ENGINE_EVENT_STATE:
		line.kind = EVENT_ROLLOUT_STATE;
		line.data = json_pack("{s:s,s:s}", "state", rollout_state_text(s->rollout.state),
			"reason", s->rollout.reason);
		break;
	case ENGINE_EVENT_GATE:
		line.kind = EVENT_GATE_DECIDED;
		code = write_decision(s, g, &numbers, err);
		line.data = json_pack("{s:s,s:s,s:s,s:o?}", "stage", place, "state",
			stage_state_text(g->state), "text", g->text, "numbers",
			gate_numbers_plain(numbers));
		break;
	default:
		line.kind = EVENT_STAGE_STATE;
		line.data =
			json_pack("{s:s,s:s}", "stage", place, "state", stage_state_text(g->state));
	}
	if (code == FL_OK)
		code = events_write(s->lane->store, s->lane->effects, &line, err);
	else
		json_decref(line.data);
	rollout_fini(&row);
	return code;
}

/* Make the job rows of a stage say what its jobs say. */
static enum fl_code change_jobs(
	struct rollouts_scene *s, size_t i, unsigned before, struct fl_err *err)
{
	const struct engine_stage *g = &s->list.stages[i];
	enum fl_code code = FL_OK;

	for (int b = 0; b < ENGINE_JOBS && code == FL_OK; b++) {
		enum engine_job job = (enum engine_job)(1u << b);

		if ((s->start[i] & job) != 0) {
			code = job_begin(s->lane->store, rollouts_job_kind(job), g->id, "{}", err);
			rollouts_kick(s->lane->effects, g->id, job);
		} else if ((before & ~g->jobs & job) != 0) {
			code = job_end(s->lane->store, rollouts_job_kind(job), g->id, err);
		}
	}
	return code;
}

/* Soak begins, or success has ceased to hold: nothing is decided, but whoever watches wants to know. */
static bool soak_turns(enum stage_state from, enum stage_state to)
{
	return (from == STAGE_RUNNING && to == STAGE_SOAKING) ||
		(from == STAGE_SOAKING && to == STAGE_RUNNING);
}

static enum fl_code write_turn(
	struct rollouts_scene *s, const struct engine_stage *g, struct fl_err *err)
{
	char place[32];

	(void)snprintf(place, sizeof(place), "L%d.W%d", g->layer, g->wave);
	return events_write(s->lane->store, s->lane->effects,
		&(struct events_line){ .kind = EVENT_STAGE_STATE,
			.actor = "fleetd",
			.subject = s->parsed->name,
			.data = json_pack("{s:s,s:s,s:s}", "stage", place, "state",
				stage_state_text(g->state), "text", g->text) },
		err);
}

static enum fl_code take_over_stage(struct rollouts_scene *s, size_t i, struct fl_err *err)
{
	unsigned jobs = s->list.stages[i].jobs;
	enum stage_state state = s->list.stages[i].state;
	enum fl_code code;

	s->list.stages[i] = s->next[i];
	s->dirty[i] = true;
	code = change_jobs(s, i, jobs, err);
	return code == FL_OK && soak_turns(state, s->next[i].state)
		? write_turn(s, &s->list.stages[i], err)
		: code;
}

static enum fl_code take_over(
	struct rollouts_scene *s, const struct engine_out *out, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	if (out->rollout_changed) {
		s->rollout = out->rollout;
		s->rollout_dirty = true;
	}
	for (size_t i = 0; i < s->list.n && code == FL_OK; i++)
		if (s->changed[i])
			code = take_over_stage(s, i, err);
	for (size_t i = 0; i < out->events_n && code == FL_OK; i++)
		code = write_event(s, &out->events[i], err);
	return code;
}

enum fl_code rollouts_scene_fact(struct rollouts_scene *s, int stage,
	const struct engine_fact *fact, struct engine_out *out, struct fl_err *err)
{
	static const struct engine_rules none = { 0 };
	struct engine_out mine;
	struct engine_out *o = out == NULL ? &mine : out;
	struct engine_view view = {
		.rules = s->parsed == NULL ? &none : &s->parsed->rules,
		.rollout = &s->rollout,
		.stages = s->list.n == 0 ? NULL : s->list.stages,
		.stage = stage < 0 ? NULL : &s->list.stages[stage],
		.now_ms = s->lane->store->now_ms,
	};

	*o = (struct engine_out){ .stages = s->next, .changed = s->changed, .start = s->start };
	engine_step(&view, fact, o);
	if (o->broken != NULL) {
		s->broken = o->broken;
		return FL_OK;
	}
	return take_over(s, o, err);
}

/* ---- storing */

static void wake(struct server *server, const void *payload)
{
	request_wake(server, TOPIC(TOPIC_ROLLOUT, *(const int64_t *)payload));
}

/* The way back needs deltas in the other direction. */
static void turn_deltas(struct server *server, const void *payload)
{
	if (server->deltas != NULL)
		delta_service_turn(server->deltas, *(const int64_t *)payload);
}

/* When the stage itself has something due, wall clock; 0: nothing. */
static int64_t due_at(const struct rollouts_scene *s, const struct engine_stage *g)
{
	int64_t clock = g->reach_at;

	if (g->soak_until != 0 && (clock == 0 || g->soak_until < clock))
		clock = g->soak_until;
	if (g->verdict_at != 0 && (clock == 0 || g->verdict_at < clock))
		clock = g->verdict_at;
	return clock == 0 ? 0 : engine_wall(&s->rollout, clock, s->lane->store->now_ms);
}

enum fl_code rollouts_scene_store(struct rollouts_scene *s, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	if (s->broken != NULL) {
		rollouts_broken(s->lane->server, s->rollout.id, s->broken);
		return fl_fail(err, FL_INTERNAL, "rollout %" PRId64 " is paused: %s", s->rollout.id,
			s->broken);
	}
	if (s->rollout_dirty)
		code = rollout_put(s->lane->store, &s->rollout, err);
	if (s->rollout_dirty && code == FL_OK)
		code = channels_rollout(
			s->lane->store, s->lane->effects, s->rollout.id, s->rollout.state, err);
	if (s->rollout_dirty && s->rollout.state == ROLLOUT_ROLLING_BACK)
		effects_after_commit(
			s->lane->effects, turn_deltas, &s->rollout.id, sizeof(s->rollout.id));
	for (size_t i = 0; i < s->list.n && code == FL_OK; i++) {
		if (!s->dirty[i])
			continue;
		code = stage_put(
			s->lane->store, &s->list.stages[i], due_at(s, &s->list.stages[i]), err);
		s->dirty[i] = code != FL_OK;
	}
	effects_after_commit(s->lane->effects, wake, &s->rollout.id, sizeof(s->rollout.id));
	return code;
}

/* ---- defects */

struct breach {
	struct write_job job;
	struct server *server;
	int64_t rollout_id;
	char what[ENGINE_REASON_MAX];
};

static enum fl_code pause_broken(
	struct write_job *job, struct store *store, struct effects *e, struct fl_err *err)
{
	struct breach *b = fl_container(job, struct breach, job);
	struct rollouts_lane lane = { b->server, store, e };
	struct engine_fact fact = { .kind = FACT_BROKEN, .text = b->what };
	struct rollout row = { 0 };
	struct rollouts_scene s;
	enum fl_code code = rollouts_scene_load(&lane, b->rollout_id, &s, err);

	if (code == FL_OK)
		code = rollouts_scene_fact(&s, -1, &fact, NULL, err);
	if (code == FL_OK && s.broken == NULL)
		code = rollouts_scene_store(&s, err);
	rollouts_scene_fini(&s);
	if (code == FL_OK)
		code = rollout_by_id(store, b->rollout_id, &row, err);
	if (code == FL_OK)
		code = events_write(store, e,
			&(struct events_line){ .kind = EVENT_INVARIANT_BROKEN,
				.actor = "fleetd",
				.subject = row.name,
				.data = json_pack("{s:s}", "invariant", b->what) },
			err);
	rollout_fini(&row);
	return code;
}

static void paused_broken(
	struct write_job *job, struct server *server, enum fl_code code, const struct fl_err *err)
{
	struct breach *b = fl_container(job, struct breach, job);

	(void)server;
	fl_log_error("an invariant of a rollout is broken; it is paused. Please report this defect",
		FL_N("rollout", b->rollout_id), FL_S("invariant", b->what),
		FL_S("stored", code == FL_OK ? "yes" : err->msg));
	free(b);
}

void rollouts_broken(struct server *server, int64_t rollout_id, const char *what)
{
	struct breach *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return;
	*b = (struct breach){
		.job = { .run = pause_broken, .done = paused_broken, .internal = true },
		.server = server,
		.rollout_id = rollout_id,
	};
	snprintf(b->what, sizeof(b->what), "%s", what);
	if (lanes_write(server, &b->job) != FL_OK)
		free(b);
}
