/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/delta/wasm/coder.h"

#include "lib/delta/wasm/leb.h"

#include <string.h>
#define ZSTD_STATIC_LINKING_ONLY /* the magicless format */
#include <zstd.h>

_Static_assert(STREAM_MAX <= ADAPTIVE_STREAMS, "the adaptive coder has room for all streams");

#define JOIN_BELOW 1024 /* streams shorter than this share one frame */

static const struct fl_bytes none;

/* ---- plain */

static void write_number(struct fl_buf *b, uint64_t v)
{
	uint8_t *to = fl_buf_reserve(b, WASM_LEB_MAX);

	if (to != NULL)
		b->n += (size_t)(wasm_put_unsigned(to, v, 0) - to);
}

static uint64_t read_number(struct coder *c, unsigned stream)
{
	const struct fl_buf *b = &c->stream[stream];
	struct wasm_reader r;
	unsigned pad = 0;
	uint64_t v;

	if (c->at[stream] >= b->n) { /* an empty stream has no place to read from */
		c->bad = true;
		return 0;
	}
	r = (struct wasm_reader){ .p = b->p + c->at[stream], .end = b->p + b->n };
	v = wasm_unsigned(&r, &pad);
	c->bad |= r.bad;
	c->at[stream] = (size_t)(r.p - b->p);
	return v;
}

static uint8_t read_byte(struct coder *c, unsigned stream)
{
	if (c->at[stream] >= c->stream[stream].n) {
		c->bad = true;
		return 0;
	}
	return c->stream[stream].p[c->at[stream]++];
}

/* A symbol more. */
static void count(struct coder *c, unsigned stream, bool missed)
{
	struct coder_stream_stats *s;
	double position;

	c->bad |= c->adaptive != NULL && adaptive_is_cut_off(c->adaptive);
	if (c->stats == NULL || (c->adaptive != NULL && adaptive_is_silent(c->adaptive)))
		return;
	s = &c->stats->of[stream];
	s->symbols++;
	s->misses += missed;
	if (c->adaptive == NULL)
		return;
	position = adaptive_position(c->adaptive);
	s->bits += position - c->stats->position;
	c->stats->position = position;
}

void coder_finish_stats(struct coder *c)
{
	/* Runs of hits count when they begin, so give back what was not used. */
	for (unsigned i = 0; i < STREAM_MAX; i++)
		if (c->running[i])
			c->stats->of[i].symbols -= c->run[i];
}

/* Decoding: know how many hits come before the next miss. */
static void load_run(struct coder *c, unsigned stream)
{
	/* Behind the last miss everything hits: so many never come. */
	bool more = c->at[stream] < c->stream[stream].n;

	if (c->running[stream])
		return;
	c->run[stream] = more ? read_number(c, stream) : UINT64_MAX;
	c->running[stream] = true;
	if (c->stats != NULL)
		c->stats->of[stream].symbols += c->run[stream];
}

uint64_t coder_hits(struct coder *c, unsigned stream, uint64_t n)
{
	if (c->mode == CODER_ENCODE) {
		c->run[stream] += n;
		return n;
	}
	load_run(c, stream);
	if (n > c->run[stream])
		n = c->run[stream];
	c->run[stream] -= n;
	return n;
}

bool coder_hit_plain(struct coder *c, unsigned stream, bool hit)
{
	if (c->mode == CODER_ENCODE) {
		c->run[stream] += hit;
		if (!hit) {
			write_number(&c->stream[stream], c->run[stream]);
			c->run[stream] = 0;
		}
		return hit;
	}
	load_run(c, stream);
	if (c->run[stream] == 0) {
		c->running[stream] = false;
		count(c, stream, true);
		return false;
	}
	c->run[stream]--;
	return true;
}

uint64_t coder_value_plain(struct coder *c, unsigned stream, uint64_t v)
{
	count(c, stream, false);
	if (c->mode == CODER_DECODE)
		return read_number(c, stream);
	write_number(&c->stream[stream], v);
	return v;
}

