/* SPDX-License-Identifier: Apache-2.0
 *
 * The plan of a rollout: who changes what, when. Made once from a snapshot, then immutable.
 *
 *            wave 0   wave 1   wave 2
 *   layer 0 [ stage ][ stage ][ stage ]   runtime
 *   layer 1 [ stage ][ stage ][ stage ]   lib
 *   layer 2 [ stage ][ stage ][ stage ]   app
 *
 * DESIGN. Devices of equal start and equal way are one *class*: its sets of modules at the start and
 * after each layer. A device takes part in stage (layer, wave) if it is in the wave and its class has
 * another set after the layer than before (plan_class_changes). Going forwards the goal of layer l is
 * set l+1; a rollback goes through the same sets backwards: undoing layer l leads to set l. Both
 * ways, at every stop, what is installed on a device and its gateway works together; modules of a
 * gateway and of a device that depend on each other never change in the same layer.
 *
 * Pure: equal input gives an equal plan and an equal digest. The work is arrays and radix sorts; it
 * grows with the devices only by a few passes, the thinking is done once per distinct kind of group
 * (a gateway with the kinds of devices behind it, or a device alone). */
#ifndef ROLLOUT_PLAN_H
#define ROLLOUT_PLAN_H

#include "server/rollout/resolve.h"
#include "server/rollout/strategy.h"

#define PLAN_NO_WAVE    UINT16_MAX
#define PLAN_NO_DEVICE  UINT32_MAX
#define PLAN_NEVER_SEEN UINT32_MAX
#define PLAN_LAYERS_MAX 1000
#define PLAN_FORMAT     1 /* of plan_json; rises when an older fleetd could not read it */

/* ---- what goes in */

/* Bits of plan_devices.flags. */
enum plan_flag {
	PLAN_SELECTED = 1 << 0, /* the rollout's selector matches; others are there as neighbours */
	PLAN_GATEWAY = 1 << 1,  /* its tier is gateway */
	PLAN_EARLY = 1 << 2,    /* a test device: as early a wave as there is room in */
};

/* The devices, as parallel arrays of n elements ordered by `no`: those that the selector matches,
 * their gateways and what else is behind those. All borrowed. */
struct plan_devices {
	size_t n;
	const int64_t *no;
	const uint32_t *state;     /* index of universe.states */
	const uint32_t *signature; /* index of plan_input.signatures */
	const uint32_t *gateway;   /* index of its gateway in these arrays, PLAN_NO_DEVICE */
	const uint32_t *stratum;   /* equal numbers are one stratum; only compared */
	const uint32_t *held;      /* index of plan_input.holds; 0: not held */
	const uint16_t
		*wave; /* first selector wave that matches it, PLAN_NO_WAVE; NULL: there is no
				    * selector wave */
	const uint8_t *flags;
	const uint32_t *silent_s; /* seconds since it last spoke, PLAN_NEVER_SEEN; NULL: unknown */
	/* for simulations alone; NULL: not asked for */
	const uint64_t *group;  /* equal ones may not all be under way together; 0: none */
	const uint32_t *zone;   /* whose clock it goes by: index of plan_input.zones */
	const uint32_t *frozen; /* which freezes are about it, as bits: plan_input.freezes */
};

/* What rollouts and builds so far have taken; below 0: there were none. */
struct plan_history {
	int64_t took_median_ms, took_p95_ms; /* delivery to confirmed */
	int64_t downtime_ms;                 /* median of installing to installed */
	int64_t build_us_per_kib;            /* of a delta, by the size of the new artifact */
};

/* Another unfinished rollout has changes of these modules pending on some devices. */
struct plan_hold {
	const char *rollout;
	const uint32_t *modules; /* of the universe */
	uint32_t n_modules;
};

/* A delta that is ready. */
struct plan_delta {
	uint32_t from, to; /* artifacts of the universe */
	int64_t size;      /* the smallest of all codecs */
};

