/* SPDX-License-Identifier: Apache-2.0
 *
 * Cutting the fleet into waves: exact sizes, every stratum with its share, the same seed the same
 * waves, another seed other machines first; a gateway and its devices never apart. */
#ifndef ROLLOUT_SLICE_H
#define ROLLOUT_SLICE_H

#include "server/rollout/strategy.h"

#define SLICE_NO_WAVE UINT16_MAX

/* Things that stay together, as parallel arrays of n. All borrowed. */
struct slice_input {
	size_t n;
	const uint32_t *size;     /* devices to update in it, at least 1 */
	const uint32_t *stratum;  /* below n_strata */
	const uint64_t *identity; /* what the shuffle is keyed by besides the seed; distinct */
	const uint16_t *wave; /* the selector wave it belongs to, SLICE_NO_WAVE; NULL: none does */
	const bool *early; /* come before all others of count and percent waves; NULL: none does */
	uint32_t n_strata;
	uint64_t seed;
	const struct strategy_wave *waves;
	size_t n_waves;
};

/* How many of `all` devices a wave by count or share asks for. */
uint64_t slice_wave_size(const struct strategy_wave *w, uint64_t all);

/* Write the wave of each to wave_of[0..n); SLICE_NO_WAVE where no wave takes it (only when the last
 * wave is a selector). A wave by count or share is never larger than asked unless a single group is;
 * it is smaller only if no remaining group fits. The last wave of those takes the rest.
 *
 * Early ones are given away first, whatever their stratum. Per wave the strata are served in proportion to what is left of them, by largest remainder, so that
 * each stratum gets its share rounded up or down. FL_NOMEM. */
enum fl_code slice_waves(
	const struct slice_input *in, uint16_t *wave_of, struct fl_err *err) FL_MUST_CHECK;

#endif
