/* SPDX-License-Identifier: Apache-2.0
 *
 * The symbols of a module's delta on their way to and from bytes.
 *
 * DESIGN. The model (model.c) runs the same code for encoding and decoding: it hands each symbol to
 * the coder, which writes it and returns it, or ignores the argument and returns the one it reads. Two
 * back ends: *plain* collects each stream's bytes, which zstd compresses at the end; *adaptive* codes
 * at once, in the contexts that the model gives (plain ignores them).
 *
 * A prediction that holds is a *hit*. Plain keeps the lengths of runs of hits. */
#ifndef FL_WASM_CODER_H
#define FL_WASM_CODER_H

#include "lib/delta/wasm/adaptive.h"
#include "lib/delta/wasm/leb.h"
#include "lib/delta/wasm/opcodes.h"

/* Streams; those of immediates come four to a kind. */
enum wasm_stream {
	STREAM_LAYOUT,
	STREAM_COPIES, /* lengths of copies: residue, data */
	STREAM_EXTRAS,
	STREAM_JUMPS,
	STREAM_RESIDUE_HIT,
	STREAM_RESIDUE,
	STREAM_RESIDUE_NEW,
	STREAM_PAIR_HIT,
	STREAM_PAIR,
	STREAM_SURE,      /* hit: the function comes out as predicted */
	STREAM_CODE_HIT,  /* hit: the function begins with a copy */
	STREAM_CODE_HOME, /* hit: back to where the copies before the last jump were */
	STREAM_CODE_COPY,
	STREAM_CODE_EXTRA,
	STREAM_CODE_JUMP,
	STREAM_OP_HIT,
	STREAM_OP,
	STREAM_OP_NEW,
	STREAM_TYPE_HIT,
	STREAM_TYPE,
	STREAM_EXPORT_HIT,
	STREAM_EXPORT,
	STREAM_ELEMENT_HIT,
	STREAM_ELEMENT,
	STREAM_NAME_INDEX_HIT,
	STREAM_NAME_INDEX,
	STREAM_NAME_HIT,
	STREAM_NAME_LENGTH,
	STREAM_NAME,
	STREAM_DATA_HIT,
	STREAM_DATA_KIND,
	STREAM_DATA,
	STREAM_DATA_NEW,
	STREAM_PAD_HIT,
	STREAM_PAD,
	STREAM_IMM, /* first of those of immediates */
};
enum wasm_imm_stream { IMM_HIT, IMM_OTHER, IMM_EXACT, IMM_NEW, IMM_STREAMS };
#define STREAM_OF_IMM(kind, which) ((unsigned)(STREAM_IMM + (kind)*IMM_STREAMS + (which)))
#define STREAM_MAX                 (STREAM_IMM + WASM_IMM_MAX * IMM_STREAMS)

enum coder_mode { CODER_ENCODE, CODER_DECODE };

/* What a decoder sees of a stream, for those who look into a delta. */
struct coder_stream_stats {
	uint64_t symbols, misses; /* misses: of hits */
	uint64_t unpacked;        /* plain: bytes */
	uint64_t packed;          /* plain: bytes in the delta; 0: it shares the first piece */
	double bits;              /* adaptive: that it took */
};

struct coder_stats {
	struct coder_stream_stats of[STREAM_MAX];
	uint64_t shared, shared_unpacked; /* plain: bytes of the first piece */
	double position;                  /* adaptive: bits read so far */
};

struct coder {
	struct fl_heap *heap; /* DECODE: for all below, borrowed */
	enum coder_mode mode;
	bool bad;                         /* DECODE: the data ended early or make no sense */
	struct adaptive *adaptive;        /* NULL: plain */
	struct fl_buf stream[STREAM_MAX]; /* plain: bytes written, or to read */
	size_t at[STREAM_MAX];            /* DECODE: read so far */
	uint64_t run[STREAM_MAX];         /* plain: of hits, being counted or used up */
	bool running[STREAM_MAX];         /* DECODE: run is valid */
	uint32_t history[STREAM_MAX];     /* adaptive: the last hits and misses, or bytes */
	struct coder_stats *stats;        /* DECODE: filled if there are any, borrowed */
};

/* What the model knows of the situation; adaptive only. */
struct coder_context {
	uint64_t of[11];
	unsigned n;
};
#define CONTEXT(...)                    \
	(&(const struct coder_context){ \
		{ __VA_ARGS__ }, sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t) })

