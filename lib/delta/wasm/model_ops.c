/* SPDX-License-Identifier: Apache-2.0
 *
 * The tokens of a function: which are copied from where, and which are new. */
#include "lib/delta/wasm/model.h"

#include <string.h>

/* ---- the structure of a body, followed by its tokens alone */

struct body_shape {
	unsigned depth;
	uint64_t raw_left; /* bytes of a body that does not parse */
	bool raw, begun, done, bad;
};

static void shape_next(struct body_shape *s, unsigned op)
{
	if (s->raw) {
		s->bad |= op != WASM_TOKEN_RAW_BYTE;
		s->done = --s->raw_left == 0;
		return;
	}
	if (!s->begun) {
		s->begun = true;
		s->depth = 1;
		s->bad |= op != WASM_TOKEN_FUNCTION;
		return;
	}
	s->bad |= op == WASM_TOKEN_FUNCTION || op >= WASM_TOKEN_RAW || !wasm_ops[op].known;
	switch ((enum wasm_flow)wasm_ops[op].flow) {
	case WASM_FLOW_OPEN:
	case WASM_FLOW_CATCHES:
		s->depth++;
		break;
	case WASM_FLOW_CLOSE:
		s->done = --s->depth == 0;
		break;
	case WASM_FLOW_NONE:
	case WASM_FLOW_BRANCHES:
	case WASM_FLOW_TYPES:
	case WASM_FLOW_LOCALS:
		break;
	}
}

/* ---- opcodes */

static bool room_for_ops(struct model *m, size_t n)
{
	size_t cap = m->cap_op + m->cap_op / 2 > m->n_op + n ? m->cap_op + m->cap_op / 2
							     : m->n_op + n + 1024;
	uint16_t *ops;
	uint32_t *places;

	if (n <= m->cap_op - m->n_op)
		return true;
	ops = fl_heap_resize(m->heap, m->op, cap, sizeof(*ops));
	if (ops != NULL)
		m->op = ops;
	places = fl_heap_resize(m->heap, m->aligned, cap, sizeof(*places));
	if (places != NULL)
		m->aligned = places;
	if (ops == NULL || places == NULL) {
		model_fail(m, FL_NOMEM, "no memory for a function");
		return false;
	}
	m->cap_op = cap;
	return true;
}

static void push_op(struct model *m, unsigned op, uint32_t aligned)
{
	if (!room_for_ops(m, 1))
		return;
	m->op[m->n_op] = (uint16_t)op;
	m->aligned[m->n_op++] = aligned;
}

static unsigned op_before(const struct model *m, size_t back)
{
	return m->n_op >= back ? m->op[m->n_op - back] : 0;
}

/* Encoding: the one to be coded. */
static unsigned next_op(const struct model *m)
{
	return m->encoding ? m->tokens.op[m->n_op] : 0;
}

/* Opcodes as one or two bytes: plain ones as they are, tokens and prefixes above them. */
enum { OP_BYTE_TOKENS = 0xe0, OP_BYTE_PREFIXES = 0xf8 };

static unsigned code_new_op(struct model *m, unsigned op)
{
	uint64_t a = op_before(m, 1), b = op_before(m, 2), c = op_before(m, 3), d = op_before(m, 4);
	uint64_t two = context(a, b), three = context(two, c), four = context(three, d);
	uint64_t six = context(context(four, op_before(m, 5)), op_before(m, 6));
	unsigned first = op, second = 0;

	if (op >= WASM_TOKEN_FUNCTION)
		first = OP_BYTE_TOKENS + op - WASM_TOKEN_FUNCTION;
	else if (op >= WASM_OP_FC) {
		first = OP_BYTE_PREFIXES + (op >> 7) - 2;
		second = op & 0x7f;
	}
	first = coder_byte(m->c, STREAM_OP_NEW, (uint8_t)first,
		CONTEXT(a, two, three, four, context(four, op_before(m, 5)), six));
	if (first >= OP_BYTE_PREFIXES) {
		second = coder_byte(
			m->c, STREAM_OP_NEW, (uint8_t)second, CONTEXT(first, context(first, a)));
		return ((first - OP_BYTE_PREFIXES + 2) << 7) + second;
	}
	return first >= OP_BYTE_TOKENS ? WASM_TOKEN_FUNCTION + first - OP_BYTE_TOKENS : first;
}

