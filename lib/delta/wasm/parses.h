/* SPDX-License-Identifier: Apache-2.0
 *
 * What an encoder finds out about two modules before it says anything: their parts, and which
 * tokens of the new one come from which old ones.
 *
 * DESIGN. Deltas that are made in a row often have a side in common: those of one pair for models of
 * several sizes, those from many old versions to a new one, those back from it. Who makes them lends
 * all encodings one struct wasm_parses, and what is there already is not made again. A file is known
 * by the place of its bytes: they must not change, and before they go away they are forgotten. */
#ifndef FL_WASM_PARSES_H
#define FL_WASM_PARSES_H

#include "lib/delta/wasm/align_code.h"

/* One module. */
struct wasm_parse {
	struct wasm_module module; /* none: no bytes */
	struct wasm_symbols symbols;
};

/* Zeroed: nothing is known yet, and nothing is kept that only the next pair could use. */
struct wasm_parses {
	struct wasm_parse of[2];
	uint32_t *from;        /* of wasm_align_code; NULL: of no pair yet */
	size_t from_old;       /* which of the two was the old one */
	bool keeps;            /* more encodings follow */
	uint64_t made, reused; /* modules parsed; those that were there already */
};

/* A pair, borrowed from the parses until their next change. Encoding writes to `new`, but no other values
 * than are there, and no place in the old bytes, which may be forgotten first. */
struct wasm_parsed_pair {
	const struct wasm_module *old;
	struct wasm_module *new;
	struct wasm_code_alignment alignment;
};

/* Find out what is not known yet of these two files, which are borrowed until they are forgotten.
 * FL_REFUSED: one of them is no module; FL_NOMEM; then nothing is known. One thread at a time. */
enum fl_code wasm_parses_take(struct wasm_parses *p, struct fl_bytes old, struct fl_bytes new,
	struct wasm_parsed_pair *out, struct fl_err *err) FL_MUST_CHECK;
/* Forget what lies in these bytes: they may go away then. */
void wasm_parses_forget(struct wasm_parses *p, struct fl_bytes file);
/* Forget all. Safe twice. */
void wasm_parses_fini(struct wasm_parses *p);

#endif
