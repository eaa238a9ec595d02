/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that is taken piece by piece and given back at once. Not thread-safe. */
#ifndef FL_ARENA_H
#define FL_ARENA_H

#include <stddef.h>

struct fl_arena_block;

/* Zeroed memory is a valid empty arena. */
struct fl_arena {
	struct fl_arena_block *blocks; /* newest first; owned */
	size_t total;                  /* bytes allocated from the system */
	size_t max;                    /* fl_arena_get fails beyond this total; 0 = no limit */
};

/* Zeroed memory for n objects of `size` bytes, aligned for any type; lives until fini. NULL if there
 * is none, if `max` would be passed or if the product overflows. n or size may be 0 (not NULL). */
void *fl_arena_get(struct fl_arena *a, size_t n, size_t size);
/* A terminated copy of n bytes. */
char *fl_arena_text(struct fl_arena *a, const char *s, size_t n);
/* Give everything back. Safe twice and on zeroed memory. */
void fl_arena_fini(struct fl_arena *a);

#define FL_AUTO_ARENA __attribute__((cleanup(fl_arena_fini)))

#endif
