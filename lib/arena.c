/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE ((size_t)64 << 10)
#define ALIGNMENT  alignof(max_align_t)

struct fl_arena_block {
	struct fl_arena_block *next;
	size_t used, size;
	alignas(max_align_t) unsigned char bytes[];
};

/* Large pieces get a block of their own, put behind the newest, whose rest stays in use. */
static struct fl_arena_block *add_block(struct fl_arena *a, size_t n)
{
	size_t size = n > BLOCK_SIZE / 4 ? n : BLOCK_SIZE;
	struct fl_arena_block *b;

	if (a->max != 0 && (a->total > a->max || size > a->max - a->total))
		return NULL;
	b = calloc(1, sizeof(*b) + size);
	if (b == NULL)
		return NULL;
	b->size = size;
	a->total += size;
	if (a->blocks != NULL && n > BLOCK_SIZE / 4) {
		b->next = a->blocks->next;
		a->blocks->next = b;
	} else {
		b->next = a->blocks;
		a->blocks = b;
	}
	return b;
}

void *fl_arena_get(struct fl_arena *a, size_t n, size_t size)
{
	struct fl_arena_block *b = a->blocks;
	size_t bytes;
	void *p;

	if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX / 2)
		return NULL;
	bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	if (b == NULL || b->size - b->used < bytes)
		b = add_block(a, bytes);
	if (b == NULL)
		return NULL;
	p = b->bytes + b->used;
	b->used += bytes;
	return p;
}

char *fl_arena_text(struct fl_arena *a, const char *s, size_t n)
{
	char *copy = fl_arena_get(a, n + 1, 1);

	if (copy != NULL && n > 0)
		memcpy(copy, s, n);
	return copy;
}

void fl_arena_fini(struct fl_arena *a)
{
	while (a->blocks != NULL) {
		struct fl_arena_block *b = a->blocks;

		a->blocks = b->next;
		free(b);
	}
	a->total = 0;
}
