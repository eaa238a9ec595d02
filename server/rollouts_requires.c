/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether what is installed would still work together with a set: the plan saw to the order, but a
 * gateway or a device behind it may have failed, been left out or drifted since, and another rollout may
 * have brought modules that this plan knows nothing of. Looked at when a step is about to be delivered. */
#include "server/rollouts_in.h"

#include "server/store/version.h"

#include "lib/semver.h"

#include <string.h>

struct checking {
	const struct rollouts_lane *lane;
	const struct rollouts_shift *shift;
	const struct state_entry *who; /* whose demands are looked at */
	enum rollouts_unmet unmet;
};

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

/* A demand that the gateway has to meet. */
static enum fl_code ask_gateway(
	struct checking *c, const struct version_demand *d, struct fl_err *err)
{
	struct lookup l = { .demand = d };
	enum fl_code code =
		state_each(c->lane->store, c->shift->gateway_state, look_at_entry, &l, err);

	if (code == FL_OK && !l.met)
		c->unmet = ROLLOUTS_UNMET_AROUND;
	return code;
}

/* A demand of a module that the device would have. */
static enum fl_code check_own(void *context, const struct version_demand *d, struct fl_err *err)
{
	struct checking *c = context;
	const struct rollouts_outlook *o = c->shift->outlook;
	const char *then = rollouts_set_version(&o->then, d->name);
	bool as_it_was = rollouts_same_version(then, rollouts_set_version(&o->now, d->name)) &&
		rollouts_same_version(
			c->who->version, rollouts_set_version(&o->now, c->who->module));

	if (c->unmet != ROLLOUTS_ALL_MET)
		return FL_OK;
	if (then == NULL && c->shift->gateway_state != 0)
		return ask_gateway(c, d, err);
	if (!c->shift->planned && !as_it_was && !in_range(then, d->range))
		c->unmet = ROLLOUTS_UNMET_HERE;
	return FL_OK;
}

/* A demand from behind the gateway: met before and not any more is what must not be. */
static enum fl_code check_behind(void *context, const struct version_demand *d, struct fl_err *err)
{
	struct checking *c = context;
	const struct rollouts_outlook *o = c->shift->outlook;

	(void)err;
	if (c->unmet == ROLLOUTS_ALL_MET &&
		in_range(rollouts_set_version(&o->now, d->name), d->range) &&
		!in_range(rollouts_set_version(&o->then, d->name), d->range))
		c->unmet = ROLLOUTS_UNMET_AROUND;
	return FL_OK;
}

enum fl_code rollouts_gateway_state(
	struct store *store, const struct device *device, int64_t *state_id, struct fl_err *err)
{
	struct device gateway = { 0 };
	enum fl_code code = FL_OK;

	*state_id = 0;
	if (device->gateway_no == 0)
		return FL_OK;
	code = device_by_no(store, device->gateway_no, &gateway, err);
	*state_id = gateway.state_id;
	device_fini(&gateway);
	return code;
}

enum fl_code rollouts_requires_met(const struct rollouts_lane *lane,
	const struct rollouts_shift *shift, enum rollouts_unmet *unmet, struct fl_err *err)
{
	const struct rollouts_outlook *o = shift->outlook;
	struct checking c = { .lane = lane, .shift = shift };
	bool own = !shift->planned || shift->gateway_state != 0;
	enum fl_code code = FL_OK;

	for (size_t i = 0; own && i < o->then.n && code == FL_OK; i++) {
		c.who = &o->then.of[i];
		code = version_each_required(
			lane->store, c.who->module, c.who->version, check_own, &c, err);
	}
	if (code == FL_OK && o->device.gateway)
		code = version_each_required_behind(
			lane->store, o->device.no, check_behind, &c, err);
	*unmet = c.unmet;
	return code;
}
