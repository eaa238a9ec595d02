/* SPDX-License-Identifier: Apache-2.0
 *
 * What other rollouts, started and not ended, are changing on which devices. */
#include "server/planning_load.h"

#include "server/rollout/rival.h"
#include "server/store/assignment.h"
#include "server/store/rollout.h"

#include <stdio.h>
#include <string.h>

/* The rollout whose assignments are being read. */
struct holding {
	struct planning_loader *l;
	int64_t rollout_id; /* 0: none yet */
	const char *name;
	bool gives_way; /* to the one that is planned: holds nothing */
	struct plan plan;
	uint32_t *of_class; /* hold of each class; 0: not made yet */
	size_t n_classes;
	uint32_t joined[3]; /* the last two that were joined, and what they became */
};

static enum fl_code nomem(struct fl_err *err)
{
	return fl_fail(err, FL_NOMEM, "no memory to plan");
}

/* Whether the rollout that is planned takes devices over from this one. */
static enum fl_code compare(struct holding *h, const struct rollout *row, struct fl_err *err)
{
	const struct strategy *mine = h->l->rq->strategy;
	const struct rival us = { .started_at = RIVAL_NOT_STARTED,
		.priority = mine->priority,
		.supersede = mine->supersede };
	struct rival them = { .id = row->engine.id, .started_at = row->engine.started_at };
	struct strategy theirs = { 0 };
	FL_AUTO_JSON json_t *json = NULL;
	enum fl_code code = fl_json_parse(
		(struct fl_bytes){ (const uint8_t *)row->strategy, strlen(row->strategy) }, &json,
		err);

	if (code == FL_OK)
		code = strategy_read(json, 0, &theirs, err);
	if (code != FL_OK)
		return code;
	them.priority = theirs.priority;
	them.supersede = theirs.supersede;
	h->gives_way = rival_yields(&them, &us);
	strategy_fini(&theirs);
	return FL_OK;
}

static enum fl_code open_rollout(struct holding *h, int64_t id, struct fl_err *err)
{
	struct fl_arena *arena = &h->l->s->arena;
	struct rollout row = { 0 };
	FL_AUTO_BUF struct fl_buf text = { 0 };
	FL_AUTO_JSON json_t *json = NULL;
	enum fl_code code = rollout_by_id(h->l->store, id, &row, err);

	plan_fini(&h->plan);
	if (code == FL_OK)
		code = compare(h, &row, err);
	if (code == FL_OK)
		code = rollout_plan_text(h->l->store, id, &text, err);
	if (code == FL_OK)
		code = fl_json_parse((struct fl_bytes){ text.p, text.n }, &json, err);
	if (code == FL_OK)
		code = plan_read(json, &h->plan, err);
	if (code == FL_OK) {
		h->rollout_id = id;
		h->name = fl_arena_text(arena, row.name, strlen(row.name));
		h->n_classes = h->plan.n_classes;
		h->of_class = fl_arena_get(arena, h->n_classes, sizeof(*h->of_class));
		if (h->name == NULL || h->of_class == NULL)
			code = nomem(err);
	}
	rollout_fini(&row);
	return code;
}

static bool add_hold(struct planning_loader *l, struct plan_hold hold, uint32_t *index)
{
	/* [0] is nobody's. */
	if (l->s->in.n_holds == 0) {
		if (!planning_grow(&l->s->holds, 0, &l->cap_holds, sizeof(hold)))
			return false;
		l->s->holds[0] = (struct plan_hold){ 0 };
		l->s->in.n_holds = 1;
	}
	if (!planning_grow(&l->s->holds, l->s->in.n_holds, &l->cap_holds, sizeof(hold)))
		return false;
	l->s->holds[l->s->in.n_holds] = hold;
	*index = l->s->in.n_holds++;
	return true;
}

