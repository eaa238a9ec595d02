/* SPDX-License-Identifier: Apache-2.0
 *
 * Making a layer-patch: members are aligned by their paths. */
#include "lib/delta/layer/parts.h"

#include <string.h>

#include <zstd.h>

#include "lib/delta/layer/tar.h"

#define PLAN_LEVEL  19
#define COPY_MIN    64   /* equal members below this are no piece of their own */
#define NEST_MIN    4096 /* likewise other ones */
#define OVERHEAD    (2ULL << 20)
#define LARGE       (64ULL << 20) /* archive and track together */
#define LEVEL_LARGE 12

struct making {
	struct fl_bytes old, new; /* archives */
	struct fl_buf plan, rest, nested;
	struct fl_buf old_track;
	size_t old_end;   /* of the last piece */
	size_t new_end;   /* what is behind it has no piece yet */
	uint64_t memory;  /* most that a nested delta takes */
	uint64_t opening; /* what unpacking the old layer takes besides it */
	int level;
};

/* What is before `at` and has no piece goes to the rest. */
static void fill(struct making *m, size_t at)
{
	if (at == m->new_end)
		return;
	number_add(&m->plan, (uint64_t)(at - m->new_end) << 2 | LAYER_REST);
	fl_buf_add(&m->rest, m->new.p + m->new_end, at - m->new_end);
	m->new_end = at;
}

/* Head of a piece that takes [at, at + n) of the old archive. */
static void add_piece(struct making *m, unsigned kind, size_t new_n, size_t at, size_t n)
{
	number_add(&m->plan, (uint64_t)new_n << 2 | kind);
	number_add(&m->plan, number_zigzag((int64_t)at - (int64_t)m->old_end));
	m->old_end = at + n;
	m->new_end += new_n;
}

static struct fl_bytes content(struct fl_bytes archive, const struct tar_member *t)
{
	return (struct fl_bytes){ archive.p + t->at, t->n };
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
		if (!layer_nests(codec))
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
		add_piece(m, LAYER_NEST, to->n, from->at, from->n);
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
		add_piece(m, LAYER_COPY, to->n, from->at, from->n);
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
		fl_buf_bytes(&m->old_track), fl_buf_bytes(&p->track), m->level, &sink, err);

	number_add(out, p->track.n);
	number_add(out, packed.n);
	fl_buf_add(out, packed.p, packed.n);
	return code;
}

static enum fl_code put_head(const struct making *m, const struct pack *p, uint64_t memory,
	struct fl_buf *out, struct fl_err *err)
{
	fl_buf_byte(out, LAYER_MAGIC);
	fl_buf_byte(out, (uint8_t)(LAYER_VERSION << 4 | p->kind));
	fl_buf_byte(out, p->level);
	fl_buf_byte(out, p->detail);
	number_add(out, (memory + LAYER_UNIT - 1) / LAYER_UNIT);
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
	if (ZSTD_isError(n) || m->plan.n > LAYER_PLAN_MAX)
		return fl_fail(err, FL_TOO_LARGE, "the layer has too many members");
	number_add(out, m->plan.n);
	number_add(out, n);
	fl_buf_add(out, to, n);
	return fl_buf_check(out, err);
}

/* Everything behind the settings of the compressor, and with it the head: the memory is known last.
 * `unpacked`: bytes of the buffer that the old archive took. */
static enum fl_code put_all(struct making *m, const struct pack *p, size_t unpacked,
	struct fl_buf *out, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf rest = { 0 };
	const struct fl_sink sink = fl_sink_buf(&rest);
	uint64_t following = m->memory + m->plan.n + pack_memory(p, m->new.n) +
		fl_codec_zstd_patch.decode_memory(m->old.n, m->rest.n);
	uint64_t memory = OVERHEAD + unpacked + m->nested.n +
		(following > m->opening ? following : m->opening);
	enum fl_code code =
		fl_codec_zstd_patch.encode(m->old, fl_buf_bytes(&m->rest), m->level, &sink, err);

	memory += rest.n; /* the delta is there as long as what comes out of it */
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

static bool is_archive(struct fl_bytes b)
{
	return b.n >= 512 && memcmp(b.p + 257, "ustar", 5) == 0;
}

/* The highest levels take minutes to look at a large old layer, for a quarter less. */
static int level_for(const struct making *m, int level)
{
	return m->old.n + m->old_track.n > LARGE && level > LEVEL_LARGE ? LEVEL_LARGE : level;
}

enum fl_code layer_encode(struct fl_bytes old, struct fl_bytes new, int level,
	const struct fl_sink *out, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf old_raw = { 0 }, new_raw = { 0 }, data = { 0 };
	struct making m = { 0 };
	struct pack p = { 0 };
	enum fl_code code = layer_open(old, &old_raw, &m.old, err);

	if (code == FL_OK)
		code = layer_open(new, &new_raw, &m.new, err);
	if (code == FL_OK && (!is_archive(m.old) || !is_archive(m.new)))
		code = fl_fail(err, FL_REFUSED, "not a layer: no tar archive");
	if (code == FL_OK)
		code = pack_find(new, m.new, &p, err);
	if (code == FL_OK && p.kind == PACK_TRACK)
		pack_track(old, &m.old_track);
	m.opening = pack_open_memory(old);
	m.level = level_for(&m, level);
	if (code == FL_OK)
		code = make_plan(&m, err);
	if (code == FL_OK)
		code = put_all(&m, &p, old_raw.cap, &data, err);
	if (code == FL_OK)
		code = out->write(out->ctx, (struct fl_bytes){ data.p, data.n }, err);
	pack_fini(&p);
	fl_buf_fini(&m.old_track);
	fl_buf_fini(&m.plan);
	fl_buf_fini(&m.rest);
	fl_buf_fini(&m.nested);
	return code;
}
