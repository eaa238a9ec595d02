/* SPDX-License-Identifier: Apache-2.0
 *
 * Ways back: whether a device is still this rollout's, and what it goes back to.
 *
 * DESIGN. A module of a device is the rollout's that has set it last. What a newer one has set since, and
 * has not taken back itself, is left alone. The way leads to what the device had when its step was
 * delivered: its newest confirmed set, also if that was not the planned one. A version in there that is
 * blocked by now, or whose own rollout is being taken back, is passed by: the way goes on to what the
 * device had before that. */
#include "server/rollouts_in.h"

#include "server/store/version.h"

#include <string.h>

#define SIDE_MAX 64 /* steps beside one that are looked at */
#define PAST_MAX 64 /* steps of a device, the newest orders first */

struct way {
	const struct rollouts_lane *lane;
	const struct step_view *view;
	struct rollouts_outlook *o;
	struct step_past past[PAST_MAX];
	size_t n;
};

/* ---- what has to go back first */

static enum engine_fit fit_of(const struct engine_step *upper, size_t n)
{
	/* who was taken over on the way back is not this rollout's any more */
	for (size_t i = 0; i < n; i++)
		if (upper[i].back && upper[i].state == STEP_SUPERSEDED)
			return ENGINE_NOT_OURS;
	return engine_back_fit(upper, n);
}

/* What the device's own steps above say, and those of the devices behind it. */
static enum fl_code look_above(struct way *w, struct fl_err *err)
{
	const struct step_view *view = w->view;
	struct step_side side = { .rollout_id = view->rollout.id,
		.device_no = view->step.device_no,
		.wave = view->stage.wave,
		.layer = view->stage.layer,
		.upper = true };
	struct engine_step steps[SIDE_MAX];
	size_t n = 0;
	enum fl_code code = step_beside(w->lane->store, &side, steps, SIDE_MAX, &n, err);

	if (code == FL_OK)
		w->o->fit = fit_of(steps, n);
	if (code == FL_OK && w->o->fit == ENGINE_FITS) {
		code = step_behind(w->lane->store, &side, steps, SIDE_MAX, &n, err);
		w->o->fit = code == FL_OK ? engine_back_fit(steps, n) : ENGINE_FITS;
	}
	return code;
}

/* ---- whose the modules are */

/* The change that a step of the past made to a module; *there: it made one. */
static enum fl_code change_in(const struct way *w, const struct step_past *p, const char *module,
	const char **to, bool *there, struct fl_err *err)
{
	struct rollouts_borrowed b = { 0 };
	struct rollouts_changes changes;
	const struct rollouts_change *c = NULL;
	enum fl_code code = rollouts_borrow(w->lane, p->order.rollout_id, &b, err);

	if (code == FL_OK)
		code = rollouts_changes(&b.parsed->plan, p->class, p->layer, &changes, err);
	if (code == FL_OK)
		c = rollouts_change_of(&changes, module);
	*there = c != NULL;
	*to = NULL;
	if (c != NULL && c->to != NULL) {
		*to = fl_arena_text(&w->o->text, c->to->version, strlen(c->to->version));
		code = *to == NULL ? fl_fail(err, FL_NOMEM, "there is no memory for a way back")
				   : FL_OK;
	}
	rollouts_borrowed_fini(&b);
	return code;
}

/* Whether another rollout has set one of the modules since. */
static enum fl_code look_at_owner(struct way *w, struct fl_err *err)
{
	const struct owner_order ours = { .rollout_id = w->view->rollout.id,
		.manifest = w->view->step.manifest };
	enum fl_code code = FL_OK;

	for (size_t i = 0; i < w->n && code == FL_OK; i++) {
		if (!owner_since(&w->past[i].order, &ours))
			continue;
		for (size_t k = 0; k < w->o->changes.n && code == FL_OK; k++) {
			const char *to;
			bool there;

			code = change_in(
				w, &w->past[i], w->o->changes.of[k].module, &to, &there, err);
			if (code == FL_OK && there)
				w->o->fit = ENGINE_NOT_OURS;
		}
	}
	return code;
}

