/* SPDX-License-Identifier: Apache-2.0 */
#include "server/channels.h"

#include "server/events.h"
#include "server/fleet.h"
#include "server/http/lanes.h"
#include "server/parts.h"
#include "server/planning.h"
#include "server/rollouts.h"
#include "server/server.h"
#include "server/store/job.h"
#include "server/store/rollout.h"

#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_MS 1000 /* after a lane had no room */
#define WHOLE    10   /* so many rounds, then one that looks although nothing has changed */

/* What the round is at. */
enum round_step { ROUND_NEXT, ROUND_TEND, ROUND_BRING };

/* The part, and the round that is under way: one channel at a time. */
struct channels {
	struct server *server;
	struct write_job write;
	struct read_job read;
	struct work_job work;
	enum round_step next;
	int64_t id;  /* of the channel; 0: none yet in this round */
	bool over;   /* set by read: there is no further channel */
	bool go_on;  /* set by tend: it is worth a look */
	bool look;   /* this round looks at devices: something has changed since `looked` */
	bool failed; /* something was left in this round */
	uint64_t changes,
		looked; /* at the begin of this round, and of the last that left nothing */
	uint64_t rounds;
	struct strategy strategy;
	struct planning_snapshot *snapshot;
	struct plan_totals {
		int64_t update, noop, incompatible, held;
	} totals;
};

static void forget_plan(struct channels *p)
{
	planning_free(p->snapshot);
	p->snapshot = NULL;
	strategy_fini(&p->strategy);
}

/* ---- moving a channel */

static enum fl_code note(struct store *store, struct effects *e, const struct channel *c,
	enum event_kind kind, json_t *data, struct fl_err *err)
{
	return events_write(store, e,
		&(struct events_line){
			.kind = kind, .actor = "fleetd", .subject = c->name, .data = data },
		err);
}

enum fl_code channels_forgive(struct store *store, struct channel *c, struct fl_err *err)
{
	c->state = CHANNEL_ON;
	c->reason = "";
	return rollout_newest(store, &c->since_rollout, err);
}

static enum fl_code move(struct store *store, struct effects *e, struct channel *c,
	const struct rollout *r, bool back, struct fl_err *err)
{
	int64_t before = c->release_id;
	struct channel moved = { 0 };
	enum fl_code code;

	c->release_id = back ? c->previous_release_id : r->release_id;
	c->previous_release_id = back ? 0 : before;
	code = channels_forgive(store, c, err);
	if (code == FL_OK)
		code = channel_put(store, c, err);
	if (code == FL_OK)
		code = channel_by_id(store, c->id, &moved, err);
	if (code == FL_OK)
		code = note(store, e, c, EVENT_CHANNEL_MOVED,
			json_pack("{s:s,s:s?,s:b}", "rollout", r->name, "release", moved.release,
				"back", (int)back),
			err);
	channel_fini(&moved);
	return code;
}

enum fl_code channels_rollout(struct store *store, struct effects *effects, int64_t rollout_id,
	enum rollout_state state, struct fl_err *err)
{
	struct rollout r = { 0 };
	struct channel c = { 0 };
	bool back = state == ROLLOUT_ROLLING_BACK;
	enum fl_code code = FL_OK;

	if (state != ROLLOUT_COMPLETED && !back)
		return FL_OK;
	code = rollout_by_id(store, rollout_id, &r, err);
	if (code == FL_OK && r.channel_id != 0 && !r.brings) {
		code = channel_by_id(store, r.channel_id, &c, err);
		if (code == FL_OK && (c.release_id == r.release_id) == back)
			code = move(store, effects, &c, &r, back, err);
	}
	channel_fini(&c);
	rollout_fini(&r);
	return code;
}

/* ---- tending */

struct tending {
	struct channels *part;
	struct store *store;
	struct effects *effects;
	struct channel *channel;
	bool halt;
	char reason[ENGINE_REASON_MAX];
	int64_t rollouts[64]; /* that have not ended, or that a gate has stopped */
	size_t n;
};

static enum fl_code on_rollout(
	void *context, int64_t rollout_id, const char *failed_gate, struct fl_err *err)
{
	struct tending *t = context;

	(void)err;
	if (failed_gate[0] != '\0' && !t->halt) {
		t->halt = true;
		(void)snprintf(t->reason, sizeof(t->reason), "%s", failed_gate);
	}
	/* More than that can wait for the next round. */
	if (t->n < FL_COUNT(t->rollouts))
		t->rollouts[t->n++] = rollout_id;
	return FL_OK;
}

