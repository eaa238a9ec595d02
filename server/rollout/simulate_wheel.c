/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/simulate_in.h"

#include <stdlib.h>
#include <string.h>

bool simulate_wheel_init(struct simulate_wheel *w, uint32_t devices)
{
	/* full ones, and in each slot one that is not; none is empty but while one is taken */
	size_t most = devices / SIMULATE_CHUNK + SIMULATE_WHEEL + 1;
	size_t chunks = devices + 2 < most ? devices + 2 : most;

	w->head = malloc(SIMULATE_WHEEL * sizeof(*w->head));
	w->chunks = malloc(chunks * sizeof(*w->chunks));
	w->used = 0;
	w->spare = SIMULATE_NOBODY;
	if (w->head == NULL || w->chunks == NULL)
		return false;
	memset(w->head, 0xff, SIMULATE_WHEEL * sizeof(*w->head));
	return true;
}

void simulate_wheel_fini(struct simulate_wheel *w)
{
	free(w->head);
	free(w->chunks);
}

static void mark(struct simulate_wheel *w, size_t slot, bool busy)
{
	if (busy)
		w->busy[slot / 64] |= 1ULL << slot % 64;
	else
		w->busy[slot / 64] &= ~(1ULL << slot % 64);
}

/* An empty chunk on top of the slot's. */
static struct simulate_chunk *add_chunk(struct simulate_wheel *w, size_t slot)
{
	uint32_t i = w->spare;
	struct simulate_chunk *c;

	if (i == SIMULATE_NOBODY)
		i = w->used++;
	else
		w->spare = w->chunks[i].next;
	c = &w->chunks[i];
	c->next = w->head[slot];
	c->n = 0;
	w->head[slot] = i;
	return c;
}

static void put(struct simulate_wheel *w, size_t slot, struct simulate_entry entry)
{
	struct simulate_chunk *c =
		w->head[slot] == SIMULATE_NOBODY ? NULL : &w->chunks[w->head[slot]];

	if (c == NULL || c->n == SIMULATE_CHUNK)
		c = add_chunk(w, slot);
	c->of[c->n++] = entry;
	mark(w, slot, true);
}

void simulate_wheel_set(struct simulate_wheel *w, uint32_t device, int64_t second)
{
	put(w, (size_t)second % SIMULATE_WHEEL,
		(struct simulate_entry){ device, (uint32_t)second });
}

uint32_t simulate_wheel_take(struct simulate_wheel *w, int64_t second, uint32_t *out)
{
	size_t slot = (size_t)second % SIMULATE_WHEEL;
	uint32_t i = w->head[slot], n = 0;

	w->head[slot] = SIMULATE_NOBODY;
	mark(w, slot, false);
	while (i != SIMULATE_NOBODY) {
		struct simulate_chunk *c = &w->chunks[i];
		uint32_t next = c->next;

		for (uint32_t k = 0; k < c->n; k++) {
			if (c->of[k].second == (uint32_t)second)
				out[n++] = c->of[k].device;
			else
				put(w, slot, c->of[k]);
		}
		c->next = w->spare;
		w->spare = i;
		i = next;
	}
	return n;
}

int64_t simulate_wheel_next(const struct simulate_wheel *w, int64_t from)
{
	size_t slot = (size_t)from % SIMULATE_WHEEL, passed = 0;
	uint64_t word = w->busy[slot / 64] & ~0ULL << slot % 64;

	while (word == 0 && passed < SIMULATE_WHEEL) {
		size_t step = 64 - slot % 64;

		passed += step;
		slot = (slot + step) % SIMULATE_WHEEL;
		word = w->busy[slot / 64];
	}
	if (word == 0)
		return from + SIMULATE_WHEEL;
	return from + (int64_t)passed + __builtin_ctzll(word) - (int64_t)(slot % 64);
}
