/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the runner; included by rollouts*.c only. */
#ifndef ROLLOUTS_IN_H
#define ROLLOUTS_IN_H

#include "server/rollouts.h"
#include "server/rollouts_set.h"

#include "server/http/lanes.h"
#include "server/rollout/explain_stage.h"
#include "server/rollout/plan.h"
#include "server/store/assignment.h"
#include "server/store/device.h"
#include "server/store/stage.h"
#include "server/store/step.h"

#include "lib/list.h"

#include <pthread.h>
#include <stdatomic.h>

#define ROLLOUTS_AT_ONCE 4096 /* rollouts at once that facts about all of them reach */

/* That a rollout wants a slot of the fleet, and was given one. */
struct rollouts_wish {
	int64_t rollout_id, weight;
	int64_t wanted_ms, served_ms; /* wall clock; 0: not, as far as is known */
	int64_t noted_ms;             /* the later one of both */
};
#define ROLLOUTS_WISHES_MAX 64 /* the longest unused ones are forgotten */
struct rollouts_wishes {
	pthread_mutex_t lock;
	struct rollouts_wish of[ROLLOUTS_WISHES_MAX];
};

/* A rollout's strategy and plan, parsed. Writer thread only. */
struct rollouts_parsed {
	struct fl_link link;
	int64_t id;
	int64_t used; /* when, counted in uses: the least one goes first */
	char *name;
	struct strategy strategy;
	struct plan plan;
	struct engine_rules rules;
	struct fl_list zones; /* its windows, by zone: rollouts_windows.c */
	struct window united; /* of a stage whose devices are in several zones */
	struct window thawed; /* the last one that freezes have cut */
};

/* A rollout whose time has come. */
struct rollouts_due {
	int64_t rollout_id;
	bool anyway; /* whatever has changed since it was planned */
};

/* The one that is being started by itself: rollouts_schedule.c. */
struct rollouts_start {
	struct server *server;
	int64_t rollout_id;
	struct rollouts_drift *drift; /* owned; NULL: not looked at */
	atomic_bool busy;             /* the rest belongs to the job under way */
	struct read_job read;
	struct write_job write;
};

struct rollouts {
	struct server *server;
	struct rollouts_start start;
	struct fl_list parsed;         /* of struct rollouts_parsed; writer only */
	int64_t uses;                  /* writer only */
	struct fl_list slices;         /* of struct rollouts_slice: jobs under way; writer only */
	struct rollouts_wishes wishes; /* rollouts_slots.c */
	struct write_job begin;        /* what is done once, at start */
	struct write_job tick;         /* the timer's work */
	atomic_bool ticking;           /* it is queued */
	struct write_job shift;        /* of the clocks, after an absence; writer only */
	int64_t seen_ms; /* wall clock of the last batch, 0 until the start is over; writer only */
	int64_t shifted_ms; /* wall clock to which `shift` shifts; writer only */
	int64_t beat_at;    /* when the heartbeat was last written; writer only */
};

/* What every function of the runner is handed: the lane's view and where effects go. */
struct rollouts_lane {
	struct server *server;
	struct store *store;
	struct effects *effects; /* NULL in a lane that only reads */
};

/* ---- rollouts_parsed.c */

/* The parsed rollout, borrowed until the next call for more than a few others. FL_CORRUPT. Writer. */
enum fl_code rollouts_parsed_get(const struct rollouts_lane *lane, int64_t rollout_id,
	struct rollouts_parsed **out, struct fl_err *err) FL_MUST_CHECK;
/* The same for one use, in any lane that reads; rollouts_parsed_free it. FL_CORRUPT. */
enum fl_code rollouts_parsed_load(const struct rollouts_lane *lane, int64_t rollout_id,
	struct rollouts_parsed **out, struct fl_err *err) FL_MUST_CHECK;
/* Free; NULL is fine. */
void rollouts_parsed_free(struct rollouts_parsed *p);
/* A parsed rollout, however the lane comes by it. */
struct rollouts_borrowed {
	struct rollouts_parsed *parsed;
	bool owned;
};
/* The parsed rollout in any lane; end with rollouts_borrowed_fini. FL_CORRUPT. */
enum fl_code rollouts_borrow(const struct rollouts_lane *lane, int64_t rollout_id,
	struct rollouts_borrowed *out, struct fl_err *err) FL_MUST_CHECK;
/* Give it back. Safe on zeroed memory. */
void rollouts_borrowed_fini(struct rollouts_borrowed *b);
/* Forget it: it is planned anew. Writer. */
void rollouts_parsed_drop(struct rollouts *r, int64_t rollout_id);

