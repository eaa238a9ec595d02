/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/delta/wasm/learned.h"

#include <stdlib.h>
#include <string.h>

void learned_fini(struct learned *l)
{
	for (size_t i = 0; i < l->n_chunks; i++)
		fl_heap_free(l->heap, l->chunks[i]);
	fl_heap_free(l->heap, l->chunks);
	fl_heap_free(l->heap, l->pairs);
	fl_heap_free(l->heap, l->undo);
	*l = (struct learned){ .heap = l->heap };
}

/* ---- pairs */

static size_t place(const struct learned_pair *pairs, size_t cap, uint64_t old)
{
	size_t i = (size_t)((old * 0x9e3779b97f4a7c15u) >> 20) & (cap - 1);

	while (pairs[i].old != LEARNED_NONE && pairs[i].old != old)
		i = (i + 1) & (cap - 1);
	return i;
}

static bool grow_pairs(struct learned *l)
{
	size_t cap = l->cap == 0 ? 1024 : 2 * l->cap;
	struct learned_pair *pairs = fl_heap_resize(l->heap, NULL, cap, sizeof(*pairs));

	if (pairs == NULL)
		return false;
	memset(pairs, 0xff, cap * sizeof(*pairs)); /* LEARNED_NONE */
	for (size_t i = 0; i < l->cap; i++)
		if (l->pairs[i].old != LEARNED_NONE)
			pairs[place(pairs, cap, l->pairs[i].old)] = l->pairs[i];
	fl_heap_free(l->heap, l->pairs);
	l->pairs = pairs;
	l->cap = cap;
	return true;
}

bool learned_get(const struct learned *l, uint64_t old, uint64_t *new)
{
	size_t i;

	if (l->n == 0 || old > l->highest)
		return false;
	i = place(l->pairs, l->cap, old);
	if (l->pairs[i].old == LEARNED_NONE)
		return false;
	*new = l->pairs[i].new;
	return true;
}

/* ---- shifts */

