/* SPDX-License-Identifier: Apache-2.0
 *
 * The figures of a rollout as tables, and how states look. */
#ifndef CLI_STATS_H
#define CLI_STATS_H

#include "cli/cli.h"

/* Print the table of waves; with `stages` that of the stages too. */
void stats_show(const struct cli *cli, const json_t *stats, bool stages);

/* How a state of a rollout or a stage looks. NULL and unknown ones are plain. */
enum terminal_style stats_style(const char *state);
/* One column that stands for a stage's state. */
const char *stats_glyph(const char *state, bool utf8);

/* Steps of a stage in one state. */
int64_t stats_steps(const json_t *stage, const char *state);
/* "L0.W1" of a stage; `out` has 32 bytes. Returns `out`. */
const char *stats_stage_name(char *out, const json_t *stage);
/* "L0.W1" or "0,1" -> layer and wave. FL_INVALID. */
enum fl_code stats_stage_parse(
	const char *text, int64_t *layer, int64_t *wave, struct fl_err *err) FL_MUST_CHECK;

#endif
