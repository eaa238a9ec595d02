/* SPDX-License-Identifier: Apache-2.0
 *
 * The order of hops. Let x require y, and let both go their ways x0 .. xI and y0 .. yJ. A *cell* (i, j)
 * is bad if version i of x does not work with version j of y. The common path must go round it:
 *
 *      y                      over:  y reaches j+1 no later than x reaches i
 *   j+1|  . o->o .            under: x reaches i+1 no later than y reaches j
 *    j |  . | X  .
 *      +----------- x         X: bad cell; o: the way over it
 *           i
 *
 * So each bad cell gives one edge "no later than" between two hops; where both ways are open, the
 * search may choose. Hops in a circle of such edges must switch at once: the strongly connected
 * components are the smallest possible units. */
#include "server/rollout/target.h"

#include "lib/graph.h"

#include <stdlib.h>
#include <string.h>

/* So many cells with a choice are tried in all combinations. */
#define CHOICES_MAX 10

struct choice {
	struct fl_edge over, under;
};

struct ordering {
	struct target_solver *s;
	const struct target_way *ways;
	struct target_hop *hops; /* the nodes */
	uint32_t n;
	uint32_t *first;       /* per variable: node of its first hop */
	struct fl_edge *edges; /* owned: forced, then chosen, then soft */
	uint32_t n_edges, cap_edges;
	struct choice *choices; /* owned */
	uint32_t n_choices, cap_choices;
	uint32_t *component; /* per node; owned */
	uint32_t n_components;
	struct fl_arena arena;
};

static void *grow(struct ordering *o, void *p, uint32_t n, uint32_t *cap, size_t size)
{
	void *wider;

	if (n < *cap)
		return p;
	*cap = *cap == 0 ? 64 : *cap * 2;
	wider = realloc(p, *cap * size);
	if (wider == NULL) {
		o->s->out_of_memory = true;
		*cap = n;
	}
	return wider != NULL ? wider : p;
}

static void add_edge(struct ordering *o, struct fl_edge e)
{
	o->edges = grow(o, o->edges, o->n_edges, &o->cap_edges, sizeof(e));
	if (o->n_edges < o->cap_edges)
		o->edges[o->n_edges++] = e;
}

static void add_choice(struct ordering *o, struct choice c)
{
	o->choices = grow(o, o->choices, o->n_choices, &o->cap_choices, sizeof(c));
	if (o->n_choices < o->cap_choices)
		o->choices[o->n_choices++] = c;
}

/* The hop with which variable v reaches version i >= 1 of its way. */
static uint32_t reaches(const struct ordering *o, uint32_t v, uint32_t i)
{
	return o->first[v] + i - 1;
}

/* ---- nodes */

static bool add_nodes(struct ordering *o)
{
	uint32_t n = 0;

	for (uint32_t v = 0; v < o->s->n; v++)
		n += o->ways[v].n - 1;
	o->hops = fl_arena_get(&o->arena, n, sizeof(*o->hops));
	o->first = fl_arena_get(&o->arena, o->s->n, sizeof(*o->first));
	o->component = fl_arena_get(&o->arena, n, sizeof(*o->component));
	if (o->hops == NULL || o->first == NULL || o->component == NULL) {
		o->s->out_of_memory = true;
		return false;
	}
	for (uint32_t v = 0; v < o->s->n; v++) {
		o->first[v] = o->n;
		for (uint32_t i = 1; i < o->ways[v].n; i++) {
			if (i > 1)
				add_edge(o, (struct fl_edge){ o->n - 1, o->n });
			o->hops[o->n++] = (struct target_hop){ v, o->ways[v].versions[i - 1],
				o->ways[v].versions[i] };
		}
	}
	return true;
}

/* ---- edges */

/* Go round the bad cell (i of x, j of y). False: there is no way round. */
static bool avoid(struct ordering *o, uint32_t x, uint32_t i, uint32_t y, uint32_t j)
{
	bool over = i >= 1 && j + 1 < o->ways[y].n;
	bool under = j >= 1 && i + 1 < o->ways[x].n;
	struct choice c = { 0 };

	if (over)
		c.over = (struct fl_edge){ reaches(o, y, j + 1), reaches(o, x, i) };
	if (under)
		c.under = (struct fl_edge){ reaches(o, x, i + 1), reaches(o, y, j) };
	if (over && under)
		add_choice(o, c);
	else if (over || under)
		add_edge(o, over ? c.over : c.under);
	return over || under;
}

