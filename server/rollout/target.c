/* SPDX-License-Identifier: Apache-2.0
 *
 * The search for target versions: find a requirement that does not hold, try what could mend it (the
 * required module first, newest version first; then the one that requires), go on from there. */
#include "server/rollout/target.h"

#include <stdlib.h>
#include <string.h>

uint32_t target_find(const struct target_solver *s, uint32_t place, uint32_t module)
{
	uint32_t i = s->head[place];

	while (i != TARGET_NONE && s->vars[i].module != module)
		i = s->vars[i].next;
	return i;
}

uint32_t target_add(struct target_solver *s, uint32_t place, uint32_t module, uint32_t start)
{
	if (s->n == s->cap) {
		uint32_t cap = s->cap == 0 ? 64 : s->cap * 2;
		struct target_var *wider = realloc(s->vars, cap * sizeof(*wider));

		if (wider == NULL) {
			s->out_of_memory = true;
			return TARGET_NONE;
		}
		s->vars = wider;
		s->cap = cap;
	}
	s->vars[s->n] = (struct target_var){ .place = place,
		.module = module,
		.start = start,
		.target = start,
		.next = s->head[place],
		.cause = TARGET_NONE };
	s->head[place] = s->n;
	return s->n++;
}

/* Take the newest variable away again. */
static void drop(struct target_solver *s)
{
	struct target_var *v = &s->vars[--s->n];

	s->head[v->place] = v->next;
}

uint32_t target_provider(const struct target_solver *s, uint32_t place, uint32_t module)
{
	if (s->u->modules[module].tier != TIER_GATEWAY || s->p->places[place].tier == TIER_GATEWAY)
		return place;
	return s->p->gateway ? 0 : TARGET_NONE;
}

uint32_t target_provided(const struct target_solver *s, uint32_t place, uint32_t module)
{
	uint32_t q = target_provider(s, place, module);
	uint32_t y = q == TARGET_NONE ? TARGET_NONE : target_find(s, q, module);

	return y == TARGET_NONE ? UNIVERSE_NONE : s->vars[y].target;
}

static bool meets(const uint64_t *signature, uint32_t predicate)
{
	return predicate == UNIVERSE_ALWAYS ||
		(signature[predicate / 64] >> (predicate % 64) & 1) != 0;
}

static bool needs_met(
	const struct universe *u, const struct universe_version *v, const uint64_t *signature)
{
	for (uint32_t i = 0; i < v->n_needs; i++) {
		if (!meets(signature, u->needs[v->first_need + i].predicate))
			return false;
	}
	return true;
}

uint32_t resolve_artifact(
	const struct universe *u, uint32_t version, const uint64_t *signature, bool *matches)
{
	const struct universe_version *v = &u->versions[version];

	*matches = false;
	for (uint32_t i = 0; i < v->n_variants; i++) {
		const struct universe_variant *variant = &u->variants[v->first_variant + i];

		if (!meets(signature, variant->predicate))
			continue;
		*matches = needs_met(u, v, signature);
		return variant->artifact;
	}
	return UNIVERSE_NONE;
}

enum target_fit target_fits(
	const struct target_solver *s, const struct target_var *v, uint32_t version)
{
	const struct universe_version *to = &s->u->versions[version];
	const struct universe_version *from =
		v->start == UNIVERSE_NONE ? NULL : &s->u->versions[v->start];
	const uint64_t *signature = s->p->places[v->place].signature;
	uint32_t artifact;
	bool matches;

	if (!to->published || !to->valid)
		return FIT_UNPUBLISHED;
	if (to->blocked != NULL)
		return FIT_BLOCKED;
	if (from != NULL && from->valid && fl_semver_compare(&to->semver, &from->semver) < 0)
		return FIT_OLDER;
	artifact = resolve_artifact(s->u, version, signature, &matches);
	if (!matches)
		return needs_met(s->u, to, signature) ? FIT_NO_VARIANT : FIT_NEED;
	return artifact == UNIVERSE_NONE ? FIT_NO_BYTES : FIT_OK;
}

/* ---- who is required */

/* Mark what variable x requires as one step further from the release than x. */
static bool mark_next(struct target_solver *s, uint32_t x)
{
	const struct universe_version *v = &s->u->versions[s->vars[x].target];
	bool any = false;

	for (uint32_t k = 0; k < v->n_requirements; k++) {
		uint32_t module = s->u->requirements[v->first_requirement + k].module;
		uint32_t q = target_provider(s, s->vars[x].place, module);
		uint32_t y = q == TARGET_NONE ? TARGET_NONE : target_find(s, q, module);

		if (y == TARGET_NONE || s->vars[y].required)
			continue;
		s->vars[y].required = any = true;
		s->vars[y].depth = s->vars[x].depth + 1;
		if (s->vars[y].cause == TARGET_NONE)
			s->vars[y].cause = x;
	}
	return any;
}

