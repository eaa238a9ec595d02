/* SPDX-License-Identifier: Apache-2.0 */
#include "server/planning.h"

#include "server/delta_warm.h"
#include "server/events.h"
#include "server/http/lanes.h"
#include "server/parts.h"
#include "server/rollouts.h"
#include "server/server.h"
#include "server/store/assignment.h"
#include "server/store/device.h"
#include "server/store/job.h"
#include "server/store/plan.h"
#include "server/store/rollout.h"

#include "lib/log.h"

#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SLICE_ROWS     32 /* of one write, each of many devices: a few milliseconds */
#define RETRY_MS       2000
#define SILENT_POLLS   5
#define SILENT_EXTRA_S 60
#define JOB_KIND       "plan"

/* The part: what is under way, so that nothing is left when the server stops. */
struct planning {
	pthread_mutex_t lock;
	struct fl_list tasks;
	struct write_job resume;
	struct server *server;
};

/* What the next write does. */
enum phase {
	PHASE_BEGIN,  /* is it still wanted, and how far was it? Removes what an older plan left */
	PHASE_ASSIGN, /* a slice of assignments */
	PHASE_END,    /* tell the engine */
	PHASE_DONE
};

/* One rollout being planned: load (read lane), think (work lane), keep (write lane). */
struct task {
	struct fl_link link; /* of planning.tasks */
	struct server *server;
	int64_t rollout_id;
	struct read_job read;
	struct work_job work;
	struct write_job write;
	struct strategy strategy;
	struct planning_snapshot *snapshot;
	struct plan plan;
	bool planned; /* plan and content are there; else the rollout fails with `err` */
	struct fl_buf content;
	struct fl_err err;
	enum phase phase;
	uint32_t *order; /* devices to update, by wave and number; owned */
	size_t n_order;
	size_t at; /* those before this place in `order` have been kept */
	/* what the running write comes to; taken over after its COMMIT */
	enum phase next_phase;
	size_t next_at;
};

static void task_free(struct task *t)
{
	struct planning *p = t->server->planning;

	pthread_mutex_lock(&p->lock);
	fl_list_remove(&p->tasks, &t->link);
	pthread_mutex_unlock(&p->lock);
	strategy_fini(&t->strategy);
	planning_free(t->snapshot);
	plan_fini(&t->plan);
	fl_buf_fini(&t->content);
	free(t->order);
	free(t);
}

/* Queue the next part; a server that stops goes on with it at its next start. */
static void queue_write(struct task *t)
{
	if (lanes_write(t->server, &t->write) != FL_OK)
		task_free(t);
}

static void retry_write(struct server *server, void *arg)
{
	(void)server;
	queue_write(arg);
}

static void retry_read(struct server *server, void *arg)
{
	struct task *t = arg;

	if (lanes_read(server, &t->read) != FL_OK)
		task_free(t);
}

static bool passes(enum fl_code code)
{
	return code == FL_UNAVAILABLE || code == FL_BUSY || code == FL_NOMEM || code == FL_FULL;
}

/* ---- load */

uint32_t planning_silent_s(const struct server *server)
{
	return (uint32_t)(SILENT_POLLS * server->settings->poll_interval / 1000 + SILENT_EXTRA_S);
}

uint32_t planning_poll_s(const struct server *server)
{
	return (uint32_t)((server->settings->poll_interval + 999) / 1000);
}

static enum fl_code load(struct task *t, struct store *store, struct fl_err *err)
{
	struct rollout row = { 0 };
	struct planning_request rq = { .strategy = &t->strategy,
		.rollout_id = t->rollout_id,
		.fleet = t->server->fleet,
		.silent_s = planning_silent_s(t->server),
		.poll_s = planning_poll_s(t->server) };
	FL_AUTO_JSON json_t *json = NULL;
	enum fl_code code = rollout_by_id(store, t->rollout_id, &row, err);

	strategy_fini(&t->strategy);
	if (code == FL_OK)
		code = fl_json_parse(
			(struct fl_bytes){ (const uint8_t *)row.strategy, strlen(row.strategy) },
			&json, err);
	if (code == FL_OK)
		code = strategy_read(json, 0, &t->strategy, err);
	rq.channel_id = row.brings ? row.channel_id : 0;
	rq.release = row.release;
	rq.selector = row.selector;
	if (code == FL_OK)
		code = planning_load(store, &rq, &t->snapshot, err);
	rollout_fini(&row);
	return code;
}

