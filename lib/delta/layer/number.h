/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers of the layer's formats: unsigned LEB128 of at most 63 bits; and bytes that are read from their
 * beginning. */
#ifndef FL_LAYER_NUMBER_H
#define FL_LAYER_NUMBER_H

#include "lib/buf.h"

#include <stdbool.h>

/* What is still to be read; `failed` once there was less than was asked for. */
struct number_reader {
	struct fl_bytes left;
	bool failed;
};

/* Append a number. */
static inline void number_add(struct fl_buf *b, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		fl_buf_byte(b, (uint8_t)(v | 0x80));
	fl_buf_byte(b, (uint8_t)v);
}

/* The next number; 0 once it failed. */
static inline uint64_t number_next(struct number_reader *r)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 63 && r->left.n > 0; i += 7) {
		uint8_t c = *r->left.p++;

		r->left.n--;
		v |= (uint64_t)(c & 0x7f) << i;
		if (c < 0x80)
			return v;
	}
	r->failed = true;
	return 0;
}

/* The next n bytes; none once it failed. */
static inline struct fl_bytes number_bytes(struct number_reader *r, uint64_t n)
{
	struct fl_bytes b = r->left;

	if (n > r->left.n) {
		r->failed = true;
		return (struct fl_bytes){ 0 };
	}
	b.n = (size_t)n;
	r->left.p += n;
	r->left.n -= (size_t)n;
	return b;
}

/* A number that may be negative, small either way. */
static inline uint64_t number_zigzag(int64_t v)
{
	return (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0);
}

/* The reverse. */
static inline int64_t number_unzigzag(uint64_t v)
{
	return (int64_t)(v >> 1 ^ ((v & 1) != 0 ? UINT64_MAX : 0));
}

#endif
