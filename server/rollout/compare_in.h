/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of comparisons; included by compare*.c only. */
#ifndef ROLLOUT_COMPARE_IN_H
#define ROLLOUT_COMPARE_IN_H

#include "server/rollout/compare.h"

/* Say that there is no memory; returns FL_NOMEM. */
enum fl_code compare_nomem(struct fl_err *err);
/* Spread the connections over the devices. */
enum fl_code compare_spread_links(struct compare *c, struct fl_err *err) FL_MUST_CHECK;
/* Make a fleet of so many devices and layers, and cut it as each strategy does. FL_REFUSED when that is too
 * much; FL_INVALID. */
enum fl_code compare_described(
	struct compare *c, int64_t devices, int64_t layers, struct fl_err *err) FL_MUST_CHECK;

#endif
