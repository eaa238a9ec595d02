/* SPDX-License-Identifier: Apache-2.0
 *
 * The runner of rollouts: turns what happens into facts, asks the engine, writes the rows.
 *
 * DESIGN. Everything that changes runs in the write lane, under the request's savepoint: a step fact
 * costs one read (step, stage and rollout in one row), one update and the caller's report row. What
 * it adds to the stage's sums is an effect that is added up over the batch; once per commit and stage
 * the sums are written, the outcomes walked in the order of delivery, and the gate judged. Mass
 * effects are jobs (rows with a cursor) whose slices are writes of their own. Attention is set and
 * cleared after COMMIT. A timer on the loop looks for due deadlines by index, writes the heartbeat,
 * and tells the engine when fleetd was away.
 *
 * The strategy and the plan of a rollout are parsed once and kept by the writer. Brought up and down
 * by server/parts.h. */
#ifndef ROLLOUTS_H
#define ROLLOUTS_H

#include "server/rollout/engine.h"
#include "server/rollout/opening.h"

#include "lib/json.h"
#include "lib/list.h"
#include "server/effects.h"
#include "server/store/store.h"

struct server;
struct rollouts;

/* Call fn(arg, device_no) for every device that has something waiting: for the fleet's attention at
 * start. Any lane that reads. */
enum fl_code rollouts_waiting(struct store *store, void (*fn)(void *arg, int64_t device_no),
	void *arg, struct fl_err *err) FL_MUST_CHECK;

/* Before the jobs of a batch: when the wall clock has jumped, or fleetd stood still, since the last one,
 * put the job that shifts the clocks of all that is under way in front of them, so that no fact reads a
 * clock that is wrong by the gap. Writer. */
void rollouts_before_batch(struct server *server, struct fl_list *jobs);

enum rollouts_answer {
	ROLLOUTS_NOTHING, /* no new order; attention is cleared after COMMIT unless it comes soon */
	ROLLOUTS_OFFER,   /* a step is delivered now: the device's manifest row is new */
	ROLLOUTS_AGAIN,   /* its step is open and was delivered before: the same manifest again */
	ROLLOUTS_HOLD,    /* the same, but a freeze holds: it must not switch for now */
};

struct rollouts_offer {
	enum rollouts_answer answer;
	int64_t manifest; /* OFFER, AGAIN: number of the device's newest manifest */
	int64_t stage_id; /* OFFER, AGAIN */
};

/* A device asks. Decides whether it is offered a step now, and then writes everything: state, place
 * in the order of delivery, deadline, goal and manifest row. Write lane.
 *
 * The caller sends the manifest row whenever its number is above the device's own, whatever the
 * answer is, and the same number again on AGAIN.
 * Errors: those of the store. */
enum fl_code rollouts_poll(struct server *server, struct store *store, struct effects *effects,
	int64_t device_no, struct rollouts_offer *out, struct fl_err *err) FL_MUST_CHECK;

/* What a device says about a step. Strings are borrowed. */
struct rollouts_report {
	int64_t device_no;
	int64_t stage_id;      /* the step's id on the wire; 0: about no step */
	int64_t manifest;      /* number of the manifest that it carries out */
	enum step_state state; /* as reported: rolled_back is the device's own way back */
	enum step_cause cause; /* NONE with a failure is taken as UNKNOWN */
	const char *detail;    /* NULL: none */
	int64_t sent, saved;   /* bytes; 0: not said */
	int64_t state_id;      /* interned set that it runs now, if it said so; 0: not said. The
				 * caller has stored it already */
};

/* Store the report and move the step. A duplicate, a late one, or one about an unknown step is stored
 * and moves nothing: FL_OK all the same. On `confirmed` without state_id the device's installed set
 * becomes the step's goal. Write lane. FL_INVALID for a state that a device cannot report. */
enum fl_code rollouts_report(struct server *server, struct store *store, struct effects *effects,
	const struct rollouts_report *report, struct fl_err *err) FL_MUST_CHECK;

/* *hold: the device carries an order out, has not begun to switch, and a freeze holds: it must not. Then it is
 * kept asking until it may. Write lane. */
enum fl_code rollouts_holds(struct store *store, struct effects *effects, int64_t device_no,
	bool *hold, struct fl_err *err) FL_MUST_CHECK;
/* A freeze begins or ends: devices that wait or carry orders out are to ask, and hear of it. Write lane. */
enum fl_code rollouts_freeze(struct server *server, struct store *store, struct effects *effects,
	struct fl_err *err) FL_MUST_CHECK;

/* The device was retired (its row says so already): its open steps end `removed`. Write lane. */
enum fl_code rollouts_device_retired(struct server *server, struct store *store,
	struct effects *effects, int64_t device_no, struct fl_err *err) FL_MUST_CHECK;

/* The plan of a rollout in `planning` has been stored (refusal NULL), or there is none and `refusal`
 * says why. Makes the stages' rows; starts the rollout if it was asked for. Write lane. */
enum fl_code rollouts_planned(struct server *server, struct store *store, struct effects *effects,
	int64_t rollout_id, const char *refusal, struct fl_err *err) FL_MUST_CHECK;

/* Enough approvers agree with the plan of a rollout that waits for them: it may start, and does with
 * `start`. `said` (ENGINE_REASON_MAX bytes) gets what that did. Write lane. FL_CONFLICT with the
 * reason when the state does not allow it. */