static enum fl_code check_threshold(struct tending *t, struct fl_err *err)
{
	const struct channel *c = t->channel;
	int64_t confirmed, failed;
	enum fl_code code = channel_tally(t->store, c, &confirmed, &failed, err);

	if (code != FL_OK || confirmed + failed < c->error_minimum ||
		failed * STRATEGY_PPM <= (confirmed + failed) * c->error_ppm)
		return code;
	t->halt = true;
	(void)snprintf(t->reason, sizeof(t->reason),
		"%lld of %lld devices failed with release %s: more than %g %%", (long long)failed,
		(long long)(confirmed + failed), c->release, (double)c->error_ppm / 10000);
	return FL_OK;
}

/* A verb in the channel's name; what the state does not allow is left. */
static enum fl_code act(
	struct tending *t, int64_t rollout_id, enum engine_fact_kind kind, struct fl_err *err)
{
	struct fl_err refused = { 0 };
	struct rollouts_verb v = {
		.rollout_id = rollout_id, .actor = "fleetd", .fact = { .kind = kind, .wave = -1 }
	};
	enum fl_code code = rollouts_verb(t->part->server, t->store, t->effects, &v, &refused);

	return code == FL_OK || code == FL_CONFLICT ? FL_OK : fl_fail(err, code, "%s", refused.msg);
}

/* Rollouts that wait for a decision which silent devices left open: what has confirmed is good enough,
 * failures are counted over all of them. */
static enum fl_code pass_gates(struct tending *t, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	for (size_t i = 0; i < t->n && code == FL_OK; i++) {
		struct engine_rollout r;

		code = rollout_engine(t->store, t->rollouts[i], &r, err);
		if (code == FL_OK && r.state == ROLLOUT_PAUSED && r.pause == ENGINE_BY_GATE)
			code = act(t, t->rollouts[i], FACT_PROMOTE, err);
	}
	return code;
}

static enum fl_code halt(struct tending *t, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	for (size_t i = 0; i < t->n && code == FL_OK; i++)
		code = act(t, t->rollouts[i], FACT_STOP, err);
	if (code != FL_OK || t->channel->state == CHANNEL_HALTED)
		return code;
	t->channel->state = CHANNEL_HALTED;
	t->channel->reason = t->reason;
	code = channel_put(t->store, t->channel, err);
	return code != FL_OK ? code
			     : note(t->store, t->effects, t->channel, EVENT_CHANNEL_HALTED,
				       json_pack("{s:s}", "reason", t->reason), err);
}

static enum fl_code tend(
	struct channels *p, struct store *store, struct effects *e, struct fl_err *err)
{
	struct channel c = { 0 };
	struct tending t = { .part = p, .store = store, .effects = e, .channel = &c };
	enum fl_code code = channel_by_id(store, p->id, &c, err);

	p->go_on = false;
	if (code == FL_NOT_FOUND)
		return FL_OK; /* deleted meanwhile */
	if (code == FL_OK)
		code = channel_each_rollout(store, &c, on_rollout, &t, err);
	if (code == FL_OK && !t.halt && c.release_id != 0)
		code = check_threshold(&t, err);
	if (code == FL_OK)
		code = t.halt ? halt(&t, err) : pass_gates(&t, err);
	p->go_on = code == FL_OK && c.state == CHANNEL_ON && c.release_id != 0;
	channel_fini(&c);
	return code;
}

/* ---- bringing */

/* One wave, all that ask, so many at a time; the channel's threshold. */
static enum fl_code make_strategy(const struct channel *c, struct strategy *out, struct fl_err *err)
{
	double percent = (double)c->error_ppm / 10000;
	FL_AUTO_JSON json_t *json =
		json_pack("{s:[{s:i}],s:{s:{s:f,s:i},s:{s:f,s:I}},s:s,s:s,s:I,s:i,s:i}", "waves",
			"percent", 100, "gate", "success", "percent", 100 - percent, "minimum", 0,
			"error", "percent", percent, "minimum", (json_int_t)c->error_minimum,
			"on_failure", "stop", "conflicts", "leave_out", "max_in_flight",
			(json_int_t)c->max_in_flight, "reach_s", 3600, "max_drift_percent", 100);

	return json == NULL ? fl_fail(err, FL_NOMEM, "no memory for a channel")
			    : strategy_read(json, 0, out, err);
}