/* ---- rollouts_scene.c: a rollout with all its stages, for facts that are not about one step */

struct rollouts_scene {
	const struct rollouts_lane *lane;
	struct rollouts_parsed *parsed;
	struct engine_rollout rollout;
	struct stage_list list;
	bool rollout_dirty;
	bool *dirty;               /* per stage: differs from its row */
	struct engine_stage *next; /* what the engine writes to, per stage */
	bool *changed;
	unsigned *start;
	const char *broken; /* an invariant: nothing of this scene may be stored */
};

/* Load; end with rollouts_scene_fini, also after a failure. Writer. */
enum fl_code rollouts_scene_load(const struct rollouts_lane *lane, int64_t rollout_id,
	struct rollouts_scene *out, struct fl_err *err) FL_MUST_CHECK;
void rollouts_scene_fini(struct rollouts_scene *s);
/* The index of a stage, -1 if it is not in the scene. */
int rollouts_scene_index(const struct rollouts_scene *s, int64_t stage_id);
/* Give the engine a fact about the rollout (stage -1) or a stage and take its decisions over: events
 * and job rows now, the rest with rollouts_scene_store. `out` may be NULL. */
enum fl_code rollouts_scene_fact(struct rollouts_scene *s, int stage,
	const struct engine_fact *fact, struct engine_out *out, struct fl_err *err) FL_MUST_CHECK;
/* Write the rows that differ; wake who waits after COMMIT. FL_INTERNAL if an invariant is broken. */
enum fl_code rollouts_scene_store(struct rollouts_scene *s, struct fl_err *err) FL_MUST_CHECK;

/* An invariant was found broken while handling something about the rollout: pause it, in a write of
 * its own, and keep the sentence. The caller fails with FL_INTERNAL. Writer. */
void rollouts_broken(struct server *server, int64_t rollout_id, const char *what);

/* ---- rollouts_count.c: sums, once per commit */

/* Add to a stage's sums and say that jobs are done (bits of enum engine_job); then its outcomes are
 * taken and its gate is judged, once per commit. */
void rollouts_count(
	struct effects *e, int64_t stage_id, const struct figures_sums *delta, unsigned done);

/* Then the stage's rollout looks again at everybody who waits. */
void rollouts_count_review(struct effects *e, int64_t stage_id);

/* ---- rollouts_step.c: facts about one step */

/* Give the engine a fact about view's step and store what follows: the step, its part of the sums,
 * attention, the row in the next layer, a withdrawn order. Not the offer: that is the poll's. */
enum fl_code rollouts_step_fact(const struct rollouts_lane *lane, const struct step_view *view,
	const struct engine_fact *fact, struct engine_out *out, struct fl_err *err) FL_MUST_CHECK;

/* Make a device's row in a stage if it is ready for it and changes something there. `lower` is its step
 * in the layer below in which it changes something; NULL: look it up. */
struct rollouts_making {
	struct rollouts_parsed *parsed;
	const struct engine_rollout *rollout;
	const struct stage_list *stages;
	int stage; /* index */
	struct step_candidate device;
	struct figures_sums *sums; /* where its part is added; the caller counts it */
};
enum fl_code rollouts_make(const struct rollouts_lane *lane, const struct rollouts_making *m,
	struct fl_err *err) FL_MUST_CHECK;

/* ---- rollouts_strata.c: where failures are concentrated */

/* Count the outcome of a step by the strata that the strategy watches; hold one where failures are
 * concentrated. */
enum fl_code rollouts_strata_outcome(const struct rollouts_lane *lane,
	const struct rollouts_parsed *p, const struct engine_step *step,
	struct fl_err *err) FL_MUST_CHECK;
/* Whether a device is in a stratum that is held. */
enum fl_code rollouts_strata_held(const struct rollouts_lane *lane, const struct rollouts_parsed *p,
	int64_t device_no, bool *held, struct fl_err *err) FL_MUST_CHECK;

/* ---- rollouts_goal.c: what a device shall have at a step, and whether that can be */

/* The freeze that holds for a device; of several the one that ends last. */
struct rollouts_frost {
	char name[STORE_NAME_MAX + 1]; /* "": none does */
	int64_t until_ms;              /* 0: until it is lifted */
};

/* A device at a step. Zeroed: nothing looked at; end with rollouts_outlook_fini. */
struct rollouts_outlook {
	enum engine_fit fit; /* whether the step could be delivered now */
	struct device device;
	struct rollouts_changes changes; /* of the step's layer, forward */
	struct rollouts_set now, then;   /* what it has; what it would have */
	struct rollouts_parsed *parsed;  /* the step's rollout; borrowed */
	struct rollouts_frost frost;     /* FROZEN: by what */
	struct fl_arena text;
};
void rollouts_outlook_fini(struct rollouts_outlook *o);
#define ROLLOUTS_AUTO_OUTLOOK __attribute__((cleanup(rollouts_outlook_fini)))

