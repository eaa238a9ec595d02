/* SPDX-License-Identifier: Apache-2.0
 *
 * fleet-agent: the device's side of an update, one edge of the state machine at a time.
 *
 * DESIGN. The record (state.h) says where the agent stands; each state has a function that does its
 * work and names the next state (works in steps.c). agent_turn calls it, takes the edge, saves the
 * record. Work may be done again after a kill at any point, so it only adds files under new names or
 * replaces one link. Reports wait in the record until the server has acknowledged them.
 *
 *   steps.c   what each state does          talk.c    enrolment, session, reports, inventory
 *   fetch.c   getting and decoding bytes    main.c    options and process */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include "agent/fsm.h"
#include "agent/http.h"
#include "agent/install.h"
#include "agent/settings.h"
#include "lib/manifest.h"

#define AGENT_PATH_MAX 1024

/* Test aid: die by SIGKILL at an edge, before or after the record is saved; 0: never. */
struct agent_kill {
	int64_t before_save, after_save;
};

struct agent {
	const struct settings *settings; /* borrowed */
	const volatile int *stop;        /* set by the signal handler */
	int stop_fd;                     /* readable when stop was set; ends waits */
	struct state s;
	struct fl_sign_key key;
	struct fl_root root; /* parsed from the record */
	bool trusted;        /* `root` is filled */
	struct http *http;
	struct protocol_session session;
	bool session_open;
	struct protocol_message message; /* used again for each exchange */
	struct http_answer answer;
	int64_t clock_skew_ms;    /* the server's clock minus ours, when ours is far off */
	struct fl_manifest order; /* s.order, parsed; content NULL: not yet */
	json_t *attributes;       /* object; of this session */
	int64_t poll_at;          /* monotonic ms of the next poll */
	int64_t quiet_until;      /* monotonic ms: no network before, after a failure */
	int failures;             /* in a row */
	int corrupt;              /* downloads with a wrong digest, of this order */
	bool refused;             /* the manifest that came last was refused */
	bool waited;              /* it was seen that the order has to wait */
	bool repeated;            /* the verdict is told once more; no hurry */
	int64_t probation_until;  /* monotonic ms; 0: not begun by this process */
	bool dirty;               /* the record differs from its file */
	int64_t edges;            /* taken by this process */
	int64_t cycles;           /* polls answered or given up */
	enum fl_code last;        /* how the last talk with the server ended */
	struct agent_kill kill;
	int lock_fd;
};

/* ---- main.c's life of an agent */

/* Lock the state folder, read or begin the record, the key and the transport. `a` is zeroed; fini
 * also on failure. FL_CONFLICT: another agent runs there. */
enum fl_code agent_init(struct agent *a, const struct settings *settings, const volatile int *stop,
	int stop_fd, struct fl_err *err) FL_MUST_CHECK;
/* Free, unlock. Safe half-way. */
void agent_fini(struct agent *a);
/* Do the work of the present state and take one edge, or stay. FL_OK also when the network failed;
 * an error means that the record cannot be kept: the process should end. */
enum fl_code agent_turn(struct agent *a, struct fl_err *err) FL_MUST_CHECK;
/* Wait until `ms` are over or the agent shall stop. */
void agent_wait(const struct agent *a, int64_t ms);
/* Monotonic and (corrected) wall clock, ms. */
int64_t agent_mono_ms(void);
int64_t agent_now_ms(const struct agent *a);
/* Path under the state folder; FL_INVALID if it is too long. */
enum fl_code agent_path(const struct agent *a, const char *name, char out[AGENT_PATH_MAX],
	struct fl_err *err) FL_MUST_CHECK;
/* A folder under the state folder, made when it is missing. */
enum fl_code agent_folder(
	const struct agent *a, const char *name, struct fl_err *err) FL_MUST_CHECK;
/* The order in hand, parsed; NULL (with err) if the record holds none that can be read. */
const struct fl_manifest *agent_order(struct agent *a, struct fl_err *err);
/* Say how the order ended, for the edge that follows. `state`, `cause` are static words. */
void agent_verdict(struct agent *a, const char *state, const char *cause, const char *detail);

/* ---- steps.c */

/* The work of a state: returns the next state, or the same to stay. */
typedef enum fsm_state (*steps_fn)(struct agent *a);
/* The table of works; never NULL. */
steps_fn steps_of(enum fsm_state s);

/* Run one of the settings' commands with the surroundings that the manual names; `state` is what
 * FLEET_STATE says. `output`: of a command that says why it fails; NULL: of one that may leave a process
 * behind. FL_OK also if `text` is empty. */
enum fl_code steps_command(struct agent *a, const char *text, enum fsm_state state,
	struct fl_buf *output, struct fl_err *err) FL_MUST_CHECK;

/* ---- wait.c */

/* Whether the order in hand may go on to DOWNLOADING or INSTALLING: `next`; WAITING if not, and what it
 * waits for is in the record then; the present state on a stop. */
enum fsm_state wait_for(struct agent *a, enum fsm_state next);
/* WAITING. */
enum fsm_state wait_work(struct agent *a);

/* ---- fetch.c */

/* DOWNLOADING and PATCHING. */
enum fsm_state fetch_download(struct agent *a);
enum fsm_state fetch_patch(struct agent *a);
/* Where the whole artifact of `sha256` lies between patching and installing. */
enum fl_code fetch_artifact_path(const struct agent *a, const char *sha256,
	char out[AGENT_PATH_MAX], struct fl_err *err) FL_MUST_CHECK;
/* Throw parts and artifacts away: nobody needs them any more. */
void fetch_clean(const struct agent *a);

/* ---- talk.c */

/* Make sure that there is a session. */
enum fl_code talk_session(struct agent *a, struct fl_err *err) FL_MUST_CHECK;
/* Register with the server; fills the record's device, no and root. */
enum fl_code talk_enrol(struct agent *a, struct fl_err *err) FL_MUST_CHECK;
/* Parse the record's root into a->root. FL_SIGNATURE, FL_INVALID. */
enum fl_code talk_trust(struct agent *a, struct fl_err *err) FL_MUST_CHECK;
/* Send all reports of the outbox in order; those that are acknowledged leave the record (in memory;
 * the caller saves). */
enum fl_code talk_reports(struct agent *a, struct fl_err *err) FL_MUST_CHECK;
/* Send attributes and installed modules if the server does not have them. */
enum fl_code talk_inventory(struct agent *a, struct fl_err *err) FL_MUST_CHECK;
/* Poll: a->answer holds the answer, *newest the server's newest number. */
enum fl_code talk_poll(struct agent *a, int64_t *newest, struct fl_err *err) FL_MUST_CHECK;
/* Ask how to get an artifact: a->answer holds the answer, believed. */
enum fl_code talk_ask(
	struct agent *a, const struct protocol_wish *wish, struct fl_err *err) FL_MUST_CHECK;
/* After a failure: no network for a while, longer each time, with jitter; returns the wait in ms. */
int64_t talk_back_off(struct agent *a);
/* The failure is over. */
void talk_works(struct agent *a);

#endif
