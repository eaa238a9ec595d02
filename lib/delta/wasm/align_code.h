/* SPDX-License-Identifier: Apache-2.0
 *
 * Which tokens of a new module's code come from which old ones: wasm_align over a byte a token, which
 * stands for the instruction and those of its immediates that do not shift. */
#ifndef FL_WASM_ALIGN_CODE_H
#define FL_WASM_ALIGN_CODE_H

#include "lib/delta/wasm/module.h"

/* How many tokens and immediates all bodies of a module have. */
struct wasm_code_size {
	size_t ops, imms;
};

/* The old place + 1 of each new token, 0: none; places count the tokens of all bodies in a row. The
 * caller frees *from, which is untouched on failure. sizes[0] gets that of the old code, sizes[1] of the
 * new. FL_NOMEM. */
enum fl_code wasm_align_code(const struct wasm_module *old, const struct wasm_module *new,
	uint32_t **from, struct wasm_code_size sizes[2], struct fl_err *err) FL_MUST_CHECK;

#endif
