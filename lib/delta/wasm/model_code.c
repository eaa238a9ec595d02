/* SPDX-License-Identifier: Apache-2.0
 *
 * The code section: per function which old tokens are copied, the opcodes, then the immediates. */
#include "lib/delta/wasm/model.h"

#include <stdlib.h>
#include <string.h>

#define PRIME_TOKENS 16384 /* of the old module, from which an adaptive coder learns */

/* ---- old tokens */

static uint32_t function_at(struct model *m, uint32_t place)
{
	uint32_t low = 0, high = (uint32_t)m->old->n_bodies, f = m->last_function;

	if (f < high && m->old_start[f] <= place && place < m->old_start[f + 1])
		return f;
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;

		if (m->old_start[middle] <= place)
			low = middle;
		else
			high = middle;
	}
	return m->last_function = low;
}

static const struct wasm_code *parsed(struct model *m, uint32_t f)
{
	struct model_cached *cached = &m->cache[f % MODEL_CACHE];
	enum fl_code code;

	if (cached->function == f + 1)
		return &cached->code;
	wasm_code_reset(&cached->code);
	cached->function = f + 1;
	code = wasm_code_parse(
		&cached->code, m->old->bodies[f].bytes, m->old->bodies[f].size_pad, m->err);
	if (code != FL_OK) {
		cached->function = 0;
		model_fail(m, code, "no memory to parse an old function");
	}
	return &cached->code;
}