static bool same_immediates(unsigned a, unsigned b)
{
	return a == b || memcmp(wasm_ops[a].imms, wasm_ops[b].imms, WASM_IMMS_MAX) == 0;
}

static unsigned checked(struct model *m, unsigned op)
{
	if (op < WASM_TOKEN_MAX && wasm_ops[op].known)
		return op;
	m->c->bad = true;
	return 1; /* nop */
}

/* Opcodes that are copied to the present end of a function. */
struct op_copy {
	uint32_t place; /* of the first old one */
	uint64_t length;
	size_t first; /* its place in the function */
	struct body_shape *shape;
};

/* What the next token means for the structure. A body of raw bytes tells at once how many there are. */
static void follow_shape(struct model *m, struct body_shape *s, unsigned op)
{
	if (s->begun || op != WASM_TOKEN_RAW) {
		shape_next(s, op);
		return;
	}
	s->raw = s->begun = true;
	s->raw_left = coder_value(m->c, STREAM_OP_NEW,
		m->encoding ? m->tokens.imm[m->tokens.first[m->n_op]] : 0, CONTEXT(op));
	s->done = s->raw_left == 0;
	m->c->bad |= !m->encoding && s->raw_left > m->limit;
}

/* One copied opcode: confirmed or replaced. */
static void code_copied_op(struct model *m, const struct op_copy *x, unsigned old, uint64_t i)
{
	unsigned op = next_op(m);
	uint64_t from = i < 5 ? i : 5, left = x->length - i < 6 ? x->length - i : 6;

	if (coder_hit(m->c, STREAM_OP_HIT, op == old,
		    CONTEXT(old, from * 8 + left, context(old, op_before(m, 1)))))
		op = old;
	else
		op = (unsigned)coder_value(
			m->c, STREAM_OP, op, CONTEXT(old, context(old, op_before(m, 1))));
	op = checked(m, op);
	follow_shape(m, x->shape, op);
	push_op(m, op, same_immediates(op, old) ? x->place + (uint32_t)i + 1 : 0);
}

/* Decoding, plain: of the next `n` copied opcodes those that are confirmed; returns how many. */
static uint32_t take_ops(struct model *m, const struct op_copy *x, const uint16_t *old, uint64_t n)
{
	uint32_t place = x->place + (uint32_t)(m->n_op - x->first) + 1;

	n = coder_hits(m->c, STREAM_OP_HIT, n);
	if (!room_for_ops(m, n))
		return 0;
	for (uint64_t i = 0; i < n && !x->shape->done; i++) {
		if (wasm_ops[old[i]].flow != WASM_FLOW_NONE || old[i] >= WASM_TOKEN_FUNCTION ||
			!x->shape->begun)
			follow_shape(m, x->shape, old[i]);
		m->op[m->n_op] = old[i];
		m->aligned[m->n_op++] = place++;
	}
	return (uint32_t)n;
}

/* Copy opcodes from an old place. */
static void code_copied_ops(struct model *m, const struct op_copy *x)
{
	const struct wasm_code *code = NULL;
	uint32_t left = 0, n;
	size_t index = 0;

	for (uint64_t i = 0; i < x->length && model_ok(m) && !x->shape->done; i += n) {
		if (left == 0)
			code = model_old(m, x->place + (uint32_t)i, &index, &left);
		if (!model_ok(m))
			return;
		n = !m->encoding && coder_is_plain(m->c)
			? take_ops(m, x, code->op + index, least(left, x->length - i))
			: 0;
		if (n == 0) {
			code_copied_op(m, x, code->op[index], i);
			n = 1;
		}
		index += n;
		left -= n;
	}
}

/* Encoding: how many tokens from `t` on continue an old run (copied) or have none (new). */
static uint32_t run_length(const struct model *m, size_t t, size_t end, bool copied)
{
	size_t i = t;

	if (!copied) {
		while (i < end && m->alignment.from[i] == 0)
			i++;
		return (uint32_t)(i - t);
	}
	if (i < end && m->alignment.from[i] != 0)
		for (i++; i < end && m->alignment.from[i] == m->alignment.from[i - 1] + 1;)
			i++;
	return (uint32_t)(i - t);
}

/* Tokens from an old place to the end of its body. */
static uint32_t rest_of_body(struct model *m, uint32_t place)
{
	return m->old_code.start[old_code_body(&m->old_code, place) + 1] - place;
}

