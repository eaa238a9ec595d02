/* SPDX-License-Identifier: Apache-2.0
 *
 * Why a problem has no solution, in words that a person can follow. The sentences name modules and
 * versions, never devices: devices with the same trouble get the same sentence. */
#include "server/rollout/target.h"

#include <string.h>

#define CHAIN_MAX      16 /* sentences */
#define REQUIRERS_MAX  4  /* named in one sentence */
#define CANDIDATES_MAX 4  /* versions that are named */

static const char *module_name(const struct target_solver *s, uint32_t module)
{
	return s->u->modules[module].name;
}

/* Append "app 2.1.0". */
static void add_version(
	const struct target_solver *s, struct fl_buf *b, uint32_t module, uint32_t version)
{
	fl_buf_str(b, module_name(s, module));
	if (version != UNIVERSE_NONE)
		fl_buf_printf(b, " %s", s->u->versions[version].text);
}

/* Append " on its gateway" where a reader could take it for the device itself. */
static void add_place(const struct target_solver *s, struct fl_buf *b, uint32_t place)
{
	if (s->p->gateway && s->p->n_places > 1)
		fl_buf_str(b, place == 0 ? " on the gateway" : " on the device");
}

/* Append "app 2.1.0 needs lib ^3". */
static void add_need(const struct target_solver *s, struct fl_buf *b, uint32_t x,
	const struct universe_requirement *r)
{
	add_version(s, b, s->u->versions[r->version].module, r->version);
	add_place(s, b, s->vars[x].place);
	fl_buf_printf(b, " needs %s %s", module_name(s, r->module), s->u->ranges[r->range]->text);
}

/* ---- the result */

static void keep_text(struct target_solver *s, struct fl_buf *b, char **out)
{
	if (b->failed || b->p == NULL) {
		s->out_of_memory = true;
		return;
	}
	*out = fl_arena_text(&s->result->arena, (const char *)b->p, b->n);
	if (*out == NULL)
		s->out_of_memory = true;
}

/* Begin a new explanation; forgets an earlier one. */
static void begin(struct target_solver *s, enum resolve_outcome outcome, uint32_t place,
	struct fl_buf *reason)
{
	struct resolve_result *r = s->result;

	r->outcome = outcome;
	r->place = place;
	r->n_chain = 0;
	r->reason = NULL;
	if (r->chain == NULL)
		r->chain = fl_arena_get(&r->arena, CHAIN_MAX, sizeof(*r->chain));
	if (r->chain == NULL)
		s->out_of_memory = true;
	else
		keep_text(s, reason, &r->reason);
	s->explained = true;
}

static void add_line(struct target_solver *s, struct fl_buf *line)
{
	struct resolve_result *r = s->result;
	char *text = NULL;

	if (r->chain == NULL || r->n_chain == CHAIN_MAX)
		return;
	keep_text(s, line, &text);
	for (uint32_t i = 0; text != NULL && i < r->n_chain; i++) {
		if (strcmp(r->chain[i], text) == 0)
			return;
	}
	if (text != NULL)
		r->chain[r->n_chain++] = text;
}

/* The requirement with which x made y come along. */
static const struct universe_requirement *requirement_of(
	const struct target_solver *s, uint32_t x, uint32_t module)
{
	const struct universe_version *v;

	if (s->vars[x].target == UNIVERSE_NONE)
		return NULL;
	v = &s->u->versions[s->vars[x].target];
	for (uint32_t k = 0; k < v->n_requirements; k++) {
		if (s->u->requirements[v->first_requirement + k].module == module)
			return &s->u->requirements[v->first_requirement + k];
	}
	return NULL;
}

