/* SPDX-License-Identifier: Apache-2.0
 *
 * The real fleet of a comparison, as plans cut it. */
#include "server/rollout/compare_in.h"

#include <stdlib.h>
#include <string.h>

/* ---- layers */

static bool has(const struct plan_set *set, const char *module, const char *version)
{
	for (uint32_t i = 0; i < set->n; i++)
		if (strcmp(set->items[i].module->name, module) == 0)
			return strcmp(set->items[i].version, version) == 0;
	return false;
}

/* Whether the layer brings the version to devices of the class. */
static bool brings(const struct plan *p, uint32_t class, int layer, const struct compare_version *v)
{
	if (v->module == NULL)
		return v->layer == layer;
	return has(plan_class_after(p, class, (uint32_t)layer), v->module, v->version) &&
		!has(plan_class_before(p, class, (uint32_t)layer), v->module, v->version);
}

/* What a device of the class gets in the layer if no delta is used. */
static int64_t full_bytes(const struct plan *p, uint32_t class, int layer)
{
	const struct plan_set *before = plan_class_before(p, class, (uint32_t)layer);
	const struct plan_set *after = plan_class_after(p, class, (uint32_t)layer);
	int64_t bytes = 0;

	for (uint32_t i = 0; i < after->n; i++) {
		const struct plan_item *item = &after->items[i];

		if (item->artifact != NULL && !has(before, item->module->name, item->version))
			bytes += item->artifact->size;
	}
	return bytes;
}

/* What is supposed of every layer for one class. */
static void suppose(struct compare *c, struct compare_strategy *s, const struct plan *p,
	uint32_t class, int layer)
{
	for (size_t k = 0; k < c->n_cases; k++) {
		struct simulate_layer base = compare_base(c, &c->cases[k]);

		base.bytes = p->class_bytes[(size_t) class * p->n_layers + (size_t)layer];
		base.bytes_full = full_bytes(p, class, layer);
		*compare_layer(c, s, k, class, layer) = base;
	}
	for (size_t i = 0; i < c->n_versions; i++) {
		if (!brings(p, class, layer, &c->versions[i]))
			continue;
		c->versions[i].brought = true;
		for (size_t k = 0; k < c->n_cases; k++)
			compare_add_version(compare_layer(c, s, k, class, layer), &c->versions[i]);
	}
}

static enum fl_code suppose_all(
	struct compare *c, struct compare_strategy *s, const struct plan *p, struct fl_err *err)
{
	if (!compare_make_layers(c, s, p->n_classes))
		return compare_nomem(err);
	for (uint32_t class = 0; class < p->n_classes; class ++)
		for (int l = 0; l < c->layers; l++) {
			bool absent = !plan_class_changes(p, class, (uint32_t)l);

			if (!absent)
				suppose(c, s, p, class, l);
			for (size_t k = 0; k < c->n_cases && absent; k++)
				compare_layer(c, s, k, class, l)->absent = true;
		}
	for (size_t i = 0; i < c->n_versions; i++)
		if (!c->versions[i].brought)
			return fl_fail(err, FL_REFUSED,
				"versions[%zu]: the release brings it to no device", i);
	return FL_OK;
}

/* ---- devices */

/* Memory for what is said of each of n devices. */
static bool make_devices(struct compare_strategy *s, size_t n)
{
	s->wave = calloc(n + 1, sizeof(*s->wave));
	s->class = calloc(n + 1, sizeof(*s->class));
	s->silent_s = calloc(n + 1, sizeof(*s->silent_s));
	s->gateway = calloc(n + 1, sizeof(*s->gateway));
	s->zone = calloc(n + 1, sizeof(*s->zone));
	s->frozen = calloc(n + 1, sizeof(*s->frozen));
	return s->wave != NULL && s->class != NULL && s->silent_s != NULL && s->gateway != NULL &&
		s->zone != NULL && s->frozen != NULL;
}

/* Of which devices not all may be under way together; 0: it is none of those. */
static uint64_t group_key(
	const struct compare_strategy *s, const struct plan_devices *devices, size_t i)
{
	bool behind = devices->gateway[i] != PLAN_NO_DEVICE;

	return s->strategy.pace.group == PACE_GATEWAY ? (behind ? devices->gateway[i] + 1U : 0)
						      : devices->group[i];
}

static enum fl_code take_groups(struct compare_strategy *s, const struct plan_devices *devices,
	const struct plan *p, struct fl_err *err)
{
	uint64_t *keys;
	uint32_t at = 0;
	enum fl_code code;

	if (s->strategy.pace.group == PACE_NO_GROUP)
		return FL_OK;
	keys = calloc(devices->n + 1, sizeof(*keys));
	if (keys == NULL)
		return compare_nomem(err);
	for (size_t i = 0; i < devices->n; i++)
		if (p->wave_of[i] != PLAN_NO_WAVE)
			keys[at++] = group_key(s, devices, i);
	code = compare_group(s, keys, s->devices, err);
	free(keys);
	return code;
}

