/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/rules.h"

#define BACK_POLLS    3 /* a device that missed so many polls is silent */
#define BACK_EXTRA_MS 5000

static enum engine_order order_of(enum strategy_order o)
{
	return o == ORDER_LAYER_FIRST  ? ENGINE_LAYER_FIRST
		: o == ORDER_PIPELINED ? ENGINE_PIPELINED
				       : ENGINE_WAVE_FIRST;
}

static enum engine_on_failure on_failure_of(enum strategy_on_failure f)
{
	return f == ON_FAILURE_ROLLBACK ? ENGINE_ROLL_IT_BACK
		: f == ON_FAILURE_STOP  ? ENGINE_STOP_IT
					: ENGINE_PAUSE_IT;
}

struct engine_rules rules_make(const struct strategy *s, int layers, int waves, int64_t poll_ms)
{
	int64_t silent = BACK_POLLS * poll_ms + BACK_EXTRA_MS;

	return (struct engine_rules){
		.layers = layers,
		.waves = waves,
		.order = order_of(s->order),
		.on_failure = on_failure_of(s->on_failure),
		.gate = s->gate,
		.reach_ms = s->reach_ms,
		.install_ms = s->install_ms,
		.soak_ms = s->soak_ms,
		.max_in_flight = s->max_in_flight,
		.back_reach_ms = silent < s->reach_ms ? silent : s->reach_ms,
		.pace = s->pace,
		.approval = s->approvals > 0,
	};
}
