/* SPDX-License-Identifier: Apache-2.0
 *
 * Devices that are lost together with their gateway: their time-outs are one failure for the gate
 * (ENGINE_WITH_GATEWAY, step_tally), however many they are. */
#include "server/rollouts_in.h"

#include "server/fleet.h"
#include "server/server.h"

#define STEPS_MAX 64 /* of a gateway in its wave */

/* Whether it has not been heard of for as long as makes a device silent. */
static bool is_silent(
	const struct rollouts_lane *lane, const struct rollouts_parsed *p, int64_t gateway_no)
{
	struct fleet_device known;

	return fleet_get(lane->server->fleet, gateway_no, &known) &&
		(int64_t)known.seen_s * 1000 + p->rules.back_reach_ms < lane->store->now_ms;
}

/* Whether an order of this rollout has gone wrong on the gateway, or is being carried out by it. */
static enum fl_code is_in_trouble(const struct rollouts_lane *lane, const struct step_view *view,
	int64_t gateway_no, bool *trouble, struct fl_err *err)
{
	const struct step_side all = { .rollout_id = view->rollout.id,
		.device_no = gateway_no,
		.wave = view->stage.wave,
		.layer = -1,
		.upper = true };
	struct engine_step steps[STEPS_MAX];
	size_t n = 0;
	enum fl_code code = step_beside(lane->store, &all, steps, STEPS_MAX, &n, err);

	for (size_t i = 0; i < n && code == FL_OK; i++)
		*trouble = *trouble || steps[i].deadline != 0 || steps[i].outcome == STEP_FAILED ||
			steps[i].outcome == STEP_TIMED_OUT;
	return code;
}

enum fl_code rollouts_gateway_lost(const struct rollouts_lane *lane, const struct step_view *view,
	const struct rollouts_parsed *parsed, bool *lost, struct fl_err *err)
{
	struct device d = { 0 };
	enum fl_code code = device_by_no(lane->store, view->step.device_no, &d, err);
	int64_t gateway_no = d.gateway_no;

	device_fini(&d);
	*lost = code == FL_OK && gateway_no != 0 && is_silent(lane, parsed, gateway_no);
	if (code != FL_OK || gateway_no == 0 || *lost)
		return code;
	return is_in_trouble(lane, view, gateway_no, lost, err);
}
