/* SPDX-License-Identifier: Apache-2.0
 *
 * Failures that are concentrated in one stratum: hardware revision, region, gateway. Pure.
 *
 * DESIGN. Looked at when a failure comes. The question is whether, of all outcomes before it, the failures
 * lie in its stratum by more than chance: Fisher's exact test, one-sided. The failure that leads to the
 * look is left out: with it the outcomes would not be exchangeable, without it they are, whatever the
 * share of failures is. The k-th failure is looked at with alpha / (k (k - 1)), which adds up to alpha over
 * all looks, and that is divided by the number of strata and of the fields by which they are told apart.
 * So a release whose failures have nothing to do with strata has one held with a probability of at most
 * alpha, however often is looked. */
#ifndef ROLLOUT_STRATUM_H
#define ROLLOUT_STRATUM_H

#include "server/rollout/model.h"

/* Outcomes of one stratum, of the rollout. */
struct stratum_count {
	int64_t successes, failures;
};

struct stratum_look {
	struct stratum_count own; /* of the stratum, the new failure among them */
	struct stratum_count all; /* of all strata of its field */
	int64_t strata;           /* of its field */
	int64_t fields;           /* that are watched */
	double alpha;
};

/* Whether the failures are concentrated in the stratum. *p gets the probability that chance does as much,
 * *limit what it was compared with. */
bool stratum_suspicious(const struct stratum_look *look, double *p, double *limit);

#endif