/* What the device of a step has, and that it keeps it. Reads only, as does what follows. */
enum fl_code rollouts_look(const struct rollouts_lane *lane, const struct step_view *view,
	struct rollouts_parsed *parsed, struct rollouts_outlook *out,
	struct fl_err *err) FL_MUST_CHECK;
/* What the step would make of its device: the modules of its layer change, all others stay as they are,
 * whoever has brought them. */
enum fl_code rollouts_look_ahead(const struct rollouts_lane *lane, const struct step_view *view,
	struct rollouts_parsed *parsed, struct rollouts_outlook *out,
	struct fl_err *err) FL_MUST_CHECK;
/* The set of the plan that the step leads to. Borrowed. */
const struct plan_set *rollouts_plan_goal(
	const struct rollouts_parsed *p, const struct step_view *view, bool back);

/* ---- rollouts_back.c: ways back */

/* Whether the device of a step that goes back, or is to be turned round, has a way back, and what it
 * would have then. `out` is what rollouts_look has found, with the changes of the layer. */
enum fl_code rollouts_look_back(const struct rollouts_lane *lane, const struct step_view *view,
	struct rollouts_outlook *out, struct fl_err *err) FL_MUST_CHECK;
/* The same from the beginning, for a step that still goes forward. */
enum fl_code rollouts_fit_back(const struct rollouts_lane *lane, const struct step_view *view,
	struct rollouts_parsed *parsed, enum engine_fit *fit, struct fl_err *err) FL_MUST_CHECK;

/* ---- rollouts_issue.c: manifests */

/* Bytes of an artifact, if there are any. */
struct rollouts_bytes {
	bool known;
	uint8_t sha256[32];
	int64_t size;
};
/* The bytes that a version of a module is for a device. */
enum fl_code rollouts_bytes_of(const struct rollouts_lane *lane, int64_t device_no,
	const struct state_entry *e, struct rollouts_bytes *out, struct fl_err *err) FL_MUST_CHECK;
/* Issue the manifest that says what outlook->then has; with `order` it names the step, so that the device
 * reports about it. outlook->device gets its number. */
enum fl_code rollouts_issue(const struct rollouts_lane *lane, const struct step_view *view,
	struct rollouts_outlook *outlook, bool order, struct fl_err *err) FL_MUST_CHECK;
/* The device has now what its newest manifest says. */
enum fl_code rollouts_assume(
	const struct rollouts_lane *lane, int64_t device_no, struct fl_err *err) FL_MUST_CHECK;

struct freeze;
/* Whether a device is one of those that a freeze is about: rollouts_goal.c. Any lane that reads. */
enum fl_code rollouts_freeze_selects(struct store *store, const struct freeze *f, int64_t device_no,
	bool *inside, struct fl_err *err) FL_MUST_CHECK;
/* Which freeze holds for the device now: rollouts_goal.c. Any lane that reads. */
enum fl_code rollouts_frozen(struct store *store, int64_t device_no, struct rollouts_frost *out,
	struct fl_err *err) FL_MUST_CHECK;

/* ---- rollouts_windows.c: when devices may be updated */

/* A device's windows. Borrowed from the parsed rollout until the next call. */
struct rollouts_open {
	struct opening_hours hours;
	const struct fl_zone *zone; /* whose clock counts; NULL without windows */
};
/* The zone of the strategy. */
enum fl_code rollouts_windows_fixed(const struct rollouts_lane *lane,
	struct rollouts_parsed *parsed, struct rollouts_open *out,
	struct fl_err *err) FL_MUST_CHECK;
/* Those that count for a step. */
enum fl_code rollouts_windows_of(const struct rollouts_lane *lane, struct rollouts_parsed *parsed,
	const struct engine_step *step, struct rollouts_open *out,
	struct fl_err *err) FL_MUST_CHECK;
/* A moment as the clock there shows it: "2026-11-24 22:00 CET". */
#define ROLLOUTS_MOMENT_MAX 32
void rollouts_windows_say(const struct fl_zone *zone, int64_t at_ms, char out[ROLLOUTS_MOMENT_MAX]);
/* Those that count for the deadlines of a stage: open while they are for any device that is waited for. */
enum fl_code rollouts_windows_stage(const struct rollouts_lane *lane,
	struct rollouts_parsed *parsed, int64_t stage_id, const struct window **out,
	struct fl_err *err) FL_MUST_CHECK;
