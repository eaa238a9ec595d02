/* SPDX-License-Identifier: Apache-2.0
 *
 * Devices that are lost together with their gateway: their time-outs and its own failure are one for the
 * gate, however many they are. Pure: the runner and the simulator look the rows up, what they mean is decided
 * here. */
#ifndef ROLLOUT_LOSS_H
#define ROLLOUT_LOSS_H

#include "server/rollout/engine.h"

/* The gateway of a device whose time is over. */
struct loss_gateway {
	int64_t silent_ms; /* since it was last heard of */
	const struct engine_step
		*steps; /* its own in the same wave of the rollout, all layers. Borrowed */
	size_t n;
};

/* Whether the device was lost with it: it is silent for as long as makes a device silent, or an order of the
 * same rollout has gone wrong on it, or is being carried out by it. */
bool loss_with_gateway(const struct engine_rules *rules, const struct loss_gateway *g);

/* Of which device's loss a failed step is a part: of its gateway's (`gateway_no`, if it has one) or, of a
 * gateway and of who stands alone, its own. Of the failures of one stage that are part of one loss, the first
 * in the order of delivery counts. */
int64_t loss_of(const struct engine_step *failed, int64_t gateway_no);

#endif
