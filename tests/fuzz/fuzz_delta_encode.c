/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoders on any two files: the first byte chooses the codec, the next two the length of the old bytes,
 * then come the old and the new ones. An encoder refuses, or its delta decodes to the new bytes within the
 * memory that is stated. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/delta/codec.h"

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

static void check(const struct fl_codec *codec, struct fl_bytes old, struct fl_bytes new)
{
	FL_AUTO_BUF struct fl_buf data = { 0 }, out = { .max = new.n + 1 };
	const struct fl_sink to_data = fl_sink_buf(&data), to_out = fl_sink_buf(&out);
	struct fl_codec_limits limits = { .output_max = new.n,
		.memory_max = codec->decode_memory(old.n, new.n) };
	struct fl_bytes bytes;
	struct fl_source source;
	enum fl_code code = codec->encode(old, new, 1, &to_data, NULL);

	if (code == FL_REFUSED) {
		FL_BUG_IF(data.n != 0);
		return;
	}
	FL_BUG_IF(code != FL_OK);
	bytes = (struct fl_bytes){ data.p, data.n };
	if (codec->stated_memory != NULL)
		limits.memory_max = codec->stated_memory(bytes);
	source = fl_source_bytes(&bytes);
	FL_BUG_IF(codec->decode(old, &source, &limits, &to_out, NULL) != FL_OK);
	FL_BUG_IF(out.n != new.n || (new.n > 0 && memcmp(out.p, new.p, new.n) != 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct fl_bytes old, new;
	size_t old_n;

	if (n < 3)
		return 0;
	old_n = (size_t)p[1] << 8 | p[2];
	if (old_n > n - 3)
		old_n = n - 3;
	old = copy(p + 3, old_n);
	new = copy(p + 3 + old_n, n - 3 - old_n);
	check(fl_codec_at(p[0] % codecs()), old, new);
	free((void *)(uintptr_t)old.p);
	free((void *)(uintptr_t) new.p);
	return 0;
}
