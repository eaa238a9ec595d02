/* SPDX-License-Identifier: Apache-2.0
 *
 * The artifact itself: what every device can decode. */
#include "lib/delta/codec_table.h"

#define PIECE 65536

static enum fl_code encode(struct fl_bytes old, struct fl_bytes new, int level,
	const struct fl_sink *out, struct fl_err *err)
{
	(void)old;
	(void)level;
	return out->write(out->ctx, new, err);
}

static enum fl_code decode(struct fl_bytes old, const struct fl_source *data,
	const struct fl_codec_limits *limits, const struct fl_sink *out, struct fl_err *err)
{
	uint8_t piece[PIECE];

	(void)old;
	if (data->size > limits->output_max)
		return fl_fail(err, FL_CORRUPT, "%llu bytes came where %llu were expected",
			(unsigned long long)data->size, (unsigned long long)limits->output_max);
	for (uint64_t at = 0; at < data->size;) {
		size_t n = data->size - at < PIECE ? (size_t)(data->size - at) : PIECE;
		enum fl_code code = data->read_at(data->ctx, at, piece, n, err);

		if (code == FL_OK)
			code = out->write(out->ctx, (struct fl_bytes){ piece, n }, err);
		if (code != FL_OK)
			return code;
		at += n;
	}
	return FL_OK;
}

static uint64_t decode_memory(uint64_t old_size, uint64_t new_size)
{
	(void)old_size;
	(void)new_size;
	return PIECE;
}

static uint64_t encode_memory(uint64_t old_size, uint64_t new_size, int level)
{
	(void)old_size;
	(void)new_size;
	(void)level;
	return 0;
}

const struct fl_codec fl_codec_identity = {
	.name = "identity",
	.encode = encode,
	.decode = decode,
	.decode_memory = decode_memory,
	.encode_memory = encode_memory,
};
