/* SPDX-License-Identifier: Apache-2.0
 *
 * How much is under way when a device asks: what the limits of a strategy are held against. Nothing is
 * looked up for a strategy without limits. */
#include "server/rollouts_in.h"

/* Whether as many of the device's group as may be hold an order. */
static enum fl_code look_at_group(const struct rollouts_lane *lane, const struct step_view *view,
	const struct pace_rules *pace, bool *crowded, struct fl_err *err)
{
	struct step_group group = { view->rollout.id, view->step.device_no, pace->label };
	int64_t n = 0;
	enum fl_code code = pace->group == PACE_GATEWAY
		? step_count_behind(lane->store, view->step.device_no, &n, err)
		: step_count_label(lane->store, &group, &n, err);

	*crowded = n >= pace->max_unavailable;
	return code;
}

enum fl_code rollouts_load(const struct rollouts_lane *lane, const struct step_view *view,
	const struct rollouts_parsed *parsed, struct engine_fact *fact, struct fl_err *err)
{
	const struct engine_rules *rules = &parsed->rules;
	const struct pace_rules *pace = &rules->pace;
	struct stage_list list = { 0 };
	enum fl_code code = FL_OK;

	if (rules->max_in_flight != 0 || pace_has_rate(pace)) {
		code = stage_list(lane->store, parsed->id, &list, err);
		engine_load(list.stages, list.n, engine_clock(&view->rollout, lane->store->now_ms),
			fact);
		stage_list_fini(&list);
	}
	if (code == FL_OK && pace->group != PACE_NO_GROUP)
		code = look_at_group(lane, view, pace, &fact->crowded, err);
	return code;
}
