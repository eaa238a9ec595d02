/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/delta_inputs.h"

#include <stdlib.h>
#include <string.h>

/* Freed memory is kept for a while, so that its use is seen; not so long that the cache is too small. Few
 * callers are noted of each allocation, which takes time. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=4:malloc_context_size=5";
}

const struct fl_codec *fuzz_codec(uint8_t choice)
{
	static size_t n;

	while (fl_codec_at(n) != NULL)
		n++;
	return fl_codec_at(choice % n);
}

static struct fl_bytes copy(const uint8_t *p, size_t n)
{
	uint8_t *bytes = malloc(n);

	if (n > 0)
		memcpy(bytes, p, n);
	return (struct fl_bytes){ bytes, n };
}

void fuzz_pair_init(struct fuzz_pair *pair, const uint8_t *p, size_t n)
{
	size_t first = (size_t)p[1] << 8 | p[2];

	p += FUZZ_PAIR_HEAD;
	n -= FUZZ_PAIR_HEAD;
	if (first > n)
		first = n;
	pair->first = copy(p, first);
	pair->second = copy(p + first, n - first);
}

void fuzz_pair_fini(struct fuzz_pair *pair)
{
	free((void *)(uintptr_t)pair->first.p);
	free((void *)(uintptr_t)pair->second.p);
}

bool fuzz_round_trip(const struct fl_codec *codec, struct fl_bytes old, struct fl_bytes new)
{
	FL_AUTO_BUF struct fl_buf data = { 0 }, out = { .max = new.n + 1 };
	const struct fl_sink to_data = fl_sink_buf(&data), to_out = fl_sink_buf(&out);
	struct fl_codec_limits limits = { .output_max = new.n,
		.memory_max = codec->decode_memory(old.n, new.n) };
	enum fl_code code = codec->encode(old, new, 1, &to_data, NULL);
	const struct fl_bytes bytes = { data.p, data.n };
	const struct fl_source source = fl_source_bytes(&bytes);

	FL_BUG_IF(code != FL_OK && (code != FL_REFUSED || data.n != 0));
	if (code == FL_REFUSED)
		return false;
	if (codec->stated_memory != NULL)
		limits.memory_max = codec->stated_memory(bytes);
	FL_BUG_IF(codec->decode(old, &source, &limits, &to_out, NULL) != FL_OK);
	FL_BUG_IF(out.n != new.n || (new.n > 0 && memcmp(out.p, new.p, new.n) != 0));
	return true;
}
