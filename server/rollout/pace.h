/* SPDX-License-Identifier: Apache-2.0
 *
 * How fast a rollout goes, and what is tried again. Pure.
 *
 * The words are those of AWS IoT Jobs: a rollout has a maximum per minute, or begins with a base rate
 * that is multiplied by a factor each time so many more devices were notified (offered their order) or
 * have succeeded. A minute is the last one at any moment, on the rollout's own clock, which stands still
 * while the rollout is paused: no 60 s see more than the rate, wherever they begin. Failures of some kinds
 * are tried again after a while that grows with each attempt. */
#ifndef ROLLOUT_PACE_H
#define ROLLOUT_PACE_H

#include "lib/json.h"
#include "server/rollout/model.h"

#define PACE_RETRIES_MAX 8
#define PACE_GROUP_MAX   128 /* bytes of the name of a label, with the NUL */
#define PACE_SLOT_MS     5000
#define PACE_SLOTS \
	(60000 / PACE_SLOT_MS + 1) /* a minute that begins within a slot ends in another */

/* Which devices must not all be under way together. */
enum pace_group { PACE_NO_GROUP, PACE_GATEWAY, PACE_LABEL };

enum pace_ends { PACE_FAILED = 1 << 0, PACE_TIMED_OUT = 1 << 1 };

/* Tries again after these ends for these causes. */
struct pace_retry {
	unsigned ends;    /* bits of enum pace_ends */
	unsigned causes;  /* bits 1 << enum step_cause */
	int64_t attempts; /* how many times in all, at least 2: the first one counts */
	int64_t backoff_ms, factor_ppm; /* the wait before the second attempt, and its growth */
};

/* Zeroed apart from the way back: as fast as devices ask, nothing is tried again by itself. */
struct pace_rules {
	int64_t max_per_minute;              /* 0: no limit */
	int64_t base_per_minute, factor_ppm; /* the ramp; base 0: none */
	int64_t per_notified,
		per_succeeded; /* the rate rises each time so many more; one of them is 0 */
	enum pace_group group;
	char label[PACE_GROUP_MAX]; /* PACE_LABEL: its name */
	int64_t max_unavailable;    /* devices of one group between delivery and end */
	struct pace_retry retries[PACE_RETRIES_MAX];
	int n_retries;
	/* the way back: so many devices of a stage go first, and it pauses when, of at least so many ended,
	 * more than this share has failed */
	int64_t back_first, back_error_ppm, back_error_minimum;
	bool back_windows, back_pace; /* it waits for windows; it obeys the rates and groups too */
};

/* Whether there is a rate at all. */
static inline bool pace_has_rate(const struct pace_rules *r)
{
	return r->max_per_minute != 0 || r->base_per_minute != 0;
}
/* How many devices may be offered their order in a minute now; 0: no limit. */
int64_t pace_per_minute(const struct pace_rules *r, int64_t notified, int64_t succeeded);
/* Offers of the last minute, by slots of the clock. Zeroed: none. Numbers only: the store keeps them so. */
struct pace_minute {
	int64_t newest; /* number of the last slot that has some */
	int64_t n[PACE_SLOTS];
};
#define PACE_MINUTE_N (sizeof(struct pace_minute) / sizeof(int64_t))
/* How long the last of `devices` that all ask at once waits for its offer, when `before` were offered theirs
 * and have succeeded; in ms. A forecast. */
int64_t pace_wait_ms(const struct pace_rules *r, int64_t before, int64_t devices);
/* How many offers the last minute has seen at `clock`: all of the last 60 s, and of those up to PACE_SLOT_MS
 * older the ones in the same slot as the oldest of these. Who offers only while this is below N never offers
 * more than N within 60 s, and can offer N within any 65 s. */
int64_t pace_recent(const struct pace_minute *m, int64_t clock);
/* One more is made at `clock`. A clock that is set back counts as one that stands. */
void pace_note(struct pace_minute *m, int64_t clock);

/* How long to wait before the attempt after number `attempt` (from 1), which ended so; -1: it is not
 * tried again. */
int64_t pace_retry_after(
	const struct pace_rules *r, enum step_state end, enum step_cause cause, int64_t attempt);

/* Whether a step on its way forward, or back, waits for windows. */
static inline bool pace_minds_windows(const struct pace_rules *r, bool back)
{
	return !back || r->back_windows;
}

/* The members of the strategy that are about it; NULL: absent. Borrowed. */
struct pace_members {
	const json_t *pace, *retries, *rollback;
};
/* Read them into *out, overwritten. FL_INVALID with a sentence that names the member. */
enum fl_code pace_read(
	const struct pace_members *m, struct pace_rules *out, struct fl_err *err) FL_MUST_CHECK;
/* The same back, new references, NULL without memory; pace_read of them gives the same. */
json_t *pace_json(const struct pace_rules *r);
json_t *pace_retries_json(const struct pace_rules *r);
json_t *pace_rollback_json(const struct pace_rules *r);

#endif
