/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/search.h"

#include "lib/err.h"

#include <stdlib.h>
#include <string.h>

static uint64_t hash(const uint8_t *p, size_t n)
{
	uint64_t h = 1469598103934665603u;

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 1099511628211u;
	return h ^ h >> 29;
}

static void *need(void *p)
{
	FL_BUG_IF(p == NULL);
	return p;
}

void search_init(struct search *s, size_t key_bytes, size_t max)
{
	*s = (struct search){ .key_bytes = key_bytes, .max = max, .table_size = 1 };
	while (s->table_size < 2 * max)
		s->table_size *= 2;
	s->keys = need(malloc(max * key_bytes));
	s->parent = need(malloc(max * sizeof(*s->parent)));
	s->table = need(calloc(s->table_size, sizeof(*s->table)));
}

void search_fini(struct search *s)
{
	free(s->keys);
	free(s->parent);
	free(s->table);
}

bool search_add(struct search *s, const uint8_t *key, uint32_t from)
{
	size_t at = (size_t)hash(key, s->key_bytes) & (s->table_size - 1);

	while (s->table[at] != 0) {
		if (memcmp(search_key(s, s->table[at] - 1), key, s->key_bytes) == 0)
			return true;
		at = (at + 1) & (s->table_size - 1);
	}
	if (s->n == s->max)
		return false;
	memcpy(s->keys + s->n * s->key_bytes, key, s->key_bytes);
	s->parent[s->n] = from;
	s->table[at] = (uint32_t)++s->n;
	return true;
}
