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

static enum fl_code inspect(struct fl_bytes old, struct fl_bytes data, fl_codec_part_fn fn,
	void *ctx, struct fl_err *err)
{
	struct fl_codec_part head = { .name = "head" }, plan = { .name = "plan" },
			     rest = { .name = "rest" }, copied = { .name = "copied members" },
			     nested = { .name = "nested deltas" }, track = { .name = "track" };
	FL_AUTO_BUF struct fl_buf text = { 0 };
	struct layer_parts p;
	struct number_reader r;
	uint64_t copied_bytes = 0;
	enum fl_code code = layer_parts_read(data, &p, err);

	(void)old;
	if (code == FL_OK)
		code = layer_parts_plan(&p, &text, err);
	if (code != FL_OK)
		return code;
	for (r = (struct number_reader){ { text.p, text.n }, false }; r.left.n > 0 && !r.failed;) {
		uint64_t op = number_next(&r);

		plan.count++;
		if ((op & 3) != LAYER_REST)
			(void)number_next(&r);
		if ((op & 3) == LAYER_COPY) {
			copied.count++;
			copied_bytes += op >> 2;
		} else if ((op & 3) == LAYER_NEST) {
			nested.count++;
			(void)number_next(&r);
			(void)number_next(&r);
		}
	}
	track.bytes = p.track_packed.n;
	head.bytes = p.head_n - track.bytes;
	(void)snprintf(head.note, sizeof(head.note), "%s, level %u", pack_names[p.pack.kind],
		p.pack.level);
	plan.bytes = p.plan_packed.n;
	rest.bytes = data.n - p.head_n - p.plan_packed.n - p.nested.n;
	nested.bytes = p.nested.n;
	(void)snprintf(copied.note, sizeof(copied.note), "%llu bytes of the old layer",
		(unsigned long long)copied_bytes);
	fn(ctx, &head);
	if (track.bytes > 0)
		fn(ctx, &track);
	fn(ctx, &plan);
	fn(ctx, &rest);
	fn(ctx, &copied);
	fn(ctx, &nested);
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
