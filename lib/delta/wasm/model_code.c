/* SPDX-License-Identifier: Apache-2.0
 *
 * The code section: per function which old tokens are copied, the opcodes, then the immediates. */
#include "lib/delta/wasm/model.h"

#include <stdlib.h>
#include <string.h>

#define PRIME_TOKENS 16384 /* of the old module, from which an adaptive coder learns */

/* ---- old tokens */

const struct wasm_code *model_old(struct model *m, uint32_t place, size_t *index, uint32_t *left)
{
	const struct wasm_code *code = old_code_at(&m->old_code, place, index, left);

	if (code == NULL)
		model_fail(m, FL_NOMEM, "no memory to parse an old function");
	return code;
}

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
	size_t new;   /* encoding: place of the first new one */
	size_t first; /* its place in the function */
	struct body_shape *shape;
};

/* What a token means for the structure. A body of raw bytes tells at once how many there are; `new` is
 * the encoder's token. */
static void follow_shape(struct model *m, struct body_shape *s, unsigned op, size_t new)
{
	if (s->begun || op != WASM_TOKEN_RAW) {
		shape_next(s, op);
		return;
	}
	s->raw = s->begun = true;
	s->raw_left = coder_value(m->c, STREAM_OP_NEW,
		m->encoding ? m->new_tokens->imm[m->new_tokens->first[new]] : 0, CONTEXT(op));
	s->done = s->raw_left == 0;
	m->c->bad |= !m->encoding && s->raw_left > m->limit;
}

/* One copied opcode: confirmed or replaced. */
static void code_copied_op(struct model *m, const struct op_copy *x, unsigned old, uint64_t i)
{
	unsigned op = m->encoding ? m->new_tokens->op[x->new + i] : 0;
	uint64_t from = i < 5 ? i : 5, left = x->length - i < 6 ? x->length - i : 6;

	if (coder_hit(m->c, STREAM_OP_HIT, op == old,
		    CONTEXT(old, from * 8 + left, context(old, op_before(m, 1)))))
		op = old;
	else
		op = (unsigned)coder_value(
			m->c, STREAM_OP, op, CONTEXT(old, context(old, op_before(m, 1))));
	op = checked(m, op);
	follow_shape(m, x->shape, op, x->new + i);
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
			follow_shape(m, x->shape, old[i], 0);
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
		while (i < end && m->from[i] == 0)
			i++;
		return (uint32_t)(i - t);
	}
	if (i < end && m->from[i] != 0)
		for (i++; i < end && m->from[i] == m->from[i - 1] + 1;)
			i++;
	return (uint32_t)(i - t);
}

/* Tokens from an old place to the end of its body. */
static uint32_t rest_of_body(struct model *m, uint32_t place)
{
	return m->old_code.start[old_code_body(&m->old_code, place) + 1] - place;
}

/* Whole logarithm of a length, in steps of a half. */
static unsigned length_class(uint32_t n)
{
	unsigned log = 31 - (unsigned)__builtin_clz(n | 1);

	return 2 * log + (log > 0 && (n >> (log - 1) & 1) != 0);
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
		place = length > 0 ? m->from[t] - 1 : 0;
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
		CONTEXT(extra, context(length_class(left), m->n_op == 0), context(m->body, 0)));
	if (length == 0)
		length = left;
	if (length > total - place) {
		m->c->bad = true;
		return 0;
	}
	code_copied_ops(m, &(struct op_copy){ place, length, t, m->n_op, shape });
	m->next_old = place + (uint32_t)length;
	m->tokens_copied += length;
	return length;
}

static void code_new_ops(struct model *m, size_t t, uint64_t n, struct body_shape *shape)
{
	m->tokens_new += n;
	for (uint64_t i = 0; i < n && model_ok(m) && !shape->done; i++) {
		unsigned op =
			checked(m, code_new_op(m, m->encoding ? m->new_tokens->op[t + i] : 0));

		follow_shape(m, shape, op, t + i);
		push_op(m, op, 0);
	}
}

/* The tokens of function `f` by pieces, until its structure is complete. */
static void code_ops(struct model *m, size_t f)
{
	size_t t = m->encoding ? m->new_start[f] : 0, end = m->encoding ? m->new_start[f + 1] : 0;
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
		if (length + extra == 0 || m->n_op > (m->encoding ? UINT32_MAX : m->limit + 16))
			m->c->bad = true;
		code_new_ops(m, t, extra, &shape);
		t += extra;
		m->c->bad |= shape.bad;
	}
	m->c->bad |= shape.bad;
}

/* ---- immediates of a function */