static json_t *look_json(const struct channels *p)
{
	const struct planning_left_out *out = planning_left_out(p->snapshot);

	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "update", (json_int_t)p->totals.update,
		"noop", (json_int_t)p->totals.noop, "incompatible",
		(json_int_t)p->totals.incompatible, "held", (json_int_t)p->totals.held, "ambiguous",
		(json_int_t)out->ambiguous, "given_up", (json_int_t)out->given_up, "silent",
		(json_int_t)out->silent);
}

static void begin_planning(struct server *server, const void *payload)
{
	planning_begin(server, *(const int64_t *)payload);
}

static enum fl_code make_rollout(struct channels *p, struct store *store, struct effects *e,
	struct channel *c, struct fl_err *err)
{
	FL_AUTO_JSON json_t *strategy = strategy_json(&p->strategy);
	FL_AUTO_BUF struct fl_buf text = { 0 };
	struct rollout r = { .release_id = c->release_id,
		.selector = c->selector,
		.auto_start = true,
		.channel_id = c->id,
		.brings = true,
		.priority = p->strategy.priority,
		.created_by = "fleetd",
		.engine = { .state = ROLLOUT_PLANNING } };
	char name[STORE_NAME_MAX + 24];
	int64_t id;
	enum fl_code code;

	if (strategy != NULL)
		fl_json_write(&text, strategy);
	code = strategy == NULL ? fl_fail(err, FL_NOMEM, "no memory for a channel")
				: fl_buf_check(&text, err);
	c->made++;
	(void)snprintf(name, sizeof(name), "channel-%s-%lld", c->name, (long long)c->made);
	r.name = name;
	r.strategy = (const char *)text.p;
	if (code == FL_OK)
		code = rollout_add(store, &r, &id, err);
	if (code == FL_CONFLICT)
		return FL_OK; /* somebody has taken the name: the next round takes the next one */
	if (code == FL_OK)
		code = job_begin(store, "plan", id, "{}", err);
	if (code == FL_OK)
		code = events_write(store, e,
			&(struct events_line){ .kind = EVENT_ROLLOUT_CREATED,
				.actor = "fleetd",
				.subject = name,
				.data = json_pack("{s:s,s:s,s:s}", "release", c->release,
					"selector", c->selector, "channel", c->name) },
			err);
	if (code == FL_OK)
		effects_after_commit(e, begin_planning, &id, sizeof(id));
	return code;
}

static enum fl_code bring(
	struct channels *p, struct store *store, struct effects *e, struct fl_err *err)
{
	FL_AUTO_JSON json_t *look = look_json(p);
	FL_AUTO_BUF struct fl_buf text = { 0 };
	struct channel c = { 0 };
	enum fl_code code = channel_by_id(store, p->id, &c, err);

	if (code == FL_NOT_FOUND)
		return FL_OK;
	if (look != NULL)
		fl_json_write(&text, look);
	if (code == FL_OK && look == NULL)
		code = fl_fail(err, FL_NOMEM, "no memory for a channel");
	if (code == FL_OK)
		code = fl_buf_check(&text, err);
	if (code == FL_OK) {
		c.look = (const char *)text.p;
		c.looked_at = store->now_ms;
	}
	if (code == FL_OK && p->totals.update > 0 && c.state == CHANNEL_ON && c.release != NULL)
		code = make_rollout(p, store, e, &c, err);
	if (code == FL_OK)
		code = channel_put(store, &c, err);
	channel_fini(&c);
	return code;
}

/* ---- the round */

static void begin_round(struct server *server, void *arg);

static void queue_write(struct channels *p, enum round_step next)
{
	p->next = next;
	if (lanes_write(p->server, &p->write) != FL_OK)
		loop_after(p->server, AGAIN_MS, begin_round, p);
}

static void queue_read(struct channels *p)
{
	if (lanes_read(p->server, &p->read) != FL_OK)
		loop_after(p->server, AGAIN_MS, begin_round, p);
}

static void begin_round(struct server *server, void *arg)
{
	struct channels *p = arg;

	forget_plan(p);
	p->id = 0;
	p->next = ROUND_NEXT;
	p->failed = false;
	p->changes =
		planning_changes(server) + fleet_returned(server->fleet, planning_silent_s(server));
	p->look = p->changes != p->looked || p->rounds++ % WHOLE == 0;
	queue_read(p);
}

static enum fl_code on_next(void *context, const struct channel *c, struct fl_err *err)
{
	struct channels *p = context;

