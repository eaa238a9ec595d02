/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoders on any two files: the first byte chooses the codec, the next two the length of the old bytes,
 * then come the old and the new ones. An encoder refuses, or its delta decodes to the new bytes within the
 * memory that is stated. */
#include "tests/fuzz/delta_inputs.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct fuzz_pair pair;

	if (n < FUZZ_PAIR_HEAD)
		return 0;
	fuzz_pair_init(&pair, p, n);
	(void)fuzz_round_trip(fuzz_codec(p[0]), pair.first, pair.second);
	fuzz_pair_fini(&pair);
	return 0;
}
