/* SPDX-License-Identifier: Apache-2.0
 *
 * The picture of a simulation. */
#ifndef CLI_SIMULATE_PLOT_H
#define CLI_SIMULATE_PLOT_H

#include "lib/json.h"

/* Write the API's answer to a simulation as an SVG: per case one panel, per strategy the devices harmed
 * and the time until 95 % are updated as bars, and its completion over time. FL_IO. */
enum fl_code simulate_plot(
	const json_t *answer, const char *path, struct fl_err *err) FL_MUST_CHECK;

#endif
