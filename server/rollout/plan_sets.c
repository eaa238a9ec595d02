/* SPDX-License-Identifier: Apache-2.0
 *
 * Sets and classes: what devices have at every stop, each distinct set and way once. Also the names
 * and artifacts that the plan keeps for itself. */
#include "server/rollout/plan_build.h"

#include <stdlib.h>
#include <string.h>

/* ---- names, versions, artifacts: copied when first used */

static const struct plan_module *module_of(struct plan_builder *b, uint32_t module)
{
	struct plan_module *m;

	if (b->modules[module] != NULL)
		return b->modules[module];
	m = build_out(b, 1, sizeof(*m));
	if (m == NULL)
		return NULL;
	m->name = build_text(b, b->u->modules[module].name);
	m->kind = build_text(b, b->u->modules[module].kind);
	m->tier = b->u->modules[module].tier;
	b->modules[module] = m;
	return m;
}

static const char *text_of(struct plan_builder *b, uint32_t version)
{
	if (b->texts[version] == NULL)
		b->texts[version] = build_text(b, b->u->versions[version].text);
	return b->texts[version];
}

static const struct plan_artifact *artifact_of(struct plan_builder *b, uint32_t artifact)
{
	const struct universe_artifact *from;
	struct plan_artifact *a;

	if (artifact == UNIVERSE_NONE)
		return NULL;
	if (b->artifacts[artifact] != NULL)
		return b->artifacts[artifact];
	from = &b->u->artifacts[artifact];
	a = build_out(b, 1, sizeof(*a));
	if (a == NULL)
		return NULL;
	memcpy(a->sha256, from->sha256, sizeof(a->sha256));
	a->size = from->size;
	a->id = from->id;
	b->artifacts[artifact] = a;
	return a;
}

static int by_name(const void *pa, const void *pb, void *p)
{
	const struct universe *u = p;

	return strcmp(
		u->modules[*(const uint32_t *)pa].name, u->modules[*(const uint32_t *)pb].name);
}

static bool prepare(struct plan_builder *b)
{
	const struct universe *u = b->u;
	uint32_t *sorted = build_get(b, u->n_modules, sizeof(*sorted));

	b->modules = build_get(b, u->n_modules, sizeof(struct plan_module *));
	b->texts = build_get(b, u->n_versions, sizeof(char *));
	b->artifacts = build_get(b, u->n_artifacts, sizeof(struct plan_artifact *));
	b->names = build_get(b, u->n_modules, sizeof(*b->names));
	if (b->failure.code != FL_OK)
		return false;
	for (uint32_t i = 0; i < u->n_modules; i++)
		sorted[i] = i;
	if (u->n_modules > 0)
		qsort_r(sorted, u->n_modules, sizeof(*sorted), by_name, (void *)(uintptr_t)u);
	for (uint32_t i = 0; i < u->n_modules; i++)
		b->names[sorted[i]] = i;
	return true;
}

/* ---- sets */

static bool same_set(const struct plan_builder *b, uint32_t index, const void *key)
{
	const struct build_set *a = &b->sets[index], *k = key;

	return a->n == k->n && memcmp(a->versions, k->versions, k->n * sizeof(*k->versions)) == 0 &&
		memcmp(a->artifacts, k->artifacts, k->n * sizeof(*k->artifacts)) == 0;
}

static uint32_t intern_set(struct plan_builder *b, const struct build_set *k)
{
	uint64_t hash = k->n;
	uint32_t slot, index;
	struct build_set copy = { .n = k->n };

	for (uint32_t i = 0; i < k->n; i++)
		hash = build_hash(hash, (uint64_t)k->versions[i] << 32 | k->artifacts[i]);
	index = build_table_find(b, hash, same_set, k, &slot);
	if (index != BUILD_NONE || slot == BUILD_NONE || !BUILD_GROW(b, sets))
		return index;
	copy.versions = build_get(b, k->n, 2 * sizeof(*copy.versions));
	if (copy.versions == NULL)
		return BUILD_NONE;
	copy.artifacts = copy.versions + k->n;
	memcpy(copy.versions, k->versions, k->n * sizeof(*k->versions));
	memcpy(copy.artifacts, k->artifacts, k->n * sizeof(*k->artifacts));
	b->sets[b->n_sets] = copy;
	build_table_put(b, slot, hash, b->n_sets);
	return b->n_sets++;
}

/* The bytes that a device of this kind runs or gets for a version. */
static uint32_t bytes_of(const struct plan_builder *b, uint32_t version, const struct build_kind *k)
{
	size_t words = ((size_t)b->u->n_predicates + 63) / 64;
	bool matches;

	return resolve_artifact(b->u, version,
		words == 0 ? NULL : b->in->signatures + k->signature * words, &matches);
}

