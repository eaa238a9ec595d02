/* SPDX-License-Identifier: Apache-2.0
 *
 * What a device can decode, and what a delta costs it. Pure; any thread. */
#ifndef DELTA_WISH_H
#define DELTA_WISH_H

#include "server/store/delta.h"

struct delta_wish {
	const char *codecs; /* names, comma-separated; NULL: the artifact itself alone */
	int64_t memory;     /* bytes of heap for decoding; 0: enough for all */
	int64_t rate;       /* of its link, bytes a second; 0: unknown, bytes alone decide */
	int64_t speed;      /* of its processor, percent of a server's core */
};

/* Tiers as bits: bit i is row i of delta_tiers.h. */
typedef uint32_t delta_mask;

/* FL_INTERNAL: a row of delta_tiers.h names a codec that this build does not have, or a family is not
 * in one piece. All functions below rely on it. */
enum fl_code delta_wish_check(struct fl_err *err) FL_MUST_CHECK;
/* All quick rows; all that need the old bytes. */
delta_mask delta_wish_quick(void);
delta_mask delta_wish_with_old(void);
/* Best rows for which a fleet is warmed before any device has said what it can decode: the first of
 * each family and those without one. */
delta_mask delta_wish_usual(void);
/* The row of delta_tiers.h that made `d`, as a bit; 0: none makes such any more. */
delta_mask delta_wish_tier(const struct delta *d);
/* The row that stands in for row `tier` of delta_tiers.h when that ran out of time, as a bit: the last
 * of its family; 0: there is none. */
delta_mask delta_wish_instead(size_t tier);
/* Rows whose result the device could use for artifacts of these sizes: of a family only that one of
 * those that fit into its memory which will cost it least. from_size -1: for the full artifact. */
delta_mask delta_wish_tiers(const struct delta_wish *w, int64_t from_size, int64_t to_size);
/* Whether the device can decode a ready delta. */
bool delta_wish_takes(const struct delta_wish *w, const struct delta *d);
/* What it costs to take `size` bytes and make `to_size` of them with `codec` ("identity": nothing):
 * microseconds if the link's rate is known, otherwise bytes. */
int64_t delta_wish_cost(
	const struct delta_wish *w, const char *codec, int64_t size, int64_t to_size);

#endif
