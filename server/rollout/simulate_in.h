/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the simulator; included by simulate*.c only. */
#ifndef ROLLOUT_SIMULATE_IN_H
#define ROLLOUT_SIMULATE_IN_H

#include "server/rollout/simulate.h"

#define SIMULATE_EPOCH 1000000000000 /* wall clock at the start, unless one is given */
#define SIMULATE_AHEAD 8             /* devices whose rows are fetched before it is their turn */

/* Who acts in which second: chunks of devices by second modulo the size, and which of them are not
 * empty. A device is in at most once; who is, its caller knows. */
#define SIMULATE_WHEEL 8192
#define SIMULATE_CHUNK 63
struct simulate_wheel {
	uint32_t *head; /* SIMULATE_WHEEL: the first chunk */
	struct simulate_chunk {
		uint32_t next, n;
		struct simulate_entry {
			uint32_t device, second;
		} of[SIMULATE_CHUNK];
	} * chunks;           /* enough for all devices */
	uint32_t used, spare; /* chunks that were ever used; the first one that is free again */
	uint64_t busy[SIMULATE_WHEEL / 64];
};

/* What a device does next. */
enum simulate_act { SIMULATE_POLL, SIMULATE_REPORT };

/* Small: it is looked at in every fact about the device. */
struct simulate_device {
	int64_t manifest; /* of the order */
	int32_t done_s;   /* when its last layer was confirmed; -1: not yet */
	uint32_t waiting; /* layers, as bits, whose step it may be offered */
	uint32_t back;    /* of those the ones on their way back */
	uint32_t class;
	uint16_t wave;
	uint8_t layer;    /* of the order that it carries out */
	uint8_t act;      /* enum simulate_act */
	bool acts : 1;    /* it is in the wheel */
	bool due : 1;     /* it is in the wheel of deadlines */
	bool good : 1;    /* how it will end */
	bool bricked : 1; /* its order is one after which it never answers again */
	bool dead : 1;    /* that has happened */
	bool harmed : 1;
};

_Static_assert(sizeof(struct simulate_device) == 32, "two of them share a line of the cache");

/* The order of delivery of a stage: place -> device. */
struct simulate_order {
	uint32_t *device;
	int64_t n, cap;
};

struct simulate_world {
	const struct simulate_in *in;
	struct simulate_out *out;
	int64_t t_ms;   /* virtual time */
	int64_t jumped; /* what the wall clock is ahead by */
	uint64_t chance;
	int64_t manifests, in_flight;
	int64_t second, requests; /* requests in this second */
	struct engine_rollout rollout;
	int n_stages;
	struct engine_stage *stages, *changes; /* changes: what the engine writes to */
	bool *changed;
	unsigned *start;
	struct figures_sums *sums; /* per stage, not yet counted */
	bool *dirty;
	bool any_dirty;
	struct simulate_order *order;
	struct engine_step *steps; /* [device * layers + layer]; stage_id 0: there is none */
	struct simulate_device *device;
	struct simulate_wheel acts, deadlines;
	uint32_t *batch;   /* those of one second */
	uint32_t *members; /* devices by wave: from first[wave] to first[wave + 1] */
	uint32_t *first;
	uint32_t *behind, *first_behind; /* devices by gateway; NULL: nobody has one */
	uint32_t *lost;   /* per device: layers, as bits, whose gate has counted its loss */
	int64_t *group_n; /* per group: devices between delivery and end */
	size_t outage;    /* next one */
	bool offer, keep; /* what the last fact about a step led to */
	bool due_changed; /* stages may have something else due */
	/* per wave: open while it is for any of its devices and no freeze is about all of them; whether it
	 * closes at all */
	struct window *united;
	bool *closes;
	int64_t opens_at; /* wall clock, when a window opens next; -1: none does */
	struct engine_out result;
	bool nomem;
};

/* ---- simulate_wheel.c */
bool simulate_wheel_init(struct simulate_wheel *w, uint32_t devices);
void simulate_wheel_fini(struct simulate_wheel *w);
/* Put a device in that is not. */
void simulate_wheel_set(struct simulate_wheel *w, uint32_t device, int64_t second);
/* Take everybody out whose second is `second`; returns how many went into `out`. */
uint32_t simulate_wheel_take(struct simulate_wheel *w, int64_t second, uint32_t *out);
/* The first second from `from` on for which there may be somebody; at most one turn later. */
int64_t simulate_wheel_next(const struct simulate_wheel *w, int64_t from);

