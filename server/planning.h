/* SPDX-License-Identifier: Apache-2.0
 *
 * Planning a rollout of the real fleet: read a snapshot, think in the work lane, keep the result.
 *
 * DESIGN. Reading, thinking and writing are three parts in three lanes:
 *   read   planning_load fills a plan_input from one snapshot (distinct states, the versions that they
 *          and the release can touch, the devices that the selector matches and their neighbours);
 *   work   plan_make, pure;
 *   write  the plan's row first, then its assignments in slices through the writer, each with the
 *          cursor of the job (kind "plan", subject rollout). The last slice sets the rollout's state.
 * After a crash the job is found again: it plans anew, goes on from the cursor if the digest is the
 * one that the job remembers, and otherwise removes what was written and starts over. */
#ifndef PLANNING_H
#define PLANNING_H

#include "server/rollout/plan.h"
#include "server/store/store.h"

struct effects;
struct fleet;
struct server;

/* What to plan for. Borrowed until planning_load returns, the strategy as long as the snapshot lives. */
struct planning_request {
	const char *release;
	const char *selector; /* RSQL, "" for every device */
	const char *scope;    /* RSQL that limits what the caller sees; NULL: nothing */
	const struct strategy *strategy;
	int64_t rollout_id; /* which rollout does not hold its own devices; 0: a preview */
	int64_t channel_id; /* made by a channel, for the devices that it may bring; 0: by a person */
	uint32_t silent_s; /* of a channel: devices that have been silent longer are left out */
	uint32_t poll_s;   /* how often devices are told to ask; 0: no forecast is wanted */
	int64_t after_no; /* only devices with higher numbers that the rollout does not have; 0: all */
	int64_t simulated_ms; /* say what simulations ask of devices too, so far ahead; 0: there is none */
	const struct fleet *fleet; /* knows better than the rows when devices last spoke; NULL */
};

/* A loaded snapshot: a plan_input and the memory that it borrows. */
struct planning_snapshot;

/* Load. Any lane with a view. FL_NOT_FOUND (release), FL_INVALID (selector), FL_NOMEM, engine errors.
 * planning_free it. */
enum fl_code planning_load(struct store *store, const struct planning_request *rq,
	struct planning_snapshot **out, struct fl_err *err) FL_MUST_CHECK;
/* The input, borrowed. Any thread, one at a time. */
const struct plan_input *planning_input(const struct planning_snapshot *s);
/* The number of the newest device of the snapshot. */
int64_t planning_newest_no(const struct planning_snapshot *s);
/* Devices of a channel that it does not bring. Borrowed. */
struct planning_left_out {
	uint32_t ambiguous; /* another channel selects them too */
	uint32_t given_up;  /* they failed too often */
	uint32_t silent;
};
const struct planning_left_out *planning_left_out(const struct planning_snapshot *s);
/* How long a device may have been silent and still be brought up by its channel. */
uint32_t planning_silent_s(const struct server *server);
/* How often devices are told to ask, in whole seconds, rounded up. */
uint32_t planning_poll_s(const struct server *server);
/* The store's key of a state of the input's universe. */
int64_t planning_state_id(const struct planning_snapshot *s, uint32_t state);
/* Free; NULL is fine. */
void planning_free(struct planning_snapshot *s);

/* Something that plans rest on has changed: counted after COMMIT. Every event does so by itself; what is
 * no event (reports, inventories) says it here. Write lane. */
void planning_changed(struct effects *e);
/* device_set_state, which is a change if the device had another one. Write lane. */
enum fl_code planning_set_state(struct store *store, struct effects *e, int64_t device_no,
	int64_t state_id, struct fl_err *err) FL_MUST_CHECK;
/* How much has changed since the start; only compared. Any thread. */
uint64_t planning_changes(const struct server *server);

/* Plan a rollout whose row is in state `planning`; its job row exists (made in the same transaction by
 * the caller: kind "plan"). Called after that commit, and for each such job at start (PART(planning)).
 * Any thread; returns at once. Failures are kept as the rollout's reason and state `failed`. */
void planning_begin(struct server *server, int64_t rollout_id);

#endif
