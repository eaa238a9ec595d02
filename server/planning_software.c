/* SPDX-License-Identifier: Apache-2.0
 *
 * Modules, versions, the release and ready deltas, from the store into the universe. */
#include "server/planning_load.h"

#include "server/store/module.h"
#include "server/store/plan.h"
#include "server/store/release.h"
#include "server/store/version.h"

#include <string.h>

static enum fl_code nomem(struct fl_err *err)
{
	return fl_fail(err, FL_NOMEM, "no memory to plan");
}

static enum fl_code on_module(void *context, const struct module *m, struct fl_err *err)
{
	struct planning_loader *l = context;
	struct universe *u = &l->s->universe;
	uint32_t module = universe_module(u, m->name);

	universe_publish_module(
		u, module, m->kind, strcmp(m->tier, "gateway") == 0 ? TIER_GATEWAY : TIER_DEVICE);
	return planning_map_set(&l->modules, m->id, module) ? FL_OK : nomem(err);
}

static enum fl_code on_version(void *context, const struct version *v, struct fl_err *err)
{
	struct planning_loader *l = context;
	struct universe *u = &l->s->universe;
	uint32_t version =
		universe_version(u, planning_map_get(&l->modules, v->module_id), v->version);

	universe_publish_version(u, version,
		&(struct universe_publication){ .floor = v->floor,
			.one_way = !v->downgrade,
			.blocked = v->blocked_at == 0    ? NULL
				: v->blocked_why == NULL ? ""
							 : v->blocked_why });
	return planning_map_set(&l->versions, v->id, version) ? FL_OK : nomem(err);
}

static enum fl_code on_requirement(
	void *context, const struct version_demand *d, struct fl_err *err)
{
	struct planning_loader *l = context;
	struct universe *u = &l->s->universe;

	(void)err;
	universe_require(u, planning_map_get(&l->versions, d->version_id),
		universe_module(u, d->name), d->range);
	return FL_OK;
}

static enum fl_code on_need(void *context, const struct version_demand *d, struct fl_err *err)
{
	struct planning_loader *l = context;
	struct universe *u = &l->s->universe;

	(void)err;
	universe_need(u, planning_map_get(&l->versions, d->version_id),
		universe_attribute(u, d->name, d->range));
	return FL_OK;
}

static enum fl_code on_variant(void *context, const struct variant *v, struct fl_err *err)
{
	struct planning_loader *l = context;
	struct universe *u = &l->s->universe;
	uint32_t artifact = UNIVERSE_NONE;

	if (v->artifact_id != 0) {
		artifact = planning_map_get(&l->artifacts, v->artifact_id);
		if (artifact == UNIVERSE_NONE) {
			artifact = universe_artifact(u, v->sha256, v->size, v->artifact_id);
			if (!planning_map_set(&l->artifacts, v->artifact_id, artifact))
				return nomem(err);
		}
	}
	universe_variant(u, planning_map_get(&l->versions, v->version_id),
		v->selector == NULL ? UNIVERSE_ALWAYS : universe_selector(u, v->selector),
		artifact);
	return FL_OK;
}

static enum fl_code on_entry(void *context, const struct release_entry *e, struct fl_err *err)
{
	struct planning_loader *l = context;
	struct universe *u = &l->s->universe;
	struct resolve_entry entry = { .version = UNIVERSE_NONE };

	if (!planning_grow(&l->s->entries, l->s->in.n_entries, &l->cap_entries, sizeof(entry)))
		return nomem(err);
	entry.action = strcmp(e->action, "absent") == 0 ? RESOLVE_ABSENT
		: strcmp(e->action, "install") == 0     ? RESOLVE_INSTALL
							: RESOLVE_UPDATE;
	entry.module = universe_module(u, e->module);
	if (e->version != NULL)
		entry.version = universe_version(u, entry.module, e->version);
	l->s->entries[l->s->in.n_entries++] = entry;
	return FL_OK;
}

static enum fl_code load_release(struct planning_loader *l, struct fl_err *err)
{
	struct release r = { 0 };
	enum fl_code code = release_get(l->store, l->rq->release, &r, err);

	if (code == FL_OK)
		code = release_each_entry(l->store, r.id, on_entry, l, err);
	release_fini(&r);
	return code;
}

enum fl_code planning_load_software(struct planning_loader *l, struct fl_err *err)
{
	enum fl_code code = module_each(l->store, "", -1, on_module, l, err);

	if (code == FL_OK)
		code = version_each(l->store, 0, on_version, l, err);
	if (code == FL_OK)
		code = version_each_requirement(l->store, 0, on_requirement, l, err);
	if (code == FL_OK)
		code = version_each_need(l->store, 0, on_need, l, err);
	if (code == FL_OK)
		code = version_each_variant(l->store, 0, on_variant, l, err);
	return code == FL_OK ? load_release(l, err) : code;
}

static enum fl_code on_delta(
	void *context, int64_t from, int64_t to, int64_t size, struct fl_err *err)
{
	struct planning_loader *l = context;
	struct plan_delta d = { planning_map_get(&l->artifacts, from),
		planning_map_get(&l->artifacts, to), size };

	if (d.from == UNIVERSE_NONE || d.to == UNIVERSE_NONE)
		return FL_OK;
	if (!planning_grow(&l->s->deltas, l->s->in.n_deltas, &l->cap_deltas, sizeof(d)))
		return nomem(err);
	l->s->deltas[l->s->in.n_deltas++] = d;
	return FL_OK;
}

enum fl_code planning_load_deltas(struct planning_loader *l, struct fl_err *err)
{
	return plan_each_delta(l->store, on_delta, l, err);
}
