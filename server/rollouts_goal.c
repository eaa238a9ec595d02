/* SPDX-License-Identifier: Apache-2.0
 *
 * What a device shall have at a stop of its way, from the plan's classes, and whether the device at
 * hand fits that. */
#include "server/rollouts_in.h"

#include "server/fleet.h"
#include "server/rsql.h"
#include "server/server.h"
#include "server/store/device.h"
#include "server/store/freeze.h"
#include "server/store/manifest.h"
#include "server/store/state.h"
#include "server/store/version.h"

#include "lib/manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIDE_MAX 64 /* steps beside one that are looked at */

/* The set to reach: after the layer, or the one before it on the way back. */
static const struct plan_set *goal_set(
	const struct rollouts_parsed *p, const struct step_view *view, bool back)
{
	uint32_t class = (uint32_t)view->step.class, layer = (uint32_t)view->stage.layer;

	return back ? plan_class_before(&p->plan, class, layer)
		    : plan_class_after(&p->plan, class, layer);
}

static const struct plan_item *find(const struct plan_set *set, const char *module)
{
	for (uint32_t i = 0; i < set->n; i++)
		if (strcmp(set->items[i].module->name, module) == 0)
			return &set->items[i];
	return NULL;
}

/* ---- what is installed */

struct comparison {
	const struct plan_set *set;
	uint32_t seen;
	bool differs;
};

static enum fl_code compare_entry(
	void *context, int64_t state_id, const struct state_entry *e, struct fl_err *err)
{
	struct comparison *c = context;
	const struct plan_item *item = find(c->set, e->module);

	(void)state_id;
	(void)err;
	c->seen++;
	if (item == NULL || strcmp(item->version, e->version) != 0)
		c->differs = true;
	return FL_OK;
}

/* Whether a device in this state has exactly the set. */
static enum fl_code has_set(struct store *store, int64_t state_id, const struct plan_set *set,
	bool *has, struct fl_err *err)
{
	struct comparison c = { .set = set };
	enum fl_code code = state_id == STATE_EMPTY
		? FL_OK
		: state_each(store, state_id, compare_entry, &c, err);

	*has = !c.differs && c.seen == set->n;
	return code;
}

enum fl_code rollouts_assume(const struct rollouts_lane *lane, const struct step_view *view,
	struct rollouts_parsed *parsed, struct fl_err *err)
{
	const struct plan_set *set = goal_set(parsed, view, view->step.back);
	struct state_entry entries[STATE_ENTRIES_MAX];
	int64_t state_id;
	enum fl_code code;

	if (set->n > STATE_ENTRIES_MAX)
		return fl_fail(err, FL_TOO_LARGE, "a device with %u modules", set->n);
	for (uint32_t i = 0; i < set->n; i++)
		entries[i] =
			(struct state_entry){ set->items[i].module->name, set->items[i].version };
	code = state_put(lane->store, entries, set->n, &state_id, err);
	if (code == FL_OK)
		code = device_set_state(lane->store, view->step.device_no, state_id, NULL, err);
	return code;
}

/* ---- fits, forward */

/* Whether the step's change leaves everything working: the device, its gateway, those behind it. */
static enum fl_code works(const struct rollouts_lane *lane, const struct step_view *view,
	const struct rollouts_parsed *parsed, const struct device *d, bool *met, struct fl_err *err)
{
	struct rollouts_change change = { .device_no = d->no,
		.is_gateway = d->gateway,
		.from = goal_set(parsed, view, true),
		.to = goal_set(parsed, view, false) };
	struct device gateway = { 0 };
	enum fl_code code = FL_OK;

	if (d->gateway_no != 0) {
		code = device_by_no(lane->store, d->gateway_no, &gateway, err);
		change.gateway_state = gateway.state_id;
		device_fini(&gateway);
	}
	return code == FL_OK ? rollouts_requires_met(lane, &change, met, err) : code;
}

/* Whether the step would bring a version that was blocked after the plan was made. */
static enum fl_code brings_blocked(const struct rollouts_lane *lane, const struct step_view *view,
	const struct rollouts_parsed *parsed, bool *blocked, struct fl_err *err)
{
	const struct plan_set *from = goal_set(parsed, view, true),
			      *to = goal_set(parsed, view, false);

	for (uint32_t i = 0; i < to->n && !*blocked; i++) {
		const struct plan_item *was = find(from, to->items[i].module->name);
		struct version v = { 0 };
		struct fl_err none = { 0 };
		enum fl_code code;

		if (was != NULL && strcmp(was->version, to->items[i].version) == 0)
			continue;
		code = version_get(
			lane->store, to->items[i].module->name, to->items[i].version, &v, &none);
		*blocked = code == FL_OK && v.blocked_at != 0;
		version_fini(&v);
		if (code != FL_OK && code != FL_NOT_FOUND)
			return fl_fail(err, code, "%s", none.msg);
	}
	return FL_OK;
}