/* ---- simulate_link.c */
/* A number of the world's chance: below n; evenly within 0..1. */
uint64_t simulate_below(struct simulate_world *w, uint64_t n);
double simulate_even(struct simulate_world *w);
/* How long it has not been heard of a device that answers. */
int64_t simulate_silence(const struct simulate_world *w, uint32_t device);
/* When a device that has something waiting asks: the first time (attention was set), or again. */
int64_t simulate_first_poll(struct simulate_world *w, uint32_t device);
int64_t simulate_next_poll(struct simulate_world *w, uint32_t device);

/* ---- simulate_group.c: devices that have to do with each other */
bool simulate_groups_init(struct simulate_world *w);
void simulate_groups_fini(struct simulate_world *w);
/* Whether there are devices behind it. */
bool simulate_is_gateway(const struct simulate_world *w, uint32_t device);
/* Whether nothing is heard of the device any more. */
bool simulate_is_dead(const struct simulate_world *w, uint32_t device);
/* What a POLLED fact about a step says of those that it has to do with: fit, in_group. */
void simulate_look_around(
	struct simulate_world *w, uint32_t device, int layer, struct engine_fact *fact);
/* It is under way from now on (1), or no more (-1). */
void simulate_group_add(struct simulate_world *w, uint32_t device, int by);
/* Whether a device whose time is over was lost together with its gateway. */
bool simulate_lost_with_gateway(struct simulate_world *w, uint32_t device);
/* Whether the gate of the layer has counted the loss that a failed step is a part of; from now on it has. */
bool simulate_lost_before(struct simulate_world *w, int layer, const struct engine_step *failed);

/* ---- simulate_hours.c: maintenance windows */
bool simulate_hours_init(struct simulate_world *w);
/* Those that count for the deadlines of a wave; NULL: always open. */
const struct window *simulate_united(const struct simulate_world *w, int wave);
void simulate_hours_fini(struct simulate_world *w);
/* Those that count for a step now. */
struct opening_hours simulate_hours(
	const struct simulate_world *w, uint32_t device, const struct engine_step *step);
/* Note when a window opens next; whether one has done so. */
bool simulate_has_opened(struct simulate_world *w);

/* ---- simulate_freeze.c: freezes */
/* The first moment from `at` on, wall clock, at which no freeze holds for the device. */
int64_t simulate_thaws(const struct simulate_world *w, uint32_t device, int64_t at);
/* When a device may switch that is ready to at `ready`, wall clock. */
int64_t simulate_turn(const struct simulate_world *w, uint32_t device,
	const struct engine_step *step, int64_t ready);
/* A window, NULL for one that is always open, closed as well while freezes hold: those of a mask, or that are
 * about a device. Borrowed, or made in *room (zeroed), which is to be finished. */
const struct window *simulate_thaw(
	struct simulate_world *w, const struct window *of, uint32_t frozen, struct window *room);
const struct window *simulate_thaw_device(
	struct simulate_world *w, const struct window *of, uint32_t device, struct window *room);
/* The freezes that are about every device of a wave, as bits. */
uint32_t simulate_freezes_of(const struct simulate_world *w, int wave);

/* ---- simulate_world.c */
/* The device acts, or its deadline is looked at, in that second; it is not in the wheel. */
void simulate_act_at(struct simulate_world *w, uint32_t device, int64_t second);
void simulate_due_at(struct simulate_world *w, uint32_t device, int64_t second);
int64_t simulate_wall(const struct simulate_world *w);
/* Give the engine a fact about the rollout (stage -1) or a stage, and do the jobs that follow. */
void simulate_give(struct simulate_world *w, int stage, const struct engine_fact *fact);
/* Give it one about a step; returns false if nothing changed. w->result has the rest. */
bool simulate_give_step(
	struct simulate_world *w, int stage, uint32_t device, const struct engine_fact *fact);
/* Bring sums and gates up to date. */
void simulate_count(struct simulate_world *w);
/* The step of a device in a layer. */
struct engine_step *simulate_step(struct simulate_world *w, int layer, uint32_t device);
int simulate_stage_of(const struct simulate_world *w, int layer, uint32_t device);
/* What is supposed of a layer for a device. */
const struct simulate_layer *simulate_layer_of(
	const struct simulate_world *w, int layer, uint32_t device);
/* Whether the rollout goes on by itself. */
bool simulate_goes_on(const struct simulate_world *w);

#endif
