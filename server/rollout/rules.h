/* SPDX-License-Identifier: Apache-2.0
 *
 * From what an operator asked for to what the engine goes by: the same for the runner and for simulations.
 * Pure. */
#ifndef ROLLOUT_RULES_H
#define ROLLOUT_RULES_H

#include "server/rollout/engine.h"
#include "server/rollout/strategy.h"

/* The rules of a strategy for a plan of so many layers and waves; `poll_ms` is how often devices are told to
 * ask. */
struct engine_rules rules_make(const struct strategy *s, int layers, int waves, int64_t poll_ms);

#endif