	(void)err;
	p->id = c->id;
	p->over = false;
	return FL_OK;
}

/* Load what the channel's devices would have to change. */
static enum fl_code load(struct channels *p, struct store *store, struct fl_err *err)
{
	struct channel c = { 0 };
	struct planning_request rq = { .strategy = &p->strategy,
		.channel_id = p->id,
		.fleet = p->server->fleet,
		.silent_s = planning_silent_s(p->server) };
	enum fl_code code = channel_by_id(store, p->id, &c, err);

	forget_plan(p);
	if (code == FL_OK && c.release == NULL)
		code = fl_fail(err, FL_NOT_FOUND, "the channel has no release any more");
	if (code == FL_OK)
		code = make_strategy(&c, &p->strategy, err);
	rq.release = c.release;
	rq.selector = c.selector;
	if (code == FL_OK)
		code = planning_load(store, &rq, &p->snapshot, err);
	channel_fini(&c);
	return code;
}

static void end_round(struct channels *p)
{
	if (p->look && !p->failed)
		p->looked = p->changes;
	loop_after(p->server, p->server->settings->channel_interval, begin_round, p);
}

static void run_read(struct read_job *job, struct server *server, struct store *store)
{
	struct channels *p = fl_container(job, struct channels, read);
	struct fl_err err = { 0 };
	enum fl_code code;

	if (p->next == ROUND_NEXT) {
		p->over = true;
		code = channel_each(store, p->id, 1, on_next, p, &err);
		if (code == FL_OK && !p->over)
			queue_write(p, ROUND_TEND);
		else
			end_round(p);
		return;
	}
	code = load(p, store, &err);
	if (code == FL_OK && lanes_work(server, &p->work) == FL_OK)
		return;
	if (code != FL_OK && code != FL_NOT_FOUND)
		fl_log_warning("a channel cannot be looked at", FL_N("channel", p->id),
			FL_S("detail", err.msg));
	p->failed = true;
	p->next = ROUND_NEXT;
	queue_read(p);
}

static void run_work(struct work_job *job, struct server *server)
{
	struct channels *p = fl_container(job, struct channels, work);
	struct plan plan = { 0 };
	struct fl_err err = { 0 };

	(void)server;
	if (plan_make(planning_input(p->snapshot), &plan, &err) == FL_OK) {
		p->totals = (struct plan_totals){ plan.totals[PLAN_UPDATE], plan.totals[PLAN_NOOP],
			plan.totals[PLAN_INCOMPATIBLE], plan.totals[PLAN_HELD] };
		queue_write(p, ROUND_BRING);
	} else {
		fl_log_warning("a channel cannot be planned", FL_N("channel", p->id),
			FL_S("detail", err.msg));
		p->failed = true;
		p->next = ROUND_NEXT;
		queue_read(p);
	}
	plan_fini(&plan);
}

static enum fl_code run_write(
	struct write_job *job, struct store *store, struct effects *e, struct fl_err *err)
{
	struct channels *p = fl_container(job, struct channels, write);

	return p->next == ROUND_TEND ? tend(p, store, e, err) : bring(p, store, e, err);
}

static void done_write(
	struct write_job *job, struct server *server, enum fl_code code, const struct fl_err *err)
{
	struct channels *p = fl_container(job, struct channels, write);

	(void)server;
	if (code == FL_STOPPED)
		return;
	if (code != FL_OK)
		fl_log_warning("a channel is left until the next round", FL_N("channel", p->id),
			FL_S("detail", err->msg));
	p->failed = p->failed || code != FL_OK;
	/* after tending: the look; after the look, or when there is nothing to do: the next one */
	if (code != FL_OK || p->next != ROUND_TEND || !p->go_on || !p->look)
		p->next = ROUND_NEXT;
	queue_read(p);
}

/* ---- the part */

enum fl_code channels_up(struct server *s, struct fl_err *err)
{
	struct channels *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return fl_fail(err, FL_NOMEM, "there is no memory for the channels");
	p->server = s;
	p->read = (struct read_job){ .run = run_read, .internal = true };
	p->work = (struct work_job){ .run = run_work, .internal = true };
	p->write = (struct write_job){ .run = run_write, .done = done_write, .internal = true };
	s->channels = p;
	loop_after(s, s->settings->channel_interval, begin_round, p);
	return FL_OK;
}

void channels_down(struct server *s)
{
	if (s->channels == NULL)
		return;
	forget_plan(s->channels);
	free(s->channels);
	s->channels = NULL;
}