static enum fl_code take_zones(
	struct compare_strategy *s, const struct plan_input *in, struct fl_err *err)
{
	if (in->n_zones > COMPARE_ZONES_MAX)
		return fl_fail(err, FL_REFUSED,
			"the devices name %u time zones: at most %d can be simulated", in->n_zones,
			COMPARE_ZONES_MAX);
	for (uint32_t k = 0; k < in->n_zones; k++)
		if (!compare_add_zone(s, in->zones[k]))
			return compare_nomem(err);
	return FL_OK;
}

static enum fl_code take_freezes(
	struct compare_strategy *s, const struct plan_input *in, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	s->freezes = calloc((size_t)in->n_freezes + 1, sizeof(*s->freezes));
	if (s->freezes == NULL)
		return compare_nomem(err);
	for (; s->n_freezes < in->n_freezes && code == FL_OK; s->n_freezes++) {
		const struct window *w = &in->freezes[s->n_freezes];

		code = window_copy(w, w->from, w->until, &s->freezes[s->n_freezes], err);
	}
	return code;
}

static void take_device(struct compare_strategy *s, const struct plan_input *in,
	const struct plan *p, const uint32_t *place, size_t i)
{
	const struct plan_devices *devices = &in->devices;
	uint32_t at = place[i], gateway = devices->gateway[i];

	s->wave[at] = p->wave_of[i];
	s->class[at] = p->class_of[i];
	s->silent_s[at] = devices->silent_s == NULL ? SIMULATE_NEVER : devices->silent_s[i];
	/* one that is not updated has no part in it */
	s->gateway[at] = gateway == PLAN_NO_DEVICE ? SIMULATE_NOBODY : place[gateway];
	s->frozen[at] = devices->frozen == NULL ? 0 : devices->frozen[i];
	s->zone[at] = devices->zone == NULL ? 0 : (uint8_t)devices->zone[i];
}

/* The devices that the plan updates. */
static enum fl_code take_devices(struct compare_strategy *s, const struct plan_input *in,
	const struct plan *p, struct fl_err *err)
{
	size_t n = in->devices.n;
	uint32_t *place = calloc(n + 1, sizeof(*place));

	if (place == NULL || !make_devices(s, n)) {
		free(place);
		return compare_nomem(err);
	}
	for (size_t i = 0; i < n; i++)
		place[i] = p->wave_of[i] == PLAN_NO_WAVE ? SIMULATE_NOBODY : s->devices++;
	for (size_t i = 0; i < n; i++)
		if (place[i] != SIMULATE_NOBODY)
			take_device(s, in, p, place, i);
	free(place);
	s->waves = (int)p->n_waves;
	return take_groups(s, &in->devices, p, err);
}

/* What can be said once, of the first strategy: the others meet the same fleet. */
static enum fl_code take_fleet(struct compare *c, const struct compare_strategy *s,
	const struct plan_history *history, struct fl_err *err)
{
	if (history->took_median_ms > 0)
		c->install_ms = history->took_median_ms;
	for (uint32_t d = 0; d < c->devices; d++)
		c->never_seen += s->silent_s[d] == SIMULATE_NEVER;
	/* of a fleet that never spoke nothing is known */
	c->observed = c->observe && c->never_seen < c->devices;
	return compare_spread_links(c, err);
}

enum fl_code compare_fleet(struct compare *c, size_t i, const struct plan_input *in,
	const struct plan *p, struct fl_err *err)
{
	struct compare_strategy *s = &c->strategies[i];
	enum fl_code code;

	FL_BUG_IF(i >= c->n_strategies || s->wave != NULL);
	code = take_zones(s, in, err);
	if (code == FL_OK)
		code = take_freezes(s, in, err);
	if (code == FL_OK)
		code = take_devices(s, in, p, err);
	if (code == FL_OK && i == 0)
		code = compare_check_size(c, s->devices, (int)p->n_layers, err);
	else if (code == FL_OK && (s->devices != c->devices || (int)p->n_layers != c->layers))
		code = fl_fail(err, FL_REFUSED,
			"the strategies plan for different devices: %u and %u", c->devices,
			s->devices);
	if (code == FL_OK && i == 0)
		code = take_fleet(c, s, &in->history, err);
	return code == FL_OK ? suppose_all(c, s, p, err) : code;
}
