/* SPDX-License-Identifier: Apache-2.0
 *
 * The encodings in which an artifact travels: one table for server and device.
 *
 * DESIGN. An encoding turns the new bytes, with or without the old ones that the receiver has, into
 * data, and back. Which old and which new bytes are meant, with their digests and sizes, travels in
 * the signed offer, not in the data. A decoder reads the data by position from a source, has the old
 * bytes in memory (usually a mapped file), and writes the new bytes in order to a sink. It trusts
 * nothing in the data: arbitrary bytes give FL_CORRUPT, never more output or memory than the limits.
 *
 * To add an encoding: a file codec_<name>.c with one struct fl_codec, its row in the table of
 * codec.c (best first), its tier in server/delta_tiers.h, its man page.
 *
 * All of it may be called on any thread. */
#ifndef FL_DELTA_CODEC_H
#define FL_DELTA_CODEC_H

#include "lib/buf.h"

#define FL_CODEC_NAME_MAX 32 /* bytes of a codec's name with its NUL */

/* Where the encoded bytes come from. */
struct fl_source {
	uint64_t size;
	/* Fill to[0..n) from `offset`; offset + n <= size. Anything short of that is a failure. */
	enum fl_code (*read_at)(void *ctx, uint64_t offset, void *to, size_t n, struct fl_err *err);
	void *ctx;
};

/* Where bytes go, in order. A failure of `write` ends the coding with that failure. */
struct fl_sink {
	enum fl_code (*write)(void *ctx, struct fl_bytes bytes, struct fl_err *err);
	void *ctx;
};

/* What a decoder may cost. */
struct fl_codec_limits {
	uint64_t output_max; /* more output is FL_CORRUPT: the offer says the size */
	uint64_t memory_max; /* heap; data that needs more is FL_TOO_LARGE; 0: no limit */
	/* Where memory comes from, so that the caller sees what was used; codecs whose data state
	 * how much that is do not take more. NULL: the decoder has one of its own. Others ignore it. */
	struct fl_heap *heap;
};

/* One line of what is in a delta. */
struct fl_codec_part {
	const char *name;
	uint64_t bytes; /* that it takes in the delta */
	uint64_t count; /* of what it holds; 0: not counted */
	char note[96];  /* "" or a remark: "91.3 % predicted" */
};
typedef void (*fl_codec_part_fn)(void *ctx, const struct fl_codec_part *part);

/* Two files, and what earlier encodings found out about them and others: delta/wasm/parses.h. */
struct fl_codec_files {
	struct fl_bytes old, new;
	struct wasm_parses *parses; /* lent */
};

struct fl_codec {
	const char *name; /* as in offers, in the store and on the command line */
	bool needs_old;   /* false: `old` is not looked at */

	/* Encode `new` for a receiver that has `old`. `level` is the codec's own scale, larger is
	 * slower and smaller; 0 is its default. FL_TOO_LARGE for sizes it cannot take, FL_NOMEM;
	 * FL_REFUSED: it is for another kind of files than these, nothing was written. */
	enum fl_code (*encode)(struct fl_bytes old, struct fl_bytes new, int level,
		const struct fl_sink *out, struct fl_err *err);
	/* The same for one of several encodings in a row. NULL: this codec keeps nothing of them. */
	enum fl_code (*encode_next)(const struct fl_codec_files *files, int level,
		const struct fl_sink *out, struct fl_err *err);

	/* Decode all of `data`. FL_CORRUPT: these are not (whole) data of this codec for this old;
	 * FL_TOO_LARGE: over limits->memory_max; FL_NOMEM; failures of source and sink. Bytes may
	 * have been written before a failure. */
	enum fl_code (*decode)(struct fl_bytes old, const struct fl_source *data,
		const struct fl_codec_limits *limits, const struct fl_sink *out,
		struct fl_err *err);

	/* Most heap that decoding takes for these sizes, the mapped old file not counted. What a
	 * server compares with the memory that a device says it has. */
	uint64_t (*decode_memory)(uint64_t old_size, uint64_t new_size);

	/* The same as whole data state it in their head, which may be less or more; 0: they are
	 * damaged. NULL: this codec's data do not say it, decode_memory holds. */
	uint64_t (*stated_memory)(struct fl_bytes data);
	/* After encoding: state in whole data what decoding them was seen to take (limits->heap), instead
	 * of the most that it could. No memory shows in data->failed. NULL: as stated_memory. */
	void (*state_memory)(struct fl_buf *data, uint64_t memory);

	/* Likewise of encoding, both files mapped; an estimate from above. */
	uint64_t (*encode_memory)(uint64_t old_size, uint64_t new_size, int level);

	/* Tell what whole data consist of, part by part; `old` as for decoding. FL_CORRUPT. NULL: this
	 * codec has nothing to tell. */
	enum fl_code (*inspect)(struct fl_bytes old, struct fl_bytes data, fl_codec_part_fn fn,
		void *ctx, struct fl_err *err);
};

/* Encode, with what is known of the files where the codec has a use for it. As `encode`. */
enum fl_code fl_codec_encode(const struct fl_codec *codec, const struct fl_codec_files *files,
	int level, const struct fl_sink *out, struct fl_err *err) FL_MUST_CHECK;
/* The codec of that name, NULL if there is none. Static memory. */
const struct fl_codec *fl_codec_find(const char *name);
/* The codec whose data begin like these; with `has_old` one that needs old bytes where both would do.
 * NULL: these are the artifact itself, or no codec's. */
const struct fl_codec *fl_codec_guess(struct fl_bytes data, bool has_old);
/* Append the names of all codecs, comma-separated, best first; without `with_old` those that need no
 * old bytes. */
void fl_codec_names(struct fl_buf *b, bool with_old);
/* The i-th codec, best first; NULL behind the last. */
const struct fl_codec *fl_codec_at(size_t i);

/* A source over memory: `bytes` is borrowed while the source is used. */
struct fl_source fl_source_bytes(const struct fl_bytes *bytes);
/* A source over an open regular file, read with pread; *fd is borrowed while the source is used.
 * FL_IO if it is not one. */
enum fl_code fl_source_file(const int *fd, struct fl_source *out, struct fl_err *err) FL_MUST_CHECK;
/* A sink that appends to `b` (borrowed); mind b->max. */
struct fl_sink fl_sink_buf(struct fl_buf *b);
/* A sink that writes to an open file at its position; *fd is borrowed while the sink is used. */
struct fl_sink fl_sink_file(const int *fd);

#endif
