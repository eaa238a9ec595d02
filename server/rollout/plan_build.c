/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of the planner share: memory with a sticky failure, and a table for interning. */
#include "server/rollout/plan_build.h"

#include <stdlib.h>
#include <string.h>

/* ---- memory of the builder */

bool build_nomem(struct plan_builder *b)
{
	if (b->failure.code == FL_OK)
		(void)fl_fail(&b->failure, FL_NOMEM, "no memory for the plan");
	return false;
}

void *build_grow(struct plan_builder *b, void *array, uint32_t n, uint32_t *cap, size_t size)
{
	uint32_t wanted = *cap == 0 ? 64 : *cap * 2;
	void *wider;

	if (n < *cap)
		return array;
	wider = wanted > 1U << 30 ? NULL : realloc(array, wanted * size);
	if (wider == NULL)
		(void)build_nomem(b);
	else
		*cap = wanted;
	return wider;
}

void *build_get(struct plan_builder *b, size_t n, size_t size)
{
	void *p = fl_arena_get(&b->arena, n, size);

	if (p == NULL)
		(void)build_nomem(b);
	return p;
}

void *build_out(struct plan_builder *b, size_t n, size_t size)
{
	void *p = fl_arena_get(&b->out->arena, n, size);

	if (p == NULL)
		(void)build_nomem(b);
	return p;
}

const char *build_text(struct plan_builder *b, const char *text)
{
	const char *copy = fl_arena_text(&b->out->arena, text, strlen(text));

	if (copy == NULL)
		(void)build_nomem(b);
	return copy;
}

/* ---- the table */

uint64_t build_hash(uint64_t h, uint64_t x)
{
	h = (h ^ x) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 29;
}

static bool table_grow(struct plan_builder *b)
{
	struct build_table wider = { .cap = b->table.cap == 0 ? 1024 : b->table.cap * 2 };

	wider.slots = calloc(wider.cap, sizeof(*wider.slots));
	wider.hashes = calloc(wider.cap, sizeof(*wider.hashes));
	if (wider.slots == NULL || wider.hashes == NULL) {
		free(wider.slots);
		free(wider.hashes);
		return build_nomem(b);
	}
	for (uint32_t i = 0; i < b->table.cap; i++) {
		uint32_t k = (uint32_t)b->table.hashes[i];

		if (b->table.slots[i] == 0)
			continue;
		while (wider.slots[k & (wider.cap - 1)] != 0)
			k++;
		wider.slots[k & (wider.cap - 1)] = b->table.slots[i];
		wider.hashes[k & (wider.cap - 1)] = b->table.hashes[i];
	}
	wider.used = b->table.used;
	free(b->table.slots);
	free(b->table.hashes);
	b->table = wider;
	return true;
}

uint32_t build_table_find(struct plan_builder *b, uint64_t hash,
	bool (*same)(const struct plan_builder *b, uint32_t index, const void *key),
	const void *key, uint32_t *slot)
{
	*slot = BUILD_NONE;
	if (b->table.used * 2 >= b->table.cap && !table_grow(b))
		return BUILD_NONE;
	for (uint32_t i = (uint32_t)hash;; i++) {
		uint32_t k = i & (b->table.cap - 1);

		if (b->table.slots[k] == 0) {
			*slot = k;
			return BUILD_NONE;
		}
		if (b->table.hashes[k] == hash && same(b, b->table.slots[k] - 1, key))
			return b->table.slots[k] - 1;
	}
}

void build_table_put(struct plan_builder *b, uint32_t slot, uint64_t hash, uint32_t index)
{
	b->table.slots[slot] = index + 1;
	b->table.hashes[slot] = hash;
	b->table.used++;
}

void build_table_reset(struct plan_builder *b)
{
	free(b->table.slots);
	free(b->table.hashes);
	b->table = (struct build_table){ 0 };
}
