/* SPDX-License-Identifier: Apache-2.0
 *
 * The live picture of a rollout: layers x waves, and what happens in them. Pure: figures in, lines
 * out. */
#ifndef CLI_GRID_H
#define CLI_GRID_H

#include "cli/terminal.h"
#include "lib/json.h"

/* What is shown. Borrowed; plan may be NULL. */
struct grid {
	const json_t *stats, *plan;
	double eta_s; /* below 0: not known */
	double watched_s;
	const char *note; /* a last line, as "connection lost; trying again"; NULL: none */
};

/* Append the picture, each line at most the terminal's width, at most height - 1 lines. Returns the
 * number of lines. */
size_t grid_render(const struct grid *g, const struct terminal *t, struct fl_buf *b);

#endif
