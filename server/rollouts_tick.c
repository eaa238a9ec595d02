/* SPDX-License-Identifier: Apache-2.0
 *
 * One timer that looks for due deadlines by index. */
#include "server/rollouts_in.h"

#include "server/freezes.h"
#include "server/server.h"
#include "server/store/batch.h"
#include "server/store/rollout.h"

#include "lib/log.h"

#include <stdlib.h>

#define TICK_MS    1000
#define DUE_STAGES 64  /* looked at per tick */
#define DUE_STEPS  500 /* per stage and tick */

/* ---- deadlines */

static enum fl_code steps_due(
	const struct rollouts_lane *lane, struct rollouts_scene *s, int i, struct fl_err *err)
{
	struct engine_fact fact = { .kind = FACT_INSTALL_DUE };
	struct engine_step *steps = calloc(DUE_STEPS, sizeof(*steps));
	struct step_view *view = malloc(sizeof(*view));
	size_t n = 0;
	enum fl_code code = steps == NULL || view == NULL
		? fl_fail(err, FL_NOMEM, "there is no memory for deadlines")
		: step_due(lane->store, s->list.stages[i].id,
			  engine_clock(&s->rollout, lane->store->now_ms), steps, DUE_STEPS, &n,
			  err);

	for (size_t k = 0; k < n && code == FL_OK; k++) {
		struct engine_out out;
		struct rollouts_open open;
		bool lost = false;

		*view = (struct step_view){ s->rollout, s->list.stages[i], steps[k] };
		code = rollouts_windows_of(lane, s->parsed, &steps[k], &open, err);
		fact.install_window = open.hours.install;
		if (code == FL_OK)
			code = rollouts_gateway_lost(lane, view, s->parsed, &lost, err);
		fact.flags = lost ? ENGINE_WITH_GATEWAY : 0;
		if (code == FL_OK)
			code = rollouts_windows_thaw(lane, s->parsed,
				&(struct rollouts_thaw){ .device_no = steps[k].device_no,
					.since_ms = steps[k].term.since_at,
					.window = &fact.install_window },
				err);
		if (code == FL_OK)
			code = rollouts_step_fact(lane, view, &fact, &out, err);
	}
	free(steps);
	free(view);
	return code;
}

/* When the stage is to be looked at next. */
static enum fl_code set_next_due(
	const struct rollouts_lane *lane, const struct rollouts_scene *s, int i, struct fl_err *err)
{
	const struct engine_stage *g = &s->list.stages[i];
	int64_t next = 0, clocks[] = { g->reach_at, g->soak_until, g->verdict_at, 0 };
	enum fl_code code = step_next_due(lane->store, g->id, &clocks[3], err);

	for (size_t k = 0; k < FL_COUNT(clocks); k++)
		if (clocks[k] != 0 && (next == 0 || clocks[k] < next))
			next = clocks[k];
	if (next != 0) {
		next = engine_wall(&s->rollout, next, lane->store->now_ms);
		if (next <= lane->store->now_ms)
			next = lane->store->now_ms + 1;
	}
	return code == FL_OK ? stage_put_due(lane->store, g->id, next, err) : code;
}

/* What the engine must know of windows when a stage is due. */
static enum fl_code look_at_windows(const struct rollouts_lane *lane, struct rollouts_scene *s,
	int i, struct engine_fact *fact, struct fl_err *err)
{
	const struct engine_stage *g = &s->list.stages[i];
	int64_t clock = engine_clock(&s->rollout, lane->store->now_ms);
	bool ends = (g->reach_at != 0 && g->reach_at <= clock) ||
		(g->soak_until != 0 && g->soak_until <= clock);
	enum fl_code code = stage_take_opened(lane->store, g->id, &fact->opened, err);

	if (code != FL_OK || !ends)
		return code;
	code = rollouts_windows_stage(lane, s->parsed, g->id, &fact->window, err);
	return code == FL_OK ? rollouts_windows_thaw(lane, s->parsed,
				       &(struct rollouts_thaw){ .stage_id = g->id,
					       .since_ms = g->opened_at,
					       .window = &fact->window },
				       err)
			     : code;
}

