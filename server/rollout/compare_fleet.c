/* SPDX-License-Identifier: Apache-2.0
 *
 * The fleet of a comparison: described, or the real one as a plan cuts it. */
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

/* Add what is supposed of one version to that of the layer which brings it. */
static void add_version(struct simulate_layer *to, const struct compare_version *v)
{
	int64_t good = STRATEGY_PPM - either(to->silent_ppm, v->silent_ppm);

	to->fail_ppm = either(to->fail_ppm, v->fail_ppm);
	to->silent_ppm = STRATEGY_PPM - good;
	if (to->fail_ppm > good)
		to->fail_ppm = good;
	if (v->install_ms > 0)
		to->install_ms = v->install_ms;
}

/* The hypothesis of a case, which an observed duration completes. */
static struct simulate_layer base_of(
	const struct compare *c, const struct compare_case *k, int64_t bytes)
{
	return (struct simulate_layer){ .fail_ppm = k->fail_ppm,
		.silent_ppm = k->silent_ppm,
		.install_ms = k->install_ms > 0 ? k->install_ms : c->install_ms,
		.bytes = bytes };
}

/* Memory for the layers of every case. */
static bool make_layers(struct compare *c, struct compare_strategy *s, size_t classes)
{
	s->classes = classes;
	s->layers =
		calloc(c->n_cases * classes * (size_t)c->layers + 1, sizeof(struct simulate_layer));
	return s->layers != NULL;
}

static struct simulate_layer *layer_of(const struct compare *c, const struct compare_strategy *s,
	size_t k, size_t class, int layer)
{
	return &s->layers[(k * s->classes + class) * (size_t)c->layers + (size_t)layer];
}

/* ---- a described fleet */

/* The waves take their counts or shares, the last one the rest. */
static enum fl_code cut(struct compare *c, struct compare_strategy *s, struct fl_err *err)
{
	int64_t next = 0, n = c->devices;

	s->wave = calloc(c->devices + 1, sizeof(*s->wave));
	if (s->wave == NULL)
		return compare_nomem(err);
	for (size_t i = 0; i < s->strategy.n_waves && next < n; i++) {
		const struct strategy_wave *w = &s->strategy.waves[i];
		int64_t size = w->kind == WAVE_COUNT
			? w->count
			: (n * w->ppm + STRATEGY_PPM - 1) / STRATEGY_PPM;

		if (w->kind == WAVE_SELECTOR)
			return fl_fail(err, FL_INVALID,
				"a described fleet has no devices that a selector could match");
		if (i + 1 == s->strategy.n_waves || size > n - next)
			size = n - next;
		for (int64_t k = 0; k < size; k++)
			s->wave[next++] = (uint16_t)s->waves;
		s->waves++;
	}
	return FL_OK;
}

static enum fl_code describe_layers(
	struct compare *c, struct compare_strategy *s, struct fl_err *err)
{
	if (!make_layers(c, s, 1))
		return compare_nomem(err);
	for (size_t k = 0; k < c->n_cases; k++) {
		for (int l = 0; l < c->layers; l++)
			*layer_of(c, s, k, 0, l) = base_of(c, &c->cases[k], c->bytes);
		for (size_t i = 0; i < c->n_versions; i++)
			add_version(layer_of(c, s, k, 0, c->versions[i].layer), &c->versions[i]);
	}
	return FL_OK;
}

static enum fl_code check_size(struct compare *c, int64_t devices, int layers, struct fl_err *err)
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

enum fl_code compare_described(
	struct compare *c, int64_t devices, int64_t layers, struct fl_err *err)
{
	enum fl_code code = check_size(c, devices, (int)layers, err);

	for (size_t i = 0; i < c->n_versions && code == FL_OK; i++)
		if (c->versions[i].module != NULL || c->versions[i].layer >= c->layers)
			return fl_fail(err, FL_INVALID,
				"versions[%zu]: a described fleet has no modules, and layers below "
				"%d",
				i, c->layers);
	for (size_t i = 0; i < c->n_strategies && code == FL_OK; i++) {
		code = cut(c, &c->strategies[i], err);
		if (code == FL_OK)
			code = describe_layers(c, &c->strategies[i], err);
		if (code != FL_OK)
			return fl_wrap(err, "strategies[%zu]", i);
	}
	return code == FL_OK ? compare_spread_links(c, err) : code;
}

