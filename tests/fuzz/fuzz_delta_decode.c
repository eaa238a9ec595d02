/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoders on arbitrary bytes: the first byte chooses the codec, the next two the length of the old
 * bytes, then come the old bytes and the data. Whatever they hold, a decoder ends, writes at most
 * what it was allowed, and touches nothing outside. */
#include <stdint.h>
#include <stdlib.h>

#include "lib/delta/codec.h"

#define OUTPUT_MAX (1U << 20)

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static size_t codecs(void)
{
	size_t i = 0;

	while (fl_codec_at(i) != NULL)
		i++;
	return i;
}

/* Heap copies: a read beyond either end is seen. */
static struct fl_bytes copy(const uint8_t *p, size_t n)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };

	fl_buf_add(&b, p, n);
	return (struct fl_bytes){ (uint8_t *)fl_buf_take(&b), n };
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const struct fl_codec_limits limits = { .output_max = OUTPUT_MAX, .memory_max = 64U << 20 };
	FL_AUTO_BUF struct fl_buf out = { .max = OUTPUT_MAX };
	struct fl_sink sink = fl_sink_buf(&out);
	struct fl_source source;
	struct fl_bytes old, data;
	size_t old_n;

	if (n < 3)
		return 0;
	old_n = (size_t)p[1] << 8 | p[2];
	if (old_n > n - 3)
		old_n = n - 3;
	old = copy(p + 3, old_n);
	data = copy(p + 3 + old_n, n - 3 - old_n);
	source = fl_source_bytes(&data);
	if (fl_codec_at(p[0] % codecs())->decode(old, &source, &limits, &sink, NULL) == FL_OK)
		FL_BUG_IF(out.failed);
	free((void *)(uintptr_t)old.p);
	free((void *)(uintptr_t)data.p);
	return 0;
}
