/* SPDX-License-Identifier: Apache-2.0
 *
 * Immediates: each kind is expected from the old one at its place by what that kind's numbers do when
 * code moves. What has no old place is coded in the context of what stands around it. */
#include "lib/delta/wasm/model.h"

#include <stdlib.h>
#include <string.h>

#define BIG_MAX (1LL << 48) /* larger numbers are no addresses */

static unsigned op_at(const struct model *m, size_t t)
{
	return t < m->n_op ? m->op[t] : 0;
}

static unsigned op_before(const struct model *m, size_t t)
{
	return t > 0 ? m->op[t - 1] : 0;
}

static struct coder *coder(const struct model *m)
{
	return m->c;
}

/* ---- indices with a map over the module */

/* A number that is expected; otherwise itself. A macro like those of the coder. */
#define expect(m, kind, v, expected, hit, miss)                                    \
	(coder_hit(coder(m), STREAM_OF_IMM(kind, IMM_HIT), (v) == (expected), hit) \
			? (expected)                                               \
			: coder_value(coder(m), STREAM_OF_IMM(kind, IMM_OTHER), v, miss))

static uint64_t function_imm(struct model *m, uint64_t v, uint64_t old)
{
	uint64_t expected = model_function(m, old);
	unsigned known = old < m->n_old_functions ? m->function_known[old] : 9;

	v = expect(m, WASM_IMM_FUNCTION, v, expected, CONTEXT(known, old, expected),
		CONTEXT(expected, old));
	if (old < m->n_old_functions) {
		m->function_map[old] = (uint32_t)v;
		m->function_known[old] = 2;
	}
	return v;
}

static uint64_t type_imm(struct model *m, uint64_t v, uint64_t old)
{
	bool mapped = old < m->old->n_types;
	uint64_t expected = mapped ? m->type_map[old] : old;

	v = expect(m, WASM_IMM_TYPE, v, expected, CONTEXT(old), CONTEXT(old));
	if (mapped && v <= UINT32_MAX)
		m->type_map[old] = (uint32_t)v;
	return v;
}

static uint64_t block_imm(struct model *m, uint64_t v, uint64_t old)
{
	uint64_t expected = old < m->old->n_types ? m->type_map[old] : old;

	if (coder_hit(
		    coder(m), STREAM_OF_IMM(WASM_IMM_BLOCK, IMM_HIT), v == expected, CONTEXT(old)))
		return expected;
	return (uint64_t)coder_signed(
		coder(m), STREAM_OF_IMM(WASM_IMM_BLOCK, IMM_OTHER), (int64_t)v, CONTEXT(old));
}

static uint64_t global_imm(struct model *m, uint64_t v, uint64_t old)
{
	bool mapped = old < MODEL_GLOBALS;
	uint64_t expected = mapped ? m->global_map[old] : old;

	v = expect(m, WASM_IMM_GLOBAL, v, expected, CONTEXT(old), CONTEXT(old));
	if (mapped && v <= UINT32_MAX)
		m->global_map[old] = (uint32_t)v;
	return v;
}

/* ---- locals: renumbered within a function */

static bool room_for_local(struct model *m, uint64_t old)
{
	struct model_local *l = &m->local;
	size_t cap = old + 64;
	uint32_t *to, *before;
	uint8_t *sure;

	if (old < l->cap)
		return true;
	if (old >= 1 << 20)
		return false;
	to = fl_heap_resize(m->heap, l->to, cap, sizeof(*to));
	if (to != NULL)
		l->to = to;
	before = fl_heap_resize(m->heap, l->before, cap, sizeof(*before));
	if (before != NULL)
		l->before = before;
	sure = fl_heap_resize(m->heap, l->sure, cap, 1);
	if (sure != NULL)
		l->sure = sure;
	if (to == NULL || before == NULL || sure == NULL) {
		model_fail(m, FL_NOMEM, "no memory for the locals of a function");
		return false;
	}
	memset(l->to + l->cap, 0xff, (cap - l->cap) * sizeof(*to));
	memset(l->before + l->cap, 0xff, (cap - l->cap) * sizeof(*before));
	memset(l->sure + l->cap, 0, cap - l->cap);
	l->cap = cap;
	return true;
}

