/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/stratum.h"

#include "server/rollout/gate_math.h"

bool stratum_suspicious(const struct stratum_look *l, double *p, double *limit)
{
	int64_t failures = l->all.failures, n = l->all.successes + failures;

	*p = 1;
	*limit = 0;
	if (failures < 2 || l->strata < 2)
		return false;
	*limit = l->alpha /
		((double)l->strata * (double)l->fields * (double)failures * (double)(failures - 1));
	*p = gate_math_drawn_at_least(
		l->own.failures - 1, l->own.successes + l->own.failures - 1, failures - 1, n - 1);
	return *p <= *limit;
}
