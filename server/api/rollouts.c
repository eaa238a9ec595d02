/* SPDX-License-Identifier: Apache-2.0
 *
 * Rollouts: create, read, list, and the verbs. A rollout is immutable but for its state; the same PUT
 * again changes nothing. Its figures are in rollout_stats.c. */
#include "server/http/handlers.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "server/api/idempotent.h"
#include "server/api/list.h"
#include "server/api/rollout_json.h"
#include "server/devices.h"
#include "server/events.h"
#include "server/planning.h"
#include "server/rollout/strategy.h"
#include "server/rollouts.h"
#include "server/server.h"
#include "server/settings.h"
#include "server/store/approval.h"
#include "server/store/channel.h"
#include "server/store/job.h"
#include "server/store/release.h"
#include "server/store/rollout.h"
#include "server/store/step.h"

#include "lib/civil.h"

/* ---- as JSON */

enum fl_code rollout_json(const struct rollout *r, json_t **out, struct fl_err *err)
{
	FL_AUTO_JSON json_t *strategy = NULL;
	enum fl_code code = fl_json_parse(
		(struct fl_bytes){ (const uint8_t *)r->strategy, strlen(r->strategy) }, &strategy,
		err);

	if (code != FL_OK)
		return code;
	*out = json_pack("{s:s, s:s, s:s, s:O, s:s, s:s, s:o, s:I, s:I, s:I, s:o, s:s, s:o, s:o, "
			 "s:o, s:o, s:b, s:{s:s++, s:s++, s:s++}}",
		"name", r->name, "release", r->release, "selector", r->selector, "strategy",
		strategy, "state", rollout_state_text(r->engine.state), "reason", r->engine.reason,
		"plan_digest", r->planned ? list_hex(r->plan_digest, 32) : json_null(), "waves",
		(json_int_t)r->waves, "layers", (json_int_t)r->layers, "targets",
		(json_int_t)r->assigned, "created_at", list_time(r->created_at), "created_by",
		r->created_by, "start_at", list_time(r->engine.start_at), "started_at",
		list_time(r->engine.started_at), "ended_at", list_time(r->engine.ended_at),
		"channel", list_text(r->channel), "brings", (int)r->brings, "links", "plan",
		"/api/v1/rollouts/", r->name, "/plan", "stats", "/api/v1/rollouts/", r->name,
		"/stats", "steps", "/api/v1/rollouts/", r->name, "/steps");
	return *out == NULL ? fl_fail(err, FL_NOMEM, "no memory for a rollout") : FL_OK;
}

static enum fl_code add_approval(void *context, const struct approval *a, struct fl_err *err)
{
	json_t *row = json_pack("{s:s, s:b, s:s, s:o, s:o}", "by", a->actor, "agrees", a->agrees,
		"why", a->why, "plan_digest", list_hex(a->digest, sizeof(a->digest)), "at",
		list_time(a->at));

	return row != NULL && json_array_append_new(context, row) == 0
		? FL_OK
		: fl_fail(err, FL_NOMEM, "no memory for a rollout");
}

enum fl_code rollout_json_whole(
	struct store *store, const struct rollout *r, json_t **out, struct fl_err *err)
{
	FL_AUTO_JSON json_t *rollout = NULL, *approvals = json_array();
	int64_t joined = 0;
	enum fl_code code = rollout_json(r, &rollout, err);

	if (code == FL_OK)
		code = approval_each(store, r->engine.id, add_approval, approvals, err);
	if (code == FL_OK)
		code = assignment_joined(store, r->engine.id, &joined, err);
	if (code == FL_OK &&
		(json_object_set(rollout, "approvals", approvals) != 0 ||
			json_object_set_new(rollout, "joined", json_integer(joined)) != 0))
		code = fl_fail(err, FL_NOMEM, "no memory for a rollout");
	if (code == FL_OK)
		*out = fl_steal(&rollout);
	return code;
}

enum fl_code rollout_if_match(struct request *rq, const struct rollout *r, struct fl_err *err)
{
	FL_AUTO_JSON json_t *json = NULL;
	char etag[ROLLOUT_ETAG];
	enum fl_code code;

