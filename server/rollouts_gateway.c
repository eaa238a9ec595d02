/* SPDX-License-Identifier: Apache-2.0
 *
 * Devices that are lost together with their gateway: their time-outs are one failure for the gate
 * (ENGINE_WITH_GATEWAY, loss.h), however many they are. */
#include "server/rollouts_in.h"

#include "server/fleet.h"
#include "server/rollout/loss.h"
#include "server/server.h"

#define STEPS_MAX 64 /* of a gateway in its wave */

/* How long it has not been heard of; of one that is not known nothing is held against it. */
static int64_t silence(const struct rollouts_lane *lane, int64_t gateway_no)
{
	struct fleet_device known;

	return fleet_get(lane->server->fleet, gateway_no, &known)
		? lane->store->now_ms - (int64_t)known.seen_s * 1000
		: 0;
}

enum fl_code rollouts_gateway_lost(const struct rollouts_lane *lane, const struct step_view *view,
	const struct rollouts_parsed *parsed, bool *lost, struct fl_err *err)
{
	struct step_side all = {
		.rollout_id = view->rollout.id, .wave = view->stage.wave, .layer = -1, .upper = true
	};
	struct engine_step steps[STEPS_MAX];
	struct loss_gateway gateway = { .steps = steps };
	struct device d = { 0 };
	enum fl_code code = device_by_no(lane->store, view->step.device_no, &d, err);

	all.device_no = d.gateway_no;
	device_fini(&d);
	*lost = false;
	if (code != FL_OK || all.device_no == 0)
		return code;
	gateway.silent_ms = silence(lane, all.device_no);
	code = step_beside(lane->store, &all, steps, STEPS_MAX, &gateway.n, err);
	*lost = code == FL_OK && loss_with_gateway(&parsed->rules, &gateway);
	return code;
}
