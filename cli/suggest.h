/* SPDX-License-Identifier: Apache-2.0
 *
 * "Did you mean …?" for names that the server knows. */
#ifndef CLI_SUGGEST_H
#define CLI_SUGGEST_H

#include "cli/cli.h"

/* After a call for `path` was answered with "not found": look whether a thing of the same kind has a
 * name much like it, and put that into the hint. Does nothing when there is none, when the server
 * does not answer, or with --json. */
void suggest_name(struct cli *cli, const char *path);

#endif
