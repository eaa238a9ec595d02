/* SPDX-License-Identifier: Apache-2.0
 *
 * The rollout engine: the one place that moves a state. Pure: a view of the rows and a fact go in,
 * changed rows, jobs, events and a sentence come out.
 *
 * DESIGN. A fact is what happened: a verb, a poll, a report, a deadline, a finished job, an outage.
 * engine_step looks at the view, decides, and puts copies of the changed rows into `out`; the view is
 * never written. A fact about a step copies the step alone. A mass effect is one change of a stage's `jobs` ("make its rows", "take it back");
 * the runner carries it out in slices that are facts about single steps, and says when it is done.
 *
 * INVARIANTS. Broken ones are reported in out->broken, never acted upon.
 *  I1  A state changes only along an edge of the tables in engine_edges.c.
 *  I2  A stage opens only when every stage that it needs (engine_needs) has succeeded.
 *  I3  Nothing is offered forward unless the rollout is running (or completed: left-overs) and the
 *      rows of the stage are complete; nothing backward unless it rolls back or has.
 *  I4  Only `confirmed` is a success; a step that has ended forward moves again only by retry or
 *      rollback. A late report moves nothing.
 *  I5  A delivered step that has not ended has a deadline, a place in the order of delivery and a
 *      manifest number; each delivery has a greater place than those before.
 *  I6  Clocks stand still while the rollout is paused and while fleetd was away. The times to reach, to
 *      install and to soak run only while the fact's window is open: when one of them is due, the closed
 *      time since it began is added.
 *  I7  The sums of a stage are the sum over its steps, and none is below 0.
 *  I8  A lower layer is taken back only when the layers above it, in the same wave, have been.
 *  I9  A rollout that has ended has no stage that runs, soaks or rolls back.
 *  I10 After `stop`, `rollback` or a failed gate no further device is offered the release.
 *  I11 A rollout becomes `completed` when every stage has succeeded and nobody is under way: in no
 *      stage does a step wait within the deadline or hold an order. A gate that passes early does not
 *      end it. `unreached` and `rejected` steps do not keep it open: they are neutral. An unreached one
 *      is a standing order: it is offered when the device comes back, also after `completed`, until a
 *      newer rollout takes the device over or this one is taken back. A waiting step always has a
 *      term: rows that are made after the stage's deadline begin as `unreached`.
 *  I12 A step that is being installed is never overtaken; an overtaken order that its device holds is
 *      called back. A gate that can get no more outcomes, mostly because devices were taken over, stops
 *      its rollout: nobody has to decide anything.
 *
 * To add an order: a branch in engine_needed. To add a fact: a row in ENGINE_FACTS and its function in
 * engine_rollout.c, engine_stage.c or engine_device.c. Rates, windows and freezes are in
 * may_offer (engine_device.c), the one place that says "not now". */
#ifndef ROLLOUT_ENGINE_H
#define ROLLOUT_ENGINE_H

#include "server/rollout/figures.h"
#include "server/rollout/gate.h"
#include "server/rollout/pace.h"
#include "server/rollout/window.h"

/* Which stage waits for which. */
enum engine_order { ENGINE_WAVE_FIRST, ENGINE_LAYER_FIRST, ENGINE_PIPELINED };

enum engine_on_failure { ENGINE_PAUSE_IT, ENGINE_STOP_IT, ENGINE_ROLL_IT_BACK };

/* What does not change while the rollout lives: the strategy and the size of the plan. */
struct engine_rules {
	int layers, waves;
	enum engine_order order;
	enum engine_on_failure on_failure;
	struct gate_rules gate;
	int64_t reach_ms;      /* from the opening of a stage until delivery */
	int64_t install_ms;    /* from delivery until the end */
	int64_t soak_ms;       /* success must hold so long */
	int64_t max_in_flight; /* devices between delivery and end, whole rollout; 0: no limit */
	int64_t back_reach_ms; /* a rollback waits so long for silent devices */
	struct pace_rules pace;
	bool approval; /* the plan waits for approval before it may start */
};

