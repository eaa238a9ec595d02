/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the loading of a snapshot: what its parts share. Only planning_*.c include it.
 *
 *   planning_load.c     the order of things; devices, neighbours, states, waves
 *   planning_software.c modules, versions, deltas -> universe
 *   planning_traits.c   attributes and labels -> signatures and strata
 *   planning_values.c   whose clock, which group and which freezes, for simulations
 *   planning_holds.c    what other rollouts are changing
 *   planning_channel.c  which of its devices a channel may bring
 *   planning_history.c  what rollouts have taken so far */
#ifndef PLANNING_LOAD_H
#define PLANNING_LOAD_H

#include "server/planning.h"
#include "server/rsql.h"
#include "server/store/device.h"

/* From keys of the store to indices; the keys are dense. */
struct planning_map {
	uint32_t *v; /* index + 1; 0: none. Owned */
	size_t n;
};

/* Devices while they are read: parallel arrays, all owned. */
struct planning_devices {
	size_t n, cap;
	int64_t *no, *gateway_no, *state_id;
	uint32_t *state, *signature, *gateway, *stratum, *held, *zone, *frozen;
	uint64_t *group;
	uint16_t *wave;
	uint32_t *silent_s;
	uint8_t *flags;
};

struct planning_snapshot {
	struct plan_input in;
	struct universe universe;
	struct planning_devices devices;
	int64_t *state_ids;     /* per state of the universe */
	uint64_t *signatures;   /* owned */
	char **zones;           /* in.n_zones; owned, and each of them */
	struct window *freezes; /* in.n_freezes; owned, and each of them */
	struct plan_hold *holds;
	struct plan_delta *deltas;
	struct resolve_entry *entries;
	char *release;
	struct planning_left_out left_out;
	int64_t newest_no;
	struct fl_arena arena; /* modules of the holds */
};

struct planning_loader {
	struct store *store;
	const struct planning_request *rq;
	struct planning_snapshot *s;
	struct rsql *selector, *scope;
	struct planning_map modules, versions, artifacts, states;
	bool gateways; /* some selected device has one, or is one */
	uint32_t cap_holds, cap_deltas, cap_entries, cap_signatures;
};

/* Set and get; false without memory. Keys below 0 or absurdly large are our defect. */
bool planning_map_set(struct planning_map *m, int64_t key, uint32_t index);
uint32_t planning_map_get(const struct planning_map *m, int64_t key); /* UNIVERSE_NONE */
/* Make room for one more of `size` in an owned array; false without memory. */
bool planning_grow(void *array, uint32_t n, uint32_t *cap, size_t size);
/* The place of a device, PLAN_NO_DEVICE. The devices are ordered by number. */
uint32_t planning_find(const struct planning_devices *d, int64_t no);

/* Modules, versions and the release. */
enum fl_code planning_load_software(struct planning_loader *l, struct fl_err *err) FL_MUST_CHECK;
/* Deltas that are ready; after the software. */
enum fl_code planning_load_deltas(struct planning_loader *l, struct fl_err *err) FL_MUST_CHECK;
/* What other rollouts change on these devices; before the universe is sealed. */
enum fl_code planning_load_holds(struct planning_loader *l, struct fl_err *err) FL_MUST_CHECK;
/* Take out those devices that the channel must not bring; after the devices. */
enum fl_code planning_load_channel(struct planning_loader *l, struct fl_err *err) FL_MUST_CHECK;
/* How long rollouts and builds have taken. */
enum fl_code planning_load_history(struct planning_loader *l, struct fl_err *err) FL_MUST_CHECK;
/* Whose clock devices go by, and of which group they are, if a simulation asks; after the devices. */
enum fl_code planning_load_values(struct planning_loader *l, struct fl_err *err) FL_MUST_CHECK;
/* Attributes and labels of a device. Borrowed. */
struct planning_traits {
	const json_t *attributes, *labels;
};
/* Append the value of a field, "attribute.hw" or "label.region", as text; false: there is none. */
bool planning_add_value(const struct planning_traits *t, const char *field, struct fl_buf *b);
/* Signatures and strata; after the universe is sealed. */
enum fl_code planning_load_traits(struct planning_loader *l, const struct device_filter *filter,
	struct fl_err *err) FL_MUST_CHECK;

#endif