/* How variable x came to its version, from the release on. */
static void add_history(struct target_solver *s, uint32_t x)
{
	uint32_t path[CHAIN_MAX], n = 0;

	for (uint32_t v = x; v != TARGET_NONE && n < CHAIN_MAX; v = s->vars[v].cause)
		path[n++] = v;
	while (n-- > 0) {
		const struct target_var *v = &s->vars[path[n]];
		FL_AUTO_BUF struct fl_buf line = { 0 };

		if (v->hard && v->target == UNIVERSE_NONE) {
			fl_buf_printf(&line, "the release removes %s", module_name(s, v->module));
		} else if (v->hard) {
			fl_buf_str(&line, "the release has ");
			add_version(s, &line, v->module, v->target);
		} else if (v->target == v->start) {
			add_version(s, &line, v->module, v->target);
			add_place(s, &line, v->place);
			fl_buf_str(&line,
				v->target == UNIVERSE_NONE
					? " is not installed"
					: " is installed and not in the release");
		} else if (v->cause != TARGET_NONE &&
			requirement_of(s, v->cause, v->module) != NULL) {
			add_need(s, &line, v->cause, requirement_of(s, v->cause, v->module));
			fl_buf_str(&line, ", so ");
			add_version(s, &line, v->module, v->target);
			fl_buf_str(&line, " comes along");
		} else {
			continue;
		}
		add_line(s, &line);
	}
}

/* ---- single versions */

static const char *misfit_text(enum target_fit why)
{
	switch (why) {
	case FIT_UNPUBLISHED:
		return "was never published";
	case FIT_BLOCKED:
		return "is blocked";
	case FIT_OLDER:
		return "is older than what is installed, and a rollout takes no version down";
	case FIT_NO_VARIANT:
		return "has no variant for this kind of device";
	case FIT_NEED:
		return "needs what this kind of device does not have";
	case FIT_NO_BYTES:
		return "was declared without bytes";
	case FIT_OK:
		break;
	}
	return "fits";
}

/* Append ": runtime >=2" for the first need that is not met. */
static void add_unmet(
	const struct target_solver *s, struct fl_buf *b, uint32_t place, uint32_t version)
{
	const struct universe_version *v = &s->u->versions[version];
	const uint64_t *bits = s->p->places[place].signature;

	for (uint32_t i = 0; i < v->n_needs; i++) {
		uint32_t p = s->u->needs[v->first_need + i].predicate;

		if (p == UNIVERSE_ALWAYS || (bits[p / 64] >> (p % 64) & 1) != 0)
			continue;
		fl_buf_printf(
			b, ": %s %s", s->u->predicates[p].attribute, s->u->predicates[p].range);
		return;
	}
}

/* Whether another kind of device could have it. */
static bool is_device_misfit(enum target_fit why)
{
	return why == FIT_OLDER || why == FIT_NO_VARIANT || why == FIT_NEED;
}

/* Append "lib 3.0.0 is blocked: it leaks": why variable `v` cannot have the version. */
static void add_misfit(const struct target_solver *s, struct fl_buf *b, const struct target_var *v,
	uint32_t version, enum target_fit why)
{
	add_version(s, b, v->module, version);
	fl_buf_printf(b, " %s", misfit_text(why));
	if (why == FIT_BLOCKED && s->u->versions[version].blocked[0] != '\0')
		fl_buf_printf(b, ": %s", s->u->versions[version].blocked);
	if (why == FIT_NEED)
		add_unmet(s, b, v->place, version);
	if (why == FIT_OLDER)
		fl_buf_printf(b, " (%s)", s->u->versions[v->start].text);
}

void explain_misfit(struct target_solver *s, uint32_t var, uint32_t version, enum target_fit why)
{
	const struct target_var *v = &s->vars[var];
	FL_AUTO_BUF struct fl_buf b = { 0 };

	add_misfit(s, &b, v, version, why);
	begin(s, is_device_misfit(why) ? RESOLVE_INCOMPATIBLE : RESOLVE_CONFLICT, v->place, &b);
	if (version != v->target) {
		FL_AUTO_BUF struct fl_buf line = { 0 };

		add_version(s, &line, v->module, version);
		fl_buf_str(&line, " must be passed through on the way from ");
		fl_buf_printf(&line, "%s to %s", s->u->versions[v->start].text,
			s->u->versions[v->target].text);
		add_line(s, &line);
	}
	add_history(s, var);
}

/* ---- requirements */

