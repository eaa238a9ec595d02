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
#include "lib/delta/codec_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "lib/delta/layer/number.h"
#include "lib/delta/layer/pack.h"
#include "lib/delta/layer/tar.h"

#define MAGIC       0xd9
#define VERSION     1
#define ARCHIVE_MAX (1ULL << 30) /* bytes of an archive, unpacked */
#define PLAN_MAX    (16ULL << 20)
#define PLAN_LEVEL  19
#define UNIT        65536
#define COPY_MIN    64   /* equal members below this are no piece of their own */
#define NEST_MIN    4096 /* likewise other ones */
#define PIECE       65536
#define OVERHEAD    (2ULL << 20)
#define LARGE       (64ULL << 20) /* archive and track together */
#define LEVEL_LARGE 12

enum { PLAN_REST, PLAN_COPY, PLAN_NEST };

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

/* ---- numbers */

static uint64_t zigzag(int64_t v)
{
	return (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0);
}

static int64_t unzigzag(uint64_t v)
{
	return (int64_t)(v >> 1 ^ ((v & 1) != 0 ? UINT64_MAX : 0));
}

static struct fl_bytes bytes_of(const struct fl_buf *b)
{
	return (struct fl_bytes){ b->p, b->n };
}

/* ---- encoding */

struct making {
	struct fl_bytes old, new; /* archives */
	struct fl_buf plan, rest, nested;
	struct fl_buf old_track;
	size_t old_end;  /* of the last piece */
	size_t new_end;  /* what is behind it has no piece yet */
	uint64_t memory; /* most that a nested delta takes */
	int level;
};

/* What is before `at` and has no piece goes to the rest. */
static void fill(struct making *m, size_t at)
{
	if (at == m->new_end)
		return;
	number_add(&m->plan, (uint64_t)(at - m->new_end) << 2 | PLAN_REST);
	fl_buf_add(&m->rest, m->new.p + m->new_end, at - m->new_end);
	m->new_end = at;
}

/* Head of a piece that takes [at, at + n) of the old archive. */
static void add_piece(struct making *m, unsigned kind, size_t new_n, size_t at, size_t n)
{
	number_add(&m->plan, (uint64_t)new_n << 2 | kind);
	number_add(&m->plan, zigzag((int64_t)at - (int64_t)m->old_end));
	m->old_end = at + n;
	m->new_end += new_n;
}

static struct fl_bytes content(struct fl_bytes archive, const struct tar_member *t)
{
	return (struct fl_bytes){ archive.p + t->at, t->n };
}

/* Codecs for members: not this one, and not the plain ones. */
static bool is_special(const struct fl_codec *c)
{
	return c->needs_old && c != &fl_codec_layer_patch && c != &fl_codec_zstd_patch;
}

/* The smallest nested delta, if it is smaller than what zstd makes. */
static enum fl_code nest(struct making *m, const struct tar_member *from,
	const struct tar_member *to, bool *done, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf best = { 0 };
	const struct fl_sink sink = fl_sink_buf(&best);
	struct fl_bytes old = content(m->old, from), new = content(m->new, to);
	const struct fl_codec *codec, *taken = NULL;
	enum fl_code code = FL_OK;

	*done = false;
	for (size_t i = 0; (codec = fl_codec_at(i)) != NULL && taken == NULL; i++) {
		if (!is_special(codec))
			continue;
		fl_buf_reset(&best);
		code = codec->encode(old, new, m->level, &sink, err);
		if (code == FL_OK)
			taken = codec;
		else if (code != FL_REFUSED)
			return code;
	}
	if (taken != NULL) {
		FL_AUTO_BUF struct fl_buf plain = { 0 };
		const struct fl_sink to_plain = fl_sink_buf(&plain);
		uint64_t memory = taken->decode_memory(old.n, new.n);

		code = fl_codec_zstd_patch.encode(old, new, m->level, &to_plain, err);
		if (code != FL_OK || plain.n <= best.n)
			return code;
		m->memory = memory > m->memory ? memory : m->memory;
		fill(m, to->at);
		add_piece(m, PLAN_NEST, to->n, from->at, from->n);
		number_add(&m->plan, from->n);
		number_add(&m->plan, best.n);
		fl_buf_add(&m->nested, best.p, best.n);
		*done = true;
	}
	return FL_OK;
}

