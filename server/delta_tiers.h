/* SPDX-License-Identifier: Apache-2.0
 *
 * With which codecs and levels deltas are built; a codec that needs no old bytes is for the full
 * artifact.
 *
 * Quick rows are built at once, for devices that wait; the others in the background, in this order.
 * Each row's result is a delta of its own in the store unless it does not pay; a device gets what
 * costs it least among those that it can decode.
 *
 * Rows of one family are alternatives: for a device that one is built which will cost it least, of
 * those that its memory holds. The last of a family is the quickest to build: it stands in for one
 * that ran out of time.
 *
 * To add one: a row. A server whose build lacks a row's codec does not start. */
#ifndef DELTA_TIERS_H
#define DELTA_TIERS_H

#include <stdbool.h>

struct delta_tier {
	const char *codec; /* of lib/delta/codec.h */
	int level;         /* on the codec's scale */
	bool quick;
	int family;      /* rows of one number are alternatives; 0: none */
	int decode_rate; /* megabytes of artifact a second on one core of a server, roughly */
	int permille;    /* of the artifact that a delta of the family usually takes: to compare its
			  * rows before any is built */
};

static const struct delta_tier delta_tiers[] = {
	{ "zstd", 3, true, 0, 400, 0 },
	{ "zstd-patch", 3, true, 0, 240, 0 },
	{ "wasm-delta-16m", 0, false, 1, 9, 15 },
	{ "wasm-delta-1m", 0, false, 1, 11, 16 },
	{ "wasm-delta-256k", 0, false, 1, 12, 17 },
	{ "wasm-delta", 0, false, 1, 60, 20 },
	{ "layer-patch", 19, false, 0, 40, 0 },
	{ "exe-patch", 19, false, 0, 150, 0 },
	{ "zstd-patch", 19, false, 0, 240, 0 },
	{ "zstd", 19, false, 0, 400, 0 },
};

#define DELTA_TIERS (sizeof(delta_tiers) / sizeof(delta_tiers[0]))

#endif