static enum fl_code fit_forward(const struct rollouts_lane *lane, const struct step_view *view,
	struct rollouts_parsed *parsed, enum engine_fit *fit, struct fl_err *err)
{
	struct device d = { 0 };
	bool has = false, met = true, blocked = false;
	enum fl_code code = device_by_no(lane->store, view->step.device_no, &d, err);

	*fit = ENGINE_FITS;
	if (code == FL_OK && d.retired_at != 0)
		*fit = ENGINE_GONE;
	if (code == FL_OK && *fit == ENGINE_FITS) {
		code = has_set(lane->store, d.state_id, goal_set(parsed, view, false), &has, err);
		*fit = has ? ENGINE_ALREADY : ENGINE_FITS;
	}
	if (code == FL_OK && *fit == ENGINE_FITS) {
		code = has_set(lane->store, d.state_id, goal_set(parsed, view, true), &has, err);
		*fit = has ? ENGINE_FITS : ENGINE_UNFIT;
	}
	if (code == FL_OK && *fit == ENGINE_FITS)
		code = works(lane, view, parsed, &d, &met, err);
	if (code == FL_OK && *fit == ENGINE_FITS && met)
		code = brings_blocked(lane, view, parsed, &blocked, err);
	if (blocked)
		*fit = ENGINE_BLOCKED;
	if (!met)
		*fit = ENGINE_LATER; /* until its gateway, or who is behind it, is ready */
	device_fini(&d);
	return code;
}

/* ---- fits, backward */

/* Whether the newest order of the device is this rollout's. */
static enum fl_code is_ours(const struct rollouts_lane *lane, const struct step_view *view,
	bool *ours, struct fl_err *err)
{
	struct manifest_row row = { 0 };
	int64_t rollout_id = 0;
	int layer, wave;
	enum fl_code code = manifest_get(lane->store, view->step.device_no, &row, err);

	if (code == FL_OK)
		code = stage_place(lane->store, row.stage_id, &rollout_id, &layer, &wave, err);
	*ours = code == FL_OK && rollout_id == view->rollout.id;
	return code == FL_NOT_FOUND ? FL_OK : code;
}

/* Whether a version is known, may be left for an older one, and may be gone to. */
static enum fl_code version_allows(struct store *store, const struct plan_item *item, bool to,
	bool *allows, struct fl_err *err)
{
	struct version v = { 0 };
	enum fl_code code = version_get(store, item->module->name, item->version, &v, NULL);

	if (code == FL_NOT_FOUND) {
		*allows =
			!to; /* never published: nothing forbids leaving it, nothing can restore it */
		return FL_OK;
	}
	if (code != FL_OK)
		return fl_fail(err, code, "version %s of %s cannot be read", item->version,
			item->module->name);
	*allows = to ? v.blocked_at == 0 && item->artifact != NULL : v.downgrade;
	version_fini(&v);
	return FL_OK;
}

/* Whether every module that the layer changed can be had in its earlier version again. */
static enum fl_code way_back(const struct rollouts_lane *lane, const struct step_view *view,
	struct rollouts_parsed *parsed, bool *there, struct fl_err *err)
{
	const struct plan_set *to = goal_set(parsed, view, true);
	const struct plan_set *from = goal_set(parsed, view, false);
	enum fl_code code = FL_OK;

	*there = true;
	for (uint32_t i = 0; i < to->n && *there && code == FL_OK; i++) {
		const struct plan_item *now = find(from, to->items[i].module->name);

		if (now == NULL || strcmp(now->version, to->items[i].version) != 0)
			code = version_allows(lane->store, &to->items[i], true, there, err);
	}
	for (uint32_t i = 0; i < from->n && *there && code == FL_OK; i++) {
		const struct plan_item *then = find(to, from->items[i].module->name);

		if (then != NULL && strcmp(then->version, from->items[i].version) != 0)
			code = version_allows(lane->store, &from->items[i], false, there, err);
	}
	return code;
}

