/* SPDX-License-Identifier: Apache-2.0
 *
 * Find what of a new sequence of symbols (bytes) can be copied from an old one, small differences
 * allowed.
 *
 * After bsdiff (C. Percival, "Naive differences of executable code", 2003): a match is extended
 * forwards and backwards while at least half of it agrees. Candidates come from an index of short
 * runs of the old sequence instead of a suffix array, which is quicker to build. What stays between
 * two copies is aligned by dynamic programming against the old text that it replaces. */
#ifndef FL_WASM_ALIGN_H
#define FL_WASM_ALIGN_H

#include "lib/buf.h"

/* Copy `length` symbols from `old`, then take `extra` new ones. */
struct wasm_copy {
	uint32_t old, length, extra;
};

struct wasm_copies {
	struct fl_heap *heap;   /* of the list, borrowed; NULL: malloc's */
	struct wasm_copy *list; /* owned */
	size_t n;
};

struct wasm_align_options {
	unsigned far_gain;  /* a jump must agree in this many symbols more than going on would */
	unsigned near_gain; /* likewise a jump of less than `near` symbols */
	unsigned near;
	bool fill_gaps;
};

/* Both sequences must be shorter than 2^31. The copies' lengths and extras sum up to new.n.
 * FL_NOMEM. On failure *out is untouched. */
enum fl_code wasm_align(struct fl_bytes old, struct fl_bytes new,
	const struct wasm_align_options *o, struct wasm_copies *out,
	struct fl_err *err) FL_MUST_CHECK;
void wasm_copies_fini(struct wasm_copies *c);

#endif
