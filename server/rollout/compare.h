/* SPDX-License-Identifier: Apache-2.0
 *
 * Strategies side by side: many simulated runs of each, with good and with bad releases. Pure.
 *
 * DESIGN. compare_read takes the body of POST /api/v1/simulations; a described fleet is cut into waves
 * here, a real one by the planner (compare_fleet): who gets what in which layer, with how many bytes, and
 * how long each device has been silent are the plan's. compare_next does one run; the caller decides when to
 * stop. Every run has a seed of its own, derived from the one given: equal bodies give equal answers, and
 * run i of every strategy meets the same lot. */
#ifndef ROLLOUT_COMPARE_H
#define ROLLOUT_COMPARE_H

#include "server/rollout/plan.h"
#include "server/rollout/simulate.h"
#include "server/rollout/strategy.h"

#define COMPARE_STRATEGIES_MAX 8
#define COMPARE_CASES_MAX      8
#define COMPARE_LINKS_MAX      8
#define COMPARE_VERSIONS_MAX   16
#define COMPARE_DEVICES_MAX    200000 /* times layers: at most five times as many */
#define COMPARE_RUNS_MAX       1000
#define COMPARE_LAYERS_MAX     16
#define COMPARE_ZONES_MAX      64 /* whose clocks devices go by, besides the strategy's */

/* A strategy, and the fleet as it cuts it. */
struct compare_strategy {
	char *name; /* owned */
	struct strategy strategy;
	uint16_t *wave; /* per device; owned; NULL: not cut yet */
	int waves;
	uint32_t devices;
	uint32_t *class, *silent_s; /* per device of a real fleet; owned */
	uint32_t *gateway, *group;  /* per device, as simulate_in has them; NULL: none. Owned */
	uint8_t *zone;              /* per device: whose clock it goes by; NULL: 0. Owned */
	/* names of the zones, [0] the strategy's own; owned */
	char *zones[COMPARE_ZONES_MAX + 1];
	size_t n_zones;
	uint32_t
		*frozen; /* per device: which freezes are about it, as bits; NULL: none is. Owned */
	struct window *freezes; /* owned, and each of them */
	size_t n_freezes;
	/* [(case * classes + class) * layers + layer]; owned */
	struct simulate_layer *layers;
	size_t classes;
	/* per zone, if the strategy has windows; owned, hours borrow from it */
	struct opening_made made[COMPARE_ZONES_MAX + 1];
	struct opening_hours hours[COMPARE_ZONES_MAX + 1];
};

/* A hypothesis about the release. */
struct compare_case {
	char *name; /* owned */
	int64_t fail_ppm, silent_ppm;
	int64_t gateway_ppm; /* gateways that an order makes never answer again */
	int64_t install_ms;  /* 0: as observed or, of what was never observed, two minutes */
};

/* A hypothesis about one version, in every case on top of the case's own. */
struct compare_version {
	char *module, *version; /* owned; NULL: of what `layer` brings */
	int layer;
	int64_t fail_ppm, silent_ppm, install_ms; /* 0: the case's */
	bool brought;                             /* a layer brings it */
};

/* What came out of a strategy's runs in one case. */
struct compare_sum {
	int64_t runs, passed, stopped, cut; /* stopped: a gate failed */
	int64_t confirmed, harmed, harmed_most, failures, delivered, bytes, bytes_full, peak;
	double stopped_s;                     /* when, sum over those */
	double mean_s, p95_s, max_s, ended_s; /* sums over the runs that confirmed anybody */
	int64_t timed;
	/* until each of equal parts of the devices was through: sum over the runs that came so far */
	double reached_s[SIMULATE_CURVE];
	int64_t reached[SIMULATE_CURVE];
};

struct compare {
	char *release, *selector; /* of a real fleet; NULL: described. Owned */
	uint32_t devices;
	int layers;
	struct compare_strategy strategies[COMPARE_STRATEGIES_MAX];
	struct compare_case cases[COMPARE_CASES_MAX];
	struct compare_sum sums[COMPARE_STRATEGIES_MAX][COMPARE_CASES_MAX];
	struct compare_version versions[COMPARE_VERSIONS_MAX];
	size_t n_strategies, n_cases, n_links, n_versions;
	struct simulate_link links[COMPARE_LINKS_MAX];
	int64_t link_ppm[COMPARE_LINKS_MAX]; /* share of the devices */
	uint8_t *link;                       /* per device; owned */
	int64_t poll_ms;                     /* how often devices are told to ask */
	/* of a described fleet: per device and layer; what of it a delta saves; devices behind each gateway,
	 * 0: no gateways; places over which devices are spread, for whatever label groups go by, 0: none */
	int64_t bytes, delta_ppm, behind, sites;
	char *zones[COMPARE_ZONES_MAX]; /* and clocks, for whatever zones go by; owned */
	size_t n_zones;
	int64_t install_ms;  /* of cases that do not say it */
	bool observe;        /* no links were given */
	bool observed;       /* devices ask as their silence so far suggests */
	uint32_t never_seen; /* devices of a real fleet that never spoke */
	int64_t runs, until_ms;
	int64_t start_at; /* wall clock at which runs begin; 0: no strategy asks for it */
	uint64_t seed;
	int64_t next;   /* number of the next run, over strategies and cases */
	uint64_t facts; /* of all runs */
};

/* Read a body; `poll_ms` is how often devices ask if it does not say. `out` is zeroed before; end with
 * compare_fini, also after a failure. FL_INVALID names the member; FL_NOMEM. */
enum fl_code compare_read(
	const json_t *body, int64_t poll_ms, struct compare *out, struct fl_err *err) FL_MUST_CHECK;
void compare_fini(struct compare *c);

/* Say what the planner made of strategy i for the real fleet. Both are read only now. The same number of
 * devices and layers for each strategy. FL_REFUSED when that is too much or differs, or a version that was
 * named is not brought to any device; FL_NOMEM. */
enum fl_code compare_fleet(struct compare *c, size_t i, const struct plan_input *in,
	const struct plan *p, struct fl_err *err) FL_MUST_CHECK;

/* Open the windows of strategy i for those who go by its zone number k: by that clock, from c->start_at,
 * when every run begins. For every zone of each strategy that has windows. FL_REFUSED; FL_NOMEM. */
enum fl_code compare_windows(struct compare *c, size_t i, size_t k, const struct fl_zone *zone,
	struct fl_err *err) FL_MUST_CHECK;

/* Do the next run; *done: there is none left. `canceled` and `arg` as simulate_in has them: a run that is
 * cut short by it does not count. FL_NOMEM; FL_INTERNAL when the engine broke an invariant. */
enum fl_code compare_next(struct compare *c, bool (*canceled)(void *arg), void *arg, bool *done,
	struct fl_err *err) FL_MUST_CHECK;

/* The answer: a new reference; NULL without memory. */
json_t *compare_json(const struct compare *c);

#endif