/* The chunk that `old` belongs to: the last one that begins at or below it, the first if none does. */
static size_t chunk_of(const struct learned *l, uint64_t old)
{
	size_t low = 0, high = l->n_chunks;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (l->chunks[middle]->shift[0].old <= old)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* How many of the chunk's values are at or below `old`. */
static unsigned below(const struct learned_chunk *chunk, uint64_t old)
{
	unsigned low = 0, high = chunk->n;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (chunk->shift[middle].old <= old)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint64_t learned_near(const struct learned *l, uint64_t old)
{
	const struct learned_chunk *chunk;
	unsigned n;

	if (l->n_chunks == 0)
		return old;
	chunk = l->chunks[chunk_of(l, old)];
	n = below(chunk, old);
	return n == 0 ? old : old + (uint64_t)chunk->shift[n - 1].shift;
}

static bool insert_chunk(struct learned *l, size_t at)
{
	struct learned_chunk *chunk = fl_heap_alloc(l->heap, 1, sizeof(*chunk));

	if (chunk != NULL && l->n_chunks == l->cap_chunks) {
		size_t cap = l->cap_chunks == 0 ? 16 : 2 * l->cap_chunks;
		struct learned_chunk **chunks =
			fl_heap_resize(l->heap, l->chunks, cap, sizeof(struct learned_chunk *));

		if (chunks == NULL) {
			fl_heap_free(l->heap, chunk);
			return false;
		}
		l->chunks = chunks;
		l->cap_chunks = cap;
	}
	if (chunk == NULL)
		return false;
	chunk->n = 0;
	memmove(l->chunks + at + 1, l->chunks + at,
		(l->n_chunks - at) * sizeof(struct learned_chunk *));
	l->chunks[at] = chunk;
	l->n_chunks++;
	return true;
}

/* Make room in the full chunk `at` by moving its upper half to a new one. */
static bool split_chunk(struct learned *l, size_t at)
{
	struct learned_chunk *lower = l->chunks[at], *upper;

	if (!insert_chunk(l, at + 1))
		return false;
	upper = l->chunks[at + 1];
	upper->n = LEARNED_CHUNK / 2;
	lower->n -= upper->n;
	memcpy(upper->shift, lower->shift + lower->n, upper->n * sizeof(upper->shift[0]));
	return true;
}

static bool set_shift(struct learned *l, uint64_t old, int64_t shift)
{
	size_t at;
	struct learned_chunk *chunk;
	unsigned n;

	if (l->n_chunks == 0 && !insert_chunk(l, 0))
		return false;
	at = chunk_of(l, old);
	if (l->chunks[at]->n == LEARNED_CHUNK) {
		if (!split_chunk(l, at))
			return false;
		at = chunk_of(l, old);
	}
	chunk = l->chunks[at];
	n = below(chunk, old);
	if (n > 0 && chunk->shift[n - 1].old == old) {
		chunk->shift[n - 1].shift = shift;
		return true;
	}
	memmove(chunk->shift + n + 1, chunk->shift + n, (chunk->n - n) * sizeof(chunk->shift[0]));
	chunk->shift[n] = (struct learned_shift){ old, shift };
	chunk->n++;
	return true;
}

static void remove_shift(struct learned *l, uint64_t old)
{
	size_t at = chunk_of(l, old);
	struct learned_chunk *chunk = l->chunks[at];
	unsigned n = below(chunk, old);

	FL_BUG_IF(n == 0 || chunk->shift[n - 1].old != old);
	chunk->n--;
	memmove(chunk->shift + n - 1, chunk->shift + n,
		(chunk->n - (n - 1)) * sizeof(chunk->shift[0]));
	if (chunk->n > 0)
		return;
	fl_heap_free(l->heap, chunk);
	l->n_chunks--;
	memmove(l->chunks + at, l->chunks + at + 1,
		(l->n_chunks - at) * sizeof(struct learned_chunk *));
}

/* ---- both */

static bool record(struct learned *l, const struct learned_pair *before, uint64_t old)
{
	if (!l->recording)
		return true;
	if (l->n_undo == l->cap_undo) {
		size_t cap = l->cap_undo == 0 ? 256 : 2 * l->cap_undo;
		struct learned_undo *undo = fl_heap_resize(l->heap, l->undo, cap, sizeof(*undo));

		if (undo == NULL)
			return false;
		l->undo = undo;
		l->cap_undo = cap;
	}
	l->undo[l->n_undo++] =
		(struct learned_undo){ old, before->new, before->old != LEARNED_NONE };
	return true;
}

void learned_put(struct learned *l, uint64_t old, uint64_t new)
{
	struct learned_pair *pair;

	if (l->failed || old == LEARNED_NONE)
		return;
	if (4 * (l->n + 1) > 3 * l->cap && !grow_pairs(l)) {
		l->failed = true;
		return;
	}
	pair = &l->pairs[place(l->pairs, l->cap, old)];
	if (pair->old == old && pair->new == new)
		return;
	if (!record(l, pair, old) || !set_shift(l, old, (int64_t)(new - old))) {
		l->failed = true;
		return;
	}
	l->n += pair->old == LEARNED_NONE;
	*pair = (struct learned_pair){ old, new };
	if (old > l->highest)
		l->highest = old;
}

void learned_mark(struct learned *l)
{
	l->recording = true;
	l->n_undo = 0;
}

void learned_accept(struct learned *l)
{
	l->recording = false;
}

/* Empty a place and move up what was put behind it because it was taken. */
static void unplace(struct learned *l, size_t hole)
{
	size_t mask = l->cap - 1;

	l->pairs[hole].old = LEARNED_NONE;
	for (size_t i = (hole + 1) & mask; l->pairs[i].old != LEARNED_NONE; i = (i + 1) & mask) {
		size_t home = (size_t)((l->pairs[i].old * 0x9e3779b97f4a7c15u) >> 20) & mask;

		if (((i - home) & mask) < ((i - hole) & mask))
			continue;
		l->pairs[hole] = l->pairs[i];
		l->pairs[i].old = LEARNED_NONE;
		hole = i;
	}
}

void learned_undo(struct learned *l)
{
	l->recording = false;
	while (l->n_undo > 0) {
		struct learned_undo *u = &l->undo[--l->n_undo];
		struct learned_pair *pair = &l->pairs[place(l->pairs, l->cap, u->old)];

		if (u->was) {
			pair->new = u->new;
			(void)set_shift(l, u->old, (int64_t)(u->new - u->old));
		} else {
			unplace(l, (size_t)(pair - l->pairs));
			l->n--;
			remove_shift(l, u->old);
		}
	}
}

uint64_t learned_memory(const struct learned *l)
{
	return l->cap * sizeof(*l->pairs) + l->n_chunks * sizeof(struct learned_chunk);
}
