/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies of functions <-> tokens. */
#ifndef FL_WASM_CODE_H
#define FL_WASM_CODE_H

#include "lib/delta/wasm/leb.h"
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

/* Forget the tokens, keep the memory. */
void wasm_code_reset(struct wasm_code *c);
void wasm_code_fini(struct wasm_code *c);

/* Append the tokens of one body. `body` are its bytes behind its size, `size_pad` the padding of that
 * size. A body that is not understood whole is appended as raw bytes. FL_NOMEM. */
enum fl_code wasm_code_parse(struct wasm_code *c, struct fl_bytes body, unsigned size_pad,
	struct fl_err *err) FL_MUST_CHECK;
/* How many tokens wasm_code_parse would append. */
size_t wasm_code_count(struct fl_bytes body);
/* The same for a body that is not understood; one that is has fewer. */
static inline size_t wasm_code_raw_count(struct fl_bytes body)
{
	return body.n + 1;
}

/* Append token `op`; its immediates follow with wasm_code_imm. FL_NOMEM. */
enum fl_code wasm_code_op(struct wasm_code *c, unsigned op, struct fl_err *err) FL_MUST_CHECK;
/* Set immediate `k` of the last token. */
static inline void wasm_code_imm(struct wasm_code *c, unsigned k, uint64_t value, uint8_t pad)
{
	c->imm[c->first[c->n_ops - 1] + k] = value;
	c->pad[c->first[c->n_ops - 1] + k] = pad;
}

/* Append the bytes of the body whose tokens are [from, to) with its size before it. A padding or a
 * value that does not fit its place gives FL_CORRUPT; FL_NOMEM shows in out->failed. */
enum fl_code wasm_code_emit(const struct wasm_code *c, size_t from, size_t to, struct fl_buf *out,
	struct fl_err *err) FL_MUST_CHECK;

#endif
