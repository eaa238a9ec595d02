/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading what plan_json wrote. Wrong content is noticed wherever it is, and told once, at the end. */
#include "server/rollout/plan.h"

#include <string.h>

struct reader {
	struct plan *p;
	struct plan_module *modules;
	struct plan_artifact *artifacts;
	uint32_t n_modules, n_artifacts;
	bool failed; /* wrong content */
	bool no_memory;
};

static void *get(struct reader *r, size_t n, size_t size)
{
	void *p = fl_arena_get(&r->p->arena, n, size);

	r->no_memory = r->no_memory || p == NULL;
	return p;
}

static const char *read_text(struct reader *r, const json_t *value)
{
	const char *s = json_string_value(value), *copy;

	if (s == NULL) {
		r->failed = true;
		return "";
	}
	copy = fl_arena_text(&r->p->arena, s, strlen(s));
	r->no_memory = r->no_memory || copy == NULL;
	return copy != NULL ? copy : "";
}

/* An integer from 0 to below `limit`. */
static int64_t read_number(struct reader *r, const json_t *value, int64_t limit)
{
	int64_t n = json_integer_value(value);

	if (!json_is_integer(value) || n < 0 || n >= limit) {
		r->failed = true;
		return 0;
	}
	return n;
}

static void read_hex(struct reader *r, const json_t *value, uint8_t out[32])
{
	const char *s = json_string_value(value);

	if (s == NULL || strlen(s) != 64 || strspn(s, "0123456789abcdef") != 64) {
		r->failed = true;
		return;
	}
	for (int i = 0; i < 64; i++) {
		uint8_t digit = (uint8_t)(s[i] <= '9' ? s[i] - '0' : s[i] - 'a' + 10);

		out[i / 2] = (uint8_t)(i % 2 == 0 ? digit << 4 : out[i / 2] | digit);
	}
}

/* The array `name` of the plan and memory for as many elements; NULL if something is wrong. */
static const json_t *read_array(
	struct reader *r, const json_t *json, const char *name, uint32_t *n, void *out, size_t size)
{
	const json_t *array = json_object_get(json, name);
	void *p;

	if (!json_is_array(array)) {
		r->failed = true;
		return NULL;
	}
	p = get(r, json_array_size(array), size);
	if (p == NULL)
		return NULL;
	memcpy(out, &p, sizeof(p));
	*n = (uint32_t)json_array_size(array);
	return array;
}

static const struct plan_module *read_module(struct reader *r, const json_t *value)
{
	return &r->modules[read_number(r, value, r->n_modules)];
}

/* -1: none. */
static const struct plan_artifact *read_artifact(struct reader *r, const json_t *value)
{
	if (json_is_integer(value) && json_integer_value(value) == -1)
		return NULL;
	return &r->artifacts[read_number(r, value, r->n_artifacts)];
}

static void read_lists(struct reader *r, const json_t *json)
{
	const json_t *modules =
		read_array(r, json, "modules", &r->n_modules, &r->modules, sizeof(*r->modules));
	const json_t *artifacts = read_array(
		r, json, "artifacts", &r->n_artifacts, &r->artifacts, sizeof(*r->artifacts));

	for (uint32_t i = 0; modules != NULL && i < r->n_modules; i++) {
		const json_t *m = json_array_get(modules, i);
		const char *tier = json_string_value(json_object_get(m, "tier"));

		r->modules[i].name = read_text(r, json_object_get(m, "name"));
		r->modules[i].kind = read_text(r, json_object_get(m, "kind"));
		r->modules[i].tier =
			tier != NULL && strcmp(tier, "gateway") == 0 ? TIER_GATEWAY : TIER_DEVICE;
	}
	for (uint32_t i = 0; artifacts != NULL && i < r->n_artifacts; i++) {
		const json_t *a = json_array_get(artifacts, i);

		read_hex(r, json_object_get(a, "sha256"), r->artifacts[i].sha256);
		r->artifacts[i].size = read_number(r, json_object_get(a, "size"), INT64_MAX);
	}
}

static void read_sets(struct reader *r, const json_t *json)
{
	const json_t *sets =
		read_array(r, json, "sets", &r->p->n_sets, &r->p->sets, sizeof(*r->p->sets));

	for (uint32_t i = 0; sets != NULL && i < r->p->n_sets; i++) {
		const json_t *set = json_array_get(sets, i);
		uint32_t n = (uint32_t)json_array_size(set);
		struct plan_item *items = get(r, n, sizeof(*items));

		for (uint32_t k = 0; k < n && items != NULL && !r->failed; k++) {
			const json_t *item = json_array_get(set, k);

			if (r->n_modules == 0 || json_array_size(item) != 3) {
				r->failed = true;
				return;
			}
			items[k].module = read_module(r, json_array_get(item, 0));
			items[k].version = read_text(r, json_array_get(item, 1));
			items[k].artifact = read_artifact(r, json_array_get(item, 2));
		}
		r->p->sets[i] = (struct plan_set){ items, n };
	}
}

static enum plan_kind read_kind(struct reader *r, const json_t *value)
{
	const char *s = json_string_value(value);

