/* SPDX-License-Identifier: Apache-2.0
 *
 * A breadth-first search: the states in the order of discovery, each kept once as bytes. */
#ifndef SIM_SEARCH_H
#define SIM_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct search {
	size_t key_bytes;
	uint8_t *keys;    /* states in the order of discovery */
	uint32_t *parent; /* the state that each was reached from */
	uint32_t *table;  /* open hash: index + 1 */
	size_t n, max, table_size;
};

/* Room for `max` states of so many bytes. Aborts without memory. */
void search_init(struct search *s, size_t key_bytes, size_t max);
void search_fini(struct search *s);
/* Add a state unless it is known. False: there are more states than there is room for. */
bool search_add(struct search *s, const uint8_t *key, uint32_t from);
static inline const uint8_t *search_key(const struct search *s, uint32_t state)
{
	return s->keys + state * s->key_bytes;
}

#endif