/* Rollout:
 *
 *   draft -> planning ---------------> ready -> starting -> running -> completed
 *               | \-> waiting_approval -/           |        |    \______________
 *               v      |                            +--------+--> paused(reason)  |  (and back to
 *             failed   v                            |        |        |           |   where it was)
 *                    denied                         v        v        v           v
 *                                           stopping -> stopped   rolling_back -> rolled_back | stopped
 *
 * scheduled stands between ready and starting: back to ready by a pause, or when it cannot start. rolling_back of one wave ends in stopped, of all in
 * rolled_back; stopped and completed may still be rolled back. */

/* Why a rollout is paused: what may end the pause. */
enum engine_pause {
	ENGINE_NOT_PAUSED,
	ENGINE_BY_HAND,
	ENGINE_BY_GATE,
	ENGINE_BY_BACK,
	ENGINE_INTERNAL
};

#define ENGINE_REASON_MAX 256
#define ENGINE_ALL_WAVES  (-1)

struct engine_rollout {
	int64_t id;
	enum rollout_state state;
	enum rollout_state resume_to; /* of a paused one: where it goes on */
	enum engine_pause pause;
	char reason[ENGINE_REASON_MAX]; /* why it is paused, stopped, rolled back or failed */
	int back_wave;                  /* what a rollback takes back: a wave or ENGINE_ALL_WAVES */
	int64_t start_at;               /* wall clock: it is to start then; 0: when it is told to */
	bool start_anyway;              /* then, however many devices have changed by then */
	int64_t started_at, ended_at;   /* wall clock; 0: not yet */
	int64_t paused_at;              /* wall clock; 0: its clock runs */
	int64_t stood_ms;               /* how long its clock has stood still in all */
	int64_t clock_floor;            /* its clock never shows less */
};

/* Stage:
 *
 *   pending -> running <-> soaking -> succeeded          retry: failed, inconclusive -> running
 *      |          |   \_____ | ________/                 promote: any open or failed -> succeeded
 *      v          v         v
 *   skipped     failed   inconclusive    and from each that was opened:
 *                                        rolling_back -> rolled_back */

/* Mass effects that the runner carries out in slices, bits of engine_stage.jobs. */
enum engine_job {
	ENGINE_OPEN = 1 << 0,   /* make the rows: one FACT_MADE per device of the wave */
	ENGINE_ATTEND = 1 << 1, /* set attention for each device with an open step */
	ENGINE_REACH = 1 << 2,  /* FACT_REACH_DUE for each step that was never delivered */
	ENGINE_CANCEL = 1 << 3, /* FACT_CANCEL for each open step */
	ENGINE_BACK = 1 << 4,   /* FACT_BACK for each step */
	ENGINE_RETRY = 1 << 5,  /* FACT_RETRY for each failed step of the causes asked for */
	ENGINE_REVIEW = 1 << 6, /* FACT_OVERTAKEN or FACT_REVIEWED for each step that waits */
};
#define ENGINE_JOBS 7

/* When a time began to run: the rollout's clock and the wall clock. */
struct engine_term {
	int64_t since, since_at;
};

struct engine_stage {
	int64_t id;
	int layer, wave;
	enum stage_state state;
	unsigned jobs;         /* outstanding, bits of enum engine_job */
	bool follow;           /* a later layer of this wave is open: who confirms here goes on */
	bool cancel_in_flight; /* what ENGINE_CANCEL does with devices that hold the order */
	unsigned retry_causes; /* what ENGINE_RETRY takes up, bits 1 << enum step_cause */
	int64_t expected;      /* devices that the plan has for it; rows come when they are ready */
	int64_t delivered;     /* last place given in the order of delivery */
	int64_t counted_delivered; /* the same when the sums were last brought up to date */
	struct pace_minute minute; /* its offers, if the rollout has a rate */
	struct gate_tally tally;   /* outcomes, forward */
	enum gate_verdict verdict; /* of somebody outside */
	char said[GATE_SAID_MAX];  /* who gave it and why */
	enum gate_decision decision;
	char text[GATE_TEXT_MAX]; /* the last decision with its numbers */
	/* while it is taken back */
	int64_t back_place;           /* last place given before */
	int64_t back_ok, back_failed; /* ways back that a resume has looked past */
	/* the rollout's own clock; 0: none */
	int64_t reach_at; /* the stage's deadline */
	int64_t soak_until;
	struct engine_term reach, soak; /* when they began */
	int64_t verdict_at;             /* there must be a verdict */
	/* wall clock; 0: not yet */
	int64_t opened_at, ended_at;
	struct figures_sums sums; /* kept by the runner with engine_count */
};