/* Put `version` of a module into the set (UNIVERSE_NONE: take it out), which is ordered by name. The
 * set has room for one more. */
static void put(const struct plan_builder *b, struct build_set *s, uint32_t module,
	uint32_t version, uint32_t artifact)
{
	uint32_t i = 0;
	size_t rest;

	while (i < s->n && b->names[b->u->versions[s->versions[i]].module] < b->names[module])
		i++;
	if (i < s->n && b->u->versions[s->versions[i]].module == module) {
		rest = (s->n - i - 1) * sizeof(*s->versions);
		memmove(&s->versions[i], &s->versions[i + 1], rest);
		memmove(&s->artifacts[i], &s->artifacts[i + 1], rest);
		s->n--;
	}
	if (version == UNIVERSE_NONE)
		return;
	rest = (s->n - i) * sizeof(*s->versions);
	memmove(&s->versions[i + 1], &s->versions[i], rest);
	memmove(&s->artifacts[i + 1], &s->artifacts[i], rest);
	s->versions[i] = version;
	s->artifacts[i] = artifact;
	s->n++;
}

/* ---- classes: they are looked up in a table of their own, as sets are looked up meanwhile */

static bool same_class(const struct plan_builder *b, uint32_t index, const void *key)
{
	const struct build_class *a = &b->classes[index], *k = key;

	return a->kind == k->kind && a->reason == k->reason &&
		memcmp(a->sets, k->sets, ((size_t)b->n_layers + 1) * sizeof(*k->sets)) == 0;
}

static uint32_t intern_class(struct plan_builder *b, const struct build_class *k)
{
	uint64_t hash = build_hash(k->kind, k->reason);
	uint32_t slot, index;

	for (uint32_t i = 0; i <= b->n_layers; i++)
		hash = build_hash(hash, k->sets[i]);
	index = build_table_find(b, hash, same_class, k, &slot);
	if (index != BUILD_NONE || slot == BUILD_NONE || !BUILD_GROW(b, classes))
		return index;
	b->classes[b->n_classes] = *k;
	build_table_put(b, slot, hash, b->n_classes);
	return b->n_classes++;
}

/* The sets of a place at the start and after each layer. */
static uint32_t *walk(
	struct plan_builder *b, const struct build_combo *c, const struct build_place *p)
{
	const struct build_kind *k = &b->kinds[p->kind];
	const struct universe_state *state = &b->u->states[k->state];
	uint32_t room = state->n + p->n_hops + 1;
	uint32_t *sets = build_get(b, (size_t)b->n_layers + 1, sizeof(*sets));
	struct build_set s = { .versions = malloc(2 * room * sizeof(uint32_t)) };

	if (s.versions == NULL || sets == NULL) {
		free(s.versions);
		(void)build_nomem(b);
		return NULL;
	}
	s.artifacts = s.versions + room;
	for (uint32_t i = 0; i < state->n; i++) {
		uint32_t version = b->u->installed[state->first + i];

		put(b, &s, b->u->versions[version].module, version, bytes_of(b, version, k));
	}
	sets[0] = intern_set(b, &s);
	for (uint32_t layer = 0; layer < b->n_layers; layer++) {
		for (uint32_t i = 0; i < p->n_hops; i++) {
			const struct build_hop *h = &p->hops[i];

			if (build_layer_of(b, c, h) == layer)
				put(b, &s, h->module, h->to,
					h->to == UNIVERSE_NONE ? UNIVERSE_NONE
							       : bytes_of(b, h->to, k));
		}
		sets[layer + 1] = intern_set(b, &s);
	}
	free(s.versions);
	return sets;
}

/* Two passes, as both use the one table: first the sets of all places, then their classes. */
static bool find_classes(struct plan_builder *b)
{
	uint32_t ***sets = build_get(b, b->n_combos, sizeof(*sets));

	for (uint32_t i = 0; i < b->n_combos && b->failure.code == FL_OK; i++) {
		const struct build_combo *c = &b->combos[i];

		sets[i] = build_get(b, c->n_places, sizeof(**sets));
		for (uint32_t p = 0; p < c->n_places && b->failure.code == FL_OK; p++) {
			if (c->places[p].selected)
				sets[i][p] = walk(b, c, &c->places[p]);
		}
	}
	build_table_reset(b);
	for (uint32_t i = 0; i < b->n_combos && b->failure.code == FL_OK; i++) {
		struct build_combo *c = &b->combos[i];

		for (uint32_t p = 0; p < c->n_places && b->failure.code == FL_OK; p++) {
			struct build_place *place = &c->places[p];

			if (place->selected)
				place->class = intern_class(b,
					&(struct build_class){
						place->outcome, place->reason, sets[i][p] });
		}
	}
	build_table_reset(b);
	return b->failure.code == FL_OK;
}

