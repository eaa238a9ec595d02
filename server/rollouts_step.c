/* SPDX-License-Identifier: Apache-2.0
 *
 * Facts about one step, and how a row of a step comes to be. */
#include "server/rollouts_in.h"

#include "server/fleet.h"
#include "server/server.h"

static enum fl_code decide(const struct rollouts_lane *lane, const struct step_view *view,
	const struct engine_fact *fact, struct engine_out *out, struct fl_err *err);

/* ---- making rows */

/* The layer below (above) `layer` in which the class changes something, -1 if there is none. */
static int lower_layer(const struct plan *p, int class, int layer)
{
	while (--layer >= 0)
		if (plan_class_changes(p, (uint32_t) class, (uint32_t)layer))
			return layer;
	return -1;
}

static int upper_layer(const struct plan *p, int class, int layer)
{
	while (++layer < (int)p->n_layers)
		if (plan_class_changes(p, (uint32_t) class, (uint32_t)layer))
			return layer;
	return -1;
}

/* What the row of the layer below says about this one; *ready: it may be made. */
static enum fl_code look_below(const struct rollouts_lane *lane, const struct rollouts_making *m,
	struct engine_step *made, bool *ready, struct fl_err *err)
{
	const struct engine_stage *g = &m->stages->stages[m->stage];
	int below = lower_layer(&m->parsed->plan, m->device.class, g->layer);
	struct engine_step lower;
	enum fl_code code;

	*ready = true;
	if (below < 0)
		return FL_OK;
	code = step_get(lane->store,
		m->stages->stages[g->wave * m->parsed->rules.layers + below].id,
		m->device.device_no, &lower, err);
	*ready = code == FL_OK && engine_ready_for_next(&lower);
	if (*ready && (lower.flags & (ENGINE_SWITCHED | ENGINE_SWITCHED_BEFORE)) != 0)
		made->flags |= ENGINE_SWITCHED_BEFORE;
	return code == FL_NOT_FOUND ? FL_OK : code;
}

enum fl_code rollouts_make(
	const struct rollouts_lane *lane, const struct rollouts_making *m, struct fl_err *err)
{
	const struct engine_stage *g = &m->stages->stages[m->stage];
	const struct plan *p = &m->parsed->plan;
	struct step_view view = { .rollout = *m->rollout, .stage = *g };
	struct engine_fact fact = { .kind = FACT_MADE,
		.fit = m->device.retired ? ENGINE_GONE : ENGINE_FITS };
	const struct rollouts_claim claim = { .rollout = m->rollout,
		.device_no = m->device.device_no,
		.class = m->device.class };
	struct figures_sums sums = { 0 };
	struct engine_out out = { .sums = &sums };
	struct rollouts_rivalry rivalry = { .fit = ENGINE_FITS };
	bool ready;
	enum fl_code code;

	if (!plan_class_changes(p, (uint32_t)m->device.class, (uint32_t)g->layer))
		return FL_OK;
	view.step = (struct engine_step){ .stage_id = g->id,
		.device_no = m->device.device_no,
		.class = m->device.class,
		.flags = upper_layer(p, m->device.class, g->layer) < 0 ? ENGINE_LAST : 0 };
	code = look_below(lane, m, &view.step, &ready, err);
	if (code != FL_OK || !ready)
		return code;
	code = rollouts_rival(lane, &claim, &rivalry, err);
	if (code == FL_OK && rivalry.fit == ENGINE_FITS && m->device.busy)
		code = rollouts_overtake(lane, &claim, err);
	if (fact.fit == ENGINE_FITS)
		fact.fit = rivalry.fit;
	if (code == FL_OK)
		code = decide(lane, &view, &fact, &out, err);
	if (code == FL_OK && out.step_changed)
		figures_add(m->sums, &sums, 1);
	return code;
}

/* Who has done its part goes on to the next layer if that is open. */
static enum fl_code follow(
	const struct rollouts_lane *lane, const struct step_view *view, struct fl_err *err)
{
	struct rollouts_parsed *parsed;
	struct stage_list list = { 0 };
	struct figures_sums sums = { 0 };
	int layer;
	enum fl_code code = rollouts_parsed_get(lane, view->rollout.id, &parsed, err);

	if (code != FL_OK)
		return code;
	layer = upper_layer(&parsed->plan, view->step.class, view->stage.layer);
	if (layer < 0)
		return FL_OK;
	code = stage_list(lane->store, view->rollout.id, &list, err);
	if (code == FL_OK) {
		struct rollouts_making m = {
			.parsed = parsed,
			.rollout = &view->rollout,
			.stages = &list,
			.stage = view->stage.wave * parsed->rules.layers + layer,
			.device = { .device_no = view->step.device_no, .class = view->step.class },
			.sums = &sums,
		};
		const struct engine_stage *g = &list.stages[m.stage];

		if (g->state != STAGE_PENDING && g->state != STAGE_SKIPPED)
			code = rollouts_make(lane, &m, err);
		if (code == FL_OK && sums.rows > 0)
			rollouts_count(lane->effects, g->id, &sums, 0);
	}
	stage_list_fini(&list);
	return code;
}