/* Step, forward (back goes the same road and ends rolled_back, rollback_failed or held):
 *
 *   queued -> offered -> [waiting] -> downloading -> downloaded -> installing -> rebooting -> installed
 *     |  ^       |___________|_____________|_____________|
 *     v  |                   v                             from each: confirmed | failed | timed_out
 *   unreached             rejected
 *
 * Reports may skip states, never go back, but to waiting before installing. queued also ends noop,
 * ineligible, canceled, superseded, removed, and held while its stratum is. A refused order stays rejected
 * until a retry. A rollback turns a delivered step round: it is queued again with `back` set. */

/* Forward to the release, back from it, or turned round from the one to the other. */
enum engine_way { ENGINE_FORWARD, ENGINE_BACKWARD, ENGINE_TURN };

/* Bits of engine_step.flags. */
enum engine_flag {
	ENGINE_LAST = 1 << 0,            /* the device has no further layer in this rollout */
	ENGINE_SWITCHED = 1 << 1,        /* the new version ran on it, in this attempt */
	ENGINE_SWITCHED_BEFORE = 1 << 2, /* a lower layer of this rollout had switched already */
	ENGINE_BACK_BY_DEVICE = 1 << 3,  /* it took itself back */
	ENGINE_BACK_BROKEN = 1 << 4,     /* it tried to and failed */
	ENGINE_BACK_COUNTED = 1 << 5,    /* a layer above counts its device as taken back */
	ENGINE_WITH_GATEWAY = 1 << 6,    /* timed out together with its gateway: one failure */
};

struct engine_step {
	int64_t stage_id, device_no;
	int class;      /* of the plan */
	unsigned flags; /* bits of enum engine_flag */
	int attempt;
	enum step_state state : 8;
	/* confirmed, failed, timed_out of the last attempt; queued: none */
	enum step_state outcome : 8;
	enum step_cause cause : 8;
	bool back : 1;           /* its way is back, not forward */
	int64_t delivered;       /* place in the order of delivery; 0: never */
	int64_t delivered_at;    /* wall clock */
	int64_t deadline;        /* rollout's clock, of the installation; 0: none runs */
	struct engine_term term; /* when the time that ends there began */
	int64_t manifest;        /* number of the manifest that carries it out; 0: none */
	int64_t changed_at;      /* wall clock */
	int64_t took_ms;     /* delivery to confirmed on the rollout's clock; 0: not confirmed */
	int64_t sent, saved; /* bytes */
	int64_t retry_at;    /* rollout's clock: not offered before; 0: at once */
	int64_t had; /* interned set that the device had when it was delivered forward; the runner's */
};
_Static_assert(sizeof(struct engine_step) == 128, "two lines of the cache: there are millions");

/* Facts: FACT(name, subject). The subject says which part of the view must be there: ROLLOUT all
 * stages; STAGE the stage and all stages; STEP the stage and the step. */