static void run_read(struct read_job *job, struct server *server, struct store *store)
{
	struct task *t = fl_container(job, struct task, read);
	enum fl_code code = load(t, store, &t->err);

	if (passes(code)) {
		fl_log_warning("a plan waits until it can be read again",
			FL_N("rollout", t->rollout_id), FL_S("detail", t->err.msg));
		loop_after(server, RETRY_MS, retry_read, t);
	} else if (code != FL_OK) {
		queue_write(t);
	} else if (lanes_work(server, &t->work) != FL_OK) {
		task_free(t);
	}
}

/* ---- think */

/* Devices by wave; inside of one they stay as they are, by number. */
static enum fl_code order_devices(struct task *t, struct fl_err *err)
{
	size_t n = planning_input(t->snapshot)->devices.n, waves = t->plan.n_waves;
	size_t *next = calloc(waves + 2, sizeof(*next));
	uint32_t *order = malloc((n + 1) * sizeof(*order));

	if (next == NULL || order == NULL) {
		free(next);
		free(order);
		return fl_fail(err, FL_NOMEM, "no memory for the plan");
	}
	for (size_t i = 0; i < n; i++) {
		if (t->plan.wave_of[i] != PLAN_NO_WAVE)
			next[t->plan.wave_of[i] + 1]++;
	}
	for (size_t w = 0; w < waves; w++)
		next[w + 1] += next[w];
	t->n_order = next[waves];
	for (size_t i = 0; i < n; i++) {
		if (t->plan.wave_of[i] != PLAN_NO_WAVE)
			order[next[t->plan.wave_of[i]]++] = (uint32_t)i;
	}
	free(next);
	t->order = order;
	return FL_OK;
}

static enum fl_code think(struct task *t, struct fl_err *err)
{
	FL_AUTO_JSON json_t *json = NULL;
	enum fl_code code = plan_make(planning_input(t->snapshot), &t->plan, err);

	if (code == FL_OK)
		code = order_devices(t, err);
	if (code != FL_OK)
		return code;
	json = plan_json(&t->plan);
	if (json == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the plan");
	fl_json_write(&t->content, json);
	fl_buf_byte(&t->content, '\0');
	return fl_buf_check(&t->content, err);
}

static void run_work(struct work_job *job, struct server *server)
{
	struct task *t = fl_container(job, struct task, work);

	(void)server;
	t->planned = think(t, &t->err) == FL_OK;
	queue_write(t);
}

/* ---- keep */

static const char *refusal(const struct task *t)
{
	return !t->planned               ? t->err.msg
		: t->plan.n_refusals > 0 ? t->plan.refusals[0].reason
					 : NULL;
}

/* The job's argument tells which plan its cursor belongs to. */
static void argument_of(const struct task *t, char out[96])
{
	char hex[65];

	(void)sodium_bin2hex(hex, sizeof(hex), t->plan.digest, sizeof(t->plan.digest));
	(void)snprintf(out, 96, "{\"digest\":\"%s\"}", hex);
}

/* Begin anew, or go on where a crash ended it. */
static enum fl_code begin_plan(struct task *t, struct store *store, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf before = { 0 };
	char argument[96];
	int64_t cursor = 0, removed = 0;
	enum fl_code code = job_get(store, JOB_KIND, t->rollout_id, &cursor, &before, err);

	if (code == FL_NOT_FOUND) {
		t->next_phase = PHASE_DONE;
		return FL_OK;
	}
	argument_of(t, argument);
	fl_buf_byte(&before, '\0');
	if (code == FL_OK && refusal(t) == NULL && !before.failed &&
		strcmp((char *)before.p, argument) == 0) {
		t->next_at = (size_t)cursor;
		t->next_phase = PHASE_ASSIGN;
		return FL_OK;
	}
	if (code == FL_OK)
		code = assignment_remove(store, t->rollout_id, SLICE_ROWS, &removed, err);
	if (code != FL_OK || removed == SLICE_ROWS)
		return code;
	if (code == FL_OK && t->planned) {
		struct plan_row row = { .newest_no = planning_newest_no(t->snapshot) };

		memcpy(row.digest, t->plan.digest, sizeof(row.digest));
		code = plan_put(store, t->rollout_id, &row, (const char *)t->content.p, err);
	}
	if (code == FL_OK && refusal(t) == NULL)
		code = job_begin(store, JOB_KIND, t->rollout_id, argument, err);
	t->next_at = 0;
	t->next_phase = refusal(t) == NULL ? PHASE_ASSIGN : PHASE_END;
	return code;
}

/* Write one row: the devices from place *at on that are in one wave. */
static enum fl_code assign_row(struct task *t, struct store *store, size_t *at, struct fl_err *err)
{
	const struct plan_devices *d = &planning_input(t->snapshot)->devices;
	struct assignment row[ASSIGNMENT_CHUNK];
	uint16_t wave = t->plan.wave_of[t->order[*at]];
	size_t n = 0;

