/* SPDX-License-Identifier: Apache-2.0
 *
 * When the strategy lets devices be updated: rules, how long each opening lasts, and whose clock counts.
 * Pure: the zones are handed in. */
#ifndef ROLLOUT_OPENING_H
#define ROLLOUT_OPENING_H

#include "lib/json.h"
#include "lib/zone.h"
#include "server/rollout/recur.h"
#include "server/rollout/window.h"

#define OPENING_RULES_MAX 8
#define OPENING_SPANS_MAX 20000 /* of one window: more is no maintenance window */
#define OPENING_FIELD_MAX 144   /* "attribute." and a name, with the NUL */

/* One rule. */
struct opening_rule {
	bool cron;
	char text[RECUR_TEXT_MAX]; /* as it was written */
	char from[20];             /* local time as it was written; "": the usual one */
	int64_t duration_ms;
	struct recur recur;
};

/* It is open when one of them says so. Zeroed: always. */
struct opening_rules {
	struct opening_rule *rules; /* owned */
	size_t n;
};

/* The member `windows` of a strategy. Zeroed: none. */
struct opening_windows {
	struct opening_rules delivery, turn; /* turn: when devices may switch to what they have */
	char zone[FL_ZONE_NAME_MAX];         /* whose clock the rules mean … */
	char zone_of
		[OPENING_FIELD_MAX]; /* … unless this attribute or label of a device names another;
					    "": none does */
};

/* Read an array of rules {"cron" or "rrule", "duration_s", "from"}. FL_INVALID names the member. *out is
 * to be finished, and untouched on failure. */
enum fl_code opening_rules_read(
	const json_t *array, struct opening_rules *out, struct fl_err *err) FL_MUST_CHECK;
/* The same back, a new reference; NULL without memory. */
json_t *opening_rules_json(const struct opening_rules *r);
/* Free. Safe twice and on zeroed memory. */
void opening_rules_fini(struct opening_rules *r);

/* Read {"delivery", "switch", "zone", "zone_of"}. As opening_rules_read. */
enum fl_code opening_read(
	const json_t *object, struct opening_windows *out, struct fl_err *err) FL_MUST_CHECK;
/* The same back, a new reference; NULL without memory, and for none. */
json_t *opening_json(const struct opening_windows *w);
/* Free. Safe twice and on zeroed memory. */
void opening_fini(struct opening_windows *w);
/* Whether there is any rule. */
static inline bool opening_some(const struct opening_windows *w)
{
	return w->delivery.n > 0 || w->turn.n > 0;
}

/* How far is looked, wall clock. */
struct opening_horizon {
	int64_t from, until;
};
/* The window that the rules make in a zone, from one moment until another. A duration is time that passes:
 * eight hours are eight hours in the night in which the clock is changed. *out (zeroed) is to be finished,
 * also on failure. FL_REFUSED: it opens too often; FL_NOMEM. */
enum fl_code opening_expand(const struct opening_rules *r, const struct fl_zone *zone,
	const struct opening_horizon *horizon, struct window *out,
	struct fl_err *err) FL_MUST_CHECK;

/* The windows of a strategy by the clock of one zone. Owned. */
struct opening_made {
	struct window delivery, turn;
};
/* Make them; as opening_expand. */
enum fl_code opening_make(const struct opening_windows *w, const struct fl_zone *zone,
	const struct opening_horizon *horizon, struct opening_made *out,
	struct fl_err *err) FL_MUST_CHECK;
/* Free. Safe twice and on zeroed memory. */
void opening_made_fini(struct opening_made *m);

/* When a device may be offered an order, when it may switch to what it has, and when its time to install
 * runs. Borrowed; NULL: always. */
struct opening_hours {
	const struct window *offer, *turn, *install;
};
/* Those of the zone that the windows were made for. The time to install runs while it may switch or, without a
 * window for that, while it may be offered something. Borrows from `made`. */
struct opening_hours opening_hours(
	const struct opening_windows *w, const struct opening_made *made);

#endif
