/* SPDX-License-Identifier: Apache-2.0
 *
 * What has been learned of numbers: old value -> new value, and for values never seen the shift of the
 * nearest smaller one that was. Addresses move in blocks, so a neighbour's shift is a good guess.
 *
 * DESIGN. The exact pairs are in a hash table with linear probing; the shifts are kept sorted in
 * chunks of bounded size. Everything can be undone back to a mark, so that the encoder can try. */
#ifndef FL_WASM_LEARNED_H
#define FL_WASM_LEARNED_H

#include "lib/buf.h"

#define LEARNED_NONE UINT64_MAX /* the `old` of an empty place; no value of a module */

struct learned_pair {
	uint64_t old, new;
};

struct learned_shift {
	uint64_t old;
	int64_t shift;
};

#define LEARNED_CHUNK 256

struct learned_chunk {
	unsigned n;
	struct learned_shift shift[LEARNED_CHUNK];
};

struct learned_undo {
	uint64_t old, new; /* what the pair was before */
	bool was;          /* it was there */
};

/* Zeroed, but for the heap: nothing learned. */
struct learned {
	struct fl_heap *heap; /* borrowed; NULL: malloc's */
	struct learned_pair *pairs;
	size_t n, cap;
	uint64_t highest;              /* no `old` above it is there */
	struct learned_chunk **chunks; /* ordered; never empty chunks */
	size_t n_chunks, cap_chunks;
	struct learned_undo *undo;
	size_t n_undo, cap_undo;
	bool recording;
	bool failed; /* no memory: later calls do nothing */
};

/* Free what it has; it is empty then. */
void learned_fini(struct learned *l);
/* Whether `old` was seen; *new gets what it became. */
bool learned_get(const struct learned *l, uint64_t old, uint64_t *new);
/* `old` moved by the shift of the nearest value at or below it; itself when there is none. */
uint64_t learned_near(const struct learned *l, uint64_t old);
/* Remember a pair; a changed one is replaced. */
void learned_put(struct learned *l, uint64_t old, uint64_t new);
/* From now on changes can be undone; and undo them, or accept them. */
void learned_mark(struct learned *l);
void learned_undo(struct learned *l);
void learned_accept(struct learned *l);
/* Heap in use. */
uint64_t learned_memory(const struct learned *l);

#endif
