/* SPDX-License-Identifier: Apache-2.0
 *
 * `version publish`: from files to a version, so that a pipeline may run it twice. */
#ifndef CLI_PUBLISH_H
#define CLI_PUBLISH_H

#include "cli/cli.h"

/* What `version publish` takes. */
struct publish_options {
	struct options_list requires, needs, variants;
	const char *kind, *tier, *description, *notes, *notes_file, *signature;
	bool floor, no_downgrade, backport, without_bytes;
};

extern const struct options_row publish_rows[];

/* Operands MODULE VERSION [FILE]. */
enum fl_code publish_run(struct cli *cli, const void *options, struct fl_err *err);

#endif
