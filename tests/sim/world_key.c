/* SPDX-License-Identifier: Apache-2.0
 *
 * A world as bytes: what decides how it can go on, and nothing else. */
#include "tests/sim/world.h"

#include <string.h>

#define LATER 1000 /* a deadline that is not due yet */

#define STEP_BYTES 8

static int rank_of(const struct world *w, int devices, int stage, int64_t place)
{
	int n = 0;

	for (int d = 0; d < devices; d++)
		n += w->present[stage][d] && w->steps[stage][d].delivered != 0 &&
			w->steps[stage][d].delivered <= place;
	return n;
}

static void encode_step(
	const struct world_setup *setup, const struct world *w, int stage, int device, uint8_t *to)
{
	const struct engine_step *s = &w->steps[stage][device];

	if (!w->present[stage][device])
		return;
	to[0] = (uint8_t)(1 + s->state);
	to[1] = (uint8_t)(s->back | (s->deadline != 0) << 1 | (s->manifest != 0) << 2);
	to[2] = (uint8_t)s->flags;
	to[3] = (uint8_t)s->outcome;
	to[4] = (uint8_t)s->cause;
	to[5] = (uint8_t)s->attempt;
	to[6] = (uint8_t)(s->delivered == 0 ? 0 : rank_of(w, setup->devices, stage, s->delivered));
	to[7] = 0;
}

static void decode_step(struct world *w, int stage, int device, const uint8_t *from)
{
	w->present[stage][device] = from[0] != 0;
	if (from[0] == 0)
		return;
	w->steps[stage][device] = (struct engine_step){
		.stage_id = w->stages[stage].id,
		.device_no = device + 1,
		.state = (enum step_state)(from[0] - 1),
		.back = (from[1] & 1) != 0,
		.deadline = (from[1] & 2) != 0 ? WORLD_NOW + LATER : 0,
		.manifest = (from[1] & 4) != 0 ? 1 : 0,
		.flags = from[2],
		.outcome = (enum step_state)from[3],
		.cause = (enum step_cause)from[4],
		.attempt = from[5],
		.delivered = from[6],
		.delivered_at = from[6] != 0 ? WORLD_NOW : 0,
		.changed_at = WORLD_NOW,
	};
}

#define STAGE_BYTES (14 + ENGINE_JOBS)

static void encode_stage(const struct world_setup *setup, const struct world *w, int i, uint8_t *to)
{
	const struct engine_stage *g = &w->stages[i];
	int64_t since = g->delivered - g->back_place;
	bool gated = g->state == STAGE_RUNNING || g->state == STAGE_SOAKING;

	to[0] = (uint8_t)g->state;
	to[1] = (uint8_t)g->jobs;
	to[2] = (uint8_t)(g->follow | (g->cancel_in_flight && (g->jobs & ENGINE_CANCEL) != 0) << 1 |
		(g->reach_at != 0) << 2 | (g->soak_until != 0) << 3);
	to[3] = (uint8_t)((g->jobs & ENGINE_RETRY) != 0);
	/* a tally matters as long as the gate does */
	to[4] = (uint8_t)(gated ? g->tally.successes : 0);
	to[5] = (uint8_t)(gated ? g->tally.failures : 0);
	to[6] = (uint8_t)(gated ? rank_of(w, setup->devices, i, g->tally.cursor) : 0);
	to[7] = (uint8_t)(g->state != STAGE_ROLLING_BACK       ? 0
			: since > setup->rules.pace.back_first ? setup->rules.pace.back_first
							       : since);
	to[8] = (uint8_t)(g->state == STAGE_ROLLING_BACK ? g->back_ok : 0);
	to[9] = (uint8_t)(g->state == STAGE_ROLLING_BACK ? g->back_failed : 0);
	to[10] = (uint8_t)g->sums.rows;
	to[11] = (uint8_t)(gated ? g->tally.failed : 0);
	for (int b = 0; b < ENGINE_JOBS; b++)
		to[14 + b] = (uint8_t)w->cursor[i][b];
}

