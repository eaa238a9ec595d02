/* SPDX-License-Identifier: Apache-2.0
 *
 * What is supposed of a fleet, whether it is a described one or the real one: how its devices are connected,
 * what its layers do to them, who belongs to whom. */
#include "server/rollout/compare_in.h"

#include <stdlib.h>
#include <string.h>

/* ---- connections */

enum fl_code compare_spread_links(struct compare *c, struct fl_err *err)
{
	c->link = calloc(c->devices + 1, sizeof(*c->link));
	if (c->link == NULL)
		return compare_nomem(err);
	/* by a hash, so that no wave has its own */
	for (uint32_t d = 0; d < c->devices; d++) {
		uint64_t h = (d + c->seed * 7919) * 0x9e3779b97f4a7c15u;
		int64_t lot = (int64_t)((h >> 32) % STRATEGY_PPM);

		while (lot >= c->link_ppm[c->link[d]])
			lot -= c->link_ppm[c->link[d]++];
	}
	return FL_OK;
}

/* ---- what is supposed of each layer */

/* The chance that something fails that can fail in two ways, and does not need to fail in both. */
static int64_t either(int64_t a_ppm, int64_t b_ppm)
{
	return a_ppm + b_ppm - a_ppm * b_ppm / STRATEGY_PPM;
}

void compare_add_version(struct simulate_layer *to, const struct compare_version *v)
{
	int64_t good = STRATEGY_PPM - either(to->silent_ppm, v->silent_ppm);

	to->fail_ppm = either(to->fail_ppm, v->fail_ppm);
	to->silent_ppm = STRATEGY_PPM - good;
	if (to->fail_ppm > good)
		to->fail_ppm = good;
	if (v->install_ms > 0)
		to->install_ms = v->install_ms;
}

struct simulate_layer compare_base(const struct compare *c, const struct compare_case *k)
{
	return (struct simulate_layer){ .fail_ppm = k->fail_ppm,
		.silent_ppm = k->silent_ppm,
		.install_ms = k->install_ms > 0 ? k->install_ms : c->install_ms };
}

bool compare_make_layers(const struct compare *c, struct compare_strategy *s, size_t classes)
{
	s->classes = classes;
	s->layers =
		calloc(c->n_cases * classes * (size_t)c->layers + 1, sizeof(struct simulate_layer));
	return s->layers != NULL;
}

struct simulate_layer *compare_layer(const struct compare *c, const struct compare_strategy *s,
	size_t k, size_t class, int layer)
{
	return &s->layers[(k * s->classes + class) * (size_t)c->layers + (size_t)layer];
}

enum fl_code compare_check_size(struct compare *c, int64_t devices, int layers, struct fl_err *err)
{
	if (devices > COMPARE_DEVICES_MAX || layers > COMPARE_LAYERS_MAX ||
		devices * layers > 5LL * COMPARE_DEVICES_MAX)
		return fl_fail(err, FL_REFUSED,
			"at most %d devices and %d layers can be simulated (%d layers with all "
			"devices)",
			COMPARE_DEVICES_MAX, COMPARE_LAYERS_MAX, 5);
	c->devices = (uint32_t)devices;
	c->layers = layers;
	return FL_OK;
}

/* ---- groups */

struct keyed {
	uint64_t key;
	uint32_t device;
};

static int by_key(const void *a, const void *b)
{
	uint64_t x = ((const struct keyed *)a)->key, y = ((const struct keyed *)b)->key;

	return (x > y) - (x < y);
}

enum fl_code compare_group(
	struct compare_strategy *s, const uint64_t *keys, uint32_t devices, struct fl_err *err)
{
	struct keyed *all = calloc((size_t)devices + 1, sizeof(*all));
	uint32_t group = 0;

	s->group = calloc((size_t)devices + 1, sizeof(*s->group));
	if (all == NULL || s->group == NULL) {
		free(all);
		return compare_nomem(err);
	}
	for (uint32_t d = 0; d < devices; d++)
		all[d] = (struct keyed){ keys[d], d };
	qsort(all, devices, sizeof(*all), by_key);
	for (uint32_t i = 0; i < devices; i++) {
		group += i > 0 && all[i].key != all[i - 1].key;
		s->group[all[i].device] = all[i].key == 0 ? SIMULATE_NOBODY : group;
	}
	free(all);
	return FL_OK;
}

/* ---- zones */

bool compare_add_zone(struct compare_strategy *s, const char *name)
{
	FL_BUG_IF(s->n_zones > COMPARE_ZONES_MAX);
	s->zones[s->n_zones] = strdup(name);
	return s->zones[s->n_zones++] != NULL;
}
