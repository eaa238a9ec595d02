/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/delta/layer/track.h"

#include <stdlib.h>
#include <string.h>

#include "lib/delta/layer/huffman.h"
#include "lib/delta/layer/number.h"

enum { STORED, FIXED, OWN };

#define LENGTH_MIN   3
#define LENGTH_MAX   258
#define DISTANCE_MAX 32768
#define STORED_MAX   65535
#define PIECE        32768

/* ---- reading */

/* A stream that is being read. */
struct tracker {
	struct bits in;
	const uint8_t *start;
	struct fl_buf blocks, matches;
	struct huffman literals, distances;
	struct huffman_lookup literal_at, distance_at;
};

static void read_stored(struct tracker *t)
{
	unsigned fill = (unsigned)(-bits_position(&t->in, t->start) & 7);
	uint32_t padding = bits_take(&t->in, fill), n = bits_take(&t->in, 16);

	if (bits_take(&t->in, 16) != (n ^ 0xffff))
		t->in.bad = true;
	fl_buf_byte(&t->blocks, (uint8_t)padding);
	number_add(&t->blocks, n);
	for (uint32_t i = 0; i < n && !t->in.bad; i++)
		(void)bits_take(&t->in, 8);
}

/* Keep the description of a block's codes as it is: bits from `from` to where the reader stands. */
static void keep_description(struct tracker *t, uint64_t from)
{
	uint64_t n = bits_position(&t->in, t->start) - from;
	struct bits b =
		bits_of((struct fl_bytes){ t->start, (size_t)(t->in.end - t->start) }, from);

	number_add(&t->blocks, n);
	for (; n >= 8; n -= 8)
		fl_buf_byte(&t->blocks, (uint8_t)bits_take(&b, 8));
	if (n > 0)
		fl_buf_byte(&t->blocks, (uint8_t)bits_take(&b, (unsigned)n));
}

static void read_match(struct tracker *t, unsigned symbol)
{
	struct huffman_range length = huffman_length(symbol - HUFFMAN_LENGTH), distance;
	unsigned n, d;

	if (symbol - HUFFMAN_LENGTH >= HUFFMAN_LENGTH_RANGES) {
		t->in.bad = true;
		return;
	}
	n = length.least + bits_take(&t->in, length.extra);
	d = huffman_next(&t->in, &t->distance_at);
	/* 258 has a symbol of its own; nobody writes it the long way */
	if (d >= HUFFMAN_DISTANCE_RANGES || (n == LENGTH_MAX && length.extra > 0)) {
		t->in.bad = true;
		return;
	}
	distance = huffman_distance(d);
	d = distance.least + bits_take(&t->in, distance.extra) - 1;
	fl_buf_byte(&t->matches, (uint8_t)(n - LENGTH_MIN));
	fl_buf_byte(&t->matches, (uint8_t)d);
	fl_buf_byte(&t->matches, (uint8_t)(d >> 8));
}

static void read_matches(struct tracker *t)
{
	uint64_t matches = 0, literals = 0;

	while (!t->in.bad) {
		unsigned symbol = huffman_next(&t->in, &t->literal_at);

		if (symbol < HUFFMAN_END) {
			literals++;
			continue;
		}
		number_add(&t->matches, literals);
		literals = 0;
		if (symbol == HUFFMAN_END)
			break;
		read_match(t, symbol);
		matches++;
	}
	number_add(&t->blocks, matches);
}

static void read_coded(struct tracker *t, unsigned type)
{
	uint64_t from = bits_position(&t->in, t->start);

	if (type == FIXED) {
		huffman_fixed(&t->literals, &t->distances);
	} else if (huffman_describe(&t->in, &t->literals, &t->distances, &t->literal_at)) {
		keep_description(t, from);
	} else {
		t->in.bad = true;
		return;
	}
	huffman_index(&t->literals, HUFFMAN_LITERALS, &t->literal_at);
	huffman_index(&t->distances, HUFFMAN_DISTANCES, &t->distance_at);
	read_matches(t);
}

static void read_blocks(struct tracker *t)
{
	bool last = false;

	while (!last && !t->in.bad && !t->matches.failed && !t->blocks.failed) {
		unsigned type;

		last = bits_take(&t->in, 1) != 0;
		type = bits_take(&t->in, 2);
		fl_buf_byte(&t->blocks, (uint8_t)(type << 1 | last));
		if (type == STORED)
			read_stored(t);
		else if (type <= OWN)
			read_coded(t, type);
		else
			t->in.bad = true;
	}
	/* what fills up the last byte is zero */
	if (bits_take(&t->in, (unsigned)(-bits_position(&t->in, t->start) & 7)) != 0)
		t->in.bad = true;
}

