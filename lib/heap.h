/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that is counted, up to a limit: for work whose input says how much it takes, and lies. */
#ifndef FL_HEAP_H
#define FL_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed: nothing used, no limit. One thread at a time. What is allocated from a heap is resized and freed
 * with the same one; NULL instead of a heap is malloc's, not counted. */
struct fl_heap {
	uint64_t limit; /* of `used`, bytes; 0: none */
	uint64_t used, peak;
	uint64_t calls;   /* allocations so far, and changes of size */
	uint64_t fail_at; /* the call that fails, from 1; 0: none. For tests */
	bool failed;      /* some call gave no memory, */
	bool over;        /* because of the limit */
};

/* n * size zeroed bytes; NULL without memory. */
void *fl_heap_alloc(struct fl_heap *h, size_t n, size_t size);
/* Change the size to n * size bytes; new ones are not zeroed. NULL without memory: `p` stays. */
void *fl_heap_resize(struct fl_heap *h, void *p, size_t n, size_t size);
/* Free; NULL is nothing. */
void fl_heap_free(struct fl_heap *h, void *p);

#endif