static enum fl_code add_member(struct making *m, const struct tar_list *old,
	const struct tar_member *to, struct fl_err *err)
{
	const struct tar_member *from = tar_find(old, to->path);
	bool done;

	if (from == NULL || to->n < COPY_MIN)
		return FL_OK;
	if (from->n == to->n && memcmp(m->old.p + from->at, m->new.p + to->at, to->n) == 0) {
		fill(m, to->at);
		add_piece(m, PLAN_COPY, to->n, from->at, from->n);
		return FL_OK;
	}
	return to->n < NEST_MIN || from->n < NEST_MIN ? FL_OK : nest(m, from, to, &done, err);
}

static enum fl_code make_plan(struct making *m, struct fl_err *err)
{
	struct tar_list old = { 0 }, new = { 0 };
	enum fl_code code = tar_read(m->old, &old, err);

	if (code == FL_OK)
		code = tar_read(m->new, &new, err);
	if (code == FL_OK && new.n == 0)
		code = fl_fail(err, FL_REFUSED, "no layer: there are no members in it");
	tar_sort(&old);
	for (size_t i = 0; i < new.n &&code == FL_OK; i++)
		code = add_member(m, &old, &new.v[i], err);
	fill(m, m->new.n);
	tar_fini(&old);
	tar_fini(&new);
	if (code == FL_OK)
		code = fl_buf_check(&m->plan, err);
	if (code == FL_OK)
		code = fl_buf_check(&m->rest, err);
	return code == FL_OK ? fl_buf_check(&m->nested, err) : code;
}

/* The track of the new stream, as a patch against the old one's. */
static enum fl_code put_track(
	const struct making *m, const struct pack *p, struct fl_buf *out, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf packed = { 0 };
	const struct fl_sink sink = fl_sink_buf(&packed);
	enum fl_code code = fl_codec_zstd_patch.encode(
		bytes_of(&m->old_track), bytes_of(&p->track), m->level, &sink, err);

	number_add(out, p->track.n);
	number_add(out, packed.n);
	fl_buf_add(out, packed.p, packed.n);
	return code;
}

static enum fl_code put_head(const struct making *m, const struct pack *p, uint64_t memory,
	struct fl_buf *out, struct fl_err *err)
{
	fl_buf_byte(out, MAGIC);
	fl_buf_byte(out, (uint8_t)(VERSION << 4 | p->kind));
	fl_buf_byte(out, p->level);
	fl_buf_byte(out, p->detail);
	number_add(out, (memory + UNIT - 1) / UNIT);
	number_add(out, m->new.n);
	if (p->kind == PACK_GZIP || p->kind == PACK_TRACK) {
		number_add(out, p->head_n);
		fl_buf_add(out, p->head, p->head_n);
	} else if (p->kind == PACK_ZSTD) {
		number_add(out, p->version);
	}
	return p->kind == PACK_TRACK ? put_track(m, p, out, err) : FL_OK;
}

static enum fl_code put_plan(const struct making *m, struct fl_buf *out, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf packed = { 0 };
	size_t bound = ZSTD_compressBound(m->plan.n), n;
	uint8_t *to = fl_buf_reserve(&packed, bound);

	if (to == NULL)
		return fl_buf_check(&packed, err);
	n = ZSTD_compress(to, bound, m->plan.p, m->plan.n, PLAN_LEVEL);
	if (ZSTD_isError(n) || m->plan.n > PLAN_MAX)
		return fl_fail(err, FL_TOO_LARGE, "the layer has too many members");
	number_add(out, m->plan.n);
	number_add(out, n);
	fl_buf_add(out, to, n);
	return fl_buf_check(out, err);
}

/* Everything behind the settings of the compressor, and with it the head: the memory is known last. */
static enum fl_code put_all(struct making *m, const struct pack *p, bool old_packed,
	struct fl_buf *out, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf rest = { 0 };
	const struct fl_sink sink = fl_sink_buf(&rest);
	uint64_t memory = OVERHEAD + m->memory + (old_packed ? m->old.n : 0) + m->plan.n +
		fl_codec_zstd_patch.decode_memory(m->old.n, m->rest.n) + pack_memory(p, m->new.n) +
		m->nested.n;
	enum fl_code code =
		fl_codec_zstd_patch.encode(m->old, bytes_of(&m->rest), m->level, &sink, err);

	if (p->kind == PACK_TRACK)
		memory += m->old_track.n +
			fl_codec_zstd_patch.decode_memory(m->old_track.n, p->track.n);
	if (code == FL_OK)
		code = put_head(m, p, memory, out, err);
	if (code == FL_OK)
		code = put_plan(m, out, err);
	if (code != FL_OK)
		return code;
	number_add(out, rest.n);
	fl_buf_add(out, rest.p, rest.n);
	fl_buf_add(out, m->nested.p, m->nested.n);
	return fl_buf_check(out, err);
}

