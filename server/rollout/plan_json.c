/* SPDX-License-Identifier: Apache-2.0
 *
 * The plan as JSON. Modules and artifacts are listed once and referred to by their place. */
#include "server/rollout/plan.h"

#include <stdlib.h>
#include <string.h>

/* ---- writing */

static json_t *hex_json(const uint8_t *bytes)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };

	fl_buf_hex(&b, bytes, 32);
	return b.failed ? NULL : json_stringn((const char *)b.p, b.n);
}

/* Places of modules and artifacts in their lists, by their addresses. */
struct places {
	const void **modules, **artifacts; /* owned */
	size_t n_modules, n_artifacts, cap_modules, cap_artifacts;
	bool failed;
};

static int by_address(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return (x > y) - (x < y);
}

static void note(const void ***list, size_t *n, size_t *cap, const void *p, bool *failed)
{
	if (p == NULL || *failed || (*n > 0 && (*list)[*n - 1] == p))
		return;
	if (*n == *cap) {
		size_t wanted = *cap == 0 ? 256 : *cap * 2;
		const void **wider = realloc(*list, wanted * sizeof(*wider));

		if (wider == NULL) {
			*failed = true;
			return;
		}
		*list = wider;
		*cap = wanted;
	}
	(*list)[(*n)++] = p;
}

static size_t unique(const void **list, size_t n)
{
	size_t kept = 0;

	if (n > 0)
		qsort(list, n, sizeof(*list), by_address);
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || list[i] != list[kept - 1])
			list[kept++] = list[i];
	}
	return kept;
}

static int by_module_name(const void *a, const void *b)
{
	const struct plan_module *x = *(const struct plan_module *const *)a;
	const struct plan_module *y = *(const struct plan_module *const *)b;

	return strcmp(x->name, y->name);
}

static int by_sha256(const void *a, const void *b)
{
	const struct plan_artifact *x = *(const struct plan_artifact *const *)a;
	const struct plan_artifact *y = *(const struct plan_artifact *const *)b;

	return memcmp(x->sha256, y->sha256, sizeof(x->sha256));
}

/* Both lists ordered by content, so that equal plans have equal JSON. */
static void find_places(const struct plan *p, struct places *l)
{
	for (uint32_t i = 0; i < p->n_sets; i++) {
		for (uint32_t k = 0; k < p->sets[i].n; k++) {
			const struct plan_item *item = &p->sets[i].items[k];

			note(&l->modules, &l->n_modules, &l->cap_modules, item->module, &l->failed);
			note(&l->artifacts, &l->n_artifacts, &l->cap_artifacts, item->artifact,
				&l->failed);
		}
	}
	for (uint32_t i = 0; i < p->n_units; i++) {
		for (uint32_t k = 0; k < p->units[i].n; k++)
			note(&l->modules, &l->n_modules, &l->cap_modules, p->units[i].modules[k],
				&l->failed);
	}
	l->n_modules = unique(l->modules, l->n_modules);
	l->n_artifacts = unique(l->artifacts, l->n_artifacts);
	if (l->n_modules > 0)
		qsort(l->modules, l->n_modules, sizeof(*l->modules), by_module_name);
	if (l->n_artifacts > 0)
		qsort(l->artifacts, l->n_artifacts, sizeof(*l->artifacts), by_sha256);
}

static json_int_t module_place(const struct places *l, const struct plan_module *m)
{
	const void **found =
		bsearch(&m, l->modules, l->n_modules, sizeof(*l->modules), by_module_name);

	return found == NULL ? -1 : found - l->modules;
}

static json_int_t artifact_place(const struct places *l, const struct plan_artifact *a)
{
	const void **found = a == NULL
		? NULL
		: bsearch(&a, l->artifacts, l->n_artifacts, sizeof(*l->artifacts), by_sha256);

	return found == NULL ? -1 : found - l->artifacts;
}