	for (; *at < t->n_order && n < ASSIGNMENT_CHUNK; (*at)++, n++) {
		uint32_t i = t->order[*at];

		if (t->plan.wave_of[i] != wave)
			break;
		row[n] = (struct assignment){ d->no[i], wave, t->plan.class_of[i],
			planning_state_id(t->snapshot, d->state[i]) };
	}
	return assignment_add(store, t->rollout_id, row, n, err);
}

static enum fl_code assign(struct task *t, struct store *store, struct fl_err *err)
{
	enum fl_code code = FL_OK;
	size_t at = t->at;

	for (int rows = 0; at < t->n_order && rows < SLICE_ROWS && code == FL_OK; rows++)
		code = assign_row(t, store, &at, err);
	if (code == FL_OK)
		code = job_advance(store, JOB_KIND, t->rollout_id, (int64_t)at, err);
	t->next_at = at;
	t->next_phase = at == t->n_order ? PHASE_END : PHASE_ASSIGN;
	return code;
}

static enum fl_code tell(struct task *t, struct store *store, struct effects *e, const char *name,
	struct fl_err *err)
{
	char hex[65];

	(void)sodium_bin2hex(hex, sizeof(hex), t->plan.digest, sizeof(t->plan.digest));
	return events_write(store, e,
		&(struct events_line){ .kind = EVENT_ROLLOUT_PLANNED,
			.actor = "fleetd",
			.subject = name,
			.data = json_pack("{s:s,s:I,s:I,s:I,s:I}", "digest", hex, "layers",
				(json_int_t)t->plan.n_layers, "waves", (json_int_t)t->plan.n_waves,
				"devices", (json_int_t)t->plan.totals[PLAN_UPDATE], "refusals",
				(json_int_t)t->plan.n_refusals) },
		err);
}

static enum fl_code end_plan(
	struct task *t, struct store *store, struct effects *e, struct fl_err *err)
{
	struct rollout row = { 0 };
	enum fl_code code = rollout_by_id(store, t->rollout_id, &row, err);

	if (code == FL_OK && t->planned)
		code = tell(t, store, e, row.name, err);
	if (code == FL_OK)
		code = rollouts_planned(t->server, store, e, t->rollout_id, refusal(t), err);
	if (code == FL_OK)
		code = job_end(store, JOB_KIND, t->rollout_id, err);
	rollout_fini(&row);
	t->next_phase = PHASE_DONE;
	return code;
}

static enum fl_code run_write(
	struct write_job *job, struct store *store, struct effects *e, struct fl_err *err)
{
	struct task *t = fl_container(job, struct task, write);

	t->next_phase = t->phase;
	t->next_at = t->at;
	switch (t->phase) {
	case PHASE_BEGIN:
		return begin_plan(t, store, err);
	case PHASE_ASSIGN:
		return assign(t, store, err);
	case PHASE_END:
		return end_plan(t, store, e, err);
	case PHASE_DONE:
		break;
	}
	FL_BUG_IF(true);
}

/* Have the deltas built that the rollout and its way back will need. */
static void warm(const struct task *t)
{
	struct fl_err err = { 0 };
	size_t n;

	if (delta_warm_plan(t->server->deltas, NULL, &t->plan, DELTA_BOTH, &n, &err) != FL_OK)
		fl_log_warning("the deltas of a plan are built when devices ask",
			FL_N("rollout", t->rollout_id), FL_S("detail", err.msg));
}

static void done_write(
	struct write_job *job, struct server *server, enum fl_code code, const struct fl_err *err)
{
	struct task *t = fl_container(job, struct task, write);

