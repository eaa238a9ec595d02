/* SPDX-License-Identifier: Apache-2.0
 *
 * How much is under way when a device asks: what the limits of a strategy are held against. Nothing is
 * looked up for a strategy without limits. */
#include "server/rollouts_in.h"

/* How many of the device's group hold an order. */
static enum fl_code count_group(const struct rollouts_lane *lane, const struct step_view *view,
	const struct pace_rules *pace, int64_t *n, struct fl_err *err)
{
	struct step_group group = { view->rollout.id, view->step.device_no, pace->label };

	return pace->group == PACE_GATEWAY
		? step_count_behind(lane->store, view->step.device_no, n, err)
		: step_count_label(lane->store, &group, n, err);
}

enum fl_code rollouts_load(const struct rollouts_lane *lane, const struct step_view *view,
	const struct rollouts_parsed *parsed, struct engine_fact *fact, struct fl_err *err)
{
	const struct engine_rules *rules = &parsed->rules;
	const struct pace_rules *pace = &rules->pace;
	struct stage_list list = { 0 };
	struct explain_fleet fleet;
	enum fl_code code = FL_OK;

	if (rules->max_in_flight != 0 || pace_has_rate(pace)) {
		code = stage_list(lane->store, parsed->id, &list, err);
		engine_load(list.stages, list.n, engine_clock(&view->rollout, lane->store->now_ms),
			fact);
		stage_list_fini(&list);
	}
	if (code == FL_OK) {
		code = rollouts_slots(lane, parsed->id, parsed->strategy.priority, &fleet, err);
		fact->no_slot = fleet.full;
	}
	if (code == FL_OK && pace->group != PACE_NO_GROUP)
		code = count_group(lane, view, pace, &fact->in_group, err);
	return code;
}
