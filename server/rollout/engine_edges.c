/* SPDX-License-Identifier: Apache-2.0
 *
 * The edges of the three state machines. A pair that is not here is refused (I1). */
#include "server/rollout/engine.h"

struct edge {
	unsigned from; /* bits 1 << state */
	unsigned to;   /* bits 1 << state */
	const char *why;
};

#define R(s) (1u << ROLLOUT_##s)
static const struct edge rollout_edges[] = {
	{ R(PLANNING), R(READY), "the plan is stored" },
	{ R(PLANNING), R(FAILED), "there is no plan" },
	{ R(PLANNING), R(WAITING_APPROVAL), "the plan is stored and must be approved" },
	{ R(WAITING_APPROVAL), R(READY), "enough approvers agree" },
	{ R(WAITING_APPROVAL), R(DENIED), "an approver does not agree" },
	{ R(READY), R(SCHEDULED), "an operator names the time of its start" },
	{ R(SCHEDULED), R(READY), "it shall not start by itself, or cannot" },
	{ R(READY) | R(SCHEDULED), R(STARTING), "an operator starts it, or its time has come" },
	{ R(STARTING), R(RUNNING), "the rows of its first stage are stored" },
	{ R(STARTING), R(COMPLETED), "there is nothing to do" },
	{ R(RUNNING), R(COMPLETED), "every stage has succeeded and nobody is under way" },
	{ R(COMPLETED), R(RUNNING), "failed devices try again" },
	{ R(STARTING) | R(RUNNING) | R(STOPPING) | R(ROLLING_BACK), R(PAUSED),
		"an operator, a gate or a defect stops the clock" },
	{ R(PAUSED), R(STARTING) | R(RUNNING) | R(STOPPING) | R(ROLLING_BACK), "it goes on" },
	{ R(DRAFT) | R(PLANNING) | R(WAITING_APPROVAL) | R(READY) | R(SCHEDULED), R(STOPPED),
		"it never started" },
	{ R(STARTING) | R(RUNNING) | R(PAUSED), R(STOPPING), "an operator or a gate stops it" },
	{ R(STOPPING), R(STOPPED), "nothing is in flight any more" },
	{ R(STARTING) | R(RUNNING) | R(PAUSED) | R(STOPPING) | R(STOPPED) | R(COMPLETED),
		R(ROLLING_BACK), "an operator or a gate takes it back" },
	{ R(ROLLING_BACK), R(ROLLED_BACK), "every stage has been taken back" },
	{ R(ROLLING_BACK), R(STOPPED), "the wave has been taken back" },
};

#define G(s) (1u << STAGE_##s)
static const struct edge stage_edges[] = {
	{ G(PENDING), G(RUNNING), "the stages that it needs have succeeded" },
	{ G(PENDING), G(SKIPPED), "the rollout ends before it" },
	{ G(RUNNING), G(SOAKING), "success holds for the first time" },
	{ G(SOAKING), G(RUNNING), "success has ceased to hold" },
	{ G(RUNNING) | G(SOAKING) | G(FAILED) | G(INCONCLUSIVE), G(SUCCEEDED),
		"the gate is passed, by itself or by hand" },
	{ G(RUNNING) | G(SOAKING), G(FAILED), "too many have failed" },
	{ G(RUNNING) | G(SOAKING), G(INCONCLUSIVE), "the gate cannot decide any more" },
	{ G(FAILED) | G(INCONCLUSIVE), G(RUNNING),
		"failed devices try again, held ones are released" },
	{ G(SUCCEEDED) | G(FAILED) | G(INCONCLUSIVE), G(ROLLING_BACK), "it is taken back" },
	{ G(ROLLING_BACK), G(ROLLED_BACK), "every device that answers has been taken back" },
};

#define S(s)          (1u << STEP_##s)
#define BEFORE_SWITCH (S(OFFERED) | S(WAITING) | S(DOWNLOADING) | S(DOWNLOADED))
#define ON_SWITCH     (S(INSTALLING) | S(REBOOTING) | S(INSTALLED))
#define IN_FLIGHT     (BEFORE_SWITCH | ON_SWITCH)
/* Both ways: what a device does with an order. */
#define PROGRESS                                                                               \
	{ S(OFFERED), S(WAITING) | S(DOWNLOADING) | S(DOWNLOADED) | ON_SWITCH,                 \
		"the device takes it up" },                                                    \
		{ S(WAITING), S(DOWNLOADING) | S(DOWNLOADED) | ON_SWITCH,                      \
			"the device waits no longer" },                                        \
		{ S(DOWNLOADING), S(WAITING) | S(DOWNLOADED) | ON_SWITCH,                      \
			"the device reports progress" },                                       \
		{ S(DOWNLOADED), S(WAITING) | ON_SWITCH, "the device reports progress" },      \
		{ S(INSTALLING), S(REBOOTING) | S(INSTALLED), "the device reports progress" }, \
		{ S(REBOOTING), S(INSTALLED), "the device reports progress" },

