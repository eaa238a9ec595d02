/* SPDX-License-Identifier: Apache-2.0
 *
 * The mathematics of gates: tails of three distributions and Wald's test. Pure, any thread. */
#ifndef ROLLOUT_GATE_MATH_H
#define ROLLOUT_GATE_MATH_H

#include <stdint.h>

/* Probability that a Beta(a, b) variable exceeds x. a, b > 0; x within 0..1. Relative error below
 * 1e-9 where the result is above 1e-300. */
double gate_math_beta_above(double a, double b, double x);

/* Probability that at least k of the n drawn are marked, when `marked` of `all` are and the draw is
 * blind (one-sided exact test of Fisher). 0 <= k <= n <= all, 0 <= marked <= all. */
double gate_math_drawn_at_least(int64_t k, int64_t n, int64_t marked, int64_t all);

/* Probability that a standard normal variable is at most x. */
double gate_math_normal_below(double x);

/* Wald's sequential probability ratio test of "a share p0 fails" against "a share p1 fails". */
struct gate_math_sprt {
	double success; /* what a success adds to the log-likelihood ratio: below 0 */
	double failure; /* what a failure adds: above 0 */
	double accept;  /* p0 is accepted at or below this */
	double reject;  /* p1 is accepted at or above this */
};
/* 0 < p0 < p1 < 1; alpha, beta within 0..0.5, not 0. */
struct gate_math_sprt gate_math_sprt(double p0, double p1, double alpha, double beta);

#endif
