/* SPDX-License-Identifier: Apache-2.0
 *
 * The rows of a simulated rollout, and what the runner would do with them. */
#include "server/rollout/simulate_in.h"

#include <stdlib.h>
#include <string.h>

int64_t simulate_wall(const struct simulate_world *w)
{
	return (w->in->start_at != 0 ? w->in->start_at : SIMULATE_EPOCH) + w->t_ms + w->jumped;
}

struct engine_step *simulate_step(struct simulate_world *w, int layer, uint32_t device)
{
	return &w->steps[(size_t)device * (size_t)w->in->rules->layers + (size_t)layer];
}

int simulate_stage_of(const struct simulate_world *w, int layer, uint32_t device)
{
	return (int)w->device[device].wave * w->in->rules->layers + layer;
}

const struct simulate_layer *simulate_layer_of(
	const struct simulate_world *w, int layer, uint32_t device)
{
	return &w->in->layers[(size_t)w->device[device].class * (size_t)w->in->rules->layers +
		(size_t)layer];
}

/* The next layer from `layer` on, upwards or downwards, that brings the device something; -1: none. */
static int next_layer(const struct simulate_world *w, uint32_t device, int layer, int step)
{
	for (layer += step; layer >= 0 && layer < w->in->rules->layers; layer += step)
		if (!simulate_layer_of(w, layer, device)->absent)
			return layer;
	return -1;
}

bool simulate_goes_on(const struct simulate_world *w)
{
	enum rollout_state r = w->rollout.state;

	return w->out->broken == NULL && !w->nomem &&
		(r == ROLLOUT_STARTING || r == ROLLOUT_RUNNING || r == ROLLOUT_STOPPING ||
			r == ROLLOUT_ROLLING_BACK);
}

/* ---- facts about steps */

static void remember_order(struct simulate_world *w, int stage, int64_t place, uint32_t device)
{
	struct simulate_order *o = &w->order[stage];

	if (place >= o->cap) {
		int64_t cap = o->cap == 0 ? 1024 : o->cap * 2;
		uint32_t *wider = realloc(o->device, (size_t)cap * sizeof(*wider));

		if (wider == NULL) {
			w->nomem = true;
			return;
		}
		o->device = wider;
		o->cap = cap;
	}
	o->device[place] = device;
	o->n = place;
}

static bool flying(const struct engine_step *s)
{
	return s->state >= STEP_OFFERED && s->state <= STEP_INSTALLED && s->state != STEP_REJECTED;
}

void simulate_act_at(struct simulate_world *w, uint32_t device, int64_t second)
{
	FL_BUG_IF(w->device[device].acts);
	w->device[device].acts = true;
	simulate_wheel_set(&w->acts, device, second);
}

void simulate_due_at(struct simulate_world *w, uint32_t device, int64_t second)
{
	FL_BUG_IF(w->device[device].due);
	w->device[device].due = true;
	simulate_wheel_set(&w->deadlines, device, second);
}

static void make(struct simulate_world *w, int stage, uint32_t device);

static void note_waiting(struct simulate_device *d, int layer, const struct engine_step *s)
{
	uint32_t bit = 1u << layer;
	bool waits = s->state == STEP_QUEUED || s->state == STEP_UNREACHED;

	d->waiting = waits ? d->waiting | bit : d->waiting & ~bit;
	d->back = waits && s->back ? d->back | bit : d->back & ~bit;
}

/* Take over what the engine decided about a step. */
static void take_step(struct simulate_world *w, int stage, uint32_t device)
{
	const struct engine_out *o = &w->result;
	int layer = w->stages[stage].layer;
	struct engine_step *s = simulate_step(w, layer, device);
	bool ended = step_ended(o->step.state) && !step_ended(s->state);

	int flies = flying(&o->step) - (s->stage_id != 0 && flying(s));

	w->in_flight += flies;
	simulate_group_add(w, device, flies);
	*s = o->step;
	note_waiting(&w->device[device], layer, s);
	w->dirty[stage] = w->any_dirty = true;
	if (o->offer)
		remember_order(w, stage, s->delivered, device);
	if (o->follow && next_layer(w, device, layer, 1) >= 0)
		make(w, simulate_stage_of(w, next_layer(w, device, layer, 1), device), device);
	if (w->in->each && ended)
		simulate_count(w);
}

