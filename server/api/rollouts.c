/* SPDX-License-Identifier: Apache-2.0
 *
 * Rollouts: create, read, list. A rollout is immutable but for its state; the same PUT again changes
 * nothing. What moves it is in rollout_verbs.c, its figures are in rollout_stats.c. */
#include "server/http/handlers.h"

#include <sodium.h>
#include <string.h>

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
	char etag[ROLLOUT_ETAG];
	json_t *json = NULL;
	enum fl_code code = rollout_get(rq->store, rq->param[0], &r, err);

	if (code == FL_OK)
		code = rollout_json_whole(rq->store, &r, &json, err);
	if (code == FL_OK) {
		rollout_etag(json, etag);
		reply_header(rq, "ETag", "\"%s\"", etag);
		reply_json(rq, status, json);
	}
	rollout_fini(&r);
	return code;
}

void rollout_etag_of(struct fl_bytes text, char etag[ROLLOUT_ETAG])
{
	uint8_t hash[ROLLOUT_ETAG / 2];

	(void)crypto_generichash(hash, sizeof(hash), text.p, text.n, NULL, 0);
	sodium_bin2hex(etag, ROLLOUT_ETAG, hash, sizeof(hash));
}

void rollout_etag(const json_t *value, char etag[ROLLOUT_ETAG])
{
	FL_AUTO_BUF struct fl_buf text = { 0 };

	fl_json_write(&text, value);
	rollout_etag_of((struct fl_bytes){ text.p, text.n }, etag);
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

/* The complete strategy; r->joins and r->priority are its. */
static enum fl_code complete(const json_t *strategy, const struct given *given, struct fl_buf *out,
	struct rollout *r, struct fl_err *err)
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
	r->joins = s.joiners == JOINERS_LAST_WAVE;
	r->priority = s.priority;
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
	struct rollout told = { 0 };
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
		code = complete(b.strategy, &given, &w->strategy, &told, err);
	if (code == FL_OK)
		code = release_get(rq->store, b.release, &release, err);
	if (code == FL_NOT_FOUND)
		code = fl_fail(err, FL_REFUSED, "there is no release \"%.128s\"; create it first",
			b.release);
	if (code == FL_OK)
		w->r = (struct rollout){ .name = rq->param[0],
			.release_id = release.id,
			.release = b.release,
			.selector = w->selector.n == 0 ? "" : (const char *)w->selector.p,
			.strategy = (const char *)w->strategy.p,
			.auto_start = strcmp(b.start, "auto") == 0,
			.channel_id = channel.id,
			.joins = told.joins,
			.priority = told.priority,
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
