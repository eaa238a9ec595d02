/* SPDX-License-Identifier: Apache-2.0
 *
 * A module's delta as bytes: a short head, then the coder's. The format is in fleet-delta(5).
 *
 *   byte 0    0xd7
 *   byte 1    version << 4 | back end
 *   LEB       size of the new module
 *   LEB       heap that decoding takes, in units of 64 KiB */
#ifndef FL_WASM_DELTA_H
#define FL_WASM_DELTA_H

#include "lib/delta/codec.h"
#include "lib/delta/wasm/coder.h"

/* Zstd decodes fastest; the others are smaller and need a model of the named size. */
enum wasm_back_end { WASM_ZSTD, WASM_ADAPTIVE_256K, WASM_ADAPTIVE_1M, WASM_ADAPTIVE_16M };

struct wasm_delta_head {
	enum wasm_back_end back;
	bool component;        /* the delta of a component, not of one module */
	uint64_t size, memory; /* of the new module; of decoding */
	size_t bytes;          /* of the head */
};

struct wasm_parses; /* parses.h */

struct wasm_delta_options {
	enum wasm_back_end back;
	int level; /* zstd's, for WASM_ZSTD; 0: the default */
	struct wasm_parses
		*parses; /* lent: what earlier encodings found out; NULL: none, and none follow */
};

/* Append the delta to `out`. FL_REFUSED: one of them is no module, or not one that can be taken
 * apart: use another codec; FL_TOO_LARGE, FL_NOMEM. Any thread; so is all below. */
enum fl_code wasm_delta_encode(struct fl_bytes old, struct fl_bytes new,
	const struct wasm_delta_options *options, struct fl_buf *out,
	struct fl_err *err) FL_MUST_CHECK;

/* Decode all of `data`; new bytes go to `out` in order. FL_CORRUPT: damaged, or made for another old
 * module, or larger than limits->output_max; FL_TOO_LARGE: needs more than limits->memory_max;
 * FL_NOMEM, failures of `out`. All heap comes from limits->heap, if there is one, which gets as its limit
 * what the delta says: one that takes more is FL_CORRUPT. Nothing is left allocated. */
enum fl_code wasm_delta_decode(struct fl_bytes old, struct fl_bytes data,
	const struct fl_codec_limits *limits, const struct fl_sink *out,
	struct fl_err *err) FL_MUST_CHECK;

/* A module inside of a component: its delta has a head that states no memory; limits->heap has a limit. */
enum fl_code wasm_delta_encode_module(struct fl_bytes old, struct fl_bytes new,
	const struct wasm_delta_options *options, struct fl_buf *out,
	struct fl_err *err) FL_MUST_CHECK;
enum fl_code wasm_delta_decode_module(struct fl_bytes old, struct fl_bytes data,
	const struct fl_codec_limits *limits, const struct fl_sink *out,
	struct fl_err *err) FL_MUST_CHECK;
/* The level of zstd that the options mean. */
int wasm_delta_level(const struct wasm_delta_options *options);

/* What a delta does to its module. */
struct wasm_delta_view {
	struct coder_stats *stats; /* of the streams */
	bool nested;               /* set by the caller: a module of a component */
	uint64_t functions,
		moved; /* moved: as their old partners make expect, which all others are not */
	uint64_t tokens_copied, tokens_new; /* of the others */
	uint64_t data_copied, data_new;     /* bytes */
};

/* wasm_delta_decode that also tells what it sees; view->stats is zeroed memory. */
enum fl_code wasm_delta_view(struct fl_bytes old, struct fl_bytes data,
	const struct fl_codec_limits *limits, struct wasm_delta_view *view,
	struct fl_err *err) FL_MUST_CHECK;
/* Without the old module: the head, and with streams what they take. */
enum fl_code wasm_delta_unpack(struct fl_bytes data, struct wasm_delta_head *head,
	struct coder_stats *stats, struct fl_err *err) FL_MUST_CHECK;

/* Tell what a delta consists of, part by part, whose bytes sum up to its own; of an adaptive coder's only
 * with the old module. A component's has those of its core modules. FL_CORRUPT, FL_NOMEM. */
enum fl_code wasm_delta_inspect(struct fl_bytes old, struct fl_bytes data, fl_codec_part_fn fn,
	void *ctx, struct fl_err *err) FL_MUST_CHECK;

/* Heap that whole data say decoding takes; 0: they are damaged. */
uint64_t wasm_delta_stated_memory(struct fl_bytes delta);
/* Say in a whole delta what its decoding was seen to take, the delta itself included, with a margin for
 * other builds of zstd, and for longer pointers where ours are short. No memory shows in delta->failed. */
#define WASM_DELTA_MARGIN (128u << 10)
void wasm_delta_state_memory(struct fl_buf *delta, uint64_t memory);

/* No delta of a module of `new_size` bytes is larger than this. */
uint64_t wasm_delta_size_max(uint64_t new_size);
/* Heap that decoding takes at most, the delta itself included; and encoding, both files mapped. */
uint64_t wasm_delta_decode_memory(enum wasm_back_end back, uint64_t old_size, uint64_t new_size);
uint64_t wasm_delta_encode_memory(uint64_t old_size, uint64_t new_size);

#endif