bool simulate_give_step(
	struct simulate_world *w, int stage, uint32_t device, const struct engine_fact *fact)
{
	struct engine_view view = { .rules = w->in->rules,
		.rollout = &w->rollout,
		.stage = &w->stages[stage],
		.step = simulate_step(w, w->stages[stage].layer, device),
		.now_ms = simulate_wall(w) };
	struct engine_step made;

	if (fact->kind == FACT_MADE) {
		made = (struct engine_step){
			.stage_id = w->stages[stage].id, .device_no = device, .flags = fact->flags
		};
		view.step = &made;
	}
	w->result.sums = &w->sums[stage];
	engine_step(&view, fact, &w->result);
	w->out->facts++;
	if (w->result.broken != NULL) {
		w->out->broken = w->result.broken;
		return false;
	}
	w->offer = w->result.offer;
	w->keep = w->result.keep || w->result.attend;
	if (w->offer)
		engine_tell(&w->stages[stage], &w->result.told);
	if (!w->result.step_changed)
		return false;
	take_step(w, stage, device);
	return true;
}

/* The row of a device in a stage, if it is open and time for it. */
static void make(struct simulate_world *w, int stage, uint32_t device)
{
	const struct engine_stage *g = &w->stages[stage];
	int below = next_layer(w, device, g->layer, -1);
	const struct engine_step *lower = below < 0 ? NULL : simulate_step(w, below, device);
	struct engine_fact fact = { .kind = FACT_MADE };

	if (simulate_step(w, g->layer, device)->stage_id != 0 || g->state == STAGE_PENDING ||
		g->state == STAGE_SKIPPED || simulate_layer_of(w, g->layer, device)->absent)
		return;
	if (lower != NULL && (lower->stage_id == 0 || !engine_ready_for_next(lower)))
		return;
	fact.flags = next_layer(w, device, g->layer, 1) < 0 ? ENGINE_LAST : 0;
	if (lower != NULL && (lower->flags & (ENGINE_SWITCHED | ENGINE_SWITCHED_BEFORE)) != 0)
		fact.flags |= ENGINE_SWITCHED_BEFORE;
	if (simulate_give_step(w, stage, device, &fact) && !w->device[device].acts &&
		!simulate_is_dead(w, device))
		simulate_act_at(w, device, simulate_first_poll(w, device) / 1000);
}

/* ---- jobs */

/* Whoever has something waiting in the stage asks in its time. */
static void attend(struct simulate_world *w, uint32_t device, int layer)
{
	struct simulate_device *d = &w->device[device];

	if ((d->waiting & 1u << layer) != 0 && !d->acts && !simulate_is_dead(w, device)) {
		d->act = SIMULATE_POLL;
		simulate_act_at(w, device, simulate_first_poll(w, device) / 1000);
	}
}

static void work_on(struct simulate_world *w, int stage, enum engine_job job, uint32_t device)
{
	const struct engine_step *s = simulate_step(w, w->stages[stage].layer, device);
	struct engine_fact fact = { .kind = job == ENGINE_REACH ? FACT_REACH_DUE
			: job == ENGINE_CANCEL                  ? FACT_CANCEL
			: job == ENGINE_BACK                    ? FACT_BACK
								: FACT_AGAIN,
		.causes = w->stages[stage].retry_causes };

	if (job == ENGINE_OPEN)
		make(w, stage, device);
	else if (s->stage_id != 0 && job == ENGINE_ATTEND)
		attend(w, device, w->stages[stage].layer);
	else if (s->stage_id != 0)
		(void)simulate_give_step(w, stage, device, &fact);
}

static void do_job(struct simulate_world *w, int stage, enum engine_job job)
{
	int wave = w->stages[stage].wave;

	for (uint32_t i = w->first[wave]; i < w->first[wave + 1] && w->out->broken == NULL; i++) {
		if ((w->stages[stage].jobs & job) == 0)
			return;
		work_on(w, stage, job, w->members[i]);
	}
	simulate_count(w);
	if ((w->stages[stage].jobs & job) != 0)
		simulate_give(w, stage, &(struct engine_fact){ .kind = FACT_JOB_DONE, .job = job });
}