enum fl_code track_read(
	struct fl_bytes deflate, struct fl_buf *track, size_t *used, struct fl_err *err)
{
	FL_AUTOFREE struct tracker *t = calloc(1, sizeof(*t));
	enum fl_code code = FL_OK;

	if (t == NULL)
		return fl_fail(err, FL_NOMEM, "no memory to look at a compressed layer");
	t->in = bits_of(deflate, 0);
	t->start = deflate.p;
	t->blocks.max = t->matches.max = track->max;
	read_blocks(t);
	if (t->in.bad)
		code = fl_fail(err, FL_REFUSED, "the deflate stream is damaged or of an odd form");
	*used = (size_t)(bits_position(&t->in, t->start) / 8);
	if (code == FL_OK) {
		number_add(track, t->blocks.n);
		fl_buf_add(track, t->blocks.p, t->blocks.n);
		fl_buf_add(track, t->matches.p, t->matches.n);
	}
	if (code == FL_OK && (t->blocks.failed || t->matches.failed || track->failed))
		code = fl_fail(err, FL_TOO_LARGE, "the track of the layer is too large");
	fl_buf_fini(&t->blocks);
	fl_buf_fini(&t->matches);
	return code;
}

/* ---- writing */

struct track_writer {
	const struct fl_sink *to;
	struct number_reader blocks, matches; /* what is left of the track */
	/* The block at hand. */
	bool open, last;
	uint64_t matches_left;
	uint64_t literals; /* still to come before the next match or the block's end */
	uint64_t skip;     /* bytes of the match that was written last */
	uint64_t stored;   /* bytes that go through as they are */
	struct huffman literal, distance;
	/* What was written. */
	uint64_t hold;
	unsigned n;     /* bits in hold, below 8 between two calls */
	size_t piece_n; /* bytes in piece */
	uint8_t length_symbol[LENGTH_MAX + 1];
	struct huffman_lookup scratch;
	uint8_t piece[PIECE + 16];
};

static enum fl_code give(struct track_writer *w, struct fl_err *err)
{
	enum fl_code code = w->piece_n == 0
		? FL_OK
		: w->to->write(w->to->ctx, (struct fl_bytes){ w->piece, w->piece_n }, err);

	w->piece_n = 0;
	return code;
}

/* Write the lowest n bits of v, at most 32; v has no others. The caller gives pieces away in time. */
static void put(struct track_writer *w, uint32_t v, unsigned n)
{
	w->hold |= (uint64_t)v << w->n;
	for (w->n += n; w->n >= 8; w->n -= 8) {
		w->piece[w->piece_n++] = (uint8_t)w->hold;
		w->hold >>= 8;
	}
}

static enum fl_code damaged(struct fl_err *err)
{
	return fl_fail(err, FL_CORRUPT, "the track of the layer is damaged, or for another one");
}

/* A symbol that has no code cannot have been written. */
static bool put_symbol(struct track_writer *w, const struct huffman *h, unsigned symbol)
{
	put(w, h->code[symbol], h->length[symbol]);
	return h->length[symbol] != 0;
}

/* The bits that describe the block's codes, and the codes. */
static bool open_own(struct track_writer *w)
{
	uint64_t n = number_next(&w->blocks);
	struct fl_bytes text = number_bytes(&w->blocks, n / 8 + (n % 8 != 0));
	struct bits b = bits_of(text, 0);

	if (w->blocks.failed || text.n > PIECE / 2)
		return false;
	if (!huffman_describe(&b, &w->literal, &w->distance, &w->scratch) ||
		bits_position(&b, text.p) != n)
		return false;
	b = bits_of(text, 0);
	for (; n >= 8; n -= 8)
		put(w, bits_take(&b, 8), 8);
	put(w, bits_take(&b, (unsigned)n), (unsigned)n);
	return true;
}

static bool open_stored(struct track_writer *w)
{
	struct fl_bytes padding = number_bytes(&w->blocks, 1);
	unsigned fill = (8 - w->n) & 7;

	w->stored = number_next(&w->blocks);
	if (w->blocks.failed || padding.p[0] >> fill != 0 || w->stored > STORED_MAX)
		return false;
	put(w, padding.p[0], fill);
	put(w, (uint32_t)w->stored, 16);
	put(w, (uint32_t)w->stored ^ 0xffff, 16);
	return true;
}

static bool open_block(struct track_writer *w)
{
	struct fl_bytes head = number_bytes(&w->blocks, 1);
	unsigned type;

	if (w->blocks.failed || w->last)
		return false;
	type = head.p[0] >> 1;
	w->last = (head.p[0] & 1) != 0;
	put(w, head.p[0], 3);
	if (type == STORED)
		return open_stored(w);
	if (type == FIXED)
		huffman_fixed(&w->literal, &w->distance);
	else if (type != OWN || !open_own(w))
		return false;
	w->matches_left = number_next(&w->blocks);
	w->literals = number_next(&w->matches);
	w->open = true;
	return !w->blocks.failed && !w->matches.failed;
}