/* A layer as an archive: itself, or what `unpacked` gets. */
static enum fl_code open_layer(struct fl_bytes layer, struct fl_buf *unpacked,
	struct fl_bytes *archive, struct fl_err *err)
{
	enum fl_code code;

	unpacked->max = ARCHIVE_MAX;
	code = pack_open(layer, unpacked, err);
	*archive = pack_guess(layer) == PACK_NONE ? layer
						  : (struct fl_bytes){ unpacked->p, unpacked->n };
	return code;
}

static bool is_archive(struct fl_bytes b)
{
	return b.n >= 512 && memcmp(b.p + 257, "ustar", 5) == 0;
}

/* The highest levels take minutes to look at a large old layer, for a quarter less. */
static int level_for(const struct making *m, int level)
{
	return m->old.n + m->old_track.n > LARGE && level > LEVEL_LARGE ? LEVEL_LARGE : level;
}

static enum fl_code encode(struct fl_bytes old, struct fl_bytes new, int level,
	const struct fl_sink *out, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf old_raw = { 0 }, new_raw = { 0 }, data = { 0 };
	struct making m = { 0 };
	struct pack p = { 0 };
	enum fl_code code = open_layer(old, &old_raw, &m.old, err);

	if (code == FL_OK)
		code = open_layer(new, &new_raw, &m.new, err);
	if (code == FL_OK && (!is_archive(m.old) || !is_archive(m.new)))
		code = fl_fail(err, FL_REFUSED, "not a layer: no tar archive");
	if (code == FL_OK)
		code = pack_find(new, m.new, &p, err);
	if (code == FL_OK && p.kind == PACK_TRACK)
		pack_track(old, &m.old_track);
	m.level = level_for(&m, level);
	if (code == FL_OK)
		code = make_plan(&m, err);
	if (code == FL_OK)
		code = put_all(&m, &p, old_raw.n > 0, &data, err);
	if (code == FL_OK)
		code = out->write(out->ctx, (struct fl_bytes){ data.p, data.n }, err);
	pack_fini(&p);
	fl_buf_fini(&m.old_track);
	fl_buf_fini(&m.plan);
	fl_buf_fini(&m.rest);
	fl_buf_fini(&m.nested);
	return code;
}

/* ---- the delta in memory */

/* What a delta says. */
struct parts {
	struct pack pack;
	uint64_t memory, size;
	struct fl_bytes track_packed, plan_packed, rest, nested;
	uint64_t track_size;
	uint64_t plan_size;
	size_t head_n;
};

static void parse_pack(struct number_reader *r, struct parts *p)
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

static enum fl_code parse(struct fl_bytes data, struct parts *out, struct fl_err *err)
{
	struct parts p = { 0 };
	struct number_reader r = { data, false };
	struct fl_bytes head = number_bytes(&r, 4);

	if (r.failed || head.p[0] != MAGIC || head.p[1] >> 4 != VERSION ||
		(head.p[1] & 15) >= PACK_MAX)
		return fl_fail(err, FL_CORRUPT, "not a layer-patch of version %d", VERSION);
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
	if (r.failed || p.size > ARCHIVE_MAX || p.plan_size > PLAN_MAX ||
		p.track_size > ARCHIVE_MAX || p.memory > UINT64_MAX / UNIT)
		return fl_fail(err, FL_CORRUPT, "the head of the layer-patch is damaged");
	p.memory *= UNIT;
	*out = p;
	return FL_OK;
}

static enum fl_code read_plan(const struct parts *p, struct fl_buf *out, struct fl_err *err)
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

/* ---- decoding */

struct making_back {
	const struct parts *parts;
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
	int64_t at = (int64_t)m->old_end + unzigzag(distance);

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

	if (codec == NULL || !is_special(codec))
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

