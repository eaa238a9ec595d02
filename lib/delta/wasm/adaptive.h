/* SPDX-License-Identifier: Apache-2.0
 *
 * An adaptive binary coder: each bit is predicted by several contexts whose opinions a small
 * network mixes, then coded by a range coder. After M. Mahoney's PAQ family ("Adaptive weighing of
 * context models for lossless data compression", 2005). All arithmetic is on integers, so that any
 * two machines agree on every bit.
 *
 * The model's memory is stated by its size: up to 256 KiB, 1 MiB or 16 MiB of slots. */
#ifndef FL_WASM_ADAPTIVE_H
#define FL_WASM_ADAPTIVE_H

#include "lib/buf.h"

#define ADAPTIVE_CONTEXTS_MAX 13
#define ADAPTIVE_STREAMS      135

enum adaptive_size { ADAPTIVE_256K, ADAPTIVE_1M, ADAPTIVE_16M, ADAPTIVE_SIZE_MAX };

struct adaptive;

/* How many sets of slots, 256 bytes each, a model of that size has for a new module of so many bytes: one
 * for each ADAPTIVE_SET_BYTES of it, but not less than ADAPTIVE_SETS_LEAST, nor more than the size allows. */
#define ADAPTIVE_SET_BYTES  32
#define ADAPTIVE_SETS_LEAST (1u << 15)
uint32_t adaptive_sets(enum adaptive_size size, uint64_t bytes);

/* A coder with an empty model. Encoding appends to `out` (borrowed); decoding (out NULL) reads `in`
 * (borrowed); behind its end come zero bytes. `heap` is borrowed, NULL: malloc's. NULL without memory. */
struct adaptive *adaptive_new(
	struct fl_heap *heap, uint32_t sets, struct fl_buf *out, struct fl_bytes in);
void adaptive_free(struct adaptive *a);
/* Heap that a coder with so many sets takes. */
uint64_t adaptive_memory(uint32_t sets);

/* Code one bit of `stream` in `n` contexts (hashes; equal situations, equal numbers). Encoding: returns
 * `bit`; decoding: ignores it and returns the coded one. `group` chooses among 8 weight sets. */
bool adaptive_bit(struct adaptive *a, unsigned stream, bool bit, const uint64_t *contexts,
	unsigned n, unsigned group);
/* Code a byte likewise. `group` chooses among 2 weight sets. */
uint8_t adaptive_byte(struct adaptive *a, unsigned stream, uint8_t byte, const uint64_t *contexts,
	unsigned n, unsigned group);
/* While silent, what is coded is only learned: both sides do so with what both know. */
void adaptive_silent(struct adaptive *a, bool silent);
/* Encoding: write what is still held back. */
void adaptive_flush(struct adaptive *a);
bool adaptive_is_silent(const struct adaptive *a);
/* Decoding: how many bits of information were read so far. */
double adaptive_position(const struct adaptive *a);
/* Decoding: whether more was read behind the end than an encoder leaves out. */
bool adaptive_is_cut_off(const struct adaptive *a);

#endif