	if (request_header(rq, "If-Match") == NULL)
		return FL_OK;
	code = rollout_json_whole(rq->store, r, &json, err);
	if (code != FL_OK)
		return code;
	rollout_etag(json, etag);
	return list_if_match(rq, etag, err);
}

static enum fl_code reply_rollout(struct request *rq, unsigned status, struct fl_err *err)
{
	struct rollout r = { 0 };
	json_t *json = NULL;
	enum fl_code code = rollout_get(rq->store, rq->param[0], &r, err);

	if (code == FL_OK)
		code = rollout_json_whole(rq->store, &r, &json, err);
	if (code == FL_OK)
		rollout_reply(rq, status, json);
	rollout_fini(&r);
	return code;
}

void rollout_reply(struct request *rq, unsigned status, json_t *take)
{
	char etag[ROLLOUT_ETAG];

	rollout_etag(take, etag);
	reply_header(rq, "ETag", "\"%s\"", etag);
	reply_json(rq, status, take);
}

void rollout_etag(const json_t *value, char etag[ROLLOUT_ETAG])
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	uint8_t hash[ROLLOUT_ETAG / 2];

	fl_json_write(&text, value);
	(void)crypto_generichash(hash, sizeof(hash), text.p, text.n, NULL, 0);
	sodium_bin2hex(etag, ROLLOUT_ETAG, hash, sizeof(hash));
}

/* ---- reading */

static enum fl_code add_rollout(void *context, const struct rollout *r, struct fl_err *err)
{
	json_t *json = NULL;
	enum fl_code code = rollout_json(r, &json, err);

	return code != FL_OK ? code : list_add_no(context, json, r->engine.id, err);
}

enum fl_code api_rollouts_list(struct request *rq, struct fl_err *err)
{
	struct list list = { 0 };
	int64_t before = 0;
	enum fl_code code = list_init(rq, &list, err);

	if (code == FL_OK)
		code = list_after(&list, &before, err);
	if (code == FL_OK)
		code = rollout_each(rq->store, before, list.limit + 1, add_rollout, &list, err);
	if (code == FL_OK)
		list_reply(rq, &list);
	list_fini(&list);
	return code;
}

enum fl_code api_rollout_get(struct request *rq, struct fl_err *err)
{
	return reply_rollout(rq, 200, err);
}

/* ---- creating */

struct body {
	const char *release;
	const char *selector;
	const char *start;
	const char *channel;
	json_t *strategy;
};

static const struct fl_json_field fields[] = {
	FL_FIELD(struct body, release, "release", STRING, .required = true),
	FL_FIELD(struct body, selector, "selector", STRING),
	FL_FIELD(struct body, strategy, "strategy", OBJECT),
	FL_FIELD(struct body, start, "start", STRING),
	FL_FIELD(struct body, channel, "channel", STRING, .min = 1, .max = STORE_NAME_MAX),
};

/* The rollout that the body asks for; strings of `r` are owned by the two buffers and the body. */
struct wanted {
	struct rollout r;
	struct fl_buf selector;
	struct fl_buf strategy;
};

static void wanted_fini(struct wanted *w)
{
	fl_buf_fini(&w->selector);
	fl_buf_fini(&w->strategy);
}

/* A rollout that moves a channel is for the channel's devices. */
static enum fl_code read_channel(
	struct request *rq, struct body *b, struct channel *channel, struct fl_err *err)
{
	enum fl_code code;

	if (b->channel == NULL)
		return FL_OK;
	code = list_unlimited(rq, "move a channel", err);
	if (code == FL_OK)
		code = channel_get(rq->store, b->channel, channel, err);
	if (code == FL_NOT_FOUND)
		return fl_fail(err, FL_REFUSED, "there is no channel \"%.128s\"", b->channel);
	if (code == FL_OK && b->selector[0] != '\0' && strcmp(b->selector, channel->selector) != 0)
		return fl_fail(err, FL_INVALID,
			"give a channel or a selector: a rollout that moves channel %s is for its "
			"devices",
			b->channel);
	b->selector = channel->selector;
	return code;
}

/* What the operator selects, and only what the token may see. */
static enum fl_code join_selector(
	struct request *rq, const char *selector, struct fl_buf *out, struct fl_err *err)
{
	const char *scope = rq->who.selector;
	struct rsql *parsed = NULL;
	enum fl_code code = FL_OK;

