/* SPDX-License-Identifier: Apache-2.0
 *
 * The figures of a stage and of a wave: kept sums, and what is derived from them. Pure.
 *
 * DESIGN. Every kept sum is the sum of figures_of(step) over the rows of the stage. So a change of a
 * step changes the sums by figures_of(after) - figures_of(before), nothing is ever counted at
 * request time, and `fleetd --verify` can count again and compare each one. A wave is the sum of its
 * stages: the flags of a step make sure that a device is in each sum once.
 *
 * Times are kept in a histogram with eight buckets an octave: a median or percentile is off by less
 * than 5 %. They are of steps, delivery to confirmed. */
#ifndef ROLLOUT_FIGURES_H
#define ROLLOUT_FIGURES_H

#include "server/rollout/model.h"

#include "lib/buf.h"

struct engine_step;

#define FIGURES_OCTAVES 24 /* of 64 ms: up to twelve days */
#define FIGURES_BUCKETS (FIGURES_OCTAVES * 8)

/* Kept per stage. Only int64_t members: added, subtracted and encoded as one vector. */
struct figures_sums {
	int64_t rows;                  /* steps in all */
	int64_t steps[STEP_STATE_MAX]; /* steps by state; they add up to rows */
	int64_t back;                  /* steps that are to go back and have not ended */
	int64_t excluded; /* ineligible, superseded, canceled or removed on the way forward: no target */
	int64_t confirmed_last;         /* confirmed, and the device has no further layer */
	int64_t noop_last;              /* nothing to do, and no further layer */
	int64_t outcome_confirmed;      /* outcomes of the last attempt; a rollback keeps them */
	int64_t outcome_confirmed_last; /* and the device has no further layer */
	int64_t outcome_failed;
	int64_t outcome_timed_out;
	int64_t causes[CAUSE_MAX];       /* of outcome_failed and outcome_timed_out */
	int64_t switched;                /* devices that switched here first in this rollout */
	int64_t back_by_device;          /* devices that took themselves back */
	int64_t back_by_server;          /* devices taken back by the server that did not do so */
	int64_t back_failed;             /* steps whose way back failed */
	int64_t back_ended;              /* steps whose way back ended, well or not */
	int64_t steps_switched;          /* steps that switched, */
	int64_t steps_back;              /* and those of them that were taken back, by whomever */
	int64_t bytes_sent, bytes_saved; /* as devices reported them */
	int64_t retried;                 /* attempts behind the first ones */
	int64_t times[FIGURES_BUCKETS];  /* delivery to confirmed */
};
#define FIGURES_N (sizeof(struct figures_sums) / sizeof(int64_t))

/* Derived, for the API and the tables. A rate below 0 has a zero denominator: "-". */
struct figures {
	int64_t devices; /* assigned to the wave */
	int64_t targets;
	int64_t confirmed, failed, timed_out;
	int64_t retried;
	int64_t back_by_device, back_by_server;
	double completion, failure, rollback, rollback_failure;
	double time_median_s, time_p95_s;
	int64_t bytes_sent, bytes_saved;
};

/* Add what one step adds to its stage's sums, or (sign -1) take it off again. */
void figures_add_step(struct figures_sums *into, const struct engine_step *step, int sign);
/* into += sign * sums. */
void figures_add(struct figures_sums *into, const struct figures_sums *sums, int sign);
/* Whether no member is below 0 and the states add up to the rows; else *what names the member. */
bool figures_sound(const struct figures_sums *sums, const char **what);
/* Whether both are equal; else *what names the first member that differs. */
bool figures_equal(const struct figures_sums *a, const struct figures_sums *b, const char **what);

/* What sums are about: one stage, where every step counts, or the stages of a wave, where a device that
 * goes on to a further layer counts there. */
enum figures_scope { FIGURES_STAGE, FIGURES_WAVE };

/* Derive the figures of a stage or of a sum over stages; `devices` is the number of devices assigned to
 * the wave (of a stage: its rows). */
void figures_derive(const struct figures_sums *sums, int64_t devices, enum figures_scope scope,
	struct figures *out);
/* The time in seconds below which `share` (0..1) of the confirmed steps lie; below 0: none. */
double figures_time(const struct figures_sums *sums, double share);

/* Any vector of n numbers, none below 0, as bytes (versioned, small: zeros cost almost nothing); and the
 * reverse, FL_CORRUPT. No bytes are zeros. */
void figures_encode_vector(const int64_t *v, size_t n, struct fl_buf *out);
enum fl_code figures_decode_vector(
	struct fl_bytes bytes, int64_t *v, size_t n, struct fl_err *err) FL_MUST_CHECK;

/* The sums as bytes for the stage's row (versioned, small: zeros cost almost nothing). */
void figures_encode(const struct figures_sums *sums, struct fl_buf *out);
/* The reverse; FL_CORRUPT. No bytes are zeroed sums. */
enum fl_code figures_decode(
	struct fl_bytes bytes, struct figures_sums *out, struct fl_err *err) FL_MUST_CHECK;

#endif