uint8_t coder_byte_plain(struct coder *c, unsigned stream, uint8_t v)
{
	count(c, stream, false);
	if (c->mode == CODER_DECODE)
		return read_byte(c, stream);
	fl_buf_byte(&c->stream[stream], v);
	return v;
}

/* ---- adaptive */

bool coder_hit_adaptive(struct coder *c, unsigned stream, bool hit, const struct coder_context *x)
{
	uint64_t contexts[ADAPTIVE_CONTEXTS_MAX];
	uint32_t history = c->history[stream];
	unsigned n = 0;
	bool bit;

	contexts[n++] = context(1, history & 0xff);
	contexts[n++] = context(2, history & 0xffff);
	for (unsigned i = 0; i < x->n; i++)
		contexts[n++] = context(x->of[i] + i + 3,
			i == 0           ? history & 3
				: i == 1 ? history & 1
					 : 0);
	bit = adaptive_bit(c->adaptive, stream, hit, contexts, n, history & 7);
	c->history[stream] = history << 1 | !bit;
	count(c, stream, !bit);
	return bit;
}

/* A byte of a value: `place` and what came before it in the value are part of every context. */
static uint8_t byte_in_value(
	struct coder *c, unsigned stream, uint8_t v, uint64_t place, const struct coder_context *x)
{
	uint64_t contexts[ADAPTIVE_CONTEXTS_MAX];
	uint32_t history = c->history[stream];
	unsigned n = 0;

	contexts[n++] = context(place, 0);
	contexts[n++] = context(place, 1 + (history & 0xff));
	if (x->n < 11)
		contexts[n++] = context(place, 0x10000 + (history & 0xffff));
	if (x->n < 4)
		contexts[n++] = context(place, 0x2000000 + (history & 0xffffff));
	for (unsigned i = 0; i < x->n; i++)
		contexts[n++] = context(context(place, x->of[i]), i + 7);
	v = adaptive_byte(c->adaptive, stream, v, contexts, n, place == 0 ? 0 : 1);
	c->history[stream] = history << 8 | v;
	return v;
}

uint64_t coder_value_adaptive(
	struct coder *c, unsigned stream, uint64_t v, const struct coder_context *x)
{
	uint64_t result = 0, place = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));

		byte = byte_in_value(c, stream, byte, place, x);
		result |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			count(c, stream, false);
			return result;
		}
		v >>= 7;
		place = place * 257 + byte + 1;
	}
	c->bad = true;
	return 0;
}

uint8_t coder_byte_adaptive(
	struct coder *c, unsigned stream, uint8_t v, const struct coder_context *x)
{
	v = byte_in_value(c, stream, v, 0, x);
	count(c, stream, false);
	return v;
}

/* ---- begin and end */

void coder_encode_plain(struct coder *c)
{
	c->mode = CODER_ENCODE;
}