/* The known one, or shifted like the nearest one below it. */
static uint64_t expected_local(const struct model *m, uint64_t old)
{
	const struct model_local *l = &m->local;

	if (l->to[old] != MODEL_NONE)
		return l->to[old];
	for (uint64_t below = old; below-- > 0;)
		if (l->to[below] != MODEL_NONE)
			return old + l->to[below] - below;
	return old;
}

/* The old local that has overtaken `new`, which `old` was expected to become; MODEL_NONE. */
static uint32_t overtaker(const struct model_local *l, uint64_t new, uint64_t old)
{
	if (new >= MODEL_OWNERS || l->owner[new] == old)
		return MODEL_NONE;
	return l->owner[new];
}

static void learn_local(struct model_local *l, uint64_t old, uint64_t v, uint64_t expected)
{
	if (l->to[old] == MODEL_NONE || v != expected)
		l->sure[old] = 0;
	else if (l->sure[old] < 20)
		l->sure[old]++;
	if (l->to[old] != v)
		l->before[old] = l->to[old];
	l->to[old] = v < MODEL_NONE ? (uint32_t)v : MODEL_NONE;
	if (v < MODEL_OWNERS)
		l->owner[v] = (uint32_t)old;
}

static void use_local(struct model_local *l, uint64_t v)
{
	unsigned i = 0;

	while (i < MODEL_RECENT - 1 && l->recent[i] != v)
		i++;
	memmove(l->recent + 1, l->recent, i * sizeof(l->recent[0]));
	l->recent[0] = v < MODEL_NONE ? (uint32_t)v : MODEL_NONE;
}

/* Plain: which of the locals that it may be, the likely ones first. */
static uint64_t ranked_local(
	struct model *m, unsigned stream, uint64_t v, const uint64_t *likely, size_t n)
{
	uint64_t list[MODEL_RANKS], rank = 0;
	size_t length = 0;

	for (size_t i = 0; i < n + MODEL_RECENT; i++) {
		uint64_t one = i < n ? likely[i] : m->local.recent[i - n];
		bool known = one == MODEL_NONE;

		for (size_t k = 0; k < length && !known; k++)
			known = list[k] == one;
		if (!known)
			list[length++] = one;
	}
	while (rank < length && list[rank] != v)
		rank++;
	rank = coder_value(coder(m), stream, rank < length ? rank : v + MODEL_RANKS, CONTEXT(0));
	if (rank < length)
		return list[rank];
	m->c->bad |= rank < MODEL_RANKS;
	return rank - MODEL_RANKS;
}

/* What an old local may have become. */
struct local_guess {
	uint64_t expected, other;
	bool conflict; /* another one has overtaken it */
};

/* Plain: what is doubtful is not asked first. */
static uint64_t plain_local(struct model *m, uint64_t v, uint64_t old, const struct local_guess *g)
{
	const uint64_t doubtful[] = { g->other, g->expected, m->local.before[old], old };
	const uint64_t missed[] = { g->expected, m->local.before[old], old };
	unsigned stream = STREAM_OF_IMM(WASM_IMM_LOCAL, IMM_OTHER);

	if (g->conflict)
		v = ranked_local(m, stream, v, doubtful, FL_COUNT(doubtful));
	else if (coder_hit(coder(m), STREAM_OF_IMM(WASM_IMM_LOCAL, IMM_HIT), v == g->expected,
			 CONTEXT(0)))
		v = g->expected;
	else
		v = ranked_local(m, stream, v, missed, FL_COUNT(missed));
	use_local(&m->local, v);
	return v;
}

