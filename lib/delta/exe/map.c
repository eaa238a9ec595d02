/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/delta/exe/map.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_MIN 24 /* bytes of a block that says where something went */

void exe_map_fini(struct exe_map *m)
{
	free(m->v);
	*m = (struct exe_map){ 0 };
}

uint64_t exe_map_find(const struct exe_map *m, uint64_t address)
{
	size_t low = 0, high = m->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (m->v[middle].from <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low == 0 ? address : address + (uint64_t)m->v[low - 1].shift;
}

/* ---- making */

/* A stretch with its end. */
struct moved {
	uint64_t from, to;
	int64_t shift;
};

struct moves {
	struct moved *v;
	size_t n, room;
};

static bool add_move(struct moves *m, struct moved move)
{
	if (m->n == m->room) {
		size_t room = m->room == 0 ? 256 : 2 * m->room;
		struct moved *v = realloc(m->v, room * sizeof(*v));

		if (v == NULL)
			return false;
		m->v = v;
		m->room = room;
	}
	m->v[m->n++] = move;
	return true;
}

/* The loaded piece that has this byte, NULL if none has. */
static const struct exe_piece *piece_of(const struct exe_image *m, size_t at)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct exe_piece *p = &m->pieces[i];

		if (p->kind != EXE_SYMBOLS && at >= p->from && at < p->to)
			return p;
	}
	return NULL;
}

/* A block in addresses, cut where either side's piece ends. */
static bool add_block(struct moves *m, const struct exe_image *old, const struct exe_image *new,
	struct exe_block b)
{
	while (b.n >= BLOCK_MIN) {
		const struct exe_piece *o = piece_of(old, b.old_at), *w = piece_of(new, b.new_at);
		size_t n = b.n;

		if (o == NULL || w == NULL) {
			n = 1;
		} else {
			uint64_t from = o->address + (b.old_at - o->from);
			uint64_t to = w->address + (b.new_at - w->from);

			n = n < o->to - b.old_at ? n : o->to - b.old_at;
			n = n < w->to - b.new_at ? n : w->to - b.new_at;
			if (n >= BLOCK_MIN &&
				!add_move(
					m, (struct moved){ from, from + n, (int64_t)(to - from) }))
				return false;
		}
		b = (struct exe_block){ b.old_at + n, b.new_at + n, b.n - n };
	}
	return true;
}

static int by_from(const void *a, const void *b)
{
	const struct moved *x = a, *y = b;

	return (x->from > y->from) - (x->from < y->from);
}

/* Where two stretches claim the same addresses the longer one has them. */
static size_t settle(struct moved *v, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		struct moved m = v[i], *last = kept == 0 ? NULL : &v[kept - 1];

		if (last != NULL && m.from < last->to) {
			if (m.to - m.from > last->to - last->from)
				last->to = m.from;
			else
				m.from = last->to;
		}
		if (last != NULL && last->from >= last->to)
			kept--;
		if (m.from < m.to)
			v[kept++] = m;
	}
	return kept;
}

static bool to_map(const struct moved *v, size_t n, struct exe_map *out)
{
	out->v = malloc((n + 1) * sizeof(*out->v));
	if (out->v == NULL)
		return false;
	for (size_t i = 0; i < n; i++)
		if (out->n == 0 || out->v[out->n - 1].shift != v[i].shift)
			out->v[out->n++] = (struct exe_stretch){ v[i].from, v[i].shift };
	return true;
}

static void mask(void *ctx, const struct exe_ref *ref)
{
	exe_ref_write(ctx, ref, 0, 0);
}

/* The bytes with all numbers masked; NULL without memory. */
static uint8_t *masked(const struct exe_image *m)
{
	uint8_t *p = malloc(m->bytes.n + 1);

	if (p == NULL)
		return NULL;
	memcpy(p, m->bytes.p, m->bytes.n);
	exe_image_refs(m, EXE_WITH_TABLES | EXE_WITH_WORDS, mask, p);
	return p;
}

enum fl_code exe_map_make(const struct exe_image *old, const struct exe_image *new,
	struct exe_map *out, struct fl_err *err)
{
	FL_AUTOFREE uint8_t *a = masked(old), *b = masked(new);
	struct exe_blocks blocks = { 0 };
	struct moves moves = { 0 };
	bool done = a != NULL && b != NULL &&
		exe_align((struct fl_bytes){ a, old->bytes.n },
			(struct fl_bytes){ b, new->bytes.n }, &blocks, err) == FL_OK;

	for (size_t i = 0; i < blocks.n && done; i++)
		done = add_block(&moves, old, new, blocks.v[i]);
	if (done && moves.n > 0) {
		qsort(moves.v, moves.n, sizeof(*moves.v), by_from);
		moves.n = settle(moves.v, moves.n);
	}
	done = done && to_map(moves.v, moves.n, out);
	free(blocks.v);
	free(moves.v);
	return done ? FL_OK : fl_fail(err, FL_NOMEM, "no memory to compare two executables");
}

/* ---- as bytes: pairs of LEB numbers, differences of the starts and, zigzag, of the shifts */

static void add_number(struct fl_buf *b, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		fl_buf_byte(b, (uint8_t)(v | 0x80));
	fl_buf_byte(b, (uint8_t)v);
}

void exe_map_write(const struct exe_map *m, struct fl_buf *b)
{
	uint64_t from = 0, shift = 0;

	for (size_t i = 0; i < m->n; i++) {
		uint64_t d = (uint64_t)m->v[i].shift - shift;

		add_number(b, m->v[i].from - from);
		add_number(b, d << 1 ^ (d >> 63 != 0 ? UINT64_MAX : 0));
		from = m->v[i].from;
		shift = (uint64_t)m->v[i].shift;
	}
}

static bool next_number(struct fl_bytes *b, uint64_t *out)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 70 && b->n > 0; i += 7) {
		uint8_t c = *b->p++;

		b->n--;
		if (i == 63 && c > 1)
			return false;
		v |= (uint64_t)(c & 0x7f) << i;
		if (c < 0x80) {
			*out = v;
			return true;
		}
	}
	return false;
}

enum fl_code exe_map_read(struct fl_bytes bytes, struct exe_map *out, struct fl_err *err)
{
	struct exe_map m = { .v = malloc((bytes.n / 2 + 1) * sizeof(*m.v)) };
	uint64_t from = 0, shift = 0;

	if (m.v == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a map of addresses");
	while (bytes.n > 0) {
		uint64_t step, d;

		if (!next_number(&bytes, &step) || !next_number(&bytes, &d) ||
			(m.n > 0 && step == 0) || step > UINT64_MAX - from) {
			exe_map_fini(&m);
			return fl_fail(err, FL_CORRUPT, "the map of addresses is damaged");
		}
		from += step;
		shift += d >> 1 ^ ((d & 1) != 0 ? UINT64_MAX : 0);
		m.v[m.n++] = (struct exe_stretch){ from, (int64_t)shift };
	}
	*out = m;
	return FL_OK;
}

/* ---- moving */

struct move {
	const struct exe_map *map;
	uint8_t *bytes;
};

static void move_ref(void *ctx, const struct exe_ref *ref)
{
	const struct move *m = ctx;

	exe_ref_write(
		m->bytes, ref, exe_map_find(m->map, ref->place), exe_map_find(m->map, ref->target));
}

void exe_map_move(
	const struct exe_map *m, const struct exe_image *old, unsigned what, uint8_t *bytes)
{
	struct move move = { m, bytes };

	exe_image_refs(old, what, move_ref, &move);
}