static void forget_local(struct model *m)
{
	struct model_local *l = &m->local;

	if (l->cap > 0) {
		memset(l->to, 0xff, l->cap * sizeof(*l->to));
		memset(l->before, 0xff, l->cap * sizeof(*l->before));
		memset(l->sure, 0, l->cap);
	}
	memset(l->owner, 0xff, sizeof(l->owner));
	memset(l->recent, 0xff, sizeof(l->recent));
	memset(l->small_known, 0, sizeof(l->small_known));
	l->branch = l->branch_shift = l->shift = 0;
	m->run = 0;
}

/* Counts that the tokens themselves tell: locals, branches, types and clauses that follow. */
static bool known_count(const struct model *m, size_t t, uint64_t *count)
{
	unsigned op = m->op[t];
	size_t i = t + 1;

	switch (op) {
	case WASM_TOKEN_FUNCTION:
		while (i < m->n_op &&
			(m->op[i] == WASM_TOKEN_LOCALS || m->op[i] == WASM_TOKEN_LOCALS_REFERENCE))
			i++;
		break;
	case WASM_TOKEN_RAW:
		i = m->n_op;
		break;
	case 0x0e: /* br_table: the default is one more */
		while (i < m->n_op && m->op[i] == WASM_TOKEN_BRANCH)
			i++;
		*count = i - t - 2;
		return true;
	case 0x1c:
		while (i < m->n_op &&
			(m->op[i] == WASM_TOKEN_SELECT || m->op[i] == WASM_TOKEN_SELECT_REFERENCE))
			i++;
		break;
	case 0x1f:
		while (i < m->n_op && m->op[i] >= WASM_TOKEN_CATCH &&
			m->op[i] <= WASM_TOKEN_CATCH_ALL_REF)
			i++;
		break;
	default:
		return false;
	}
	*count = i - t - 1;
	return true;
}

static uint8_t code_pad(struct model *m, enum wasm_imm kind, uint8_t pad, uint8_t expected)
{
	if (coder_hit(m->c, STREAM_PAD_HIT, pad == expected, CONTEXT(kind, expected)))
		return expected;
	return coder_byte(m->c, STREAM_PAD, pad, CONTEXT(kind));
}

static void code_token(
	struct model *m, size_t t, size_t new, const struct wasm_code *old, size_t index)
{
	const struct wasm_op *op = &wasm_ops[m->op[t]];
	uint64_t count, imm[WASM_IMMS_MAX];
	uint8_t pad[WASM_IMMS_MAX];

	for (unsigned k = 0; k < op->n_imms && model_ok(m); k++) {
		enum wasm_imm kind = op->imms[k];
		const uint64_t *was = old == NULL ? NULL : &old->imm[old->first[index] + k];
		uint8_t expected =
			old == NULL ? m->last_pad[kind] : old->pad[old->first[index] + k];
		uint64_t v = 0;

		pad[k] = 0;
		if (m->encoding) {
			v = m->new_tokens->imm[m->new_tokens->first[new] + k];
			pad[k] = m->new_tokens->pad[m->new_tokens->first[new] + k];
		}
		if (kind == WASM_IMM_COUNT && known_count(m, t, &count))
			v = count;
		else
			v = model_immediate(m, t, k, v, was);
		if (wasm_imm_is_leb(kind)) {
			if (old != NULL && expected != 0)
				expected = (uint8_t)wasm_pad_like(
					kind, expected, wasm_imm_bytes(kind, *was) + expected, v);
			pad[k] = code_pad(m, kind, pad[k], expected);
			m->last_pad[kind] = pad[k];
		}
		imm[k] = v;
		if (kind == WASM_IMM_PAD)
			m->size_pad = v;
	}
	if (!m->encoding && model_ok(m) && !wasm_code_put(&m->out, m->op[t], imm, pad))
		m->c->bad |= !m->out.failed;
}

static void code_immediates(struct model *m, size_t f)
{
	size_t new = m->encoding ? m->new_start[f] : 0, index = 0;
	const struct wasm_code *old = NULL;
	uint32_t left = 0, expected = 0;

	forget_local(m);
	for (size_t t = 0; t < m->n_op && model_ok(m); t++) {
		uint32_t place = m->aligned[t];

		m->run = place != 0 && place == expected ? m->run + 1 : 0;
		if (place != 0 && (place != expected || left == 0))
			old = model_old(m, place - 1, &index, &left);
		if (!model_ok(m))
			return;
		code_token(m, t, new + t, place != 0 ? old : NULL, index);
		if (place != 0) {
			expected = place + 1;
			index++;
			left--;
		}
	}
}

/* ---- what the old code teaches before the first new function */

/* All opcodes of an old body as new ones. */
static void prime_ops(struct model *m, uint32_t f)
{
	uint32_t place = m->old_code.start[f], end = m->old_code.start[f + 1], left;
	size_t index;

	while (place < end && model_ok(m)) {
		const struct wasm_code *old = model_old(m, place, &index, &left);

		place += left;
		for (; left > 0 && model_ok(m); left--, index++) {
			(void)code_new_op(m, old->op[index]);
			push_op(m, old->op[index], 0);
		}
	}
}