/* A published version of a module that is not in the release but would work: ask for it. */
static void add_hint(struct target_solver *s, uint32_t x, const struct universe_requirement *r)
{
	const struct target_var *v = &s->vars[x];
	const struct universe_module *m = &s->u->modules[v->module];
	uint32_t wanted = target_provided(s, v->place, r->module);
	FL_AUTO_BUF struct fl_buf line = { 0 };

	for (uint32_t i = m->n; i-- > 0 && !v->hard;) {
		uint32_t version = s->u->sorted[m->first + i];
		const struct universe_version *candidate = &s->u->versions[version];
		bool works = version != v->start && target_fits(s, v, version) == FIT_OK;

		for (uint32_t k = 0; k < candidate->n_requirements && works; k++) {
			const struct universe_requirement *c =
				&s->u->requirements[candidate->first_requirement + k];

			works = c->module != r->module || universe_in_range(s->u, wanted, c->range);
		}
		if (!works)
			continue;
		add_version(s, &line, v->module, version);
		fl_buf_str(&line, " would work: add it to the release");
		add_line(s, &line);
		return;
	}
}

void explain_dead_end(struct target_solver *s, uint32_t x, const struct universe_requirement *r)
{
	uint32_t q = target_provider(s, s->vars[x].place, r->module);
	uint32_t y = q == TARGET_NONE ? TARGET_NONE : target_find(s, q, r->module);
	uint32_t blamed = s->vars[x].place;
	FL_AUTO_BUF struct fl_buf b = { 0 };

	if (s->explained)
		return;
	add_need(s, &b, x, r);
	if (q == TARGET_NONE)
		fl_buf_str(&b, " on its gateway, but the device has no gateway");
	else if (y == TARGET_NONE || s->vars[y].target == UNIVERSE_NONE)
		fl_buf_printf(&b, ", which %s",
			y != TARGET_NONE && s->vars[y].hard ? "the release removes"
							    : "is not installed");
	else
		fl_buf_printf(&b, ", but %s %s", s->vars[y].hard ? "the release has" : "there is",
			s->u->versions[s->vars[y].target].text);
	/* What was there before must not be broken by what comes: then the newcomer's place is to blame. */
	if (!s->vars[x].required && y != TARGET_NONE)
		blamed = s->vars[y].place;
	begin(s, RESOLVE_CONFLICT, blamed, &b);
	add_history(s, x);
	if (y != TARGET_NONE)
		add_history(s, y);
	add_hint(s, x, r);
}

/* Everybody who requires `module` at `place` now. */
struct requirers {
	uint32_t x[REQUIRERS_MAX];
	const struct universe_requirement *r[REQUIRERS_MAX];
	uint32_t n;
};

static void find_requirers(
	const struct target_solver *s, uint32_t place, uint32_t module, struct requirers *out)
{
	out->n = 0;
	for (uint32_t x = 0; x < s->n && out->n < REQUIRERS_MAX; x++) {
		const struct universe_requirement *r = requirement_of(s, x, module);

		if (r == NULL || target_provider(s, s->vars[x].place, module) != place)
			continue;
		out->x[out->n] = x;
		out->r[out->n++] = r;
	}
}

/* Published versions that lie in all ranges, newest first, and how they fit. */
struct candidates {
	struct target_var v; /* what would have one of them */
	uint32_t versions[CANDIDATES_MAX];
	enum target_fit why[CANDIDATES_MAX];
	uint32_t n;
	bool fits;   /* one of them would do */
	bool device; /* one of them would do on another kind of device */
};

static void find_candidates(const struct target_solver *s, uint32_t place, uint32_t module,
	const struct requirers *all, struct candidates *out)
{
	const struct universe_module *m = &s->u->modules[module];
	uint32_t y = target_find(s, place, module);

	*out = (struct candidates){ .v = { .place = place,
					    .module = module,
					    .start = y == TARGET_NONE ? UNIVERSE_NONE
								      : s->vars[y].start } };
	for (uint32_t i = m->n; i-- > 0 && out->n < CANDIDATES_MAX && !out->fits;) {
		uint32_t version = s->u->sorted[m->first + i];
		bool in = s->u->versions[version].published;

		for (uint32_t k = 0; k < all->n && in; k++)
			in = universe_in_range(s->u, version, all->r[k]->range);
		if (!in)
			continue;
		out->versions[out->n] = version;
		out->why[out->n] = target_fits(s, &out->v, version);
		out->fits = out->why[out->n] == FIT_OK;
		out->device = out->device || is_device_misfit(out->why[out->n]);
		out->n++;
	}
}

/* Append ", but lib 3.1.0 is blocked and lib 3.0.0 needs …". */
static void add_candidates(
	const struct target_solver *s, struct fl_buf *b, const struct candidates *c)
{
	for (uint32_t i = 0; i < c->n; i++) {
		fl_buf_str(b, i == 0 ? ", but " : i + 1 == c->n ? ", and " : ", ");
		add_misfit(s, b, &c->v, c->versions[i], c->why[i]);
	}
}

