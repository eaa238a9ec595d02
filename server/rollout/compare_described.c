/* SPDX-License-Identifier: Apache-2.0
 *
 * A described fleet of a comparison: devices alone, or gateways with so many devices behind each, cut into waves
 * as the planner cuts the real one. */
#include "server/rollout/compare_in.h"

#include "server/rollout/slice.h"

#include <stdlib.h>

/* Devices that stay together: a gateway and those behind it, or one alone. The last one may be smaller. */
static uint32_t bundle_size(const struct compare *c)
{
	return (uint32_t)c->behind + 1;
}

/* ---- waves */

/* What the planner's cut is asked for; owned arrays of n. */
struct bundles {
	uint32_t *size, *stratum;
	uint64_t *identity;
	uint16_t *wave;
	size_t n;
};

static bool make_bundles(struct bundles *b, const struct compare *c)
{
	uint32_t size = bundle_size(c);

	b->n = (c->devices + size - 1) / size;
	b->size = calloc(b->n, sizeof(*b->size));
	b->stratum = calloc(b->n, sizeof(*b->stratum));
	b->identity = calloc(b->n, sizeof(*b->identity));
	b->wave = calloc(b->n, sizeof(*b->wave));
	for (size_t i = 0; i < b->n && b->size != NULL && b->identity != NULL; i++) {
		uint32_t first = (uint32_t)i * size;

		b->size[i] = c->devices - first < size ? c->devices - first : size;
		b->identity[i] = i;
	}
	return b->size != NULL && b->stratum != NULL && b->identity != NULL && b->wave != NULL;
}

static void free_bundles(struct bundles *b)
{
	free(b->size);
	free(b->stratum);
	free(b->identity);
	free(b->wave);
}

static enum fl_code slice(const struct compare *c, struct compare_strategy *s,
	const struct bundles *b, struct fl_err *err)
{
	const struct strategy *y = &s->strategy;
	const struct slice_input in = { .n = b->n,
		.size = b->size,
		.stratum = b->stratum,
		.identity = b->identity,
		.n_strata = 1,
		.seed = y->seed,
		.waves = y->waves,
		.n_waves = y->n_waves };
	enum fl_code code = slice_waves(&in, b->wave, err);

	/* waves behind the one of the last device are none */
	for (uint32_t d = 0; d < c->devices && code == FL_OK; d++) {
		s->wave[d] = b->wave[d / bundle_size(c)];
		if (s->wave[d] >= s->waves)
			s->waves = s->wave[d] + 1;
	}
	return code;
}

static enum fl_code cut(const struct compare *c, struct compare_strategy *s, struct fl_err *err)
{
	struct bundles b = { 0 };
	enum fl_code code;

	for (size_t i = 0; i < s->strategy.n_waves; i++)
		if (s->strategy.waves[i].kind == WAVE_SELECTOR)
			return fl_fail(err, FL_INVALID,
				"a described fleet has no devices that a selector could match");
	s->wave = calloc(c->devices + 1, sizeof(*s->wave));
	code = s->wave != NULL && make_bundles(&b, c) ? slice(c, s, &b, err) : compare_nomem(err);
	free_bundles(&b);
	return code;
}

/* ---- who belongs to whom */

static enum fl_code describe_gateways(
	const struct compare *c, struct compare_strategy *s, struct fl_err *err)
{
	if (c->behind == 0)
		return FL_OK;
	s->gateway = calloc(c->devices + 1, sizeof(*s->gateway));
	if (s->gateway == NULL)
		return compare_nomem(err);
	for (uint32_t d = 0; d < c->devices; d++) {
		uint32_t first = d - d % bundle_size(c);

		s->gateway[d] = d == first ? SIMULATE_NOBODY : first;
	}
	return FL_OK;
}

/* Of which devices not all may be under way together; 0: it is none of those. */
static uint64_t group_key(const struct compare *c, const struct compare_strategy *s, uint32_t d)
{
	uint32_t bundle = d / bundle_size(c);

	if (s->strategy.pace.group == PACE_GATEWAY)
		return s->gateway == NULL || s->gateway[d] == SIMULATE_NOBODY ? 0 : bundle + 1U;
	return c->sites == 0 ? 0 : bundle % (uint32_t)c->sites + 1U;
}

static enum fl_code describe_groups(
	const struct compare *c, struct compare_strategy *s, struct fl_err *err)
{
	uint64_t *keys;
	enum fl_code code;

	if (s->strategy.pace.group == PACE_NO_GROUP)
		return FL_OK;
	keys = calloc(c->devices + 1, sizeof(*keys));
	if (keys == NULL)
		return compare_nomem(err);
	for (uint32_t d = 0; d < c->devices; d++)
		keys[d] = group_key(c, s, d);
	code = compare_group(s, keys, c->devices, err);
	free(keys);
	return code;
}

static enum fl_code describe_zones(
	const struct compare *c, struct compare_strategy *s, struct fl_err *err)
{
	bool ok = compare_add_zone(s, s->strategy.windows.zone);
	bool own = s->strategy.windows.zone_of[0] != '\0' && c->n_zones > 0;

	for (size_t k = 0; k < c->n_zones && own && ok; k++)
		ok = compare_add_zone(s, c->zones[k]);
	s->zone = calloc(c->devices + 1, sizeof(*s->zone));
	for (uint32_t d = 0; d < c->devices && own && s->zone != NULL; d++)
		s->zone[d] = (uint8_t)(d / bundle_size(c) % c->n_zones + 1);
	return ok && s->zone != NULL ? FL_OK : compare_nomem(err);
}

/* ---- all together */

static enum fl_code describe_layers(
	const struct compare *c, struct compare_strategy *s, struct fl_err *err)
{
	if (!compare_make_layers(c, s, 1))
		return compare_nomem(err);
	for (size_t k = 0; k < c->n_cases; k++) {
		struct simulate_layer base = compare_base(c, &c->cases[k]);

		base.bytes_full = c->bytes;
		base.bytes = c->bytes * c->delta_ppm / STRATEGY_PPM;
		for (int l = 0; l < c->layers; l++)
			*compare_layer(c, s, k, 0, l) = base;
		for (size_t i = 0; i < c->n_versions; i++)
			compare_add_version(
				compare_layer(c, s, k, 0, c->versions[i].layer), &c->versions[i]);
	}
	return FL_OK;
}

static enum fl_code describe(
	const struct compare *c, struct compare_strategy *s, struct fl_err *err)
{
	enum fl_code code = cut(c, s, err);

	if (code == FL_OK)
		code = describe_layers(c, s, err);
	if (code == FL_OK)
		code = describe_gateways(c, s, err);
	if (code == FL_OK)
		code = describe_groups(c, s, err);
	return code == FL_OK ? describe_zones(c, s, err) : code;
}

enum fl_code compare_described(
	struct compare *c, int64_t devices, int64_t layers, struct fl_err *err)
{
	enum fl_code code = compare_check_size(c, devices, (int)layers, err);

	for (size_t i = 0; i < c->n_versions && code == FL_OK; i++)
		if (c->versions[i].module != NULL || c->versions[i].layer >= c->layers)
			return fl_fail(err, FL_INVALID,
				"versions[%zu]: a described fleet has no modules, and layers below "
				"%d",
				i, c->layers);
	for (size_t i = 0; i < c->n_strategies && code == FL_OK; i++)
		if (describe(c, &c->strategies[i], err) != FL_OK)
			return fl_wrap(err, "strategies[%zu]", i);
	return code == FL_OK ? compare_spread_links(c, err) : code;
}