static uint64_t local_imm(struct model *m, size_t t, uint64_t v, uint64_t old)
{
	struct model_local *l = &m->local;
	uint64_t expected, sure, run = m->run < 9 ? m->run : 9, op = m->op[t], here, other = old;
	uint64_t last = m->last[WASM_IMM_LOCAL], before_last = m->before_last[WASM_IMM_LOCAL];
	uint32_t overtaken;
	unsigned conflict;

	if (!room_for_local(m, old))
		return expect(m, WASM_IMM_LOCAL, v, old, CONTEXT(old), CONTEXT(old));
	expected = expected_local(m, old);
	sure = l->to[old] == MODEL_NONE ? 0 : 1u + (l->sure[old] < 6 ? l->sure[old] : 6);
	overtaken = overtaker(l, expected, old);
	conflict = overtaken != MODEL_NONE;
	if (conflict)
		other = l->before[overtaken]; /* often they have changed places */
	if (coder_is_plain(m->c)) {
		v = plain_local(m, v, old, &(struct local_guess){ expected, other, conflict != 0 });
		learn_local(l, old, v, expected);
		return v;
	}
	here = context(m->body, old);
	v = expect(m, WASM_IMM_LOCAL, v, expected,
		CONTEXT(context(sure * 4 + (expected == old ? 2 : 0) + conflict, op),
			context(context(sure, expected), run),
			context(context(expected, op_before(m, t)), op), context(here, expected),
			context(here, op), context(context(conflict, op), run)),
		CONTEXT(expected, context(last, expected), context(other, l->before[old]),
			context(here, expected), context(old, expected), context(other, conflict),
			context(op, op_before(m, t)),
			context(context(last, before_last), expected)));
	learn_local(l, old, v, expected);
	return v;
}

/* ---- constants and offsets: small ones are fields and counts, big ones may be addresses */

struct guess {
	uint64_t old, first, second, slot;
	uint64_t behind, before; /* as the next string */
	uint64_t state, text;    /* for contexts: of all; which of the strings agree with `first` */
	bool big, exact;
	uint32_t bias; /* index of the neighbourhood's bias */
	uint64_t near;
};

static bool in_data(const struct model *m, uint64_t v)
{
	return v >= m->data_low && v < m->data_high + (1 << 16);
}

static void guess_big(const struct model *m, enum wasm_imm kind, uint64_t old, struct guess *g)
{
	bool near_first;

	g->big = true;
	g->first = g->second = old;
	if (learned_get(&m->addresses, old, &g->first)) {
		g->exact = true;
		return;
	}
	if (kind == WASM_IMM_I64 || !model_moved(m, old, &g->near))
		g->near = learned_near(&m->addresses, old);
	g->bias = (uint32_t)((old >> 12) ^ ((uint64_t)kind << 11)) & 0xffff;
	near_first = in_data(m, old) ? m->bias[g->bias] < 3 : m->bias[g->bias] >= 2;
	g->first = near_first ? g->near : old;
	g->second = near_first ? old : g->near;
}

static int64_t small_near(const struct model_local *l, unsigned i)
{
	for (unsigned word = i / 64 + 1; word-- > 0;) {
		uint64_t bits = l->small_known[word];

		if (word == i / 64)
			bits &= ~(uint64_t)0 >> (63 - i % 64);
		if (bits != 0) {
			unsigned known = word * 64 + 63 - (unsigned)__builtin_clzll(bits);

			return l->small[known] - ((int64_t)known + MODEL_SMALL_MIN);
		}
	}
	return 0;
}

static void guess_small(const struct model *m, uint64_t old, struct guess *g)
{
	const struct model_local *l = &m->local;
	int64_t v = (int64_t)old;
	unsigned i = (unsigned)(v - MODEL_SMALL_MIN);

	g->first = g->second = old;
	if (v < MODEL_SMALL_MIN || v >= (int64_t)m->small_max)
		return;
	g->exact = (l->small_known[i / 64] >> i % 64 & 1) != 0;
	if (g->exact)
		g->first = (uint64_t)l->small[i];
	else
		g->second = old + (uint64_t)small_near(l, i);
}