/* The requirement r of version i of variable x. */
static bool keep(struct ordering *o, uint32_t x, uint32_t i, const struct universe_requirement *r)
{
	const struct target_solver *s = o->s;
	uint32_t q = target_provider(s, s->vars[x].place, r->module);
	uint32_t y = q == TARGET_NONE ? TARGET_NONE : target_find(s, q, r->module);
	const struct target_way nowhere = { (const uint32_t[]){ UNIVERSE_NONE }, 1 };
	const struct target_way *way = y == TARGET_NONE ? &nowhere : &o->ways[y];

	/* Broken from the start: nothing to keep. */
	if (y == x || (i == 0 && !universe_in_range(s->u, way->versions[0], r->range)))
		return true;
	for (uint32_t j = 0; j < way->n; j++) {
		if (universe_in_range(s->u, way->versions[j], r->range))
			continue;
		if (y == TARGET_NONE || !avoid(o, x, i, y, j)) {
			explain_no_way(o->s, x, o->ways[x].versions[i], r);
			return false;
		}
	}
	return true;
}

static bool keep_all(struct ordering *o)
{
	const struct universe *u = o->s->u;

	for (uint32_t x = 0; x < o->s->n; x++) {
		for (uint32_t i = 0; i < o->ways[x].n; i++) {
			const struct universe_version *v;

			if (o->ways[x].versions[i] == UNIVERSE_NONE)
				continue;
			v = &u->versions[o->ways[x].versions[i]];
			for (uint32_t k = 0; k < v->n_requirements; k++) {
				if (!keep(o, x, i, &u->requirements[v->first_requirement + k]))
					return false;
			}
		}
	}
	return true;
}

/* Where both orders would do, what is required comes first: the last hops of both. */
static void add_soft(struct ordering *o)
{
	const struct target_solver *s = o->s;

	for (uint32_t x = 0; x < s->n; x++) {
		const struct universe_version *v;

		if (o->ways[x].n < 2 || s->vars[x].target == UNIVERSE_NONE)
			continue;
		v = &s->u->versions[s->vars[x].target];
		for (uint32_t k = 0; k < v->n_requirements; k++) {
			uint32_t module = s->u->requirements[v->first_requirement + k].module;
			uint32_t q = target_provider(s, s->vars[x].place, module);
			uint32_t y = q == TARGET_NONE ? TARGET_NONE : target_find(s, q, module);

			if (y != TARGET_NONE && y != x && o->ways[y].n > 1)
				add_edge(o,
					(struct fl_edge){ reaches(o, y, o->ways[y].n - 1),
						reaches(o, x, o->ways[x].n - 1) });
		}
	}
}

/* ---- units */

static bool find_components(struct ordering *o)
{
	struct fl_graph g = { o->n, o->edges, o->n_edges };

	if (o->s->out_of_memory ||
		fl_graph_components(&g, o->component, &o->n_components, NULL) != FL_OK) {
		o->s->out_of_memory = true;
		return false;
	}
	return true;
}

/* A component whose hops cannot switch at once: hops of one variable, or of several places. */
static bool find_impossible(struct ordering *o, uint32_t *component)
{
	uint32_t *seen = malloc(((size_t)o->n_components + 1) * sizeof(*seen));
	bool found = false;

	if (seen == NULL) {
		o->s->out_of_memory = true;
		return false;
	}
	memset(seen, 0xff, ((size_t)o->n_components + 1) * sizeof(*seen));
	for (uint32_t i = 0; i < o->n && !found; i++) {
		uint32_t *other = &seen[o->component[i]];

		/* Hops of one variable stand side by side, so the last one seen is enough. */
		if (*other != UINT32_MAX &&
			(o->hops[*other].var == o->hops[i].var ||
				o->s->vars[o->hops[*other].var].place !=
					o->s->vars[o->hops[i].var].place)) {
			*component = o->component[i];
			found = true;
		}
		*other = i;
	}
	free(seen);
	return found;
}