struct plan_input {
	const struct universe *universe; /* sealed */
	const char *release;             /* its name */
	const struct resolve_entry *entries;
	uint32_t n_entries;
	const struct strategy *strategy;
	struct plan_devices devices;
	const uint64_t *signatures; /* universe.n_predicates bits each, in words of 64 */
	uint32_t n_signatures;
	const struct plan_hold *holds; /* [0] is unused */
	uint32_t n_holds;
	const struct plan_delta *deltas; /* in any order */
	uint32_t n_deltas;
	struct plan_history history;
	const char *const *zones; /* [0] is the strategy's own; 0 of them: not asked for */
	uint32_t n_zones;
	const struct window *freezes; /* each open while it holds */
	uint32_t n_freezes;           /* at most 32 */
};

/* ---- what comes out */

enum plan_kind { PLAN_UPDATE, PLAN_NOOP, PLAN_INCOMPATIBLE, PLAN_HELD, PLAN_KIND_MAX };
/* "update" … on the wire; static. */
const char *plan_kind_text(enum plan_kind k);

struct plan_artifact {
	uint8_t sha256[32];
	int64_t size;
	int64_t id; /* the store's key; 0 when read from JSON */
};

struct plan_module {
	const char *name;
	const char *kind;
	enum universe_tier tier;
};

/* One installed module. */
struct plan_item {
	const struct plan_module *module;
	const char *version;
	const struct plan_artifact *artifact; /* NULL: no bytes known for it */
};

/* All that a device has at one stop, ordered by module name. */
struct plan_set {
	const struct plan_item *items;
	uint32_t n;
};

struct plan_class {
	enum plan_kind kind;
	const char *reason; /* incompatible: why; held: the rollout; else "" */
	uint32_t devices;   /* how many */
	int64_t example_no; /* the number of the first of them */
	uint32_t *sets;     /* n_layers + 1 indices into plan.sets: start, after layer 0, 1, … */
};

/* Modules that switch together in a layer. */
struct plan_unit {
	uint32_t layer;
	const struct plan_module **modules;
	uint32_t n;
};

struct plan_wave {
	const char *name; /* from the strategy, "" if it has none */
	uint32_t devices; /* all of them to update */
};

/* What a stage will probably take. Not part of the digest: it is what was known at that moment.
 *
 * A fleet that polls regularly tells by how long its devices have been silent how long they will be so
 * from any moment on: both are spread alike. */
struct plan_forecast {
	int64_t reach_p95_s;   /* until 95 % of its devices ask; at most the stage's deadline */
	int64_t never_seen;    /* devices of it that have never spoken */
	int64_t time_s;        /* from its opening until its gate can pass, soak included */
	int64_t time_max_s;    /* until every deadline has passed */
	int64_t peak_offers_s; /* devices that are offered it in a second, at most */
	int64_t peak_bytes_s;  /* what those take, if each second's are done in a second */
	int64_t downtime_ms;   /* of each device; -1: never observed */
	int64_t build_ms;      /* processor time for the deltas that are not ready */
};

/* One cell. plan.stages is ordered by wave, then layer. */
struct plan_stage {
	uint32_t layer, wave;
	uint32_t devices; /* that change something in it */
	int64_t bytes_full;
	int64_t bytes_delta;      /* with the deltas that are ready; -1: none is */
	uint32_t deltas_to_build; /* distinct pairs of artifacts without a ready delta */
	uint32_t no_way_back;     /* devices that cannot go back once they have passed it */
	int64_t build_bytes;      /* of the new artifacts whose deltas are to be built; not kept */
	struct plan_forecast forecast;
};

/* A pair of artifacts that devices will need a delta for: forwards as it stands, for a rollback the
 * other way round. In the order in which the strategy comes to the first stage that needs each. */
struct plan_pair {
	const struct plan_artifact *from, *to;
	uint32_t layer, wave; /* that stage */
	uint32_t devices;
};