	for (int i = 0; i < PLAN_KIND_MAX && s != NULL; i++) {
		if (strcmp(s, plan_kind_text((enum plan_kind)i)) == 0)
			return (enum plan_kind)i;
	}
	r->failed = true;
	return PLAN_NOOP;
}

static void read_classes(struct reader *r, const json_t *json)
{
	struct plan *p = r->p;
	const json_t *classes =
		read_array(r, json, "classes", &p->n_classes, &p->classes, sizeof(*p->classes));

	for (uint32_t i = 0; classes != NULL && i < p->n_classes && !r->failed; i++) {
		const json_t *c = json_array_get(classes, i), *sets = json_object_get(c, "sets");
		struct plan_class *out = &p->classes[i];

		out->kind = read_kind(r, json_object_get(c, "kind"));
		out->reason = read_text(r, json_object_get(c, "reason"));
		out->devices = (uint32_t)read_number(r, json_object_get(c, "devices"), UINT32_MAX);
		out->example_no = read_number(r, json_object_get(c, "example"), INT64_MAX);
		out->sets = get(r, (size_t)p->n_layers + 1, sizeof(*out->sets));
		if (json_array_size(sets) != (size_t)p->n_layers + 1)
			r->failed = true;
		for (uint32_t k = 0; k <= p->n_layers && out->sets != NULL; k++)
			out->sets[k] = (uint32_t)read_number(r, json_array_get(sets, k), p->n_sets);
		p->totals[out->kind] += out->devices;
	}
}

static void read_unit(struct reader *r, const json_t *names, struct plan_unit *unit)
{
	unit->n = (uint32_t)json_array_size(names);
	unit->modules = get(r, unit->n, sizeof(struct plan_module *));
	for (uint32_t i = 0; i < unit->n && unit->modules != NULL; i++) {
		const char *name = json_string_value(json_array_get(names, i));

		for (uint32_t k = 0; k < r->n_modules && name != NULL; k++) {
			if (strcmp(r->modules[k].name, name) == 0)
				unit->modules[i] = &r->modules[k];
		}
		r->failed = r->failed || unit->modules[i] == NULL;
	}
}

static void read_layers(struct reader *r, const json_t *json)
{
	struct plan *p = r->p;
	const json_t *layers = json_object_get(json, "layers");
	size_t room = 0;

	p->n_layers = (uint32_t)json_array_size(layers);
	r->failed = r->failed || !json_is_array(layers) || p->n_layers > PLAN_LAYERS_MAX;
	for (uint32_t i = 0; i < p->n_layers; i++)
		room += json_array_size(json_object_get(json_array_get(layers, i), "units"));
	p->units = get(r, room, sizeof(*p->units));
	for (uint32_t i = 0; i < p->n_layers && p->units != NULL && !r->failed; i++) {
		const json_t *units = json_object_get(json_array_get(layers, i), "units");

		for (size_t k = 0; k < json_array_size(units); k++) {
			p->units[p->n_units].layer = i;
			read_unit(r, json_array_get(units, k), &p->units[p->n_units++]);
		}
	}
}

/* Seconds back to milliseconds, null to -1. */
static int64_t read_seconds(struct reader *r, const json_t *value)
{
	return json_is_null(value) ? -1 : read_number(r, value, INT64_MAX / 1000) * 1000;
}

static void read_forecast(struct reader *r, const json_t *json, struct plan_forecast *f)
{
	f->reach_p95_s = read_number(r, json_object_get(json, "reach_p95_s"), INT64_MAX);
	f->never_seen = read_number(r, json_object_get(json, "never_seen"), UINT32_MAX);
	f->time_s = read_number(r, json_object_get(json, "time_s"), INT64_MAX);
	f->time_max_s = read_number(r, json_object_get(json, "time_max_s"), INT64_MAX);
	f->peak_offers_s = read_number(r, json_object_get(json, "peak_offers_s"), INT64_MAX);
	f->peak_bytes_s = read_number(r, json_object_get(json, "peak_bytes_s"), INT64_MAX);
	f->downtime_ms = read_seconds(r, json_object_get(json, "downtime_s"));
	f->build_ms = read_seconds(r, json_object_get(json, "build_s"));
}

static void read_waves(struct reader *r, const json_t *json)
{
	struct plan *p = r->p;
	const json_t *waves =
		read_array(r, json, "waves", &p->n_waves, &p->waves, sizeof(*p->waves));
	const json_t *stages;
	uint32_t n = 0;

	for (uint32_t i = 0; waves != NULL && i < p->n_waves; i++) {
		const json_t *w = json_array_get(waves, i);

		p->waves[i].name = read_text(r, json_object_get(w, "name"));
		p->waves[i].devices =
			(uint32_t)read_number(r, json_object_get(w, "devices"), UINT32_MAX);
	}
	stages = read_array(r, json, "stages", &n, &p->stages, sizeof(*p->stages));
	if (stages == NULL || n != (size_t)p->n_waves * p->n_layers) {
		r->failed = true;
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		const json_t *s = json_array_get(stages, i),
			     *delta = json_object_get(s, "bytes_delta");
		struct plan_stage *out = &p->stages[i];

		out->layer = i % p->n_layers;
		out->wave = i / p->n_layers;
		out->devices = (uint32_t)read_number(r, json_object_get(s, "devices"), UINT32_MAX);
		out->bytes_full = read_number(r, json_object_get(s, "bytes_full"), INT64_MAX);
		out->bytes_delta = json_is_null(delta) ? -1 : read_number(r, delta, INT64_MAX);
		out->deltas_to_build =
			(uint32_t)read_number(r, json_object_get(s, "deltas_to_build"), UINT32_MAX);
		out->no_way_back =
			(uint32_t)read_number(r, json_object_get(s, "no_way_back"), UINT32_MAX);
		read_forecast(r, json_object_get(s, "forecast"), &out->forecast);
	}
}

