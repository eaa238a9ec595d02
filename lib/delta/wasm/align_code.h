/* SPDX-License-Identifier: Apache-2.0
 *
 * Which tokens of a new module's code come from which old ones: wasm_align over a byte a token, which
 * stands for the instruction and those of its immediates that do not shift. */
#ifndef FL_WASM_ALIGN_CODE_H
#define FL_WASM_ALIGN_CODE_H

#include "lib/delta/wasm/module.h"

/* Of the new tokens of all bodies in a row. */
struct wasm_code_alignment {
	uint32_t *from;  /* the old place + 1 of each, 0: none; places count old tokens likewise */
	uint32_t *start; /* first of each body, one more at the end */
};

/* *out is untouched on failure. FL_NOMEM. */
enum fl_code wasm_align_code(const struct wasm_module *old, const struct wasm_module *new,
	struct wasm_code_alignment *out, struct fl_err *err) FL_MUST_CHECK;
void wasm_code_alignment_fini(struct wasm_code_alignment *a);

#endif
