/* SPDX-License-Identifier: Apache-2.0
 *
 * How much of a rollout's devices has moved away from what its plan took it for. Only the modules that the
 * rollout changes, and what it requires beside them, matter: what else is new on a device may be another
 * rollout's. Devices have few distinct states, so an answer is kept and given again. */
#include "server/rollouts_in.h"

#include "server/store/version.h"

#include "lib/semver.h"

#include <stdlib.h>

#define KEPT 1024 /* answers; a power of two */

/* Devices of a class that had one state and have another now. */
struct answer {
	int64_t class, planned, now; /* planned 0: an empty place */
	bool drifted;
};

struct rollouts_drift {
	struct rollouts_lane lane;
	int64_t rollout_id;
	struct rollouts_parsed *parsed; /* owned; NULL: nothing has moved so far */
	struct assignment_drift seen;
	struct answer kept[KEPT];
};

struct rollouts_drift *rollouts_drift_new(int64_t rollout_id)
{
	struct rollouts_drift *d = calloc(1, sizeof(*d));

	if (d != NULL)
		d->rollout_id = rollout_id;
	return d;
}

void rollouts_drift_free(void *drift)
{
	struct rollouts_drift *d = drift;

	if (d == NULL)
		return;
	rollouts_parsed_free(d->parsed);
	free(d);
}

const struct assignment_drift *rollouts_drift_seen(const struct rollouts_drift *d)
{
	return &d->seen;
}

enum fl_code rollouts_drift_judge(
	const struct rollouts_drift *d, int64_t max_drift_ppm, struct fl_err *err)
{
	FL_BUG_IF(!d->seen.whole);
	if (d->seen.drifted * STRATEGY_PPM <= max_drift_ppm * d->seen.of)
		return FL_OK;
	return fl_fail(err, FL_REFUSED,
		"%lld of %lld devices have changed since the plan was made; plan anew under "
		"another name, or start with \"accept_drift\": they are left out",
		(long long)d->seen.drifted, (long long)d->seen.of);
}

/* What a device has now beside what the layers change. */
struct comparison {
	const struct rollouts_changes *changes;
	const struct rollouts_set *now;
	bool unmet;
};

static enum fl_code look_at_demand(
	void *context, const struct version_demand *d, struct fl_err *err)
{
	struct comparison *c = context;
	const char *now = rollouts_set_version(c->now, d->name);
	struct fl_semver v;
	struct fl_range r;

	(void)err;
	/* what is not on the device may be on its gateway, and is asked for when the step is delivered */
	if (now == NULL || rollouts_change_of(c->changes, d->name) != NULL)
		return FL_OK;
	if (fl_semver_parse(now, &v, NULL) != FL_OK ||
		fl_range_parse(d->range, &r, NULL) != FL_OK || !fl_range_has(&r, &v))
		c->unmet = true;
	return FL_OK;
}

/* Whether a module that the rollout changes is no longer what it was planned for: what a rollout brings
 * that this one takes over is no drift. */
static enum fl_code look_at_module(const struct rollouts_drift *d,
	const struct rollouts_change *change, const char *now, bool *drifted, struct fl_err *err)
{
	const struct state_entry what = { change->module, now };
	bool brought = false;
	enum fl_code code = FL_OK;

	*drifted = !rollouts_same_version(now, rollouts_item_version(change->from));
	if (*drifted && now != NULL)
		code = rollouts_overtakes(&d->lane, d->parsed, &what, &brought, err);
	*drifted = *drifted && !brought;
	return code;
}

static enum fl_code compare(
	const struct rollouts_drift *d, const struct answer *a, bool *drifted, struct fl_err *err)
{
	FL_AUTO_ARENA struct fl_arena text = { 0 };
	struct rollouts_changes changes;
	struct rollouts_set now;
	struct comparison c = { .changes = &changes, .now = &now };
	enum fl_code code = rollouts_changes(
		&d->parsed->plan, (int)a->class, ROLLOUTS_WHOLE_WAY, &changes, err);

	if (code == FL_OK)
		code = rollouts_set_load(d->lane.store, a->now, &text, &now, err);
	for (size_t i = 0; i < changes.n && code == FL_OK && !c.unmet; i++) {
		const struct rollouts_change *change = &changes.of[i];

		code = look_at_module(
			d, change, rollouts_set_version(&now, change->module), &c.unmet, err);
		if (code == FL_OK && change->to != NULL)
			code = version_each_required(d->lane.store, change->module,
				change->to->version, look_at_demand, &c, err);
	}
	*drifted = c.unmet;
	return code;
}

/* Where the answer about such devices is, or will be. */
static struct answer *place_of(struct rollouts_drift *d, const struct answer *a)
{
	uint64_t hash =
		((uint64_t)a->planned * 1099511628211u ^ (uint64_t)a->now) * 1099511628211u ^
		(uint64_t)a->class;

	return &d->kept[(hash ^ hash >> 32) % KEPT];
}

static enum fl_code has_moved(void *context, const struct assignment *planned, int64_t state_id,
	bool *drifted, struct fl_err *err)
{
	struct rollouts_drift *d = context;
	struct answer a = { planned->class, planned->state_id, state_id, true };
	struct answer *kept = place_of(d, &a);
	enum fl_code code = FL_OK;

	if (kept->planned != a.planned || kept->now != a.now || kept->class != a.class) {
		if (d->parsed == NULL)
			code = rollouts_parsed_load(&d->lane, d->rollout_id, &d->parsed, err);
		if (code == FL_OK)
			code = compare(d, &a, &a.drifted, err);
		if (code == FL_OK)
			*kept = a;
	}
	*drifted = code != FL_OK || kept->drifted;
	return code;
}

enum fl_code rollouts_drift_more(
	struct server *server, struct store *store, struct rollouts_drift *d, struct fl_err *err)
{
	const struct assignment_watch watch = { has_moved, d };

	d->lane = (struct rollouts_lane){ .server = server, .store = store };
	return assignment_drift_more(store, d->rollout_id, &watch, &d->seen, err);
}
