/* SPDX-License-Identifier: Apache-2.0
 *
 * Following a layer-patch: the archive is written in order, through the compressor of the new layer. */
#include "lib/delta/layer/parts.h"

#include <stdlib.h>

#include <zstd.h>

#define PIECE 65536

struct making_back {
	const struct layer_parts *parts;
	struct fl_bytes old; /* archive */
	const struct fl_codec_limits *limits;
	struct packer *packer;
	uint64_t left; /* bytes of the archive that are still to come */
	struct number_reader nested;
	size_t old_end;
	ZSTD_DCtx *rest;
	ZSTD_inBuffer rest_in;
	uint8_t piece[PIECE];
};

static enum fl_code emit(void *ctx, struct fl_bytes bytes, struct fl_err *err)
{
	struct making_back *m = ctx;

	if (bytes.n > m->left)
		return fl_fail(err, FL_CORRUPT, "more bytes come out than were expected");
	m->left -= bytes.n;
	return packer_write(m->packer, bytes, err);
}

/* n bytes of the rest. */
static enum fl_code pull(struct making_back *m, uint64_t n, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	while (n > 0 && code == FL_OK) {
		ZSTD_outBuffer o = { m->piece, n < PIECE ? (size_t)n : PIECE, 0 };
		size_t before = m->rest_in.pos;
		size_t result = ZSTD_decompressStream(m->rest, &o, &m->rest_in);

		if (ZSTD_isError(result) || (o.pos == 0 && m->rest_in.pos == before))
			return fl_fail(err, FL_CORRUPT, "the rest of the layer is damaged");
		n -= o.pos;
		code = emit(m, (struct fl_bytes){ m->piece, o.pos }, err);
	}
	return code;
}

/* A piece of the old archive, as the plan names it. */
static enum fl_code old_piece(struct making_back *m, uint64_t distance, uint64_t n,
	struct fl_bytes *out, struct fl_err *err)
{
	int64_t at = (int64_t)m->old_end + number_unzigzag(distance);

	if (at < 0 || (uint64_t)at > m->old.n || n > m->old.n - (uint64_t)at)
		return fl_fail(err, FL_CORRUPT, "a piece lies outside of the old layer");
	*out = (struct fl_bytes){ m->old.p + at, (size_t)n };
	m->old_end = (size_t)at + (size_t)n;
	return FL_OK;
}

/* n bytes from a nested delta. */
static enum fl_code unnest(struct making_back *m, struct fl_bytes old, uint64_t n,
	struct fl_bytes data, struct fl_err *err)
{
	const struct fl_codec *codec = fl_codec_guess(data, true);
	const struct fl_codec_limits limits = { .output_max = n,
		.memory_max = m->limits->memory_max };
	const struct fl_sink sink = { emit, m };
	const struct fl_source source = fl_source_bytes(&data);
	uint64_t before = m->left;
	enum fl_code code;

	if (codec == NULL || !layer_nests(codec))
		return fl_fail(err, FL_CORRUPT, "a nested delta is of an unknown kind");
	code = codec->decode(old, &source, &limits, &sink, err);
	if (code == FL_OK && before - m->left != n)
		code = fl_fail(err, FL_CORRUPT, "a nested delta makes fewer bytes");
	return code;
}

static enum fl_code follow(struct making_back *m, struct number_reader *plan, struct fl_err *err)
{
	uint64_t op = number_next(plan), n = op >> 2, distance = 0, old_n = n;
	struct fl_bytes old, data = { 0 };
	enum fl_code code;

	if ((op & 3) == LAYER_REST && !plan->failed)
		return n > m->left ? fl_fail(err, FL_CORRUPT, "the plan makes more than the layer")
				   : pull(m, n, err);
	distance = number_next(plan);
	if ((op & 3) == LAYER_NEST) {
		old_n = number_next(plan);
		data = number_bytes(&m->nested, number_next(plan));
	}
	if (plan->failed || m->nested.failed || (op & 3) > LAYER_NEST)
		return fl_fail(err, FL_CORRUPT, "the plan of the layer is damaged");
	code = old_piece(m, distance, old_n, &old, err);
	if (code != FL_OK)
		return code;
	return (op & 3) == LAYER_COPY ? emit(m, old, err) : unnest(m, old, n, data, err);
}

/* Largest window of the rest: the archive's, and not above the memory that there is. */
static int window_log_max(const struct making_back *m)
{
	uint64_t most = m->parts->size < 1024 ? 1024 : m->parts->size,
		 memory = m->limits->memory_max;
	int log = 10;

	if (memory != 0 && memory < most)
		most = memory;
	while (log < 30 && (1ULL << log) < most)
		log++;
	return log;
}