/* Mark what the release has and everything that is required by what is marked, breadth first. */
static void mark_required(struct target_solver *s)
{
	bool more = true;

	for (uint32_t i = 0; i < s->n; i++) {
		s->vars[i].required = s->vars[i].hard;
		s->vars[i].depth = 0;
		if (!s->vars[i].decided)
			s->vars[i].cause = TARGET_NONE;
	}
	for (uint32_t depth = 0; more; depth++) {
		more = false;
		for (uint32_t i = 0; i < s->n; i++) {
			if (s->vars[i].required && s->vars[i].depth == depth &&
				s->vars[i].target != UNIVERSE_NONE)
				more = mark_next(s, i) || more;
		}
	}
}

/* ---- what does not hold */

struct violation {
	uint32_t x;        /* requires … */
	uint32_t place, y; /* … something there; y: the variable, TARGET_NONE: absent */
	const struct universe_requirement *r;
	bool move_y, move_x; /* what could mend it */
};

static bool violated(const struct target_solver *s, uint32_t x,
	const struct universe_requirement *r, struct violation *out)
{
	const struct target_var *vx = &s->vars[x], *vy;
	uint32_t q = target_provider(s, vx->place, r->module);
	uint32_t y = q == TARGET_NONE ? TARGET_NONE : target_find(s, q, r->module);

	vy = y == TARGET_NONE ? NULL : &s->vars[y];
	if (universe_in_range(s->u, vy == NULL ? UNIVERSE_NONE : vy->target, r->range))
		return false;
	/* Broken from the start and none of our business. */
	if (!vx->required && vx->target == vx->start &&
		!universe_in_range(s->u, vy == NULL ? UNIVERSE_NONE : vy->start, r->range))
		return false;
	*out = (struct violation){ .x = x, .place = q, .y = y, .r = r };
	out->move_y = vx->required && q != TARGET_NONE && !s->p->places[q].fixed &&
		(vy == NULL || (!vy->hard && !vy->decided));
	out->move_x = vx->required && !vx->hard && !vx->decided && !s->p->places[vx->place].fixed;
	return true;
}

/* Find what to mend next: something that can be mended if there is one, nearest to the release. What
 * stands further off may be required by something that must move itself. */
static bool find_violation(const struct target_solver *s, struct violation *out)
{
	bool found = false, mends = false;

	for (uint32_t x = 0; x < s->n; x++) {
		const struct universe_version *v;

		if (s->vars[x].target == UNIVERSE_NONE)
			continue;
		v = &s->u->versions[s->vars[x].target];
		for (uint32_t k = 0; k < v->n_requirements; k++) {
			struct violation now;
			bool better;

			if (!violated(s, x, &s->u->requirements[v->first_requirement + k], &now))
				continue;
			better = (now.move_x || now.move_y) &&
				(!mends || s->vars[x].depth < s->vars[out->x].depth);
			mends = mends || now.move_x || now.move_y;
			if (!found || better)
				*out = now;
			found = true;
		}
	}
	return found;
}

/* ---- the search */

static bool search(struct target_solver *s);

/* Try the versions of a variable, newest first; `range`: only those in it, UNIVERSE_NONE: any. */
static bool try_versions(struct target_solver *s, uint32_t var, uint32_t range)
{
	const struct universe_module *m = &s->u->modules[s->vars[var].module];

	for (uint32_t i = m->n; i-- > 0;) {
		struct target_var *v = &s->vars[var];
		uint32_t version = s->u->sorted[m->first + i];

		if (version == v->start ||
			(range != UNIVERSE_NONE && !universe_in_range(s->u, version, range)) ||
			target_fits(s, v, version) != FIT_OK)
			continue;
		v->target = version;
		v->decided = true;
		if (search(s))
			return true;
		s->vars[var].target = s->vars[var].start;
		s->vars[var].decided = false;
		if (s->work > RESOLVE_WORK_MAX || s->out_of_memory)
			return false;
	}
	return false;
}

static bool move_provider(struct target_solver *s, const struct violation *w)
{
	uint32_t y =
		w->y == TARGET_NONE ? target_add(s, w->place, w->r->module, UNIVERSE_NONE) : w->y;
	bool was_decided = s->vars[w->x].decided;
	uint32_t was_cause;
	bool found;

	if (y == TARGET_NONE)
		return false;
	/* The one that makes others move stays what it is. */
	s->vars[w->x].decided = true;
	was_cause = s->vars[y].cause;
	s->vars[y].cause = w->x;
	found = try_versions(s, y, w->r->range);
	if (!found) {
		explain_exhausted(s, w->place, w->r->module, w->x);
		s->vars[y].cause = was_cause;
		s->vars[w->x].decided = was_decided;
		if (w->y == TARGET_NONE)
			drop(s);
	}
	return found;
}

static bool search(struct target_solver *s)
{
	struct violation w;

	if (++s->work > RESOLVE_WORK_MAX || s->out_of_memory)
		return false;
	mark_required(s);
	if (!find_violation(s, &w))
		return true;
	if (w.move_y && move_provider(s, &w))
		return true;
	if (w.move_x && try_versions(s, w.x, UNIVERSE_NONE))
		return true;
	explain_dead_end(s, w.x, w.r);
	return false;
}

bool target_search(struct target_solver *s)
{
	return search(s);
}
