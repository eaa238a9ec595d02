/* SPDX-License-Identifier: Apache-2.0
 *
 * New symbols (bytes) aligned with the old ones in whose place they came, by dynamic programming: equal symbols
 * beside each other win, unequal ones lose as much, and each new piece of copy costs. */
#ifndef FL_WASM_ALIGN_GAP_H
#define FL_WASM_ALIGN_GAP_H

#include "lib/buf.h"

#define ALIGN_GAP_SHORT 8192 /* one of the sides must have fewer symbols */

/* How an alignment of the first i new symbols with the first j old ones ends best. */
enum {
	ALIGN_GAP_GOES_ON =
		1, /* a copy of both last symbols goes on with that of the ones before; else it begins */
	ALIGN_GAP_COPY = 2,    /* with that copy; else: */
	ALIGN_GAP_SKIP_OLD = 4 /* without the last old symbol; else without the last new one */
};

/* The decisions: that of i and j, both at least 1, is at i * (old.n + 1) + j. *won gets what the best
 * alignment of all wins. The caller frees them; NULL without memory. */
uint8_t *align_gap(struct fl_bytes old, struct fl_bytes new, int32_t *won) FL_MUST_CHECK;

#endif
