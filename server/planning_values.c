/* SPDX-License-Identifier: Apache-2.0
 *
 * What a simulation asks of every device besides what a plan does: whose clock it goes by, of which group not
 * all may be under way together, and which freezes are about it. */
#include "server/planning_load.h"

#include "server/freezes.h"

#include <stdlib.h>
#include <string.h>

#define ZONES_MAX   1000
#define FREEZES_MAX 32 /* bits */
#define DAY_MS      86400000LL

struct values {
	struct planning_loader *l;
	const char *zone_of;    /* "attribute.tz"; NULL: nobody names one */
	struct fl_buf group_by; /* "label.site"; empty: by no label. Owned */
	uint32_t cap_zones;
	size_t at; /* where the next device stands */
};

static enum fl_code nomem(struct fl_err *err)
{
	return fl_fail(err, FL_NOMEM, "no memory to plan");
}

static enum fl_code add_zone(struct values *v, const char *name, uint32_t *at, struct fl_err *err)
{
	struct planning_snapshot *s = v->l->s;
	uint32_t *n = &s->in.n_zones;

	for (*at = 0; *at < *n; (*at)++)
		if (strcmp(s->zones[*at], name) == 0)
			return FL_OK;
	if (*n == ZONES_MAX)
		return fl_fail(
			err, FL_REFUSED, "the devices name more than %d time zones", ZONES_MAX);
	if (!planning_grow(&s->zones, *n, &v->cap_zones, sizeof(*s->zones)) ||
		(s->zones[*n] = strdup(name)) == NULL)
		return nomem(err);
	(*n)++;
	return FL_OK;
}

/* Numbers that are equal for equal values only, but for a chance that does not matter. */
static uint64_t hash(const struct fl_buf *value)
{
	uint64_t h = 14695981039346656037U;

	for (size_t i = 0; i < value->n; i++)
		h = (h ^ value->p[i]) * 1099511628211U;
	return h | 1; /* 0 is no group */
}

static enum fl_code on_device(void *context, const struct device *d, struct fl_err *err)
{
	struct values *v = context;
	struct planning_devices *devices = &v->l->s->devices;
	FL_AUTO_JSON json_t *attributes = NULL, *labels = NULL;
	FL_AUTO_BUF struct fl_buf zone = { 0 }, group = { 0 };
	struct planning_traits traits;

	while (v->at < devices->n && devices->no[v->at] < d->no)
		v->at++;
	if (v->at == devices->n || devices->no[v->at] != d->no)
		return FL_OK;
	traits.attributes = attributes = json_loads(d->attributes, 0, NULL);
	traits.labels = labels = json_loads(d->labels, 0, NULL);
	if (v->group_by.n > 0 && planning_add_value(&traits, (char *)v->group_by.p, &group))
		devices->group[v->at] = hash(&group);
	return v->zone_of != NULL && planning_add_value(&traits, v->zone_of, &zone) && zone.n > 0
		? add_zone(v, (char *)zone.p, &devices->zone[v->at], err)
		: FL_OK;
}

/* ---- freezes */

struct freezing {
	struct planning_loader *l;
	uint32_t cap, bit;
};

static enum fl_code on_frozen(void *context, const struct device *d, struct fl_err *err)
{
	struct freezing *x = context;
	struct planning_devices *devices = &x->l->s->devices;
	uint32_t i = planning_find(devices, d->no);

	(void)err;
	if (i != PLAN_NO_DEVICE)
		devices->frozen[i] |= x->bit;
	return FL_OK;
}

static enum fl_code select_frozen(struct freezing *x, const struct freeze *f, struct fl_err *err)
{
	RSQL_AUTO struct rsql *where = NULL;
	enum fl_code code = f->selector[0] == '\0' ? FL_OK : rsql_parse(f->selector, &where, err);

	return code == FL_OK
		? device_select_narrow(x->l->store,
			  &(struct device_filter){ .where = where, .limit = -1 }, on_frozen, x, err)
		: code;
}

static enum fl_code on_freeze(void *context, const struct freeze *f, struct fl_err *err)
{
	struct freezing *x = context;
	struct planning_snapshot *s = x->l->s;
	int64_t now = x->l->store->now_ms;
	const struct opening_horizon horizon = { now - DAY_MS,
		now + x->l->rq->simulated_ms + DAY_MS };
	uint32_t n = s->in.n_freezes;
	enum fl_code code;

	if (f->lifted_ms != 0 || (f->until_ms != 0 && f->until_ms <= now))
		return FL_OK;
	if (n == FREEZES_MAX)
		return fl_fail(err, FL_REFUSED, "there are more than %d freezes", FREEZES_MAX);
	if (!planning_grow(&s->freezes, n, &x->cap, sizeof(*s->freezes)))
		return nomem(err);
	s->freezes[n] = (struct window){ 0 };
	s->in.n_freezes++;
	x->bit = 1u << n;
	code = freezes_expand(f, &horizon, &s->freezes[n], err);
	return code == FL_OK ? select_frozen(x, f, err) : code;
}

static enum fl_code load_freezes(struct planning_loader *l, struct fl_err *err)
{
	struct planning_devices *d = &l->s->devices;
	struct freezing x = { .l = l };

	d->frozen = calloc(d->n + 1, sizeof(*d->frozen));
	return d->frozen == NULL ? nomem(err)
				 : freeze_each(l->store, 0, INT64_MAX, on_freeze, &x, err);
}

enum fl_code planning_load_values(struct planning_loader *l, struct fl_err *err)
{
	const struct strategy *y = l->rq->strategy;
	struct planning_devices *d = &l->s->devices;
	struct values v = { .l = l };
	uint32_t own;
	enum fl_code code;

	if (l->rq->simulated_ms == 0)
		return FL_OK;
	d->zone = calloc(d->n + 1, sizeof(*d->zone));
	d->group = calloc(d->n + 1, sizeof(*d->group));
	if (d->zone == NULL || d->group == NULL)
		return nomem(err);
	if (y->windows.zone_of[0] != '\0')
		v.zone_of = y->windows.zone_of;
	if (y->pace.group == PACE_LABEL)
		fl_buf_printf(&v.group_by, "label.%s", y->pace.label);
	code = fl_buf_check(&v.group_by, err);
	if (code == FL_OK)
		code = add_zone(&v, y->windows.zone, &own, err);
	if (code == FL_OK && d->n > 0 && (v.zone_of != NULL || v.group_by.n > 0))
		code = device_each_profile(l->store, d->no[0], d->no[d->n - 1], on_device, &v, err);
	fl_buf_fini(&v.group_by);
	return code == FL_OK ? load_freezes(l, err) : code;
}