/* ---- the real fleet */

static bool has(const struct plan_set *set, const struct compare_version *v)
{
	for (uint32_t i = 0; i < set->n; i++)
		if (strcmp(set->items[i].module->name, v->module) == 0)
			return strcmp(set->items[i].version, v->version) == 0;
	return false;
}

/* Whether the layer brings the version to devices of the class. */
static bool brings(const struct plan *p, uint32_t class, int layer, const struct compare_version *v)
{
	if (v->module == NULL)
		return v->layer == layer;
	return has(plan_class_after(p, class, (uint32_t)layer), v) &&
		!has(plan_class_before(p, class, (uint32_t)layer), v);
}

/* What is supposed of every layer for one class. */
static void suppose(struct compare *c, struct compare_strategy *s, const struct plan *p,
	uint32_t class, int layer)
{
	int64_t bytes = p->class_bytes[(size_t) class * p->n_layers + (size_t)layer];

	for (size_t k = 0; k < c->n_cases; k++)
		*layer_of(c, s, k, class, layer) = base_of(c, &c->cases[k], bytes);
	for (size_t i = 0; i < c->n_versions; i++) {
		if (!brings(p, class, layer, &c->versions[i]))
			continue;
		c->versions[i].brought = true;
		for (size_t k = 0; k < c->n_cases; k++)
			add_version(layer_of(c, s, k, class, layer), &c->versions[i]);
	}
}

static enum fl_code suppose_all(
	struct compare *c, struct compare_strategy *s, const struct plan *p, struct fl_err *err)
{
	if (!make_layers(c, s, p->n_classes))
		return compare_nomem(err);
	for (uint32_t class = 0; class < p->n_classes; class ++)
		for (int l = 0; l < c->layers; l++) {
			bool absent = !plan_class_changes(p, class, (uint32_t)l);

			if (!absent)
				suppose(c, s, p, class, l);
			for (size_t k = 0; k < c->n_cases && absent; k++)
				layer_of(c, s, k, class, l)->absent = true;
		}
	for (size_t i = 0; i < c->n_versions; i++)
		if (!c->versions[i].brought)
			return fl_fail(err, FL_REFUSED,
				"versions[%zu]: the release brings it to no device", i);
	return FL_OK;
}

/* The devices that the plan updates: their waves, classes and silence. */
static enum fl_code take_devices(struct compare_strategy *s, const struct plan_input *in,
	const struct plan *p, struct fl_err *err)
{
	size_t n = in->devices.n;

	s->wave = calloc(n + 1, sizeof(*s->wave));
	s->class = calloc(n + 1, sizeof(*s->class));
	s->silent_s = calloc(n + 1, sizeof(*s->silent_s));
	if (s->wave == NULL || s->class == NULL || s->silent_s == NULL)
		return compare_nomem(err);
	for (size_t i = 0; i < n; i++) {
		if (p->wave_of[i] == PLAN_NO_WAVE)
			continue;
		s->wave[s->devices] = p->wave_of[i];
		s->class[s->devices] = p->class_of[i];
		s->silent_s[s->devices] =
			in->devices.silent_s == NULL ? SIMULATE_NEVER : in->devices.silent_s[i];
		s->devices++;
	}
	s->waves = (int)p->n_waves;
	return FL_OK;
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
	code = take_devices(s, in, p, err);
	if (code == FL_OK && i == 0)
		code = check_size(c, s->devices, (int)p->n_layers, err);
	else if (code == FL_OK && (s->devices != c->devices || (int)p->n_layers != c->layers))
		code = fl_fail(err, FL_REFUSED,
			"the strategies plan for different devices: %u and %u", c->devices,
			s->devices);
	if (code == FL_OK && i == 0)
		code = take_fleet(c, s, &in->history, err);
	return code == FL_OK ? suppose_all(c, s, p, err) : code;
}
