/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the addresses of one build are in the next.
 *
 * DESIGN. Stretches of old addresses and how far each has moved. The encoder finds them by aligning both
 * files with all numbers that name places masked; the decoder reads them from the delta. */
#ifndef FL_EXE_MAP_H
#define FL_EXE_MAP_H

#include "lib/delta/exe/image.h"

/* From `from` up to the next one's. */
struct exe_stretch {
	uint64_t from;
	int64_t shift;
};

/* Ascending; zeroed memory is a valid empty one. */
struct exe_map {
	struct exe_stretch *v; /* owned */
	size_t n;
};

/* Free what it owns. Safe twice. */
void exe_map_fini(struct exe_map *m);
/* The new address of an old one; before the first stretch nothing has moved. */
uint64_t exe_map_find(const struct exe_map *m, uint64_t address);
/* Find it for two builds. FL_NOMEM. */
enum fl_code exe_map_make(const struct exe_image *old, const struct exe_image *new,
	struct exe_map *out, struct fl_err *err) FL_MUST_CHECK;
/* Append it as bytes. */
void exe_map_write(const struct exe_map *m, struct fl_buf *b);
/* Read it back: all of `bytes`. FL_CORRUPT, FL_NOMEM. */
enum fl_code exe_map_read(
	struct fl_bytes bytes, struct exe_map *out, struct fl_err *err) FL_MUST_CHECK;
/* bytes[0..image->bytes.n) hold the old build: rewrite its numbers as if it stood where the new one
 * does. */
void exe_map_move(
	const struct exe_map *m, const struct exe_image *old, unsigned what, uint8_t *bytes);

/* For encoders: bytes that both files have at other places. `mask` was applied to both. */
struct exe_block {
	size_t old_at, new_at, n;
};
struct exe_blocks {
	struct exe_block *v; /* owned */
	size_t n, room;
};
/* Align new with old, in the order of new. FL_NOMEM; the caller frees out->v. */
enum fl_code exe_align(struct fl_bytes old, struct fl_bytes new, struct exe_blocks *out,
	struct fl_err *err) FL_MUST_CHECK;

#endif
