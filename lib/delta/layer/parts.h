/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of a layer-patch (fleet-patch(5)), and what encoder and decoder share. */
#ifndef FL_LAYER_PARTS_H
#define FL_LAYER_PARTS_H

#include "lib/delta/codec_table.h"
#include "lib/delta/layer/number.h"
#include "lib/delta/layer/pack.h"

#define LAYER_MAGIC       0xd9
#define LAYER_VERSION     1
#define LAYER_ARCHIVE_MAX (1ULL << 30) /* bytes of an archive, unpacked */
#define LAYER_PLAN_MAX    (16ULL << 20)
#define LAYER_UNIT        65536 /* of the memory that is stated */

enum { LAYER_REST, LAYER_COPY, LAYER_NEST };

/* What a delta says. Borrowed from its bytes. */
struct layer_parts {
	struct pack pack;
	uint64_t memory, size;
	struct fl_bytes track_packed, plan_packed, rest, nested;
	uint64_t track_size;
	uint64_t plan_size;
	size_t head_n;
};

/* Take a delta apart. FL_CORRUPT when it is none, or damaged. Pure. */
enum fl_code layer_parts_read(
	struct fl_bytes data, struct layer_parts *out, struct fl_err *err) FL_MUST_CHECK;
/* Append its plan, unpacked, to `out`. FL_CORRUPT, FL_NOMEM. */
enum fl_code layer_parts_plan(
	const struct layer_parts *p, struct fl_buf *out, struct fl_err *err) FL_MUST_CHECK;

/* A layer as an archive: itself, or what `unpacked` (caller's) gets. FL_TOO_LARGE, FL_CORRUPT, FL_NOMEM. */
enum fl_code layer_open(struct fl_bytes layer, struct fl_buf *unpacked, struct fl_bytes *archive,
	struct fl_err *err) FL_MUST_CHECK;
/* Whether a codec serves for members: not layer-patch itself, and not the plain ones. */
bool layer_nests(const struct fl_codec *codec);

/* The functions of fl_codec_layer_patch; see struct fl_codec. */
enum fl_code layer_encode(struct fl_bytes old, struct fl_bytes new, int level,
	const struct fl_sink *out, struct fl_err *err) FL_MUST_CHECK;
enum fl_code layer_decode(struct fl_bytes old, const struct fl_source *data,
	const struct fl_codec_limits *limits, const struct fl_sink *out,
	struct fl_err *err) FL_MUST_CHECK;

#endif
