/* SPDX-License-Identifier: Apache-2.0
 *
 * The code section, function by function: its tokens (model_ops.c), then their immediates. */
#include "lib/delta/wasm/model.h"

#include <stdlib.h>
#include <string.h>

#define PRIME_TOKENS 16384 /* of the old module, from which an adaptive coder learns */

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

static void code_token(struct model *m, size_t t, const struct wasm_code *old, size_t index)
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
			v = m->tokens.imm[m->tokens.first[t] + k];
			pad[k] = m->tokens.pad[m->tokens.first[t] + k];
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

static void code_immediates(struct model *m)
{
	size_t index = 0;
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
		code_token(m, t, place != 0 ? old : NULL, index);
		if (place != 0) {
			expected = place + 1;
			index++;
			left--;
		}
	}
}

/* ---- what the old code teaches before the first new function */

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
	model_ops_of_old(m, f);
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

/* Encoding: the tokens of function `f`. */
static bool parse_new(struct model *m, size_t f)
{
	m->tokens.n_ops = m->tokens.n_imms = 0;
	if (wasm_code_parse(&m->tokens, &m->new->bodies[f], m->err) == FL_OK)
		return true;
	model_fail(m, FL_NOMEM, "no memory to parse a function");
	return false;
}

/* A function by its tokens and immediates. */
static void code_changed(struct model *m, size_t f)
{
	if (m->encoding && !parse_new(m, f))
		return;
	model_ops(m, f);
	if (model_ok(m))
		code_immediates(m);
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
		unsigned class = model_length_class(old_code_length(&m->old_code, partner));
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
