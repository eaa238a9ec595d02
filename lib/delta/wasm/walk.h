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

struct wasm_walk;

/* Told each token, and then its immediates in order, without the padding of the body's size. `before`
 * and `imm` return whether to go on. */
struct wasm_visitor {
	bool (*before)(void *ctx, const struct wasm_walk *w);
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
	/* One byte below this is the number itself: bit 6 is the sign, or announces a memory index. */
	unsigned limit = wasm_imm_is_signed(kind) || kind == WASM_IMM_ALIGN ? 0x40
		: wasm_imm_is_leb(kind)                                     ? 0x80
									    : 0;

	n->from = r->p;
	if (r->p == r->end || *r->p >= limit) {
		wasm_walk_number(r, kind, n);
		return;
	}
	n->v = *r->p++;
	n->pad = 0;
}

/* Where a walk is: before a token, or at the end. */
struct wasm_walk {
	struct wasm_reader r;
	struct wasm_walk_list list;
	unsigned depth; /* of blocks; 0: the body is complete */
};

WASM_WALK_INLINE struct wasm_walk wasm_walk_start(struct fl_bytes body)
{
	return (struct wasm_walk){
		.r = wasm_reader(body), .list = { .op = WASM_TOKEN_FUNCTION, .left = 1 }, .depth = 1
	};
}

/* Walk on to the end of the body. Whether it was understood to its last byte; if not, or if the visitor
 * stopped, it has seen some tokens. */
WASM_WALK_INLINE bool wasm_walk(struct wasm_walk *w, const struct wasm_visitor *visitor, void *ctx)
{
	while (w->list.left > 0 || w->depth > 0) {
		struct wasm_number n = { 0 };
		const struct wasm_op *row;
		unsigned op;

		if (!visitor->before(ctx, w))
			return false;
		if (w->list.left > 0) {
			w->list.left--;
			op = wasm_walk_element(&w->r, w->list.op);
		} else {
			op = wasm_walk_op(&w->r);
		}
		if (op == WASM_TOKEN_MAX)
			return false;
		row = &wasm_ops[op];
		visitor->token(ctx, op);
		for (unsigned k = 0; k < row->n_imms; k++) {
			if (row->imms[k] == WASM_IMM_PAD)
				break;
			wasm_walk_imm(&w->r, (enum wasm_imm)row->imms[k], &n);
			if (w->r.bad ||
				!visitor->imm(ctx, k, (enum wasm_imm)row->imms[k], &n, w->r.p))
				return false;
		}
		if (row->flow == WASM_FLOW_NONE)
			continue;
		w->depth += row->flow == WASM_FLOW_OPEN || row->flow == WASM_FLOW_CATCHES;
		w->depth -= row->flow == WASM_FLOW_CLOSE;
		wasm_walk_begin(&w->list, (enum wasm_flow)row->flow, n.v, &w->r);
		if (w->r.bad)
			return false;
	}
	return wasm_left(&w->r) == 0;
}

#endif