static void set_bias(struct model *m, uint32_t i, int value)
{
	if (value < 0 || value > 6 || value == m->bias[i])
		return;
	if (m->trying) {
		if (m->n_bias_undo == m->cap_bias_undo) {
			size_t cap = m->cap_bias_undo == 0 ? 256 : 2 * m->cap_bias_undo;
			uint32_t *undo = fl_heap_resize(m->heap, m->bias_undo, cap, sizeof(*undo));

			if (undo == NULL) {
				model_fail(m, FL_NOMEM, "no memory to try a function");
				return;
			}
			m->bias_undo = undo;
			m->cap_bias_undo = cap;
		}
		m->bias_undo[m->n_bias_undo++] = i << 8 | m->bias[i];
	}
	m->bias[i] = (uint8_t)value;
}

/* Inside of the data addresses are expected to move and outside to stay, until shown otherwise. */
static void learn_bias(struct model *m, const struct guess *g, uint64_t old, uint64_t v)
{
	bool inside = in_data(m, old);
	int bias = m->bias[g->bias];

	if (g->near != old && v == g->near)
		set_bias(m, g->bias, inside ? bias - 1 : bias < 3 ? bias + 1 : bias);
	else if (g->near != old && v == old)
		set_bias(m, g->bias, inside ? bias + 1 : bias - 1);
	else if (g->near == old && v != old && !inside && bias < 3)
		set_bias(m, g->bias, bias + 1);
}

static void learn_number(struct model *m, const struct guess *g, uint64_t old, uint64_t v)
{
	struct model_local *l = &m->local;
	unsigned i = (unsigned)((int64_t)old - MODEL_SMALL_MIN);

	if (g->big) {
		if (!g->exact)
			learn_bias(m, g, old, v);
		learned_put(&m->addresses, old, v);
	} else if ((int64_t)old >= MODEL_SMALL_MIN && (int64_t)old < (int64_t)m->small_max) {
		l->small[i] = (int64_t)v;
		l->small_known[i / 64] |= (uint64_t)1 << i % 64;
	}
}

uint64_t model_moved_number(struct model *m, enum wasm_imm kind, uint64_t old)
{
	struct guess g = { 0 };

	if ((int64_t)old < (int64_t)m->small_max || (int64_t)old >= BIG_MAX)
		return old;
	guess_big(m, kind, old, &g);
	learn_number(m, &g, old, g.first);
	return g.first;
}

/* What a number may be that is not as expected. */
enum number_kind { NUMBER_SECOND, NUMBER_SLOT, NUMBER_EXACT, NUMBER_BEHIND, NUMBER_BEFORE };

static enum number_kind kind_of_number(const struct guess *g, uint64_t v)
{
	const struct {
		uint64_t v;
		enum number_kind kind;
	} choices[] = {
		{ g->second, NUMBER_SECOND },
		{ g->slot, NUMBER_SLOT },
		{ g->behind, NUMBER_BEHIND },
		{ g->before, NUMBER_BEFORE },
	};

	for (size_t i = 0; i < FL_COUNT(choices); i++)
		if (choices[i].v == v)
			return choices[i].kind;
	return NUMBER_EXACT;
}

static void guess_number(const struct model *m, enum wasm_imm kind, uint64_t old, struct guess *g)
{
	if (old >= m->small_max && old < BIG_MAX)
		guess_big(m, kind, old, g);
	else
		guess_small(m, old, g);
	g->slot = g->behind = g->before = g->first;
	if (kind != WASM_IMM_I32)
		return;
	(void)learned_get(&m->slots, (uint32_t)old, &g->slot);
	if (!g->big)
		return;
	g->behind = m->text.address + m->text.behind;
	g->before = m->text.address + m->text.before;
	g->text = 1u + (g->behind == g->first) + 2u * (g->before == g->first);
}

static uint64_t missed_number(
	struct model *m, size_t t, enum wasm_imm kind, uint64_t v, const struct guess *g)
{
	uint64_t op = m->op[t], base = context(m->body, m->last[WASM_IMM_LOCAL]);
	struct model_local *l = &m->local;

