/* SPDX-License-Identifier: Apache-2.0
 *
 * What explanations are made from: rows, plans and the fleet's memory, read in one snapshot; the words
 * are rollout/explain_*.c. Nothing is written; any lane that reads. */
#include "server/rollouts_explain_in.h"

#include "server/fleet.h"
#include "server/rsql.h"
#include "server/server.h"
#include "server/store/assignment.h"
#include "server/store/device.h"
#include "server/store/device_step.h"
#include "server/store/report.h"
#include "server/store/rollout.h"
#include "server/store/state.h"

#include <stdlib.h>
#include <string.h>

#define ROLLOUTS_MAX 1000 /* newest ones that are looked at */
#define ENDED_MAX    5    /* of those that have ended */
#define STEPS_MAX    100
#define OPEN_MAX     64
#define REPORTS_MAX  50

/* A device under explanation. */
struct subject {
	struct rollouts_lane lane;
	const struct device *device;
	struct explain_about about;
	json_t *installed;       /* owned: module -> version */
	json_t *took_part;       /* owned: names of rollouts that it has steps of */
	struct step_place order; /* what it carries out; stage_id 0: nothing */
	char *order_rollout;     /* owned */
	char order_place[EXPLAIN_STAGE];
};

static void subject_fini(struct subject *s)
{
	json_decref(s->installed);
	json_decref(s->took_part);
	free(s->order_rollout);
}

/* ---- the device */

static enum fl_code note_entry(
	void *context, int64_t state_id, const struct state_entry *e, struct fl_err *err)
{
	(void)state_id;
	if (json_object_set_new(context, e->module, json_string(e->version)) != 0)
		return fl_fail(err, FL_NOMEM, "no memory for an explanation");
	return FL_OK;
}

static enum fl_code note_step(void *context, const struct device_step *s, struct fl_err *err)
{
	if (json_object_set_new(context, s->rollout, json_true()) != 0)
		return fl_fail(err, FL_NOMEM, "no memory for an explanation");
	return FL_OK;
}

static bool flying(enum step_state s)
{
	return s >= STEP_OFFERED && s <= STEP_INSTALLED && s != STEP_REJECTED;
}

/* The order that it carries out: it gets no other one before. */
static enum fl_code find_order(struct subject *s, struct fl_err *err)
{
	struct step_place open[OPEN_MAX];
	struct rollout row = { 0 };
	size_t n = 0;
	enum fl_code code = step_open(s->lane.store, s->device->no, open, OPEN_MAX, &n, err);

	for (size_t i = 0; i < n && code == FL_OK && s->order.stage_id == 0; i++)
		if (flying(open[i].state))
			s->order = open[i];
	if (code != FL_OK || s->order.stage_id == 0)
		return code;
	explain_stage_name(s->order.layer, s->order.wave, s->order_place);
	code = rollout_by_id(s->lane.store, s->order.rollout_id, &row, err);
	if (code == FL_OK && (s->order_rollout = strdup(row.name)) == NULL)
		code = fl_fail(err, FL_NOMEM, "no memory for an explanation");
	rollout_fini(&row);
	return code;
}

static enum fl_code load_subject(struct subject *s, struct fl_err *err)
{
	const struct device *d = s->device;
	struct fleet_device known = { 0 };
	enum fl_code code = FL_OK;