static void decode_stage(
	const struct world_setup *setup, struct world *w, int i, const uint8_t *from)
{
	struct engine_stage *g = &w->stages[i];

	g->state = (enum stage_state)from[0];
	g->jobs = from[1];
	g->follow = (from[2] & 1) != 0;
	g->cancel_in_flight = (from[2] & 2) != 0;
	g->reach_at = (from[2] & 4) != 0 ? WORLD_NOW + LATER : 0;
	g->soak_until = (from[2] & 8) != 0 ? WORLD_NOW + LATER : 0;
	g->retry_causes = from[3] != 0 ? ~0u : 0;
	g->tally.successes = from[4];
	g->tally.failures = from[5];
	g->tally.cursor = from[6];
	g->tally.failed = from[11];
	g->delivered = g->counted_delivered = rank_of(w, setup->devices, i, INT64_MAX);
	g->back_place = g->delivered - from[7];
	g->back_ok = from[8];
	g->back_failed = from[9];
	for (int b = 0; b < ENGINE_JOBS; b++)
		w->cursor[i][b] = from[14 + b];
}

/* Order like devices of a wave by what they are, unless a job stands between them. */
static void sort_devices(const struct world_setup *setup, uint8_t *blocks, size_t size)
{
	uint8_t swap[STEP_BYTES * WORLD_STAGES];

	for (int i = 1; i < setup->devices; i++)
		for (int k = i; k > (setup->gateway ? 1 : 0) &&
			setup->wave_of[k] == setup->wave_of[k - 1] &&
			memcmp(blocks + (size_t)(k - 1) * size, blocks + (size_t)k * size, size) >
				0;
			k--) {
			memcpy(swap, blocks + (size_t)k * size, size);
			memcpy(blocks + (size_t)k * size, blocks + (size_t)(k - 1) * size, size);
			memcpy(blocks + (size_t)(k - 1) * size, swap, size);
		}
}

size_t world_encode(const struct world_setup *setup, const struct world *w, uint8_t *key)
{
	int layers = setup->rules.layers;
	size_t block = (size_t)layers * STEP_BYTES, n = 8;
	bool between = false;

	memset(key, 0, WORLD_KEY);
	key[0] = (uint8_t)w->rollout.state;
	key[1] = (uint8_t)(w->rollout.state == ROLLOUT_PAUSED ? w->rollout.resume_to : 0);
	key[2] = (uint8_t)w->rollout.pause;
	key[3] = (uint8_t)(w->rollout.back_wave + 2);
	for (int i = 0; i < world_stages(setup); i++, n += STAGE_BYTES) {
		encode_stage(setup, w, i, key + n);
		for (int b = 0; b < ENGINE_JOBS; b++)
			between = between || w->cursor[i][b] != 0;
	}
	/* a device's block: its steps in its own wave */
	for (int d = 0; d < setup->devices; d++)
		for (int l = 0; l < layers; l++)
			encode_step(setup, w, setup->wave_of[d] * layers + l, d,
				key + n + (size_t)d * block + (size_t)l * STEP_BYTES);
	if (!between && !setup->distinct)
		sort_devices(setup, key + n, block);
	n += (size_t)setup->devices * block;
	FL_BUG_IF(n > WORLD_KEY);
	return n;
}

void world_decode(const struct world_setup *setup, const uint8_t *key, struct world *out)
{
	int layers = setup->rules.layers;
	size_t at = 8 + (size_t)world_stages(setup) * STAGE_BYTES;

	world_init(setup, out);
	out->rollout.state = (enum rollout_state)key[0];
	out->rollout.resume_to = (enum rollout_state)key[1];
	out->rollout.pause = (enum engine_pause)key[2];
	out->rollout.back_wave = (int)key[3] - 2;
	out->rollout.paused_at = out->rollout.state == ROLLOUT_PAUSED ? WORLD_NOW : 0;
	out->rollout.ended_at = out->rollout.state == ROLLOUT_STOPPED ||
			out->rollout.state == ROLLOUT_ROLLED_BACK ||
			out->rollout.state == ROLLOUT_COMPLETED
		? WORLD_NOW
		: 0;
	out->rollout.started_at =
		out->rollout.state == ROLLOUT_READY || out->rollout.state == ROLLOUT_SCHEDULED
		? 0
		: WORLD_NOW;
	out->rollout.start_at = out->rollout.state == ROLLOUT_SCHEDULED ? WORLD_NOW + 1 : 0;
	for (int d = 0; d < setup->devices; d++)
		for (int l = 0; l < layers; l++, at += STEP_BYTES)
			decode_step(out, setup->wave_of[d] * layers + l, d, key + at);
	for (int i = 0; i < world_stages(setup); i++) {
		decode_stage(setup, out, i, key + 8 + (size_t)i * STAGE_BYTES);
		for (int d = 0; d < setup->devices; d++) {
			if (out->present[i][d])
				figures_add_step(&out->stages[i].sums, &out->steps[i][d], 1);
		}
	}
}