	switch ((enum number_kind)coder_value(coder(m), STREAM_OF_IMM(kind, IMM_OTHER),
		kind_of_number(g, v),
		CONTEXT(g->state, context(g->state, op), context(g->state, m->text.kind),
			context(base, g->state)))) {
	case NUMBER_SECOND:
		return g->second;
	case NUMBER_SLOT:
		return g->slot;
	case NUMBER_BEHIND:
		return g->behind;
	case NUMBER_BEFORE:
		return g->before;
	case NUMBER_EXACT:
		break;
	}
	l->shift = (uint64_t)coder_signed(coder(m), STREAM_OF_IMM(kind, IMM_EXACT),
		(int64_t)(v - g->first),
		CONTEXT(g->state, context(op, g->first), context(base, op),
			context(l->shift, g->state), context(m->body, g->old)));
	return g->first + l->shift;
}

static uint64_t number_imm(struct model *m, size_t t, enum wasm_imm kind, uint64_t v, uint64_t old)
{
	struct guess g = { .old = old };
	uint64_t op = m->op[t], base = context(m->body, m->last[WASM_IMM_LOCAL]);

	guess_number(m, kind, old, &g);
	g.state = (uint64_t)g.big | (uint64_t)g.exact << 1 | (uint64_t)(g.first == old) << 2 |
		(uint64_t)(g.second == g.first) << 3 | (uint64_t)(g.slot != g.first) << 4;
	if (coder_hit(coder(m), STREAM_OF_IMM(kind, IMM_HIT), v == g.first,
		    CONTEXT(g.state, old, context(context(g.state, op), op_before(m, t)),
			    context(context(g.text, m->text.kind), g.state), context(base, old),
			    context(context(base, g.first), g.state))))
		v = g.first;
	else
		v = missed_number(m, t, kind, v, &g);
	if (g.text != 0)
		m->text.kind = v == g.behind ? 1 : v == g.before ? 2 : 0;
	learn_number(m, &g, old, v);
	return v;
}

/* ---- branches, and what has no map */

static uint64_t label_imm(struct model *m, size_t t, uint64_t v, uint64_t old)
{
	struct model_local *l = &m->local;
	bool follows =
		m->op[t] == WASM_TOKEN_BRANCH && m->run > 0 && op_before(m, t) == WASM_TOKEN_BRANCH;
	uint64_t expected = old + (follows ? l->branch_shift : 0), op = m->op[t];

	if (coder_hit(coder(m), STREAM_OF_IMM(WASM_IMM_LABEL, IMM_HIT), v == expected,
		    CONTEXT(op, context(old, op), context(op_before(m, t), l->branch_shift != 0))))
		v = expected;
	else
		v = expected +
			(uint64_t)coder_signed(coder(m), STREAM_OF_IMM(WASM_IMM_LABEL, IMM_OTHER),
				(int64_t)(v - expected),
				CONTEXT(context(op, l->branch_shift), context(old, op)));
	l->branch_shift = v - old;
	l->branch = v;
	return v;
}

static uint64_t other_imm(struct model *m, size_t t, enum wasm_imm kind, uint64_t v, uint64_t old)
{
	return expect(m, kind, v, old, CONTEXT(m->op[t], old, op_before(m, t)),
		CONTEXT(context(old, m->op[t]), m->op[t]));
}

static uint64_t aligned_imm(struct model *m, size_t t, enum wasm_imm kind, uint64_t v, uint64_t old)
{
	switch (kind) {
	case WASM_IMM_FUNCTION:
		return function_imm(m, v, old);
	case WASM_IMM_TYPE:
		return type_imm(m, v, old);
	case WASM_IMM_BLOCK:
		return block_imm(m, v, old);
	case WASM_IMM_GLOBAL:
		return global_imm(m, v, old);
	case WASM_IMM_LOCAL:
		return local_imm(m, t, v, old);
	case WASM_IMM_I32:
	case WASM_IMM_I64:
	case WASM_IMM_OFFSET:
		return number_imm(m, t, kind, v, old);
	case WASM_IMM_LABEL:
		return label_imm(m, t, v, old);
	default:
		return other_imm(m, t, kind, v, old);
	}
}