	if ((op & 3) == PLAN_REST && !plan->failed)
		return n > m->left ? fl_fail(err, FL_CORRUPT, "the plan makes more than the layer")
				   : pull(m, n, err);
	distance = number_next(plan);
	if ((op & 3) == PLAN_NEST) {
		old_n = number_next(plan);
		data = number_bytes(&m->nested, number_next(plan));
	}
	if (plan->failed || m->nested.failed || (op & 3) > PLAN_NEST)
		return fl_fail(err, FL_CORRUPT, "the plan of the layer is damaged");
	code = old_piece(m, distance, old_n, &old, err);
	if (code != FL_OK)
		return code;
	return (op & 3) == PLAN_COPY ? emit(m, old, err) : unnest(m, old, n, data, err);
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
	enum fl_code code = read_plan(m->parts, &plan, err);

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
	const struct parts *p, const struct fl_codec_limits *limits, struct fl_err *err)
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
static enum fl_code read_track(struct fl_bytes old, struct parts *p,
	const struct fl_codec_limits *limits, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf old_track = { .max = ARCHIVE_MAX };
	const struct fl_codec_limits most = { .output_max = p->track_size,
		.memory_max = limits->memory_max };
	const struct fl_source source = fl_source_bytes(&p->track_packed);
	const struct fl_sink sink = fl_sink_buf(&p->pack.track);
	enum fl_code code;

	if (limits->memory_max != 0 && limits->memory_max < old_track.max)
		old_track.max = (size_t)limits->memory_max;
	p->pack.track.max = (size_t)p->track_size + 1;
	pack_track(old, &old_track);
	code = fl_codec_zstd_patch.decode(bytes_of(&old_track), &source, &most, &sink, err);
	if (code == FL_OK && p->pack.track.n != p->track_size)
		code = fl_fail(err, FL_CORRUPT, "the track of the layer is damaged");
	return code;
}

static enum fl_code decode_parts(struct fl_bytes old, struct parts *p,
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
		code = open_layer(old, &raw, &m->old, err);
	/* what is stated holds for the right old layer; another one shall not take more */
	if (code == FL_OK && limits->memory_max != 0 && raw.n > limits->memory_max)
		code = FL_REFUSED;
	if (code == FL_REFUSED || code == FL_TOO_LARGE)
		return fl_fail(err, FL_CORRUPT, "the delta is for another old layer");
	return code == FL_OK ? make_back(m, &sink, err) : code;
}

static enum fl_code decode(struct fl_bytes old, const struct fl_source *data,
	const struct fl_codec_limits *limits, const struct fl_sink *out, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf whole = { 0 };
	struct parts p = { 0 };
	uint8_t *to;
	enum fl_code code;

	if (data->size > ARCHIVE_MAX)
		return fl_fail(err, FL_CORRUPT, "a delta of %llu bytes is larger than any layer",
			(unsigned long long)data->size);
	to = fl_buf_reserve(&whole, (size_t)data->size + 1);
	if (to == NULL)
		return fl_buf_check(&whole, err);
	code = data->read_at(data->ctx, 0, to, (size_t)data->size, err);
	whole.n = (size_t)data->size;
	if (code == FL_OK)
		code = parse((struct fl_bytes){ whole.p, whole.n }, &p, err);
	if (code == FL_OK)
		code = check_memory(&p, limits, err);
	if (code == FL_OK)
		code = decode_parts(old, &p, limits, out, err);
	pack_fini(&p.pack);
	return code;
}

static uint64_t stated_memory(struct fl_bytes data)
{
	struct parts p;

	return parse(data, &p, NULL) == FL_OK ? p.memory : 0;
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
	struct parts p;
	struct number_reader r;
	uint64_t copied_bytes = 0;
	enum fl_code code = parse(data, &p, err);

	(void)old;
	if (code == FL_OK)
		code = read_plan(&p, &text, err);
	if (code != FL_OK)
		return code;
	for (r = (struct number_reader){ { text.p, text.n }, false }; r.left.n > 0 && !r.failed;) {
		uint64_t op = number_next(&r);

		plan.count++;
		if ((op & 3) != PLAN_REST)
			(void)number_next(&r);
		if ((op & 3) == PLAN_COPY) {
			copied.count++;
			copied_bytes += op >> 2;
		} else if ((op & 3) == PLAN_NEST) {
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
	.encode = encode,
	.decode = decode,
	.decode_memory = decode_memory,
	.encode_memory = encode_memory,
	.stated_memory = stated_memory,
	.inspect = inspect,
};
