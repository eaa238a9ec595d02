/* SPDX-License-Identifier: Apache-2.0
 *
 * One row a kind of gate; included by gate*.c only. */
#ifndef ROLLOUT_GATE_KIND_H
#define ROLLOUT_GATE_KIND_H

#include "server/rollout/gate.h"

struct gate_kind_row {
	/* What a sequential kind decides after an outcome: HOLDS, FAILED or OPEN. NULL: it is none. */
	enum gate_decision (*watch)(const struct gate_rules *rules, const struct gate_tally *tally);
	/* Whether it agrees to pass; `ended`: no more can come. NULL: it never objects. */
	bool (*holds)(const struct gate_rules *rules, const struct gate_tally *tally, bool ended);
	/* Its vote now, and the numbers as a sentence. */
	enum gate_decision (*vote)(const struct gate_rules *rules, const struct gate_tally *tally,
		const struct gate_feed *feed, char *text);
	/* What it demands, as a sentence. */
	void (*describe)(const struct gate_rules *rules, char *text);
	/* Fewest clean outcomes after which it can pass; NULL: it asks for none. */
	int64_t (*needs)(const struct gate_rules *rules);
};

/* The row of a kind. */
const struct gate_kind_row *gate_kind_row(enum gate_kind kind);

/* Let the sequential kinds look at the newest outcome of a tally; what they decide stays in it. */
void gate_kind_watch(const struct gate_rules *rules, struct gate_tally *tally);

/* Where a sequential kind stands: the log-likelihood ratio; the probability that the share of failures
 * is above the limit. */
double gate_kind_ratio(const struct gate_rules *rules, const struct gate_tally *tally);
double gate_kind_risk(const struct gate_rules *rules, const struct gate_tally *tally);

/* A share in parts per million as a percentage, or as a probability. */
static inline double gate_percent(int64_t ppm)
{
	return (double)ppm / 10000;
}
static inline double gate_probability(int64_t ppm)
{
	return (double)ppm / 1000000;
}

#endif
