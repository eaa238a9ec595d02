/* SPDX-License-Identifier: Apache-2.0
 *
 * A simulation's completion over time, for a terminal. Pure: an answer in, lines out. */
#ifndef CLI_SIMULATE_CHART_H
#define CLI_SIMULATE_CHART_H

#include "cli/terminal.h"
#include "lib/json.h"

/* Append, per case, a line for each strategy: the share of devices that are through, from left to right over
 * a logarithmic time that the lines have in common. */
void simulate_chart(const json_t *answer, const struct terminal *t, struct fl_buf *b);

#endif
