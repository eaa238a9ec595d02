/* SPDX-License-Identifier: Apache-2.0
 *
 * Strategies and stored plans from arbitrary JSON: reading ends, leaks nothing, and what was taken is
 * written back as the same. */
#include "server/rollout/plan.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void try_strategy(const json_t *json)
{
	struct strategy s = { 0 }, again = { 0 };
	FL_AUTO_JSON json_t *once = NULL, *twice = NULL;

	if (strategy_read(json, 1, &s, NULL) != FL_OK)
		return;
	once = strategy_json(&s);
	if (once == NULL || strategy_read(once, 2, &again, NULL) != FL_OK)
		abort();
	twice = strategy_json(&again);
	if (!json_equal(once, twice))
		abort();
	strategy_fini(&s);
	strategy_fini(&again);
}

static void try_plan(const json_t *json)
{
	struct plan p = { 0 };

	if (plan_read(json, &p, NULL) == FL_OK) {
		FL_AUTO_JSON json_t *view = plan_view(&p), *whole = plan_json(&p);

		if (view == NULL || whole == NULL)
			abort();
	}
	plan_fini(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	FL_AUTO_JSON json_t *json = NULL;

	if (fl_json_parse((struct fl_bytes){ p, n }, &json, NULL) != FL_OK)
		return 0;
	try_strategy(json);
	try_plan(json);
	return 0;
}
