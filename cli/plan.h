/* SPDX-License-Identifier: Apache-2.0
 *
 * A plan as a person reads it. */
#ifndef CLI_PLAN_H
#define CLI_PLAN_H

#include "cli/cli.h"

/* Print the API's plan: what happens in which order, to how many devices, at what cost, and what is
 * refused. With --json as it is. */
void plan_show(const struct cli *cli, const json_t *plan);

/* Print the plan's notes, a line each: what its reader should notice. */
void plan_show_notes(const struct cli *cli, const json_t *plan);

/* Print the API's comparison of two plans. */
void plan_show_diff(const struct cli *cli, const json_t *diff);

/* Append "lib, app+plugin": the units of a layer of the plan's `layers`. NULL plan: nothing. */
void plan_units(struct fl_buf *b, const json_t *plan, int64_t layer);

/* Print what the plan's gates demand and their chances; nothing if the plan has no stage. */
void plan_show_gates(const struct cli *cli, const json_t *plan);

#endif
