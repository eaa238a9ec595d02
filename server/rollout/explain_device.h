/* SPDX-License-Identifier: Apache-2.0
 *
 * Why a device is offered what it is offered, or nothing: its part in one rollout, in words with their
 * numbers. Pure.
 *
 * DESIGN. Whether a step would be delivered now is asked of the engine itself, with the very fact that a
 * poll would give it, so that an explanation cannot say anything else than what then happens. The first
 * line is the decisive one. */
#ifndef ROLLOUT_EXPLAIN_DEVICE_H
#define ROLLOUT_EXPLAIN_DEVICE_H

#include "server/rollout/explain_stage.h"
#include "server/rollout/plan.h"

/* The device itself. */
struct explain_about {
	bool enrolled;
	int64_t registered_ms, retired_ms; /* retired: 0: it is not */
	int64_t asked_ms;                  /* when it asked last; 0: never */
	int64_t interval_ms;               /* how often devices ask */
	int64_t now_ms;
};
/* Say what there is to say without any rollout. */
void explain_about(struct explain *e, const struct explain_about *d);

/* How the plan sees the device. */
enum explain_member {
	EXPLAIN_NO_PLAN,    /* there is none yet, or it was refused */
	EXPLAIN_UNSELECTED, /* the selector does not match it */
	EXPLAIN_UNKNOWN,    /* the selector matches, the plan does not know it */
	EXPLAIN_LEFT_OUT,   /* the plan has another kind for it than update */
	EXPLAIN_ASSIGNED,   /* it takes part */
};

/* Its part in one rollout. All borrowed. */
struct explain_part {
	struct explain_rollout in;
	const struct explain_about *device;
	enum explain_member member;
	int64_t planned_ms;
	/* LEFT_OUT */
	enum plan_kind kind;
	const char *reason;
	/* ASSIGNED; arrays of rules->layers */
	int wave;
	const bool *changes; /* whether its class changes something in the layer */
	const bool *has;     /* whether there is a step */
	const struct engine_step *steps;
	/* about the step that explain_current names */
	const char *detail; /* of its last report about it; NULL: none */
	enum engine_fit fit;
	/* a freeze that holds for it; NULL: none is known of. And when it ends; 0: when it is lifted */
	const char *freeze;
	int64_t thaws_ms;
	bool attention; /* a poll of the device is looked at: it may have something waiting */
	/* what a poll would know of the load: in_flight and what follows it */
	struct engine_fact poll;
	/* another rollout that has it for one of the same modules; NULL: none */
	const char *rival;
	int64_t rival_priority;
	/* another one whose order it is offered first; NULL: none */
	const char *before;
	int64_t before_priority;
	/* an order of another rollout that it carries out; NULL: none */
	const char *other, *other_place;
};

/* The layer that the device's next move is about, or its last one was; -1 if its class changes nothing. */
int explain_current(const struct explain_part *p);

/* Say it. *offered: whether its step would be delivered if it asked now. */
void explain_part(struct explain *e, const struct explain_part *p, bool *offered);

#endif
