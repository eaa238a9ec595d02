/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the engine: one turn, that is, one call of engine_step. Included by engine*.c only. */
#ifndef ROLLOUT_ENGINE_TURN_H
#define ROLLOUT_ENGINE_TURN_H

#include "server/rollout/engine.h"

struct engine_turn {
	const struct engine_view *view;
	const struct engine_rules *rules;
	const struct engine_fact *fact;
	struct engine_out *out;
	int64_t clock; /* the rollout's, when the turn began */
};

/* How many stages there are; and the index of one. */
size_t engine_turn_stages(const struct engine_turn *t);
size_t engine_turn_place(const struct engine_turn *t, int layer, int wave);
size_t engine_turn_index(const struct engine_turn *t, const struct engine_stage *stage);

/* The rows as they are now in this turn: changed ones, or those of the view. Borrowed. Stages: not in a
 * STEP fact. */
const struct engine_rollout *engine_turn_rollout(const struct engine_turn *t);
const struct engine_stage *engine_turn_stage(const struct engine_turn *t, size_t i);

/* The same to write on: counts as changed from now on. */
struct engine_rollout *engine_turn_edit(struct engine_turn *t);
struct engine_stage *engine_turn_edit_stage(struct engine_turn *t, size_t i);
struct engine_step *engine_turn_edit_step(struct engine_turn *t);

/* Note a broken invariant; the first one counts. Static text. */
void engine_turn_broken(struct engine_turn *t, const char *what);
void engine_turn_event(struct engine_turn *t, enum engine_event_kind kind, int stage);
/* Set `said` of the answer. */
void engine_turn_say(struct engine_turn *t, enum engine_did did, const char *fmt, ...)
	FL_PRINTF(3, 4);

/* Say that a verb has found the rollout in the state that it asks for. */
void engine_turn_same(struct engine_turn *t);

/* The only places that move a state; each checks its edge. */
void engine_turn_move(struct engine_turn *t, enum rollout_state to);
void engine_turn_move_stage(struct engine_turn *t, size_t i, enum stage_state to);
void engine_turn_move_step(struct engine_turn *t, enum engine_way way, enum step_state to);
/* Move to paused and stop the clock; printf reason. */
void engine_turn_pause(struct engine_turn *t, enum engine_pause pause, const char *reason);
/* Out of paused to `to`: the clock runs again. */
void engine_turn_unpause(struct engine_turn *t, enum rollout_state to);
/* Begin (again) a job of a stage; end it or drop it. */
void engine_turn_begin_job(struct engine_turn *t, size_t i, enum engine_job job);

/* A time of the rollout begins to run now. */
struct engine_term engine_turn_begin(const struct engine_turn *t);
/* When one of `ms` that began so and seems to be over ends, on the rollout's clock, as it runs only while
 * `window` is open; 0: it is over. */
int64_t engine_turn_later(const struct engine_turn *t, const struct engine_term *began, int64_t ms,
	const struct window *window);

/* ---- engine_stage.c: what stages do, also as part of a verb */

/* Open every pending stage whose needs have succeeded; complete the rollout if all have and nobody is
 * under way any more. */
void engine_stage_advance(struct engine_turn *t);
/* Begin to take back the uppermost opened stage of each wave in scope; end the rollback if none is
 * left. */
void engine_stage_take_back(struct engine_turn *t);
/* No further device: pending stages are skipped, open ones end, who waits is canceled. */
void engine_stage_shut(struct engine_turn *t, bool cancel_in_flight);
/* Whether a stage is what a rollback takes back and is not back yet. */
bool engine_stage_to_take_back(const struct engine_rollout *r, const struct engine_stage *s);
/* Whether it has rows. */
bool engine_stage_opened(const struct engine_stage *s);
/* Steps between delivery and end. */
int64_t engine_stage_in_flight(const struct engine_stage *s);

/* Facts, by subject. */
void engine_rollout_fact(struct engine_turn *t);
void engine_stage_fact(struct engine_turn *t);
void engine_device_fact(struct engine_turn *t);

/* ---- engine_gate.c */

/* Its gate takes outcomes from the start: with what an undecided wave before it has carried on, without a
 * verdict, for which the time begins. */
void engine_gate_begin(struct engine_turn *t, size_t i);
/* What one of the view's stages, as it is now in this turn, can still bring to its gate. */
struct gate_feed engine_turn_feed(const struct engine_turn *t, const struct engine_stage *s);
/* Judge the gate of a stage and do what follows. */
void engine_gate_judge(struct engine_turn *t, size_t i);
/* Nobody gave a verdict in time. */
void engine_gate_overdue(struct engine_turn *t, size_t i);
/* FACT_VERDICT. */
void engine_gate_verdict(struct engine_turn *t);

/* ---- engine_rollout.c: what a failed gate does as well */
void engine_rollout_stop(struct engine_turn *t, bool cancel_in_flight, const char *reason);
/* A pause that a gate asked for is over: it runs again. */
void engine_rollout_go_on(struct engine_turn *t);

/* ---- engine_back.c */

/* The rollout goes back: a wave or ENGINE_ALL_WAVES. Nobody else is offered the release. */
void engine_back_begin(struct engine_turn *t, int wave, const char *reason);
/* FACT_ROLLBACK. */
void engine_back_verb(struct engine_turn *t);

#endif
