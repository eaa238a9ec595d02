/* SPDX-License-Identifier: Apache-2.0
 *
 * The calendar of freezes: what their rules mean in time, and what is to be said when one begins or ends.
 *
 * DESIGN. The writer makes the spans of a freeze that recurs (store/freeze.h) ahead: there always is one that
 * comes, or none comes any more. So a poll finds what holds in the table, also in the moment in which it begins,
 * and clocks find what has held. When the one that comes begins, the one behind it is made, which takes up
 * a newer tzdata. Begin and end of a span are events that the timer writes, each once: whether it was told
 * stands in its row. */
#ifndef FREEZES_H
#define FREEZES_H

#include "server/effects.h"
#include "server/rollout/opening.h"
#include "server/store/freeze.h"

/* When it holds within the horizon, whatever its spans say: as its rules have it. *out (zeroed) is to be
 * finished, also on failure. FL_INVALID with a sentence; FL_NOMEM. */
enum fl_code freezes_expand(const struct freeze *f, const struct opening_horizon *horizon,
	struct window *out, struct fl_err *err) FL_MUST_CHECK;

/* Store what is wanted in place of what is `there` (zeroed: nothing), with its spans. A span that holds and
 * goes on stays what it is. wanted->from_ms lies not in the past, or is that of `there`. FL_INVALID with a
 * sentence when the rules or the zone are wrong, or would never begin; FL_CONFLICT when it has held for the
 * devices of another selector. Write lane. */
enum fl_code freezes_put(struct store *store, const struct freeze *wanted,
	const struct freeze *there, struct fl_err *err) FL_MUST_CHECK;

/* Whether both are about the same devices at the same times, but for begin and end. */
bool freezes_alike(const struct freeze *a, const struct freeze *b);

/* Make the spans that are to come, and write an event for each that has begun or ended; *turned: one has.
 * Write lane. */
enum fl_code freezes_look(struct store *store, struct effects *effects, bool *turned,
	struct fl_err *err) FL_MUST_CHECK;

#endif
