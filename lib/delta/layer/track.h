/* SPDX-License-Identifier: Apache-2.0
 *
 * The track of a deflate stream (RFC 1951): all that the unpacked bytes do not say about it.
 *
 * DESIGN. Every compressor chooses on its own where blocks end, which codes they have, which bytes are
 * literal and which are copied from where. Written down, these choices and the unpacked bytes give the
 * very same stream again, whoever made it. Two streams of one compressor that hold much the same make
 * much the same choices, so that the new track is small as a delta against the old one.
 *
 *   LEB       bytes of the blocks' part
 *   blocks    for each: a byte, BFINAL | BTYPE << 1; then
 *             0, stored: a byte, the bits that fill up the byte; LEB: bytes
 *             1, fixed codes: LEB: matches
 *             2, own codes: LEB: bits of their description; the same, filled up to bytes; LEB: matches
 *   the rest  for each block with codes, for each match: LEB: literals before it, a byte: its length - 3,
 *             two: its distance - 1, little endian; then LEB: literals behind the last match */
#ifndef FL_LAYER_TRACK_H
#define FL_LAYER_TRACK_H

#include "lib/delta/codec.h"

/* Append the track of the stream at the beginning of `deflate`; *used gets its bytes. FL_REFUSED: it is
 * damaged, or has a form that no compressor writes; FL_TOO_LARGE: above track->max; FL_NOMEM. */
enum fl_code track_read(struct fl_bytes deflate, struct fl_buf *track, size_t *used,
	struct fl_err *err) FL_MUST_CHECK;

/* A stream in the making: unpacked bytes are written to it, deflated ones come out. */
struct track_writer;
/* Begin; `track` and `to` are borrowed until track_end. FL_NOMEM. */
enum fl_code track_begin(struct fl_bytes track, const struct fl_sink *to, struct track_writer **out,
	struct fl_err *err) FL_MUST_CHECK;
/* FL_CORRUPT: the track is damaged, or for other bytes; failures of the sink. */
enum fl_code track_write(
	struct track_writer *w, struct fl_bytes bytes, struct fl_err *err) FL_MUST_CHECK;
/* All bytes came. Likewise. */
enum fl_code track_finish(struct track_writer *w, struct fl_err *err) FL_MUST_CHECK;
/* Free it. NULL is fine. */
void track_end(struct track_writer *w);
/* Heap that a writer takes besides the track. */
uint64_t track_memory(void);

#endif
