/* SPDX-License-Identifier: Apache-2.0
 *
 * Random walks through rollouts that are too large to explore: every order and every answer to a failed
 * gate, with every check after each step. The walks are the same at each run; with a number of steps as
 * the argument they are longer. */
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS 120000 /* of each of the nine walks */
#define PAST  40     /* actions that are remembered for the trace */

static uint64_t seed;

static uint64_t chance(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

static bool ended(const struct world *w)
{
	enum rollout_state r = w->rollout.state;

	return r == ROLLOUT_STOPPED || r == ROLLOUT_ROLLED_BACK || r == ROLLOUT_COMPLETED;
}

/* Operators act seldom and most devices succeed, else no rollout would get anywhere. One of how many
 * choices of such an action is taken: */
static uint64_t rarity(const struct world_action *a)
{
	switch (a->kind) {
	case WORLD_VERB:
		return a->fact.kind == FACT_START || a->fact.kind == FACT_RESUME ||
				a->fact.kind == FACT_PROMOTE
			? 10
			: a->fact.kind == FACT_ROLLBACK ? 500
							: 2000;
	case WORLD_RETIRE:
		return 1000;
	case WORLD_STEP_DUE:
	case WORLD_STAGE_DUE:
		return a->soak ? 1 : 100;
	case WORLD_REPORT:
		return a->fact.reported == STEP_CONFIRMED && a->fact.manifest == 1 ? 1 : 12;
	case WORLD_POLL:
		return a->fact.fit == ENGINE_FITS || a->fact.fit == ENGINE_LATER ? 1 : 12;
	case WORLD_OVERTAKE:
		return 500;
	case WORLD_SLICE:
		return a->job != ENGINE_BACK && a->fact.fit != ENGINE_FITS ? 50 : 1;
	default:
		return 1;
	}
}

static const struct world_action *choose(const struct world_action *actions, int n)
{
	for (;;) {
		const struct world_action *a = &actions[chance((uint64_t)n)];

		if (chance(rarity(a)) == 0)
			return a;
	}
}

struct tally {
	uint64_t rollouts, ends[ROLLOUT_STATE_MAX];
};

/* Walk so many steps, a new rollout whenever one has ended long enough. */
static const char *walk(const struct world_setup *setup, int steps, struct tally *tally)
{
	static struct world w;
	static struct world_action actions[WORLD_ACTIONS], past[PAST];
	const char *broken = NULL;
	int after = 0;

	world_init(setup, &w);
	for (int i = 0; i < steps && broken == NULL; i++) {
		int n = world_actions(setup, &w, actions);

		past[i % PAST] = *choose(actions, n);
		broken = world_apply(setup, &w, &past[i % PAST]);
		if (broken != NULL)
			for (int k = i >= PAST ? i - PAST + 1 : 0; k <= i; k++)
				world_print(&past[k % PAST]);
		after = ended(&w) ? after + 1 : 0;
		if (after < 50)
			continue;
		tally->rollouts++;
		tally->ends[w.rollout.state]++;
		world_init(setup, &w);
		after = 0;
	}
	return broken;
}

static struct world_setup setup(enum engine_order order, enum engine_on_failure on_failure)
{
	struct world_setup s = {
		.rules = { .layers = 3,
			.waves = 3,
			.order = order,
			.on_failure = on_failure,
			.gate = { .success_ppm = 500000,
				.success_minimum = 2,
				.error_ppm = 600000,
				.error_minimum = 3,
				.causes = 1u << CAUSE_RELEASE | 1u << CAUSE_UNKNOWN },
			.reach_ms = 1000,
			.install_ms = 1000,
			.soak_ms = 1000,
			.max_in_flight = 5,
			.back_reach_ms = 1000,
			.pace = { .back_first = 2,
				.back_error_ppm = 600000,
				.back_error_minimum = 1 } },
		.devices = 12,
		.wave_of = { 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2 },
		.sliced = true,
		.retire = true,
		.no_way = true,
		.misfit = true,
		.causes = true,
		.attempts = 3,
		.engine = engine_step,
	};

	return s;
}

int main(int argc, char **argv)
{
	int steps = argc > 1 ? (int)strtol(argv[1], NULL, 10) : STEPS;
	int failed = 0;

	for (int order = ENGINE_WAVE_FIRST; order <= ENGINE_PIPELINED; order++) {
		for (int policy = ENGINE_PAUSE_IT; policy <= ENGINE_ROLL_IT_BACK; policy++) {
			struct world_setup s =
				setup((enum engine_order)order, (enum engine_on_failure)policy);
			struct tally tally = { 0 };
			const char *broken;

			seed = 0xbf58476d1ce4e5b9u + (uint64_t)(order * 3 + policy);
			broken = walk(&s, steps, &tally);
			printf("order %d, policy %d: %d steps, %llu rollouts: %llu completed, %llu "
			       "stopped, "
			       "%llu rolled back  %s\n",
				order, policy, steps, (unsigned long long)tally.rollouts,
				(unsigned long long)tally.ends[ROLLOUT_COMPLETED],
				(unsigned long long)tally.ends[ROLLOUT_STOPPED],
				(unsigned long long)tally.ends[ROLLOUT_ROLLED_BACK],
				broken == NULL ? "holds" : broken);
			/* walks that miss an end would prove little */
			failed += broken != NULL || tally.ends[ROLLOUT_COMPLETED] == 0 ||
				tally.ends[ROLLOUT_STOPPED] == 0 ||
				tally.ends[ROLLOUT_ROLLED_BACK] == 0;
		}
	}
	return failed != 0;
}
