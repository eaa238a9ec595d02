/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoders on arbitrary bytes: the first byte chooses the codec, the next two the length of the old
 * bytes, then come the old bytes and the data. Whatever they hold, a decoder ends, writes at most
 * what it was allowed, and touches nothing outside. */
#include "tests/fuzz/delta_inputs.h"

#define OUTPUT_MAX (1U << 16)
#define MEMORY_MAX (4U << 20) /* more takes longer, and goes the same ways */

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const struct fl_codec_limits limits = { .output_max = OUTPUT_MAX,
		.memory_max = MEMORY_MAX };
	FL_AUTO_BUF struct fl_buf out = { .max = OUTPUT_MAX };
	const struct fl_sink sink = fl_sink_buf(&out);
	struct fuzz_pair pair;
	struct fl_source source;

	if (n < FUZZ_PAIR_HEAD)
		return 0;
	fuzz_pair_init(&pair, p, n);
	source = fl_source_bytes(&pair.second);
	if (fuzz_codec(p[0])->decode(pair.first, &source, &limits, &sink, NULL) == FL_OK)
		FL_BUG_IF(out.failed);
	fuzz_pair_fini(&pair);
	return 0;
}
