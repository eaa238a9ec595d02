/* SPDX-License-Identifier: Apache-2.0
 *
 * One rollout on a virtual clock: the real engine, devices that are made up. Pure; equal input gives equal
 * output.
 *
 * DESIGN. The rows are arrays in memory; what the runner does with the real ones (rollouts*.c) is done
 * here at once: jobs in one go, sums and gates once a second or after every outcome. Time goes in
 * seconds. Each device has at most one thing that it will do next, in a wheel of seconds, and one
 * deadline, in another; a device without anything waiting does nothing and costs nothing. Whether an
 * installation ends well is drawn when it is offered.
 *
 * A device behind a gateway that never answers again is not heard of any more either; what the gateway gets in
 * lower layers is taken to be what its devices need. */
#ifndef ROLLOUT_SIMULATE_H
#define ROLLOUT_SIMULATE_H

#include "server/rollout/engine.h"
#include "server/rollout/opening.h"

#define SIMULATE_DEVICES_MAX 2000000
#define SIMULATE_LAYERS_MAX  32
#define SIMULATE_STAGES_MAX  4096
#define SIMULATE_CURVE       20
#define SIMULATE_NEVER       UINT32_MAX
#define SIMULATE_NOBODY      UINT32_MAX

enum simulate_link_kind {
	SIMULATE_ALWAYS, /* asks every poll_ms */
	SIMULATE_DUTY,   /* there for on_ms, away for off_ms, again and again, each with a phase */
	SIMULATE_RANDOM, /* likewise with exponential times of these means */
};

/* How devices are connected. */
struct simulate_link {
	enum simulate_link_kind kind;
	int64_t poll_ms;       /* at least 1000 */
	int64_t on_ms, off_ms; /* of the last two kinds, at least 1000 */
};

/* What is supposed of the versions that a layer brings to the devices of a class. */
struct simulate_layer {
	bool absent;        /* it brings them nothing: they have no step in it */
	int64_t fail_ppm;   /* installations that fail and say so */
	int64_t silent_ppm; /* that never answer again */
	int64_t install_ms; /* mean; between half and one and a half of it, evenly */
	int64_t bytes;      /* that a device gets */
	int64_t bytes_full; /* that it would get without deltas */
};

/* A part of the time, from the start of the rollout. */
struct simulate_span {
	int64_t from_ms, to_ms;
};

struct simulate_in {
	const struct engine_rules *rules;
	uint32_t devices;
	const uint16_t *wave; /* per device */
	const uint8_t *link;  /* per device: index of links; NULL: 0 */
	const struct simulate_link *links;
	/* per device: for how many seconds it has been silent, as observed, SIMULATE_NEVER: always. A
	 * fleet that polls regularly is silent from any moment on as long as it has been so until then:
	 * a device asks first after that time, then each time after twice as long, never more often than
	 * its link's poll_ms. NULL: the link alone decides */
	const uint32_t *silent_s;
	/* per device: its gateway, of the same wave, SIMULATE_NOBODY: none; NULL: nobody has one */
	const uint32_t *gateway;
	/* per device: which devices must not all be under way together: equal numbers below `devices`;
	 * SIMULATE_NOBODY: none; NULL: all may be */
	const uint32_t *group;
	int64_t gateway_ppm;                 /* gateways that an order makes never answer again */
	const uint32_t *class;               /* per device; NULL: 0 */
	const struct simulate_layer *layers; /* [class * layers of the rules + layer] */
	/* the windows by every clock that devices go by; NULL: no strategy has some */
	const struct opening_hours *hours;
	size_t n_hours;
	const uint8_t *zone;          /* per device: index of hours; NULL: 0 */
	const struct window *freezes; /* each open while it holds; at most 32 */
	size_t n_freezes;
	const uint32_t *frozen; /* per device: which are about it, as bits; NULL: none is */
	int64_t start_at;       /* wall clock; 0: some moment */
	/* fleetd is away; devices take no orders but finish what they have begun. Ascending */
	const struct simulate_span *outages, *sleeps;
	size_t n_outages, n_sleeps;
	int64_t jump_at_ms, jump_ms; /* the wall clock jumps; 0: it does not */
	bool each;                   /* judge after every outcome, not once a second */
	int64_t until_ms;            /* the virtual time ends here */
	uint64_t facts_max;          /* and the work here */
	uint64_t seed;
	bool (*canceled)(void *arg); /* asked now and then; NULL: never */
	void *arg;
};

struct simulate_out {
	enum rollout_state state; /* as it ended, or was when the time was over */
	bool passed;              /* every gate has passed */
	bool cut;                 /* the time or the work was over, or it was canceled */
	char reason[ENGINE_REASON_MAX];
	int64_t ended_ms;   /* virtual time */
	int64_t decided_ms; /* when the last gate decided */
	int64_t stopped_ms; /* when a gate failed; below 0: none has */
	int64_t targets;    /* devices */
	int64_t confirmed;  /* in every layer */
	/* that got a version that fails on them, or are behind a gateway that never answers again */
	int64_t harmed;
	int64_t failures;            /* that gates counted */
	int64_t delivered;           /* orders */
	double mean_s, p95_s, max_s; /* from the start to a device's last confirmation */
	/* until the 1st, 2nd … of SIMULATE_CURVE equal parts of the devices is through; below 0: never */
	double reached_s[SIMULATE_CURVE];
	int64_t bytes, bytes_full;
	int64_t peak_per_s; /* requests that are not idle polls */
	uint64_t facts;     /* given to the engine */
	const char *broken; /* an invariant: nothing else counts then */
};

/* Run. FL_NOMEM; FL_REFUSED when there are more devices, layers or stages than the limits. */
enum fl_code simulate(
	const struct simulate_in *in, struct simulate_out *out, struct fl_err *err) FL_MUST_CHECK;

#endif
