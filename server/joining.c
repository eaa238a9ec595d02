/* SPDX-License-Identifier: Apache-2.0
 *
 * New devices join rollouts whose strategy allows it, as long as the last wave has not been opened.
 *
 * DESIGN. Every `channel_interval`, if anything has changed since, each such rollout is looked at, one after
 * the other: read (the devices that are newer than its plan and have not joined), work (plan them, find the class of the rollout's plan that each fits),
 * write (their assignments, beside the plan's). Only what the plan's classes say can come of it, so the
 * approved digest covers it. Gateways and the devices behind them do not join: they are sliced as one. */
#include "server/events.h"
#include "server/http/lanes.h"
#include "server/parts.h"
#include "server/planning.h"
#include "server/server.h"
#include "server/store/assignment.h"
#include "server/store/device.h"
#include "server/store/plan.h"
#include "server/store/rollout.h"
#include "server/store/stage.h"

#include "lib/log.h"

#include <stdlib.h>
#include <string.h>

#define JOIN_MAX 1000 /* devices in one round: the others have the next */
#define AGAIN_MS 1000

/* The part, and the round that is under way. */
struct joining {
	struct server *server;
	struct write_job write;
	struct read_job read;
	struct work_job work;
	int64_t rollout_id; /* 0: none yet in this round */
	uint64_t changes,
		looked; /* planning_changes: at the begin of this round, of the last whole one */
	bool again;     /* something was left in this round */
	struct strategy strategy;
	struct plan plan; /* of the rollout */
	struct planning_snapshot *snapshot;
	struct assignment found[JOIN_MAX];
	size_t n, room; /* how many were found; how many may join in this round */
};

static void forget(struct joining *p)
{
	planning_free(p->snapshot);
	p->snapshot = NULL;
	plan_fini(&p->plan);
	strategy_fini(&p->strategy);
	p->n = 0;
}

static void begin_round(struct server *server, void *arg);

static void queue_read(struct joining *p)
{
	if (lanes_read(p->server, &p->read) != FL_OK)
		loop_after(p->server, AGAIN_MS, begin_round, p);
}

static void begin_round(struct server *server, void *arg)
{
	struct joining *p = arg;

	p->changes = planning_changes(server);
	if (p->changes == p->looked) {
		loop_after(server, server->settings->channel_interval, begin_round, p);
		return;
	}
	p->again = false;
	p->rollout_id = 0;
	queue_read(p);
}

/* ---- read */

/* Whether no stage of the last wave has been opened. */
static enum fl_code check_pending(
	struct store *store, int64_t rollout_id, int64_t *wave, bool *pending, struct fl_err *err)
{
	struct stage_list list = { 0 };
	enum fl_code code = stage_list(store, rollout_id, &list, err);

	*wave = 0;
	for (size_t i = 0; i < list.n; i++)
		*wave = list.stages[i].wave > *wave ? list.stages[i].wave : *wave;
	*pending = list.n > 0;
	for (size_t i = 0; i < list.n; i++) {
		if (list.stages[i].wave == *wave && list.stages[i].state != STAGE_PENDING)
			*pending = false;
	}
	stage_list_fini(&list);
	return code;
}

static enum fl_code parse(const char *text, json_t **out, struct fl_err *err)
{
	return fl_json_parse((struct fl_bytes){ (const uint8_t *)text, strlen(text) }, out, err);
}

static enum fl_code load_plan(struct joining *p, struct store *store, const struct rollout *r,
	struct plan_row *row, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf content = { 0 };
	FL_AUTO_JSON json_t *plan = NULL, *strategy = NULL;
	enum fl_code code = plan_get(store, r->engine.id, row, &content, err);

	if (code == FL_OK)
		code = fl_json_parse((struct fl_bytes){ content.p, content.n }, &plan, err);
	if (code == FL_OK)
		code = plan_read(plan, &p->plan, err);
	if (code == FL_OK)
		code = parse(r->strategy, &strategy, err);
	return code == FL_OK ? strategy_read(strategy, 0, &p->strategy, err) : code;
}

/* How many more may join. */
static enum fl_code find_room(struct joining *p, struct store *store, struct fl_err *err)
{
	int64_t most = p->strategy.max_joiners, joined = 0;
	enum fl_code code = assignment_joined(store, p->rollout_id, &joined, err);

	p->room = most == 0 || most - joined > JOIN_MAX ? JOIN_MAX
		: most > joined                         ? (size_t)(most - joined)
							: 0;
	return code;
}

/* Load the devices that are newer than the plan; *any says if there may be some. */
static enum fl_code load(struct joining *p, struct store *store, bool *any, struct fl_err *err)
{
	struct rollout r = { 0 };
	struct plan_row row = { 0 };
	struct planning_request rq = {
		.strategy = &p->strategy, .rollout_id = p->rollout_id, .fleet = p->server->fleet
	};
	int64_t wave, newest = 0;
	bool pending = false;
	enum fl_code code = check_pending(store, p->rollout_id, &wave, &pending, err);

	*any = false;
	if (code != FL_OK || !pending)
		return code;
	code = rollout_by_id(store, p->rollout_id, &r, err);
	if (code == FL_OK)
		code = load_plan(p, store, &r, &row, err);
	if (code == FL_OK)
		code = find_room(p, store, err);
	if (code == FL_OK)
		code = device_last_no(store, &newest, err);
	rq.release = r.release;
	rq.selector = r.selector;
	rq.after_no = row.newest_no;
	if (code == FL_OK && newest > row.newest_no && p->room > 0) {
		code = planning_load(store, &rq, &p->snapshot, err);
		*any = code == FL_OK && planning_input(p->snapshot)->devices.n > 0;
	}
	rollout_fini(&r);
	return code;
}