#define ENGINE_FACTS(FACT)                                                                       \
	FACT(PLANNED, ROLLOUT)     /* the plan is stored */                                      \
	FACT(REFUSED, ROLLOUT)     /* there is no plan: text says why */                         \
	FACT(APPROVED, ROLLOUT)    /* as many as must have agreed */                             \
	FACT(DENIED, ROLLOUT)      /* text: why */                                               \
	FACT(START, ROLLOUT)       /* start_at, anyway */                                        \
	FACT(NOT_STARTED, ROLLOUT) /* its time has come and it cannot start: text */             \
	FACT(PAUSE, ROLLOUT)       /* text: why */                                               \
	FACT(RESUME, ROLLOUT)                                                                    \
	FACT(PROMOTE, ROLLOUT)  /* wave, layer; wave -1: the one that waits for a person */      \
	FACT(STOP, ROLLOUT)     /* cancel */                                                     \
	FACT(ROLLBACK, ROLLOUT) /* wave or ENGINE_ALL_WAVES; text: why */                        \
	FACT(VERDICT, ROLLOUT)  /* wave, layer; verdict; text: who and why */                    \
	FACT(RETRY, ROLLOUT)    /* causes */                                                     \
	FACT(REVIEW, ROLLOUT)   /* another rollout takes devices over, a stratum is held */      \
	FACT(BROKEN, ROLLOUT)   /* an invariant was found broken: text */                        \
	FACT(AWAY, ROLLOUT)     /* fleetd was away from `from` until now; grace_ms */            \
	FACT(JOB_DONE, STAGE)   /* job */                                                        \
	FACT(STAGE_DUE, STAGE)  /* its deadline or soak has come, or a window: window, opened */ \
	FACT(COUNTED, STAGE)    /* sums and tally were brought up to date */                     \
	FACT(MADE, STEP)        /* view->step holds number, class, LAST and SWITCHED_BEFORE */   \
	FACT(POLLED, STEP)      /* fit, in_flight .. in_group, manifest, windows */              \
	FACT(REPORTED, STEP)    /* reported, cause, manifest, sent, saved */                     \
	FACT(INSTALL_DUE, STEP) /* install_window, flags to add (ENGINE_WITH_GATEWAY) */         \
	FACT(REACH_DUE, STEP)                                                                    \
	FACT(CANCEL, STEP)    /* cancel */                                                       \
	FACT(BACK, STEP)      /* fit, flags to add (ENGINE_BACK_COUNTED) */                      \
	FACT(AGAIN, STEP)     /* causes; fit: UNFIT when another rollout has the device */       \
	FACT(REMOVED, STEP)   /* the device is retired */                                        \
	FACT(OVERTAKEN, STEP) /* another rollout takes the device over */                        \
	FACT(REVIEWED, STEP)  /* fit: HELD or FITS */

#define ENGINE_FACT_ENUM_(name, subject) FACT_##name,
enum engine_fact_kind { ENGINE_FACTS(ENGINE_FACT_ENUM_) FACT_MAX };

/* Whether a device fits what its step would bring, as found at this moment. */
enum engine_fit {
	ENGINE_FITS,
	ENGINE_ALREADY,  /* it has it: nothing to do */
	ENGINE_UNFIT,    /* it is not what the plan took it for, or another rollout has it */
	ENGINE_NO_WAY,   /* backward: no bytes, blocked, or a layer above is held */
	ENGINE_NOT_OURS, /* another rollout has taken it over */
	ENGINE_HELD,     /* forward: its stratum is held */
	ENGINE_FROZEN,   /* nothing is delivered to it for now */
	ENGINE_BLOCKED,  /* forward: it would bring a version that is blocked */
	ENGINE_LATER,    /* not before another step of the device has ended */
	ENGINE_GONE,     /* retired */
};

struct engine_fact {
	enum engine_fact_kind kind;
	int wave, layer;
	bool cancel;
	enum gate_verdict verdict;
	unsigned causes;
	const char *text;
	int64_t start_at; /* START: then, not now; 0: now */
	bool anyway;      /* START: whatever has changed since it was planned */
	int64_t from, grace_ms;
	enum engine_job job;
	enum engine_fit fit;
	unsigned flags;
	int64_t in_flight; /* devices of this rollout between delivery and end; never too low */
	int64_t recent;    /* offers of this rollout in the last minute */
	int64_t notified;  /* devices that were ever offered it, per layer; and who has confirmed */
	int64_t succeeded;
	bool no_slot;     /* the fleet has no slot for this rollout now: share.h */
	int64_t in_group; /* devices of its group (pace.group) between delivery and end */
	int64_t manifest;
	enum step_state reported;
	enum step_cause cause;
	int64_t sent, saved;
	/* POLLED: when the device may be offered an order; STAGE_DUE: when the times to reach and to soak run.
	 * POLLED, INSTALL_DUE: when the time to install runs. Borrowed; NULL: always */
	const struct window *window, *install_window;
	bool opened; /* STAGE_DUE: its devices shall ask: a window that they wait for has opened, or
		      * there is news for who has an order */
};

