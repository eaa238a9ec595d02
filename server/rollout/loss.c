/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/loss.h"

bool loss_with_gateway(const struct engine_rules *rules, const struct loss_gateway *g)
{
	bool trouble = g->silent_ms > rules->back_reach_ms;

	for (size_t i = 0; i < g->n; i++)
		trouble = trouble || g->steps[i].deadline != 0 ||
			g->steps[i].outcome == STEP_FAILED || g->steps[i].outcome == STEP_TIMED_OUT;
	return trouble;
}

int64_t loss_of(const struct engine_step *failed, int64_t gateway_no)
{
	return (failed->flags & ENGINE_WITH_GATEWAY) != 0 ? gateway_no : failed->device_no;
}
