/* SPDX-License-Identifier: Apache-2.0
 *
 * From what is installed and what a release asks for to the steps in between: which versions, passing
 * which floors, in which order, what together.
 *
 * DESIGN. The problem is solved for *places* that depend on each other: a gateway (place 0) and the
 * distinct kinds of device behind it, or one device alone. The planner solves each distinct
 * combination once.
 *  1. Targets. The release's entries are given; a module that it does not name stays unless something
 *     that the release brings requires another version of it; then the newest version that satisfies
 *     everybody is taken, never a blocked one, never a lower one, depth first with backtracking.
 *  2. Hops. Each module goes from its version to its target through every floor between them.
 *  3. Order. Depth first over the hops: a requirement that holds must go on holding after each.
 *     Providers go first. Hops of one device that only work together become one unit.
 * What held at the start holds after every unit, and before it on the way back. A requirement that is
 * already broken at the start may stay broken, but nothing new is installed on top of it. */
#ifndef ROLLOUT_RESOLVE_H
#define ROLLOUT_RESOLVE_H

#include "lib/buf.h"
#include "server/rollout/universe.h"

enum resolve_action { RESOLVE_UPDATE, RESOLVE_INSTALL, RESOLVE_ABSENT };

/* One line of the release. At most one per module. */
struct resolve_entry {
	uint32_t module;
	uint32_t version; /* UNIVERSE_NONE with RESOLVE_ABSENT */
	enum resolve_action action;
};

/* A device as the resolver sees it. */
struct resolve_place {
	uint32_t state;
	const uint64_t *signature; /* bit per predicate; NULL only if there are no predicates */
	enum universe_tier tier;
	bool fixed; /* it must stay as it is: not part of the rollout, held, or given up */
};

struct resolve_problem {
	const struct universe *universe;
	const struct resolve_entry *entries;
	uint32_t n_entries;
	const struct resolve_place *places;
	uint32_t n_places;
	bool gateway; /* places[0] is the gateway of all the others */
};

enum resolve_outcome {
	RESOLVE_OK,
	RESOLVE_INCOMPATIBLE, /* a place cannot take its part: no variant, a need unmet, newer already */
	RESOLVE_CONFLICT, /* requirements that contradict each other, a cycle, no order, a blocked version */
};

/* One module of one place changes its version. */
struct resolve_hop {
	uint32_t place, module;
	uint32_t from, to; /* UNIVERSE_NONE: absent */
	uint32_t unit;     /* hops of equal unit switch together; numbered in a valid order */
};

/* a must have ended before b begins: both are indices into hops. */
struct resolve_order {
	uint32_t before, after;
};

struct resolve_result {
	enum resolve_outcome outcome;
	struct resolve_hop *hops; /* ordered by unit; owned by the result's arena */
	uint32_t n_hops, n_units;
	struct resolve_order *orders;
	uint32_t n_orders;
	uint32_t place; /* not OK: the place that it failed for */
	char *reason;   /* not OK: a sentence; equal for equal causes, names no device */
	char **chain;   /* not OK: how it came to that, a sentence each */
	uint32_t n_chain;
	struct fl_arena arena;
};

/* Solve. `out` is zeroed before; give it back with resolve_fini also after a failure. FL_OK also when
 * the outcome is a refusal; FL_NOMEM; FL_REFUSED when the search was given up after RESOLVE_WORK_MAX
 * tries (bad input must not cost more than that). */
enum fl_code resolve(const struct resolve_problem *p, struct resolve_result *out,
	struct fl_err *err) FL_MUST_CHECK;
void resolve_fini(struct resolve_result *r);

#define RESOLVE_WORK_MAX 20000

/* The artifact of `version` for a device with this signature: that of the first variant that matches.
 * *matches says if one does and the version's needs are met; the artifact may still be
 * UNIVERSE_NONE (declared without bytes). A version that nobody published has no artifact. */
uint32_t resolve_artifact(
	const struct universe *u, uint32_t version, const uint64_t *signature, bool *matches);

#endif