static void add_requirers(
	const struct target_solver *s, struct fl_buf *b, const struct requirers *all)
{
	for (uint32_t i = 0; i < all->n; i++) {
		if (i > 0)
			fl_buf_str(b, i + 1 == all->n ? " and " : ", ");
		add_need(s, b, all->x[i], all->r[i]);
	}
}

/* Append the versions there are, newest first. */
static void add_published(const struct target_solver *s, struct fl_buf *b, uint32_t module)
{
	const struct universe_module *m = &s->u->modules[module];
	uint32_t n = 0;

	for (uint32_t i = m->n; i-- > 0 && n < 3;) {
		const struct universe_version *v = &s->u->versions[s->u->sorted[m->first + i]];

		if (v->published)
			fl_buf_printf(b, "%s%s", n++ > 0 ? ", " : ", but there are only ", v->text);
	}
	if (n == 0)
		fl_buf_printf(b, ", but no version of %s is published", module_name(s, module));
}

void explain_exhausted(struct target_solver *s, uint32_t place, uint32_t module, uint32_t x)
{
	struct requirers all;
	struct candidates some;
	FL_AUTO_BUF struct fl_buf b = { 0 };

	find_requirers(s, place, module, &all);
	find_candidates(s, place, module, &all, &some);
	/* Not these requirements alone are the trouble; what was found further inside tells more. */
	if (some.fits && s->explained)
		return;
	add_requirers(s, &b, &all);
	if (some.n > 0 && !some.fits)
		add_candidates(s, &b, &some);
	else if (all.n > 1)
		fl_buf_printf(&b, ": no version of %s satisfies %s", module_name(s, module),
			all.n == 2 ? "both" : "all");
	else
		add_published(s, &b, module);
	begin(s, some.device && !some.fits ? RESOLVE_INCOMPATIBLE : RESOLVE_CONFLICT,
		s->vars[x].place, &b);
	for (uint32_t i = 0; i < all.n; i++)
		add_history(s, all.x[i]);
}

/* ---- circles and orders */

void explain_cycle(struct target_solver *s, const uint32_t *vars, uint32_t n)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };

	for (uint32_t i = 0; i <= n; i++) {
		const struct target_var *v = &s->vars[vars[i % n]];

		if (i > 0)
			fl_buf_str(&b, " needs ");
		add_version(s, &b, v->module, v->target);
	}
	fl_buf_str(&b, ": they need each other in a circle");
	begin(s, RESOLVE_CONFLICT, s->vars[vars[0]].place, &b);
	for (uint32_t i = 0; i < n; i++) {
		const struct target_var *v = &s->vars[vars[i]];
		const struct universe_requirement *r =
			requirement_of(s, vars[i], s->vars[vars[(i + 1) % n]].module);
		FL_AUTO_BUF struct fl_buf line = { 0 };

		if (r == NULL)
			continue;
		add_need(s, &line, vars[i], r);
		add_line(s, &line);
		if (s->vars[vars[0]].place < v->place)
			s->result->place = v->place;
	}
}

/* Append what the versions of hop x say about the module of hop y. */
static void add_demands(
	struct target_solver *s, const struct target_hop *x, const struct target_hop *y)
{
	const uint32_t versions[] = { x->from, x->to };

	for (int i = 0; i < 2; i++) {
		const struct universe_version *v;

		if (versions[i] == UNIVERSE_NONE)
			continue;
		v = &s->u->versions[versions[i]];
		for (uint32_t k = 0; k < v->n_requirements; k++) {
			const struct universe_requirement *r =
				&s->u->requirements[v->first_requirement + k];
			FL_AUTO_BUF struct fl_buf line = { 0 };

			if (r->module != s->vars[y->var].module)
				continue;
			add_need(s, &line, x->var, r);
			add_line(s, &line);
		}
	}
}

/* Name a published version of x's module that works with both versions of y: a floor in waiting. */
static void add_bridge(
	struct target_solver *s, const struct target_hop *x, const struct target_hop *y)
{
	const struct universe_module *m = &s->u->modules[s->vars[x->var].module];
	uint32_t target = s->vars[y->var].module;