/* ---- facts */

/* Store the step; a new row that is there already changes nothing. */
static enum fl_code store_step(const struct rollouts_lane *lane, enum engine_fact_kind kind,
	struct engine_out *out, struct fl_err *err)
{
	bool added = true;
	enum fl_code code;

	if (kind != FACT_MADE)
		return step_put(lane->store, &out->step, err);
	code = step_add(lane->store, &out->step, &added, err);
	out->step_changed = added;
	out->attend = out->attend && added;
	return code;
}

/* The order is called back: the device gets one for what it has. */
static enum fl_code withdraw(
	const struct rollouts_lane *lane, const struct step_view *view, struct fl_err *err)
{
	struct rollouts_parsed *parsed;
	ROLLOUTS_AUTO_OUTLOOK struct rollouts_outlook outlook = { 0 };
	enum fl_code code = rollouts_parsed_get(lane, view->rollout.id, &parsed, err);

	if (code == FL_OK)
		code = rollouts_look(lane, view, parsed, &outlook, err);
	if (code == FL_OK)
		code = rollouts_issue(lane, view, &outlook, false, err);
	if (code == FL_OK)
		fleet_attention(lane->effects, view->step.device_no, true);
	return code;
}

/* An order has ended: other steps of the device may have waited for that. */
static enum fl_code attend_others(
	const struct rollouts_lane *lane, int64_t device_no, struct fl_err *err)
{
	struct step_place open;
	size_t n = 0;
	enum fl_code code = step_open(lane->store, device_no, &open, 1, &n, err);

	if (n > 0)
		fleet_attention(lane->effects, device_no, true);
	return code;
}

static bool order_ended(const struct step_view *before, const struct engine_step *after)
{
	return before->step.deadline != 0 && after->deadline == 0;
}

/* What follows from a step that has been stored. */
static enum fl_code follow_up(const struct rollouts_lane *lane, const struct step_view *view,
	const struct engine_out *out, struct fl_err *err)
{
	struct step_view now = *view;
	enum fl_code code = FL_OK;

	now.step = out->step;
	if (out->offer || out->step.deadline != view->step.deadline) {
		int64_t due = out->step.deadline == 0
			? 0
			: engine_wall(&view->rollout, out->step.deadline, lane->store->now_ms);

		if (out->offer)
			engine_tell(&now.stage, &out->told);
		code = stage_put_delivered(lane->store, &now.stage, due, err);
	}
	if (code == FL_OK && out->withdraw)
		code = withdraw(lane, &now, err);
	if (code == FL_OK && out->follow)
		code = follow(lane, &now, err);
	if (out->attend)
		fleet_attention(lane->effects, view->step.device_no, true);
	else if (code == FL_OK && order_ended(view, &out->step))
		code = attend_others(lane, view->step.device_no, err);
	return code;
}

/* Give the engine the fact and store what it decides. */
static enum fl_code decide(const struct rollouts_lane *lane, const struct step_view *view,
	const struct engine_fact *fact, struct engine_out *out, struct fl_err *err)
{
	struct rollouts_parsed *parsed;
	enum fl_code code = rollouts_parsed_get(lane, view->rollout.id, &parsed, err);

	if (code != FL_OK)
		return code;
	engine_step(&(struct engine_view){ .rules = &parsed->rules,
			    .rollout = &view->rollout,
			    .stage = &view->stage,
			    .step = &view->step,
			    .now_ms = lane->store->now_ms },
		fact, out);
	if (out->broken != NULL) {
		rollouts_broken(lane->server, view->rollout.id, out->broken);
		return fl_fail(
			err, FL_INTERNAL, "rollout %s is paused: %s", parsed->name, out->broken);
	}
	if (!out->step_changed)
		return FL_OK;
	code = store_step(lane, fact->kind, out, err);
	if (code == FL_OK && parsed->rules.gate.n_by > 0 &&
		out->step.outcome != view->step.outcome && step_ended(out->step.outcome))
		code = rollouts_strata_outcome(lane, parsed, &out->step, err);
	return code == FL_OK ? follow_up(lane, view, out, err) : code;
}

enum fl_code rollouts_step_fact(const struct rollouts_lane *lane, const struct step_view *view,
	const struct engine_fact *fact, struct engine_out *out, struct fl_err *err)
{
	struct figures_sums sums = { 0 };
	enum fl_code code;

	FL_BUG_IF(fact->kind == FACT_MADE); /* rollouts_make does */
	out->sums = &sums;
	code = decide(lane, view, fact, out, err);
	out->sums = NULL;
	if (code == FL_OK && out->step_changed)
		rollouts_count(lane->effects, view->stage.id, &sums, 0);
	return code;
}
