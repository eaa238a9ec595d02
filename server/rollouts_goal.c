/* SPDX-License-Identifier: Apache-2.0
 *
 * What a device shall have at a stop of its way, and whether the device at hand fits that.
 *
 * DESIGN. A step is about the modules of its layer and no others: what a device has besides them may be
 * another rollout's, now or later. So a goal is what the device has with those modules changed, and drift
 * is what is no longer as planned of those modules, or of what they require. */
#include "server/rollouts_in.h"

#include "server/rsql.h"
#include "server/server.h"
#include "server/store/freeze.h"
#include "server/store/version.h"

#include "lib/semver.h"

#include <stdio.h>
#include <string.h>

void rollouts_outlook_fini(struct rollouts_outlook *o)
{
	device_fini(&o->device);
	fl_arena_fini(&o->text);
}

const struct plan_set *rollouts_plan_goal(
	const struct rollouts_parsed *p, const struct step_view *view, bool back)
{
	uint32_t class = (uint32_t)view->step.class, layer = (uint32_t)view->stage.layer;

	return back ? plan_class_before(&p->plan, class, layer)
		    : plan_class_after(&p->plan, class, layer);
}

enum fl_code rollouts_look(const struct rollouts_lane *lane, const struct step_view *view,
	struct rollouts_parsed *parsed, struct rollouts_outlook *out, struct fl_err *err)
{
	enum fl_code code = device_by_no(lane->store, view->step.device_no, &out->device, err);

	out->parsed = parsed;
	if (code == FL_OK)
		code = rollouts_set_load(
			lane->store, out->device.state_id, &out->text, &out->now, err);
	if (code == FL_OK)
		code = rollouts_changes(
			&parsed->plan, view->step.class, view->stage.layer, &out->changes, err);
	out->then = out->now;
	return code;
}

/* ---- fits, forward */

/* A module has neither the version that the plan took it for nor the one that it brings: what a rollout
 * that is taken over has brought meanwhile is as good, unless it is newer. */
static enum fl_code stands(const struct rollouts_lane *lane, const struct rollouts_outlook *o,
	const struct rollouts_change *c, enum engine_fit *fit, struct fl_err *err)
{
	const struct state_entry now = { c->module, rollouts_set_version(&o->now, c->module) };
	struct fl_semver has, brings;
	bool brought = false;
	enum fl_code code = FL_OK;

	if (now.version != NULL && c->to != NULL &&
		fl_semver_parse(now.version, &has, NULL) == FL_OK &&
		fl_semver_parse(c->to->version, &brings, NULL) == FL_OK &&
		fl_semver_compare(&has, &brings) < 0)
		code = rollouts_overtakes(lane, o->parsed, &now, &brought, err);
	*fit = brought ? ENGINE_FITS : ENGINE_UNFIT;
	return code;
}

/* How the device stands to what the layer changes. */
static enum fl_code compare(
	const struct rollouts_lane *lane, struct rollouts_outlook *o, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	o->fit = ENGINE_ALREADY;
	for (size_t i = 0; i < o->changes.n && code == FL_OK && o->fit != ENGINE_UNFIT; i++) {
		const struct rollouts_change *c = &o->changes.of[i];
		const char *now = rollouts_set_version(&o->now, c->module);

		if (rollouts_same_version(now, rollouts_item_version(c->to)))
			continue;
		if (rollouts_same_version(now, rollouts_item_version(c->from)))
			o->fit = ENGINE_FITS;
		else
			code = stands(lane, o, c, &o->fit, err);
	}
	return code;
}

static enum fl_code change(struct rollouts_outlook *o, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	for (size_t i = 0; i < o->changes.n && code == FL_OK; i++)
		code = rollouts_set_put(&o->then, o->changes.of[i].module,
			rollouts_item_version(o->changes.of[i].to), err);
	return code;
}

/* Whether the step's change leaves everything working: the device, its gateway, those behind it. */
static enum fl_code works(const struct rollouts_lane *lane, const struct step_view *view,
	struct rollouts_outlook *o, struct fl_err *err)
{
	struct rollouts_shift shift = { .outlook = o,
		.planned = rollouts_set_is(&o->then, rollouts_plan_goal(o->parsed, view, false)) };
	enum rollouts_unmet unmet = ROLLOUTS_ALL_MET;
	enum fl_code code =
		rollouts_gateway_state(lane->store, &o->device, &shift.gateway_state, err);

	if (code == FL_OK)
		code = rollouts_requires_met(lane, &shift, &unmet, err);
	if (unmet == ROLLOUTS_UNMET_HERE)
		o->fit = ENGINE_UNFIT;
	else if (unmet == ROLLOUTS_UNMET_AROUND)
		o->fit = ENGINE_LATER; /* until its gateway, or who is behind it, is ready */
	return code;
}

