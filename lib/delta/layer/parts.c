/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/delta/layer/parts.h"

#include <string.h>

#include <zstd.h>

static void parse_pack(struct number_reader *r, struct layer_parts *p)
{
	struct fl_bytes head = { 0 };

	if (p->pack.kind == PACK_GZIP || p->pack.kind == PACK_TRACK)
		head = number_bytes(r, number_next(r));
	else if (p->pack.kind == PACK_ZSTD)
		p->pack.version = (uint32_t)number_next(r);
	if (head.n > sizeof(p->pack.head))
		r->failed = true;
	else if (head.n > 0)
		memcpy(p->pack.head, head.p, head.n);
	p->pack.head_n = head.n;
	if (p->pack.kind == PACK_TRACK) {
		p->track_size = number_next(r);
		p->track_packed = number_bytes(r, number_next(r));
	}
}

enum fl_code layer_parts_read(struct fl_bytes data, struct layer_parts *out, struct fl_err *err)
{
	struct layer_parts p = { 0 };
	struct number_reader r = { data, false };
	struct fl_bytes head = number_bytes(&r, 4);

	if (r.failed || head.p[0] != LAYER_MAGIC || head.p[1] >> 4 != LAYER_VERSION ||
		(head.p[1] & 15) >= PACK_MAX)
		return fl_fail(err, FL_CORRUPT, "not a layer-patch of version %d", LAYER_VERSION);
	p.pack = (struct pack){
		.kind = (enum pack_kind)(head.p[1] & 15), .level = head.p[2], .detail = head.p[3]
	};
	p.memory = number_next(&r);
	p.size = number_next(&r);
	parse_pack(&r, &p);
	p.plan_size = number_next(&r);
	p.plan_packed = number_bytes(&r, number_next(&r));
	p.head_n = data.n - r.left.n - p.plan_packed.n;
	p.rest = number_bytes(&r, number_next(&r));
	p.nested = r.left;
	if (r.failed || p.size > LAYER_ARCHIVE_MAX || p.plan_size > LAYER_PLAN_MAX ||
		p.track_size > LAYER_ARCHIVE_MAX || p.memory > UINT64_MAX / LAYER_UNIT)
		return fl_fail(err, FL_CORRUPT, "the head of the layer-patch is damaged");
	p.memory *= LAYER_UNIT;
	*out = p;
	return FL_OK;
}

enum fl_code layer_parts_plan(const struct layer_parts *p, struct fl_buf *out, struct fl_err *err)
{
	uint8_t *to = fl_buf_reserve(out, (size_t)p->plan_size + 1);
	size_t n;

	if (to == NULL)
		return fl_buf_check(out, err);
	n = ZSTD_decompress(to, (size_t)p->plan_size, p->plan_packed.p, p->plan_packed.n);
	if (ZSTD_isError(n) || n != p->plan_size)
		return fl_fail(err, FL_CORRUPT, "the plan of the layer is damaged");
	out->n = n;
	return FL_OK;
}

enum fl_code layer_open(struct fl_bytes layer, struct fl_buf *unpacked, struct fl_bytes *archive,
	struct fl_err *err)
{
	enum fl_code code;

	unpacked->max = LAYER_ARCHIVE_MAX;
	code = pack_open(layer, unpacked, err);
	*archive = pack_guess(layer) == PACK_NONE ? layer
						  : (struct fl_bytes){ unpacked->p, unpacked->n };
	return code;
}

bool layer_nests(const struct fl_codec *c)
{
	return c->needs_old && c != &fl_codec_layer_patch && c != &fl_codec_zstd_patch;
}
