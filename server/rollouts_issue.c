/* SPDX-License-Identifier: Apache-2.0
 *
 * Manifests: what a device shall have, with the bytes for it, as its next signed order. */
#include "server/rollouts_in.h"

#include "server/fleet.h"
#include "server/planning.h"
#include "server/rsql.h"
#include "server/store/manifest.h"
#include "server/store/module.h"
#include "server/store/version.h"

#include "lib/manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- bytes */

struct choosing {
	const struct rollouts_lane *lane;
	int64_t device_no;
	struct rollouts_bytes *out;
	bool chosen;
};

/* The first variant whose selector matches the device is taken. */
static enum fl_code look_at_variant(void *context, const struct variant *v, struct fl_err *err)
{
	struct choosing *c = context;
	RSQL_AUTO struct rsql *selector = NULL;
	bool inside = true;
	enum fl_code code = FL_OK;

	if (c->chosen)
		return FL_OK;
	if (v->selector != NULL && v->selector[0] != '\0')
		code = rsql_parse(v->selector, &selector, err);
	if (code == FL_OK)
		code = device_in_scope(c->lane->store, c->device_no, selector, &inside, err);
	if (code != FL_OK || !inside)
		return code;
	c->chosen = true;
	c->out->known = v->sha256 != NULL;
	if (c->out->known) {
		memcpy(c->out->sha256, v->sha256, sizeof(c->out->sha256));
		c->out->size = v->size;
	}
	return FL_OK;
}

enum fl_code rollouts_bytes_of(const struct rollouts_lane *lane, int64_t device_no,
	const struct state_entry *e, struct rollouts_bytes *out, struct fl_err *err)
{
	struct choosing c = { .lane = lane, .device_no = device_no, .out = out };
	struct version v = { 0 };
	enum fl_code code = version_get(lane->store, e->module, e->version, &v, NULL);

	*out = (struct rollouts_bytes){ 0 };
	if (code == FL_NOT_FOUND)
		return FL_OK;
	if (code != FL_OK)
		return fl_fail(err, code, "version %s of %s cannot be read", e->version, e->module);
	code = version_each_variant(lane->store, v.id, look_at_variant, &c, err);
	version_fini(&v);
	return code;
}

/* ---- goals */

/* Everything a goal points into. */
struct goal_parts {
	struct fl_manifest_module modules[FL_MANIFEST_MODULES_MAX];
	char hex[FL_MANIFEST_MODULES_MAX][65];
	const char *absent[FL_MANIFEST_MODULES_MAX];
	const char *unit[FL_MANIFEST_MODULES_MAX];
	struct fl_manifest_span spans[FL_MANIFEST_SPANS_MAX];
	char stage[32];
	char id[24];
	struct fl_arena text;
};

struct writing {
	const struct rollouts_lane *lane;
	const struct step_view *view;
	const struct rollouts_outlook *o;
	struct goal_parts *parts; /* owned */
	struct fl_manifest_goal goal;
};

/* The plan's item for a module in this version, NULL if the plan has none at this layer. */
static const struct plan_item *planned_item(const struct writing *w, const struct state_entry *e)
{
	for (int back = 0; back < 2; back++) {
		const struct plan_set *set = rollouts_plan_goal(w->o->parsed, w->view, back == 1);

		for (uint32_t i = 0; i < set->n; i++)
			if (strcmp(set->items[i].module->name, e->module) == 0 &&
				strcmp(set->items[i].version, e->version) == 0)
				return &set->items[i];
	}
	return NULL;
}

/* What is said of a module that is not as in the plan: another rollout's, or a way back further than
 * planned. */
static enum fl_code look_up(struct writing *w, const struct state_entry *e,
	struct rollouts_bytes *bytes, const char **kind, struct fl_err *err)
{
	struct module m = { 0 };
	enum fl_code code = rollouts_bytes_of(w->lane, w->view->step.device_no, e, bytes, err);