static uint32_t apart(uint32_t a, uint32_t b)
{
	return a < b ? b - a : a - b;
}

/* Where a copy comes from: near where the last one ended, or, after a far jump, where it was before. */
static uint32_t code_place(struct model *m, uint32_t place, uint64_t extra)
{
	uint32_t base = m->next_old;

	if (m->away &&
		coder_hit(m->c, STREAM_CODE_HOME, apart(place, m->home) < apart(place, base),
			CONTEXT(extra))) {
		base = m->home;
		m->away = false;
	}
	place = base +
		(uint32_t)coder_signed(m->c, STREAM_CODE_JUMP, (int32_t)(place - base),
			CONTEXT(extra, m->n_op == 0, m->away));
	if (!m->away && apart(place, base) >= MODEL_FAR) {
		m->home = base;
		m->away = true;
	}
	return place;
}

/* One copy: whether there is one where a function begins, where from, and how long: 0 is to the end of
 * the old function. */
static uint64_t code_copy(
	struct model *m, size_t t, size_t end, uint64_t last_extra, struct body_shape *shape)
{
	uint32_t place = 0, left, total = old_code_total(&m->old_code);
	uint64_t length = 0, extra = last_extra < 40 ? last_extra : 40;

	if (m->encoding) {
		length = run_length(m, t, end, true);
		place = length > 0 ? m->alignment.from[t] - 1 : 0;
	}
	if (m->n_op == 0 && !coder_hit(m->c, STREAM_CODE_HIT, length > 0, CONTEXT(0)))
		return 0;
	place = code_place(m, place, extra);
	if (place >= total) {
		m->c->bad = true;
		return 0;
	}
	left = rest_of_body(m, place);
	length = coder_value(m->c, STREAM_CODE_COPY, length == left ? 0 : length,
		CONTEXT(extra, context(model_length_class(left), m->n_op == 0),
			context(m->body, 0)));
	if (length == 0)
		length = left;
	if (length > total - place) {
		m->c->bad = true;
		return 0;
	}
	code_copied_ops(m, &(struct op_copy){ place, length, m->n_op, shape });
	m->next_old = place + (uint32_t)length;
	m->tokens_copied += length;
	return length;
}

static void code_new_ops(struct model *m, uint64_t n, struct body_shape *shape)
{
	m->tokens_new += n;
	for (uint64_t i = 0; i < n && model_ok(m) && !shape->done; i++) {
		unsigned op = checked(m, code_new_op(m, next_op(m)));

		follow_shape(m, shape, op);
		push_op(m, op, 0);
	}
}

/* Decoding: whether a function cannot have `n` tokens more. Each takes a byte at least of what may still
 * come, but for the first of a raw body. */
static bool too_many(const struct model *m, uint64_t n)
{
	uint64_t most = m->limit - m->written + 1;

	return !m->encoding && (m->n_op > most || n > most - m->n_op);
}

/* By pieces, until the structure is complete. */
void model_ops(struct model *m, size_t f)
{
	size_t t = m->encoding ? m->alignment.start[f] : 0,
	       end = m->encoding ? m->alignment.start[f + 1] : 0;
	struct body_shape shape = { 0 };
	uint64_t extra = 0;

	m->n_op = 0;
	while (!shape.done && model_ok(m)) {
		uint64_t length = code_copy(m, t, end, extra, &shape);

		t += length;
		if (shape.done || !model_ok(m))
			break;
		extra = coder_value(m->c, STREAM_CODE_EXTRA,
			m->encoding ? run_length(m, t, end, false) : 0,
			CONTEXT(length < 40 ? length : 40));
		m->c->bad |= length + extra == 0 || too_many(m, extra);
		code_new_ops(m, extra, &shape);
		t += extra;
		m->c->bad |= shape.bad;
	}
	m->c->bad |= shape.bad;
}

/* ---- what the old code teaches before the first new function */

void model_ops_of_old(struct model *m, uint32_t f)
{
	uint32_t place = m->old_code.start[f], end = m->old_code.start[f + 1], left;
	size_t index;

	m->n_op = 0;
	while (place < end && model_ok(m)) {
		const struct wasm_code *old = model_old(m, place, &index, &left);

		place += left;
		for (; left > 0 && model_ok(m); left--, index++) {
			(void)code_new_op(m, old->op[index]);
			push_op(m, old->op[index], 0);
		}
	}
}
