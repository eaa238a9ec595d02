/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose a module of a device is: the rollout's that has set it last. A rollback leaves alone what another
 * rollout has set since. Pure. */
#ifndef ROLLOUT_OWNER_H
#define ROLLOUT_OWNER_H

#include "server/rollout/engine.h"

/* A device's step as an order that it was given once, by any rollout. */
struct owner_order {
	int64_t rollout_id;
	enum rollout_state rollout; /* the rollout's state now */
	int64_t manifest;           /* the greater, the later; 0: never given */
	enum step_state state;
	bool back;
	unsigned flags; /* bits of enum engine_flag */
};

/* Whether the device has what the order brought, or may have it. */
bool owner_holds(const struct owner_order *o);
/* Whether the order is another rollout's, later than `ours`, and its device may still have what it
 * brought: then a module that both change is not ours any more. */
bool owner_since(const struct owner_order *o, const struct owner_order *ours);
/* Whether a way back of rollout `id` does not end at what the order brought, because that is taken back
 * itself. */
bool owner_passed_by(const struct owner_order *o, int64_t id);
/* Whether a gateway may go back past what the order brought, given the order of a device behind it in the
 * same rollout: FITS; LATER while that may still need it; NO_WAY when it stays. */
enum engine_fit owner_behind(const struct owner_order *behind);
/* Whether a rollout other than `id` is about to take back what the order brought. */
bool owner_goes_back(const struct owner_order *o, int64_t id);

#endif
