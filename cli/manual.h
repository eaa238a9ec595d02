/* SPDX-License-Identifier: Apache-2.0
 *
 * Manual pages (mdoc) from templates: prose by hand, what the tables know from the tables. */
#ifndef CLI_MANUAL_H
#define CLI_MANUAL_H

#include "lib/buf.h"

/* Append `template` to `out` with its directives replaced. A directive is a line of its own:
 *   .\" @commands NOUN   the verbs of a noun, each with its operands and options
 *   .\" @nouns           all nouns with their line of help
 *   .\" @options         the options of every command
 *   .\" @errors          exit codes from the table of errors
 *   .\" @exits           exit codes of `rollout watch`
 *   .\" @examples NOUN   what the commands' --help has as examples
 * FL_INVALID for an unknown directive or noun. */
enum fl_code manual_expand(
	const char *template, struct fl_buf *out, struct fl_err *err) FL_MUST_CHECK;

#endif
