/* SPDX-License-Identifier: Apache-2.0
 *
 * The numbers of a gate as JSON: what was counted, and the vote of each kind. Stored with every
 * decision. */
#ifndef ROLLOUT_GATE_NUMBERS_H
#define ROLLOUT_GATE_NUMBERS_H

#include "lib/json.h"
#include "server/rollout/gate.h"

/* A new reference; NULL without memory. */
json_t *gate_numbers(const struct gate_rules *rules, const struct gate_tally *tally,
	const struct gate_feed *feed);
/* The same for the audit trail, whose canonical JSON has no real numbers: the sentences tell them. A new
 * reference; NULL without memory. */
json_t *gate_numbers_plain(const json_t *numbers);
/* What each kind of the gate demands: an array of {"kind", "text"}. A new reference; NULL without
 * memory. */
json_t *gate_demands(const struct gate_rules *rules);

#endif
