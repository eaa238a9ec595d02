/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/resolve.h"

#include "server/rollout/target.h"

#include "lib/graph.h"

#include <stdlib.h>
#include <string.h>

/* What is installed, and what the release says about it. */
static bool add_installed(struct target_solver *s)
{
	for (uint32_t place = 0; place < s->p->n_places; place++) {
		const struct universe_state *state = &s->u->states[s->p->places[place].state];

		for (uint32_t i = 0; i < state->n; i++) {
			uint32_t version = s->u->installed[state->first + i];

			if (target_add(s, place, s->u->versions[version].module, version) ==
				TARGET_NONE)
				return false;
		}
	}
	return true;
}

/* Put one entry on one place. False: it does not fit, or there is no memory. */
static bool apply(struct target_solver *s, uint32_t place, const struct resolve_entry *e)
{
	uint32_t var = target_find(s, place, e->module);
	enum target_fit fit;

	if (var == TARGET_NONE &&
		(e->action != RESOLVE_INSTALL ||
			s->u->modules[e->module].tier != s->p->places[place].tier))
		return true;
	if (var == TARGET_NONE)
		var = target_add(s, place, e->module, UNIVERSE_NONE);
	if (var == TARGET_NONE)
		return false;
	s->vars[var].hard = true;
	s->vars[var].target = e->action == RESOLVE_ABSENT ? UNIVERSE_NONE : e->version;
	if (s->vars[var].target == UNIVERSE_NONE || s->vars[var].target == s->vars[var].start)
		return true;
	fit = target_fits(s, &s->vars[var], e->version);
	if (fit != FIT_OK)
		explain_misfit(s, var, e->version, fit);
	return fit == FIT_OK;
}

static bool apply_release(struct target_solver *s)
{
	for (uint32_t place = 0; place < s->p->n_places; place++) {
		for (uint32_t i = 0; i < s->p->n_entries && !s->p->places[place].fixed; i++) {
			if (!apply(s, place, &s->p->entries[i]))
				return false;
		}
	}
	return true;
}

/* ---- ways */

static bool between(const struct target_solver *s, uint32_t version, const struct target_var *v)
{
	const struct universe_version *a = &s->u->versions[v->start],
				      *b = &s->u->versions[v->target];
	const struct universe_version *f = &s->u->versions[version];

	return f->floor && f->valid && fl_semver_compare(&a->semver, &f->semver) < 0 &&
		fl_semver_compare(&f->semver, &b->semver) < 0;
}

/* The way of a variable with its floors. False: one does not fit, or there is no memory. */
static bool find_way(
	struct target_solver *s, uint32_t var, struct fl_arena *arena, struct target_way *way)
{
	const struct target_var *v = &s->vars[var];
	const struct universe_module *m = &s->u->modules[v->module];
	bool jumps = v->start == UNIVERSE_NONE || v->target == UNIVERSE_NONE ||
		v->start == v->target || !s->u->versions[v->start].valid;
	uint32_t *versions = fl_arena_get(arena, jumps ? 2 : (size_t)m->n + 2, sizeof(*versions));
	uint32_t n = 0;

	if (versions == NULL) {
		s->out_of_memory = true;
		return false;
	}
	versions[n++] = v->start;
	for (uint32_t i = 0; i < m->n && !jumps; i++) {
		uint32_t version = s->u->sorted[m->first + i];
		enum target_fit fit;

		if (!between(s, version, v))
			continue;
		fit = target_fits(s, v, version);
		if (fit != FIT_OK) {
			explain_misfit(s, var, version, fit);
			return false;
		}
		versions[n++] = version;
	}
	if (v->start != v->target)
		versions[n++] = v->target;
	*way = (struct target_way){ versions, n };
	return true;
}

/* ---- circles */

/* The edges "is required by" among variables that change to a version. */
static struct fl_edge *required_edges(struct target_solver *s, struct fl_arena *arena, size_t *n)
{
	size_t room = 0;
	struct fl_edge *edges;