static void prime_immediates(struct model *m, size_t t, const uint64_t *imm)
{
	const struct wasm_op *op = &wasm_ops[m->op[t]];
	uint64_t count;

	for (unsigned k = 0; k < op->n_imms; k++)
		if (op->imms[k] != WASM_IMM_COUNT || !known_count(m, t, &count))
			(void)model_immediate(m, t, k, imm[k], NULL);
}

static void prime_function(struct model *m, uint32_t f)
{
	const struct wasm_code *old = NULL;
	uint32_t left = 0;
	size_t index = 0;

	forget_local(m);
	m->n_op = 0;
	prime_ops(m, f);
	for (size_t t = 0; t < m->n_op && model_ok(m); t++, index++, left--) {
		if (left == 0)
			old = model_old(m, m->old_code.start[f] + (uint32_t)t, &index, &left);
		if (model_ok(m))
			prime_immediates(m, t, &old->imm[old->first[index]]);
	}
}

/* An adaptive coder learns how old functions from all over the module look, up to a number of
 * tokens. */
static void prime(struct model *m)
{
	uint32_t n = (uint32_t)m->old->n_bodies, step = m->old_code.start[n] / PRIME_TOKENS + 1,
		 done = 0;

	if (m->c->adaptive == NULL)
		return;
	adaptive_silent(m->c->adaptive, true);
	for (uint32_t f = step / 2; f < n && done < PRIME_TOKENS && model_ok(m); f += step) {
		prime_function(m, f);
		done += (uint32_t)m->n_op;
	}
	adaptive_silent(m->c->adaptive, false);
	memset(m->last, 0, sizeof(m->last));
	memset(m->before_last, 0, sizeof(m->before_last));
}

/* ---- functions that come out as predicted */

/* A function by its tokens and immediates. */
static void code_changed(struct model *m, size_t f)
{
	code_ops(m, f);
	if (model_ok(m))
		code_immediates(m, f);
}

/* Decoding: a function goes to m->out, behind its size, which is mostly as long as that of the old one. */
static void write_function(struct model *m, size_t f, uint32_t partner, bool sure)
{
	struct wasm_body like =
		partner == MODEL_NONE ? (struct wasm_body){ 0 } : m->old->bodies[partner];
	struct wasm_body_mark mark = wasm_code_begin(&m->out, like.bytes.n, like.size_pad);

	m->size_pad = like.size_pad;
	if (!sure)
		code_changed(m, f);
	else if (!model_move_body(m, partner, NULL))
		m->c->bad |= !m->out.failed;
	if (model_ok(m) && !wasm_code_end(&m->out, &mark, m->size_pad))
		m->c->bad |= !m->out.failed;
}

static void code_function(struct model *m, size_t f)
{
	uint32_t partner = m->partner[f];
	bool sure = false;

	m->body = f + 1;
	if (partner != MODEL_NONE) {
		unsigned class = length_class(old_code_length(&m->old_code, partner));
		unsigned doubts = coder_is_plain(m->c) ? 0 : model_doubts(m, partner);

		sure = m->encoding && model_is_sure(m, f, partner);
		sure = coder_hit(m->c, STREAM_SURE, sure,
			CONTEXT(class, m->next_old == m->old_code.start[partner], doubts,
				context(doubts, class)));
		m->next_old = m->old_code.start[partner + sure];
		m->away = false;
	}
	m->n_sure += sure;
	if (!m->encoding)
		write_function(m, f, partner, sure);
	else if (!sure)
		code_changed(m, f);
}

void model_code(struct model *m, size_t section)
{
	struct wasm_section *s = &m->new->sections[section];
	uint64_t expected = 0, size = s->payload.n, start;

	for (size_t i = 0; i < m->old->n_sections; i++)
		if (m->old->sections[i].id == WASM_SECTION_CODE)
			expected = m->old->sections[i].payload.n;
	size = expected +
		(uint64_t)coder_signed(m->c, STREAM_LAYOUT, (int64_t)(size - expected), CONTEXT(1));
	if (!m->encoding) {
		s->payload.n = (size_t)size;
		model_write_head(m, s, size);
		model_write(
			m, (struct fl_bytes){ m->new->residue.p + s->residue_at, s->residue_n });
	}
	start = m->written - s->residue_n;
	prime(m);
	for (size_t f = 0; f < m->new->n_bodies &&model_ok(m); f++) {
		size_t before = m->out.n;

		code_function(m, f);
		if (!m->encoding && model_ok(m))
			model_wrote(m, before);
	}
	if (!m->encoding && model_ok(m) && m->written - start != size)
		model_fail(m, FL_CORRUPT, "the code section has another size than the delta says");
}
