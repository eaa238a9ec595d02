/* SPDX-License-Identifier: Apache-2.0
 *
 * Rollouts that start at a time: the timer finds one whose time has come, its devices are compared with what
 * they were when it was planned, and the writer starts it, or takes its time back and says why. One after the
 * other. A restart in between begins anew. */
#include "server/rollouts_in.h"

#include "server/server.h"
#include "server/store/rollout.h"

/* Forget the one that was looked at. */
static void end(struct rollouts_start *s)
{
	rollouts_drift_free(s->drift);
	s->drift = NULL;
	atomic_store(&s->busy, false);
}

void rollouts_schedule_fini(struct rollouts *r)
{
	end(&r->start);
}

/* Why it cannot start now; FL_OK: it can. */
static enum fl_code judge(const struct rollouts_lane *lane, const struct rollouts_start *s,
	const struct engine_rollout *r, struct fl_err *err)
{
	struct rollouts_parsed *parsed;
	enum fl_code code = rollouts_check_blocked(
		lane->server, lane->store, lane->effects, s->rollout_id, err);

	if (code == FL_OK)
		code = rollouts_parsed_get(lane, s->rollout_id, &parsed, err);
	return code == FL_OK && !r->start_anyway
		? rollouts_drift_judge(s->drift, parsed->strategy.max_drift_ppm, err)
		: code;
}

static enum fl_code start(
	struct write_job *job, struct store *store, struct effects *e, struct fl_err *err)
{
	struct rollouts_start *s = fl_container(job, struct rollouts_start, write);
	struct rollouts_lane lane = { s->server, store, e };
	struct engine_fact fact = { .kind = FACT_START };
	struct engine_rollout r;
	struct fl_err why = { 0 };
	enum fl_code code = rollout_engine(store, s->rollout_id, &r, err);

	/* somebody may have had another thought meanwhile */
	if (code != FL_OK || r.state != ROLLOUT_SCHEDULED || r.start_at > store->now_ms ||
		(s->drift == NULL && !r.start_anyway))
		return code;
	if (judge(&lane, s, &r, &why) != FL_OK)
		fact = (struct engine_fact){ .kind = FACT_NOT_STARTED, .text = why.msg };
	return rollouts_give(&lane, s->rollout_id, &fact, err);
}

static void started(
	struct write_job *job, struct server *server, enum fl_code code, const struct fl_err *err)
{
	(void)server;
	(void)code; /* the timer tries again */
	(void)err;
	end(fl_container(job, struct rollouts_start, write));
}

static void go_on(struct rollouts_start *s)
{
	s->write = (struct write_job){ .run = start, .done = started, .internal = true };
	if (lanes_write(s->server, &s->write) != FL_OK)
		end(s);
}

static void look(struct read_job *job, struct server *server, struct store *store)
{
	struct rollouts_start *s = fl_container(job, struct rollouts_start, read);

	if (rollouts_drift_more(server, store, s->drift, NULL) != FL_OK)
		end(s);
	else if (rollouts_drift_seen(s->drift)->whole)
		go_on(s);
	else if (lanes_read(server, &s->read) != FL_OK)
		end(s);
}

/* Its time has come: look at its devices first. */
static void begin(struct server *server, const void *payload)
{
	struct rollouts_start *s = &server->rollouts->start;
	const struct rollouts_due *due = payload;

	if (atomic_exchange(&s->busy, true))
		return;
	s->server = server;
	s->rollout_id = due->rollout_id;
	s->read = (struct read_job){ .run = look, .internal = true };
	if (due->anyway) {
		go_on(s);
		return;
	}
	s->drift = rollouts_drift_new(due->rollout_id);
	if (s->drift == NULL || lanes_read(server, &s->read) != FL_OK)
		end(s);
}

enum fl_code rollouts_schedule_look(const struct rollouts_lane *lane, struct fl_err *err)
{
	struct rollouts_due due = { 0 };
	struct engine_rollout r;
	enum fl_code code = rollout_to_start(lane->store, &due.rollout_id, err);

	if (code == FL_OK && due.rollout_id != 0)
		code = rollout_engine(lane->store, due.rollout_id, &r, err);
	if (code != FL_OK || due.rollout_id == 0)
		return code;
	due.anyway = r.start_anyway;
	effects_after_commit(lane->effects, begin, &due, sizeof(due));
	return FL_OK;
}
