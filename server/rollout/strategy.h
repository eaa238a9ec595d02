/* SPDX-License-Identifier: Apache-2.0
 *
 * How a rollout shall go: what the operator writes as `strategy`, with the defaults filled in.
 *
 * DESIGN. strategy_read takes the JSON of the API, strategy_json gives the complete one back (every
 * default written out, the seed too, and the waves that {"factor": 2} stands for); that is what is stored and what the plan's digest covers, so a
 * later default never changes a stored rollout. To add a setting: a member here, a row in the table
 * of strategy.c, a line in strategy_json. Gates are read and written by strategy_gate.c. */
#ifndef ROLLOUT_STRATEGY_H
#define ROLLOUT_STRATEGY_H

#include "lib/json.h"
#include "server/rollout/gate.h"
#include "server/rollout/opening.h"
#include "server/rollout/pace.h"

#define STRATEGY_WAVES_MAX     1000
#define STRATEGY_STRATA_MAX    8
#define STRATEGY_APPROVERS_MAX 32
#define STRATEGY_PRIORITY_MAX  1000
#define STRATEGY_PPM           1000000 /* shares are kept in parts per million */

#define STRATEGY_ORDERS(X) \
	X(WAVE_FIRST, "wave_first") X(LAYER_FIRST, "layer_first") X(PIPELINED, "pipelined")
#define STRATEGY_ON_FAILURES(X) X(PAUSE, "pause") X(STOP, "stop") X(ROLLBACK, "rollback")
#define STRATEGY_CONFLICTS(X)   X(REFUSE, "refuse") X(LEAVE_OUT, "leave_out")

#define STRATEGY_JOINERS(X) X(NONE, "none") X(LAST_WAVE, "last_wave")

#define ORDER_ENUM_(code, text)      ORDER_##code,
#define ON_FAILURE_ENUM_(code, text) ON_FAILURE_##code,
#define CONFLICTS_ENUM_(code, text)  CONFLICTS_##code,
/* Which cell follows which. */
enum strategy_order { STRATEGY_ORDERS(ORDER_ENUM_) STRATEGY_ORDER_MAX };
/* What a failed gate does. */
enum strategy_on_failure { STRATEGY_ON_FAILURES(ON_FAILURE_ENUM_) STRATEGY_ON_FAILURE_MAX };
/* What the planner does with devices whose requirements cannot be met: refuse the whole plan, or
 * leave those devices out as incompatible. */
enum strategy_conflicts { STRATEGY_CONFLICTS(CONFLICTS_ENUM_) STRATEGY_CONFLICTS_MAX };

#define JOINERS_ENUM_(code, text) JOINERS_##code,
/* Which wave takes devices that are new since the plan was made, as long as it has not been opened. */
enum strategy_joiners { STRATEGY_JOINERS(JOINERS_ENUM_) STRATEGY_JOINERS_MAX };

/* Text on the wire. */
const char *strategy_joiners_text(enum strategy_joiners j);
const char *strategy_order_text(enum strategy_order o);
const char *strategy_on_failure_text(enum strategy_on_failure f);
const char *strategy_conflicts_text(enum strategy_conflicts c);

enum strategy_wave_kind { WAVE_COUNT, WAVE_PERCENT, WAVE_SELECTOR };

/* One wave as the operator asked for it; the last of count and percent takes the rest. */
struct strategy_wave {
	enum strategy_wave_kind kind;
	int64_t count;  /* WAVE_COUNT: devices to update, at least 1 */
	int64_t ppm;    /* WAVE_PERCENT: share of all devices to update, 1 .. 1,000,000 */
	char *selector; /* WAVE_SELECTOR: RSQL, not empty; owned */
	char *name;     /* what the operator calls it; NULL: nothing. Owned */
};

struct strategy {
	struct strategy_wave *waves; /* owned; at least one */
	size_t n_waves;
	char *early; /* RSQL: test devices, which come before all others; NULL: none. Owned */
	char *strata[STRATEGY_STRATA_MAX]; /* "attribute.hw", "label.region"; owned */
	size_t n_strata;
	uint64_t seed; /* of the shuffle; at most 2^53 - 1, so that JSON tools keep it */
	enum strategy_order order;
	enum strategy_on_failure on_failure;
	enum strategy_conflicts conflicts;
	enum strategy_joiners joiners;
	int64_t max_joiners; /* so many devices at most; 0: no limit */
	struct gate_rules gate;
	int64_t soak_ms;       /* how long the success condition must hold */
	int64_t reach_ms;      /* until delivery; ends in `unreached` */
	int64_t install_ms;    /* from delivery to the end; ends in `timed_out` */
	int64_t probation_ms;  /* how long a device runs the new set before it confirms */
	int64_t max_drift_ppm; /* start refuses when more of the fleet has changed since planning */
	int64_t max_in_flight; /* devices between delivery and end; 0: no limit */
	struct pace_rules pace;
	struct opening_windows windows; /* when devices may be updated. Owned */
	int64_t priority;  /* among rollouts that want the same devices: the higher one has them */
	bool supersede;    /* takes over what older rollouts of the same priority have under way */
	int64_t approvals; /* how many approvers must agree before it may start; 0: none */
	char *approvers[STRATEGY_APPROVERS_MAX]; /* whose approval counts, by name; owned */
	size_t n_approvers;                      /* 0: everybody's who may approve */
};

/* Read `object` (NULL or an empty object: all defaults) into `out` (zeroed before). `seed` is used when
 * the JSON has none. FL_INVALID with a sentence that names the field ("strategy.waves[1].percent must
 * be more than 0 and at most 100, not 120"); FL_NOMEM. On failure `out` owns nothing. */
enum fl_code strategy_read(const json_t *object, uint64_t seed, struct strategy *out,
	struct fl_err *err) FL_MUST_CHECK;
/* Whether the approval of `name` counts. */
bool strategy_has_approver(const struct strategy *s, const char *name);
/* The complete JSON of `s`, a new reference; NULL without memory. strategy_read of it gives the same. */
json_t *strategy_json(const struct strategy *s);
/* The gate of a strategy that says nothing of it: 95 % of all confirmed, fails above 5 %. */
struct gate_rules strategy_gate_default(void);
/* Read the strategy's `gate` into `out`, which holds the defaults. Thresholds are part of it unless a
 * sequential test takes their place. FL_INVALID names the member. */
enum fl_code strategy_gate_read(
	const json_t *object, struct gate_rules *out, struct fl_err *err) FL_MUST_CHECK;
/* The complete JSON of a gate, a new reference; NULL without memory. */
json_t *strategy_gate_json(const struct gate_rules *g);

/* A share in percent to parts per million: 0 (if `zero`) or 0.0001 to 100; `field` is for the sentence.
 * FL_INVALID. */
enum fl_code strategy_share_read(double percent, bool zero, const char *field, int64_t *ppm,
	struct fl_err *err) FL_MUST_CHECK;
/* The same as JSON in percent, an integer where it is one. A new reference; NULL without memory. */
json_t *strategy_share_json(int64_t ppm);

/* Free what `s` owns and zero it. Safe twice and on zeroed memory. */
void strategy_fini(struct strategy *s);

#endif