enum fl_code rollouts_approved(struct server *server, struct store *store, struct effects *effects,
	int64_t rollout_id, bool start, char *said, struct fl_err *err) FL_MUST_CHECK;
/* An approver does not agree. The same otherwise. */
enum fl_code rollouts_denied(struct server *server, struct store *store, struct effects *effects,
	int64_t rollout_id, const char *why, char *said, struct fl_err *err) FL_MUST_CHECK;

/* An operator's verb and what became of it. */
struct rollouts_verb {
	int64_t rollout_id;
	const char *actor;
	struct engine_fact fact;
	bool changed;
	int64_t may_switch;
	int64_t until_ms; /* when the last of them must have ended, wall clock; 0: nobody may switch,
			   * some are still to be told to go back, or the clock stands still */
	char said[ENGINE_REASON_MAX];
};

/* A verb by `actor` on a rollout. `fact` is one of START to RETRY with its arguments. `said` (at least
 * ENGINE_REASON_MAX bytes) gets what it did, *changed whether it did anything, *may_switch how many
 * devices may still switch, and *until_ms until when. FL_CONFLICT with the reason when the state does not allow it. Write
 * lane. */
enum fl_code rollouts_verb(struct server *server, struct store *store, struct effects *effects,
	struct rollouts_verb *verb, struct fl_err *err) FL_MUST_CHECK;

/* A version that was blocked: rollouts that bring it are paused. */
struct rollouts_blocked {
	const char *module, *version, *why, *actor; /* borrowed */
	json_t *paused; /* the caller's arrays: get the rollouts' names */
	json_t *waiting; /* those that bring it and were not under way: they cannot start or resume */
	int64_t may_switch; /* devices of those rollouts that hold an order and may still switch */
};
/* Pause every rollout that is starting or running and brings the version to devices. Those that go back
 * are left alone. Write lane. */
enum fl_code rollouts_version_blocked(struct server *server, struct store *store,
	struct effects *effects, struct rollouts_blocked *b, struct fl_err *err) FL_MUST_CHECK;
/* FL_REFUSED, with the version and why, when a rollout with a plan brings a blocked version. Write lane. */
enum fl_code rollouts_check_blocked(struct server *server, struct store *store,
	struct effects *effects, int64_t rollout_id, struct fl_err *err) FL_MUST_CHECK;

/* FL_REFUSED with a sentence when the windows of a strategy can never be used: a zone that does not exist,
 * rules that do not open. Any thread. */
enum fl_code rollouts_windows_check(
	const struct opening_windows *windows, int64_t now_ms, struct fl_err *err) FL_MUST_CHECK;

/* A stratum of the rollout was released: its devices that are held wait again. Write lane. */
enum fl_code rollouts_stratum_released(struct server *server, struct store *store,
	struct effects *effects, int64_t rollout_id, struct fl_err *err) FL_MUST_CHECK;

/* ---- drift: rollouts_drift.c */

struct rollouts_drift;
struct assignment_drift;
/* Begin to look; NULL without memory. rollouts_drift_free it (NULL is fine). */
struct rollouts_drift *rollouts_drift_new(int64_t rollout_id);
void rollouts_drift_free(void *drift);
/* Look at some tens of thousands of devices more. Any lane that reads. */
enum fl_code rollouts_drift_more(struct server *server, struct store *store,
	struct rollouts_drift *drift, struct fl_err *err) FL_MUST_CHECK;
/* FL_REFUSED with a sentence when more than the share has changed. All must have been looked at. */
enum fl_code rollouts_drift_judge(const struct rollouts_drift *drift, int64_t max_drift_ppm,
	struct fl_err *err) FL_MUST_CHECK;
/* What was found so far (store/assignment.h). Borrowed. */
const struct assignment_drift *rollouts_drift_seen(const struct rollouts_drift *drift);

/* ---- explanations: rollouts_explain.c. Any lane that reads. */

struct device;

/* Why the device is offered what it is offered, or nothing: {"device","summary","lines","rollouts"}, with
 * a member for each rollout that is under way and selects it, and for the newest ended ones that it took
 * part in; or, with `only`, for that one (FL_NOT_FOUND if there is none). *out is a new reference. */
enum fl_code rollouts_explain_device(struct server *server, struct store *store,
	const struct device *device, const char *only, json_t **out,
	struct fl_err *err) FL_MUST_CHECK;

struct rollout;
/* What the rollout has of the slots of the fleet: {"in_flight","share","fleet_in_flight","fleet_max"}; null
 * without a limit. *out is a new reference. Any lane that reads. */
enum fl_code rollouts_slots_json(struct server *server, struct store *store,
	const struct rollout *r, json_t **out, struct fl_err *err) FL_MUST_CHECK;

struct rollouts_stage_place {
	int64_t rollout_id;
	int layer, wave; /* from 0 */
};
/* Why a stage is where it is and what it waits for: {"rollout","stage","state","summary","lines"}. *out is
 * a new reference. FL_NOT_FOUND if the plan has no such stage, or there is no plan. */
enum fl_code rollouts_explain_stage(struct server *server, struct store *store,
	const struct rollouts_stage_place *at, json_t **out, struct fl_err *err) FL_MUST_CHECK;

#endif