/* The rows that a fact is about. Borrowed, never written. */
struct engine_view {
	const struct engine_rules *rules;
	const struct engine_rollout *rollout;
	const struct engine_stage
		*stages; /* all: index wave * layers + layer; NULL for STEP facts */
	const struct engine_stage *stage; /* the fact's; NULL for ROLLOUT facts */
	const struct engine_step *step;
	int64_t now_ms;
};

/* Why a step that waits is not delivered at this moment. To add a reason: a row here, a return of
 * may_offer (engine_device.c). */
#define ENGINE_HOLDS(X)                                                                         \
	X(NONE)                                                                                 \
	X(ROLLOUT) /* the rollout's state: nothing is offered in it */                          \
	X(STAGE)   /* the stage's state */                                                      \
	X(ROWS)    /* the stage's rows are being made, or turned round */                       \
	X(WINDOW)  /* its maintenance window is closed */                                       \
	X(SLOTS)   /* as many devices are under way as may be */                                \
	X(FLEET)   /* as many devices of the fleet are, or of this rollout's share of it */     \
	X(SLICE)   /* the first slice of a rollback is not back yet */                          \
	X(FROZEN)  /* a freeze holds for the device */                                          \
	X(BLOCKED) /* it would bring a version that is blocked */                               \
	X(OTHER)   /* another step, of this device or of one that it works with, comes first */ \
	X(RATE)    /* as many were offered it in the last minute as may be */                   \
	X(GROUP)   /* as many of its gateway or label are under way as may be */                \
	X(BACKOFF) /* it failed and is tried again later */
#define ENGINE_HOLD_ENUM_(name) ENGINE_HOLD_##name,
enum engine_hold { ENGINE_HOLDS(ENGINE_HOLD_ENUM_) ENGINE_HOLD_MAX };

/* What an event says happened; the runner gives it its name in the audit trail. */
enum engine_event_kind {
	ENGINE_EVENT_STATE,  /* the rollout's state changed */
	ENGINE_EVENT_OPENED, /* a stage was opened */
	ENGINE_EVENT_GATE,   /* a gate decided: stage state and text */
	ENGINE_EVENT_BACK,   /* a stage starts to be taken back, or has been */
};
struct engine_event {
	enum engine_event_kind kind;
	int stage; /* index; -1 for the rollout */
};
/* What a stage can still bring to its gate. `wave`: the stages of its wave, by layer: devices that are
 * under way below come up to it; those that have ended there otherwise leave a doubt. `onward`: a later
 * wave of its layer may take its evidence. */
struct gate_feed engine_feed(
	const struct engine_stage *stage, const struct engine_stage *wave, bool onward);

/* Whether the gate of a stage is at work and devices that the plan has for it come no more: it is judged
 * again when a stage below was counted. */
bool engine_starves(const struct engine_stage *stage, const struct engine_stage *wave);

#define ENGINE_EVENTS_MAX 32

enum engine_did {
	ENGINE_NOTHING, /* nothing to do: a verb again, a late report, no free slot */
	ENGINE_CHANGED,
	ENGINE_REFUSED, /* a verb that this state does not allow: `said` says why */
};

/* What an offer changes in its stage; nothing else does that is about one step. */
struct engine_told {
	int64_t delivered;
	struct pace_minute minute;
};

/* Decisions. The caller provides, for ROLLOUT and STAGE facts, room for all stages; for STEP facts, if
 * it wants to know, sums. Millions of facts a second: only what comes before `rollout` is cleared. */
struct engine_out {
	struct engine_stage *stages; /* the caller's; changed ones are whole copies */
	bool *changed;               /* the caller's, as many: which of `stages` count */
	unsigned *start; /* the caller's, as many: jobs that begin (again) from the start */
	struct figures_sums *sums; /* the caller's or NULL: the step's change is added to them */

