/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether what is installed would still work together with a set: the plan saw to the order, but a
 * gateway or a device behind it may have failed, been left out or drifted since. Looked at when a step
 * is about to be delivered. */
#include "server/rollouts_in.h"

#include "server/store/state.h"
#include "server/store/version.h"

#include "lib/semver.h"

#include <string.h>

/* What is required is looked for in `set`; where that changes from `before`, it must not get worse. */
struct checking {
	const struct plan_set *set;
	const struct plan_set *before; /* NULL: everything must be met */
	struct store *store;
	int64_t gateway_state; /* where what the set lacks is looked for; 0: nowhere */
	bool met;
};

static const char *version_in(const struct plan_set *set, const char *module)
{
	for (uint32_t i = 0; i < set->n; i++)
		if (strcmp(set->items[i].module->name, module) == 0)
			return set->items[i].version;
	return NULL;
}

/* Texts that cannot be read are not in a range. */
static bool in_range(const char *version, const char *range)
{
	struct fl_semver v;
	struct fl_range r;

	return version != NULL && fl_semver_parse(version, &v, NULL) == FL_OK &&
		fl_range_parse(range, &r, NULL) == FL_OK && fl_range_has(&r, &v);
}

struct lookup {
	const struct version_demand *demand;
	bool met;
};

static enum fl_code look_at_entry(
	void *context, int64_t state_id, const struct state_entry *e, struct fl_err *err)
{
	struct lookup *l = context;

	(void)state_id;
	(void)err;
	if (strcmp(e->module, l->demand->name) == 0)
		l->met = in_range(e->version, l->demand->range);
	return FL_OK;
}

/* A demand of the set itself: the gateway meets what is not on the device. */
static enum fl_code check_own(void *context, const struct version_demand *d, struct fl_err *err)
{
	struct checking *c = context;
	const char *own = version_in(c->set, d->name);
	struct lookup l = { .demand = d };
	enum fl_code code = FL_OK;

	if (own != NULL || c->gateway_state == 0)
		return FL_OK; /* the plan has seen to what is on the device itself */
	code = state_each(c->store, c->gateway_state, look_at_entry, &l, err);
	c->met = c->met && l.met;
	return code;
}

/* A demand from behind the gateway: met before and not any more is what must not be. */
static enum fl_code check_behind(void *context, const struct version_demand *d, struct fl_err *err)
{
	struct checking *c = context;

	(void)err;
	if (in_range(version_in(c->before, d->name), d->range) &&
		!in_range(version_in(c->set, d->name), d->range))
		c->met = false;
	return FL_OK;
}

enum fl_code rollouts_requires_met(const struct rollouts_lane *lane,
	const struct rollouts_change *change, bool *met, struct fl_err *err)
{
	struct checking c = { .set = change->to,
		.before = change->from,
		.store = lane->store,
		.gateway_state = change->gateway_state,
		.met = true };
	enum fl_code code = FL_OK;

	for (uint32_t i = 0; c.gateway_state != 0 && i < c.set->n && code == FL_OK; i++)
		code = version_each_required(lane->store, c.set->items[i].module->name,
			c.set->items[i].version, check_own, &c, err);
	if (code == FL_OK && change->is_gateway)
		code = version_each_required_behind(
			lane->store, change->device_no, check_behind, &c, err);
	*met = c.met;
	return code;
}
