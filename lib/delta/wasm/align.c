/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/delta/wasm/align.h"

#include "lib/delta/wasm/align_gap.h"

#include <stdlib.h>
#include <string.h>

#define GRAM        8  /* symbols of a run in the index */
#define CANDIDATES  48 /* that one search looks at */
#define NONE        UINT32_MAX
#define GAP_CELLS   6000000 /* of one dynamic programme */
#define GAP_OLD_MAX 20000

/* ---- the index of the old sequence */

struct index {
	uint32_t *head, *next;
	unsigned shift;
};

static uint32_t gram_hash(const struct index *x, const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, GRAM);
	return (uint32_t)((v * 0x9e3779b97f4a7c15u) >> x->shift);
}

static bool index_build(struct index *x, struct fl_bytes old)
{
	unsigned bits = 12;

	while (bits < 22 && (size_t)1 << bits < old.n)
		bits++;
	x->shift = 64 - bits;
	x->head = malloc(sizeof(*x->head) << bits);
	x->next = malloc(sizeof(*x->next) * (old.n + 1));
	if (x->head == NULL || x->next == NULL)
		return false;
	memset(x->head, 0xff, sizeof(*x->head) << bits);
	for (size_t i = 0; i + GRAM <= old.n; i++) {
		uint32_t h = gram_hash(x, old.p + i);

		x->next[i] = x->head[h];
		x->head[h] = (uint32_t)i;
	}
	return true;
}

static void index_fini(struct index *x)
{
	free(x->head);
	free(x->next);
}

/* ---- the search */

struct aligner {
	struct fl_bytes old, new;
	const struct wasm_align_options *o;
	struct index index;
	struct wasm_copies out;
	size_t cap;
	bool no_memory;
};

static int64_t agree(const struct aligner *a, int64_t old, int64_t new)
{
	const uint8_t *p = a->old.p + old, *q = a->new.p + new;
	int64_t most = (int64_t)a->old.n - old, left = (int64_t)a->new.n - new, n = 0;

	if (left < most)
		most = left;
	while (n + 8 <= most) {
		uint64_t x, y;

		memcpy(&x, p + n, 8);
		memcpy(&y, q + n, 8);
		if (x != y)
			return n + (__builtin_ctzll(x ^ y) >> 3);
		n += 8;
	}
	while (n < most && p[n] == q[n])
		n++;
	return n;
}

/* The longest run of old that agrees with new at `at`; of equal ones the nearest to `want`. */
static int64_t search(const struct aligner *a, int64_t at, int64_t want, int64_t *pos)
{
	int64_t best = 0;
	uint32_t i;

	*pos = 0;
	if (want >= 0 && want < (int64_t)a->old.n) {
		best = agree(a, want, at);
		*pos = want;
	}
	if (at + GRAM > (int64_t)a->new.n || a->old.n < GRAM)
		return best;
	i = a->index.head[gram_hash(&a->index, a->new.p + at)];
	for (int n = 0; i != NONE && n < CANDIDATES; n++, i = a->index.next[i]) {
		int64_t length = agree(a, i, at);

		if (length > best || (length == best && llabs(i - want) < llabs(*pos - want))) {
			best = length;
			*pos = i;
		}
	}
	return best;
}

static void add(struct aligner *a, int64_t old, int64_t length, int64_t extra)
{
	if (a->out.n == a->cap) {
		size_t cap = a->cap == 0 ? 64 : 2 * a->cap;
		struct wasm_copy *list = reallocarray(a->out.list, cap, sizeof(*list));

		if (list == NULL) {
			a->no_memory = true;
			return;
		}
		a->out.list = list;
		a->cap = cap;
	}
	a->out.list[a->out.n++] =
		(struct wasm_copy){ (uint32_t)old, (uint32_t)length, (uint32_t)extra };
}

/* ---- bsdiff's scan */

struct scan {
	int64_t at, length, pos;             /* the present match */
	int64_t last_at, last_pos, last_off; /* the copy that is being built */
};

static bool same(const struct aligner *a, int64_t old, int64_t new)
{
	return old >= 0 && old < (int64_t)a->old.n && a->old.p[old] == a->new.p[new];
}