	for (uint32_t i = 0; i < m->n; i++) {
		const struct universe_version *v = &s->u->versions[s->u->sorted[m->first + i]];
		bool both = v->published && v->valid && v->blocked == NULL &&
			x->from != UNIVERSE_NONE && s->u->sorted[m->first + i] != x->from &&
			s->u->sorted[m->first + i] != x->to;
		FL_AUTO_BUF struct fl_buf line = { 0 };

		if (both && s->u->versions[x->from].valid)
			both = fl_semver_compare(&v->semver, &s->u->versions[x->from].semver) > 0 &&
				fl_semver_compare(&v->semver, &s->u->versions[x->to].semver) < 0;
		for (uint32_t k = 0; k < v->n_requirements && both; k++) {
			const struct universe_requirement *r =
				&s->u->requirements[v->first_requirement + k];

			both = r->module != target ||
				(universe_in_range(s->u, y->from, r->range) &&
					universe_in_range(s->u, y->to, r->range));
		}
		if (!both)
			continue;
		fl_buf_printf(
			&line, "%s %s works with both: publish it as a floor", m->name, v->text);
		add_line(s, &line);
		return;
	}
}

/* A pair of hops at different places of which x makes demands on y; false: there is none. */
static bool find_pair(const struct target_solver *s, const struct target_hop *hops, uint32_t n,
	const struct target_hop **x, const struct target_hop **y)
{
	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t k = 0; k < n; k++) {
			const struct target_var *a = &s->vars[hops[i].var],
						*b = &s->vars[hops[k].var];
			const struct universe_requirement *r =
				requirement_of(s, hops[i].var, b->module);

			if (a->place == b->place ||
				target_provider(s, a->place, b->module) != b->place)
				continue;
			*x = &hops[i];
			*y = &hops[k];
			if (r != NULL)
				return true;
		}
	}
	return false;
}

void explain_no_order(struct target_solver *s, const struct target_hop *hops, uint32_t n)
{
	const struct target_hop *x = &hops[0], *y = &hops[n > 1 ? 1 : 0];
	bool apart = find_pair(s, hops, n, &x, &y);
	uint32_t place = s->vars[x->var].place;
	FL_AUTO_BUF struct fl_buf b = { 0 };

	if (apart) {
		add_version(s, &b, s->vars[x->var].module, x->to);
		fl_buf_str(&b, " on the device and ");
		add_version(s, &b, s->vars[y->var].module, y->to);
		fl_buf_str(&b,
			" on its gateway would have to switch at the same moment: a version of ");
		fl_buf_printf(&b, "%s is missing that works with %s %s and %s",
			module_name(s, s->vars[x->var].module),
			module_name(s, s->vars[y->var].module),
			y->from == UNIVERSE_NONE ? "absent" : s->u->versions[y->from].text,
			y->to == UNIVERSE_NONE ? "absent" : s->u->versions[y->to].text);
	} else {
		fl_buf_str(&b, "no order was found in which nothing breaks for ");
		for (uint32_t i = 0; i < n && i < CHAIN_MAX; i++) {
			fl_buf_str(&b, i > 0 ? ", " : "");
			add_version(s, &b, s->vars[hops[i].var].module, hops[i].from);
			fl_buf_printf(&b, " to %s",
				hops[i].to == UNIVERSE_NONE ? "nothing"
							    : s->u->versions[hops[i].to].text);
		}
	}
	begin(s, RESOLVE_CONFLICT, place, &b);
	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t k = 0; k < n; k++) {
			if (hops[i].var != hops[k].var)
				add_demands(s, &hops[i], &hops[k]);
		}
	}
	if (apart)
		add_bridge(s, x, y);
}

void explain_no_way(
	struct target_solver *s, uint32_t x, uint32_t version, const struct universe_requirement *r)
{
	const struct target_var *v = &s->vars[x];
	uint32_t q = target_provider(s, v->place, r->module);
	FL_AUTO_BUF struct fl_buf b = { 0 };

	add_need(s, &b, x, r);
	fl_buf_printf(&b, ", which does not hold on the way%s",
		version == v->start ? "" : " through this version");
	/* If this one stays, the other one's way is the trouble. */
	begin(s, RESOLVE_CONFLICT, v->start == v->target && q != TARGET_NONE ? q : v->place, &b);
	add_history(s, x);
}
