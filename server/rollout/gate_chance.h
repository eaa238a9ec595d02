/* SPDX-License-Identifier: Apache-2.0
 *
 * Operating characteristics: how a gate treats a release of which a given share of devices fails. Pure.
 *
 * DESIGN. One pass of dynamic programming over (outcomes, failures among them) follows the gate's own
 * kinds, for all shares of failures at once. It gives how probable it is that the gate passes or fails
 * with the n-th outcome; from that come the figures of stages of every size, and of waves that hand
 * their evidence on. Exact up to GATE_CHANCE_MAX outcomes, or until nothing is undecided; what is left
 * then is estimated with the normal distribution (`exact` is false).
 *
 * Assumed: devices fail independently with the share as probability; causes count; soak, manual and
 * external parts of a gate let everything pass. Silent failures are those that time out: the same
 * outcomes, but known only when everything that may be in flight has been delivered. */
#ifndef ROLLOUT_GATE_CHANCE_H
#define ROLLOUT_GATE_CHANCE_H

#include "server/rollout/gate.h"

#define GATE_CHANCE_MAX   2048
#define GATE_CHANCE_RATES 7

/* The shares of failing devices, in parts per million; the first is 0, the others are those shown. */
extern const int64_t gate_chance_rates[GATE_CHANCE_RATES];

/* What a stage is to expect of a release with one share of failures. */
struct gate_chance {
	double pass, fail; /* probabilities; what is missing to 1 ends inconclusive */
	double sample;     /* expected number of outcomes at the end */
	double harmed; /* expected number of failed devices, when failures are reported at once */
	double harmed_silent; /* when they are silent */
	double pass_silent;
	bool exact;
};

struct gate_curve;

/* Follow a gate for stages of these sizes (devices; n of them, any order). FL_NOMEM. Free with
 * gate_curve_free. Takes a few ten milliseconds at most. */
enum fl_code gate_curve_make(const struct gate_rules *rules, const int64_t *sizes, size_t n,
	struct gate_curve **out, struct fl_err *err) FL_MUST_CHECK;
/* NULL is fine. */
void gate_curve_free(struct gate_curve *c);

/* The chances of the n stages of one layer, wave after wave, with these numbers of devices (each among
 * the sizes that the curve was made for); each given that it is opened. `ahead`: devices that may be in
 * flight, 0: all. out[wave * GATE_CHANCE_RATES + rate]. */
void gate_curve_layer(const struct gate_curve *c, const int64_t *devices, size_t n, int64_t ahead,
	struct gate_chance *out);

#endif
