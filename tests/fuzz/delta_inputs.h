/* SPDX-License-Identifier: Apache-2.0
 *
 * What the fuzzers of deltas share. */
#ifndef TESTS_FUZZ_DELTA_INPUTS_H
#define TESTS_FUZZ_DELTA_INPUTS_H

#include "lib/delta/codec.h"

#define FUZZ_PAIR_HEAD 3 /* bytes of an input before its two files */

/* The codec that a byte chooses. */
const struct fl_codec *fuzz_codec(uint8_t choice);

/* An input (at least FUZZ_PAIR_HEAD bytes) that is two files: the second and third byte say how long the
 * first is. Both on a heap, so that a read beyond either end is seen; free with fuzz_pair_fini. */
struct fuzz_pair {
	struct fl_bytes first, second;
};
void fuzz_pair_init(struct fuzz_pair *pair, const uint8_t *p, size_t n);
void fuzz_pair_fini(struct fuzz_pair *pair);

/* Encode `new`; false if that is refused, and nothing was written. Else the delta must decode to the very
 * bytes within the memory that it states. */
bool fuzz_round_trip(const struct fl_codec *codec, struct fl_bytes old, struct fl_bytes new);

#endif
