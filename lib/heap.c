/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/heap.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"

/* Before each block: how large it is, itself included. */
union head {
	size_t bytes;
	max_align_t align;
};

/* Whether a block may change from `was` to `bytes`; 0 bytes are too many to be counted. */
static bool allowed(struct fl_heap *h, size_t was, size_t bytes)
{
	bool over = h->limit != 0 && bytes > was && h->used + (bytes - was) > h->limit;

	h->over |= over;
	return ++h->calls != h->fail_at && bytes != 0 && !over;
}

static void count(struct fl_heap *h, size_t was, size_t bytes)
{
	h->used = h->used - was + bytes;
	if (h->used > h->peak)
		h->peak = h->used;
}

/* Bytes of a block with its head; 0: too many. */
static size_t with_head(size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes) ||
		__builtin_add_overflow(bytes, sizeof(union head), &bytes))
		return 0;
	return bytes;
}

void *fl_heap_alloc(struct fl_heap *h, size_t n, size_t size)
{
	size_t bytes = with_head(n, size);
	union head *head;

	if (h == NULL)
		return calloc(n, size);
	head = allowed(h, 0, bytes) ? calloc(1, bytes) : NULL;
	h->failed |= head == NULL;
	if (head == NULL)
		return NULL;
	head->bytes = bytes;
	count(h, 0, bytes);
	return head + 1;
}

void *fl_heap_resize(struct fl_heap *h, void *p, size_t n, size_t size)
{
	union head *head = p == NULL ? NULL : (union head *)p - 1;
	size_t bytes = with_head(n, size), was = h == NULL || head == NULL ? 0 : head->bytes;

	if (h == NULL)
		return reallocarray(p, n, size);
	head = allowed(h, was, bytes) ? realloc(head, bytes) : NULL;
	h->failed |= head == NULL;
	if (head == NULL)
		return NULL;
	head->bytes = bytes;
	count(h, was, bytes);
	return head + 1;
}

void fl_heap_free(struct fl_heap *h, void *p)
{
	union head *head = p == NULL ? NULL : (union head *)p - 1;

	if (h == NULL) {
		free(p);
		return;
	}
	if (head == NULL)
		return;
	FL_BUG_IF(head->bytes > h->used);
	count(h, head->bytes, 0);
	free(head);
}
