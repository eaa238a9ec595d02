/* SPDX-License-Identifier: Apache-2.0
 *
 * Layers. The hops of all combos are nodes "this module reaches this version on this tier"; what one
 * combo must do in order are edges. The layer of a node is the longest path to it in the union over
 * all combos, so that a module has one layer for the whole fleet wherever that is possible.
 *
 * A circle in the union (one combo needs lib before app, another app before lib) joins its nodes into
 * one unit, which is safe on one device: it switches them at once, and both its state before and its
 * state after are sound. Across tiers, or for two versions of one module, it is not; then the combo
 * gets a cluster, that is layers, of its own. If the circle lies between the kinds of device behind one
 * gateway (one must go before it, another after), their nodes are told apart. */
#include "server/rollout/plan_build.h"

#include <stdlib.h>
#include <string.h>

static bool has_edge(const struct build_cluster *c, struct fl_edge e)
{
	for (size_t i = 0; i < c->n_edges; i++) {
		if (c->edges[i].from == e.from && c->edges[i].to == e.to)
			return true;
	}
	return false;
}

static bool push_edge(struct plan_builder *b, struct build_cluster *c, struct fl_edge e)
{
	if (c->n_edges == c->cap_edges) {
		size_t cap = c->cap_edges == 0 ? 64 : c->cap_edges * 2;
		struct fl_edge *wider = realloc(c->edges, cap * sizeof(*wider));

		if (wider == NULL)
			return build_nomem(b);
		c->edges = wider;
		c->cap_edges = cap;
	}
	c->edges[c->n_edges++] = e;
	return true;
}

static bool find_components(struct plan_builder *b, struct build_cluster *c)
{
	struct fl_graph g = { b->n_nodes, c->edges, c->n_edges };

	return fl_graph_components(&g, c->component, &c->n_components, &b->failure) == FL_OK;
}

/* Whether the nodes of every component can switch at once. */
static bool is_sound(const struct plan_builder *b, const struct build_cluster *c)
{
	for (uint32_t i = 0; i < b->n_nodes; i++) {
		for (uint32_t k = i + 1; k < b->n_nodes && c->has[i]; k++) {
			if (c->component[i] == c->component[k] && c->has[k] &&
				(b->nodes[i].gateway != b->nodes[k].gateway ||
					b->nodes[i].module == b->nodes[k].module))
				return false;
		}
	}
	return true;
}

static void mark_nodes(const struct build_combo *combo, bool *has)
{
	for (uint32_t p = 0; p < combo->n_places; p++) {
		for (uint32_t i = 0; i < combo->places[p].n_hops; i++)
			has[combo->places[p].hops[i].node] = true;
	}
}

static struct fl_edge edge_of(const struct build_combo *c, const struct build_order *o)
{
	return (struct fl_edge){ c->places[o->before_place].hops[o->before_hop].node,
		c->places[o->after_place].hops[o->after_hop].node };
}

/* Put a combo into a cluster if its order fits in there. */
static bool join(struct plan_builder *b, struct build_cluster *c, const struct build_combo *combo,
	const struct build_order *orders, uint32_t n)
{
	size_t before = c->n_edges;
	bool *had = build_get(b, b->n_nodes, sizeof(*had));

	if (had == NULL)
		return false;
	memcpy(had, c->has, b->n_nodes * sizeof(*had));
	mark_nodes(combo, c->has);
	for (uint32_t i = 0; i < n; i++) {
		struct fl_edge e = edge_of(combo, &orders[i]);

		if (e.from != e.to && !has_edge(c, e) && !push_edge(b, c, e))
			return false;
	}
	if (c->n_edges == before)
		return true;
	if (!find_components(b, c))
		return false;
	if (is_sound(b, c))
		return true;
	c->n_edges = before;
	memcpy(c->has, had, b->n_nodes * sizeof(*had));
	return false;
}

static bool init_cluster(struct plan_builder *b, struct build_cluster *c)
{
	*c = (struct build_cluster){ .component = build_get(b, b->n_nodes, sizeof(*c->component)),
		.layer = build_get(b, b->n_nodes, sizeof(*c->layer)),
		.has = build_get(b, b->n_nodes, sizeof(*c->has)) };
	return b->failure.code == FL_OK;
}

static struct build_cluster *add_cluster(struct plan_builder *b)
{
	if (!BUILD_GROW(b, clusters) || !init_cluster(b, &b->clusters[b->n_clusters]))
		return NULL;
	return &b->clusters[b->n_clusters++];
}

