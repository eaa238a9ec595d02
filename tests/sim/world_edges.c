/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/world_in.h"

#include <stdio.h>

static bool rollout_taken[ROLLOUT_STATE_MAX][ROLLOUT_STATE_MAX];
static bool stage_taken[STAGE_STATE_MAX][STAGE_STATE_MAX];
static bool step_taken[ENGINE_TURN + 1][STEP_STATE_MAX][STEP_STATE_MAX];

void world_note_step(const struct engine_step *before, const struct engine_step *after)
{
	enum engine_way way = before->back != after->back ? ENGINE_TURN
		: after->back                             ? ENGINE_BACKWARD
							  : ENGINE_FORWARD;

	if (before->state != after->state || way == ENGINE_TURN)
		step_taken[way][before->state][after->state] = true;
}

void world_note_rollout(enum rollout_state before, enum rollout_state after)
{
	rollout_taken[before][after] = true;
}

void world_note_stage(enum stage_state before, enum stage_state after)
{
	stage_taken[before][after] = true;
}

/* Facts that are not of this world: planning, a plan without stages, a defect. */
static bool foreign(enum rollout_state from, enum rollout_state to)
{
	return from == ROLLOUT_DRAFT || from == ROLLOUT_PLANNING ||
		from == ROLLOUT_WAITING_APPROVAL ||
		(from == ROLLOUT_STARTING && to == ROLLOUT_COMPLETED) ||
		(from == ROLLOUT_STOPPING && to == ROLLOUT_PAUSED) ||
		(from == ROLLOUT_PAUSED && to == ROLLOUT_STARTING);
}

int world_untaken(void)
{
	int n = 0;

	for (int from = 0; from < ROLLOUT_STATE_MAX; from++)
		for (int to = 0; to < ROLLOUT_STATE_MAX; to++) {
			enum rollout_state a = (enum rollout_state)from, b = (enum rollout_state)to;

			if (engine_rollout_edge(a, b) == NULL || rollout_taken[from][to] ||
				foreign(a, b))
				continue;
			printf("never taken: a rollout from %s to %s\n", rollout_state_text(a),
				rollout_state_text(b));
			n++;
		}
	for (int from = 0; from < STAGE_STATE_MAX; from++)
		for (int to = 0; to < STAGE_STATE_MAX; to++) {
			enum stage_state a = (enum stage_state)from, b = (enum stage_state)to;

			if (engine_stage_edge(a, b) == NULL || stage_taken[from][to])
				continue;
			printf("never taken: a stage from %s to %s\n", stage_state_text(a),
				stage_state_text(b));
			n++;
		}
	for (int i = 0; i < (ENGINE_TURN + 1) * STEP_STATE_MAX * STEP_STATE_MAX; i++) {
		enum engine_way way = (enum engine_way)(i / (STEP_STATE_MAX * STEP_STATE_MAX));
		enum step_state a = (enum step_state)(i / STEP_STATE_MAX % STEP_STATE_MAX);
		enum step_state b = (enum step_state)(i % STEP_STATE_MAX);

		if (engine_step_edge(way, a, b) == NULL || step_taken[way][a][b])
			continue;
		printf("never taken: a step (way %d) from %s to %s\n", (int)way, step_state_text(a),
			step_state_text(b));
		n++;
	}
	return n;
}