/* Symbols of the last copy that pay when it is extended forwards. */
static int64_t extend_forwards(const struct aligner *a, const struct scan *s)
{
	int64_t score = 0, best = 0, length = 0;

	for (int64_t i = 0; s->last_at + i < s->at && s->last_pos + i < (int64_t)a->old.n;) {
		score += a->old.p[s->last_pos + i] == a->new.p[s->last_at + i];
		i++;
		if (score * 2 - i > best * 2 - length) {
			best = score;
			length = i;
		}
	}
	return length;
}

static int64_t extend_backwards(const struct aligner *a, const struct scan *s)
{
	int64_t score = 0, best = 0, length = 0;

	if (s->at >= (int64_t)a->new.n)
		return 0;
	for (int64_t i = 1; s->at >= s->last_at + i && s->pos >= i; i++) {
		score += a->old.p[s->pos - i] == a->new.p[s->at - i];
		if (score * 2 - i > best * 2 - length) {
			best = score;
			length = i;
		}
	}
	return length;
}

/* Where both extensions claim the same symbols, cut where they agree most. */
static void share(
	const struct aligner *a, const struct scan *s, int64_t *forwards, int64_t *backwards)
{
	int64_t overlap = s->last_at + *forwards - (s->at - *backwards);
	int64_t score = 0, best = 0, length = 0;

	if (overlap <= 0)
		return;
	for (int64_t i = 0; i < overlap; i++) {
		int64_t f = *forwards - overlap + i, b = i - *backwards;

		score += a->new.p[s->last_at + f] == a->old.p[s->last_pos + f];
		score -= a->new.p[s->at + b] == a->old.p[s->pos + b];
		if (score > best) {
			best = score;
			length = i + 1;
		}
	}
	*forwards += length - overlap;
	*backwards -= length;
}

static void close_copy(struct aligner *a, struct scan *s)
{
	int64_t forwards = extend_forwards(a, s), backwards = extend_backwards(a, s);

	share(a, s, &forwards, &backwards);
	add(a, s->last_pos, forwards, s->at - backwards - (s->last_at + forwards));
	s->last_at = s->at - backwards;
	s->last_pos = s->pos - backwards;
	s->last_off = s->pos - s->at;
}

static int64_t gain_wanted(const struct aligner *a, const struct scan *s)
{
	bool near = llabs(s->pos - s->at - s->last_off) < a->o->near;

	return near ? a->o->near_gain : a->o->far_gain;
}

/* Move on to the next match that is clearly better than going on with the last copy; returns how many
 * of its symbols going on would get right too. */
static int64_t next_match(struct aligner *a, struct scan *s)
{
	int64_t n = (int64_t)a->new.n, going_on = 0, counted;

	s->at += s->length;
	for (counted = s->at; s->at < n; s->at++) {
		s->length = search(a, s->at, s->at + s->last_off, &s->pos);
		for (; counted < s->at + s->length; counted++)
			going_on += same(a, counted + s->last_off, counted);
		if ((s->length == going_on && s->length != 0) ||
			s->length > going_on + gain_wanted(a, s))
			break;
		going_on -= same(a, s->at + s->last_off, s->at);
	}
	return going_on;
}

static void scan_all(struct aligner *a)
{
	struct scan s = { 0 };
	int64_t n = (int64_t)a->new.n;

	while (s.at < n && !a->no_memory) {
		int64_t going_on = next_match(a, &s);

		if (s.length != going_on || s.at == n)
			close_copy(a, &s);
	}
}

/* ---- gaps: align new symbols with the old ones in whose place they came */

struct gap {
	int64_t old_at, old_n, new_at, new_n;
};

/* Walk the decisions back from the end; the pieces come out in reverse order. */
static void gap_trace(struct aligner *a, const struct gap *g, const uint8_t *decision)
{
	int64_t i = g->new_n, j = g->old_n, end = 0;
	bool inside = false;

	while (i > 0 && j > 0) {
		uint8_t bits = decision[i * (g->old_n + 1) + j];

		if (!inside && (bits & ALIGN_GAP_COPY) != 0) {
			inside = true;
			end = i;
		} else if (!inside) {
			if ((bits & ALIGN_GAP_SKIP_OLD) != 0)
				j--;
			else
				i--;
		} else {
			i--;
			j--;
			if ((bits & ALIGN_GAP_GOES_ON) == 0) {
				add(a, g->old_at + j, end - i,
					i); /* i for now in the place of extra */
				inside = false;
			}
		}
	}
	if (inside)
		add(a, g->old_at + j, end - i, i);
}

