/* SPDX-License-Identifier: Apache-2.0
 *
 * The words of a rollout: states, causes, counters, strategy. Pure data, shared by the planner, the
 * engine, the store and the API. The names are the ones on the wire and in the database. */
#ifndef ROLLOUT_MODEL_H
#define ROLLOUT_MODEL_H

#include "lib/err.h"

#include <stdbool.h>
#include <stdint.h>

/* clang-format off */
#define ROLLOUT_STATES(X)                       \
	X(DRAFT, "draft")                       \
	X(PLANNING, "planning")                 \
	X(WAITING_APPROVAL, "waiting_approval") \
	X(DENIED, "denied")                     \
	X(READY, "ready")                       \
	X(SCHEDULED, "scheduled")               \
	X(STARTING, "starting")                 \
	X(RUNNING, "running")                   \
	X(PAUSED, "paused")                     \
	X(STOPPING, "stopping")                 \
	X(STOPPED, "stopped")                   \
	X(ROLLING_BACK, "rolling_back")         \
	X(ROLLED_BACK, "rolled_back")           \
	X(COMPLETED, "completed")               \
	X(FAILED, "failed")

#define STAGE_STATES(X)                 \
	X(PENDING, "pending")           \
	X(RUNNING, "running")           \
	X(SOAKING, "soaking")           \
	X(SUCCEEDED, "succeeded")       \
	X(FAILED, "failed")             \
	X(INCONCLUSIVE, "inconclusive") \
	X(SKIPPED, "skipped")           \
	X(ROLLING_BACK, "rolling_back") \
	X(ROLLED_BACK, "rolled_back")

/* The ends come after STEP_INSTALLED. */
#define STEP_STATES(X)                        \
	X(QUEUED, "queued")                   \
	X(OFFERED, "offered")                 \
	X(REJECTED, "rejected")               \
	X(WAITING, "waiting")                 \
	X(DOWNLOADING, "downloading")         \
	X(DOWNLOADED, "downloaded")           \
	X(INSTALLING, "installing")           \
	X(REBOOTING, "rebooting")             \
	X(INSTALLED, "installed")             \
	X(CONFIRMED, "confirmed")             \
	X(FAILED, "failed")                   \
	X(TIMED_OUT, "timed_out")             \
	X(UNREACHED, "unreached")             \
	X(INELIGIBLE, "ineligible")           \
	X(CANCELED, "canceled")               \
	X(SUPERSEDED, "superseded")           \
	X(NOOP, "noop")                       \
	X(REMOVED, "removed")                 \
	X(ROLLED_BACK, "rolled_back")         \
	X(ROLLBACK_FAILED, "rollback_failed") \
	X(HELD, "held")

/* Why a step failed; `release` and `unknown` count against the release by default. */
#define STEP_CAUSES(X)        \
	X(NONE, "none")       \
	X(RELEASE, "release") \
	X(DEVICE, "device")   \
	X(NETWORK, "network") \
	X(SERVER, "server")   \
	X(UNKNOWN, "unknown")
/* clang-format on */

#define ROLLOUT_ENUM_(code, text) ROLLOUT_##code,
#define STAGE_ENUM_(code, text)   STAGE_##code,
#define STEP_ENUM_(code, text)    STEP_##code,
#define CAUSE_ENUM_(code, text)   CAUSE_##code,
enum rollout_state { ROLLOUT_STATES(ROLLOUT_ENUM_) ROLLOUT_STATE_MAX };
enum stage_state { STAGE_STATES(STAGE_ENUM_) STAGE_STATE_MAX };
enum step_state { STEP_STATES(STEP_ENUM_) STEP_STATE_MAX };
enum step_cause { STEP_CAUSES(CAUSE_ENUM_) CAUSE_MAX };

/* Text on the wire <-> enum. *_parse gives FL_INVALID on an unknown word. */
const char *rollout_state_text(enum rollout_state s);
const char *stage_state_text(enum stage_state s);
const char *step_state_text(enum step_state s);
const char *step_cause_text(enum step_cause c);
enum fl_code rollout_state_parse(
	const char *s, enum rollout_state *out, struct fl_err *err) FL_MUST_CHECK;
enum fl_code stage_state_parse(
	const char *s, enum stage_state *out, struct fl_err *err) FL_MUST_CHECK;
enum fl_code step_state_parse(
	const char *s, enum step_state *out, struct fl_err *err) FL_MUST_CHECK;
enum fl_code step_cause_parse(
	const char *s, enum step_cause *out, struct fl_err *err) FL_MUST_CHECK;

/* Whether a step in this state has ended. */
static inline bool step_ended(enum step_state s)
{
	return s > STEP_INSTALLED;
}
/* Of a step under way: whether its device has begun to switch, so that nothing holds it any more. */
static inline bool step_switches(enum step_state s)
{
	return s > STEP_DOWNLOADED;
}

#endif
