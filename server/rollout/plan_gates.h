/* SPDX-License-Identifier: Apache-2.0
 *
 * What the gates of a plan would do with a good and with a bad release: beside the plan, for people. It
 * follows from the strategy and the stages, both of which the plan's digest covers. */
#ifndef ROLLOUT_PLAN_GATES_H
#define ROLLOUT_PLAN_GATES_H

#include "server/rollout/plan.h"

#define PLAN_GATES_STAGES 200 /* listed; the sums are of all */

/* The gates of a plan as JSON: what they demand, and per stage and share of failing devices the chance to
 * pass and the devices harmed (gate_chance.h). *out is a new reference. FL_NOMEM. */
enum fl_code plan_gates(const struct plan *p, const struct strategy *s, json_t **out,
	struct fl_err *err) FL_MUST_CHECK;

#endif
