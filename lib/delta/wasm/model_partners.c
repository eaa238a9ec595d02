/* SPDX-License-Identifier: Apache-2.0
 *
 * Which old function each new one was, and the map of function indices that follows. */
#include "lib/delta/wasm/model.h"

#include <string.h>

/* Encoding: the old function at whose first token the new one's first token is aligned. */
static uint32_t aligned_partner(struct model *m, size_t f)
{
	uint32_t place = m->alignment.from[m->alignment.start[f]];
	uint32_t body;

	if (place-- == 0)
		return MODEL_NONE;
	body = old_code_body(&m->old_code, place);
	return m->old_code.start[body] == place ? body : MODEL_NONE;
}

/* Which old functions have no partner yet: a Fenwick tree of their numbers, so that they can be counted
 * and found. */
struct unpaired {
	uint32_t *count; /* [n + 1]; of the functions that node i stands for */
	uint32_t n, left;
};

static void unpaired_init(struct unpaired *u, uint32_t n)
{
	u->n = u->left = n;
	for (uint32_t i = 1; u->count != NULL && i <= n; i++)
		u->count[i] = i & -i;
}

/* How many of the functions before `f`. */
static uint32_t unpaired_before(const struct unpaired *u, uint32_t f)
{
	uint32_t sum = 0;

	for (uint32_t i = f; i > 0; i &= i - 1)
		sum += u->count[i];
	return sum;
}

/* The one that has `before` of them before it; before < left. */
static uint32_t unpaired_find(const struct unpaired *u, uint32_t before)
{
	uint32_t at = 0;

	for (uint32_t step = 1u << 31; step > 0; step >>= 1)
		if (step <= u->n - at && u->count[at + step] <= before) {
			at += step;
			before -= u->count[at];
		}
	return at;
}

static bool is_unpaired(const struct unpaired *u, uint32_t f)
{
	return unpaired_before(u, f + 1) != unpaired_before(u, f);
}

static void unpaired_take(struct unpaired *u, uint32_t f)
{
	u->left--;
	for (uint32_t i = f + 1; i <= u->n; i += i & -i)
		u->count[i]--;
}

enum { PAIR_NONE, PAIR_AGAIN, PAIR_DISTANCE };

/* A partner that was not expected: how many old functions without one lie between. */
static uint32_t code_partner(struct model *m, const struct unpaired *u, uint32_t partner,
	uint32_t expected, uint64_t *last)
{
	bool again = m->encoding && partner != MODEL_NONE && !is_unpaired(u, partner);
	uint32_t rank = unpaired_before(u, expected);
	int64_t distance = 0;
	uint64_t word = PAIR_NONE;

	if (again)
		word = PAIR_AGAIN;
	else if (m->encoding && partner != MODEL_NONE) {
		distance = (int64_t)unpaired_before(u, partner) - rank;
		word = ((uint64_t)distance << 1 ^ (uint64_t)(distance >> 63)) + PAIR_DISTANCE;
	}
	*last = word = coder_value(m->c, STREAM_PAIR, word, CONTEXT(*last));
	if (word == PAIR_NONE)
		return MODEL_NONE;
	if (word == PAIR_AGAIN)
		return (uint32_t)coder_value(m->c, STREAM_PAIR, partner, CONTEXT(~0u));
	word -= PAIR_DISTANCE;
	word = rank + (word >> 1 ^ -(word & 1));
	if (word >= u->left) {
		m->c->bad = true;
		return MODEL_NONE;
	}
	return unpaired_find(u, (uint32_t)word);
}

static void code_partners(struct model *m)
{
	uint32_t n = (uint32_t)m->old->n_bodies, at = 0;
	struct unpaired u = { .count = model_table(m, n, sizeof(*u.count)) };
	uint64_t last = 0;

	unpaired_init(&u, n);
	for (size_t f = 0; f < m->new->n_bodies &&model_ok(m); f++) {
		uint32_t partner = m->encoding ? aligned_partner(m, f) : 0;
		uint32_t rank = unpaired_before(&u, at), expected = MODEL_NONE, gap = 0;

		if (rank < u.left)
			expected = unpaired_find(&u, rank);
		if (rank > 0)
			gap = at - unpaired_find(&u, rank - 1);
		if (coder_hit(m->c, STREAM_PAIR_HIT, partner == expected,
			    CONTEXT(gap < 20 ? gap : 20, last, context(last, gap < 20 ? gap : 20))))
			partner = expected;
		else
			partner = code_partner(m, &u, partner, at, &last);
		if (partner != MODEL_NONE && partner >= n)
			m->c->bad = true;
		m->partner[f] = m->c->bad ? MODEL_NONE : partner;
		if (m->partner[f] == MODEL_NONE)
			continue;
		at = partner + 1;
		if (is_unpaired(&u, partner))
			unpaired_take(&u, partner);
	}
	fl_heap_free(m->heap, u.count);
}

static void map_imports(struct model *m)
{
	size_t guess = 0; /* imports mostly keep their order */

	for (size_t n = 0; n < m->new->n_imports; n++) {
		for (size_t tries = 0; tries < m->old->n_imports; tries++) {
			size_t o = (guess + tries) % m->old->n_imports;

			if (!model_equal(m->old->imports[o], m->new->imports[n]))
				continue;
			m->function_map[o] = (uint32_t)n;
			m->function_known[o] = 1;
			m->old_of[n] = (uint32_t)o;
			guess = o + 1;
			break;
		}
	}
}

static void map_functions(struct model *m)
{
	uint32_t old_imports = (uint32_t)m->old->n_imports,
		 new_imports = (uint32_t)m->new->n_imports;

	memset(m->old_of, 0xff, (m->n_new_functions + 1) * sizeof(*m->old_of));
	map_imports(m);
	for (uint32_t f = 0; f < m->new->n_bodies; f++) {
		uint32_t o = m->partner[f];

		if (o == MODEL_NONE)
			continue;
		m->old_of[new_imports + f] = old_imports + o;
		if (m->function_known[old_imports + o] == 0) {
			m->function_map[old_imports + o] = new_imports + f;
			m->function_known[old_imports + o] = 1;
		}
	}
	for (uint32_t o = 0; o < m->n_old_functions; o++)
		if (m->function_known[o] == 0)
			m->function_map[o] = o == 0 ? 0 : m->function_map[o - 1] + 1;
}

void model_partners(struct model *m)
{
	code_partners(m);
	map_functions(m);
}