/* An array of n elements made by fn(context, i); NULL without memory. */
static json_t *array_of(size_t n, json_t *(*fn)(const void *p, const void *q, size_t i),
	const void *p, const void *q)
{
	json_t *out = json_array();

	for (size_t i = 0; i < n && out != NULL; i++) {
		if (json_array_append_new(out, fn(p, q, i)) != 0) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}

static json_t *module_json(const void *p, const void *q, size_t i)
{
	const struct plan_module *m = ((const struct places *)p)->modules[i];

	(void)q;
	return json_pack("{s:s,s:s,s:s}", "name", m->name, "kind", m->kind, "tier",
		m->tier == TIER_GATEWAY ? "gateway" : "device");
}

static json_t *artifact_json(const void *p, const void *q, size_t i)
{
	const struct plan_artifact *a = ((const struct places *)p)->artifacts[i];

	(void)q;
	return json_pack("{s:o,s:I}", "sha256", hex_json(a->sha256), "size", (json_int_t)a->size);
}

static json_t *item_json(const void *p, const void *q, size_t i)
{
	const struct plan_item *item = &((const struct plan_set *)p)->items[i];

	return json_pack("[I,s,I]", module_place(q, item->module), item->version,
		artifact_place(q, item->artifact));
}

static json_t *set_json(const void *p, const void *q, size_t i)
{
	const struct plan_set *s = &((const struct plan *)p)->sets[i];

	return array_of(s->n, item_json, s, q);
}

static json_t *number_json(const void *p, const void *q, size_t i)
{
	(void)q;
	return json_integer(((const uint32_t *)p)[i]);
}

static json_t *class_json(const void *p, const void *q, size_t i)
{
	const struct plan *plan = p;
	const struct plan_class *c = &plan->classes[i];

	(void)q;
	return json_pack("{s:s,s:s,s:I,s:I,s:o}", "kind", plan_kind_text(c->kind), "reason",
		c->reason, "devices", (json_int_t)c->devices, "example", (json_int_t)c->example_no,
		"sets", array_of(plan->n_layers + 1, number_json, c->sets, NULL));
}

static json_t *unit_module_json(const void *p, const void *q, size_t i)
{
	(void)q;
	return json_string(((const struct plan_unit *)p)->modules[i]->name);
}

static json_t *wave_json(const void *p, const void *q, size_t i)
{
	const struct plan_wave *w = &((const struct plan *)p)->waves[i];

	(void)q;
	return json_pack("{s:I,s:I,s:s}", "wave", (json_int_t)i, "devices", (json_int_t)w->devices,
		"name", w->name);
}

static json_t *seconds_json(int64_t ms)
{
	return ms < 0 ? json_null() : json_integer((ms + 500) / 1000);
}

static json_t *forecast_json(const struct plan_stage *s)
{
	const struct plan_forecast *f = &s->forecast;

	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:o}", "reach_p95_s",
		(json_int_t)f->reach_p95_s, "never_seen", (json_int_t)f->never_seen, "time_s",
		(json_int_t)f->time_s, "time_max_s", (json_int_t)f->time_max_s, "peak_offers_s",
		(json_int_t)f->peak_offers_s, "peak_bytes_s", (json_int_t)f->peak_bytes_s,
		"downtime_s", seconds_json(f->downtime_ms), "build_s", seconds_json(f->build_ms));
}

static json_t *stage_json(const void *p, const void *q, size_t i)
{
	const struct plan_stage *s = &((const struct plan *)p)->stages[i];

	(void)q;
	return json_pack("{s:I,s:I,s:I,s:I,s:o,s:I,s:I,s:o}", "layer", (json_int_t)s->layer, "wave",
		(json_int_t)s->wave, "devices", (json_int_t)s->devices, "bytes_full",
		(json_int_t)s->bytes_full, "bytes_delta",
		s->bytes_delta < 0 ? json_null() : json_integer(s->bytes_delta), "deltas_to_build",
		(json_int_t)s->deltas_to_build, "no_way_back", (json_int_t)s->no_way_back,
		"forecast", forecast_json(s));
}

static json_t *pair_json(const void *p, const void *q, size_t i)
{
	const struct plan_pair *pair = &((const struct plan *)p)->pairs[i];

	return json_pack("[I,I,I,I,I]", artifact_place(q, pair->from), artifact_place(q, pair->to),
		(json_int_t)pair->layer, (json_int_t)pair->wave, (json_int_t)pair->devices);
}

static json_t *text_json(const void *p, const void *q, size_t i)
{
	(void)q;
	return json_string(((const char *const *)p)[i]);
}

static json_t *refusal_json(const void *p, const void *q, size_t i)
{
	const struct plan_refusal *r = &((const struct plan *)p)->refusals[i];

	(void)q;
	return json_pack("{s:s,s:o,s:I,s:I}", "reason", r->reason, "chain",
		array_of(r->n_chain, text_json, r->chain, NULL), "devices", (json_int_t)r->devices,
		"example", (json_int_t)r->example_no);
}

/* Layer i with its units. */
static json_t *layer_json(const void *p, const void *q, size_t i)
{
	const struct plan *plan = p;
	FL_AUTO_JSON json_t *units = json_array();

	(void)q;
	for (uint32_t k = 0; k < plan->n_units; k++) {
		if (plan->units[k].layer == i &&
			json_array_append_new(units,
				array_of(plan->units[k].n, unit_module_json, &plan->units[k],
					NULL)) != 0)
			return NULL;
	}
	return json_pack("{s:I,s:O}", "layer", (json_int_t)i, "units", units);
}

