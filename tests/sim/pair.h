/* SPDX-License-Identifier: Apache-2.0
 *
 * Two rollouts at once over the same two devices, a gateway and one behind it, and the same modules: as much
 * of the runner as says whose a device is.
 *
 * DESIGN. Each rollout is a world of its own (world.h): the gateway's module in layer 0, the device's in
 * layer 1, one wave. Both were planned on devices with version 1; the older release brings version 2, the
 * newer one version 3, and each version of the device's module requires at least the same of the
 * gateway's. Around the two is what they share: what each device has, and who has set it. The order in
 * which a device is asked about its steps is left open: every order is explored. */
#ifndef SIM_PAIR_H
#define SIM_PAIR_H

#include "server/rollout/rival.h"
#include "tests/sim/world.h"

#define PAIR_ROLLOUTS 2
#define PAIR_DEVICES  2
#define PAIR_FROM     1   /* version that the devices have at the beginning */
#define PAIR_KEY      256 /* bytes of an encoded pair at most */
#define PAIR_ACTIONS  128

/* What does not change in an exploration. */
struct pair_setup {
	struct world_setup one;            /* of each of the two; pair_setup_init fills it */
	struct rival rival[PAIR_ROLLOUTS]; /* strategies: priority and supersede */
	bool late;  /* devices may report that they have carried out an order that is void */
	bool fewer; /* nobody stops or resumes, nothing takes too long, failures are of one kind */
	bool at_once; /* jobs are done as soon as they are there */
};

struct pair_device {
	int has;          /* version, as it has reported */
	int64_t set_at;   /* number of the manifest that brought it there; 0: none did */
	int64_t manifest; /* number of its newest one */
};
/* The newest order of a step. */
struct pair_order {
	int goal; /* version that it leads to */
	int had;  /* what the device had when it was delivered forward; 0: never */
};

struct pair {
	struct world of[PAIR_ROLLOUTS];
	struct pair_device device[PAIR_DEVICES];
	struct pair_order order[PAIR_ROLLOUTS][PAIR_DEVICES];
	int started[PAIR_ROLLOUTS]; /* 0: not yet; 1: first; 2: second */
	bool after[PAIR_ROLLOUTS];  /* it started when the other had ended */
	bool newer[PAIR_ROLLOUTS]
		  [PAIR_DEVICES]; /* its step has changed since the other one started */
};

struct pair_action {
	int rollout;
	struct world_action one;
};

/* Fill setup->one for the engine. */
void pair_setup_init(struct pair_setup *setup, world_engine_fn engine);
/* Two rollouts that are ready. */
void pair_init(const struct pair_setup *setup, struct pair *p);
/* Copy what the setup uses of a pair. */
void pair_copy(const struct pair_setup *setup, struct pair *to, const struct pair *from);
/* What can happen now; returns how many. */
int pair_actions(const struct pair_setup *setup, const struct pair *p, struct pair_action *out);
/* Let it happen and check everything. Returns what is broken, or NULL. */
const char *pair_apply(const struct pair_setup *setup, struct pair *p, const struct pair_action *a);
/* The pair as bytes, and the reverse. Returns the length. */
size_t pair_encode(const struct pair_setup *setup, const struct pair *p, uint8_t *key);
void pair_decode(const struct pair_setup *setup, const uint8_t *key, struct pair *out);

/* The version that a rollout brings. */
static inline int pair_brings(int rollout)
{
	return PAIR_FROM + 1 + rollout;
}

/* The device's step in the rollout; NULL: there is none yet. */
static inline const struct engine_step *pair_step(const struct pair *p, int rollout, int device)
{
	const struct world *w = &p->of[rollout];

	return w->present[device][device] ? &w->steps[device][device] : NULL;
}

/* Whether the device holds an order of the rollout. */
static inline bool pair_holds_order(const struct pair *p, int rollout, int device)
{
	const struct engine_step *s = pair_step(p, rollout, device);

	return s != NULL && s->deadline != 0;
}

/* ---- pair_checks.c: NULL, or what is broken */

/* An order that was just given; the step before it. */
const char *pair_check_offer(const struct pair_setup *setup, const struct pair *p,
	const struct pair_action *a, const struct engine_step *before);
/* The pair as a whole. */
const char *pair_check(const struct pair *p);

#endif
