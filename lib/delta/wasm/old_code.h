/* SPDX-License-Identifier: Apache-2.0
 *
 * The tokens of the old module's code by their places: all bodies in a row, from 0.
 *
 * DESIGN. Nobody holds them all: they are counted once, where every so many of them begin in the bytes is
 * noted, and a window is parsed when one of its tokens is asked for. The last used windows are kept. */
#ifndef FL_WASM_OLD_CODE_H
#define FL_WASM_OLD_CODE_H

#include "lib/delta/wasm/code.h"
#include "lib/delta/wasm/module.h"

#define OLD_CODE_WINDOW  64  /* tokens */
#define OLD_CODE_WINDOWS 128 /* that are kept */

/* Where a window begins that is not the first one of its body. */
struct old_code_point {
	uint32_t place, offset;      /* offset in the bytes of the body */
	uint32_t list_op, list_left; /* of the list that the window begins in */
};

struct old_code_window;

/* Zeroed: no module. */
struct old_code {
	const struct wasm_module *module;
	uint32_t *start; /* place of each body, one more at the end */
	struct old_code_point *points;
	size_t n_points, cap_points;
	struct old_code_window **windows;
	uint32_t last; /* body that was found last */
};

/* Count the tokens of a module (borrowed), whose heap is used. FL_NOMEM. */
enum fl_code old_code_count(
	struct old_code *o, const struct wasm_module *module, struct fl_err *err) FL_MUST_CHECK;
void old_code_fini(struct old_code *o);

/* How many tokens there are. */
static inline uint32_t old_code_total(const struct old_code *o)
{
	return o->start[o->module->n_bodies];
}
/* How many body `f` has. */
static inline uint32_t old_code_length(const struct old_code *o, uint32_t f)
{
	return o->start[f + 1] - o->start[f];
}
/* Whether body `f` did not parse. */
static inline bool old_code_is_raw(const struct old_code *o, uint32_t f)
{
	return old_code_length(o, f) == wasm_code_raw_count(o->module->bodies[f].bytes);
}
/* The body that has the token at `place`, which must exist. */
uint32_t old_code_body(struct old_code *o, uint32_t place);
/* The token at `place`, which must exist: its code and index there; *left tokens of the same body follow
 * there, itself included. NULL without memory. */
const struct wasm_code *old_code_at(
	struct old_code *o, uint32_t place, size_t *index, uint32_t *left);

#endif
