/* SPDX-License-Identifier: Apache-2.0
 *
 * Verbs of `fleetctl delta` that work on files and need no server. */
#ifndef CLI_DELTA_TOOL_H
#define CLI_DELTA_TOOL_H

#include "cli/cli.h"

extern const struct command delta_tool_make;    /* cli/delta_make.c */
extern const struct command delta_tool_apply;   /* cli/delta_apply.c */
extern const struct command delta_tool_inspect; /* cli/delta_inspect.c */

#endif