	if (code != FL_OK)
		return code;
	code = module_get(w->lane->store, e->module, &m, NULL);
	*kind = "";
	if (code == FL_OK)
		*kind = fl_arena_text(&w->parts->text, m.kind, strlen(m.kind));
	module_fini(&m);
	if (*kind == NULL)
		return fl_fail(err, FL_NOMEM, "there is no memory for a manifest");
	return code == FL_OK || code == FL_NOT_FOUND
		? FL_OK
		: fl_fail(err, code, "module %s cannot be read", e->module);
}

static void take_planned(
	const struct plan_item *item, struct rollouts_bytes *bytes, const char **kind)
{
	*kind = item->module->kind;
	bytes->known = item->artifact != NULL;
	if (bytes->known) {
		memcpy(bytes->sha256, item->artifact->sha256, sizeof(bytes->sha256));
		bytes->size = item->artifact->size;
	}
}

static enum fl_code add_module(struct writing *w, const struct state_entry *e, struct fl_err *err)
{
	size_t i = w->goal.n_modules++;
	struct fl_manifest_module *m = &w->parts->modules[i];
	const struct plan_item *item = planned_item(w, e);
	struct rollouts_bytes bytes = { 0 };
	const char *kind = "";
	enum fl_code code = FL_OK;

	if (item != NULL)
		take_planned(item, &bytes, &kind);
	else
		code = look_up(w, e, &bytes, &kind, err);
	*m = (struct fl_manifest_module){
		.module = e->module, .version = e->version, .kind = kind
	};
	if (bytes.known) {
		for (size_t k = 0; k < 32; k++)
			snprintf(w->parts->hex[i] + 2 * k, 3, "%02x", bytes.sha256[k]);
		m->sha256 = w->parts->hex[i];
		m->size = bytes.size;
	}
	return code;
}

static enum fl_code add_modules(struct writing *w, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	_Static_assert(STATE_ENTRIES_MAX <= FL_MANIFEST_MODULES_MAX, "a manifest has room");
	for (size_t i = 0; i < w->o->then.n && code == FL_OK; i++)
		code = add_module(w, &w->o->then.of[i], err);
	for (size_t i = 0; i < w->o->changes.n; i++)
		if (rollouts_set_version(&w->o->then, w->o->changes.of[i].module) != NULL)
			w->parts->unit[w->goal.step.n_unit++] = w->o->changes.of[i].module;
	return code;
}

/* Modules of any stop of the class's way that the device shall not have must not be there. */
static void add_absent(struct writing *w)
{
	const struct plan *p = &w->o->parsed->plan;
	const struct plan_class *class = &p->classes[w->view->step.class];

	for (uint32_t l = 0; l <= p->n_layers; l++) {
		const struct plan_set *stop = &p->sets[class->sets[l]];

		for (uint32_t i = 0; i < stop->n; i++) {
			const char *name = stop->items[i].module->name;
			bool known = rollouts_set_version(&w->o->then, name) != NULL;

			for (size_t k = 0; k < w->goal.n_absent && !known; k++)
				known = strcmp(w->parts->absent[k], name) == 0;
			if (!known && w->goal.n_absent < FL_MANIFEST_MODULES_MAX)
				w->parts->absent[w->goal.n_absent++] = name;
		}
	}
}

static void name_step(struct writing *w)
{
	const struct rollouts_parsed *p = w->o->parsed;
	struct goal_parts *parts = w->parts;

	snprintf(parts->stage, sizeof(parts->stage), "L%d.W%d", w->view->stage.layer,
		w->view->stage.wave);
	snprintf(parts->id, sizeof(parts->id), "%" PRId64, w->view->stage.id);
	w->goal.step = (struct fl_manifest_step){ .rollout = p->name,
		.stage = parts->stage,
		.id = parts->id,
		.unit = parts->unit,
		.n_unit = w->goal.step.n_unit,
		.probation_s = (p->strategy.probation_ms + 999) / 1000 };
}