	if (selector[0] != '\0')
		code = rsql_parse(selector, &parsed, err);
	rsql_free(parsed);
	if (code != FL_OK)
		return code;
	if (scope != NULL && selector[0] != '\0')
		fl_buf_printf(out, "(%s);(%s)", scope, selector);
	else
		fl_buf_str(out, scope != NULL ? scope : selector);
	return fl_buf_check(out, err);
}

/* What a rollout takes over where its strategy says less. */
struct given {
	uint64_t seed;
	int64_t approvals;
	int64_t now_ms;      /* windows must open after it; 0: they were looked at before */
	const char *creator; /* whose approval does not count; NULL: everybody's does */
};

/* Whether as many can agree as must. */
static enum fl_code check_approvers(
	const struct strategy *s, const struct given *given, struct fl_err *err)
{
	int64_t can = (int64_t)s->n_approvers;

	if (can > 0 && s->approvals > can)
		return fl_fail(err, FL_REFUSED,
			"this server demands %lld approvals; the strategy names %zu approvers",
			(long long)s->approvals, s->n_approvers);
	if (can > 0 && given->creator != NULL && strategy_has_approver(s, given->creator) &&
		s->approvals > can - 1)
		return fl_fail(err, FL_INVALID,
			"strategy: approvals: %lld of the %zu approvers named can never agree: %s "
			"creates this rollout, and nobody approves his own",
			(long long)s->approvals, s->n_approvers, given->creator);
	return FL_OK;
}

/* Whether every selector of the strategy can be read. */
static enum fl_code check_selectors(const struct strategy *s, struct fl_err *err)
{
	for (size_t i = 0; i <= s->n_waves; i++) {
		const char *selector = i < s->n_waves ? s->waves[i].selector : s->early;
		struct rsql *parsed = NULL;
		enum fl_code code = FL_OK;

		if (selector != NULL)
			code = rsql_parse(selector, &parsed, err);
		rsql_free(parsed);
		if (code != FL_OK && i < s->n_waves)
			return fl_wrap(err, "strategy: waves[%zu]: selector", i);
		if (code != FL_OK)
			return fl_wrap(err, "strategy: early");
	}
	return FL_OK;
}

