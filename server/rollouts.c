/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollouts.h"

#include "server/events.h"
#include "server/parts.h"
#include "server/rollouts_in.h"
#include "server/server.h"
#include "server/store/rollout.h"

#include "lib/clock.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the part */

static enum fl_code begin(
	struct write_job *job, struct store *store, struct effects *e, struct fl_err *err)
{
	struct rollouts *r = fl_container(job, struct rollouts, begin);
	struct rollouts_lane lane = { r->server, store, e };
	enum fl_code code = rollouts_back_again(&lane, err);

	if (code == FL_OK)
		code = rollouts_look_at_freezes(&lane, err);
	return code == FL_OK ? rollouts_slices_resume(store, e, err) : code;
}

static void begun(
	struct write_job *job, struct server *server, enum fl_code code, const struct fl_err *err)
{
	struct rollouts *r = fl_container(job, struct rollouts, begin);

	if (code != FL_OK) {
		fl_log_error("rollouts cannot go on; fleetd must be started again",
			FL_S("detail", err->msg));
		return;
	}
	r->seen_ms = fl_clock_ms(CLOCK_REALTIME);
	loop_after(server, 0, rollouts_tick, r);
}

/* The first job in the writer's queue, before any request: the sockets come up later. */
enum fl_code rollouts_up(struct server *s, struct fl_err *err)
{
	struct rollouts *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return fl_fail(err, FL_NOMEM, "there is no memory for the rollouts");
	r->server = s;
	fl_list_init(&r->parsed);
	fl_list_init(&r->slices);
	rollouts_wishes_init(&r->wishes);
	r->begin = (struct write_job){ .run = begin, .done = begun, .internal = true };
	s->rollouts = r;
	if (lanes_write(s, &r->begin) == FL_OK)
		return FL_OK;
	rollouts_down(s);
	return fl_fail(err, FL_STOPPED, "the writer does not run");
}

void rollouts_down(struct server *s)
{
	struct rollouts *r = s->rollouts;

	if (r == NULL)
		return;
	rollouts_schedule_fini(r);
	rollouts_parsed_drop(r, 0);
	rollouts_slices_free(r);
	rollouts_wishes_fini(&r->wishes);
	free(r);
	s->rollouts = NULL;
}

/* ---- facts about whole rollouts */

/* Every stage that waits for something hears that its sums are right: verbs do not judge. */
static void recount(const struct rollouts_lane *lane, const struct rollouts_scene *s)
{
	for (size_t i = 0; i < s->list.n; i++) {
		enum stage_state g = s->list.stages[i].state;

		if (i == 0 || g == STAGE_RUNNING || g == STAGE_SOAKING || g == STAGE_ROLLING_BACK)
			rollouts_count(lane->effects, s->list.stages[i].id, NULL, 0);
	}
}

static enum fl_code add_stages(
	const struct rollouts_lane *lane, const struct rollouts_parsed *p, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	for (int i = 0; i < p->rules.waves * p->rules.layers && code == FL_OK; i++) {
		struct engine_stage g = { .wave = i / p->rules.layers,
			.layer = i % p->rules.layers,
			.state = STAGE_PENDING };

		g.expected = plan_stage(&p->plan, (uint32_t)g.layer, (uint32_t)g.wave)->devices;
		code = stage_add(lane->store, p->id, &g, p->plan.waves[g.wave].devices, err);
	}
	return code;
}

/* One fact, on a scene of its own. */
static enum fl_code give(const struct rollouts_lane *lane, int64_t rollout_id,
	const struct engine_fact *fact, struct engine_out *out, struct fl_err *err)
{
	struct rollouts_scene s;
	enum fl_code code = rollouts_scene_load(lane, rollout_id, &s, err);

	if (code == FL_OK)
		code = rollouts_scene_fact(&s, -1, fact, out, err);
	if (code == FL_OK && out->did == ENGINE_CHANGED)
		recount(lane, &s);
	if (code == FL_OK)
		code = rollouts_scene_store(&s, err);
	rollouts_scene_fini(&s);
	if (code == FL_OK && fact->kind == FACT_START && out->did == ENGINE_CHANGED)
		code = rollouts_take_over(lane, rollout_id, err);
	return code;
}

enum fl_code rollouts_give(const struct rollouts_lane *lane, int64_t rollout_id,
	const struct engine_fact *fact, struct fl_err *err)
{
	struct engine_out out;

	return give(lane, rollout_id, fact, &out, err);
}

enum fl_code rollouts_each(const struct rollouts_lane *lane, rollouts_list_fn list,
	rollouts_one_fn fn, void *arg, size_t *n, struct fl_err *err)
{
	FL_AUTOFREE int64_t *ids = calloc(ROLLOUTS_AT_ONCE, sizeof(*ids));
	enum fl_code code = ids == NULL
		? fl_fail(err, FL_NOMEM, "there is no memory for the rollouts under way")
		: list(lane->store, ids, ROLLOUTS_AT_ONCE, n, err);

	for (size_t i = 0; code == FL_OK && i < *n; i++)
		code = fn(lane, ids[i], arg, err);
	return code;
}

