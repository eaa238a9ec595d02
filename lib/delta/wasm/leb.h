/* SPDX-License-Identifier: Apache-2.0
 *
 * LEB128 integers as WebAssembly has them, with their padding: linkers write longer forms than
 * needed, and a delta must give back the very same bytes. `pad` is how many bytes more than the
 * shortest form were used. */
#ifndef FL_WASM_LEB_H
#define FL_WASM_LEB_H

#include "lib/buf.h"

#define WASM_LEB_MAX 10 /* longest form of 64 bits */

/* Bytes that are read from the front; `bad` once they were too few or not what was asked for, and
 * from then on everything reads as 0. */
struct wasm_reader {
	const uint8_t *p, *end;
	bool bad;
};

static inline struct wasm_reader wasm_reader(struct fl_bytes b)
{
	return (struct wasm_reader){ .p = b.p, .end = b.p + b.n };
}

static inline size_t wasm_left(const struct wasm_reader *r)
{
	return (size_t)(r->end - r->p);
}

static inline uint8_t wasm_byte(struct wasm_reader *r)
{
	if (r->p >= r->end) {
		r->bad = true;
		return 0;
	}
	return *r->p++;
}

/* The next n bytes; none, and bad, if there are fewer. */
static inline struct fl_bytes wasm_take(struct wasm_reader *r, uint64_t n)
{
	struct fl_bytes b = { r->p, 0 };

	if (n > wasm_left(r)) {
		r->bad = true;
		return b;
	}
	b.n = (size_t)n;
	r->p += n;
	return b;
}

/* Bytes of the shortest forms. */
static inline unsigned wasm_leb_unsigned_size(uint64_t v)
{
	return v == 0 ? 1 : (unsigned)(70 - __builtin_clzll(v)) / 7;
}

static inline unsigned wasm_leb_signed_size(int64_t v)
{
	uint64_t magnitude = (uint64_t)(v < 0 ? ~v : v);

	return magnitude == 0 ? 1 : (unsigned)(71 - __builtin_clzll(magnitude)) / 7;
}

/* An unsigned integer of up to 64 bits; bits above them make it bad. */
static inline uint64_t wasm_unsigned(struct wasm_reader *r, unsigned *pad)
{
	uint64_t v = 0;
	unsigned n = 0;
	uint8_t byte;

	do {
		byte = wasm_byte(r);
		if (n == WASM_LEB_MAX || (n == WASM_LEB_MAX - 1 && (byte & 0x7e) != 0)) {
			r->bad = true;
			return 0;
		}
		v |= (uint64_t)(byte & 0x7f) << (7 * n);
		n++;
	} while (byte >= 0x80 && !r->bad);
	*pad = n - wasm_leb_unsigned_size(v);
	return r->bad ? 0 : v;
}

/* A signed one. A padded negative number is filled with sign bits. */
static inline int64_t wasm_signed(struct wasm_reader *r, unsigned *pad)
{
	uint64_t v = 0;
	unsigned n = 0;
	uint8_t byte;

	do {
		byte = wasm_byte(r);
		if (n == WASM_LEB_MAX || (n == WASM_LEB_MAX - 1 && byte != 0 && byte != 0x7f)) {
			r->bad = true;
			return 0;
		}
		v |= (uint64_t)(byte & 0x7f) << (7 * n);
		n++;
	} while (byte >= 0x80 && !r->bad);
	if (n < WASM_LEB_MAX && (byte & 0x40) != 0)
		v |= ~(uint64_t)0 << (7 * n);
	*pad = n - wasm_leb_signed_size((int64_t)v);
	return r->bad ? 0 : (int64_t)v;
}

/* Write one at `to` (WASM_LEB_MAX bytes of room; shortest form + pad must not pass it) and return
 * behind it. */
static inline uint8_t *wasm_put_unsigned(uint8_t *to, uint64_t v, unsigned pad)
{
	for (; v >= 0x80; v >>= 7)
		*to++ = (uint8_t)(v | 0x80);
	*to++ = (uint8_t)(v | (pad > 0 ? 0x80 : 0));
	for (; pad > 0; pad--)
		*to++ = pad > 1 ? 0x80 : 0;
	return to;
}

static inline uint8_t *wasm_put_signed(uint8_t *to, int64_t v, unsigned pad)
{
	unsigned n = wasm_leb_signed_size(v) + pad;

	for (; n > 1; n--, v >>= 7)
		*to++ = (uint8_t)(v | 0x80);
	*to++ = (uint8_t)(v & 0x7f);
	return to;
}

#endif