const struct wasm_code *model_old(struct model *m, uint32_t place, size_t *index, uint32_t *left)
{
	uint32_t f = function_at(m, place);

	*left = m->old_start[f + 1] - place;
	if (m->encoding) {
		*index = place;
		return m->old_tokens;
	}
	*index = place - m->old_start[f];
	return parsed(m, f);
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

static bool push_op(struct model *m, unsigned op, uint32_t aligned)
{
	if (m->n_op == m->cap_op) {
		size_t cap = m->cap_op == 0 ? 1024 : 2 * m->cap_op;
		uint16_t *ops = reallocarray(m->op, cap, sizeof(*ops));
		uint32_t *places;

		if (ops != NULL)
			m->op = ops;
		places = reallocarray(m->aligned, cap, sizeof(*places));
		if (places != NULL)
			m->aligned = places;
		if (ops == NULL || places == NULL) {
			model_fail(m, FL_NOMEM, "no memory for a function");
			return false;
		}
		m->cap_op = cap;
	}
	m->op[m->n_op] = (uint16_t)op;
	m->aligned[m->n_op++] = aligned;
	return true;
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

/* Copy `length` opcodes from `place`, each confirmed or replaced. */
static void code_copied_ops(
	struct model *m, uint32_t place, uint64_t length, size_t new, struct body_shape *shape)
{
	const struct wasm_code *code = NULL;
	uint32_t left = 0;
	size_t index = 0;

	for (uint64_t i = 0; i < length && model_ok(m) && !shape->done; i++, index++, left--) {
		unsigned old, op;

		if (left == 0)
			code = model_old(m, place + (uint32_t)i, &index, &left);
		if (!model_ok(m))
			return;
		old = code->op[index];
		op = m->encoding ? m->new_tokens->op[new + i] : 0;
		if (coder_hit(m->c, STREAM_OP_HIT, op == old,
			    CONTEXT(old, (i < 5 ? i : 5) * 8 + (length - i < 6 ? length - i : 6),
				    context(old, op_before(m, 1)))))
			op = old;
		else
			op = (unsigned)coder_value(
				m->c, STREAM_OP, op, CONTEXT(old, context(old, op_before(m, 1))));
		op = checked(m, op);
		follow_shape(m, shape, op, new + i);
		(void)push_op(m, op, same_immediates(op, old) ? place + (uint32_t)i + 1 : 0);
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

/* One copy: 0 is none, 1 goes to the end of the old function, others are the length + 1. */
static uint64_t code_copy(
	struct model *m, size_t t, size_t end, uint64_t last_extra, struct body_shape *shape)
{
	uint32_t place = 0, left, total = m->old_start[m->old->n_bodies];
	uint64_t length = 0, word = 0;

	if (m->encoding) {
		length = run_length(m, t, end, true);
		place = length > 0 ? m->from[t] - 1 : 0;
		left = length > 0 ? m->old_start[function_at(m, place) + 1] - place : 0;
		word = length == 0 ? 0 : length == left ? 1 : length + 1;
	}
	word = coder_value(
		m->c, STREAM_CODE_COPY, word, CONTEXT(last_extra < 60 ? last_extra : 60));
	if (word == 0)
		return 0;
	place = m->next_old +
		(uint32_t)coder_signed(m->c, STREAM_CODE_JUMP, (int32_t)(place - m->next_old),
			CONTEXT(last_extra < 40 ? last_extra : 40, word == 1));
	if (place >= total) {
		m->c->bad = true;
		return 0;
	}
	left = m->old_start[function_at(m, place) + 1] - place;
	length = word == 1 ? left : word - 1;
	if (length > total - place) {
		m->c->bad = true;
		return 0;
	}
	code_copied_ops(m, place, length, t, shape);
	m->next_old = place + (uint32_t)length;
	return length;
}

static void code_new_ops(struct model *m, size_t t, uint64_t n, struct body_shape *shape)
{
	for (uint64_t i = 0; i < n && model_ok(m) && !shape->done; i++) {
		unsigned op =
			checked(m, code_new_op(m, m->encoding ? m->new_tokens->op[t + i] : 0));

		follow_shape(m, shape, op, t + i);
		(void)push_op(m, op, 0);
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
		memset(l->sure, 0, l->cap);
	}
	memset(l->small_known, 0, sizeof(l->small_known));
	l->branch = l->branch_shift = 0;
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
	uint64_t count;

	for (unsigned k = 0; k < op->n_imms && model_ok(m); k++) {
		enum wasm_imm kind = op->imms[k];
		const uint64_t *was = old == NULL ? NULL : &old->imm[old->first[index] + k];
		uint8_t pad = 0,
			expected =
				old == NULL ? m->last_pad[kind] : old->pad[old->first[index] + k];
		uint64_t v = 0;

		if (m->encoding) {
			v = m->new_tokens->imm[m->new_tokens->first[new] + k];
			pad = m->new_tokens->pad[m->new_tokens->first[new] + k];
		}
		if (kind == WASM_IMM_COUNT && known_count(m, t, &count))
			v = count;
		else
			v = model_immediate(m, t, k, v, was);
		if (wasm_imm_is_leb(kind)) {
			if (old != NULL && expected != 0)
				expected = (uint8_t)wasm_pad_like(
					kind, expected, wasm_imm_bytes(kind, *was) + expected, v);
			pad = code_pad(m, kind, pad, expected);
			m->last_pad[kind] = pad;
		}
		if (!m->encoding)
			wasm_code_imm(&m->function, k, v, pad);
	}
}

static void code_immediates(struct model *m, size_t f)
{
	size_t new = m->encoding ? m->new_start[f] : 0, index = 0;
	const struct wasm_code *old = NULL;
	uint32_t left = 0, expected = 0;

	forget_local(m);
	wasm_code_reset(&m->function);
	for (size_t t = 0; t < m->n_op && model_ok(m); t++) {
		uint32_t place = m->aligned[t];

		if (!m->encoding && wasm_code_op(&m->function, m->op[t], m->err) != FL_OK) {
			model_fail(m, FL_NOMEM, "no memory for a function");
			return;
		}
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

static void prime_function(struct model *m, uint32_t f)
{
	size_t index;
	uint32_t left;
	const struct wasm_code *old = model_old(m, m->old_start[f], &index, &left);

	forget_local(m);
	m->n_op = 0;
	for (uint32_t i = 0; i < left && model_ok(m); i++) {
		(void)code_new_op(m, old->op[index + i]);
		(void)push_op(m, old->op[index + i], 0);
	}
	for (size_t t = 0; t < m->n_op && model_ok(m); t++) {
		const uint64_t *imm = &old->imm[old->first[index + t]];
		uint64_t count;

		for (unsigned k = 0; k < wasm_ops[m->op[t]].n_imms; k++)
			if (wasm_ops[m->op[t]].imms[k] != WASM_IMM_COUNT ||
				!known_count(m, t, &count))
				(void)model_immediate(m, t, k, imm[k], NULL);
	}
}

/* An adaptive coder learns how old functions from all over the module look, up to a number of
 * tokens. */
static void prime(struct model *m)
{
	uint32_t n = (uint32_t)m->old->n_bodies, step = m->old_start[n] / PRIME_TOKENS + 1,
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

/* Encoding: whether function `f` is its moved partner. What was learned stays learned if so. */
static bool is_sure(struct model *m, size_t f, uint32_t partner)
{
	const struct wasm_body *old = &m->old->bodies[partner], *new = &m->new->bodies[f];
	uint64_t last[2][WASM_IMM_MAX];
	uint8_t last_pad[WASM_IMM_MAX];
	bool sure;

	if (old->size_pad != new->size_pad ||
		m->old_start[partner + 1] - m->old_start[partner] !=
			m->new_start[f + 1] - m->new_start[f])
		return false;
	memcpy(last[0], m->last, sizeof(m->last));
	memcpy(last[1], m->before_last, sizeof(m->last));
	memcpy(last_pad, m->last_pad, sizeof(last_pad));
	learned_mark(&m->addresses);
	m->n_bias_undo = 0;
	m->trying = true;
	fl_buf_reset(&m->out);
	sure = model_move_body(m, partner, &new->bytes);
	m->trying = false;
	if (sure) {
		learned_accept(&m->addresses);
		return true;
	}
	learned_undo(&m->addresses);
	while (m->n_bias_undo > 0) {
		uint32_t undo = m->bias_undo[--m->n_bias_undo];

		m->bias[undo >> 8] = (uint8_t)undo;
	}
	memcpy(m->last, last[0], sizeof(m->last));
	memcpy(m->before_last, last[1], sizeof(m->last));
	memcpy(m->last_pad, last_pad, sizeof(last_pad));
	return false;
}

/* Decoding: the moved partner, its size before it. */
static void write_moved(struct model *m, uint32_t partner)
{
	const struct wasm_body *old = &m->old->bodies[partner];
	uint8_t size[2 * WASM_LEB_MAX];
	size_t before = m->out.n, bytes, guess, n;

	/* The size is known at the end, and mostly as long as that of the old one. */
	guess = (size_t)(wasm_put_unsigned(size, old->bytes.n, old->size_pad) - size);
	fl_buf_add(&m->out, size, guess);
	if (!model_move_body(m, partner, NULL)) {
		m->c->bad |= !m->out.failed;
		return;
	}
	bytes = m->out.n - before - guess;
	n = (size_t)(wasm_put_unsigned(size, bytes, old->size_pad) - size);
	if (fl_buf_reserve(&m->out, WASM_LEB_MAX) == NULL)
		return;
	if (n != guess)
		memmove(m->out.p + before + n, m->out.p + before + guess, bytes);
	memcpy(m->out.p + before, size, n);
	m->out.n = before + n + bytes;
}

/* Decoding: the function whose tokens are there. */
static void write_function(struct model *m)
{
	if (model_ok(m) &&
		wasm_code_emit(&m->function, 0, m->function.n_ops, &m->out, m->err) != FL_OK)
		model_fail(m, m->out.failed ? FL_NOMEM : FL_CORRUPT, "a function does not fit");
}

static void code_function(struct model *m, size_t f)
{
	uint32_t partner = m->partner[f];
	bool sure = false;

	if (partner != MODEL_NONE) {
		sure = m->encoding && is_sure(m, f, partner);
		sure = coder_hit(m->c, STREAM_SURE, sure, CONTEXT(0));
		m->next_old = m->old_start[partner + sure];
	}
	if (!sure) {
		code_ops(m, f);
		if (model_ok(m))
			code_immediates(m, f);
	}
	if (!m->encoding && sure)
		write_moved(m, partner);
	else if (!m->encoding)
		write_function(m);
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
