/* SPDX-License-Identifier: Apache-2.0
 *
 * The verbs of rollouts: read what is asked for, check what is not the engine's to know, let it decide,
 * answer what it did. */
#include "server/http/handlers.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "server/api/idempotent.h"
#include "server/api/list.h"
#include "server/api/rollout_json.h"
#include "server/rollouts.h"
#include "server/server.h"
#include "server/store/rollout.h"

#include "lib/civil.h"

struct verb_body {
	const char *plan_digest, *at, *why, *stage, *in_flight, *verdict, *reporter;
	json_t *causes;
	int64_t wave;
	bool accept_drift;
};

static const struct fl_json_field verb_fields[] = {
	FL_FIELD(struct verb_body, plan_digest, "plan_digest", STRING),
	FL_FIELD(struct verb_body, at, "at", STRING, .min = 1, .max = 40),
	FL_FIELD(struct verb_body, accept_drift, "accept_drift", BOOL),
	FL_FIELD(struct verb_body, why, "why", STRING, .min = 0, .max = 200),
	FL_FIELD(struct verb_body, stage, "stage", STRING, .min = 1, .max = 20),
	FL_FIELD(struct verb_body, in_flight, "in_flight", STRING),
	FL_FIELD(struct verb_body, verdict, "verdict", STRING),
	FL_FIELD(struct verb_body, reporter, "reporter", STRING, .min = 1, .max = 40),
	FL_FIELD(struct verb_body, wave, "wave", INT, .min = 0, .max = 1000),
	FL_FIELD(struct verb_body, causes, "causes", ARRAY),
};

#define VERB_MEMBERS 4

/* What each verb is, and the only members that its body may have. */
static const struct {
	const char *name;
	enum engine_fact_kind kind;
	const char *members[VERB_MEMBERS];
} verbs[] = {
	{ "start", FACT_START, { "plan_digest", "accept_drift", "at" } },
	{ "pause", FACT_PAUSE, { "why" } },
	{ "resume", FACT_RESUME, { NULL } },
	{ "promote", FACT_PROMOTE, { "stage" } },
	{ "verdict", FACT_VERDICT, { "stage", "verdict", "why", "reporter" } },
	{ "stop", FACT_STOP, { "in_flight" } },
	{ "rollback", FACT_ROLLBACK, { "wave", "why" } },
	{ "retry", FACT_RETRY, { "causes" } },
};

static bool takes(size_t verb, const char *member)
{
	for (size_t i = 0; i < VERB_MEMBERS && verbs[verb].members[i] != NULL; i++)
		if (strcmp(verbs[verb].members[i], member) == 0)
			return true;
	return false;
}

static enum fl_code check_members(const json_t *body, size_t verb, struct fl_err *err)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)body, key, value) {
		if (!takes(verb, key))
			return fl_fail(err, FL_INVALID, "%s does not take \"%.40s\"",
				verbs[verb].name, key);
	}
	return FL_OK;
}

static enum fl_code read_causes(const json_t *causes, unsigned *out, struct fl_err *err)
{
	const json_t *value;
	size_t i;

	json_array_foreach (causes, i, value) {
		enum step_cause c;
		const char *text = json_string_value(value);
		enum fl_code code = text == NULL
			? fl_fail(err, FL_INVALID, "\"causes\" holds words")
			: step_cause_parse(text, &c, err);

		if (code == FL_OK && c == CAUSE_NONE)
			code = fl_fail(err, FL_INVALID, "\"causes\": \"none\" is no failure");
		if (code != FL_OK)
			return code;
		*out |= 1u << c;
	}
	return FL_OK;
}

/* Who says what of which stage, and why. */
static enum fl_code read_verdict(
	const struct verb_body *b, struct engine_fact *fact, struct fl_err *err)
{
	if (b->verdict == NULL || b->stage == NULL)
		return fl_fail(err, FL_INVALID, "a verdict needs \"stage\" and \"verdict\"");
	if (gate_verdict_parse(b->verdict, &fact->verdict, err) != FL_OK)
		return fl_wrap(err, "verdict");
	return FL_OK;
}

/* "L0.W1", and nothing else. */
static enum fl_code read_stage(const char *stage, struct engine_fact *fact, struct fl_err *err)
{
	char again[32];

	if (sscanf(stage, "L%4d.W%4d", &fact->layer, &fact->wave) == 2) {
		(void)snprintf(again, sizeof(again), "L%d.W%d", fact->layer, fact->wave);
		if (fact->layer >= 0 && fact->wave >= 0 && strcmp(stage, again) == 0)
			return FL_OK;
	}
	return fl_fail(err, FL_INVALID, "\"stage\" looks like L0.W1, not \"%s\"", stage);
}

static enum fl_code read_verb(
	const struct verb_body *b, struct engine_fact *fact, struct fl_err *err)
{
	fact->text = b->why;
	fact->wave = fact->kind == FACT_ROLLBACK ? (int)b->wave : -1;
	if (b->stage != NULL && read_stage(b->stage, fact, err) != FL_OK)
		return err->code;
	if (b->in_flight != NULL && strcmp(b->in_flight, "finish") != 0 &&
		strcmp(b->in_flight, "cancel") != 0)
		return fl_fail(err, FL_INVALID, "\"in_flight\" is finish or cancel");
	if (fact->kind == FACT_VERDICT && read_verdict(b, fact, err) != FL_OK)
		return err->code;
	if (b->at != NULL && fl_moment_read(b->at, &fact->start_at, err) != FL_OK)
		return fl_wrap(err, "at");
	fact->anyway = b->accept_drift;
	fact->cancel = b->in_flight != NULL && strcmp(b->in_flight, "cancel") == 0;
	return read_causes(b->causes, &fact->causes, err);
}

