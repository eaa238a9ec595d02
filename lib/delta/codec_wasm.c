/* SPDX-License-Identifier: Apache-2.0
 *
 * A module's delta in four rows of the table: zstd streams, or the adaptive coder with a model of
 * 256 KiB, 1 MiB or 16 MiB. The data say which it is, so that one decoder serves all rows. */
#include "lib/delta/codec_table.h"

#include "lib/delta/wasm/delta.h"

static enum fl_code encode(const struct wasm_delta_options *options, const struct fl_codec_files *f,
	const struct fl_sink *out, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf delta = { 0 };
	enum fl_code code = wasm_delta_encode(f->old, f->new, options, &delta, err);

	if (code != FL_OK)
		return code;
	return out->write(out->ctx, (struct fl_bytes){ delta.p, delta.n }, err);
}

/* The delta counts as memory like all that decoding takes. */
static enum fl_code decode_counted(struct fl_bytes old, const struct fl_source *data,
	const struct fl_codec_limits *limits, const struct fl_sink *out, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf delta = { .heap = limits->heap };
	uint8_t *to;
	enum fl_code code;

	if (data->size > wasm_delta_size_max(limits->output_max))
		return fl_fail(err, FL_CORRUPT, "a delta of %llu bytes is larger than its result",
			(unsigned long long)data->size);
	to = fl_buf_reserve(&delta, (size_t)data->size);
	if (to == NULL)
		return fl_buf_check(&delta, err);
	code = data->read_at(data->ctx, 0, to, (size_t)data->size, err);
	if (code != FL_OK)
		return code;
	return wasm_delta_decode(
		old, (struct fl_bytes){ to, (size_t)data->size }, limits, out, err);
}

static enum fl_code decode(struct fl_bytes old, const struct fl_source *data,
	const struct fl_codec_limits *limits, const struct fl_sink *out, struct fl_err *err)
{
	struct fl_heap own = { 0 };
	struct fl_codec_limits counted = *limits;

	if (counted.heap == NULL)
		counted.heap = &own;
	return decode_counted(old, data, &counted, out, err);
}

static uint64_t encode_memory(uint64_t old_size, uint64_t new_size, int level)
{
	(void)level;
	return wasm_delta_encode_memory(old_size, new_size);
}

static uint64_t stated_memory(struct fl_bytes data)
{
	return wasm_delta_stated_memory(data);
}

/* One row: fl_codec_<id>, its name, its back end. */
#define ROW(id, text, back)                                                                   \
	static enum fl_code encode_next_##id(const struct fl_codec_files *f, int level,       \
		const struct fl_sink *out, struct fl_err *err)                                \
	{                                                                                     \
		return encode(                                                                \
			&(struct wasm_delta_options){ back, level, f->parses }, f, out, err); \
	}                                                                                     \
	static enum fl_code encode_##id(struct fl_bytes old, struct fl_bytes new, int level,  \
		const struct fl_sink *out, struct fl_err *err)                                \
	{                                                                                     \
		return encode_next_##id(                                                      \
			&(struct fl_codec_files){ old, new, NULL }, level, out, err);         \
	}                                                                                     \
	static uint64_t decode_memory_##id(uint64_t old_size, uint64_t new_size)              \
	{                                                                                     \
		return wasm_delta_decode_memory(back, old_size, new_size);                    \
	}                                                                                     \
	const struct fl_codec fl_codec_##id = {                                               \
		.name = text,                                                                 \
		.needs_old = true,                                                            \
		.encode = encode_##id,                                                        \
		.encode_next = encode_next_##id,                                              \
		.decode = decode,                                                             \
		.decode_memory = decode_memory_##id,                                          \
		.stated_memory = stated_memory,                                               \
		.state_memory = wasm_delta_state_memory,                                      \
		.encode_memory = encode_memory,                                               \
		.inspect = wasm_delta_inspect,                                                \
	}

ROW(wasm_16m, "wasm-delta-16m", WASM_ADAPTIVE_16M);
ROW(wasm_1m, "wasm-delta-1m", WASM_ADAPTIVE_1M);
ROW(wasm_256k, "wasm-delta-256k", WASM_ADAPTIVE_256K);
ROW(wasm, "wasm-delta", WASM_ZSTD);