/* ---- what it goes back to */

/* A version of a module as a step of the way back. */
struct stop {
	const char *module, *version;
	int64_t manifest; /* orders below this number come into question for having brought it */
};

/* The order that brought the device the version, NULL if none of ours did. */
static enum fl_code find_origin(const struct way *w, const struct stop *at,
	const struct step_past **origin, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	*origin = NULL;
	for (size_t i = 0; i < w->n && code == FL_OK && *origin == NULL; i++) {
		const char *to;
		bool there;

		if (w->past[i].order.manifest >= at->manifest || w->past[i].had == 0)
			continue;
		code = change_in(w, &w->past[i], at->module, &to, &there, err);
		if (code == FL_OK && there && rollouts_same_version(to, at->version))
			*origin = &w->past[i];
	}
	return code;
}

/* Whether a version may be left for an older one (never published: nothing forbids it), or gone to (not
 * blocked, and there are bytes for it). */
static enum fl_code version_allows(
	const struct way *w, const struct stop *at, bool to, bool *allows, struct fl_err *err)
{
	const struct rollouts_lane *lane = w->lane;
	struct version v = { 0 };
	struct rollouts_bytes bytes = { 0 };
	enum fl_code code = version_get(lane->store, at->module, at->version, &v, NULL);

	*allows = !to;
	if (code == FL_NOT_FOUND)
		return FL_OK;
	if (code != FL_OK)
		return fl_fail(
			err, code, "version %s of %s cannot be read", at->version, at->module);
	if (to)
		code = rollouts_bytes_of(lane, w->view->step.device_no,
			&(struct state_entry){ at->module, at->version }, &bytes, err);
	*allows = to ? v.blocked_at == 0 && bytes.known : v.downgrade;
	version_fini(&v);
	return code;
}

static enum fl_code look_behind(void *context, const struct owner_order *o, struct fl_err *err)
{
	struct way *w = context;
	enum engine_fit fit = owner_behind(o);

	(void)err;
	if (fit == ENGINE_NO_WAY || w->o->fit == ENGINE_FITS)
		w->o->fit = fit;
	return FL_OK;
}

/* A gateway goes past what that order brought no sooner than the devices behind it are back from what the
 * same rollout has brought them. */
static enum fl_code look_past(struct way *w, const struct step_past *origin, struct fl_err *err)
{
	const struct step_side behind = { .rollout_id = origin->order.rollout_id,
		.device_no = w->view->step.device_no,
		.layer = origin->layer };

	return w->o->device.gateway
		? step_orders_behind(w->lane->store, &behind, look_behind, w, err)
		: FL_OK;
}

/* What the device had of the module when that order was delivered. */
static enum fl_code step_down(
	const struct way *w, const struct step_past *origin, struct stop *at, struct fl_err *err)
{
	struct rollouts_set had;
	enum fl_code code = rollouts_set_load(w->lane->store, origin->had, &w->o->text, &had, err);

	if (code == FL_OK)
		at->version = rollouts_set_version(&had, at->module);
	at->manifest = origin->order.manifest;
	return code;
}

/* Go on from the stop until there is one where the device may stay; *there: there is. */
static enum fl_code find_stop(struct way *w, struct stop *at, bool *there, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	*there = false;
	while (code == FL_OK && at->version != NULL) {
		const struct step_past *origin;
		bool left = false;

		code = find_origin(w, at, &origin, err);
		if (code == FL_OK &&
			(origin == NULL || !owner_passed_by(&origin->order, w->view->rollout.id)))
			code = version_allows(w, at, true, there, err);
		if (code != FL_OK || *there || origin == NULL)
			return code;
		code = version_allows(w, at, false, &left, err);
		if (code != FL_OK || !left)
			return code;
		code = step_down(w, origin, at, err);
		if (code == FL_OK && owner_passed_by(&origin->order, w->view->rollout.id))
			code = look_past(w, origin, err);
	}
	*there = code == FL_OK;
	return code;
}