static bool startable(const struct rollout *r)
{
	return r->engine.state == ROLLOUT_READY || r->engine.state == ROLLOUT_SCHEDULED;
}

/* What runs is what was planned, for devices that are still what they were. */
static enum fl_code check_start(
	struct request *rq, const struct rollout *r, const struct verb_body *b, struct fl_err *err)
{
	char hex[65];

	sodium_bin2hex(hex, sizeof(hex), r->plan_digest, 32);
	if (b->plan_digest != NULL && r->planned && strcmp(b->plan_digest, hex) != 0)
		return fl_fail(err, FL_PRECONDITION, "the plan's digest is %s; read it again", hex);
	if (!startable(r) || b->accept_drift || !rollout_drift_known(rq))
		return FL_OK;
	return rollout_drift_check(rq, r, err);
}

enum fl_code rollout_reply_act(
	struct request *rq, const char *name, const struct rollouts_verb *v, struct fl_err *err)
{
	struct rollout r = { 0 };
	json_t *rollout = NULL;
	FL_AUTO_JSON json_t *json = NULL;
	enum fl_code code = rollout_get(rq->store, rq->param[0], &r, err);

	if (code == FL_OK)
		code = rollout_json_whole(rq->store, &r, &rollout, err);
	rollout_fini(&r);
	if (code != FL_OK)
		return code;
	json = json_pack("{s:s, s:s, s:b, s:I, s:o, s:o}", "verb", name, "did", v->said, "changed",
		v->changed, "may_still_switch", (json_int_t)v->may_switch, "until",
		list_time(v->until_ms), "rollout", rollout);
	if (json == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for an answer");
	return idempotent_reply(rq, 200, json_incref(json), json, err);
}

/* Whether the verb would have devices get the release (again). */
static bool brings_more(const struct rollout *r, enum engine_fact_kind verb)
{
	if (verb == FACT_RESUME)
		return r->engine.state == ROLLOUT_PAUSED &&
			(r->engine.resume_to == ROLLOUT_RUNNING ||
				r->engine.resume_to == ROLLOUT_STARTING);
	return verb == FACT_START && startable(r);
}

static enum fl_code carry_out(struct request *rq, size_t verb, struct fl_err *err)
{
	struct verb_body b = { .wave = ENGINE_ALL_WAVES };
	struct rollouts_verb v = { .actor = rq->who.name, .fact = { .kind = verbs[verb].kind } };
	struct rollout r = { 0 };
	char said[ENGINE_REASON_MAX];
	enum fl_code code = FL_OK;

	if (rq->json != NULL) {
		code = request_read(rq, verb_fields, FL_COUNT(verb_fields), &b, err);
		if (code == FL_OK)
			code = check_members(rq->json, verb, err);
	}
	if (code == FL_OK)
		code = read_verb(&b, &v.fact, err);
	if (code == FL_OK)
		code = rollout_get(rq->store, rq->param[0], &r, err);
	if (code == FL_OK)
		code = rollout_if_match(rq, &r, err);
	if (code == FL_OK && v.fact.kind == FACT_START)
		code = check_start(rq, &r, &b, err);
	if (code == FL_OK && b.at != NULL && startable(&r) && v.fact.start_at <= rq->now_ms)
		code = fl_fail(err, FL_INVALID, "\"at\" lies in the past");
	if (code == FL_OK && v.fact.kind == FACT_START && startable(&r) && b.at == NULL &&
		!b.accept_drift && !rollout_drift_known(rq)) {
		code = rollout_drift_look(rq, r.engine.id, api_rollout_verb, err);
		rollout_fini(&r);
		return code;
	}
	v.rollout_id = r.engine.id;
	if (code == FL_OK && v.fact.kind == FACT_VERDICT) {
		snprintf(said, sizeof(said), "%.40s%s%.200s",
			b.reporter != NULL ? b.reporter : rq->who.name,
			b.why != NULL && b.why[0] != '\0' ? ": " : "", b.why != NULL ? b.why : "");
		v.fact.text = said;
	}
	if (code == FL_OK && brings_more(&r, v.fact.kind))
		code = rollouts_check_blocked(
			rq->server, rq->store, rq->effects, v.rollout_id, err);
	if (code == FL_OK)
		code = rollouts_verb(rq->server, rq->store, rq->effects, &v, err);
	if (code == FL_CONFLICT)
		code = fl_wrap(err, "rollout \"%s\"", r.name);
	if (code == FL_OK)
		code = rollout_reply_act(rq, verbs[verb].name, &v, err);
	rollout_fini(&r);
	return code;
}

enum fl_code api_rollout_verb(struct request *rq, struct fl_err *err)
{
	bool replayed = false;
	enum fl_code code;

	for (size_t i = 0; i < FL_COUNT(verbs); i++) {
		if (strcmp(verbs[i].name, rq->param[1]) != 0)
			continue;
		code = list_unlimited(rq, "steer a rollout", err);
		if (code == FL_OK)
			code = idempotent_replay(rq, &replayed, err);
		return code != FL_OK || replayed ? code : carry_out(rq, i, err);
	}
	return fl_fail(err, FL_NOT_FOUND,
		"\"%.40s\" is no verb: start, pause, resume, promote, verdict, stop, rollback or "
		"retry",
		rq->param[1]);
}
