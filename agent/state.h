/* SPDX-License-Identifier: Apache-2.0
 *
 * What fleet-agent remembers: one record, one file, replaced as a whole after every edge.
 *
 * DESIGN. The file is JSON with a version number, written to a temporary name, synced, renamed, the
 * folder synced (lib/file.h). So a kill at any instruction finds the record of the last edge, and
 * what a state does to the disk besides is written such that it can be done again.
 * Three generations of modules have a name: the good one (confirmed, what the device goes back to),
 * the previous one (good before that, kept for a way back) and the trial (being built or tried).
 * To add a field: a member here, a row in state.c's tables, and its rule in fsm.c if it has one. */
#ifndef AGENT_STATE_H
#define AGENT_STATE_H

#include "lib/json.h"

#define STATE_VERSION    1
#define STATE_OUTBOX_MAX 64

/* Where the agent stands; the diagram is in fsm.c. */
#define FSM_STATES(X)                   \
	X(ENROLLING, "enrolling")       \
	X(IDLE, "idle")                 \
	X(POLLING, "polling")           \
	X(VERIFYING, "verifying")       \
	X(DOWNLOADING, "downloading")   \
	X(PATCHING, "patching")         \
	X(WAITING, "waiting")           \
	X(INSTALLING, "installing")     \
	X(SWITCHING, "switching")       \
	X(CHECKING, "checking")         \
	X(PROBATION, "probation")       \
	X(CONFIRMED, "confirmed")       \
	X(ROLLING_BACK, "rolling_back") \
	X(REPORTING, "reporting")

#define FSM_ENUM_(code, text) FSM_##code,
enum fsm_state { FSM_STATES(FSM_ENUM_) FSM_STATE_MAX };
#undef FSM_ENUM_

/* How an order ended, in the words of the protocol. */
struct verdict {
	const char *state; /* static: "confirmed", "failed", …; NULL: none yet */
	const char *cause; /* static: "release", "device", …; NULL: none */
	char detail[256];  /* a sentence for the operator; empty: none */
};

/* What an order waits for. */
struct waits {
	const char *on;   /* static: "window", "consent", "network", "battery"; NULL: for nothing */
	char detail[160]; /* for people; empty: none */
};

struct state {
	enum fsm_state now;
	/* Set once by enrolment. */
	char *device; /* id; owned */
	int64_t no;   /* the server's number of this device */
	json_t *root; /* root envelope: its keys sign manifests; owned, NULL before enrolment */
	/* The order. */
	int64_t accepted; /* number of the newest manifest taken; only rises */
	char *offer; /* manifest envelope that came and is not checked yet; owned, NULL: none */
	char *order; /* manifest envelope that is being carried out; owned, NULL: none */
	char *step;  /* id of the stage that waits for reports; owned, NULL: none waits */
	struct verdict verdict; /* of the order in hand or of the last one */
	/* Generations: number (0: none) and modules ({"module","version","kind","sha256","size"}). */
	int64_t good, previous, trial;
	int64_t last; /* the last number given; none is given twice */
	json_t *good_modules, *previous_modules, *trial_modules; /* arrays; owned, never NULL */
	/* The attempt. */
	struct waits wait;    /* of WAITING, also while it polls */
	bool held;            /* the server has said that a freeze holds: it must not switch */
	bool whole;           /* of WAITING: everything is downloaded, only the switch waits */
	int64_t starts;       /* times the agent started while the trial was being tried */
	int64_t full;         /* patches that did not decode: full artifacts are asked for */
	int64_t bytes, saved; /* downloaded; full sizes minus downloaded */
	/* What the server does not have yet. */
	json_t *outbox;  /* report bodies in order, without signature; owned array, never NULL */
	char *inventory; /* hex digest of the inventory that the server has; owned, NULL: none */
	/* Not kept in the file. */
	int64_t now_ms; /* wall clock of this turn, set by the caller */
};

/* The word of a state. Static; never NULL. */
const char *state_text(enum fsm_state s);

/* Make a fresh record in ENROLLING. `s` is zeroed memory; fini it also on failure (FL_NOMEM). */
enum fl_code state_init(struct state *s, struct fl_err *err) FL_MUST_CHECK;
/* Free what `s` owns. Safe twice and half-way. */
void state_fini(struct state *s);

/* The static word for what a device may wait for; NULL: there is no such. */
const char *state_wait_word(const char *text);

/* Replace the record in `path` durably. FL_FULL, FL_IO, FL_NOMEM; the old one stays then. */
enum fl_code state_save(const struct state *s, const char *path, struct fl_err *err) FL_MUST_CHECK;
/* Read the record into `s` (inited). FL_NOT_FOUND: there is none. FL_CORRUPT: it is not one, or of
 * a newer agent; `s` is then only good for state_fini. */
enum fl_code state_load(struct state *s, const char *path, struct fl_err *err) FL_MUST_CHECK;

/* Append one report about the step in hand to the outbox; does nothing when no step waits.
 * `word` is the state to report; `final` adds verdict and what runs now. A progress report takes
 * the place of an older one of the same step that is still there, so the outbox stays short. */
enum fl_code state_report(
	struct state *s, const char *word, bool final, struct fl_err *err) FL_MUST_CHECK;

/* Replace an owned string by a copy of `value` (NULL: none). FL_NOMEM: unchanged. */
enum fl_code state_set(char **owned, const char *value, struct fl_err *err) FL_MUST_CHECK;

#endif