static void read_pairs(struct reader *r, const json_t *json)
{
	struct plan *p = r->p;
	const json_t *pairs =
		read_array(r, json, "pairs", &p->n_pairs, &p->pairs, sizeof(*p->pairs));

	for (uint32_t i = 0; pairs != NULL && i < p->n_pairs; i++) {
		const json_t *pair = json_array_get(pairs, i);

		if (r->n_artifacts == 0 || json_array_size(pair) != 5) {
			r->failed = true;
			return;
		}
		p->pairs[i].from =
			&r->artifacts[read_number(r, json_array_get(pair, 0), r->n_artifacts)];
		p->pairs[i].to =
			&r->artifacts[read_number(r, json_array_get(pair, 1), r->n_artifacts)];
		p->pairs[i].layer = (uint32_t)read_number(r, json_array_get(pair, 2), UINT32_MAX);
		p->pairs[i].wave = (uint32_t)read_number(r, json_array_get(pair, 3), UINT32_MAX);
		p->pairs[i].devices = (uint32_t)read_number(r, json_array_get(pair, 4), UINT32_MAX);
	}
}

static const char **read_texts(struct reader *r, const json_t *array, uint32_t *n)
{
	const char **out = get(r, json_array_size(array), sizeof(*out));

	*n = (uint32_t)json_array_size(array);
	for (uint32_t i = 0; i < *n && out != NULL; i++)
		out[i] = read_text(r, json_array_get(array, i));
	return out;
}

static void read_remarks(struct reader *r, const json_t *json)
{
	struct plan *p = r->p;
	const json_t *forecast,
		*refusals = read_array(
			r, json, "refusals", &p->n_refusals, &p->refusals, sizeof(*p->refusals));

	for (uint32_t i = 0; refusals != NULL && i < p->n_refusals; i++) {
		const json_t *f = json_array_get(refusals, i);

		p->refusals[i].reason = read_text(r, json_object_get(f, "reason"));
		p->refusals[i].devices =
			(uint32_t)read_number(r, json_object_get(f, "devices"), UINT32_MAX);
		p->refusals[i].example_no =
			read_number(r, json_object_get(f, "example"), INT64_MAX);
		p->refusals[i].chain =
			read_texts(r, json_object_get(f, "chain"), &p->refusals[i].n_chain);
	}
	forecast = json_object_get(json, "forecast");
	p->time_s = read_number(r, json_object_get(forecast, "time_s"), INT64_MAX);
	p->time_max_s = read_number(r, json_object_get(forecast, "time_max_s"), INT64_MAX);
	p->observed = json_is_true(json_object_get(forecast, "observed"));
	p->notes = read_texts(r, json_object_get(json, "notes"), &p->n_notes);
}

static void read_head(struct reader *r, const json_t *json)
{
	const char *order = json_string_value(json_object_get(json, "order"));
	int i = 0;

	while (i < STRATEGY_ORDER_MAX &&
		(order == NULL || strcmp(order, strategy_order_text((enum strategy_order)i)) != 0))
		i++;
	r->failed = r->failed || i == STRATEGY_ORDER_MAX ||
		json_integer_value(json_object_get(json, "format")) != PLAN_FORMAT;
	r->p->order = i == STRATEGY_ORDER_MAX ? ORDER_WAVE_FIRST : (enum strategy_order)i;
	r->p->release = read_text(r, json_object_get(json, "release"));
	r->p->seed = (uint64_t)read_number(r, json_object_get(json, "seed"), INT64_MAX);
	read_hex(r, json_object_get(json, "digest"), r->p->digest);
	read_hex(r, json_object_get(json, "members"), r->p->members);
	read_hex(r, json_object_get(json, "strategy"), r->p->strategy);
}

enum fl_code plan_read(const json_t *json, struct plan *out, struct fl_err *err)
{
	static void (*const parts[])(struct reader * r, const json_t *json) = { read_head,
		read_lists, read_layers, read_sets, read_classes, read_waves, read_pairs,
		read_remarks };
	struct reader r = { .p = out };

	for (size_t i = 0; i < FL_COUNT(parts) && !r.failed && !r.no_memory; i++)
		parts[i](&r, json);
	if (r.no_memory)
		return fl_fail(err, FL_NOMEM, "no memory to read a plan");
	if (r.failed)
		return fl_fail(
			err, FL_CORRUPT, "the stored plan is not one that this fleetd can read");
	return FL_OK;
}