static void explain_component(struct ordering *o, uint32_t component)
{
	struct target_hop *list = fl_arena_get(&o->arena, o->n, sizeof(*list));
	uint32_t n = 0;

	if (list == NULL) {
		o->s->out_of_memory = true;
		return;
	}
	for (uint32_t i = 0; i < o->n; i++) {
		if (o->component[i] == component)
			list[n++] = o->hops[i];
	}
	explain_no_order(o->s, list, n);
}

/* Try the choices, all "over" first. On success o->component is that of the forced edges. */
static bool choose(struct ordering *o)
{
	uint32_t forced = o->n_edges,
		 free_choices = o->n_choices < CHOICES_MAX ? o->n_choices : CHOICES_MAX;

	for (uint32_t bits = 0; bits < 1U << free_choices; bits++) {
		uint32_t component;

		o->n_edges = forced;
		for (uint32_t i = 0; i < o->n_choices; i++)
			add_edge(o,
				i < free_choices && (bits >> i & 1) != 0 ? o->choices[i].under
									 : o->choices[i].over);
		if (!find_components(o))
			return false;
		if (!find_impossible(o, &component))
			return !o->s->out_of_memory;
		if (bits == 0)
			explain_component(o, component);
	}
	return false;
}

/* Add the soft edges that close no circle: an edge within a component of the graph with all of them
 * that joins two components without them is left out. */
static bool settle_soft(struct ordering *o)
{
	uint32_t forced = o->n_edges, kept = forced;
	uint32_t *before = fl_arena_get(&o->arena, o->n, sizeof(*before));

	if (before == NULL) {
		o->s->out_of_memory = true;
		return false;
	}
	memcpy(before, o->component, o->n * sizeof(*before));
	add_soft(o);
	if (!find_components(o))
		return false;
	for (uint32_t i = forced; i < o->n_edges; i++) {
		struct fl_edge e = o->edges[i];

		if (o->component[e.from] != o->component[e.to] || before[e.from] == before[e.to])
			o->edges[kept++] = e;
	}
	o->n_edges = kept;
	return find_components(o);
}

/* ---- the result */

static bool write_result(struct ordering *o)
{
	struct resolve_result *r = o->s->result;
	uint32_t *place = fl_arena_get(&o->arena, (size_t)o->n_components + 1, sizeof(*place));
	uint32_t *moved = fl_arena_get(&o->arena, o->n, sizeof(*moved));

	r->hops = fl_arena_get(&r->arena, o->n, sizeof(*r->hops));
	r->orders = fl_arena_get(&r->arena, o->n_edges, sizeof(*r->orders));
	if (place == NULL || moved == NULL || r->hops == NULL || r->orders == NULL) {
		o->s->out_of_memory = true;
		return false;
	}
	for (uint32_t i = 0; i < o->n; i++)
		place[o->component[i] + 1]++;
	for (uint32_t c = 0; c < o->n_components; c++)
		place[c + 1] += place[c];
	for (uint32_t i = 0; i < o->n; i++) {
		const struct target_var *v = &o->s->vars[o->hops[i].var];

		moved[i] = place[o->component[i]]++;
		r->hops[moved[i]] = (struct resolve_hop){ v->place, v->module, o->hops[i].from,
			o->hops[i].to, o->component[i] };
	}
	for (uint32_t i = 0; i < o->n_edges; i++) {
		struct fl_edge e = o->edges[i];

		if (o->component[e.from] != o->component[e.to])
			r->orders[r->n_orders++] =
				(struct resolve_order){ moved[e.from], moved[e.to] };
	}
	r->n_hops = o->n;
	r->n_units = o->n_components;
	r->outcome = RESOLVE_OK;
	return true;
}

bool order_hops(struct target_solver *s, const struct target_way *ways)
{
	struct ordering o = { .s = s, .ways = ways };
	bool ok =
		add_nodes(&o) && keep_all(&o) && choose(&o) && settle_soft(&o) && write_result(&o);

	free(o.edges);
	free(o.choices);
	fl_arena_fini(&o.arena);
	return ok && !s->out_of_memory;
}
