/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/simulate_in.h"

#include <stdlib.h>
#include <string.h>

bool simulate_wheel_init(struct simulate_wheel *w, uint32_t devices)
{
	w->head = malloc(SIMULATE_WHEEL * sizeof(*w->head));
	w->slot = malloc((devices + 1) * sizeof(*w->slot));
	if (w->head == NULL || w->slot == NULL)
		return false;
	memset(w->head, 0xff, SIMULATE_WHEEL * sizeof(*w->head));
	memset(w->slot, 0xff, (devices + 1) * sizeof(*w->slot));
	return true;
}

void simulate_wheel_fini(struct simulate_wheel *w)
{
	free(w->head);
	free(w->slot);
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

	FL_BUG_IF(w->slot[device].at >= 0);
	w->slot[device] = (struct simulate_slot){ second, w->head[slot] };
	w->head[slot] = device;
	mark(w, slot, true);
}

uint32_t simulate_wheel_take(struct simulate_wheel *w, int64_t second, uint32_t *out)
{
	size_t slot = (size_t)second % SIMULATE_WHEEL;
	uint32_t device = w->head[slot], kept = SIMULATE_NOBODY, n = 0;

	while (device != SIMULATE_NOBODY) {
		struct simulate_slot *s = &w->slot[device];
		uint32_t next = s->next;

		if (s->at == second) {
			s->at = -1;
			out[n++] = device;
		} else {
			s->next = kept;
			kept = device;
		}
		device = next;
	}
	w->head[slot] = kept;
	mark(w, slot, kept != SIMULATE_NOBODY);
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
