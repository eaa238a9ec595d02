/* SPDX-License-Identifier: Apache-2.0
 *
 * The codecs behind the table of codec.c; for it alone. */
#ifndef FL_DELTA_CODEC_TABLE_H
#define FL_DELTA_CODEC_TABLE_H

#include "lib/delta/codec.h"

extern const struct fl_codec fl_codec_exe_patch;   /* an executable's, its addresses rewritten */
extern const struct fl_codec fl_codec_identity;    /* the bytes themselves */
extern const struct fl_codec fl_codec_layer_patch; /* a container image's layer */
extern const struct fl_codec fl_codec_wasm;        /* a WebAssembly module's: zstd streams, */
extern const struct fl_codec fl_codec_wasm_256k;   /* or the adaptive coder with this much model */
extern const struct fl_codec fl_codec_wasm_1m;
extern const struct fl_codec fl_codec_wasm_16m;
extern const struct fl_codec fl_codec_zstd;       /* one zstd frame (RFC 8878) */
extern const struct fl_codec fl_codec_zstd_patch; /* one zstd frame with the old bytes as prefix */

#endif
