/* SPDX-License-Identifier: Apache-2.0
 *
 * How a layer is compressed: gzip (RFC 1952) or zstd (RFC 8878), to unpack it and to make the very same
 * bytes again.
 *
 * DESIGN. A compressor gives the same bytes for the same settings. They are found by trying: each
 * setting is given up at the first byte that differs. Where none fits, another compressor than zlib made
 * a gzip stream (Go's, as in Docker and BuildKit, or pigz, libdeflate, zopfli); then the track of the
 * stream (track.h) says what that one has chosen. There is no such way for zstd: the layer is refused. */
#ifndef FL_LAYER_PACK_H
#define FL_LAYER_PACK_H

#include "lib/delta/codec.h"

/* TRACK: gzip by a track instead of settings. */
enum pack_kind { PACK_NONE, PACK_GZIP, PACK_ZSTD, PACK_TRACK, PACK_MAX };

#define PACK_HEAD_MAX 280 /* of a gzip header: fixed, a name, nothing else */

/* What restores a compressed layer. */
struct pack {
	enum pack_kind kind;
	uint8_t level;               /* of the compressor */
	uint8_t detail;              /* gzip: memLevel; zstd: bits of enum pack_detail */
	uint32_t version;            /* zstd's, which must be the same; 0 otherwise */
	uint8_t head[PACK_HEAD_MAX]; /* gzip's header as it is */
	size_t head_n;
	struct fl_buf track; /* owned */
};

/* Free what it owns. Safe twice and on zeroed memory. */
void pack_fini(struct pack *p);

/* THREADED: in a thread of its own, as the zstd program does; its blocks are cut otherwise. */
enum pack_detail { PACK_CHECKSUM = 1, PACK_PLEDGED = 2, PACK_THREADED = 4 };

/* What these bytes are, by their beginning. */
enum pack_kind pack_guess(struct fl_bytes bytes);
/* Unpack a whole layer; at most out->max bytes. PACK_NONE: nothing is done. FL_REFUSED: damaged, or more
 * than one stream; FL_TOO_LARGE. */
enum fl_code pack_open(struct fl_bytes bytes, struct fl_buf *out, struct fl_err *err) FL_MUST_CHECK;
/* Heap that unpacking them takes besides `out`, at most; it is free again afterwards. */
uint64_t pack_open_memory(struct fl_bytes bytes);
/* Append the track of a gzip stream; nothing if it is none, or has none below track->max. */
void pack_track(struct fl_bytes packed, struct fl_buf *track);
/* Find what makes `packed` of `raw`; the caller owns *out. FL_REFUSED: there is nothing. */
enum fl_code pack_find(struct fl_bytes packed, struct fl_bytes raw, struct pack *out,
	struct fl_err *err) FL_MUST_CHECK;

/* A running compressor: what is written to it comes out of `to` packed. */
struct packer;
/* Begin; `p` and `to` are borrowed until packer_end. `size` bytes will come. FL_CORRUPT: these are no
 * settings; FL_REFUSED: another version of zstd is needed; FL_NOMEM. */
enum fl_code packer_begin(const struct pack *p, uint64_t size, const struct fl_sink *to,
	struct packer **out, struct fl_err *err) FL_MUST_CHECK;
enum fl_code packer_write(
	struct packer *k, struct fl_bytes bytes, struct fl_err *err) FL_MUST_CHECK;
/* All bytes came. */
enum fl_code packer_finish(struct packer *k, struct fl_err *err) FL_MUST_CHECK;
/* Free it. NULL is fine. */
void packer_end(struct packer *k);
/* Heap that a running compressor takes, at most. */
uint64_t pack_memory(const struct pack *p, uint64_t size);

#endif
