/* SPDX-License-Identifier: Apache-2.0
 *
 * The reach of a limited token in a registration in bulk. */
#ifndef API_BULK_SCOPE_H
#define API_BULK_SCOPE_H

#include "server/api/bulk_line.h"
#include "server/rsql.h"

/* FL_FORBIDDEN unless the line's device lies in `scope` (NULL: everything does) as it is, if it is
 * there, and as the line would make it. Nothing is written, so that a refused line needs no undoing. */
enum fl_code bulk_scope_check(struct store *store, const struct rsql *scope,
	const struct bulk_line *line, struct fl_err *err) FL_MUST_CHECK;

#endif
