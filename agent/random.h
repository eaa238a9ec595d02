/* SPDX-License-Identifier: Apache-2.0
 *
 * Chance that can be repeated: SplitMix64 (Steele, Lea, Flood 2014), for jitter and for the swarm's
 * accidents. Never for keys. */
#ifndef AGENT_RANDOM_H
#define AGENT_RANDOM_H

#include <stdint.h>

/* The next 64 bits; *state is the whole generator. */
static inline uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15U;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
	return z ^ (z >> 31);
}

/* Evenly from [0, n), 0 for n == 0; the bias is below n / 2^64. */
static inline uint64_t random_below(uint64_t *state, uint64_t n)
{
	return n == 0 ? 0 : random_next(state) % n;
}

/* Evenly from [0, 1). */
static inline double random_unit(uint64_t *state)
{
	return (double)(random_next(state) >> 11) * 0x1p-53;
}

#endif
