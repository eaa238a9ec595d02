/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/delta/layer/huffman.h"

#include <string.h>

#define KINDS 19 /* symbols of the code in which lengths of codes are described */

/* ---- bits */

struct bits bits_of(struct fl_bytes bytes, uint64_t skip)
{
	struct bits b = { 0 };

	if (bytes.n > 0)
		b = (struct bits){ .p = bytes.p + skip / 8, .end = bytes.p + bytes.n };
	(void)bits_take(&b, (unsigned)(skip % 8));
	return b;
}

static void fill(struct bits *b, unsigned n)
{
	while (b->n < n && b->p < b->end) {
		b->hold |= (uint64_t)*b->p++ << b->n;
		b->n += 8;
	}
}

static void drop(struct bits *b, unsigned n)
{
	b->bad = b->bad || n > b->n;
	n = n > b->n ? b->n : n;
	b->hold >>= n;
	b->n -= n;
}

uint32_t bits_take(struct bits *b, unsigned n)
{
	uint64_t v;

	fill(b, n);
	v = b->hold & ((1ULL << n) - 1);
	drop(b, n);
	return (uint32_t)v;
}

uint64_t bits_position(const struct bits *b, const uint8_t *start)
{
	return (uint64_t)(b->p - start) * 8 - b->n;
}

/* ---- codes */

static uint16_t reversed(unsigned code, unsigned length)
{
	unsigned out = 0;

	for (unsigned i = 0; i < length; i++)
		out |= (code >> i & 1) << (length - 1 - i);
	return (uint16_t)out;
}

bool huffman_assign(struct huffman *h, size_t n)
{
	unsigned count[HUFFMAN_BITS + 1] = { 0 }, next[HUFFMAN_BITS + 1] = { 0 }, code = 0;

	for (size_t i = 0; i < n; i++)
		count[h->length[i]]++;
	count[0] = 0;
	for (unsigned l = 1; l <= HUFFMAN_BITS; l++) {
		code = (code + count[l - 1]) << 1;
		next[l] = code;
		if (code + count[l] > 1U << l)
			return false;
	}
	for (size_t i = 0; i < n; i++)
		if (h->length[i] > 0)
			h->code[i] = reversed(next[h->length[i]]++, h->length[i]);
	return true;
}

void huffman_index(const struct huffman *h, size_t n, struct huffman_lookup *out)
{
	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < n; i++)
		for (unsigned at = h->code[i]; h->length[i] > 0 && at < 1U << HUFFMAN_BITS;
			at += 1U << h->length[i])
			out->at[at] = (uint16_t)(i << 4 | h->length[i]);
}

unsigned huffman_next(struct bits *b, const struct huffman_lookup *l)
{
	unsigned found;

	fill(b, HUFFMAN_BITS);
	found = l->at[b->hold & ((1U << HUFFMAN_BITS) - 1)];
	b->bad = b->bad || found == 0;
	drop(b, found & 15);
	return found >> 4;
}

void huffman_fixed(struct huffman *literals, struct huffman *distances)
{
	for (unsigned i = 0; i < HUFFMAN_LITERALS; i++)
		literals->length[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
	memset(distances->length, 5, HUFFMAN_DISTANCES);
	(void)huffman_assign(literals, HUFFMAN_LITERALS);
	(void)huffman_assign(distances, HUFFMAN_DISTANCES);
}

/* The lengths of all codes of a block, one behind the other, `n` in all. */
static bool read_lengths(
	struct bits *b, const struct huffman_lookup *kinds, uint8_t *lengths, unsigned n)
{
	unsigned at = 0;

	while (at < n && !b->bad) {
		unsigned kind = huffman_next(b, kinds), times = 1;
		uint8_t length = (uint8_t)kind;

		if (kind == 16 && at == 0)
			return false;
		if (kind == 16)
			times = 3 + bits_take(b, 2);
		else if (kind == 17)
			times = 3 + bits_take(b, 3);
		else if (kind == 18)
			times = 11 + bits_take(b, 7);
		if (kind >= 16)
			length = kind == 16 ? lengths[at - 1] : 0;
		if (times > n - at)
			return false;
		memset(lengths + at, length, times);
		at += times;
	}
	return !b->bad;
}

bool huffman_describe(struct bits *b, struct huffman *literals, struct huffman *distances,
	struct huffman_lookup *scratch)
{
	static const uint8_t order[KINDS] = { 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2,
		14, 1, 15 };
	uint8_t lengths[HUFFMAN_LITERALS + HUFFMAN_DISTANCES];
	unsigned n_literals = 257 + bits_take(b, 5), n_distances = 1 + bits_take(b, 5),
		 n_kinds = 4 + bits_take(b, 4);
	struct huffman kinds = { 0 };

	if (n_literals > HUFFMAN_LITERALS)
		return false;
	for (unsigned i = 0; i < n_kinds; i++)
		kinds.length[order[i]] = (uint8_t)bits_take(b, 3);
	if (b->bad || !huffman_assign(&kinds, KINDS))
		return false;
	huffman_index(&kinds, KINDS, scratch);
	if (!read_lengths(b, scratch, lengths, n_literals + n_distances))
		return false;
	*literals = *distances = (struct huffman){ 0 };
	memcpy(literals->length, lengths, n_literals);
	memcpy(distances->length, lengths + n_literals, n_distances);
	return huffman_assign(literals, HUFFMAN_LITERALS) &&
		huffman_assign(distances, HUFFMAN_DISTANCES);
}

/* ---- ranges */

struct huffman_range huffman_length(unsigned symbol)
{
	unsigned extra = symbol < 8 ? 0 : symbol / 4 - 1;

	if (symbol == HUFFMAN_LENGTH_RANGES - 1)
		return (struct huffman_range){ 258, 0 };
	if (symbol < 8)
		return (struct huffman_range){ 3 + symbol, 0 };
	return (struct huffman_range){ 3 + ((4 + symbol % 4) << extra), extra };
}

struct huffman_range huffman_distance(unsigned symbol)
{
	unsigned extra = symbol < 4 ? 0 : symbol / 2 - 1;

	if (symbol < 4)
		return (struct huffman_range){ 1 + symbol, 0 };
	return (struct huffman_range){ 1 + ((2 + symbol % 2) << extra), extra };
}
