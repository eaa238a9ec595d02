/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the planner: what its parts hand to each other. Only plan*.c include it.
 *
 *   plan_build.c   memory and a table
 *   plan.c         devices -> kinds -> combos; each combo resolved once; classes
 *   plan_layers.c  the hops of all combos -> layers
 *   plan_sets.c    states and hops -> interned sets and classes
 *   plan_stages.c  waves, stages, pairs
 *   plan_remarks.c refusals, notes
 *   plan_digest.c  the digests
 *   plan_forecast.c time, load, downtime
 *   plan_json.c, plan_read.c: the plan as JSON and back */
#ifndef ROLLOUT_PLAN_BUILD_H
#define ROLLOUT_PLAN_BUILD_H

#include "lib/graph.h"
#include "server/rollout/plan.h"

#define BUILD_NONE UINT32_MAX

/* Devices that are alike: equal state, signature, hold and flags. */
struct build_kind {
	uint32_t state, signature, held;
	uint8_t flags;
};

/* One module reaches one version, on gateways or on devices: the grain of layers. Shared by all combos
 * unless `owner` says whose it is. */
struct build_node {
	bool gateway;
	uint32_t module, to;
	uint32_t owner; /* 0: shared; else unique */
};

struct build_hop {
	uint32_t module, from, to;
	uint32_t node;
};

/* Why devices are not updated. */
struct build_reason {
	const char *text;
	const char **chain;
	uint32_t n_chain;
	bool conflict; /* a refusal unless the strategy leaves such devices out */
	uint32_t devices;
	int64_t example_no; /* of the first of them */
};

/* What becomes of one kind of device within one combo. */
struct build_place {
	uint32_t kind; /* of the device */
	bool selected; /* else a neighbour: no class */
	enum plan_kind outcome;
	uint32_t reason; /* in builder.reasons; BUILD_NONE */
	struct build_hop *hops;
	uint32_t n_hops;
	uint32_t class;
};

/* A combination of kinds that depend on each other: a gateway and the distinct kinds behind it
 * (ascending), or a device alone. */
struct build_combo {
	struct build_place *places;
	uint32_t n_places;
	bool gateway;
	uint32_t cluster; /* whose layers it goes by; BUILD_NONE: it changes nothing */
};

/* Combos that share one assignment of nodes to layers. */
struct build_cluster {
	struct fl_edge *edges; /* owned */
	size_t n_edges, cap_edges;
	uint32_t *component; /* per node, in the arena; set at the end, as is … */
	uint32_t n_components;
	uint32_t *layer; /* … per node; BUILD_NONE: not of this cluster */
	bool *has;       /* per node */
};

/* An open-addressing table from a hash to an index; the owner compares. */
struct build_table {
	uint32_t *slots; /* index + 1; owned */
	uint64_t *hashes;
	uint32_t used, cap;
};

struct plan_builder {
	const struct plan_input *in;
	const struct universe *u;
	struct plan *out;
	struct fl_arena arena; /* of the builder's own things */
	struct fl_err failure;

	struct build_kind *kinds; /* owned, grows; likewise the others with a cap */
	uint32_t n_kinds, cap_kinds;
	uint32_t *kind_of;  /* per device */
	uint32_t *root_of;  /* per device: its gateway or itself */
	uint32_t *members;  /* per device: devices that have it as root */
	uint32_t *combo_of; /* per root */

	struct build_combo *combos;
	uint32_t n_combos, cap_combos;
	struct build_node *nodes;
	uint32_t n_nodes, cap_nodes;
	struct build_reason *reasons;
	uint32_t n_reasons, cap_reasons;
	struct build_cluster *clusters;
	uint32_t n_clusters, cap_clusters;
	struct build_order {
		uint32_t combo;
		/* Hops as (place, index): the first before the second; both ways round: one unit. */
		uint32_t before_place, before_hop, after_place, after_hop;
	} * orders;
	uint32_t n_orders, cap_orders;

	uint32_t n_layers;
	/* plan_sets.c */
	const struct plan_module **modules;     /* per module of the universe, when needed */
	const char **texts;                     /* per version */
	const struct plan_artifact **artifacts; /* per artifact */
	struct build_set {
		uint32_t *versions, *artifacts; /* n, by module name */
		uint32_t n;
	} * sets;
	uint32_t n_sets, cap_sets;
	struct build_class {
		enum plan_kind kind;
		uint32_t reason;
		uint32_t *sets; /* n_layers + 1 */
	} * classes;
	uint32_t n_classes, cap_classes;
	struct build_table table; /* of whatever is being interned */
	uint32_t *names;          /* per module of the universe: its rank by name */
};

/* Remember the first failure. Returns false, so that a caller can write `return build_fail(…)`. */
bool build_nomem(struct plan_builder *b);
/* Make room for one more element of `size` in an array; NULL after a failure. */
void *build_grow(struct plan_builder *b, void *array, uint32_t n, uint32_t *cap, size_t size);
#define BUILD_GROW(b, name)                                                                   \
	({                                                                                    \
		void *build_wider_ = build_grow(                                              \
			(b), (b)->name, (b)->n_##name, &(b)->cap_##name, sizeof(*(b)->name)); \
		if (build_wider_ != NULL)                                                     \
			(b)->name = build_wider_;                                             \
		build_wider_ != NULL;                                                         \
	})
/* Memory of the builder's arena / of the plan's, NULL after a failure. */
void *build_get(struct plan_builder *b, size_t n, size_t size);
void *build_out(struct plan_builder *b, size_t n, size_t size);
const char *build_text(struct plan_builder *b, const char *text);

/* Look up: the index stored under `hash` for which same(b, index, key), else BUILD_NONE; then *slot is
 * where build_table_put stores. Grows the table first. BUILD_NONE and *slot BUILD_NONE on failure. */
uint32_t build_table_find(struct plan_builder *b, uint64_t hash,
	bool (*same)(const struct plan_builder *b, uint32_t index, const void *key),
	const void *key, uint32_t *slot);
void build_table_put(struct plan_builder *b, uint32_t slot, uint64_t hash, uint32_t index);
void build_table_reset(struct plan_builder *b);
uint64_t build_hash(uint64_t h, uint64_t x);

/* Assign layers to all nodes of all combos. */
bool build_layers(struct plan_builder *b);
/* The layer of a hop of a combo. */
uint32_t build_layer_of(
	const struct plan_builder *b, const struct build_combo *c, const struct build_hop *h);
/* Classes of all places; then the plan's classes, sets and units. */
bool build_classes(struct plan_builder *b);
/* Waves, stages, pairs and their forecast. */
bool build_stages(struct plan_builder *b);
/* What each stage will probably take; after the stages have devices and bytes. */
bool build_forecast(struct plan_builder *b);
/* Refuse what has no solution; before the stages, so that the first refusal is the one that matters. */
bool build_conflicts(struct plan_builder *b);
/* Gates that cannot be fed, and what the reader should notice; after the stages. */
bool build_remarks(struct plan_builder *b);
/* The digests, last of all. */
bool build_digest(struct plan_builder *b);

/* Add a refusal, with the chain and the example of `from` (NULL: none). More than a hundred are dropped. */
bool build_refuse(struct plan_builder *b, const char *reason, const struct build_reason *from,
	uint32_t devices);
/* Add a note; after the layers are known. */
bool build_note(struct plan_builder *b, const char *text);

#endif
