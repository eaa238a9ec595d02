/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies of functions <-> tokens. */
#ifndef FL_WASM_CODE_H
#define FL_WASM_CODE_H

#include "lib/delta/wasm/leb.h"
#include "lib/delta/wasm/module.h"
#include "lib/delta/wasm/opcodes.h"

/* Tokens with their immediates, of one body or of many. Zeroed: empty. */
struct wasm_code {
	uint16_t *op;    /* n_ops tokens */
	uint32_t *first; /* per token, its first immediate in imm[]; one more at the end */
	uint64_t *imm;   /* n_imms immediates; signed ones sign-extended */
	uint8_t *pad;    /* per immediate, of a LEB: padding */
	size_t n_ops, n_imms;
	size_t cap_ops, cap_imms;
};

/* Free what it has; it is empty then. */
void wasm_code_fini(struct wasm_code *c);

struct wasm_walk; /* walk.h */

/* Append the tokens of one body. A body that is not understood whole is appended as raw bytes. FL_NOMEM. */
enum fl_code wasm_code_parse(
	struct wasm_code *c, const struct wasm_body *body, struct fl_err *err) FL_MUST_CHECK;
/* Append the next `n` tokens of a walk through a body that is understood; `c` has room for them. */
void wasm_code_parse_some(struct wasm_code *c, struct wasm_walk *w, unsigned size_pad, size_t n);
/* Append tokens [from, from + n) of a body that is not understood; `c` has room for them. */
void wasm_code_parse_raw(struct wasm_code *c, const struct wasm_body *body, size_t from, size_t n);
/* How many tokens a body has that is not understood; one that is has fewer. */
static inline size_t wasm_code_raw_count(struct fl_bytes body)
{
	return body.n + 1;
}

/* Append one token with its immediates. False: a padding or a value does not fit its place, or
 * out->failed. */
bool wasm_code_put(struct fl_buf *out, unsigned op, const uint64_t *imm, const uint8_t *pad);

/* A body that is being appended behind its size, which is known at its end. */
struct wasm_body_mark {
	size_t start, size_bytes;
};

/* Begin one whose size will probably be `bytes` with padding `pad` (at most WASM_LEB_MAX). */
struct wasm_body_mark wasm_code_begin(struct fl_buf *out, size_t bytes, unsigned pad);
/* Write the size before what was appended. False: the padding does not fit, or out->failed. */
bool wasm_code_end(struct fl_buf *out, const struct wasm_body_mark *mark, uint64_t pad);

#endif