/* Give the combo nodes of its own for each place if it does not even fit together by itself. */
static bool tell_apart(struct plan_builder *b, struct build_combo *combo,
	const struct build_order *orders, uint32_t n)
{
	struct build_cluster alone;
	bool fits;

	/* With one kind of device the resolver has seen to it. */
	if (!combo->gateway || combo->n_places < 3)
		return true;
	if (!init_cluster(b, &alone))
		return false;
	fits = join(b, &alone, combo, orders, n);
	free(alone.edges);
	for (uint32_t p = 0; p < combo->n_places && !fits; p++) {
		for (uint32_t i = 0; i < combo->places[p].n_hops; i++) {
			struct build_hop *h = &combo->places[p].hops[i];

			if (!BUILD_GROW(b, nodes))
				return false;
			b->nodes[b->n_nodes] = b->nodes[h->node];
			b->nodes[b->n_nodes].owner = b->n_nodes;
			h->node = b->n_nodes++;
		}
	}
	return b->failure.code == FL_OK;
}

static bool has_hops(const struct build_combo *c)
{
	for (uint32_t p = 0; p < c->n_places; p++) {
		if (c->places[p].n_hops > 0)
			return true;
	}
	return false;
}

static bool find_cluster(struct plan_builder *b, struct build_combo *combo,
	const struct build_order *orders, uint32_t n)
{
	struct build_cluster *fresh;

	for (uint32_t i = 0; i < b->n_clusters; i++) {
		if (join(b, &b->clusters[i], combo, orders, n)) {
			combo->cluster = i;
			return true;
		}
		if (b->failure.code != FL_OK)
			return false;
	}
	fresh = add_cluster(b);
	if (fresh == NULL)
		return false;
	combo->cluster = b->n_clusters - 1;
	/* Alone it fits: the resolver has seen to that. */
	FL_BUG_IF(!join(b, fresh, combo, orders, n) && b->failure.code == FL_OK);
	return b->failure.code == FL_OK;
}

static bool layer_cluster(struct plan_builder *b, struct build_cluster *c)
{
	struct fl_edge *edges = build_get(b, c->n_edges, sizeof(*edges));
	uint32_t *layer = build_get(b, (size_t)b->n_nodes + 1, sizeof(*layer)), n = 0, layers;
	struct fl_graph g;

	if (edges == NULL || layer == NULL || !find_components(b, c))
		return false;
	for (size_t i = 0; i < c->n_edges; i++) {
		struct fl_edge e = { c->component[c->edges[i].from], c->component[c->edges[i].to] };

		if (e.from != e.to)
			edges[n++] = e;
	}
	g = (struct fl_graph){ c->n_components, edges, n };
	if (fl_graph_layers(&g, layer, &layers, &b->failure) != FL_OK)
		return false;
	for (uint32_t i = 0; i < b->n_nodes; i++) {
		c->layer[i] = c->has[i] ? layer[c->component[i]] : BUILD_NONE;
		if (c->has[i] && c->layer[i] + 1 > b->n_layers)
			b->n_layers = c->layer[i] + 1;
	}
	return true;
}

/* Call fn for every combo that changes something, with its orders. */
static bool each_combo(struct plan_builder *b,
	bool (*fn)(struct plan_builder *b, struct build_combo *c, const struct build_order *orders,
		uint32_t n))
{
	for (uint32_t i = 0, o = 0; i < b->n_combos; i++) {
		uint32_t first = o;

		while (o < b->n_orders && b->orders[o].combo == i)
			o++;
		if (has_hops(&b->combos[i]) && !fn(b, &b->combos[i], b->orders + first, o - first))
			return false;
	}
	return true;
}

bool build_layers(struct plan_builder *b)
{
	/* All nodes first: what a cluster holds is by node. */
	if (!each_combo(b, tell_apart) || !each_combo(b, find_cluster))
		return false;
	for (uint32_t i = 0; i < b->n_clusters; i++) {
		if (!layer_cluster(b, &b->clusters[i]))
			return false;
	}
	if (b->n_layers > PLAN_LAYERS_MAX) {
		(void)fl_fail(&b->failure, FL_REFUSED,
			"the plan would have %u layers; at most %d can be", b->n_layers,
			PLAN_LAYERS_MAX);
		return false;
	}
	return true;
}

uint32_t build_layer_of(
	const struct plan_builder *b, const struct build_combo *c, const struct build_hop *h)
{
	return b->clusters[c->cluster].layer[h->node];
}