	s->about = (struct explain_about){ .enrolled = d->public_key != NULL,
		.registered_ms = d->created_at,
		.retired_ms = d->retired_at,
		.asked_ms = d->last_seen * 1000,
		.interval_ms = s->lane.server->settings->poll_interval,
		.now_ms = s->lane.store->now_ms };
	if (fleet_get(s->lane.server->fleet, d->no, &known) && known.seen_s > d->last_seen)
		s->about.asked_ms = (int64_t)known.seen_s * 1000;
	s->installed = json_object();
	s->took_part = json_object();
	if (s->installed == NULL || s->took_part == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for an explanation");
	if (d->state_id != STATE_EMPTY)
		code = state_each(s->lane.store, d->state_id, note_entry, s->installed, err);
	if (code == FL_OK)
		code = device_step_each(
			s->lane.store, d->no, STEPS_MAX, note_step, s->took_part, err);
	return code == FL_OK ? find_order(s, err) : code;
}

/* ---- its part in a rollout */

static bool same_set(const struct plan_set *set, const json_t *installed)
{
	if (set->n != json_object_size(installed))
		return false;
	for (uint32_t i = 0; i < set->n; i++) {
		const char *version =
			json_string_value(json_object_get(installed, set->items[i].module->name));

		if (version == NULL || strcmp(version, set->items[i].version) != 0)
			return false;
	}
	return true;
}

/* What the plan says of devices that begin as this one does and are not updated. */
static void find_left_out(const struct subject *s, struct rollouts_loaded *l)
{
	const struct plan *p = &l->parsed->plan;

	for (uint32_t c = 0; c < p->n_classes; c++) {
		const struct plan_class *class = &p->classes[c];

		if (class->kind == PLAN_UPDATE || !same_set(&p->sets[class->sets[0]], s->installed))
			continue;
		if (l->part.member == EXPLAIN_LEFT_OUT && l->part.kind == class->kind &&
			class->kind == PLAN_INCOMPATIBLE)
			fl_buf_str(&l->reason, "; or: ");
		else if (l->part.member == EXPLAIN_LEFT_OUT)
			continue;
		l->part.member = EXPLAIN_LEFT_OUT;
		l->part.kind = class->kind;
		fl_buf_str(&l->reason, class->reason);
	}
	l->part.reason = l->reason.p == NULL ? "" : (const char *)l->reason.p;
}

/* It has no assignment: why not? */
static enum fl_code load_outsider(struct subject *s, struct rollouts_loaded *l, struct fl_err *err)
{
	RSQL_AUTO struct rsql *selector = NULL;
	bool inside = true;
	enum fl_code code = FL_OK;

	if (l->row.selector[0] != '\0')
		code = rsql_parse(l->row.selector, &selector, err);
	if (code == FL_OK)
		code = device_in_scope(s->lane.store, s->device->no, selector, &inside, err);
	if (code != FL_OK)
		return code;
	l->part.member = !inside    ? EXPLAIN_UNSELECTED
		: l->parsed == NULL ? EXPLAIN_NO_PLAN
				    : EXPLAIN_UNKNOWN;
	if (l->part.member == EXPLAIN_UNKNOWN)
		find_left_out(s, l);
	return FL_OK;
}

static enum fl_code load_steps(struct subject *s, struct rollouts_loaded *l, struct fl_err *err)
{
	int layers = l->parsed->rules.layers;
	enum fl_code code = FL_OK;

	for (int i = 0; i < layers && code == FL_OK; i++) {
		const struct engine_stage *g = explain_cell(&l->part.in, i, l->part.wave);

		code = step_get(s->lane.store, g->id, s->device->no, &l->steps[i], err);
		l->has[i] = code == FL_OK;
		if (code == FL_NOT_FOUND)
			code = FL_OK;
	}
	return code;
}

struct search {
	int64_t stage_id;
	struct fl_buf *detail;
};

static enum fl_code take_detail(void *context, const struct report *r, struct fl_err *err)
{
	struct search *s = context;

	if (r->stage_id != s->stage_id || r->detail[0] == '\0')
		return FL_OK;
	fl_buf_str(s->detail, r->detail);
	return fl_fail(err, FL_STOPPED, "found");
}

/* What a poll would know about the step: whether it fits, and how many are under way. */
static enum fl_code load_chances(
	struct subject *s, struct rollouts_loaded *l, int64_t stage_id, struct fl_err *err)
{
	ROLLOUTS_AUTO_OUTLOOK struct rollouts_outlook outlook = { 0 };
	struct fleet_device known;
	struct step_view view;
	struct rollouts_open open = { 0 };
	enum fl_code code = step_view(s->lane.store, stage_id, s->device->no, &view, err);

	if (code == FL_OK)
		code = rollouts_look_ahead(&s->lane, &view, l->parsed, &outlook, err);
	l->part.fit = outlook.fit;
	if (code == FL_OK)
		code = rollouts_windows_of(&s->lane, l->parsed, &view.step, &open, err);
	if (code == FL_OK)
		rollouts_explain_window(l, open.hours.offer, open.zone);
	l->part.poll.window = open.hours.offer;
	l->part.poll.install_window = open.hours.install;
	l->part.attention =
		fleet_get(s->lane.server->fleet, s->device->no, &known) && known.attention;
	return code == FL_OK ? rollouts_load(&s->lane, &view, l->parsed, &l->part.poll, err) : code;
}

/* The freeze that holds for it, if one does. */
static enum fl_code load_freeze(struct subject *s, struct rollouts_loaded *l, struct fl_err *err)
{
	enum fl_code code = rollouts_frozen(s->lane.store, s->device->no, &l->frost, err);

