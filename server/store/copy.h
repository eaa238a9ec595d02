/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows that outlive their query.
 *
 * DESIGN. A row's struct holds borrowed texts and a field `owned`. In callbacks the texts belong to
 * the query and `owned` is NULL; functions that return one row copy all texts into a single block
 * behind `owned`, which the noun's _fini frees. So there is one struct per noun for both uses. */
#ifndef STORE_COPY_H
#define STORE_COPY_H

#include "lib/err.h"

/* Move the texts that the `n` slots point to (NULL texts stay NULL) into one new block, set the
 * slots to the copies and *owned to the block (free() it). Untouched on FL_NOMEM. */
enum fl_code copy_texts(
	void **owned, const char **slots[], size_t n, struct fl_err *err) FL_MUST_CHECK;

#endif