/* What freezes are looked at for: a device, or (device_no 0) a stage. */
struct rollouts_thaw {
	int64_t device_no, stage_id, since_ms;
	const struct window **window;
};
/* Close *window as well while freezes held for the device since a moment, or, with device_no 0, for all
 * devices of the stage. One that holds still is taken to do so for some minutes: then is looked again. */
enum fl_code rollouts_windows_thaw(const struct rollouts_lane *lane, struct rollouts_parsed *parsed,
	const struct rollouts_thaw *thaw, struct fl_err *err) FL_MUST_CHECK;
/* Forget what was made. */
void rollouts_windows_free(struct rollouts_parsed *parsed);

/* ---- rollouts_gateway.c: devices behind gateways */

/* Whether a device whose time is over was lost together with its gateway: that is silent, or has an order
 * of the same rollout that it carries out or that went wrong. Reads only. */
enum fl_code rollouts_gateway_lost(const struct rollouts_lane *lane, const struct step_view *view,
	const struct rollouts_parsed *parsed, bool *lost, struct fl_err *err) FL_MUST_CHECK;

/* ---- rollouts_load.c: how much is under way */

/* Fill what a POLLED fact says about the load of the rollout, as far as its limits need it. */
enum fl_code rollouts_load(const struct rollouts_lane *lane, const struct step_view *view,
	const struct rollouts_parsed *parsed, struct engine_fact *fact,
	struct fl_err *err) FL_MUST_CHECK;

/* ---- rollouts_slots.c: slots of the fleet */

/* Nobody wants any; *w is zeroed. */
void rollouts_wishes_init(struct rollouts_wishes *w);
/* The lanes have ended. */
void rollouts_wishes_fini(struct rollouts_wishes *w);
/* How the slots of the fleet are shared if the rollout wants one more now. Any lane. */
enum fl_code rollouts_slots(const struct rollouts_lane *lane, int64_t rollout_id, int64_t priority,
	struct explain_fleet *out, struct fl_err *err) FL_MUST_CHECK;
/* Remember what became of a poll: the step got a slot, or found none. Writer. */
void rollouts_slots_note(const struct rollouts_lane *lane, const struct step_view *view,
	int64_t priority, const struct engine_out *out);
/* Set the figures on /metrics. */
enum fl_code rollouts_slots_measure(
	const struct rollouts_lane *lane, struct fl_err *err) FL_MUST_CHECK;

/* ---- rollouts_requires.c: what is installed goes on working together */

/* A change of what a device has. Borrowed. */
struct rollouts_shift {
	const struct rollouts_outlook *outlook;
	bool planned;          /* the plan has seen to it that the device works by itself */
	int64_t gateway_state; /* what its gateway has; 0: not looked at */
};
/* `gateway_state` of a device; 0: it has no gateway. */
enum fl_code rollouts_gateway_state(struct store *store, const struct device *device,
	int64_t *state_id, struct fl_err *err) FL_MUST_CHECK;
/* Who would not get what it requires; what it does not get now either is no matter. */
enum rollouts_unmet { ROLLOUTS_ALL_MET, ROLLOUTS_UNMET_HERE, ROLLOUTS_UNMET_AROUND };
/* Whether, after the change, the requirements of the device and of those behind it are met by what is
 * installed now: by the device itself (HERE), and by its gateway or for those behind it (AROUND). */
enum fl_code rollouts_requires_met(const struct rollouts_lane *lane,
	const struct rollouts_shift *shift, enum rollouts_unmet *unmet,
	struct fl_err *err) FL_MUST_CHECK;

/* ---- rollouts_rivals.c: one running rollout per device and module */

/* A rollout wants a device. */
struct rollouts_claim {
	const struct engine_rollout *rollout;
	int64_t device_no;
	int class;     /* of the rollout's plan */
	int64_t since; /* only rivals that have started since then */
	bool any;      /* it gives way to every other rollout */
};
/* What comes of it. */
struct rollouts_rivalry {
	enum engine_fit
		fit;      /* FITS; UNFIT: another one had it before; NOT_OURS: has taken it over */
	int64_t by;       /* that rollout */
	int64_t priority; /* and its priority */
};
/* Whether another rollout that is under way has the device for a module that this one changes too. */
enum fl_code rollouts_rival(const struct rollouts_lane *lane, const struct rollouts_claim *claim,
	struct rollouts_rivalry *out, struct fl_err *err) FL_MUST_CHECK;
/* The device is the claimant's: what rollouts that are over still had waiting for it, for one of the same
 * modules, ends. */