static void run_read(struct read_job *job, struct server *server, struct store *store)
{
	struct joining *p = fl_container(job, struct joining, read);
	struct fl_err err = { 0 };
	bool any = false;
	enum fl_code code;

	forget(p);
	code = rollout_next_joined(store, p->rollout_id, &p->rollout_id, &err);
	if (code != FL_OK || p->rollout_id == 0) {
		if (code == FL_OK && !p->again)
			p->looked = p->changes;
		loop_after(server, server->settings->channel_interval, begin_round, p);
		return;
	}
	code = load(p, store, &any, &err);
	if (code != FL_OK)
		fl_log_warning("new devices cannot join a rollout for now",
			FL_N("rollout", p->rollout_id), FL_S("detail", err.msg));
	p->again = p->again || code != FL_OK;
	if (code != FL_OK || !any || lanes_work(server, &p->work) != FL_OK)
		queue_read(p);
}

/* ---- work */

static void collect(struct joining *p, const struct plan *theirs)
{
	const struct plan_input *in = planning_input(p->snapshot);
	const struct plan_devices *d = &in->devices;

	for (size_t i = 0; i < d->n && p->n < p->room; i++) {
		uint32_t class = theirs->class_of[i];
		bool alone = d->gateway[i] == PLAN_NO_DEVICE && (d->flags[i] & PLAN_GATEWAY) == 0;

		if (class == UINT32_MAX || !alone || theirs->classes[class].kind != PLAN_UPDATE)
			continue;
		class = plan_class_like(&p->plan, theirs, class);
		if (class != UINT32_MAX)
			p->found[p->n++] = (struct assignment){ .device_no = d->no[i],
				.wave = p->plan.n_waves - 1,
				.class = class,
				.state_id = planning_state_id(p->snapshot, d->state[i]) };
	}
}

static void run_work(struct work_job *job, struct server *server)
{
	struct joining *p = fl_container(job, struct joining, work);
	struct plan theirs = { 0 };
	struct fl_err err = { 0 };

	if (plan_make(planning_input(p->snapshot), &theirs, &err) == FL_OK)
		collect(p, &theirs);
	plan_fini(&theirs);
	if (p->n == 0 || lanes_write(server, &p->write) != FL_OK)
		queue_read(p);
}

/* ---- write */

static enum fl_code join(struct joining *p, struct store *store, int64_t *n, struct fl_err *err)
{
	for (size_t i = 0; i < p->n; i++) {
		struct assignment there;
		enum fl_code code =
			assignment_find(store, p->rollout_id, p->found[i].device_no, &there, err);

		if (code == FL_NOT_FOUND) {
			code = assignment_join(store, p->rollout_id, &p->found[i], err);
			*n += 1;
		}
		if (code != FL_OK)
			return code;
	}
	return FL_OK;
}

static enum fl_code tell(
	struct joining *p, struct store *store, struct effects *e, int64_t n, struct fl_err *err)
{
	struct rollout r = { 0 };
	enum fl_code code = rollout_by_id(store, p->rollout_id, &r, err);

	if (code == FL_OK)
		code = events_write(store, e,
			&(struct events_line){ .kind = EVENT_ROLLOUT_JOINED,
				.actor = "fleetd",
				.subject = r.name,
				.data = json_pack("{s:I,s:I}", "devices", (json_int_t)n, "wave",
					(json_int_t)p->plan.n_waves - 1) },
			err);
	rollout_fini(&r);
	return code;
}

static enum fl_code run_write(
	struct write_job *job, struct store *store, struct effects *e, struct fl_err *err)
{
	struct joining *p = fl_container(job, struct joining, write);
	int64_t wave, n = 0;
	bool pending;
	enum fl_code code = check_pending(store, p->rollout_id, &wave, &pending, err);

	if (code != FL_OK || !pending)
		return code;
	code = join(p, store, &n, err);
	if (code == FL_OK && n > 0)
		code = stage_join(store, p->rollout_id, wave, n, err);
	return code == FL_OK && n > 0 ? tell(p, store, e, n, err) : code;
}

static void done_write(
	struct write_job *job, struct server *server, enum fl_code code, const struct fl_err *err)
{
	struct joining *p = fl_container(job, struct joining, write);

	(void)server;
	if (code == FL_STOPPED)
		return;
	if (code != FL_OK)
		fl_log_warning("new devices join a rollout later", FL_N("rollout", p->rollout_id),
			FL_S("detail", err->msg));
	/* there may be more than one round takes */
	p->again = p->again || code != FL_OK || p->n == JOIN_MAX;
	queue_read(p);
}

/* ---- the part */

enum fl_code joining_up(struct server *s, struct fl_err *err)
{
	struct joining *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return fl_fail(err, FL_NOMEM, "there is no memory for devices that join");
	p->server = s;
	p->read = (struct read_job){ .run = run_read, .internal = true };
	p->work = (struct work_job){ .run = run_work, .internal = true };
	p->write = (struct write_job){ .run = run_write, .done = done_write, .internal = true };
	s->joining = p;
	loop_after(s, s->settings->channel_interval, begin_round, p);
	return FL_OK;
}

void joining_down(struct server *s)
{
	if (s->joining == NULL)
		return;
	forget(s->joining);
	free(s->joining);
	s->joining = NULL;
}
