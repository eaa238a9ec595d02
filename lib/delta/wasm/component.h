/* SPDX-License-Identifier: Apache-2.0
 *
 * Components (layer 1 of WebAssembly): core modules inside of a binary of their own.
 *
 * DESIGN. The core modules are found at any depth; each becomes a delta to the old one that is most
 * like it. All other bytes in a row, the *rest*, are compressed with the old rest as prefix. */
#ifndef FL_WASM_COMPONENT_H
#define FL_WASM_COMPONENT_H

#include "lib/delta/wasm/delta.h"

/* Whether bytes begin like a component. */
bool wasm_is_component(struct fl_bytes bytes);

/* Append what stands behind the head of a component's delta. FL_REFUSED: they do not split, or there is no
 * core module to follow; FL_NOMEM. */
enum fl_code wasm_component_encode(struct fl_bytes old, struct fl_bytes new,
	const struct wasm_delta_options *options, struct fl_buf *out,
	struct fl_err *err) FL_MUST_CHECK;

/* Decode it: `limits` have the heap, with its limit, and the exact size of the output. Failures as of
 * wasm_delta_decode. */
enum fl_code wasm_component_decode(struct fl_bytes old, struct fl_bytes data,
	const struct fl_codec_limits *limits, const struct fl_sink *out,
	struct fl_err *err) FL_MUST_CHECK;

/* Told a core module of a component's delta: its old one (empty if nobody has the old component), and its
 * own delta. */
typedef enum fl_code (*wasm_component_fn)(
	void *ctx, struct fl_bytes old, struct fl_bytes delta, struct fl_err *err);

/* Tell each core module of a component's delta, `data` as of decoding; `old` may be empty. FL_CORRUPT,
 * FL_NOMEM, and what `fn` returns. */
enum fl_code wasm_component_each(struct fl_bytes old, struct fl_bytes data, wasm_component_fn fn,
	void *ctx, struct fl_err *err) FL_MUST_CHECK;

#endif