static const struct edge forward_edges[] = {
	{ S(QUEUED) | S(UNREACHED), S(OFFERED), "the device asks and a slot is free" },
	{ S(QUEUED), S(UNREACHED), "it did not ask before the stage's deadline" },
	{ S(QUEUED) | S(UNREACHED), S(NOOP), "it has the versions already" },
	{ S(QUEUED) | S(UNREACHED), S(INELIGIBLE), "it is not what the plan took it for" },
	{ S(QUEUED) | S(UNREACHED) | S(REJECTED) | S(HELD) | BEFORE_SWITCH, S(SUPERSEDED),
		"another rollout takes it over" },
	{ S(QUEUED) | S(UNREACHED), S(HELD), "its stratum is held" },
	{ S(HELD), S(QUEUED) | S(UNREACHED), "its stratum is released" },
	PROGRESS{ IN_FLIGHT, S(CONFIRMED), "the new versions run and were reported" },
	{ BEFORE_SWITCH, S(REJECTED), "the device refuses the order" },
	{ IN_FLIGHT, S(FAILED), "the device reports a failure" },
	{ IN_FLIGHT, S(TIMED_OUT), "no end was reported in time" },
	{ S(QUEUED) | S(UNREACHED) | S(REJECTED) | S(HELD) | BEFORE_SWITCH, S(CANCELED),
		"the rollout is stopped" },
	{ S(QUEUED) | S(UNREACHED) | S(REJECTED) | S(HELD) | IN_FLIGHT, S(REMOVED),
		"the device is retired" },
	{ S(FAILED) | S(TIMED_OUT) | S(REJECTED), S(QUEUED), "it tries again" },
};
static const struct edge backward_edges[] = {
	{ S(QUEUED) | S(UNREACHED), S(OFFERED), "the device asks and a slot is free" },
	{ S(QUEUED), S(UNREACHED), "it is silent: the order stands until it comes back" },
	{ S(QUEUED) | S(UNREACHED), S(HELD), "it has no way back" },
	{ S(QUEUED) | S(UNREACHED) | BEFORE_SWITCH, S(SUPERSEDED), "another rollout has it" },
	PROGRESS{ IN_FLIGHT, S(ROLLED_BACK), "the earlier versions run and were reported" },
	{ IN_FLIGHT, S(ROLLBACK_FAILED), "the way back failed or was not reported in time" },
	{ S(QUEUED) | S(UNREACHED) | IN_FLIGHT, S(REMOVED), "the device is retired" },
};
static const struct edge turn_edges[] = {
	{ IN_FLIGHT | S(REJECTED) | S(CONFIRMED) | S(FAILED) | S(TIMED_OUT) | S(CANCELED),
		S(QUEUED), "the rollout is taken back" },
	{ IN_FLIGHT | S(REJECTED) | S(CONFIRMED) | S(FAILED) | S(TIMED_OUT) | S(CANCELED), S(HELD),
		"the rollout is taken back and it has no way back" },
};

/* The reason of the edge, NULL if there is none. */
static const char *find(const struct edge *edges, size_t n, int from, int to)
{
	for (size_t i = 0; i < n; i++)
		if ((edges[i].from & 1u << from) != 0 && (edges[i].to & 1u << to) != 0)
			return edges[i].why;
	return NULL;
}

const char *engine_rollout_edge(enum rollout_state from, enum rollout_state to)
{
	return find(rollout_edges, FL_COUNT(rollout_edges), (int)from, (int)to);
}

const char *engine_stage_edge(enum stage_state from, enum stage_state to)
{
	return find(stage_edges, FL_COUNT(stage_edges), (int)from, (int)to);
}

const char *engine_step_edge(enum engine_way way, enum step_state from, enum step_state to)
{
	if (way == ENGINE_FORWARD)
		return find(forward_edges, FL_COUNT(forward_edges), (int)from, (int)to);
	if (way == ENGINE_BACKWARD)
		return find(backward_edges, FL_COUNT(backward_edges), (int)from, (int)to);
	return find(turn_edges, FL_COUNT(turn_edges), (int)from, (int)to);
}