/* The same for a gateway that goes back. */
static enum fl_code works_back(const struct rollouts_lane *lane, const struct step_view *view,
	const struct rollouts_parsed *parsed, const struct device *d, bool *met, struct fl_err *err)
{
	struct rollouts_change change = { .device_no = d->no,
		.is_gateway = true,
		.from = goal_set(parsed, view, false),
		.to = goal_set(parsed, view, true) };

	return rollouts_requires_met(lane, &change, met, err);
}

/* What the device's own steps above say, and those of the devices behind it. */
static enum fl_code fit_above(const struct rollouts_lane *lane, const struct step_view *view,
	enum engine_fit *fit, struct fl_err *err)
{
	struct step_side side = { .rollout_id = view->rollout.id,
		.device_no = view->step.device_no,
		.wave = view->stage.wave,
		.layer = view->stage.layer,
		.upper = true };
	struct engine_step steps[SIDE_MAX];
	size_t n = 0;
	enum fl_code code = step_beside(lane->store, &side, steps, SIDE_MAX, &n, err);

	if (code == FL_OK)
		*fit = engine_back_fit(steps, n);
	if (code == FL_OK && *fit == ENGINE_FITS) {
		code = step_behind(lane->store, &side, steps, SIDE_MAX, &n, err);
		*fit = code == FL_OK ? engine_back_fit(steps, n) : ENGINE_FITS;
	}
	return code;
}

enum fl_code rollouts_fit_back(const struct rollouts_lane *lane, const struct step_view *view,
	struct rollouts_parsed *parsed, enum engine_fit *fit, struct fl_err *err)
{
	struct device d = { 0 };
	bool ours = false, there = true, met = true;
	enum fl_code code = is_ours(lane, view, &ours, err);

	*fit = ENGINE_NOT_OURS;
	if (code != FL_OK || !ours)
		return code;
	code = fit_above(lane, view, fit, err);
	if (code == FL_OK && *fit == ENGINE_FITS)
		code = way_back(lane, view, parsed, &there, err);
	if (code == FL_OK && *fit == ENGINE_FITS && there)
		code = device_by_no(lane->store, view->step.device_no, &d, err);
	/* what stays behind a gateway never loses what it needs */
	if (code == FL_OK && d.gateway)
		code = works_back(lane, view, parsed, &d, &met, err);
	if (!there || !met)
		*fit = ENGINE_NO_WAY;
	device_fini(&d);
	return code;
}

/* ---- freezes */

struct thaw {
	struct store *store;
	int64_t device_no;
	bool frozen;
};

static enum fl_code look_at_freeze(void *context, const struct freeze *f, struct fl_err *err)
{
	struct thaw *t = context;
	RSQL_AUTO struct rsql *selector = NULL;
	bool inside = true;
	enum fl_code code = FL_OK;

	if (t->frozen)
		return FL_OK;
	if (f->selector[0] != '\0')
		code = rsql_parse(f->selector, &selector, err);
	if (code == FL_OK)
		code = device_in_scope(t->store, t->device_no, selector, &inside, err);
	t->frozen = code == FL_OK && inside;
	return code;
}

/* Whether a freeze holds for the device now. */
static enum fl_code is_frozen(
	struct store *store, int64_t device_no, bool *frozen, struct fl_err *err)
{
	struct thaw t = { .store = store, .device_no = device_no };
	enum fl_code code = freeze_each_active(store, look_at_freeze, &t, err);

	*frozen = t.frozen;
	return code;
}

enum fl_code rollouts_fit(const struct rollouts_lane *lane, const struct step_view *view,
	struct rollouts_parsed *parsed, enum engine_fit *fit, struct fl_err *err)
{
	bool frozen = false;
	enum fl_code code = view->step.back ? rollouts_fit_back(lane, view, parsed, fit, err)
					    : fit_forward(lane, view, parsed, fit, err);

	/* what would not be delivered needs no thaw */
	if (code == FL_OK &&
		(*fit == ENGINE_FITS ||
			(view->step.back && (*fit == ENGINE_ALREADY || *fit == ENGINE_UNFIT))))
		code = is_frozen(lane->store, view->step.device_no, &frozen, err);
	if (frozen)
		*fit = ENGINE_FROZEN;
	return code;
}

/* ---- manifests */

/* Everything a goal points into. */
struct goal_parts {
	struct fl_manifest_module modules[FL_MANIFEST_MODULES_MAX];
	char hex[FL_MANIFEST_MODULES_MAX][65];
	const char *absent[FL_MANIFEST_MODULES_MAX];
	const char *unit[FL_MANIFEST_MODULES_MAX];
	char stage[32];
	char id[24];
};

