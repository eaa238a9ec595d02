/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of a world: one action as it is carried out. Included by world*.c only. */
#ifndef SIM_WORLD_IN_H
#define SIM_WORLD_IN_H

#include "tests/sim/world.h"

struct turn {
	const struct world_setup *setup;
	struct world *w;
	const char *broken;
};

/* ---- world.c */

/* Note what is broken; the first one counts. Static text. */
void world_broken(struct turn *t, const char *what);

/* ---- world_facts.c: giving facts to the engine, as the runner does */

/* A fact about the rollout (stage -1) or a stage. */
void world_give(struct turn *t, int stage, const struct engine_fact *fact);
/* A fact about a step, and what follows from it. */
void world_give_step(struct turn *t, int stage, int device, const struct engine_fact *fact);
/* What the runner does once per commit: add to a stage's sums (NULL: nothing), end jobs (bits of enum
 * engine_job), judge. */
void world_count(struct turn *t, int stage, const struct figures_sums *delta, unsigned done);
/* The row of a device in a stage, if it is time for it. */
void world_make(struct turn *t, int stage, int device, enum engine_fit fit);
/* The delivered steps of a stage in the order of delivery; returns how many. */
int world_in_order(const struct world *w, int devices, int stage, const struct engine_step **out);

/* ---- world_checks.c: each notes what is broken */

/* Whether the engine may offer this step: what must be true of the world, said anew. */
void world_check_offer(struct turn *t, int stage, int device);
/* What must be true of any change of a step. */
void world_check_change(struct turn *t, const struct engine_step *before,
	const struct engine_step *after, const struct engine_fact *fact);
/* A gate that let its stage pass by itself was right to. */
void world_check_gate(struct turn *t, int stage);
/* I12: where only devices are missing that were taken over, nobody is asked to decide. */
void world_check_starved(struct turn *t, int stage);
/* I11: whether the rollout may be completed. */
void world_check_completed(struct turn *t);
/* Nothing comes of an action in a closed window; the step and the stage before it. */
void world_check_closed(struct turn *t, const struct world_action *a, const struct engine_step *was,
	const struct engine_stage *stage);
/* The world as a whole, after every action. */
void world_check_all(struct turn *t);

/* ---- world_edges.c: which edges of the engine's tables were taken, over all worlds */

void world_note_rollout(enum rollout_state before, enum rollout_state after);
void world_note_stage(enum stage_state before, enum stage_state after);
void world_note_step(const struct engine_step *before, const struct engine_step *after);

#endif