static bool has_item(const struct plan_set *s, const struct plan_item *item)
{
	for (uint32_t i = 0; i < s->n; i++) {
		if (strcmp(s->items[i].module->name, item->module->name) == 0)
			return strcmp(s->items[i].version, item->version) == 0;
	}
	return false;
}

/* Modules of x that y has not, or in another version, at any layer of the class. */
static bool hold_class(struct holding *h, uint32_t class, uint32_t *index)
{
	struct universe *u = &h->l->s->universe;
	const struct plan *p = &h->plan;
	uint32_t room = 0;
	struct plan_hold hold = { .rollout = h->name };
	uint32_t *modules;

	for (uint32_t l = 0; l < p->n_layers; l++)
		room += plan_class_before(p, class, l)->n + plan_class_after(p, class, l)->n;
	modules = fl_arena_get(&h->l->s->arena, room, sizeof(*modules));
	if (modules == NULL)
		return false;
	for (uint32_t l = 0; l < p->n_layers; l++) {
		const struct plan_set *sets[] = { plan_class_before(p, class, l),
			plan_class_after(p, class, l) };

		for (int side = 0; side < 2; side++) {
			for (uint32_t i = 0; i < sets[side]->n; i++) {
				if (!has_item(sets[!side], &sets[side]->items[i]))
					modules[hold.n_modules++] = universe_module(
						u, sets[side]->items[i].module->name);
			}
		}
	}
	hold.modules = modules;
	return add_hold(h->l, hold, index);
}

/* Both holds on one device. */
static bool join_holds(struct holding *h, uint32_t a, uint32_t b, uint32_t *index)
{
	struct planning_loader *l = h->l;
	struct plan_hold x = l->s->holds[a], y = l->s->holds[b], both = { 0 };
	size_t room = strlen(x.rollout) + strlen(y.rollout) + 8;
	uint32_t *modules;
	char *name;

	if (h->joined[0] == a && h->joined[1] == b) {
		*index = h->joined[2];
		return true;
	}
	name = fl_arena_get(&l->s->arena, room, 1);
	modules = fl_arena_get(&l->s->arena, (size_t)x.n_modules + y.n_modules, sizeof(*modules));
	if (name == NULL || modules == NULL)
		return false;
	(void)snprintf(name, room, "%s or %s", x.rollout, y.rollout);
	memcpy(modules, x.modules, x.n_modules * sizeof(*modules));
	memcpy(modules + x.n_modules, y.modules, y.n_modules * sizeof(*modules));
	both = (struct plan_hold){ name, modules, x.n_modules + y.n_modules };
	h->joined[0] = a;
	h->joined[1] = b;
	if (!add_hold(l, both, &h->joined[2]))
		return false;
	*index = h->joined[2];
	return true;
}

static enum fl_code on_assignment(
	void *context, int64_t rollout_id, const struct assignment *a, struct fl_err *err)
{
	struct holding *h = context;
	struct planning_devices *d = &h->l->s->devices;
	uint32_t device = planning_find(d, a->device_no);
	enum fl_code code = FL_OK;

	if (device == PLAN_NO_DEVICE)
		return FL_OK;
	if (rollout_id != h->rollout_id)
		code = open_rollout(h, rollout_id, err);
	if (code != FL_OK || h->gives_way || a->class < 0 || (size_t)a->class >= h->n_classes)
		return code;
	if (h->of_class[a->class] == 0 &&
		!hold_class(h, (uint32_t)a->class, &h->of_class[a->class]))
		return nomem(err);
	if (d->held[device] == 0)
		d->held[device] = h->of_class[a->class];
	else if (!join_holds(h, d->held[device], h->of_class[a->class], &d->held[device]))
		return nomem(err);
	return FL_OK;
}

enum fl_code planning_load_holds(struct planning_loader *l, struct fl_err *err)
{
	struct holding h = { .l = l };
	enum fl_code code =
		assignment_each_active(l->store, l->rq->rollout_id, on_assignment, &h, err);

	plan_fini(&h.plan);
	return code;
}
