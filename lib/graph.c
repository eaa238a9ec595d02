/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/graph.h"

#include "lib/arena.h"

#include <stdbool.h>
#include <string.h>

/* Successors in rows: those of node v are to[first[v]] .. to[first[v + 1] - 1]. */
struct rows {
	uint32_t *first, *to;
};

static enum fl_code make_rows(
	const struct fl_graph *g, struct fl_arena *a, struct rows *r, struct fl_err *err)
{
	for (size_t i = 0; i < g->n_edges; i++) {
		if (g->edges[i].from >= g->n || g->edges[i].to >= g->n)
			return fl_fail(
				err, FL_INVALID, "edge %zu names a node that is not there", i);
	}
	r->first = fl_arena_get(a, (size_t)g->n + 2, sizeof(*r->first));
	r->to = fl_arena_get(a, g->n_edges, sizeof(*r->to));
	if (r->first == NULL || r->to == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a graph of %zu edges", g->n_edges);
	/* Counting sort; first[v + 1] is the place to write at and ends as the start of v + 1. */
	for (size_t i = 0; i < g->n_edges; i++)
		r->first[g->edges[i].from + 2]++;
	for (uint32_t v = 0; v < g->n; v++)
		r->first[v + 2] += r->first[v + 1];
	for (size_t i = 0; i < g->n_edges; i++)
		r->to[r->first[g->edges[i].from + 1]++] = g->edges[i].to;
	return FL_OK;
}

/* ---- components: Tarjan 1972, with a stack of its own instead of recursion */

#define UNSEEN 0

struct tarjan {
	struct rows rows;
	uint32_t *index; /* order of discovery from 1; UNSEEN */
	uint32_t *low;   /* lowest index that is reachable on the stack */
	uint32_t *next;  /* place in rows.to where v goes on */
	uint32_t *path;  /* nodes being visited */
	uint32_t *stack; /* nodes not yet given to a component */
	uint32_t n_path, n_stack, n_index, n_components;
	uint32_t *component;
};

static void enter(struct tarjan *t, uint32_t v)
{
	t->index[v] = t->low[v] = ++t->n_index;
	t->next[v] = t->rows.first[v];
	t->path[t->n_path++] = v;
	t->stack[t->n_stack++] = v;
}

static void leave(struct tarjan *t, uint32_t v)
{
	t->n_path--;
	if (t->n_path > 0) {
		uint32_t parent = t->path[t->n_path - 1];

		if (t->low[v] < t->low[parent])
			t->low[parent] = t->low[v];
	}
	if (t->low[v] != t->index[v])
		return;
	for (uint32_t w = UINT32_MAX; w != v;) {
		w = t->stack[--t->n_stack];
		t->component[w] = t->n_components;
	}
	t->n_components++;
}

static void visit(struct tarjan *t, uint32_t root)
{
	enter(t, root);
	while (t->n_path > 0) {
		uint32_t v = t->path[t->n_path - 1], w;

		if (t->next[v] == t->rows.first[v + 1]) {
			leave(t, v);
			continue;
		}
		w = t->rows.to[t->next[v]++];
		if (t->index[w] == UNSEEN)
			enter(t, w);
		else if (t->component[w] == UINT32_MAX && t->index[w] < t->low[v])
			t->low[v] = t->index[w];
	}
}

enum fl_code fl_graph_components(
	const struct fl_graph *g, uint32_t *component, uint32_t *count, struct fl_err *err)
{
	FL_AUTO_ARENA struct fl_arena a = { 0 };
	struct tarjan t = { .component = component };
	enum fl_code code = make_rows(g, &a, &t.rows, err);

	if (code != FL_OK)
		return code;
	t.index = fl_arena_get(&a, g->n, 5 * sizeof(uint32_t));
	if (t.index == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a graph of %u nodes", g->n);
	t.low = t.index + g->n;
	t.next = t.low + g->n;
	t.path = t.next + g->n;
	t.stack = t.path + g->n;
	memset(component, 0xff, g->n * sizeof(*component));
	for (uint32_t v = 0; v < g->n; v++) {
		if (t.index[v] == UNSEEN)
			visit(&t, v);
	}
	/* Tarjan ends components in reverse topological order. */
	for (uint32_t v = 0; v < g->n; v++)
		component[v] = t.n_components - 1 - component[v];
	*count = t.n_components;
	return FL_OK;
}

/* ---- layers: Kahn 1962 */

enum fl_code fl_graph_layers(
	const struct fl_graph *g, uint32_t *layer, uint32_t *count, struct fl_err *err)
{
	FL_AUTO_ARENA struct fl_arena a = { 0 };
	struct rows r;
	uint32_t *waits, *queue, n_queue = 0, layers = 0;
	enum fl_code code = make_rows(g, &a, &r, err);

	if (code != FL_OK)
		return code;
	waits = fl_arena_get(&a, g->n, 2 * sizeof(*waits));
	if (waits == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a graph of %u nodes", g->n);
	queue = waits + g->n;
	for (size_t i = 0; i < g->n_edges; i++)
		waits[g->edges[i].to]++;
	for (uint32_t v = 0; v < g->n; v++) {
		layer[v] = 0;
		if (waits[v] == 0)
			queue[n_queue++] = v;
	}
	for (uint32_t i = 0; i < n_queue; i++) {
		uint32_t v = queue[i];

		layers = layer[v] + 1 > layers ? layer[v] + 1 : layers;
		for (uint32_t k = r.first[v]; k < r.first[v + 1]; k++) {
			uint32_t w = r.to[k];

			layer[w] = layer[v] + 1 > layer[w] ? layer[v] + 1 : layer[w];
			if (--waits[w] == 0)
				queue[n_queue++] = w;
		}
	}
	if (n_queue != g->n)
		return fl_fail(err, FL_CONFLICT, "there is a cycle");
	*count = layers;
	return FL_OK;
}

/* ---- a cycle: breadth first from each node until the shortest is found */

struct search {
	struct rows rows;
	uint32_t *from, *queue; /* from: the node before, UINT32_MAX: not reached */
};

/* The length of the shortest cycle through `root` if it is below `limit`, else 0. s->from tells it. */
static uint32_t shortest_through(struct search *s, uint32_t n, uint32_t root, uint32_t limit)
{
	uint32_t n_queue = 0, end = 1;

	memset(s->from, 0xff, n * sizeof(*s->from));
	s->queue[n_queue++] = root;
	for (uint32_t i = 0, depth = 1; i < n_queue && depth < limit; depth++) {
		for (; i < end; i++) {
			uint32_t v = s->queue[i];

			for (uint32_t k = s->rows.first[v]; k < s->rows.first[v + 1]; k++) {
				uint32_t w = s->rows.to[k];

				if (s->from[w] != UINT32_MAX)
					continue;
				s->from[w] = v;
				if (w == root)
					return depth;
				s->queue[n_queue++] = w;
			}
		}
		end = n_queue;
	}
	return 0;
}

enum fl_code fl_graph_cycle(
	const struct fl_graph *g, uint32_t *cycle, uint32_t *length, struct fl_err *err)
{
	FL_AUTO_ARENA struct fl_arena a = { 0 };
	struct search s;
	uint32_t best = 0;
	enum fl_code code = make_rows(g, &a, &s.rows, err);

	if (code != FL_OK)
		return code;
	s.from = fl_arena_get(&a, (size_t)g->n + 1, 2 * sizeof(*s.from));
	if (s.from == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a graph of %u nodes", g->n);
	s.queue = s.from + g->n + 1;
	for (uint32_t root = 0; root < g->n && best != 1; root++) {
		uint32_t n = shortest_through(&s, g->n, root, best == 0 ? g->n + 1 : best);

		if (n == 0)
			continue;
		best = n;
		for (uint32_t v = root, i = n; i-- > 0;) {
			v = s.from[v];
			cycle[i] = v;
		}
	}
	*length = best;
	return FL_OK;
}