static void note_gate(struct simulate_world *w, const struct engine_stage *decided)
{
	w->out->decided_ms = w->t_ms;
	if (decided->decision == GATE_FAILED && w->out->stopped_ms < 0)
		w->out->stopped_ms = w->t_ms;
}

void simulate_give(struct simulate_world *w, int stage, const struct engine_fact *fact)
{
	struct engine_view view = { .rules = w->in->rules,
		.rollout = &w->rollout,
		.stages = w->stages,
		.stage = stage < 0 ? NULL : &w->stages[stage],
		.now_ms = simulate_wall(w) };
	struct engine_out *o = &w->result;

	o->stages = w->changes;
	o->changed = w->changed;
	o->start = w->start;
	engine_step(&view, fact, o);
	w->out->facts++;
	if (o->broken != NULL) {
		w->out->broken = o->broken;
		return;
	}
	w->due_changed = true;
	if (o->rollout_changed)
		w->rollout = o->rollout;
	for (int i = 0; i < w->n_stages; i++)
		if (w->changed[i])
			w->stages[i] = w->changes[i];
	for (size_t i = 0; i < o->events_n; i++)
		if (o->events[i].kind == ENGINE_EVENT_GATE)
			note_gate(w, &w->stages[o->events[i].stage]);
	for (int i = 0; i < w->n_stages && w->out->broken == NULL; i++)
		for (int b = 0; b < ENGINE_JOBS; b++)
			if ((w->stages[i].jobs & 1u << b) != 0)
				do_job(w, i, (enum engine_job)(1u << b));
}

/* ---- sums and gates */

/* Give the gate of a stage the next outcome; false if it is still open. */
static bool take_outcome(
	struct simulate_world *w, struct engine_stage *g, const struct engine_step *s)
{
	if ((s->state == STEP_FAILED || s->state == STEP_TIMED_OUT) &&
		simulate_lost_before(w, g->layer, s)) {
		gate_pass_over(&g->tally, s->delivered);
		return true;
	}
	return gate_take(&w->in->rules->gate, &g->tally, s->delivered, s->state, s->cause);
}

static void take_outcomes(struct simulate_world *w, int stage)
{
	struct engine_stage *g = &w->stages[stage];
	const struct simulate_order *o = &w->order[stage];

	if ((g->state != STAGE_RUNNING && g->state != STAGE_SOAKING) ||
		(g->jobs & ENGINE_RETRY) != 0)
		return;
	for (int64_t place = g->tally.cursor + 1; place <= o->n; place++) {
		const struct engine_step *s = simulate_step(w, g->layer, o->device[place]);

		if (place + SIMULATE_AHEAD <= o->n)
			__builtin_prefetch(
				simulate_step(w, g->layer, o->device[place + SIMULATE_AHEAD]));
		/* an order that was given again has another place */
		if (s->delivered == place && !take_outcome(w, g, s))
			return;
	}
}

/* Stages above that wait for nobody any more are counted next. */
static void wake_upper(struct simulate_world *w, int i)
{
	int layers = w->in->rules->layers;
	const struct engine_stage *wave = &w->stages[i / layers * layers];

	for (int k = i % layers + 1; k < layers; k++)
		if (engine_starves(&wave[k], wave))
			w->dirty[i - i % layers + k] = true;
}

void simulate_count(struct simulate_world *w)
{
	if (!w->any_dirty)
		return;
	w->any_dirty = false;
	for (int i = 0; i < w->n_stages && w->out->broken == NULL; i++) {
		if (!w->dirty[i])
			continue;
		w->dirty[i] = false;
		w->out->broken = engine_count(&w->stages[i], &w->sums[i]);
		w->sums[i] = (struct figures_sums){ 0 };
		if (w->out->broken != NULL)
			return;
		take_outcomes(w, i);
		simulate_give(w, i, &(struct engine_fact){ .kind = FACT_COUNTED });
		wake_upper(w, i);
	}
}
