/* SPDX-License-Identifier: Apache-2.0
 *
 * A module's delta as bytes: a short head, then the coder's.
 *
 *   byte 0    0xd7
 *   byte 1    version << 4 | back end: 0 zstd, 1 to 3 adaptive with 256 KiB, 1 MiB, 16 MiB
 *   LEB       size of the new module */
#ifndef FL_WASM_DELTA_H
#define FL_WASM_DELTA_H

#include "lib/delta/codec.h"
#include "lib/delta/wasm/adaptive.h"

enum wasm_back_end { WASM_ZSTD, WASM_ADAPTIVE_256K, WASM_ADAPTIVE_1M, WASM_ADAPTIVE_16M };

/* Encode. FL_INVALID: one of them is no module, or not one that this can take apart; the caller uses
 * another codec. `level` is zstd's, for WASM_ZSTD. */
enum fl_code wasm_delta_encode(struct fl_bytes old, struct fl_bytes new, enum wasm_back_end back,
	int level, struct fl_buf *out, struct fl_err *err) FL_MUST_CHECK;

/* Decode all of `data`; new bytes go to `out` in order. FL_CORRUPT, FL_TOO_LARGE, FL_NOMEM. */
enum fl_code wasm_delta_decode(struct fl_bytes old, struct fl_bytes data,
	const struct fl_codec_limits *limits, const struct fl_sink *out, struct fl_err *err)
	FL_MUST_CHECK;

#endif