	enum engine_did did;
	const char *broken; /* the invariant that does not hold; nothing else counts then */
	bool rollout_changed, step_changed;
	bool offer;    /* the step goes to the device now: write its manifest; told counts */
	bool attend;   /* set the device's attention */
	bool keep;     /* nothing now, but soon: leave the attention set */
	bool follow;   /* make the device's row in its next open layer */
	bool withdraw; /* the device holds an order that is void: give it one back */
	enum engine_hold hold; /* of a poll: why nothing is offered now */
	size_t events_n;
	char said[ENGINE_REASON_MAX]; /* what a verb did, or why it is refused; only the first byte
				       * is cleared */
	/* each of these counts only if the above says so */
	struct engine_rollout rollout;
	struct engine_step step;
	struct engine_told told;
	struct engine_event events[ENGINE_EVENTS_MAX];
};

/* Decide. `out` is overwritten, apart from what the caller provides: flags are cleared, sums added to. */
void engine_step(
	const struct engine_view *view, const struct engine_fact *fact, struct engine_out *out);

/* Write into a stage's row what an offer changes in it. */
void engine_tell(struct engine_stage *stage, const struct engine_told *told);

/* Add the sum of deltas to a stage's sums and note the deliveries. Returns the broken invariant
 * (static text) or NULL. */
const char *engine_count(struct engine_stage *stage, const struct figures_sums *delta);

/* The rollout's own clock at wall clock `now_ms`; and the wall clock at which it will show `clock` if
 * it does not stand still until then. */
int64_t engine_clock(const struct engine_rollout *r, int64_t now_ms);
int64_t engine_wall(const struct engine_rollout *r, int64_t clock, int64_t now_ms);

/* Stages of one layer, from one wave to another. */
struct engine_span {
	int layer, from_wave, to_wave;
};
#define ENGINE_NEEDED_MAX 2
/* Which stages must have succeeded before this one opens; returns how many spans. A span may reach beyond
 * the last wave. */
size_t engine_needed(enum engine_order order, const struct engine_stage *stage, int layers,
	struct engine_span out[ENGINE_NEEDED_MAX]);
/* Whether stage (layer, wave) needs the other to have succeeded before it opens. */
bool engine_needs(enum engine_order order, const struct engine_stage *stage,
	const struct engine_stage *other, int layers);

/* Whether a device is ready for a step, given its step in the layer below in which it changes something
 * (NULL: there is none). Others get their row when they are. */
bool engine_ready_for_next(const struct engine_step *lower);

/* Whether a step may go back, given the device's n steps in the layers above: FITS, LATER, or NO_WAY
 * when one of those stays. */
enum engine_fit engine_back_fit(const struct engine_step *upper, size_t n);

/* Fill the part of a POLLED fact that is about all stages: in_flight, recent, notified, succeeded.
 * `clock` is the rollout's. */
void engine_load(
	const struct engine_stage *stages, size_t n, int64_t clock, struct engine_fact *fact);

/* Devices that hold an order, in n stages. */
int64_t engine_in_flight(const struct engine_stage *stages, size_t n);
/* Devices that may still switch if nobody does anything more: those that hold an order and, while the
 * rollout is taken back, those that are still to be told to go back. `stages`: all n of it. Each device is
 * counted at least once. */
int64_t engine_may_switch(
	const struct engine_rollout *rollout, const struct engine_stage *stages, size_t n);
/* Devices of a stage between delivery and end, never too few: who was told after the last count is one. */
int64_t engine_under_way(const struct engine_stage *stage);

/* The reason of the edge, NULL if there is none: the tables, for tests and for printing. */
const char *engine_rollout_edge(enum rollout_state from, enum rollout_state to);
const char *engine_stage_edge(enum stage_state from, enum stage_state to);
const char *engine_step_edge(enum engine_way way, enum step_state from, enum step_state to);

/* Check the invariants that can be seen in the rows. Each returns the broken one (static text) or NULL.
 * `view` as for a ROLLOUT fact. */
const char *engine_check_rollout(const struct engine_view *view);
const char *engine_check_step(const struct engine_stage *stage, const struct engine_step *step);
/* Both, for a rollout with all its n steps, and that the sums are those of the steps. */
const char *engine_check(const struct engine_view *view, const struct engine_step *steps, size_t n);

#endif
