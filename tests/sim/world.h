/* SPDX-License-Identifier: Apache-2.0
 *
 * A small fleet under one rollout, in memory: what the runner does with the real one, so that the pure
 * engine can be explored.
 *
 * DESIGN. Time is abstract: a deadline that runs may fire at any moment, so every order of deadlines is
 * explored. Devices have no state of their own either: whoever holds an order may report anything,
 * twice, late, about an order that is void. Every action is followed by every check: the invariants of
 * engine_check, those that need the state before, and that something can still happen. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "server/rollout/engine.h"

#define WORLD_DEVICES 16
#define WORLD_STAGES  16
#define WORLD_KEY     1024 /* bytes of an encoded world at most */
#define WORLD_ACTIONS 2048
#define WORLD_NOW     1000000 /* the wall clock, always */

typedef void (*world_engine_fn)(
	const struct engine_view *view, const struct engine_fact *fact, struct engine_out *out);

struct world;
struct world_action;

/* What does not change in an exploration. */
struct world_setup {
	struct engine_rules rules;
	int devices;
	int wave_of[WORLD_DEVICES];
	bool gateway; /* the first device is one, the others of its wave are behind it: each of their
			 * layers but the lowest needs all that the gateway has below it */
	bool hands_off;  /* nobody acts after the start: gates, deadlines and devices alone */
	bool sliced;     /* jobs do one device at a time, anything may happen in between */
	bool retire;     /* devices may be retired, taken over by another rollout, or held */
	bool no_way;     /* devices may turn out to have no way back, or not to be this rollout's */
	bool misfit;     /* devices may turn out to have it already, or to have drifted */
	bool fewer;      /* reports that differ little from others are left out */
	bool every_word; /* devices may report every state */
	bool windows;    /* maintenance windows may be open or closed at any moment */
	bool causes;     /* failures have causes that count and others */
	bool distinct;   /* no two devices are alike */
	int attempts;    /* retries are asked for below so many attempts */
	unsigned
		parts[WORLD_DEVICES]; /* layers in which a device changes something, bits; 0: all */
	/* How the device of an action, a job's, stands to its step; NULL: as the action says. It may change
	 * what is around this world. */
	enum engine_fit (*look)(struct world *w, const struct world_action *a);
	world_engine_fn engine;
};

struct world {
	struct engine_rollout rollout;
	struct engine_stage stages[WORLD_STAGES];
	struct engine_step steps[WORLD_STAGES][WORLD_DEVICES];
	bool present[WORLD_STAGES][WORLD_DEVICES];
	int cursor[WORLD_STAGES][ENGINE_JOBS]; /* of jobs */
};

enum world_kind {
	WORLD_VERB,
	WORLD_POLL,
	WORLD_REPORT,
	WORLD_STEP_DUE,
	WORLD_STAGE_DUE,
	WORLD_SLICE,
	WORLD_RETIRE,
	WORLD_AWAY,
	WORLD_OVERTAKE
};
struct world_action {
	enum world_kind kind;
	int stage, device;
	struct engine_fact
		fact; /* verbs; the reported state, cause and manifest; the fit of a poll */
	unsigned job;
	bool soak;   /* a stage's soak is due, not its deadline */
	bool closed; /* the maintenance window is closed */
};

static inline int world_stages(const struct world_setup *s)
{
	return s->rules.layers * s->rules.waves;
}

/* Whether the device changes something in the layer. */
static inline bool world_takes_part(const struct world_setup *s, int device, int layer)
{
	return s->parts[device] == 0 || (s->parts[device] >> layer & 1) != 0;
}

/* The next layer above (by 1) or below (by -1) in which the device does; -1: none. */
static inline int world_next_layer(const struct world_setup *s, int device, int layer, int by)
{
	for (layer += by; layer >= 0 && layer < s->rules.layers; layer += by)
		if (world_takes_part(s, device, layer))
			return layer;
	return -1;
}

/* Whether the device is behind the gateway. */
static inline bool world_behind(const struct world_setup *s, int device)
{
	return s->gateway && device != 0 && s->wave_of[device] == s->wave_of[0];
}

/* A rollout whose plan is ready. */
void world_init(const struct world_setup *setup, struct world *w);
/* Copy what the setup uses of a world. */
void world_copy(const struct world_setup *setup, struct world *to, const struct world *from);
/* The stage whose step a poll of the device is about, as the runner chooses it, and how it fits; -1:
 * none. */
int world_chosen(
	const struct world_setup *setup, const struct world *w, int device, enum engine_fit *fit);
/* What can happen now; returns how many. */
int world_actions(const struct world_setup *setup, const struct world *w, struct world_action *out);
/* Let it happen and check everything. Returns what is broken, or NULL. */
const char *world_apply(
	const struct world_setup *setup, struct world *w, const struct world_action *a);

/* The world as bytes, equal for worlds that differ only in which of two like devices is which. Returns
 * the length. */
size_t world_encode(const struct world_setup *setup, const struct world *w, uint8_t *key);
/* The reverse. */
void world_decode(const struct world_setup *setup, const uint8_t *key, struct world *out);
/* Print the edges of the engine's tables that no world has taken so far; returns how many. */
int world_untaken(void);
/* Print an action in one line, for a trace. */
void world_print(const struct world_action *a);

#endif