/* When the device may switch; nothing without a window for that. */
static enum fl_code add_spans(struct writing *w, struct fl_err *err)
{
	int64_t now = w->lane->store->now_ms;
	struct rollouts_open open;
	enum fl_code code = rollouts_windows_of(w->lane, w->o->parsed, &w->view->step, &open, err);
	const struct window *turn = open.hours.turn;

	if (code != FL_OK || turn == NULL)
		return code;
	w->goal.step.spans = w->parts->spans;
	for (size_t i = 0; i < turn->n; i++)
		if (turn->spans[i].close > now && w->goal.step.n_spans < FL_MANIFEST_SPANS_MAX)
			w->parts->spans[w->goal.step.n_spans++] =
				(struct fl_manifest_span){ turn->spans[i].open,
					turn->spans[i].close };
	return FL_OK;
}

static enum fl_code write_goal(struct writing *w, bool order, int64_t *goal_id, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	enum fl_code code;

	w->goal.modules = w->parts->modules;
	w->goal.absent = w->parts->absent;
	code = add_modules(w, err);
	add_absent(w);
	if (order)
		name_step(w);
	else
		w->goal.step = (struct fl_manifest_step){ 0 };
	if (code == FL_OK && order)
		code = add_spans(w, err);
	if (code == FL_OK)
		code = fl_manifest_goal_write(&text, &w->goal, err);
	if (code == FL_OK)
		code = manifest_goal(
			w->lane->store, (struct fl_bytes){ text.p, text.n }, goal_id, err);
	return code;
}

enum fl_code rollouts_issue(const struct rollouts_lane *lane, const struct step_view *view,
	struct rollouts_outlook *outlook, bool order, struct fl_err *err)
{
	struct manifest_row row = { .device_no = view->step.device_no, .stage_id = view->stage.id };
	struct writing w = { .lane = lane, .view = view, .o = outlook };
	enum fl_code code;

	w.parts = calloc(1, sizeof(*w.parts));
	if (w.parts == NULL)
		return fl_fail(err, FL_NOMEM, "there is no memory for a manifest");
	code = write_goal(&w, order, &row.goal_id, err);
	fl_arena_fini(&w.parts->text);
	free(w.parts);
	if (code == FL_OK)
		code = fleet_issue(lane->store, lane->effects, &row, err);
	if (code == FL_OK)
		outlook->device.manifest = row.number;
	return code;
}

/* ---- what was carried out */

static enum fl_code read_entries(
	const json_t *modules, struct state_entry *entries, size_t *n, struct fl_err *err)
{
	const json_t *m;
	size_t i;

	*n = json_array_size(modules);
	if (*n > STATE_ENTRIES_MAX)
		return fl_fail(err, FL_CORRUPT, "a manifest with %zu modules", *n);
	json_array_foreach (modules, i, m) {
		entries[i] = (struct state_entry){ json_string_value(json_object_get(m, "module")),
			json_string_value(json_object_get(m, "version")) };
		if (entries[i].module == NULL || entries[i].version == NULL)
			return fl_fail(err, FL_CORRUPT, "a manifest with a nameless module");
	}
	return FL_OK;
}

enum fl_code rollouts_assume(
	const struct rollouts_lane *lane, int64_t device_no, struct fl_err *err)
{
	struct manifest_row row = { 0 };
	struct state_entry entries[STATE_ENTRIES_MAX];
	FL_AUTO_BUF struct fl_buf text = { 0 };
	FL_AUTO_JSON json_t *goal = NULL;
	size_t n = 0;
	int64_t state_id;
	enum fl_code code = manifest_get(lane->store, device_no, &row, err);

	if (code == FL_OK)
		code = manifest_goal_text(lane->store, row.goal_id, &text, err);
	if (code == FL_OK)
		code = fl_json_parse((struct fl_bytes){ text.p, text.n }, &goal, err);
	if (code == FL_OK)
		code = read_entries(json_object_get(goal, "modules"), entries, &n, err);
	if (code == FL_OK)
		code = state_put(lane->store, entries, n, &state_id, err);
	if (code == FL_OK)
		code = planning_set_state(lane->store, lane->effects, device_no, state_id, err);
	return code;
}