	if (code == FL_STOPPED) {
		task_free(t);
	} else if (passes(code)) {
		loop_after(server, RETRY_MS, retry_write, t);
	} else if (code != FL_OK) {
		/* The job's row stays: the next start tries again. */
		fl_log_error("a plan cannot be stored; its rollout stays in planning until the "
			     "next start",
			FL_N("rollout", t->rollout_id), FL_S("detail", err->msg));
		task_free(t);
	} else if (t->next_phase == PHASE_DONE) {
		if (refusal(t) == NULL)
			warm(t);
		task_free(t);
	} else {
		t->phase = t->next_phase;
		t->at = t->next_at;
		queue_write(t);
	}
}

/* ---- what plans rest on */

static void count_change(struct server *server, const void *payload)
{
	(void)payload;
	atomic_fetch_add(&server->changes, 1);
}

void planning_changed(struct effects *e)
{
	const uint64_t nothing = 0;

	effects_after_commit(e, count_change, &nothing, sizeof(nothing));
}

enum fl_code planning_set_state(struct store *store, struct effects *e, int64_t device_no,
	int64_t state_id, struct fl_err *err)
{
	int64_t before = 0;
	enum fl_code code = device_set_state(store, device_no, state_id, &before, err);

	if (code == FL_OK && before != state_id)
		planning_changed(e);
	return code;
}

uint64_t planning_changes(const struct server *server)
{
	return atomic_load(&server->changes);
}

/* ---- the part */

void planning_begin(struct server *server, int64_t rollout_id)
{
	struct planning *p = server->planning;
	struct task *t = calloc(1, sizeof(*t));

	if (t == NULL) {
		fl_log_error(
			"no memory to plan a rollout; it stays in planning until the next start",
			FL_N("rollout", rollout_id));
		return;
	}
	t->server = server;
	t->rollout_id = rollout_id;
	t->read = (struct read_job){ .run = run_read, .internal = true };
	t->work = (struct work_job){ .run = run_work, .internal = true };
	t->write = (struct write_job){ .run = run_write, .done = done_write, .internal = true };
	pthread_mutex_lock(&p->lock);
	fl_list_push(&p->tasks, &t->link);
	pthread_mutex_unlock(&p->lock);
	if (lanes_read(server, &t->read) != FL_OK)
		task_free(t);
}

static void begin_again(struct server *server, const void *payload)
{
	planning_begin(server, *(const int64_t *)payload);
}

static enum fl_code on_job(void *context, const char *kind, int64_t subject, struct fl_err *err)
{
	(void)err;
	if (strcmp(kind, JOB_KIND) == 0)
		effects_after_commit(context, begin_again, &subject, sizeof(subject));
	return FL_OK;
}

static enum fl_code resume(
	struct write_job *job, struct store *store, struct effects *e, struct fl_err *err)
{
	(void)job;
	return job_each(store, on_job, e, err);
}

static void resumed(
	struct write_job *job, struct server *server, enum fl_code code, const struct fl_err *err)
{
	(void)job;
	(void)server;
	if (code != FL_OK)
		fl_log_error("plans that were not finished cannot be found; start fleetd again",
			FL_S("detail", err->msg));
}

enum fl_code planning_up(struct server *s, struct fl_err *err)
{
	struct planning *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return fl_fail(err, FL_NOMEM, "there is no memory for the planner");
	fl_list_init(&p->tasks);
	pthread_mutex_init(&p->lock, NULL);
	p->server = s;
	p->resume = (struct write_job){ .run = resume, .done = resumed, .internal = true };
	s->planning = p;
	if (lanes_write(s, &p->resume) == FL_OK)
		return FL_OK;
	planning_down(s);
	return fl_fail(err, FL_STOPPED, "the writer does not run");
}

void planning_down(struct server *s)
{
	struct planning *p = s->planning;

	if (p == NULL)
		return;
	/* What is left waits for a timer that will not come. */
	fl_list_each (&p->tasks, link)
		task_free(fl_container(link, struct task, link));
	pthread_mutex_destroy(&p->lock);
	free(p);
	s->planning = NULL;
}
