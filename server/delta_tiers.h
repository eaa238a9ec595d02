/* SPDX-License-Identifier: Apache-2.0
 *
 * With which codecs and levels deltas are built, in this order; a codec that needs no old bytes is
 * for the full artifact.
 *
 * To add a better one: a row. Each row's result is a delta of its own in the store; a device gets
 * the smallest that it can decode. */
#ifndef DELTA_TIERS_H
#define DELTA_TIERS_H

struct delta_tier {
	const char *codec; /* of lib/delta/codec.h */
	int level;         /* on the codec's scale */
};

static const struct delta_tier delta_tiers[] = {
	{ "zstd", 3 },
	{ "zstd-patch", 3 },
};

#endif