/* The modules of the set, and which of them the layer changes. */
static void add_modules(const struct plan_set *set, const struct plan_set *other,
	struct goal_parts *parts, struct fl_manifest_goal *goal)
{
	for (uint32_t i = 0; i < set->n && i < FL_MANIFEST_MODULES_MAX; i++) {
		const struct plan_item *item = &set->items[i],
				       *was = find(other, item->module->name);
		struct fl_manifest_module *m = &parts->modules[goal->n_modules++];

		*m = (struct fl_manifest_module){ .module = item->module->name,
			.version = item->version,
			.kind = item->module->kind };
		if (item->artifact != NULL) {
			for (size_t k = 0; k < 32; k++)
				snprintf(parts->hex[i] + 2 * k, 3, "%02x",
					item->artifact->sha256[k]);
			m->sha256 = parts->hex[i];
			m->size = item->artifact->size;
		}
		if (was == NULL || strcmp(was->version, item->version) != 0)
			parts->unit[goal->step.n_unit++] = item->module->name;
	}
}

/* Modules of any stop of the class's way that the set does not have must not be there. */
static void add_absent(const struct rollouts_parsed *p, const struct step_view *view,
	const struct plan_set *set, struct goal_parts *parts, struct fl_manifest_goal *goal)
{
	const struct plan_class *class = &p->plan.classes[view->step.class];

	for (uint32_t l = 0; l <= p->plan.n_layers; l++) {
		const struct plan_set *stop = &p->plan.sets[class->sets[l]];

		for (uint32_t i = 0; i < stop->n; i++) {
			const char *name = stop->items[i].module->name;
			bool known = find(set, name) != NULL;

			for (size_t k = 0; k < goal->n_absent && !known; k++)
				known = strcmp(parts->absent[k], name) == 0;
			if (!known && goal->n_absent < FL_MANIFEST_MODULES_MAX)
				parts->absent[goal->n_absent++] = name;
		}
	}
}

static enum fl_code write_goal(const struct rollouts_lane *lane, const struct step_view *view,
	const struct rollouts_parsed *p, bool back, bool order, int64_t *goal_id,
	struct fl_err *err)
{
	const struct plan_set *set = goal_set(p, view, back), *other = goal_set(p, view, !back);
	struct goal_parts *parts = calloc(1, sizeof(*parts));
	struct fl_manifest_goal goal = { 0 };
	FL_AUTO_BUF struct fl_buf text = { 0 };
	enum fl_code code;

	if (parts == NULL)
		return fl_fail(err, FL_NOMEM, "there is no memory for a manifest");
	if (set->n > FL_MANIFEST_MODULES_MAX) {
		free(parts);
		return fl_fail(err, FL_TOO_LARGE, "a manifest with %u modules", set->n);
	}
	goal.modules = parts->modules;
	goal.absent = parts->absent;
	add_modules(set, other, parts, &goal);
	add_absent(p, view, set, parts, &goal);
	snprintf(
		parts->stage, sizeof(parts->stage), "L%d.W%d", view->stage.layer, view->stage.wave);
	snprintf(parts->id, sizeof(parts->id), "%" PRId64, view->stage.id);
	goal.step = order ? (struct fl_manifest_step){ .rollout = p->name,
		.stage = parts->stage,
		.id = parts->id,
		.unit = parts->unit,
		.n_unit = goal.step.n_unit,
		.probation_s = (p->strategy.probation_ms + 999) / 1000 }
			  : (struct fl_manifest_step){ 0 };
	code = fl_manifest_goal_write(&text, &goal, err);
	if (code == FL_OK)
		code = manifest_goal(
			lane->store, (struct fl_bytes){ text.p, text.n }, goal_id, err);
	free(parts);
	return code;
}

enum fl_code rollouts_issue(const struct rollouts_lane *lane, const struct step_view *view,
	struct rollouts_parsed *parsed, bool back, bool order, int64_t *number, struct fl_err *err)
{
	struct manifest_row row = { .device_no = view->step.device_no, .stage_id = view->stage.id };
	enum fl_code code = write_goal(lane, view, parsed, back, order, &row.goal_id, err);

	if (code == FL_OK)
		code = fleet_issue(lane->store, lane->effects, &row, err);
	if (code == FL_OK)
		*number = row.number;
	return code;
}