/* ---- new ones */

static uint64_t bytes_imm(struct model *m, size_t t, enum wasm_imm kind, uint64_t v)
{
	int n = kind == WASM_IMM_F32 ? 4 : kind == WASM_IMM_F64 ? 8 : 1;
	uint64_t result = 0, op = m->op[t], next = op_at(m, t + 1);

	/* The highest byte first: sign and exponent tell most. */
	for (int i = n; i-- > 0;) {
		uint64_t place = context((uint64_t)i, result);

		result = result << 8 |
			coder_byte(coder(m), STREAM_OF_IMM(kind, IMM_NEW), (uint8_t)(v >> (8 * i)),
				CONTEXT(place, context(context((uint64_t)i, op), next),
					context(place, op_before(m, t)), context(place, next)));
	}
	return result;
}

static uint64_t new_number(struct model *m, size_t t, enum wasm_imm kind, uint64_t v)
{
	uint64_t o = m->op[t], p = op_before(m, t), p2 = t > 1 ? m->op[t - 2] : 0;
	uint64_t n = op_at(m, t + 1), n2 = op_at(m, t + 2), l1 = m->last[kind],
		 l2 = m->before_last[kind];
	uint64_t local = m->last[WASM_IMM_LOCAL], offset = m->last[WASM_IMM_OFFSET];
	uint64_t around = context(context(o, p), n), wide = context(context(around, p2), n2);
	unsigned stream = STREAM_OF_IMM(kind, IMM_NEW);

	switch (kind) {
	case WASM_IMM_LOCAL:
		return coder_value(coder(m), stream, v,
			CONTEXT(context(o, l1), around, context(context(l1, l2), o), wide,
				context(around, l1), context(context(l1, l2), around),
				context(m->body, o), context(context(m->body, l1), o),
				context(context(m->body, l1), l2)));
	case WASM_IMM_OFFSET:
		return coder_value(coder(m), stream, v,
			CONTEXT(context(o, p), context(local, o), context(context(l1, local), o),
				around, context(l1, l2), context(context(local, offset), p)));
	case WASM_IMM_FUNCTION:
		return coder_value(coder(m), stream, v,
			CONTEXT(l1, context(l1, l2), around, wide,
				context(m->last[WASM_IMM_I32], p), context(local, around)));
	default:
		return coder_value(coder(m), stream, v,
			CONTEXT(o, around, wide, context(l1, o), context(l1, l2),
				context(context(offset, local), n)));
	}
}

static uint64_t new_imm(struct model *m, size_t t, enum wasm_imm kind, uint64_t v)
{
	if (!wasm_imm_is_leb(kind) && kind != WASM_IMM_PAD)
		return bytes_imm(m, t, kind, v);
	if (m->op[t] == WASM_TOKEN_BRANCH) {
		v = m->local.branch +
			(uint64_t)coder_signed(coder(m), STREAM_OF_IMM(kind, IMM_NEW),
				(int64_t)(v - m->local.branch), CONTEXT(op_before(m, t)));
		m->local.branch = v;
		return v;
	}
	if (kind == WASM_IMM_LOCAL && coder_is_plain(m->c)) {
		v = ranked_local(m, STREAM_OF_IMM(kind, IMM_NEW), v, NULL, 0);
		use_local(&m->local, v);
		return v;
	}
	if (!wasm_imm_is_signed(kind))
		return new_number(m, t, kind, v);
	v = new_number(m, t, kind, v << 1 ^ (uint64_t)((int64_t)v >> 63));
	return v >> 1 ^ -(v & 1);
}

uint64_t model_immediate(struct model *m, size_t t, unsigned k, uint64_t v, const uint64_t *old)
{
	enum wasm_imm kind = wasm_ops[m->op[t]].imms[k];

	v = old != NULL ? aligned_imm(m, t, kind, v, *old) : new_imm(m, t, kind, v);
	model_remember(m, kind, v);
	return v;
}