	for (uint32_t x = 0; x < s->n; x++)
		room += s->vars[x].target == UNIVERSE_NONE
			? 0
			: s->u->versions[s->vars[x].target].n_requirements;
	edges = fl_arena_get(arena, room, sizeof(*edges));
	*n = 0;
	for (uint32_t x = 0; x < s->n && edges != NULL; x++) {
		const struct target_var *v = &s->vars[x];
		const struct universe_version *version;

		if (v->target == UNIVERSE_NONE || v->target == v->start)
			continue;
		version = &s->u->versions[v->target];
		for (uint32_t k = 0; k < version->n_requirements; k++) {
			uint32_t module = s->u->requirements[version->first_requirement + k].module;
			uint32_t q = target_provider(s, v->place, module);
			uint32_t y = q == TARGET_NONE ? TARGET_NONE : target_find(s, q, module);

			if (y != TARGET_NONE && y != x && s->vars[y].target != s->vars[y].start)
				edges[(*n)++] = (struct fl_edge){ x, y };
		}
	}
	return edges;
}

/* Whether the changed versions need each other in a circle; then the result says so. */
static bool has_cycle(struct target_solver *s, struct fl_arena *arena)
{
	struct fl_graph g = { .n = s->n };
	uint32_t *nodes = fl_arena_get(arena, (size_t)s->n + 1, sizeof(*nodes)), n;
	enum fl_code code;

	g.edges = required_edges(s, arena, &g.n_edges);
	if (nodes == NULL || g.edges == NULL) {
		s->out_of_memory = true;
		return false;
	}
	/* Layers are cheap and nearly always there; only then the cycle is looked for. */
	code = fl_graph_layers(&g, nodes, &n, NULL);
	if (code == FL_OK)
		return false;
	if (code != FL_CONFLICT || fl_graph_cycle(&g, nodes, &n, NULL) != FL_OK) {
		s->out_of_memory = true;
		return false;
	}
	explain_cycle(s, nodes, n);
	return true;
}

/* ---- the three parts */

static bool solve(struct target_solver *s, struct fl_arena *arena)
{
	struct target_way *ways;

	for (uint32_t i = 0; i < s->p->n_places; i++)
		s->head[i] = TARGET_NONE;
	if (!add_installed(s) || !apply_release(s) || !target_search(s) || has_cycle(s, arena))
		return false;
	ways = fl_arena_get(arena, s->n, sizeof(*ways));
	if (ways == NULL) {
		s->out_of_memory = true;
		return false;
	}
	for (uint32_t i = 0; i < s->n; i++) {
		if (!find_way(s, i, arena, &ways[i]))
			return false;
	}
	return order_hops(s, ways);
}

enum fl_code resolve(
	const struct resolve_problem *p, struct resolve_result *out, struct fl_err *err)
{
	FL_AUTO_ARENA struct fl_arena arena = { 0 };
	struct target_solver s = { .p = p, .u = p->universe, .result = out };
	bool solved;

	FL_BUG_IF(!p->universe->sealed);
	s.head = fl_arena_get(&arena, p->n_places, sizeof(*s.head));
	s.out_of_memory = s.head == NULL;
	solved = !s.out_of_memory && solve(&s, &arena);
	free(s.vars);
	if (s.out_of_memory)
		return fl_fail(err, FL_NOMEM, "no memory to resolve versions");
	if (!solved && s.work > RESOLVE_WORK_MAX)
		return fl_fail(err, FL_REFUSED,
			"the versions were not resolved within %d tries: name more modules in the "
			"release",
			RESOLVE_WORK_MAX);
	FL_BUG_IF(!solved && !s.explained);
	return FL_OK;
}

void resolve_fini(struct resolve_result *r)
{
	fl_arena_fini(&r->arena);
	memset(r, 0, sizeof(*r));
}
