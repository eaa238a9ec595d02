/* SPDX-License-Identifier: Apache-2.0
 *
 * `rollout watch`: stay with a rollout until something has come. */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include "cli/cli.h"

struct watch_options {
	const char *until;
	int64_t timeout_s;
};

extern const struct options_row watch_rows[];

/* Operand ROLLOUT. Sets cli->exit_code to one of enum cli_exit when it was not reached. */
enum fl_code watch_run(struct cli *cli, const void *options, struct fl_err *err);

#endif
