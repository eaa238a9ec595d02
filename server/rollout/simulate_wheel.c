/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/simulate_in.h"

#include <stdlib.h>
#include <string.h>

bool simulate_wheel_init(struct simulate_wheel *w, uint32_t devices)
{
	w->head = malloc(SIMULATE_WHEEL * sizeof(*w->head));
	w->next = malloc((devices + 1) * sizeof(*w->next));
	w->at = malloc((devices + 1) * sizeof(*w->at));
	if (w->head == NULL || w->next == NULL || w->at == NULL)
		return false;
	memset(w->head, 0xff, SIMULATE_WHEEL * sizeof(*w->head));
	memset(w->at, 0xff, (devices + 1) * sizeof(*w->at));
	return true;
}

void simulate_wheel_fini(struct simulate_wheel *w)
{
	free(w->head);
	free(w->next);
	free(w->at);
}

static void mark(struct simulate_wheel *w, size_t slot, bool busy)
{
	if (busy)
		w->busy[slot / 64] |= 1ULL << slot % 64;
	else
		w->busy[slot / 64] &= ~(1ULL << slot % 64);
}

void simulate_wheel_set(struct simulate_wheel *w, uint32_t device, int64_t second)
{
	size_t slot = (size_t)second % SIMULATE_WHEEL;

	FL_BUG_IF(w->at[device] >= 0);
	w->at[device] = second;
	w->next[device] = w->head[slot];
	w->head[slot] = device;
	mark(w, slot, true);
}

uint32_t simulate_wheel_take(struct simulate_wheel *w, int64_t second)
{
	size_t slot = (size_t)second % SIMULATE_WHEEL;
	uint32_t *p = &w->head[slot], device;

	while (*p != SIMULATE_NOBODY && w->at[*p] != second)
		p = &w->next[*p];
	device = *p;
	if (device == SIMULATE_NOBODY)
		return device;
	*p = w->next[device];
	w->at[device] = -1;
	mark(w, slot, w->head[slot] != SIMULATE_NOBODY);
	return device;
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
