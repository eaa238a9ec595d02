/* SPDX-License-Identifier: Apache-2.0
 *
 * Bits and codes of deflate (RFC 1951), as its reader and its writer need them. */
#ifndef FL_LAYER_HUFFMAN_H
#define FL_LAYER_HUFFMAN_H

#include "lib/buf.h"

#include <stdbool.h>

#define HUFFMAN_LITERALS  288 /* symbols of literals, the end and lengths */
#define HUFFMAN_DISTANCES 32
#define HUFFMAN_END       256 /* symbol: the block ends */
#define HUFFMAN_LENGTH    257 /* symbol of the first length */
#define HUFFMAN_BITS      15

/* Bits that are read from the lowest on. Behind the end come zeros, and `bad` is set. */
struct bits {
	const uint8_t *p, *end;
	uint64_t hold;
	unsigned n; /* bits in hold */
	bool bad;
};

/* Begin to read `bytes` (borrowed) behind the first `skip` bits, which it has. */
struct bits bits_of(struct fl_bytes bytes, uint64_t skip);
/* The next n bits, at most 32. */
uint32_t bits_take(struct bits *b, unsigned n);
/* How many were taken since the beginning of bytes that started at `start`. */
uint64_t bits_position(const struct bits *b, const uint8_t *start);

/* A code: each symbol's bits, the first to be written lowest, and how many; 0: it has none. */
struct huffman {
	uint16_t code[HUFFMAN_LITERALS];
	uint8_t length[HUFFMAN_LITERALS];
};

/* What the next bits say: symbol << 4 | length of its code; 0: nothing. */
struct huffman_lookup {
	uint16_t at[1U << HUFFMAN_BITS];
};

/* Give n symbols their codes by their lengths (3.2.2). False: the lengths are no code. */
bool huffman_assign(struct huffman *h, size_t n);
/* Make its lookup. */
void huffman_index(const struct huffman *h, size_t n, struct huffman_lookup *out);
/* The next symbol; sets b->bad if there is none. */
unsigned huffman_next(struct bits *b, const struct huffman_lookup *l);

/* The two codes of a block: the fixed ones (3.2.6), or those that the bits describe (3.2.7), with
 * `scratch` to do so; false: they are damaged. */
void huffman_fixed(struct huffman *literals, struct huffman *distances);
bool huffman_describe(struct bits *b, struct huffman *literals, struct huffman *distances,
	struct huffman_lookup *scratch);

/* What a symbol stands for: the least value, and how many more bits follow (3.2.5). */
struct huffman_range {
	unsigned least, extra;
};
#define HUFFMAN_LENGTH_RANGES   29
#define HUFFMAN_DISTANCE_RANGES 30
/* Of a length; its symbol less HUFFMAN_LENGTH. */
struct huffman_range huffman_length(unsigned symbol);
/* Of a distance. */
struct huffman_range huffman_distance(unsigned symbol);

#endif
