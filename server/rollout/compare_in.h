/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of comparisons; included by compare*.c only. */
#ifndef ROLLOUT_COMPARE_IN_H
#define ROLLOUT_COMPARE_IN_H

#include "server/rollout/compare.h"

/* Say that there is no memory; returns FL_NOMEM. */
enum fl_code compare_nomem(struct fl_err *err);
/* Make a fleet of so many devices and layers, and cut it as each strategy does. FL_REFUSED when that is too
 * much; FL_INVALID. */
enum fl_code compare_described(
	struct compare *c, int64_t devices, int64_t layers, struct fl_err *err) FL_MUST_CHECK;

/* ---- compare_suppose.c */

/* Take over how large the fleet is; FL_REFUSED. */
enum fl_code compare_check_size(
	struct compare *c, int64_t devices, int layers, struct fl_err *err) FL_MUST_CHECK;
/* Spread the connections over the devices. */
enum fl_code compare_spread_links(struct compare *c, struct fl_err *err) FL_MUST_CHECK;
/* Memory for the layers of every case; false without. */
bool compare_make_layers(const struct compare *c, struct compare_strategy *s, size_t classes);
/* That of a class in case k. */
struct simulate_layer *compare_layer(const struct compare *c, const struct compare_strategy *s,
	size_t k, size_t class, int layer);
/* The hypothesis of a case, which an observed duration completes; bytes are the caller's. */
struct simulate_layer compare_base(const struct compare *c, const struct compare_case *k);
/* Add what is supposed of one version to that of the layer which brings it. */
void compare_add_version(struct simulate_layer *to, const struct compare_version *v);
/* Devices of equal keys are of one group, those of key 0 of none. FL_NOMEM. */
enum fl_code compare_group(struct compare_strategy *s, const uint64_t *keys, uint32_t devices,
	struct fl_err *err) FL_MUST_CHECK;
/* One more zone, copied; at most COMPARE_ZONES_MAX + 1. False without memory. */
bool compare_add_zone(struct compare_strategy *s, const char *name);

#endif