static enum fl_code stage_is_due(
	const struct rollouts_lane *lane, int64_t stage_id, struct fl_err *err)
{
	struct engine_fact fact = { .kind = FACT_STAGE_DUE };
	struct rollouts_scene s = { 0 };
	int64_t rollout_id;
	int layer, wave, i = -1;
	enum fl_code code = stage_place(lane->store, stage_id, &rollout_id, &layer, &wave, err);

	if (code == FL_OK)
		code = rollouts_scene_load(lane, rollout_id, &s, err);
	if (code == FL_OK) {
		i = rollouts_scene_index(&s, stage_id);
		code = steps_due(lane, &s, i, err);
	}
	if (code == FL_OK)
		code = look_at_windows(lane, &s, i, &fact, err);
	if (code == FL_OK)
		code = rollouts_scene_fact(&s, i, &fact, NULL, err);
	if (code == FL_OK)
		code = rollouts_scene_store(&s, err);
	if (code == FL_OK)
		code = set_next_due(lane, &s, i, err);
	rollouts_scene_fini(&s);
	return code;
}

static enum fl_code wake_stages(
	const struct rollouts_lane *lane, int64_t rollout_id, void *arg, struct fl_err *err)
{
	const struct engine_fact fact = { .kind = FACT_STAGE_DUE, .opened = true };
	struct rollouts_scene s;
	enum fl_code code = rollouts_scene_load(lane, rollout_id, &s, err);

	(void)arg;
	for (size_t i = 0; i < s.list.n && code == FL_OK; i++)
		if (engine_in_flight(&s.list.stages[i], 1) > 0)
			code = rollouts_scene_fact(&s, (int)i, &fact, NULL, err);
	if (code == FL_OK)
		code = rollouts_scene_store(&s, err);
	rollouts_scene_fini(&s);
	return code;
}

enum fl_code rollouts_freeze(
	struct server *server, struct store *store, struct effects *effects, struct fl_err *err)
{
	const struct rollouts_lane lane = { server, store, effects };
	size_t n = 0;

	return rollouts_each(&lane, rollout_active, wake_stages, NULL, &n, err);
}

/* Freezes begin and end by themselves. */
enum fl_code rollouts_look_at_freezes(const struct rollouts_lane *lane, struct fl_err *err)
{
	bool turned;
	enum fl_code code = freezes_look(lane->store, lane->effects, &turned, err);

	return code == FL_OK && turned
		? rollouts_freeze(lane->server, lane->store, lane->effects, err)
		: code;
}

static enum fl_code run(
	struct write_job *job, struct store *store, struct effects *e, struct fl_err *err)
{
	struct rollouts *r = fl_container(job, struct rollouts, tick);
	struct rollouts_lane lane = { r->server, store, e };
	int64_t ids[DUE_STAGES];
	size_t n = 0;
	enum fl_code code = rollouts_beat(&lane, err);

	if (code == FL_OK)
		code = stage_due(store, ids, DUE_STAGES, &n, err);
	for (size_t i = 0; i < n && code == FL_OK; i++)
		code = stage_is_due(&lane, ids[i], err);
	if (code == FL_OK)
		code = rollouts_look_at_freezes(&lane, err);
	if (code == FL_OK)
		code = rollouts_slots_measure(&lane, err);
	return code == FL_OK ? rollouts_schedule_look(&lane, err) : code;
}

static void done(
	struct write_job *job, struct server *server, enum fl_code code, const struct fl_err *err)
{
	struct rollouts *r = fl_container(job, struct rollouts, tick);

	(void)server;
	if (code != FL_OK)
		fl_log_warning("deadlines could not be looked at; the next try is in a second",
			FL_S("detail", err->msg));
	atomic_store(&r->ticking, false);
}

void rollouts_tick(struct server *server, void *arg)
{
	struct rollouts *r = arg;

	if (!atomic_exchange(&r->ticking, true)) {
		r->tick.run = run;
		r->tick.done = done;
		r->tick.internal = true;
		if (lanes_write(server, &r->tick) != FL_OK) {
			atomic_store(&r->ticking, false);
			return;
		}
	}
	loop_after(server, TICK_MS, rollouts_tick, r);
}