static enum fl_code make_back(struct making_back *m, const struct fl_sink *out, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf plan = { 0 };
	struct number_reader r;
	enum fl_code code = layer_parts_plan(m->parts, &plan, err);

	m->rest = ZSTD_createDCtx();
	m->rest_in = (ZSTD_inBuffer){ m->parts->rest.p, m->parts->rest.n, 0 };
	if (code == FL_OK &&
		(m->rest == NULL ||
			ZSTD_isError(ZSTD_DCtx_setParameter(
				m->rest, ZSTD_d_windowLogMax, window_log_max(m))) ||
			ZSTD_isError(ZSTD_DCtx_refPrefix(m->rest, m->old.p, m->old.n))))
		code = fl_fail(err, FL_NOMEM, "no memory for a zstd decoder");
	if (code == FL_OK)
		code = packer_begin(&m->parts->pack, m->parts->size, out, &m->packer, err);
	r = (struct number_reader){ { plan.p, plan.n }, false };
	while (code == FL_OK && r.left.n > 0)
		code = follow(m, &r, err);
	if (code == FL_OK && (m->left != 0 || m->nested.left.n != 0))
		code = fl_fail(err, FL_CORRUPT, "the plan does not make the whole layer");
	if (code == FL_OK)
		code = packer_finish(m->packer, err);
	packer_end(m->packer);
	(void)ZSTD_freeDCtx(m->rest);
	return code;
}

/* The window of the rest, checked before zstd allocates it. */
static enum fl_code check_memory(
	const struct layer_parts *p, const struct fl_codec_limits *limits, struct fl_err *err)
{
	if (limits->memory_max == 0 || p->memory <= limits->memory_max)
		return FL_OK;
	return fl_fail(err, FL_TOO_LARGE, "decoding needs %llu bytes of memory, the limit is %llu",
		(unsigned long long)p->memory, (unsigned long long)limits->memory_max);
}

/* A sink that keeps to the limit of the packed layer. */
struct bounded {
	const struct fl_sink *to;
	uint64_t left;
};

static enum fl_code write_bounded(void *ctx, struct fl_bytes bytes, struct fl_err *err)
{
	struct bounded *b = ctx;

	if (bytes.n > b->left)
		return fl_fail(err, FL_CORRUPT, "more bytes come out than were expected");
	b->left -= bytes.n;
	return b->to->write(b->to->ctx, bytes, err);
}

/* The new stream's track, from the old layer's. */
static enum fl_code read_track(struct fl_bytes old, struct layer_parts *p,
	const struct fl_codec_limits *limits, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf old_track = { .max = LAYER_ARCHIVE_MAX };
	const struct fl_codec_limits most = { .output_max = p->track_size,
		.memory_max = limits->memory_max };
	const struct fl_source source = fl_source_bytes(&p->track_packed);
	const struct fl_sink sink = fl_sink_buf(&p->pack.track);
	enum fl_code code;

	if (limits->memory_max != 0 && limits->memory_max < old_track.max)
		old_track.max = (size_t)limits->memory_max;
	p->pack.track.max = (size_t)p->track_size + 1;
	pack_track(old, &old_track);
	code = fl_codec_zstd_patch.decode(fl_buf_bytes(&old_track), &source, &most, &sink, err);
	if (code == FL_OK && p->pack.track.n != p->track_size)
		code = fl_fail(err, FL_CORRUPT, "the track of the layer is damaged");
	return code;
}

static enum fl_code decode_parts(struct fl_bytes old, struct layer_parts *p,
	const struct fl_codec_limits *limits, const struct fl_sink *out, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf raw = { 0 };
	FL_AUTOFREE struct making_back *m = calloc(1, sizeof(*m));
	struct bounded bounded = { out, limits->output_max };
	const struct fl_sink sink = { write_bounded, &bounded };
	enum fl_code code;

	if (m == NULL)
		return fl_fail(err, FL_NOMEM, "no memory to decode");
	*m = (struct making_back){
		.parts = p, .limits = limits, .left = p->size, .nested = { p->nested, false }
	};
	code = p->pack.kind == PACK_TRACK ? read_track(old, p, limits, err) : FL_OK;
	if (code == FL_OK)
		code = layer_open(old, &raw, &m->old, err);
	/* what is stated holds for the right old layer; another one shall not take more */
	if (code == FL_OK && limits->memory_max != 0 && raw.n > limits->memory_max)
		code = FL_REFUSED;
	if (code == FL_REFUSED || code == FL_TOO_LARGE)
		return fl_fail(err, FL_CORRUPT, "the delta is for another old layer");
	return code == FL_OK ? make_back(m, &sink, err) : code;
}

enum fl_code layer_decode(struct fl_bytes old, const struct fl_source *data,
	const struct fl_codec_limits *limits, const struct fl_sink *out, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf whole = { 0 };
	struct layer_parts p = { 0 };
	uint8_t *to;
	enum fl_code code;

	if (data->size > LAYER_ARCHIVE_MAX)
		return fl_fail(err, FL_CORRUPT, "a delta of %llu bytes is larger than any layer",
			(unsigned long long)data->size);
	to = fl_buf_reserve(&whole, (size_t)data->size + 1);
	if (to == NULL)
		return fl_buf_check(&whole, err);
	code = data->read_at(data->ctx, 0, to, (size_t)data->size, err);
	whole.n = (size_t)data->size;
	if (code == FL_OK)
		code = layer_parts_read((struct fl_bytes){ whole.p, whole.n }, &p, err);
	if (code == FL_OK)
		code = check_memory(&p, limits, err);
	if (code == FL_OK)
		code = decode_parts(old, &p, limits, out, err);
	pack_fini(&p.pack);
	return code;
}