/* The complete strategy; *joins says if it lets new devices join. */
static enum fl_code complete(const json_t *strategy, const struct given *given, struct fl_buf *out,
	bool *joins, struct fl_err *err)
{
	struct strategy s = { 0 };
	FL_AUTO_JSON json_t *json = NULL;
	enum fl_code code = strategy_read(strategy, given->seed, &s, err);

	if (code == FL_OK && s.approvals < given->approvals)
		s.approvals = given->approvals;
	if (code == FL_OK)
		code = check_approvers(&s, given, err);
	if (code == FL_OK)
		code = check_selectors(&s, err);
	if (code == FL_OK && given->now_ms != 0)
		code = rollouts_windows_check(&s.windows, given->now_ms, err);
	json = code == FL_OK ? strategy_json(&s) : NULL;
	*joins = s.joiners == JOINERS_LAST_WAVE;
	strategy_fini(&s);
	if (code != FL_OK)
		return code;
	if (json == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a strategy");
	fl_json_write(out, json);
	return fl_buf_check(out, err);
}

/* The same call again means the same strategy: what was given the first time. */
static struct given given_before(const char *strategy)
{
	FL_AUTO_JSON json_t *json = json_loads(strategy, 0, NULL);

	return (struct given){
		.seed = (uint64_t)json_integer_value(json_object_get(json, "seed")),
		.approvals = json_integer_value(json_object_get(json, "approvals")),
	};
}

static struct given given_now(const struct request *rq)
{
	const struct settings *settings = rq->server->settings;

	return (struct given){
		.seed = (uint64_t)randombytes_random() << 20 | randombytes_uniform(1 << 20),
		.approvals = settings->approvals,
		.now_ms = rq->now_ms,
		.creator = settings->approve_own ? NULL : rq->who.name,
	};
}

static enum fl_code read_wanted(
	struct request *rq, const struct rollout *there, struct wanted *w, struct fl_err *err)
{
	struct body b = { .selector = "", .start = "manual" };
	struct given given = there != NULL ? given_before(there->strategy) : given_now(rq);
	struct release release = { 0 };
	struct channel channel = { 0 };
	bool joins = false;
	enum fl_code code = request_read(rq, fields, FL_COUNT(fields), &b, err);

	if (code == FL_OK)
		code = devices_check_name("rollout", rq->param[0], err);
	if (code == FL_OK && strcmp(b.start, "manual") != 0 && strcmp(b.start, "auto") != 0)
		code = fl_fail(
			err, FL_INVALID, "\"start\" is manual or auto, not \"%.40s\"", b.start);
	if (code == FL_OK)
		code = read_channel(rq, &b, &channel, err);
	if (code == FL_OK)
		code = join_selector(rq, b.selector, &w->selector, err);
	if (code == FL_OK)
		code = complete(b.strategy, &given, &w->strategy, &joins, err);
	if (code == FL_OK)
		code = release_get(rq->store, b.release, &release, err);
	if (code == FL_NOT_FOUND)
		code = fl_fail(err, FL_REFUSED, "there is no release \"%.128s\"; publish it first",
			b.release);
	if (code == FL_OK)
		w->r = (struct rollout){ .name = rq->param[0],
			.release_id = release.id,
			.release = b.release,
			.selector = w->selector.n == 0 ? "" : (const char *)w->selector.p,
			.strategy = (const char *)w->strategy.p,
			.auto_start = strcmp(b.start, "auto") == 0,
			.channel_id = channel.id,
			.joins = joins,
			.created_by = rq->who.name,
			.engine = { .state = ROLLOUT_PLANNING } };
	release_fini(&release);
	channel_fini(&channel);
	return code;
}

static void begin_planning(struct server *server, const void *payload)
{
	planning_begin(server, *(const int64_t *)payload);
}

static enum fl_code create(struct request *rq, const struct wanted *w, struct fl_err *err)
{
	int64_t id;
	enum fl_code code = rollout_add(rq->store, &w->r, &id, err);

	if (code == FL_OK)
		code = job_begin(rq->store, "plan", id, "{}", err);
	if (code == FL_OK)
		code = events_write(rq->store, rq->effects,
			&(struct events_line){ .kind = EVENT_ROLLOUT_CREATED,
				.actor = rq->who.name,
				.subject = w->r.name,
				.data = json_pack("{s:s, s:s}", "release", w->r.release, "selector",
					w->r.selector) },
			err);
	if (code != FL_OK)
		return code;
	effects_after_commit(rq->effects, begin_planning, &id, sizeof(id));
	return reply_rollout(rq, 201, err);
}

/* The same again, or a sentence that says what differs. */
static enum fl_code compare(
	struct request *rq, const struct rollout *there, const struct wanted *w, struct fl_err *err)
{
	const char *what = there->release_id != w->r.release_id ? "release"
		: strcmp(there->selector, w->r.selector) != 0   ? "selector"
		: strcmp(there->strategy, w->r.strategy) != 0   ? "strategy"
		: there->auto_start != w->r.auto_start          ? "start"
		: there->channel_id != w->r.channel_id          ? "channel"
								: NULL;

	if (what != NULL)
		return fl_fail(err, FL_CONFLICT,
			"rollout \"%s\" exists with another %s; choose another name", there->name,
			what);
	return reply_rollout(rq, 200, err);
}

enum fl_code api_rollout_put(struct request *rq, struct fl_err *err)
{
	struct fl_err none = { 0 };
	struct rollout there = { 0 };
	struct wanted w = { 0 };
	enum fl_code found = rollout_get(rq->store, rq->param[0], &there, &none);
	enum fl_code code = FL_OK;

	if (found != FL_OK && found != FL_NOT_FOUND)
		code = fl_fail(err, found, "%s", none.msg);
	if (code == FL_OK)
		code = read_wanted(rq, found == FL_OK ? &there : NULL, &w, err);
	if (code == FL_OK)
		code = found == FL_OK ? compare(rq, &there, &w, err) : create(rq, &w, err);
	wanted_fini(&w);
	rollout_fini(&there);
	return code;
}

/* ---- verbs */

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