static json_t *totals_json(const struct plan *p)
{
	return json_pack("{s:I,s:I,s:I,s:I,s:I}", "devices",
		(json_int_t)p->totals[PLAN_UPDATE] + p->totals[PLAN_NOOP] +
			p->totals[PLAN_INCOMPATIBLE] + p->totals[PLAN_HELD],
		"update", (json_int_t)p->totals[PLAN_UPDATE], "noop",
		(json_int_t)p->totals[PLAN_NOOP], "incompatible",
		(json_int_t)p->totals[PLAN_INCOMPATIBLE], "held", (json_int_t)p->totals[PLAN_HELD]);
}

/* What both forms share. */
static json_t *common_json(const struct plan *p)
{
	return json_pack("{s:s,s:s,s:I,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:{s:I,s:I,s:b}}", "release",
		p->release, "order", strategy_order_text(p->order), "seed", (json_int_t)p->seed,
		"digest", hex_json(p->digest), "layers", array_of(p->n_layers, layer_json, p, NULL),
		"waves", array_of(p->n_waves, wave_json, p, NULL), "stages",
		array_of((size_t)p->n_waves * p->n_layers, stage_json, p, NULL), "totals",
		totals_json(p), "refusals", array_of(p->n_refusals, refusal_json, p, NULL), "notes",
		array_of(p->n_notes, text_json, p->notes, NULL), "forecast", "time_s",
		(json_int_t)p->time_s, "time_max_s", (json_int_t)p->time_max_s, "observed",
		p->observed);
}

json_t *plan_json(const struct plan *p)
{
	struct places l = { 0 };
	FL_AUTO_JSON json_t *out = common_json(p), *more = NULL;

	find_places(p, &l);
	if (out != NULL && !l.failed)
		more = json_pack("{s:i,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "format", PLAN_FORMAT,
			"modules", array_of(l.n_modules, module_json, &l, NULL), "artifacts",
			array_of(l.n_artifacts, artifact_json, &l, NULL), "sets",
			array_of(p->n_sets, set_json, p, &l), "classes",
			array_of(p->n_classes, class_json, p, NULL), "pairs",
			array_of(p->n_pairs, pair_json, p, &l), "members", hex_json(p->members),
			"strategy", hex_json(p->strategy));
	free(l.modules);
	free(l.artifacts);
	if (more == NULL || json_object_update_new(out, fl_steal(&more)) != 0)
		return NULL;
	return fl_steal(&out);
}

/* ---- the API's form */

static json_t *view_item(const void *p, const void *q, size_t i)
{
	const struct plan_item *item = &((const struct plan_set *)p)->items[i];

	(void)q;
	return json_pack("{s:s,s:s}", "module", item->module->name, "version", item->version);
}

/* What layer i changes for a class: modules with their new versions, null for a removed one. */
static json_t *view_changes(const void *p, const void *q, size_t layer)
{
	const struct plan *plan = p;
	const struct plan_class *c = q;
	const struct plan_set *x = &plan->sets[c->sets[layer]],
			      *y = &plan->sets[c->sets[layer + 1]];
	FL_AUTO_JSON json_t *out = json_array();
	uint32_t i = 0, k = 0;
	int failed = 0;

	while (c->sets[layer] != c->sets[layer + 1] && (i < x->n || k < y->n)) {
		int order = i == x->n ? 1
			: k == y->n   ? -1
				      : strcmp(x->items[i].module->name, y->items[k].module->name);

		if (order < 0)
			failed |= json_array_append_new(out,
				json_pack("{s:s,s:n}", "module", x->items[i].module->name,
					"version"));
		else if (order > 0 || strcmp(x->items[i].version, y->items[k].version) != 0)
			failed |= json_array_append_new(out, view_item(y, NULL, k));
		i += order <= 0;
		k += order >= 0;
	}
	return failed == 0 ? fl_steal(&out) : NULL;
}

static json_t *view_class(const void *p, const void *q, size_t i)
{
	const struct plan *plan = p;
	const struct plan_class *c = &plan->classes[i];
	const struct plan_set *from = &plan->sets[c->sets[0]];

	(void)q;
	return json_pack("{s:I,s:I,s:I,s:o,s:o,s:s,s:s}", "class", (json_int_t)i, "devices",
		(json_int_t)c->devices, "example", (json_int_t)c->example_no, "from",
		array_of(from->n, view_item, from, NULL), "to",
		array_of(plan->n_layers, view_changes, plan, c), "kind", plan_kind_text(c->kind),
		"reason", c->reason);
}

json_t *plan_view(const struct plan *p)
{
	FL_AUTO_JSON json_t *out = common_json(p);

	if (out == NULL ||
		json_object_set_new(out, "classes", array_of(p->n_classes, view_class, p, NULL)) !=
			0)
		return NULL;
	return fl_steal(&out);
}
