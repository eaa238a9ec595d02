/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoders on modules that are nearly right: the first bytes are recipes of the old and the new one, the
 * others, in threes, say where the new one is damaged and how. An encoder refuses, or its delta decodes to
 * the very bytes within the memory that it states; and so does the delta of the other back end. */
#include <stdint.h>
#include <string.h>

#include "lib/delta/codec.h"
#include "tests/lib/wasm_build.h"

#define RECIPES 6

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void make(const uint8_t *p, struct fl_buf *out)
{
	const struct wasm_recipe recipe = { .seed = p[0] & 3,
		.functions = 1 + p[0] / 32,
		.inserted = p[1] & 3,
		.data_grown = p[1] >> 2 & 7,
		.changed = p[1] >> 5,
		.raw = p[2] & 7,
		.pad = p[2] >> 3 & 3,
		.names = p[2] >> 5 & 1 };

	wasm_build(&recipe, out);
}

static bool takes(const struct fl_codec *codec, struct fl_bytes old, struct fl_bytes new)
{
	FL_AUTO_BUF struct fl_buf data = { 0 }, out = { .max = new.n + 1 };
	const struct fl_sink to_data = fl_sink_buf(&data), to_out = fl_sink_buf(&out);
	struct fl_codec_limits limits = { .output_max = new.n };
	struct fl_bytes bytes;
	struct fl_source source;
	enum fl_code code = codec->encode(old, new, 1, &to_data, NULL);

	if (code == FL_REFUSED) {
		FL_BUG_IF(data.n != 0);
		return false;
	}
	FL_BUG_IF(code != FL_OK);
	bytes = (struct fl_bytes){ data.p, data.n };
	source = fl_source_bytes(&bytes);
	limits.memory_max = codec->stated_memory(bytes);
	FL_BUG_IF(codec->decode(old, &source, &limits, &to_out, NULL) != FL_OK);
	FL_BUG_IF(out.n != new.n || (new.n > 0 && memcmp(out.p, new.p, new.n) != 0));
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	FL_AUTO_BUF struct fl_buf old = { 0 }, new = { 0 };
	struct fl_bytes from, to;

	if (n < RECIPES)
		return 0;
	make(p, &old);
	make(p + 3, &new);
	for (size_t i = RECIPES; i + 3 <= n && new.n > 0; i += 3) {
		size_t at = ((size_t)p[i] << 8 | p[i + 1]) % new.n;

		/* the highest bits of the first byte: cut instead */
		if ((p[i] & 0xf0) == 0xf0)
			new.n = at;
		else
			new.p[at] ^= p[i + 2];
	}
	from = (struct fl_bytes){ old.p, old.n };
	to = (struct fl_bytes){ new.p, new.n };
	FL_BUG_IF(takes(fl_codec_find("wasm-delta"), from, to) !=
		takes(fl_codec_find("wasm-delta-256k"), from, to));
	return 0;
}
