/* SPDX-License-Identifier: Apache-2.0
 *
 * With which codecs and levels deltas are built; a codec that needs no old bytes is for the full
 * artifact.
 *
 * Quick rows are built at once, for devices that wait; the others in the background, in this order.
 * Each row's result is a delta of its own in the store unless it does not pay; a device gets what
 * costs it least among those that it can decode.
 *
 * A row whose codec this build does not have is passed over. To add one: a row. Of a family a device gets the first row that fits into its memory built. */
#ifndef DELTA_TIERS_H
#define DELTA_TIERS_H

#include <stdbool.h>

struct delta_tier {
	const char *codec; /* of lib/delta/codec.h */
	int level;         /* on the codec's scale */
	bool quick;
	int family;      /* rows of one number are alternatives; 0: none */
	int decode_rate; /* megabytes of artifact a second on one core of a server, roughly */
};

static const struct delta_tier delta_tiers[] = {
	{ "zstd", 3, true, 0, 400 },
	{ "zstd-patch", 3, true, 0, 240 },
	{ "wasm-delta-16m", 0, false, 1, 6 },
	{ "wasm-delta-1m", 0, false, 1, 12 },
	{ "wasm-delta-256k", 0, false, 1, 14 },
	{ "wasm-delta", 0, false, 1, 40 },
	{ "layer-patch", 19, false, 0, 40 },
	{ "exe-patch", 19, false, 0, 150 },
	{ "zstd-patch", 19, false, 0, 240 },
	{ "zstd", 19, false, 0, 400 },
};

#define DELTA_TIERS (sizeof(delta_tiers) / sizeof(delta_tiers[0]))

#endif