/* ---- into the plan */

static bool write_sets(struct plan_builder *b)
{
	b->out->sets = build_out(b, b->n_sets, sizeof(*b->out->sets));
	for (uint32_t i = 0; i < b->n_sets && b->failure.code == FL_OK; i++) {
		const struct build_set *s = &b->sets[i];
		struct plan_item *items = build_out(b, s->n, sizeof(*items));

		for (uint32_t k = 0; k < s->n && b->failure.code == FL_OK; k++)
			items[k] = (struct plan_item){
				module_of(b, b->u->versions[s->versions[k]].module),
				text_of(b, s->versions[k]), artifact_of(b, s->artifacts[k])
			};
		b->out->sets[i] = (struct plan_set){ items, s->n };
	}
	b->out->n_sets = b->n_sets;
	return b->failure.code == FL_OK;
}

static bool write_classes(struct plan_builder *b)
{
	b->out->n_layers = b->n_layers;
	b->out->classes = build_out(b, b->n_classes, sizeof(*b->out->classes));
	for (uint32_t i = 0; i < b->n_classes && b->failure.code == FL_OK; i++) {
		const struct build_class *from = &b->classes[i];
		struct plan_class *to = &b->out->classes[i];

		to->kind = from->kind;
		to->reason = from->reason == BUILD_NONE ? "" : b->reasons[from->reason].text;
		to->sets = build_out(b, (size_t)b->n_layers + 1, sizeof(*to->sets));
		if (to->sets != NULL)
			memcpy(to->sets, from->sets, ((size_t)b->n_layers + 1) * sizeof(*to->sets));
	}
	b->out->n_classes = b->n_classes;
	return b->failure.code == FL_OK;
}

/* ---- units: what switches together, for people to read */

static int by_module_name(const void *pa, const void *pb)
{
	const struct plan_module *a = *(const struct plan_module *const *)pa;
	const struct plan_module *b = *(const struct plan_module *const *)pb;

	return strcmp(a->name, b->name);
}

static int by_layer_and_name(const void *pa, const void *pb)
{
	const struct plan_unit *a = pa, *b = pb;
	uint32_t n = a->n < b->n ? a->n : b->n;

	if (a->layer != b->layer)
		return a->layer < b->layer ? -1 : 1;
	for (uint32_t i = 0; i < n; i++) {
		int order = strcmp(a->modules[i]->name, b->modules[i]->name);

		if (order != 0)
			return order;
	}
	return (a->n > b->n) - (a->n < b->n);
}

/* The unit to which `node` belongs in a cluster. */
static struct plan_unit unit_of(
	struct plan_builder *b, const struct build_cluster *c, uint32_t node)
{
	struct plan_unit unit = { .layer = c->layer[node] };

	for (uint32_t i = 0; i < b->n_nodes; i++)
		unit.n += c->has[i] && c->component[i] == c->component[node];
	unit.modules = build_out(b, unit.n, sizeof(struct plan_module *));
	unit.n = 0;
	for (uint32_t i = 0; i < b->n_nodes && unit.modules != NULL; i++) {
		if (c->has[i] && c->component[i] == c->component[node])
			unit.modules[unit.n++] = module_of(b, b->nodes[i].module);
	}
	if (b->failure.code == FL_OK)
		qsort(unit.modules, unit.n, sizeof(struct plan_module *), by_module_name);
	return unit;
}

static bool write_units(struct plan_builder *b)
{
	uint32_t room = b->n_clusters * b->n_nodes, n = 0;
	struct plan_unit *units = build_out(b, room, sizeof(*units));

	for (uint32_t k = 0; k < b->n_clusters && b->failure.code == FL_OK; k++) {
		const struct build_cluster *c = &b->clusters[k];

		for (uint32_t i = 0; i < b->n_nodes && b->failure.code == FL_OK; i++) {
			uint32_t first = 0;

			while (first < i &&
				!(c->has[first] && c->component[first] == c->component[i]))
				first++;
			if (c->has[i] && first == i)
				units[n++] = unit_of(b, c, i);
		}
	}
	if (b->failure.code != FL_OK)
		return false;
	qsort(units, n, sizeof(*units), by_layer_and_name);
	b->out->units = units;
	for (uint32_t i = 0; i < n; i++) {
		if (i == 0 || by_layer_and_name(&units[b->out->n_units - 1], &units[i]) != 0)
			units[b->out->n_units++] = units[i];
	}
	return true;
}

bool build_classes(struct plan_builder *b)
{
	return prepare(b) && find_classes(b) && write_sets(b) && write_classes(b) && write_units(b);
}
