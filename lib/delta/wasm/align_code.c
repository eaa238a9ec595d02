/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/delta/wasm/align_code.h"

#include "lib/delta/wasm/align.h"
#include "lib/delta/wasm/code.h"
#include "lib/delta/wasm/walk.h"

#include <stdlib.h>
#include <string.h>

#define SEAM_MAX 64 /* tokens that a seam is moved by at most */

static const struct wasm_align_options code_options = {
	.far_gain = 12, .near_gain = 5, .near = 512, .fill_gaps = true
};

/* ---- a byte a token */

void wasm_symbols_drop(struct wasm_symbols *s)
{
	fl_buf_fini(&s->bytes);
}

void wasm_symbols_fini(struct wasm_symbols *s)
{
	wasm_symbols_drop(s);
	free(s->start);
	*s = (struct wasm_symbols){ 0 };
}

/* What of an immediate takes part in the alignment: indices that shift do not. */
static uint64_t stable(enum wasm_imm kind, unsigned op, uint64_t v)
{
	switch (kind) {
	case WASM_IMM_FUNCTION:
	case WASM_IMM_TYPE:
	case WASM_IMM_GLOBAL:
	case WASM_IMM_PAD:
	case WASM_IMM_BLOCK:
	case WASM_IMM_LOCAL:
		return 0;
	case WASM_IMM_I32:
	case WASM_IMM_I64:
	case WASM_IMM_OFFSET:
		return (int64_t)v >= 512 || (int64_t)v < -512 ? 1 << 20 : v;
	case WASM_IMM_COUNT:
		return op == WASM_TOKEN_FUNCTION || op == WASM_TOKEN_RAW ? 0 : v;
	default:
		return v;
	}
}

/* A token on its way to a symbol: all of it that was seen. */
struct hashing {
	uint8_t *to; /* behind the last symbol */
	uint64_t hash;
	unsigned op;
	bool begun;
};

static inline void end_token(struct hashing *x)
{
	uint64_t h = x->hash * 0x9e3779b97f4a7c15u;

	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93u;
	if (x->begun)
		*x->to++ = (uint8_t)(h >> 56);
	x->begun = false;
}

static inline bool hash_before(void *ctx, const struct wasm_walk *w)
{
	(void)ctx;
	(void)w;
	return true;
}

static inline void hash_token(void *ctx, unsigned op)
{
	struct hashing *x = ctx;

	end_token(x);
	x->hash = x->op = op;
	x->begun = true;
}

static inline bool hash_imm(
	void *ctx, unsigned k, enum wasm_imm kind, const struct wasm_number *n, const uint8_t *end)
{
	struct hashing *x = ctx;

	(void)k;
	(void)end;
	x->hash = x->hash * 0x100000001b3u + stable(kind, x->op, n->v) + 1;
	return true;
}

/* The symbols of one body go to `to`; returns behind them. */
static uint8_t *hash_body(struct fl_bytes body, uint8_t *to)
{
	static const struct wasm_visitor visitor = { hash_before, hash_token, hash_imm };
	struct wasm_walk w = wasm_walk_start(body);
	struct hashing x = { .to = to };

	if (wasm_walk(&w, &visitor, &x)) {
		end_token(&x);
		return x.to;
	}
	*to++ = 0;
	if (body.n > 0)
		memcpy(to, body.p, body.n);
	return to + body.n;
}

enum fl_code wasm_symbols_of(
	struct wasm_symbols *s, const struct wasm_module *m, struct fl_err *err)
{
	size_t most = 0;
	uint8_t *to;

	for (size_t f = 0; f < m->n_bodies; f++)
		most += wasm_code_raw_count(m->bodies[f].bytes); /* each token has a byte */
	s->start = calloc(m->n_bodies + 1, sizeof(*s->start));
	to = fl_buf_reserve(&s->bytes, most);
	if (s->start == NULL || to == NULL)
		return fl_fail(err, FL_NOMEM, "no memory to align %zu instructions", most);
	s->n_bodies = m->n_bodies;
	for (size_t f = 0; f < m->n_bodies; f++) {
		s->start[f] = (uint32_t)(to - s->bytes.p);
		to = hash_body(m->bodies[f].bytes, to);
	}
	s->bytes.n = (size_t)(to - s->bytes.p);
	s->start[m->n_bodies] = (uint32_t)s->bytes.n;
	return FL_OK;
}

/* ---- their alignment */

static void trace(const struct wasm_copies *copies, uint32_t *from)
{
	size_t at = 0;

	for (size_t k = 0; k < copies->n; k++) {
		for (uint32_t i = 0; i < copies->list[k].length; i++)
			from[at++] = copies->list[k].old + i + 1;
		at += copies->list[k].extra;
	}
}

/* Whether `count` old tokens from `old` look like the new ones from `new`. */
static bool alike(const struct wasm_symbols *o, const struct wasm_symbols *n, size_t old,
	size_t new, size_t count)
{
	return old + count <= o->bytes.n && memcmp(o->bytes.p + old, n->bytes.p + new, count) == 0;
}

/* Where equal text allows a copy to end a little earlier or later, let it end between two functions:
 * `at` is the first token of one. */
static void move_seam(
	const struct wasm_symbols *o, const struct wasm_symbols *n, uint32_t *from, size_t at)
{
	size_t first = at - 1, last = at;

	while (first > 0 && at - first < SEAM_MAX && from[first - 1] + 1 == from[first])
		first--;
	if (first > 0 && from[first - 1] != 0 && from[first] != 0 &&
		alike(o, n, from[first - 1], first, at - first))
		for (size_t i = first; i < at; i++)
			from[i] = from[i - 1] + 1;
	while (last + 1 < n->bytes.n && last - at < SEAM_MAX && from[last + 1] == from[last] + 1)
		last++;
	last++;
	if (last < n->bytes.n && from[last] > last - at && from[at] != 0 &&
		alike(o, n, from[last] - 1 - (last - at), at, last - at))
		for (size_t i = last; i > at; i--)
			from[i - 1] = from[i] - 1;
}

enum fl_code wasm_align_code(const struct wasm_symbols *old, const struct wasm_symbols *new,
	uint32_t **from, struct fl_err *err)
{
	struct wasm_copies copies = { 0 };
	enum fl_code code = wasm_align((struct fl_bytes){ old->bytes.p, old->bytes.n },
		(struct fl_bytes){ new->bytes.p, new->bytes.n }, &code_options, &copies, err);

	if (code != FL_OK)
		return code;
	*from = calloc(new->bytes.n + 1, sizeof(**from));
	if (*from == NULL)
		code = fl_fail(err, FL_NOMEM, "no memory to align instructions");
	else
		trace(&copies, *from);
	for (size_t f = 1; f < new->n_bodies &&code == FL_OK; f++)
		move_seam(old, new, *from, new->start[f]);
	wasm_copies_fini(&copies);
	return code;
}