enum fl_code coder_encode_adaptive(
	struct coder *c, uint32_t sets, struct fl_buf *out, struct fl_err *err)
{
	c->mode = CODER_ENCODE;
	c->adaptive = adaptive_new(c->heap, sets, out, (struct fl_bytes){ 0 });
	if (c->adaptive == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the model of a delta");
	return FL_OK;
}

enum fl_code coder_decode_adaptive(
	struct coder *c, uint32_t sets, struct fl_bytes in, struct fl_err *err)
{
	c->mode = CODER_DECODE;
	c->adaptive = adaptive_new(c->heap, sets, NULL, in);
	if (c->adaptive == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the model of a delta");
	return FL_OK;
}

void coder_fini(struct coder *c)
{
	adaptive_free(c->adaptive);
	c->adaptive = NULL;
	for (size_t i = 0; i < STREAM_MAX; i++)
		fl_buf_fini(&c->stream[i]);
}

/* A window that has so many bytes. */
static int window_log(size_t n)
{
	int log = ZSTD_WINDOWLOG_MIN;

	while (log < ZSTD_WINDOWLOG_MAX && (size_t)1 << log < n)
		log++;
	return log;
}

static size_t squeeze(struct fl_buf *to, struct fl_bytes from, struct fl_bytes prefix, int level)
{
	ZSTD_CCtx *z = ZSTD_createCCtx();
	size_t n = 0;

	if (z == NULL || fl_buf_reserve(to, ZSTD_compressBound(from.n)) == NULL) {
		to->failed = true;
		ZSTD_freeCCtx(z);
		return 0;
	}
	(void)ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, level);
	(void)ZSTD_CCtx_setParameter(z, ZSTD_c_format, ZSTD_f_zstd1_magicless);
	(void)ZSTD_CCtx_setParameter(z, ZSTD_c_contentSizeFlag, 0);
	if (prefix.n > 0) {
		(void)ZSTD_CCtx_setParameter(z, ZSTD_c_windowLog, window_log(prefix.n + from.n));
		(void)ZSTD_CCtx_refPrefix(z, prefix.p, prefix.n);
	}
	n = ZSTD_compress2(z, to->p, ZSTD_compressBound(from.n), from.p, from.n);
	ZSTD_freeCCtx(z);
	if (ZSTD_isError(n))
		to->failed = true;
	return ZSTD_isError(n) ? 0 : n;
}

void coder_write_piece(struct fl_buf *out, struct fl_bytes piece, struct fl_bytes prefix, int level)
{
	FL_AUTO_BUF struct fl_buf small = { 0 };
	size_t n = piece.n == 0 ? 0 : squeeze(&small, piece, prefix, level);

	if (n == 0 || n >= piece.n) {
		write_number(out, 2 * (uint64_t)piece.n);
		fl_buf_add(out, piece.p, piece.n);
	} else {
		write_number(out, 2 * (uint64_t)piece.n + 1);
		write_number(out, n);
		fl_buf_add(out, small.p, n);
	}
	out->failed |= small.failed;
}

static struct fl_bytes bytes_of(const struct fl_buf *b)
{
	return (struct fl_bytes){ b->p, b->n };
}

/* Which streams there are: for each that is not empty, the distance from the one before and its size;
 * short ones follow at once. Then the long ones, a piece each. */
static enum fl_code finish_plain(struct coder *c, int level, struct fl_buf *out, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf head = { 0 }, shorts = { 0 };
	unsigned last = 0, used = 0;

	for (unsigned i = 0; i < STREAM_MAX; i++)
		used += c->stream[i].n > 0;
	write_number(&head, used);
	for (unsigned i = 0; i < STREAM_MAX; i++) {
		if (c->stream[i].n == 0)
			continue;
		write_number(&head, i - last);
		write_number(&head, c->stream[i].n);
		last = i;
		if (c->stream[i].n < JOIN_BELOW)
			fl_buf_add(&shorts, c->stream[i].p, c->stream[i].n);
		head.failed |= c->stream[i].failed;
	}
	fl_buf_add(&head, shorts.p, shorts.n);
	coder_write_piece(out, bytes_of(&head), none, level);
	for (unsigned i = 0; i < STREAM_MAX; i++) {
		if (c->stream[i].n >= JOIN_BELOW)
			coder_write_piece(out, bytes_of(&c->stream[i]), none, level);
	}
	out->failed |= head.failed || shorts.failed;
	return fl_buf_check(out, err);
}

enum fl_code coder_finish(struct coder *c, int level, struct fl_buf *out, struct fl_err *err)
{
	if (c->adaptive == NULL)
		return finish_plain(c, level, out, err);
	adaptive_flush(c->adaptive);
	return fl_buf_check(out, err);
}

static void *allocate(void *heap, size_t n)
{
	return fl_heap_alloc(heap, n, 1);
}

static void release(void *heap, void *p)
{
	fl_heap_free(heap, p);
}

static enum fl_code unsqueeze(struct fl_buf *to, struct fl_bytes from, struct fl_bytes prefix,
	uint64_t size, struct fl_err *err)
{
	ZSTD_DCtx *z = ZSTD_createDCtx_advanced((ZSTD_customMem){ allocate, release, to->heap });
	uint8_t *at = fl_buf_reserve(to, (size_t)size);
	size_t n;

	if (z == NULL || at == NULL) {
		ZSTD_freeDCtx(z);
		return fl_fail(
			err, FL_NOMEM, "no memory to unpack %llu bytes", (unsigned long long)size);
	}
	(void)ZSTD_DCtx_setParameter(z, ZSTD_d_format, ZSTD_f_zstd1_magicless);
	if (prefix.n > 0)
		(void)ZSTD_DCtx_refPrefix(z, prefix.p, prefix.n);
	n = ZSTD_decompressDCtx(z, at, (size_t)size, from.p, from.n);
	ZSTD_freeDCtx(z);
	if (ZSTD_isError(n) || n != size)
		return fl_fail(err, FL_CORRUPT, "a stream of the delta does not unpack");
	to->n += n;
	return FL_OK;
}

enum fl_code coder_read_piece(struct wasm_reader *r, struct fl_buf *to, struct fl_bytes prefix,
	uint64_t *left, struct fl_err *err)
{
	unsigned pad = 0;
	uint64_t size = wasm_unsigned(r, &pad);
	bool squeezed = (size & 1) != 0;
	struct fl_bytes bytes;

	size >>= 1;
	bytes = wasm_take(r, squeezed ? wasm_unsigned(r, &pad) : size);
	if (r->bad || size > *left)
		return fl_fail(err, FL_CORRUPT, "the delta is cut off or too large");
	*left -= size;
	if (squeezed)
		return unsqueeze(to, bytes, prefix, size, err);
	fl_buf_add(to, bytes.p, bytes.n);
	return fl_buf_check(to, err);
}

enum fl_code coder_decode_plain(
	struct coder *c, struct fl_bytes in, uint64_t limit, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf head = { .heap = c->heap };
	struct wasm_reader r = wasm_reader(in), h;
	uint64_t sizes[STREAM_MAX] = { 0 }, used, at = 0;
	unsigned pad = 0;
	enum fl_code code;

	c->mode = CODER_DECODE;
	for (unsigned i = 0; i < STREAM_MAX; i++)
		c->stream[i].heap = c->heap;
	code = coder_read_piece(&r, &head, none, &limit, err);
	if (code != FL_OK)
		return code;
	if (c->stats != NULL) {
		c->stats->shared = in.n - wasm_left(&r);
		c->stats->shared_unpacked = head.n;
	}
	h = wasm_reader(bytes_of(&head));
	used = wasm_unsigned(&h, &pad);
	for (uint64_t i = 0; i < used && !h.bad; i++) {
		at += wasm_unsigned(&h, &pad);
		if (at >= STREAM_MAX || sizes[at] != 0)
			return fl_fail(err, FL_CORRUPT, "the delta names an unknown stream");
		sizes[at] = wasm_unsigned(&h, &pad);
	}
	for (unsigned i = 0; i < STREAM_MAX && code == FL_OK; i++) {
		size_t left = wasm_left(&r);

		if (sizes[i] >= JOIN_BELOW) {
			code = coder_read_piece(&r, &c->stream[i], none, &limit, err);
			h.bad |= c->stream[i].n != sizes[i];
		} else if (sizes[i] > 0) {
			struct fl_bytes bytes = wasm_take(&h, sizes[i]);

			fl_buf_add(&c->stream[i], bytes.p, bytes.n);
			code = fl_buf_check(&c->stream[i], err);
		}
		if (c->stats != NULL) {
			c->stats->of[i].unpacked = sizes[i];
			c->stats->of[i].packed = left - wasm_left(&r);
		}
	}
	if (code == FL_OK && (h.bad || wasm_left(&h) != 0 || wasm_left(&r) != 0))
		return fl_fail(err, FL_CORRUPT, "the delta's streams are damaged");
	return code;
}
