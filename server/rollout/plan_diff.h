/* SPDX-License-Identifier: Apache-2.0
 *
 * What two plans do differently, as a person compares them. Pure. */
#ifndef ROLLOUT_PLAN_DIFF_H
#define ROLLOUT_PLAN_DIFF_H

#include "lib/json.h"

/* Compare two plans as the API shows them (plan_view), and the strategies behind them. Returns a new
 * array of {"what","a","b"} in the order of reading, empty when there is no difference; a side that
 * does not have the thing is null. Classes are the same when devices start from the same versions and
 * come to the same kind of end. NULL without memory. */
json_t *plan_diff(
	const json_t *a, const json_t *b, const json_t *strategy_a, const json_t *strategy_b);

#endif