/* Append the copies of the gap's best alignment, the last one first. */
static void align_gap_symbols(struct aligner *a, const struct gap *g)
{
	const struct fl_bytes old = { a->old.p + g->old_at, (size_t)g->old_n };
	const struct fl_bytes new = { a->new.p + g->new_at, (size_t)g->new_n };
	int32_t score = 0;
	uint8_t *decisions = align_gap(old, new, &score);

	a->no_memory |= decisions == NULL;
	if (decisions != NULL && score > 0)
		gap_trace(a, g, decisions);
	free(decisions);
}

/* Append what covers the gap, as copies behind the last one of a->out. */
static void fill_gap(struct aligner *a, const struct gap *g)
{
	size_t before = a->out.n;
	int64_t done = 0;

	if (g->old_n >= 3 && g->new_n >= 3 && (g->new_n + 1) * (g->old_n + 1) <= GAP_CELLS)
		align_gap_symbols(a, g);
	for (size_t l = before, r = a->out.n; l + 1 < r; l++, r--) {
		struct wasm_copy swap = a->out.list[l];

		a->out.list[l] = a->out.list[r - 1];
		a->out.list[r - 1] = swap;
	}
	for (size_t k = before; k < a->out.n; k++) {
		struct wasm_copy *c = &a->out.list[k];

		a->out.list[k - 1].extra = (uint32_t)(c->extra - done);
		done = (int64_t)c->extra + c->length;
	}
	a->out.list[a->out.n - 1].extra = (uint32_t)(g->new_n - done);
}

static void fill_gaps(struct aligner *a)
{
	struct wasm_copies in = a->out;
	int64_t at = 0;

	a->out = (struct wasm_copies){ 0 };
	a->cap = 0;
	for (size_t k = 0; k < in.n && !a->no_memory; k++) {
		const struct wasm_copy *c = &in.list[k];
		int64_t from = (int64_t)c->old + c->length, old_n = (int64_t)a->old.n;
		int64_t to = k + 1 < in.n ? in.list[k + 1].old : old_n;

		at += c->length;
		add(a, c->old, c->length, 0);
		/* After a far jump the text that follows the last copy is the best guess. */
		if (to < from || to - from > GAP_OLD_MAX)
			to = from + (c->extra + 64 < 2000 ? c->extra + 64 : 2000);
		if (to > old_n)
			to = old_n;
		if (c->extra > 0 && !a->no_memory)
			fill_gap(a, &(struct gap){ from, to - from, at, c->extra });
		at += c->extra;
	}
	free(in.list);
}

/* Join copies that go on where the one before ends; drop empty ones. */
static void tidy(struct wasm_copies *c)
{
	size_t n = 0;

	for (size_t k = 0; k < c->n; k++) {
		struct wasm_copy *last = n > 0 ? &c->list[n - 1] : NULL, x = c->list[k];

		if (last != NULL && last->extra == 0 && last->old + last->length == x.old) {
			last->length += x.length;
			last->extra = x.extra;
		} else if (last != NULL && x.length == 0) {
			last->extra += x.extra;
		} else if (x.length + x.extra > 0) {
			c->list[n++] = x;
		}
	}
	c->n = n;
}

enum fl_code wasm_align(struct fl_bytes old, struct fl_bytes new,
	const struct wasm_align_options *o, struct wasm_copies *out, struct fl_err *err)
{
	struct aligner a = { .old = old, .new = new, .o = o };

	if (old.n < GRAM || new.n == 0) {
		add(&a, 0, 0, (int64_t) new.n);
	} else {
		a.no_memory = !index_build(&a.index, old);
		if (!a.no_memory)
			scan_all(&a);
		index_fini(&a.index);
		if (o->fill_gaps && !a.no_memory)
			fill_gaps(&a);
		tidy(&a.out);
	}
	if (a.no_memory) {
		free(a.out.list);
		return fl_fail(
			err, FL_NOMEM, "no memory to align %zu with %zu symbols", new.n, old.n);
	}
	*out = a.out;
	return FL_OK;
}

void wasm_copies_fini(struct wasm_copies *c)
{
	fl_heap_free(c->heap, c->list);
	*c = (struct wasm_copies){ .heap = c->heap };
}