/* The way of one module. */
static enum fl_code go_back(struct way *w, const struct rollouts_change *c,
	const struct rollouts_set *had, struct fl_err *err)
{
	struct stop at = { c->module,
		w->view->step.had == 0 ? rollouts_item_version(c->from)
				       : rollouts_set_version(had, c->module),
		w->view->step.manifest };
	bool there = true;
	enum fl_code code = FL_OK;

	if (c->to != NULL && at.version != NULL)
		code = version_allows(
			w, &(struct stop){ c->module, c->to->version, 0 }, false, &there, err);
	if (code == FL_OK && there)
		code = find_stop(w, &at, &there, err);
	if (code != FL_OK || !there) {
		w->o->fit = ENGINE_NO_WAY;
		return code;
	}
	return rollouts_set_put(&w->o->then, c->module, at.version, err);
}

static enum fl_code go_all_back(struct way *w, struct fl_err *err)
{
	struct rollouts_set had;
	enum fl_code code = FL_OK;

	if (w->view->step.had != 0)
		code = rollouts_set_load(w->lane->store, w->view->step.had, &w->o->text, &had, err);
	for (size_t i = 0; i < w->o->changes.n && code == FL_OK && w->o->fit == ENGINE_FITS; i++)
		code = go_back(w, &w->o->changes.of[i], &had, err);
	return code;
}

/* ---- whether everything works then */

/* Whether another rollout is about to take something of the device back. */
static bool another_goes_back(const struct way *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (owner_goes_back(&w->past[i].order, w->view->rollout.id))
			return true;
	return false;
}

/* What stays on the device, and behind a gateway, never loses what it needs. */
static enum fl_code works_back(struct way *w, struct fl_err *err)
{
	struct rollouts_shift shift = { .outlook = w->o,
		.planned = rollouts_set_is(
			&w->o->then, rollouts_plan_goal(w->o->parsed, w->view, true)) };
	enum rollouts_unmet unmet = ROLLOUTS_ALL_MET;
	enum fl_code code = FL_OK;

	if (!shift.planned)
		code = rollouts_gateway_state(
			w->lane->store, &w->o->device, &shift.gateway_state, err);
	if (code == FL_OK)
		code = rollouts_requires_met(w->lane, &shift, &unmet, err);

	if (unmet != ROLLOUTS_ALL_MET)
		w->o->fit = unmet == ROLLOUTS_UNMET_HERE && another_goes_back(w) ? ENGINE_LATER
										 : ENGINE_NO_WAY;
	return code;
}

enum fl_code rollouts_look_back(const struct rollouts_lane *lane, const struct step_view *view,
	struct rollouts_outlook *out, struct fl_err *err)
{
	struct way w = { .lane = lane, .view = view, .o = out };
	enum fl_code code =
		step_past(lane->store, view->step.device_no, w.past, PAST_MAX, &w.n, err);

	if (code == FL_OK)
		code = look_above(&w, err);
	if (code == FL_OK)
		code = look_at_owner(&w, err);
	if (code == FL_OK && out->fit == ENGINE_FITS)
		code = go_all_back(&w, err);
	if (code == FL_OK && out->fit == ENGINE_FITS)
		code = works_back(&w, err);
	return code;
}

enum fl_code rollouts_fit_back(const struct rollouts_lane *lane, const struct step_view *view,
	struct rollouts_parsed *parsed, enum engine_fit *fit, struct fl_err *err)
{
	ROLLOUTS_AUTO_OUTLOOK struct rollouts_outlook o = { 0 };
	enum fl_code code = rollouts_look(lane, view, parsed, &o, err);

	if (code == FL_OK)
		code = rollouts_look_back(lane, view, &o, err);
	*fit = o.fit;
	return code;
}