static bool next_match(struct track_writer *w)
{
	struct fl_bytes b = number_bytes(&w->matches, 3);
	struct huffman_range range;
	unsigned n, d, symbol = HUFFMAN_DISTANCE_RANGES;

	w->literals = number_next(&w->matches);
	if (w->matches.failed)
		return false;
	n = b.p[0] + LENGTH_MIN;
	d = (b.p[1] | (unsigned)b.p[2] << 8) + 1;
	if (d > DISTANCE_MAX || !put_symbol(w, &w->literal, HUFFMAN_LENGTH + w->length_symbol[n]))
		return false;
	range = huffman_length(w->length_symbol[n]);
	put(w, n - range.least, range.extra);
	do
		range = huffman_distance(--symbol);
	while (range.least > d);
	if (!put_symbol(w, &w->distance, symbol))
		return false;
	put(w, d - range.least, range.extra);
	w->skip = n;
	w->matches_left--;
	return true;
}

static bool needs_bytes(const struct track_writer *w)
{
	return w->skip > 0 || w->stored > 0 || w->literals > 0;
}

/* Write what comes before the next bytes. */
static enum fl_code go_on(struct track_writer *w, struct fl_err *err)
{
	enum fl_code code = FL_OK;
	bool fine = true;

	if (w->piece_n >= PIECE / 2)
		code = give(w, err);
	if (!w->open) {
		fine = open_block(w);
	} else if (w->matches_left > 0) {
		fine = next_match(w);
	} else {
		fine = put_symbol(w, &w->literal, HUFFMAN_END);
		w->open = false;
	}
	return code == FL_OK && !fine ? damaged(err) : code;
}

/* The beginning of `bytes` goes through as it is. */
static enum fl_code pass(struct track_writer *w, struct fl_bytes bytes, struct fl_err *err)
{
	enum fl_code code = give(w, err);

	w->stored -= bytes.n;
	return code == FL_OK ? w->to->write(w->to->ctx, bytes, err) : code;
}

static enum fl_code put_literals(struct track_writer *w, struct fl_bytes bytes, struct fl_err *err)
{
	enum fl_code code = FL_OK;
	bool fine = true;

	w->literals -= bytes.n;
	for (size_t i = 0; i < bytes.n && fine && code == FL_OK; i++) {
		fine = put_symbol(w, &w->literal, bytes.p[i]);
		if (w->piece_n >= PIECE)
			code = give(w, err);
	}
	return code == FL_OK && !fine ? damaged(err) : code;
}

static struct fl_bytes cut(struct fl_bytes bytes, uint64_t n)
{
	bytes.n = bytes.n < n ? bytes.n : (size_t)n;
	return bytes;
}

enum fl_code track_write(struct track_writer *w, struct fl_bytes bytes, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	while (bytes.n > 0 && code == FL_OK) {
		struct fl_bytes now = { bytes.p, 0 };

		if (w->skip > 0) {
			now = cut(bytes, w->skip);
			w->skip -= now.n;
		} else if (w->stored > 0) {
			now = cut(bytes, w->stored);
			code = pass(w, now, err);
		} else if (w->literals > 0) {
			now = cut(bytes, w->literals);
			code = put_literals(w, now, err);
		} else {
			code = go_on(w, err);
		}
		bytes.p += now.n;
		bytes.n -= now.n;
	}
	return code;
}

enum fl_code track_finish(struct track_writer *w, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	while (code == FL_OK && (w->open || !w->last)) {
		if (needs_bytes(w))
			return damaged(err);
		code = go_on(w, err);
	}
	if (code == FL_OK && (needs_bytes(w) || w->blocks.left.n != 0 || w->matches.left.n != 0))
		return damaged(err);
	put(w, 0, (8 - w->n) & 7);
	return code == FL_OK ? give(w, err) : code;
}

enum fl_code track_begin(struct fl_bytes track, const struct fl_sink *to, struct track_writer **out,
	struct fl_err *err)
{
	struct track_writer *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return fl_fail(err, FL_NOMEM, "no memory to pack a layer");
	w->to = to;
	w->matches.left = track;
	w->blocks.left = number_bytes(&w->matches, number_next(&w->matches));
	for (unsigned s = 0; s < HUFFMAN_LENGTH_RANGES; s++)
		for (unsigned n = huffman_length(s).least; n <= LENGTH_MAX; n++)
			w->length_symbol[n] = (uint8_t)s;
	*out = w;
	return FL_OK;
}

void track_end(struct track_writer *w)
{
	free(w);
}

uint64_t track_memory(void)
{
	return sizeof(struct track_writer);
}