struct plan_refusal {
	const char *reason;
	const char **chain;
	uint32_t n_chain;
	uint32_t devices;
	int64_t example_no; /* the number of one of them; 0: it is about no device alone */
};

struct plan {
	const char *release;
	enum strategy_order order;
	uint64_t seed;
	uint32_t n_layers, n_waves;
	struct plan_unit *units;
	uint32_t n_units; /* ordered by layer */
	struct plan_wave *waves;
	struct plan_stage *stages; /* n_waves * n_layers */
	struct plan_set *sets;
	uint32_t n_sets;
	struct plan_class *classes;
	uint32_t n_classes;
	struct plan_pair *pairs;
	uint32_t n_pairs;
	struct plan_refusal *refusals;
	uint32_t n_refusals; /* any: the rollout cannot start */
	const char **notes;
	uint32_t n_notes; /* remarks: no way back, nothing to do, a large first wave */
	uint32_t totals[PLAN_KIND_MAX]; /* selected devices per kind */
	uint8_t strategy[32]; /* SHA-256 of the strategy's JSON: a digest approves the gates too */
	uint8_t members[32];  /* digest over (device number, wave, class) of all selected devices */
	uint8_t digest[32];   /* SHA-256 over the canonical JSON of plan_json without "digest" and
			       * what is of the moment: "forecast", "bytes_delta", "deltas_to_build" */
	int64_t time_s, time_max_s; /* forecast of all stages, in their order */
	bool observed;              /* the times rest on rollouts that have been; else on guesses */
	/* per device of the input, by its index; NULL in a plan that was read from JSON */
	uint32_t *class_of; /* UINT32_MAX for neighbours */
	uint16_t *wave_of;  /* PLAN_NO_WAVE for all that are not to be updated */
	int64_t *
		class_bytes; /* [class * n_layers + layer]: what one device gets, with ready deltas */
	struct fl_arena arena; /* owns everything above */
};

/* Make a plan. `out` is zeroed before; plan_fini also after a failure. FL_OK also for a plan that
 * refuses (see plan.refusals); FL_NOMEM; FL_REFUSED when the problem is too large. */
enum fl_code plan_make(
	const struct plan_input *in, struct plan *out, struct fl_err *err) FL_MUST_CHECK;
void plan_fini(struct plan *p);

/* Whether devices of the class change something in the layer: they get a step in its stages. */
bool plan_class_changes(const struct plan *p, uint32_t class, uint32_t layer);
/* What they have before (also: the goal when the layer is rolled back) and after the layer. */
const struct plan_set *plan_class_before(const struct plan *p, uint32_t class, uint32_t layer);
const struct plan_set *plan_class_after(const struct plan *p, uint32_t class, uint32_t layer);
/* The cell. */
const struct plan_stage *plan_stage(const struct plan *p, uint32_t layer, uint32_t wave);

/* The class of `p` that devices of class `other_class` of another plan for the same release can join: it
 * starts from the same set, ends in the same one, and each module on its way has the same bytes for
 * them. UINT32_MAX: there is none. */
uint32_t plan_class_like(const struct plan *p, const struct plan *other, uint32_t other_class);

/* The plan as JSON (a new reference, NULL without memory): all of it but the arrays per device; what the
 * store keeps and plan_read takes. Integers and texts only; without the digest these are, in canonical
 * form, the bytes that the digest covers. */
json_t *plan_json(const struct plan *p);
/* The plan as the API shows it: classes with their modules by name instead of sets, no artifacts. A new
 * reference, NULL without memory. */
json_t *plan_view(const struct plan *p);
/* Read what plan_json wrote. `out` is zeroed before; plan_fini also after a failure. FL_CORRUPT. */
enum fl_code plan_read(const json_t *json, struct plan *out, struct fl_err *err) FL_MUST_CHECK;

#endif