	l->part.freeze = l->frost.name[0] == '\0' ? NULL : l->frost.name;
	l->part.thaws_ms = l->frost.until_ms;
	return code;
}

/* Other rollouts that come first on the device. */
static enum fl_code load_rivals(struct subject *s, struct rollouts_loaded *l,
	const struct engine_step *step, struct fl_err *err)
{
	const struct rollouts_claim claim = { .rollout = &l->row.engine,
		.device_no = s->device->no,
		.class = step->class };
	enum fl_code code = rollouts_ahead(&s->lane, &claim, &l->rival, &l->before, err);

	l->part.rival = l->rival.name[0] == '\0' ? NULL : l->rival.name;
	l->part.rival_priority = l->rival.priority;
	l->part.before = l->before.name[0] == '\0' ? NULL : l->before.name;
	l->part.before_priority = l->before.priority;
	return code;
}

static enum fl_code load_current(struct subject *s, struct rollouts_loaded *l, struct fl_err *err)
{
	int layer = explain_current(&l->part);
	struct search search = { .detail = &l->detail };
	struct fl_err stopped = { 0 };
	enum fl_code code;

	if (layer < 0 || !l->has[layer])
		return FL_OK;
	search.stage_id = l->steps[layer].stage_id;
	code = report_each(
		s->lane.store, s->device->no, 0, REPORTS_MAX, take_detail, &search, &stopped);
	if (code != FL_OK && code != FL_STOPPED)
		return fl_fail(err, code, "%s", stopped.msg);
	l->part.detail = (const char *)l->detail.p;
	code = load_rivals(s, l, &l->steps[layer], err);
	if (code == FL_OK)
		code = load_freeze(s, l, err);
	if (code != FL_OK)
		return code;
	if (l->steps[layer].state == STEP_QUEUED || l->steps[layer].state == STEP_UNREACHED)
		return load_chances(s, l, search.stage_id, err);
	return FL_OK;
}

static enum fl_code load_member(struct subject *s, struct rollouts_loaded *l,
	const struct assignment *a, struct fl_err *err)
{
	size_t layers = (size_t)l->parsed->rules.layers;
	enum fl_code code;

	l->changes = calloc(layers + 1, sizeof(*l->changes));
	l->has = calloc(layers + 1, sizeof(*l->has));
	l->steps = calloc(layers + 1, sizeof(*l->steps));
	if (l->changes == NULL || l->has == NULL || l->steps == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for an explanation");
	for (size_t i = 0; i < layers; i++)
		l->changes[i] =
			plan_class_changes(&l->parsed->plan, (uint32_t)a->class, (uint32_t)i);
	l->part.member = EXPLAIN_ASSIGNED;
	l->part.wave = (int)a->wave;
	l->part.changes = l->changes;
	l->part.has = l->has;
	l->part.steps = l->steps;
	if (s->order.stage_id != 0 && s->order.rollout_id != l->row.engine.id) {
		l->part.other = s->order_rollout;
		l->part.other_place = s->order_place;
	}
	code = load_steps(s, l, err);
	return code == FL_OK ? load_current(s, l, err) : code;
}

static enum fl_code load_part(
	struct subject *s, int64_t id, struct rollouts_loaded *l, struct fl_err *err)
{
	struct fl_err none = { 0 };
	struct assignment a;
	enum fl_code code = rollouts_explain_load(&s->lane, id, l, err);

	l->part.device = &s->about;
	if (code != FL_OK)
		return code;
	code = l->parsed == NULL ? FL_NOT_FOUND
				 : assignment_find(s->lane.store, id, s->device->no, &a, &none);
	if (code == FL_NOT_FOUND)
		return load_outsider(s, l, err);
	return code == FL_OK ? load_member(s, l, &a, err) : fl_fail(err, code, "%s", none.msg);
}

/* ---- as JSON */

static json_t *place_json(const struct rollouts_loaded *l, const char **state)
{
	char name[EXPLAIN_STAGE];
	int layer = l->part.member == EXPLAIN_ASSIGNED ? explain_current(&l->part) : -1;

	*state = NULL;
	if (layer < 0)
		return json_null();
	explain_stage_name(layer, l->part.wave, name);
	if (l->has[layer])
		*state = step_state_text(l->steps[layer].state);
	return json_string(name);
}

static enum fl_code part_json(
	const struct rollouts_loaded *l, bool *offered, json_t **out, struct fl_err *err)
{
	static const char *const members[] = { "no_plan", "not_selected", "not_in_plan", "left_out",
		"assigned" };
	struct explain e = { 0 };
	json_t *lines = NULL, *place;
	const char *state;
	FL_AUTO_BUF struct fl_buf summary = { 0 };
	enum fl_code code;

	explain_part(&e, &l->part, offered);
	fl_buf_str(&summary, explain_first(&e));
	code = explain_take(&e, &lines, err);
	if (code != FL_OK)
		return code;
	place = place_json(l, &state);
	*out = json_pack("{s:s, s:s, s:s, s:o, s:o, s:s?, s:b, s:s, s:o}", "rollout", l->row.name,
		"state", rollout_state_text(l->row.engine.state), "member", members[l->part.member],
		"wave",
		l->part.member == EXPLAIN_ASSIGNED ? json_integer(l->part.wave) : json_null(),
		"stage", place, "step", state, "would_be_offered", (int)*offered, "summary",
		summary.p == NULL ? "" : (const char *)summary.p, "lines", lines);
	return *out == NULL ? fl_fail(err, FL_NOMEM, "no memory for an explanation") : FL_OK;
}

static bool ended(enum rollout_state s)
{
	return s == ROLLOUT_STOPPED || s == ROLLOUT_ROLLED_BACK || s == ROLLOUT_COMPLETED ||
		s == ROLLOUT_FAILED || s == ROLLOUT_DENIED;
}

/* Add what the rollout means for the device, if it means anything. */
static enum fl_code add_part(
	struct subject *s, int64_t id, json_t *parts, int *n_ended, struct fl_err *err)
{
	struct rollouts_loaded l = { 0 };
	struct rollout row = { 0 };
	json_t *json = NULL;
	bool offered = false, wanted = false;
	enum fl_code code = rollout_by_id(s->lane.store, id, &row, err);

	if (code == FL_OK && ended(row.engine.state))
		wanted = json_object_get(s->took_part, row.name) != NULL && ++*n_ended <= ENDED_MAX;
	else if (code == FL_OK)
		wanted = true;
	rollout_fini(&row);
	if (!wanted)
		return code;
	code = load_part(s, id, &l, err);
	if (code == FL_OK && l.part.member != EXPLAIN_UNSELECTED)
		code = part_json(&l, &offered, &json, err);
	if (code == FL_OK && json != NULL && json_array_append_new(parts, json) != 0)
		code = fl_fail(err, FL_NOMEM, "no memory for an explanation");
	rollouts_explain_fini(&l);
	return code;
}

static enum fl_code add_parts(struct subject *s, json_t *parts, struct fl_err *err)
{
	int64_t *ids = NULL;
	size_t n = 0;
	int n_ended = 0;
	enum fl_code code = rollout_numbers(s->lane.store, &ids, &n, err);

	for (size_t i = n; i > 0 && n - i < ROLLOUTS_MAX && code == FL_OK; i--)
		code = add_part(s, ids[i - 1], parts, &n_ended, err);
	free(ids);
	return code;
}

/* How much a rollout matters to the device: one that would offer it something; one that goes on with it;
 * one that will; one that leaves it out; one that has ended. */
static int weight(const json_t *part)
{
	enum rollout_state state = ROLLOUT_FAILED;
	struct fl_err none = { 0 };
	bool assigned = strcmp(json_string_value(json_object_get(part, "member")), "assigned") == 0;
	bool ahead;

	if (json_is_true(json_object_get(part, "would_be_offered")))
		return 4;
	if (rollout_state_parse(json_string_value(json_object_get(part, "state")), &state, &none) !=
			FL_OK ||
		ended(state))
		return 0;
	ahead = state < ROLLOUT_STARTING;
	return !assigned ? 1 : ahead ? 2 : 3;
}

/* The rollout that matters most: whose order it carries out, else by weight, the newest first. */
static const json_t *part_that_matters(const struct subject *s, const json_t *parts)
{
	const json_t *part, *best = json_array_get(parts, 0);
	size_t i;

	json_array_foreach (parts, i, part) {
		const char *name = json_string_value(json_object_get(part, "rollout"));

		if (s->order_rollout != NULL && strcmp(name, s->order_rollout) == 0)
			return part;
		if (weight(part) > weight(best))
			best = part;
	}
	return best;
}

/* One sentence for all; it says which rollout it is about where there are several. */
static void add_summary(
	const struct subject *s, const json_t *parts, struct explain *about, struct fl_buf *out)
{
	const json_t *part = part_that_matters(s, parts);
	const char *said = json_string_value(json_object_get(part, "summary"));

	if (s->about.retired_ms != 0) {
		fl_buf_str(out, explain_first(about));
	} else if (part == NULL) {
		fl_buf_str(out, explain_code_words(EXPLAIN_NO_ROLLOUT));
	} else {
		if (json_array_size(parts) > 1)
			fl_buf_printf(out, "rollout %s: ",
				json_string_value(json_object_get(part, "rollout")));
		fl_buf_str(out, said);
	}
}

static enum fl_code subject_json(
	struct subject *s, const json_t *parts, json_t **out, struct fl_err *err)
{
	struct explain e = { 0 };
	json_t *lines = NULL;
	FL_AUTO_BUF struct fl_buf first = { 0 };
	enum fl_code code;

	explain_about(&e, &s->about);
	if (json_array_size(parts) == 0)
		EXPLAIN_SAY_ONLY(&e, NO_ROLLOUT);
	add_summary(s, parts, &e, &first);
	code = explain_take(&e, &lines, err);
	if (code != FL_OK)
		return code;
	*out = json_pack("{s:s, s:s, s:o}", "device", s->device->id, "summary",
		first.p == NULL ? "" : (const char *)first.p, "lines", lines);
	if (*out == NULL || json_object_set(*out, "rollouts", (json_t *)parts) != 0)
		return fl_fail(err, FL_NOMEM, "no memory for an explanation");
	return FL_OK;
}

enum fl_code rollouts_explain_device(struct server *server, struct store *store,
	const struct device *device, const char *only, json_t **out, struct fl_err *err)
{
	struct subject s = { .lane = { .server = server, .store = store }, .device = device };
	FL_AUTO_JSON json_t *parts = json_array();
	struct rollout row = { 0 };
	struct rollouts_loaded l = { 0 };
	json_t *json = NULL;
	bool offered = false;
	enum fl_code code = load_subject(&s, err);

	if (code == FL_OK && only == NULL)
		code = add_parts(&s, parts, err);
	if (code == FL_OK && only != NULL) {
		code = rollout_get(store, only, &row, err);
		if (code == FL_OK)
			code = load_part(&s, row.engine.id, &l, err);
		if (code == FL_OK)
			code = part_json(&l, &offered, &json, err);
		if (code == FL_OK && json_array_append_new(parts, json) != 0)
			code = fl_fail(err, FL_NOMEM, "no memory for an explanation");
	}
	if (code == FL_OK)
		code = subject_json(&s, parts, out, err);
	rollout_fini(&row);
	rollouts_explain_fini(&l);
	subject_fini(&s);
	return code;
}

/* ---- stages */

enum fl_code rollouts_explain_stage(struct server *server, struct store *store,
	const struct rollouts_stage_place *at, json_t **out, struct fl_err *err)
{
	const struct rollouts_lane lane = { .server = server, .store = store };
	struct rollouts_loaded l = { 0 };
	struct explain e = { 0 };
	struct rollouts_open open = { 0 };
	const struct window *window = NULL;
	json_t *lines = NULL;
	char name[EXPLAIN_STAGE];
	FL_AUTO_BUF struct fl_buf summary = { 0 };
	enum fl_code code = rollouts_explain_load(&lane, at->rollout_id, &l, err);

	if (code == FL_OK &&
		(l.part.in.stages == NULL || at->layer >= l.parsed->rules.layers ||
			at->wave >= l.parsed->rules.waves))
		code = fl_fail(err, FL_NOT_FOUND, "rollout \"%s\" has no stage L%d.W%d", l.row.name,
			at->layer, at->wave);
	if (code == FL_OK)
		code = rollouts_windows_fixed(&lane, l.parsed, &open, err);
	if (code == FL_OK)
		code = rollouts_windows_stage(&lane, l.parsed,
			explain_cell(&l.part.in, at->layer, at->wave)->id, &window, err);
	if (code == FL_OK) {
		rollouts_explain_window(&l, window, open.zone);
		explain_stage(&e, &l.part.in, at->layer, at->wave);
		fl_buf_str(&summary, explain_first(&e));
		code = explain_take(&e, &lines, err);
	}
	explain_stage_name(at->layer, at->wave, name);
	if (code == FL_OK) {
		const struct engine_stage *s = explain_cell(&l.part.in, at->layer, at->wave);

		*out = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "rollout", l.row.name, "stage",
			name, "rollout_state", rollout_state_text(l.row.engine.state), "state",
			stage_state_text(s->state), "summary",
			summary.p == NULL ? "" : (const char *)summary.p, "lines", lines);
		if (*out == NULL)
			code = fl_fail(err, FL_NOMEM, "no memory for an explanation");
	}
	rollouts_explain_fini(&l);
	return code;
}
