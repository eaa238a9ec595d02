/* SPDX-License-Identifier: Apache-2.0
 *
 * A walk over the tokens of a body, in its bytes.
 *
 * DESIGN. Counting, parsing and moving a body see the same tokens; each compiles the walk with its own
 * visitor into one loop. What is frequent is inlined: instructions of one byte, numbers of one byte. */
#ifndef FL_WASM_WALK_H
#define FL_WASM_WALK_H

#include "lib/delta/wasm/leb.h"
#include "lib/delta/wasm/opcodes.h"

#define WASM_WALK_INLINE static inline __attribute__((always_inline))

/* An immediate as it stands in the body: from `from` to where the reader is. */
struct wasm_number {
	uint64_t v;
	unsigned pad;
	const uint8_t *from;
};

/* Told each token, and then its immediates in order, without the padding of the body's size. `imm`
 * returns whether to go on. */
struct wasm_visitor {
	void (*token)(void *ctx, unsigned op);
	bool (*imm)(void *ctx, unsigned k, enum wasm_imm kind, const struct wasm_number *n,
		const uint8_t *end);
};

/* Elements of a list that still come: their first token, and how many. */
struct wasm_walk_list {
	unsigned op;
	uint64_t left;
};

/* What is seldom: the sub-opcode of a prefix as a token, WASM_TOKEN_MAX if it is not known; the token of
 * a list's next element; a number of any kind and length; the list that a token begins. */
unsigned wasm_walk_prefixed(struct wasm_reader *r, uint8_t prefix);
unsigned wasm_walk_element(struct wasm_reader *r, unsigned list);
void wasm_walk_number(struct wasm_reader *r, enum wasm_imm kind, struct wasm_number *n);
void wasm_walk_begin(
	struct wasm_walk_list *list, enum wasm_flow flow, uint64_t count, struct wasm_reader *r);

WASM_WALK_INLINE unsigned wasm_walk_op(struct wasm_reader *r)
{
	uint8_t byte = wasm_byte(r);

	if (byte >= 0xfb && byte <= 0xfe)
		return wasm_walk_prefixed(r, byte);
	return wasm_ops[byte].known && !r->bad ? byte : WASM_TOKEN_MAX;
}

WASM_WALK_INLINE void wasm_walk_imm(
	struct wasm_reader *r, enum wasm_imm kind, struct wasm_number *n)
{
	/* One byte below this is the number itself; a signed one has its sign in bit 6. */
	unsigned limit = wasm_imm_is_signed(kind) ? 0x40 : wasm_imm_is_leb(kind) ? 0x80 : 0;

	n->from = r->p;
	if (r->p == r->end || *r->p >= limit || kind == WASM_IMM_ALIGN) {
		wasm_walk_number(r, kind, n);
		return;
	}
	n->v = *r->p++;
	n->pad = 0;
}

/* Walk a body, the bytes behind its size. Whether it was understood to its last byte; if not, the
 * visitor has seen some tokens of it. */
WASM_WALK_INLINE bool wasm_walk(struct fl_bytes body, const struct wasm_visitor *visitor, void *ctx)
{
	struct wasm_reader r = wasm_reader(body);
	struct wasm_walk_list list = { .op = WASM_TOKEN_FUNCTION, .left = 1 };
	unsigned depth = 1;

	while (list.left > 0 || depth > 0) {
		struct wasm_number n = { 0 };
		const struct wasm_op *row;
		unsigned op;

		if (list.left > 0) {
			list.left--;
			op = wasm_walk_element(&r, list.op);
		} else {
			op = wasm_walk_op(&r);
		}
		if (op == WASM_TOKEN_MAX)
			return false;
		row = &wasm_ops[op];
		visitor->token(ctx, op);
		for (unsigned k = 0; k < row->n_imms; k++) {
			if (row->imms[k] == WASM_IMM_PAD)
				break;
			wasm_walk_imm(&r, (enum wasm_imm)row->imms[k], &n);
			if (r.bad || !visitor->imm(ctx, k, (enum wasm_imm)row->imms[k], &n, r.p))
				return false;
		}
		if (row->flow == WASM_FLOW_NONE)
			continue;
		depth += row->flow == WASM_FLOW_OPEN || row->flow == WASM_FLOW_CATCHES;
		depth -= row->flow == WASM_FLOW_CLOSE;
		wasm_walk_begin(&list, (enum wasm_flow)row->flow, n.v, &r);
		if (r.bad)
			return false;
	}
	return wasm_left(&r) == 0;
}

#endif
