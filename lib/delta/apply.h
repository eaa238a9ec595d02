/* SPDX-License-Identifier: Apache-2.0
 *
 * From a downloaded file to the artifact: decode with files at both ends, digest on the way.
 *
 * DESIGN. Decoders write in order and give the same bytes each time. So the half-written output is all
 * the state that a stop, a crash or a power cut needs to leave: the next try decodes from the start,
 * compares with what is there instead of writing it again, and goes on where the file ends or differs.
 * It costs processor time, no flash, and no format that could be wrong. */
#ifndef FL_DELTA_APPLY_H
#define FL_DELTA_APPLY_H

#include "lib/delta/codec.h"

/* One artifact to make, as the offer describes it. All descriptors are borrowed. */
struct fl_apply {
	const struct fl_codec *codec;
	int old_fd;            /* the file that the device has; -1 where the codec needs none. It is
				* mapped: nobody may shorten it meanwhile */
	int data_fd;           /* the download, whole, its digest already checked by the caller */
	uint64_t data_size;    /* bytes of it that count; 0: all */
	int out_fd;            /* written from its beginning, in order; not synced */
	uint64_t size;         /* of the artifact */
	const uint8_t *sha256; /* of the artifact, 32 bytes */
	uint64_t memory_max;   /* heap for the decoder; 0: no limit */
	bool resume; /* out_fd may hold what an earlier try has written, and can be read: only what
		      * differs is written */
	/* Told how many bytes are done, now and then; false: stop. NULL: none. */
	bool (*go_on)(void *ctx, uint64_t done);
	void *ctx;
};

/* Decode and check. FL_OK only if exactly `size` bytes with that digest were written; FL_CORRUPT
 * otherwise (the caller drops what was written and takes the full artifact); FL_TOO_LARGE if it
 * needs more than memory_max; FL_STOPPED if go_on says so (keep what was written and resume); FL_IO,
 * FL_FULL, FL_NOMEM. Memory is bounded by codec->decode_memory,
 * whatever the files hold. Any thread. */
enum fl_code fl_apply(const struct fl_apply *a, struct fl_err *err) FL_MUST_CHECK;

/* The SHA-256 of a whole open file (read with pread) and its size; for the check of downloads. */
enum fl_code fl_apply_digest(
	int fd, uint8_t sha256[32], uint64_t *size, struct fl_err *err) FL_MUST_CHECK;

/* Map a whole regular file for reading; an empty file gives no bytes. End with fl_apply_unmap. */
enum fl_code fl_apply_map(int fd, struct fl_bytes *out, struct fl_err *err) FL_MUST_CHECK;
void fl_apply_unmap(struct fl_bytes *mapped);

#endif