/* Whether the step would bring a version that was blocked after the plan was made. */
static enum fl_code look_for_blocked(
	const struct rollouts_lane *lane, struct rollouts_outlook *o, struct fl_err *err)
{
	for (size_t i = 0; i < o->changes.n && o->fit == ENGINE_FITS; i++) {
		const struct plan_item *to = o->changes.of[i].to;
		struct version v = { 0 };
		struct fl_err none = { 0 };
		enum fl_code code;

		if (to == NULL)
			continue;
		code = version_get(lane->store, to->module->name, to->version, &v, &none);
		if (code == FL_OK && v.blocked_at != 0)
			o->fit = ENGINE_BLOCKED;
		version_fini(&v);
		if (code != FL_OK && code != FL_NOT_FOUND)
			return fl_fail(err, code, "%s", none.msg);
	}
	return FL_OK;
}

/* Whether another rollout has the device, or its stratum is held. */
static enum fl_code look_at_claims(const struct rollouts_lane *lane, const struct step_view *view,
	struct rollouts_outlook *o, struct fl_err *err)
{
	struct rollouts_rivalry rivalry;
	bool held = false;
	enum fl_code code = rollouts_rival(lane,
		&(struct rollouts_claim){ .rollout = &view->rollout,
			.device_no = view->step.device_no,
			.class = view->step.class },
		&rivalry, err);

	if (code == FL_OK && rivalry.fit == ENGINE_FITS)
		code = rollouts_strata_held(lane, o->parsed, view->step.device_no, &held, err);
	o->fit = rivalry.fit != ENGINE_FITS ? ENGINE_NOT_OURS : held ? ENGINE_HELD : ENGINE_FITS;
	return code;
}

static enum fl_code fit_forward(const struct rollouts_lane *lane, const struct step_view *view,
	struct rollouts_outlook *o, struct fl_err *err)
{
	enum fl_code code = change(o, err);

	if (code == FL_OK)
		code = compare(lane, o, err);
	if (o->device.retired_at != 0)
		o->fit = ENGINE_GONE;
	if (code == FL_OK && o->fit == ENGINE_FITS)
		code = look_at_claims(lane, view, o, err);
	if (code == FL_OK && o->fit == ENGINE_FITS)
		code = works(lane, view, o, err);
	if (code == FL_OK && o->fit == ENGINE_FITS)
		code = look_for_blocked(lane, o, err);
	return code;
}

/* ---- freezes */

struct thaw {
	struct store *store;
	int64_t device_no;
	struct rollouts_frost *frost;
};

enum fl_code rollouts_freeze_selects(struct store *store, const struct freeze *f, int64_t device_no,
	bool *inside, struct fl_err *err)
{
	RSQL_AUTO struct rsql *selector = NULL;
	enum fl_code code = FL_OK;

	*inside = true;
	if (f->selector[0] != '\0')
		code = rsql_parse(f->selector, &selector, err);
	return code == FL_OK ? device_in_scope(store, device_no, selector, inside, err) : code;
}

static enum fl_code look_at_freeze(void *context, const struct freeze *f, struct fl_err *err)
{
	const struct thaw *t = context;
	int64_t until = f->span.until_ms;
	bool known = t->frost->name[0] != '\0', inside = false;
	enum fl_code code = FL_OK;

	if (!known || (t->frost->until_ms != 0 && (until == 0 || until > t->frost->until_ms)))
		code = rollouts_freeze_selects(t->store, f, t->device_no, &inside, err);
	if (code != FL_OK || !inside)
		return code;
	(void)snprintf(t->frost->name, sizeof(t->frost->name), "%s", f->name);
	t->frost->until_ms = until;
	return FL_OK;
}

enum fl_code rollouts_frozen(
	struct store *store, int64_t device_no, struct rollouts_frost *out, struct fl_err *err)
{
	struct thaw t = { store, device_no, out };

	*out = (struct rollouts_frost){ 0 };
	return freeze_each_active(store, look_at_freeze, &t, err);
}

enum fl_code rollouts_look_ahead(const struct rollouts_lane *lane, const struct step_view *view,
	struct rollouts_parsed *parsed, struct rollouts_outlook *out, struct fl_err *err)
{
	enum fl_code code = rollouts_look(lane, view, parsed, out, err);

	if (code == FL_OK)
		code = view->step.back ? rollouts_look_back(lane, view, out, err)
				       : fit_forward(lane, view, out, err);
	/* what would not be delivered needs no thaw */
	if (code == FL_OK && out->fit == ENGINE_FITS)
		code = rollouts_frozen(lane->store, view->step.device_no, &out->frost, err);
	if (out->frost.name[0] != '\0')
		out->fit = ENGINE_FROZEN;
	return code;
}
