/* SPDX-License-Identifier: Apache-2.0
 *
 * Which tokens of a new module's code come from which old ones: wasm_align over a byte a token, which
 * stands for the instruction and those of its immediates that do not shift. */
#ifndef FL_WASM_ALIGN_CODE_H
#define FL_WASM_ALIGN_CODE_H

#include "lib/delta/wasm/module.h"

/* A byte a token, all bodies of a module in a row. Zeroed: none. */
struct wasm_symbols {
	struct fl_buf bytes;
	uint32_t *start; /* first of each body, one more at the end; NULL: there are none */
	size_t n_bodies;
};

/* FL_NOMEM. End with wasm_symbols_fini, also after a failure. */
enum fl_code wasm_symbols_of(
	struct wasm_symbols *s, const struct wasm_module *m, struct fl_err *err) FL_MUST_CHECK;
/* Free the bytes; where the bodies begin is still known. */
void wasm_symbols_drop(struct wasm_symbols *s);
/* Free all. Safe twice. */
void wasm_symbols_fini(struct wasm_symbols *s);

/* Of the new tokens of all bodies in a row; borrowed. */
struct wasm_code_alignment {
	const uint32_t
		*from; /* the old place + 1 of each, 0: none; places count old tokens likewise */
	const uint32_t *start; /* first of each body, one more at the end */
};

/* Make an alignment's `from`, which the caller frees; untouched on failure. FL_NOMEM. */
enum fl_code wasm_align_code(const struct wasm_symbols *old, const struct wasm_symbols *new,
	uint32_t **from, struct fl_err *err) FL_MUST_CHECK;

#endif