/* Mix numbers into one context. */
static inline uint64_t context(uint64_t a, uint64_t b)
{
	return (a * 0x100000001b3u + b + 1) * 0x9e3779b97f4a7c15u;
}

/* Plain coding looks at no contexts, so hits can be coded many at a time. */
static inline bool coder_is_plain(const struct coder *c)
{
	return c->adaptive == NULL;
}

/* The back ends, behind the macros below. */
bool coder_hit_plain(struct coder *c, unsigned stream, bool hit);
bool coder_hit_adaptive(struct coder *c, unsigned stream, bool hit, const struct coder_context *x);
uint64_t coder_value_plain(struct coder *c, unsigned stream, uint64_t v);
uint64_t coder_value_adaptive(
	struct coder *c, unsigned stream, uint64_t v, const struct coder_context *x);
uint8_t coder_byte_plain(struct coder *c, unsigned stream, uint8_t v);
uint8_t coder_byte_adaptive(
	struct coder *c, unsigned stream, uint8_t v, const struct coder_context *x);

static inline bool coder_hit_quick(struct coder *c, unsigned stream, bool hit)
{
	if (c->mode == CODER_ENCODE || c->run[stream] == 0)
		return coder_hit_plain(c, stream, hit);
	c->run[stream]--;
	return true;
}

/* These are macros so that the contexts `x` are computed only where they are looked at. */

/* Encoding: `hit` says whether the prediction holds. Returns whether it does. */
#define coder_hit(c, stream, hit, x)                               \
	(coder_is_plain(c) ? coder_hit_quick((c), (stream), (hit)) \
			   : coder_hit_adaptive((c), (stream), (hit), (x)))
/* A number, small ones cheap. */
#define coder_value(c, stream, v, x)                               \
	(coder_is_plain(c) ? coder_value_plain((c), (stream), (v)) \
			   : coder_value_adaptive((c), (stream), (v), (x)))
#define coder_byte(c, stream, v, x)                               \
	(coder_is_plain(c) ? coder_byte_plain((c), (stream), (v)) \
			   : coder_byte_adaptive((c), (stream), (v), (x)))
/* A signed number: near zero cheap. */
#define coder_signed(c, stream, v, x) coder_unfold(coder_value(c, stream, coder_fold(v), x))

/* Signed numbers as unsigned ones, near zero small. */
static inline uint64_t coder_fold(int64_t v)
{
	return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

static inline int64_t coder_unfold(uint64_t u)
{
	return (int64_t)(u >> 1) ^ -(int64_t)(u & 1);
}

/* Plain only. Up to `n` hits at once; encoding: exactly n. Returns how many came. */
uint64_t coder_hits(struct coder *c, unsigned stream, uint64_t n);

/* Prepare for encoding into `out` with a model of so many sets, or plain. Zeroed memory but for the heap;
 * FL_NOMEM. */
enum fl_code coder_encode_adaptive(
	struct coder *c, uint32_t sets, struct fl_buf *out, struct fl_err *err) FL_MUST_CHECK;
void coder_encode_plain(struct coder *c);
/* Encoding is done: append everything to `out`. `level` is zstd's. */
enum fl_code coder_finish(
	struct coder *c, int level, struct fl_buf *out, struct fl_err *err) FL_MUST_CHECK;
/* Prepare for decoding `in` (borrowed). Plain: at most `limit` bytes are unpacked. FL_CORRUPT. */
enum fl_code coder_decode_adaptive(
	struct coder *c, uint32_t sets, struct fl_bytes in, struct fl_err *err) FL_MUST_CHECK;
enum fl_code coder_decode_plain(
	struct coder *c, struct fl_bytes in, uint64_t limit, struct fl_err *err) FL_MUST_CHECK;
/* A piece of bytes: twice its size, plus 1 if it is compressed and then the compressed size; bytes. With a
 * prefix that the decoder has too, what is like it costs little. No memory shows in out->failed. */
void coder_write_piece(
	struct fl_buf *out, struct fl_bytes piece, struct fl_bytes prefix, int level);
/* Append one to `to`, whose heap is used; *left bytes may still be unpacked. FL_CORRUPT, FL_NOMEM. */
enum fl_code coder_read_piece(struct wasm_reader *r, struct fl_buf *to, struct fl_bytes prefix,
	uint64_t *left, struct fl_err *err) FL_MUST_CHECK;

/* Decoding is done: the stats are complete. */
void coder_finish_stats(struct coder *c);
void coder_fini(struct coder *c);

#endif
