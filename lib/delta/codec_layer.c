/* SPDX-License-Identifier: Apache-2.0
 *
 * `layer-patch`: layers of container images, tar archives alone or in gzip or zstd.
 *
 * DESIGN. Both layers are unpacked. Members of the new archive are aligned with those of the old one by
 * their paths: equal ones are copied, executables and modules of which another codec makes less than zstd
 * does are nested deltas, and all else - headers, padding, other members - is one zstd-patch with the
 * whole old archive before it. The decoder writes the archive in order through the compressor whose
 * settings the delta states, so that the very layer comes out. The format is in fleet-patch(5):
 *
 *   byte 0    0xd9
 *   byte 1    version << 4 | enum pack_kind
 *   byte 2    level of the compressor (0 without one)
 *   byte 3    its detail
 *   LEB       heap that decoding takes, in units of 64 KiB
 *   LEB       bytes of the archive
 *   gzip      LEB: bytes of its header; the header
 *   track     the same; then LEB: bytes of the track (layer/track.h); LEB: bytes of what follows, the
 *             track as a zstd-patch against the old layer's track, or none if that is not in gzip
 *   zstd      LEB: version of zstd
 *   LEB       bytes of the plan; the same, compressed; the plan as a zstd frame
 *   LEB       bytes of the rest, compressed; the rest as a zstd-patch against the old archive
 *   the rest  nested deltas, one behind the other
 *
 * The plan is a sequence of LEB numbers: (n << 2 | 0) n bytes of the rest; (n << 2 | 1) d: n bytes of the
 * old archive, d (zigzag) behind the end of the last piece of it; (n << 2 | 2) d o s: n bytes from a nested
 * delta of s bytes for o bytes of the old archive. */
#include "lib/delta/layer/parts.h"

#include <stdio.h>

/* Layers are rarely packed to less than a third, and have tracks of about their packed size. One that
 * takes more says so in its delta, or ends at the limit of the build. */
static uint64_t decode_memory(uint64_t old_size, uint64_t new_size)
{
	return 5 * old_size + 3 * new_size + (8ULL << 20);
}

static uint64_t encode_memory(uint64_t old_size, uint64_t new_size, int level)
{
	return 5 * (old_size + new_size) +
		fl_codec_zstd_patch.encode_memory(3 * old_size, new_size, level);
}

static uint64_t stated_memory(struct fl_bytes data)
{
	struct layer_parts p;

	return layer_parts_read(data, &p, NULL) == FL_OK ? p.memory : 0;
}

/* ---- looking */

static const char *const pack_names[PACK_MAX] = { "tar", "tar in gzip", "tar in zstd",
	"tar in gzip of another compressor" };

/* What `inspect` tells, in this order. */
enum { PART_HEAD, PART_TRACK, PART_PLAN, PART_REST, PART_COPIED, PART_NESTED, PARTS };

/* Count the plan's pieces; the bytes that are copied. */
static uint64_t count_pieces(struct fl_bytes plan, struct fl_codec_part part[PARTS])
{
	struct number_reader r = { plan, false };
	uint64_t copied = 0;

	while (r.left.n > 0 && !r.failed) {
		uint64_t op = number_next(&r);

		part[PART_PLAN].count++;
		if ((op & 3) != LAYER_REST)
			(void)number_next(&r);
		if ((op & 3) == LAYER_COPY) {
			part[PART_COPIED].count++;
			copied += op >> 2;
		} else if ((op & 3) == LAYER_NEST) {
			part[PART_NESTED].count++;
			(void)number_next(&r);
			(void)number_next(&r);
		}
	}
	return copied;
}

static enum fl_code inspect(struct fl_bytes old, struct fl_bytes data, fl_codec_part_fn fn,
	void *ctx, struct fl_err *err)
{
	struct fl_codec_part part[PARTS] = { { .name = "head" }, { .name = "track" },
		{ .name = "plan" }, { .name = "rest" }, { .name = "copied members" },
		{ .name = "nested deltas" } };
	FL_AUTO_BUF struct fl_buf plan = { 0 };
	struct layer_parts p;
	uint64_t copied;
	enum fl_code code = layer_parts_read(data, &p, err);

	(void)old;
	if (code == FL_OK)
		code = layer_parts_plan(&p, &plan, err);
	if (code != FL_OK)
		return code;
	copied = count_pieces(fl_buf_bytes(&plan), part);
	(void)snprintf(part[PART_HEAD].note, sizeof(part[PART_HEAD].note), "%s, level %u",
		pack_names[p.pack.kind], p.pack.level);
	(void)snprintf(part[PART_COPIED].note, sizeof(part[PART_COPIED].note),
		"%llu bytes of the old layer", (unsigned long long)copied);
	part[PART_HEAD].bytes = p.head_n - p.track_packed.n;
	part[PART_TRACK].bytes = p.track_packed.n;
	part[PART_PLAN].bytes = p.plan_packed.n;
	part[PART_REST].bytes = data.n - p.head_n - p.plan_packed.n - p.nested.n;
	part[PART_NESTED].bytes = p.nested.n;
	for (size_t i = 0; i < PARTS; i++)
		if (i != PART_TRACK || part[i].bytes > 0)
			fn(ctx, &part[i]);
	return FL_OK;
}

const struct fl_codec fl_codec_layer_patch = {
	.name = "layer-patch",
	.needs_old = true,
	.encode = layer_encode,
	.decode = layer_decode,
	.decode_memory = decode_memory,
	.encode_memory = encode_memory,
	.stated_memory = stated_memory,
	.inspect = inspect,
};
