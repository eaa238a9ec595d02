/* SPDX-License-Identifier: Apache-2.0
 *
 * Completion over time, as the answer to a simulation has it: what both pictures of it are drawn from. */
#ifndef CLI_SIMULATE_CURVE_H
#define CLI_SIMULATE_CURVE_H

#include "lib/json.h"

/* The results of an answer: every strategy in every case, those of one case `cases` apart. */
struct simulate_results {
	const json_t *rows; /* borrowed */
	size_t n, cases;
};
/* Those of an answer. */
struct simulate_results simulate_results(const json_t *answer);

/* A logarithmic axis of time that shows every strategy of a case. */
struct simulate_axis {
	double from_s, to_s; /* equal: nobody was ever through */
};
/* The axis for one of the cases. */
struct simulate_axis simulate_axis(const struct simulate_results *r, size_t in_case);
/* The time at a place from 0 to 1 of the axis, and the place of a time. */
double simulate_axis_time(const struct simulate_axis *a, double place);
double simulate_axis_place(const struct simulate_axis *a, double seconds);

/* The share of the devices that are through after so many seconds, on average. */
double simulate_share_at(const json_t *result, double seconds);

#endif
