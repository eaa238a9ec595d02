/* SPDX-License-Identifier: Apache-2.0
 *
 * Fleets over small universes and plans for them, for the tests of the planner. */
#ifndef SMALL_FLEET_H
#define SMALL_FLEET_H

#include "server/rollout/plan.h"
#include "tests/unit/small_universe.h"

#define SMALL_FLEET_MAX 4000

/* A fleet over a small universe. */
struct small_fleet {
	struct small s;
	struct strategy strategy;
	struct plan_input in;
	int64_t no[SMALL_FLEET_MAX];
	uint32_t state[SMALL_FLEET_MAX], signature[SMALL_FLEET_MAX], gateway[SMALL_FLEET_MAX];
	uint32_t stratum[SMALL_FLEET_MAX], held[SMALL_FLEET_MAX];
	uint16_t wave[SMALL_FLEET_MAX];
	uint8_t flags[SMALL_FLEET_MAX];
};

/* Begin with a strategy. */
static inline void small_fleet_begin(struct small_fleet *f, const char *strategy)
{
	FL_AUTO_JSON json_t *json = json_loads(strategy, 0, NULL);
	struct fl_err err;

	memset(f, 0, sizeof(*f));
	assert_non_null(json);
	if (strategy_read(json, 7, &f->strategy, &err) != FL_OK)
		fail_msg("%s", err.msg);
}

/* n devices with these installed behind `gateway` (PLAN_NO_DEVICE: none); returns the first. */
static inline uint32_t small_fleet_add(
	struct small_fleet *f, uint32_t n, const char *installed, uint32_t gateway)
{
	uint32_t state = small_state(&f->s, installed), first = (uint32_t)f->in.devices.n;

	for (uint32_t i = 0; i < n; i++) {
		size_t k = f->in.devices.n++;

		assert_true(k < SMALL_FLEET_MAX);
		f->no[k] = (int64_t)k + 1;
		f->state[k] = state;
		f->gateway[k] = gateway;
		f->wave[k] = PLAN_NO_WAVE;
		f->flags[k] = PLAN_SELECTED;
	}
	return first;
}

/* Plan for all devices; end with small_fleet_end. */
static inline void small_fleet_make(struct small_fleet *f, struct plan *p)
{
	struct fl_err err;

	if (!f->s.u.sealed)
		small_seal(&f->s);
	f->in.universe = &f->s.u;
	f->in.release = "spring";
	f->in.entries = f->s.entries;
	f->in.n_entries = f->s.n_entries;
	f->in.strategy = &f->strategy;
	f->in.devices.no = f->no;
	f->in.devices.state = f->state;
	f->in.devices.signature = f->signature;
	f->in.devices.gateway = f->gateway;
	f->in.devices.stratum = f->stratum;
	f->in.devices.held = f->held;
	f->in.devices.wave = f->wave;
	f->in.devices.flags = f->flags;
	f->in.n_signatures = 1;
	memset(p, 0, sizeof(*p));
	if (plan_make(&f->in, p, &err) != FL_OK)
		fail_msg("%s", err.msg);
}

static inline void small_fleet_end(struct small_fleet *f, struct plan *p)
{
	plan_fini(p);
	universe_fini(&f->s.u);
	strategy_fini(&f->strategy);
}

/* Two versions of app, lib and runtime, each needing the next, and a release of the newer ones. */
static inline void small_fleet_chain(struct small *s)
{
	small_publish(s, "app 1.0.0", "lib >=1");
	small_publish(s, "app 2.0.0", "lib ^2");
	small_publish(s, "lib 1.0.0", "runtime >=1");
	small_publish(s, "lib 2.0.0", "runtime ^2");
	small_publish(s, "runtime 1.0.0", "");
	small_publish(s, "runtime 2.0.0", "");
	small_release(s, "app 2.0.0, lib 2.0.0, runtime 2.0.0");
}

#endif