enum fl_code rollouts_overtake(const struct rollouts_lane *lane, const struct rollouts_claim *claim,
	struct fl_err *err) FL_MUST_CHECK;
/* The rollout has started: those that it takes devices over from look again at everybody who waits. */
enum fl_code rollouts_take_over(
	const struct rollouts_lane *lane, int64_t rollout_id, struct fl_err *err) FL_MUST_CHECK;
/* Whether a rollout that this one takes devices over from brings that version of a module. */
enum fl_code rollouts_overtakes(const struct rollouts_lane *lane,
	const struct rollouts_parsed *parsed, const struct state_entry *what, bool *brought,
	struct fl_err *err) FL_MUST_CHECK;

#define ROLLOUTS_OPEN_MAX 64 /* steps of one device that are looked at */
/* The open steps of a device, in the order in which they are asked about. */
struct rollouts_steps {
	struct step_place at[ROLLOUTS_OPEN_MAX];
	int64_t priority[ROLLOUTS_OPEN_MAX]; /* of their rollouts; not there if n is 1 */
	size_t n;
};
/* Ways back, then by the priority of the rollouts, older ones first. */
enum fl_code rollouts_open_steps(const struct rollouts_lane *lane, int64_t device_no,
	struct rollouts_steps *out, struct fl_err *err) FL_MUST_CHECK;

/* A rollout that comes before another one on a device. */
struct rollouts_ahead_of {
	char name[STORE_NAME_MAX + 1]; /* "": there is none */
	int64_t priority;
};
/* Who has the claim's device for one of the same modules, and whose order it is offered before the
 * claimant's. Reads only. */
enum fl_code rollouts_ahead(const struct rollouts_lane *lane, const struct rollouts_claim *claim,
	struct rollouts_ahead_of *rival, struct rollouts_ahead_of *before,
	struct fl_err *err) FL_MUST_CHECK;

/* ---- rollouts_slice.c: mass effects */

/* The kind of a job's row. */
const char *rollouts_job_kind(enum engine_job job);
/* Start or go on with a stage's job after COMMIT. */
void rollouts_kick(struct effects *e, int64_t stage_id, enum engine_job job);
/* Go on with every job of the database after COMMIT. */
enum fl_code rollouts_slices_resume(
	struct store *store, struct effects *e, struct fl_err *err) FL_MUST_CHECK;
/* Free the jobs that are under way; the writer has ended. */
void rollouts_slices_free(struct rollouts *r);

/* ---- rollouts_schedule.c: rollouts that start at a time */

/* Begin to start one whose time has come, after COMMIT. Writer. */
enum fl_code rollouts_schedule_look(
	const struct rollouts_lane *lane, struct fl_err *err) FL_MUST_CHECK;
/* Free; the lanes have ended. */
void rollouts_schedule_fini(struct rollouts *r);

/* ---- rollouts.c */

/* Give a rollout one fact about itself, and store what follows. Writer. */
enum fl_code rollouts_give(const struct rollouts_lane *lane, int64_t rollout_id,
	const struct engine_fact *fact, struct fl_err *err) FL_MUST_CHECK;

/* Which rollouts: rollout_active or rollout_open of store/rollout.h. */
typedef enum fl_code (*rollouts_list_fn)(
	struct store *store, int64_t *ids, size_t max, size_t *n, struct fl_err *err);
typedef enum fl_code (*rollouts_one_fn)(
	const struct rollouts_lane *lane, int64_t rollout_id, void *arg, struct fl_err *err);
/* Call fn for each rollout that `list` names, until one fails; *n gets how many there are. FL_NOMEM. */
enum fl_code rollouts_each(const struct rollouts_lane *lane, rollouts_list_fn list,
	rollouts_one_fn fn, void *arg, size_t *n, struct fl_err *err) FL_MUST_CHECK;

/* ---- rollouts_tick.c: time */

/* See to it that freezes begin and end (freezes.h), and that whom one concerns hears of it. Writer. */
enum fl_code rollouts_look_at_freezes(
	const struct rollouts_lane *lane, struct fl_err *err) FL_MUST_CHECK;
/* Queue the timer's work and set the timer again. Loop thread. */
void rollouts_tick(struct server *server, void *arg);

/* ---- rollouts_away.c: absences */

/* fleetd was away since its heartbeat: shift every clock. At start. */
enum fl_code rollouts_back_again(
	const struct rollouts_lane *lane, struct fl_err *err) FL_MUST_CHECK;
/* Write that fleetd is there, if anything depends on it. Writer. */
enum fl_code rollouts_beat(const struct rollouts_lane *lane, struct fl_err *err) FL_MUST_CHECK;

#endif
