/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/simulate_curve.h"

#include <math.h>

struct simulate_results simulate_results(const json_t *answer)
{
	const json_t *rows = json_object_get(answer, "results");
	struct simulate_results r = { rows, json_array_size(rows), 0 };

	while (r.cases < r.n &&
		json_equal(json_object_get(json_array_get(rows, 0), "strategy"),
			json_object_get(json_array_get(rows, r.cases), "strategy")))
		r.cases++;
	return r;
}

/* Point i of a curve in seconds, below 0: there is none. */
static double point(const json_t *curve, size_t i)
{
	const json_t *at = json_array_get(curve, i);

	return json_is_number(at) ? json_number_value(at) : -1;
}

struct simulate_axis simulate_axis(const struct simulate_results *r, size_t in_case)
{
	struct simulate_axis a = { 0, 0 };

	for (size_t i = in_case; i < r->n && r->cases > 0; i += r->cases) {
		const json_t *curve = json_object_get(json_array_get(r->rows, i), "curve");

		for (size_t k = 0; k < json_array_size(curve) && point(curve, k) >= 0; k++) {
			double at = fmax(point(curve, k), 1);

			a.from_s = a.from_s > 0 ? fmin(a.from_s, at) : at;
			a.to_s = fmax(a.to_s, at);
		}
	}
	return a;
}

double simulate_axis_time(const struct simulate_axis *a, double place)
{
	return a->from_s * pow(a->to_s / a->from_s, place);
}

double simulate_axis_place(const struct simulate_axis *a, double seconds)
{
	if (seconds <= a->from_s || a->to_s <= a->from_s)
		return 0;
	return fmin(1, log(seconds / a->from_s) / log(a->to_s / a->from_s));
}

double simulate_share_at(const json_t *result, double seconds)
{
	const json_t *curve = json_object_get(result, "curve");
	size_t n = json_array_size(curve), i = 0;

	while (i < n && point(curve, i) >= 0 && point(curve, i) <= seconds)
		i++;
	return n == 0 ? 0 : (double)i / (double)n;
}
