/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the resolver: the variables of one problem, the search for target versions, and the
 * sentences that say why there are none. Only resolve.c, target.c, explain.c and order.c include it. */
#ifndef ROLLOUT_TARGET_H
#define ROLLOUT_TARGET_H

#include "server/rollout/resolve.h"

#define TARGET_NONE UINT32_MAX /* no variable */

/* One module at one place. */
struct target_var {
	uint32_t place, module;
	uint32_t start, target; /* versions; UNIVERSE_NONE: absent */
	uint32_t next;          /* the next variable of the place */
	uint32_t cause;         /* the variable that requires it; TARGET_NONE */
	uint32_t depth;         /* if required: how far from what the release has */
	bool hard;              /* the release says its version */
	bool decided;           /* the search has chosen (also: to leave it) */
	bool required;          /* the release's, or required by one that is */
};

struct target_solver {
	const struct resolve_problem *p;
	const struct universe *u;
	struct target_var *vars; /* owned; grows */
	uint32_t n, cap;
	uint32_t *head; /* per place; owned */
	uint32_t work;
	bool out_of_memory;
	bool explained; /* the result has a reason */
	struct resolve_result *result;
};

/* The variable of a module at a place, TARGET_NONE. */
uint32_t target_find(const struct target_solver *s, uint32_t place, uint32_t module);
/* Add one. Sets out_of_memory and returns TARGET_NONE. */
uint32_t target_add(struct target_solver *s, uint32_t place, uint32_t module, uint32_t start);
/* Where a requirement of something at `place` on `module` is looked for: on the gateway for a gateway's
 * module, TARGET_NONE if there is no gateway; else the place itself. */
uint32_t target_provider(const struct target_solver *s, uint32_t place, uint32_t module);
/* What `module` is at the provider's place, now: UNIVERSE_NONE if absent or without a gateway. */
uint32_t target_provided(const struct target_solver *s, uint32_t place, uint32_t module);

/* Why a version cannot be put on a place. */
enum target_fit {
	FIT_OK,
	FIT_UNPUBLISHED,
	FIT_BLOCKED,
	FIT_OLDER,
	FIT_NO_VARIANT,
	FIT_NEED,
	FIT_NO_BYTES
};
/* Whether `version` can be put where variable v is, looking at nothing but the device itself. */
enum target_fit target_fits(
	const struct target_solver *s, const struct target_var *v, uint32_t version);

/* Find targets for all variables: true if there are; else the result holds the reason, or the work is
 * used up, or out_of_memory is set. */
bool target_search(struct target_solver *s);

/* ---- explain.c: each sets the result's outcome, place, reason and chain. */

/* A release's entry (or a floor on the way to it) does not fit. */
void explain_misfit(struct target_solver *s, uint32_t var, uint32_t version, enum target_fit why);
/* The requirement `r` of variable x cannot be met: nobody may move. An earlier reason stays. */
void explain_dead_end(struct target_solver *s, uint32_t x, const struct universe_requirement *r);
/* No version of `module` at `place` was found that satisfies all who require it. */
void explain_exhausted(struct target_solver *s, uint32_t place, uint32_t module, uint32_t x);
/* The changed variables need each other in a circle. */
void explain_cycle(struct target_solver *s, const uint32_t *vars, uint32_t n);
/* A step of one variable on its way. */
struct target_hop {
	uint32_t var;
	uint32_t from, to; /* versions */
};

/* Hops that would have to switch at once but cannot, as they are at different places or follow each
 * other. */
void explain_no_order(struct target_solver *s, const struct target_hop *hops, uint32_t n);
/* While variable x has `version` its requirement `r` cannot hold. */
void explain_no_way(struct target_solver *s, uint32_t x, uint32_t version,
	const struct universe_requirement *r);

/* ---- order.c */

/* The way of a variable: its start, the floors, its target. */
struct target_way {
	const uint32_t *versions; /* n, from the start on; borrowed */
	uint32_t n;               /* 1: it stays */
};

/* Put the hops of all ways in order and write hops, units and orders of the result. False: the result
 * says why there is no order (or out_of_memory). */
bool order_hops(struct target_solver *s, const struct target_way *ways);

#endif
