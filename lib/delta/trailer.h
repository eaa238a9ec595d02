/* SPDX-License-Identifier: Apache-2.0
 *
 * What a delta is between, for files that travel by themselves.
 *
 * DESIGN. In an offer of the server the digests of both sides travel beside the delta. A file may carry
 * them at its end instead: one skippable frame of zstd (RFC 8878, 3.1.2), so that a zstd-patch with a
 * trailer is still what the zstd program reads. All numbers are little endian:
 *
 *   0x184D2A5D, u32: bytes that follow
 *   32 bytes  SHA-256 of the old file (zeros: none)
 *   32 bytes  SHA-256 of the new file
 *   u64       size of the new file
 *   u64       heap that decoding takes at most, bytes
 *   n bytes   name of the codec
 *   u32       bytes of the whole frame
 *   8 bytes   "fldelta1" */
#ifndef FL_DELTA_TRAILER_H
#define FL_DELTA_TRAILER_H

#include "lib/delta/codec.h"

struct fl_trailer {
	uint8_t old_sha256[32], new_sha256[32];
	uint64_t new_size, memory;
	char codec[FL_CODEC_NAME_MAX];
};

#define FL_TRAILER_MAX (8 + 32 + 32 + 8 + 8 + FL_CODEC_NAME_MAX + 4 + 8)

/* Append a trailer. */
void fl_trailer_add(struct fl_buf *b, const struct fl_trailer *t);
/* Read the trailer at the end of a delta's file; *bytes gets its length. FL_NOT_FOUND without touching
 * err: there is none; FL_CORRUPT: there is half of one. */
enum fl_code fl_trailer_read(struct fl_bytes file, struct fl_trailer *out, size_t *bytes,
	struct fl_err *err) FL_MUST_CHECK;

#endif