enum fl_code rollouts_planned(struct server *server, struct store *store, struct effects *effects,
	int64_t rollout_id, const char *refusal, struct fl_err *err)
{
	struct rollouts_lane lane = { server, store, effects };
	struct engine_fact fact = { .kind = refusal == NULL ? FACT_PLANNED : FACT_REFUSED,
		.text = refusal };
	struct rollouts_parsed *parsed = NULL;
	struct engine_out out;
	struct rollout row = { 0 };
	enum fl_code code;

	rollouts_parsed_drop(server->rollouts, rollout_id);
	code = rollout_by_id(store, rollout_id, &row, err);
	if (code == FL_OK && row.engine.state != ROLLOUT_PLANNING) {
		rollout_fini(&row);
		return FL_OK; /* it was stopped meanwhile */
	}
	if (code == FL_OK && refusal == NULL)
		code = rollouts_parsed_get(&lane, rollout_id, &parsed, err);
	if (code == FL_OK && refusal == NULL)
		code = add_stages(&lane, parsed, err);
	if (code == FL_OK)
		code = give(&lane, rollout_id, &fact, &out, err);
	if (code == FL_OK && refusal == NULL && row.auto_start && !parsed->rules.approval) {
		fact = (struct engine_fact){ .kind = FACT_START };
		code = give(&lane, rollout_id, &fact, &out, err);
	}
	rollout_fini(&row);
	return code;
}

/* A fact that the state may refuse. */
static enum fl_code ask(const struct rollouts_lane *lane, int64_t rollout_id,
	const struct engine_fact *fact, char *said, struct fl_err *err)
{
	struct engine_out out;
	enum fl_code code = give(lane, rollout_id, fact, &out, err);

	if (code != FL_OK)
		return code;
	snprintf(said, ENGINE_REASON_MAX, "%s", out.said);
	return out.did == ENGINE_REFUSED ? fl_fail(err, FL_CONFLICT, "%s", out.said) : FL_OK;
}

enum fl_code rollouts_approved(struct server *server, struct store *store, struct effects *effects,
	int64_t rollout_id, bool start, char *said, struct fl_err *err)
{
	struct rollouts_lane lane = { server, store, effects };
	struct engine_fact fact = { .kind = FACT_APPROVED };
	enum fl_code code = ask(&lane, rollout_id, &fact, said, err);

	fact.kind = FACT_START;
	return code == FL_OK && start ? ask(&lane, rollout_id, &fact, said, err) : code;
}

enum fl_code rollouts_denied(struct server *server, struct store *store, struct effects *effects,
	int64_t rollout_id, const char *why, char *said, struct fl_err *err)
{
	struct rollouts_lane lane = { server, store, effects };
	struct engine_fact fact = { .kind = FACT_DENIED, .text = why };

	return ask(&lane, rollout_id, &fact, said, err);
}

/* ---- verbs */

static const char *verb_name(enum engine_fact_kind kind)
{
	static const char *const names[FACT_MAX] = {
		[FACT_START] = "start",
		[FACT_PAUSE] = "pause",
		[FACT_RESUME] = "resume",
		[FACT_PROMOTE] = "promote",
		[FACT_STOP] = "stop",
		[FACT_ROLLBACK] = "rollback",
		[FACT_RETRY] = "retry",
		[FACT_VERDICT] = "verdict",
	};

	FL_BUG_IF(names[kind] == NULL);
	return names[kind];
}

static enum fl_code write_verb(
	const struct rollouts_lane *lane, const struct rollouts_verb *verb, struct fl_err *err)
{
	struct rollout row = { 0 };
	enum fl_code code = rollout_by_id(lane->store, verb->rollout_id, &row, err);

	if (code == FL_OK)
		code = events_write(lane->store, lane->effects,
			&(struct events_line){ .kind = EVENT_ROLLOUT_VERB,
				.actor = verb->actor,
				.subject = row.name,
				.data = json_pack("{s:s,s:s}", "verb", verb_name(verb->fact.kind),
					"did", verb->said) },
			err);
	rollout_fini(&row);
	return code;
}

/* When the last order under way must have ended. */
static enum fl_code last_deadline(const struct rollouts_lane *lane, const struct stage_list *list,
	const struct engine_rollout *r, struct rollouts_verb *verb, struct fl_err *err)
{
	int64_t last = 0;
	enum fl_code code = FL_OK;

	for (size_t i = 0; i < list->n && code == FL_OK; i++) {
		int64_t clock = 0;

		code = step_last_due(lane->store, list->stages[i].id, &clock, err);
		last = clock > last ? clock : last;
	}
	if (code == FL_OK && last != 0 && r->paused_at == 0)
		verb->until_ms = engine_wall(r, last, lane->store->now_ms);
	return code;
}

/* What the operator may still see switch after this. */
static enum fl_code count_switching(
	const struct rollouts_lane *lane, struct rollouts_verb *verb, struct fl_err *err)
{
	struct stage_list list = { 0 };
	struct engine_rollout r;
	enum fl_code code = stage_list(lane->store, verb->rollout_id, &list, err);

	if (code == FL_OK)
		code = rollout_engine(lane->store, verb->rollout_id, &r, err);
	if (code == FL_OK) {
		verb->may_switch = engine_may_switch(&r, list.stages, list.n);
		/* who is still to be told to go back has no deadline yet */
		if (verb->may_switch == engine_in_flight(list.stages, list.n))
			code = last_deadline(lane, &list, &r, verb, err);
	}
	stage_list_fini(&list);
	return code;
}

enum fl_code rollouts_verb(struct server *server, struct store *store, struct effects *effects,
	struct rollouts_verb *verb, struct fl_err *err)
{
	struct rollouts_lane lane = { server, store, effects };
	struct engine_out out;
	enum fl_code code = give(&lane, verb->rollout_id, &verb->fact, &out, err);

	if (code != FL_OK)
		return code;
	snprintf(verb->said, sizeof(verb->said), "%s", out.said);
	if (out.did == ENGINE_REFUSED)
		return fl_fail(err, FL_CONFLICT, "%s", out.said);
	verb->changed = out.did == ENGINE_CHANGED;
	code = count_switching(&lane, verb, err);
	if (code == FL_OK && verb->changed)
		code = write_verb(&lane, verb, err);
	return code;
}
