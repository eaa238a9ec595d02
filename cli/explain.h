/* SPDX-License-Identifier: Apache-2.0
 *
 * Explanations of stages, for `rollout explain`. */
#ifndef CLI_EXPLAIN_H
#define CLI_EXPLAIN_H

#include "cli/command.h"

/* fleetctl rollout explain ROLLOUT [STAGE]. */
extern const struct command explain_stage;

#endif
