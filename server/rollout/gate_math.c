/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/gate_math.h"

#include <math.h>

#define TURNS_MAX 20000
#define PRECISION 1e-14
#define TINY      1e-300

/* lgamma(3) writes a global; this one does not. */
static double log_gamma(double x)
{
	int sign;

	return lgamma_r(x, &sign);
}

/* Keep a factor of the continued fraction off zero. */
static double off_zero(double v)
{
	return fabs(v) < TINY ? TINY : v;
}

/* The continued fraction of the incomplete beta function (Lentz' way of summing it up); converges
 * quickly for x < (a + 1) / (a + b + 2). */
static double fraction(double a, double b, double x)
{
	double c = 1, d = 1 / off_zero(1 - (a + b) * x / (a + 1)), h = d;

	for (int m = 1; m < TURNS_MAX; m++) {
		double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
		double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
		double step;

		d = 1 / off_zero(1 + even * d);
		c = off_zero(1 + even / c);
		h *= d * c;
		d = 1 / off_zero(1 + odd * d);
		c = off_zero(1 + odd / c);
		step = d * c;
		h *= step;
		if (fabs(step - 1) < PRECISION)
			break;
	}
	return h;
}

double gate_math_beta_above(double a, double b, double x)
{
	double front;

	if (x <= 0)
		return 1;
	if (x >= 1)
		return 0;
	front = exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log1p(-x));
	if (x < (a + 1) / (a + b + 2))
		return 1 - front * fraction(a, b, x) / a;
	return front * fraction(b, a, 1 - x) / b;
}

/* Logarithm of "n choose k". */
static double log_choose(int64_t n, int64_t k)
{
	return log_gamma((double)n + 1) - log_gamma((double)k + 1) - log_gamma((double)(n - k) + 1);
}

double gate_math_drawn_at_least(int64_t k, int64_t n, int64_t marked, int64_t all)
{
	int64_t most = n < marked ? n : marked, least = n + marked - all;
	double term, sum = 0;

	if (k <= 0 || k <= least)
		return 1;
	if (k > most)
		return 0;
	term = exp(log_choose(marked, k) + log_choose(all - marked, n - k) - log_choose(all, n));
	for (int64_t i = k; i <= most; i++) {
		sum += term;
		if (term < sum * PRECISION)
			break;
		term *= (double)(marked - i) * (double)(n - i) /
			((double)(i + 1) * (double)(all - marked - n + i + 1));
	}
	return sum > 1 ? 1 : sum;
}

double gate_math_normal_below(double x)
{
	return 0.5 * erfc(-x / sqrt(2));
}

struct gate_math_sprt gate_math_sprt(double p0, double p1, double alpha, double beta)
{
	return (struct gate_math_sprt){
		.success = log((1 - p1) / (1 - p0)),
		.failure = log(p1 / p0),
		.accept = log(beta / (1 - alpha)),
		.reject = log((1 - beta) / alpha),
	};
}
