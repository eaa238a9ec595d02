/* SPDX-License-Identifier: Apache-2.0
 *
 * A function that comes out as its old partner makes expect: the old bytes with the indices and
 * addresses that have moved. Most functions of a small change are such, so this is the loop in which
 * coding spends its time. */
#include "lib/delta/wasm/model.h"

#include "lib/delta/wasm/walk.h"

#include <string.h>

struct moving {
	struct model *m;
	const uint8_t *copied;   /* old bytes before this are in m->out, perhaps changed */
	const uint8_t *expected; /* encoding: what must come out; NULL: anything may */
	size_t left, start;      /* bytes of it; where the body begins in m->out */
};

/* Encoding: whether what came out since `from` is as it must be. */
static bool as_expected(const struct moving *s, size_t from)
{
	const struct fl_buf *out = &s->m->out;

	return s->expected == NULL ||
		(out->n - s->start <= s->left &&
			memcmp(out->p + from, s->expected + (from - s->start), out->n - from) == 0);
}

static uint64_t moved(struct model *m, enum wasm_imm kind, uint64_t old)
{
	switch (kind) {
	case WASM_IMM_FUNCTION:
		return model_function(m, old);
	case WASM_IMM_TYPE:
	case WASM_IMM_BLOCK: /* the negative ones are no indices */
		return old < m->old->n_types ? m->type_map[old] : old;
	case WASM_IMM_GLOBAL:
		return old < MODEL_GLOBALS ? m->global_map[old] : old;
	case WASM_IMM_I32:
	case WASM_IMM_I64:
	case WASM_IMM_OFFSET:
		return (int64_t)old < (int64_t)m->small_max ? old
							    : model_moved_number(m, kind, old);
	default:
		return old;
	}
}

static bool replace(struct moving *s, enum wasm_imm kind, const struct wasm_number *n, uint64_t v,
	const uint8_t *end)
{
	struct fl_buf *out = &s->m->out;
	unsigned pad = wasm_pad_like(kind, n->pad, (size_t)(end - n->from), v);
	size_t from = out->n;
	uint8_t *to;

	fl_buf_add(out, s->copied, (size_t)(n->from - s->copied));
	to = fl_buf_reserve(out, 2 * WASM_LEB_MAX);
	if (to == NULL)
		return false;
	out->n += (size_t)((wasm_imm_is_signed(kind) ? wasm_put_signed(to, (int64_t)v, pad)
						     : wasm_put_unsigned(to, v, pad)) -
		to);
	s->copied = end;
	s->m->last_pad[kind] = (uint8_t)pad;
	return as_expected(s, from);
}

static inline bool move_before(void *ctx, const struct wasm_walk *w)
{
	(void)ctx;
	(void)w;
	return true;
}

static inline void move_token(void *ctx, unsigned op)
{
	(void)ctx;
	(void)op;
}

static inline bool move_imm(
	void *ctx, unsigned k, enum wasm_imm kind, const struct wasm_number *n, const uint8_t *end)
{
	struct moving *s = ctx;
	uint64_t v = moved(s->m, kind, n->v);

	(void)k;
	model_remember(s->m, kind, v);
	s->m->last_pad[kind] = (uint8_t)n->pad;
	return v == n->v || replace(s, kind, n, v, end);
}

bool model_move_body(struct model *m, uint32_t partner, const struct fl_bytes *expected)
{
	static const struct wasm_visitor visitor = { move_before, move_token, move_imm };
	struct fl_bytes body = m->old->bodies[partner].bytes;
	struct wasm_walk w = wasm_walk_start(body);
	struct moving s = { .m = m, .copied = body.p, .start = m->out.n };
	size_t from;

	if (expected != NULL) {
		s.expected = expected->p;
		s.left = expected->n;
	}
	if (!old_code_is_raw(&m->old_code, partner) && !wasm_walk(&w, &visitor, &s))
		return false;
	from = m->out.n;
	fl_buf_add(&m->out, s.copied, (size_t)(body.p + body.n - s.copied));
	return !m->out.failed && as_expected(&s, from) &&
		(expected == NULL || m->out.n - s.start == expected->n);
}

/* ---- how sure it is */

struct doubts {
	const struct model *m;
	unsigned calls, addresses;
};

static inline bool doubt_imm(
	void *ctx, unsigned k, enum wasm_imm kind, const struct wasm_number *n, const uint8_t *end)
{
	struct doubts *d = ctx;
	uint64_t v;

	(void)k;
	(void)end;
	if (kind == WASM_IMM_FUNCTION)
		d->calls += n->v < d->m->n_old_functions && d->m->function_known[n->v] == 0;
	else if ((kind == WASM_IMM_I32 || kind == WASM_IMM_OFFSET) &&
		(int64_t)n->v >= (int64_t)d->m->small_max)
		d->addresses += !learned_get(&d->m->addresses, n->v, &v);
	return true;
}

unsigned model_doubts(const struct model *m, uint32_t partner)
{
	static const struct wasm_visitor visitor = { move_before, move_token, doubt_imm };
	struct wasm_walk w = wasm_walk_start(m->old->bodies[partner].bytes);
	struct doubts d = { .m = m };

	if (!old_code_is_raw(&m->old_code, partner))
		(void)wasm_walk(&w, &visitor, &d);
	return (d.calls > 2 ? 2 : d.calls) * 8 + (d.addresses > 7 ? 7 : d.addresses);
}

bool model_is_sure(struct model *m, size_t f, uint32_t partner)
{
	const struct wasm_body *old = &m->old->bodies[partner], *new = &m->new->bodies[f];
	uint64_t last[2][WASM_IMM_MAX];
	uint8_t last_pad[WASM_IMM_MAX];
	struct model_text text = m->text;
	bool sure;

	if (old->size_pad != new->size_pad ||
		old_code_length(&m->old_code, partner) !=
			m->alignment.start[f + 1] - m->alignment.start[f])
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
	m->text = text;
	memcpy(m->last, last[0], sizeof(m->last));
	memcpy(m->before_last, last[1], sizeof(m->last));
	memcpy(m->last_pad, last_pad, sizeof(last_pad));
	return false;
}
