/* SPDX-License-Identifier: Apache-2.0
 *
 * How long a decision of a gate takes, and how many facts a second the engine decides in a simulation of
 * 100,000 devices, a tenth and ten times as many. */
#include "server/rollout/engine.h"
#include "server/rollout/gate_chance.h"
#include "server/rollout/simulate.h"
#include "server/rollout/strategy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DECISIONS 2000

/* Of this process alone: it has one thread, and others may share the machine. */
static double now_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct gate_rules gate_of(const char *text)
{
	FL_AUTO_JSON json_t *json = json_loads(text, 0, NULL);
	struct gate_rules g = strategy_gate_default();

	if (json == NULL || strategy_gate_read(json, &g, NULL) != FL_OK)
		abort();
	return g;
}

/* A gate of every kind that outcomes decide, after each of many outcomes: the engine's whole turn. */
static void measure_decisions(void)
{
	static struct engine_stage stage, next;
	struct engine_rules rules = { .layers = 1,
		.waves = 1,
		.gate = gate_of(
			"{\"sprt\":{\"p0_percent\":4.9,\"p1_percent\":5.1,\"alpha\":0.001,\"beta\":"
			"0.001},\"bayes\":{\"pass_below\":0.000001,\"fail_above\":0.999999},"
			"\"success\":{\"minimum\":900000},\"error\":{\"percent\":90},\"stop\":[{"
			"\"type\":\"all\",\"threshold\":90}]}") };
	struct engine_rollout rollout = { .id = 1, .state = ROLLOUT_RUNNING };
	bool changed;
	unsigned start;
	struct engine_out out = { .stages = &next, .changed = &changed, .start = &start };
	double began;

	stage = (struct engine_stage){ .id = 1, .state = STAGE_RUNNING };
	stage.sums.rows = stage.sums.steps[STEP_QUEUED] = 1000000;
	began = now_s();
	for (int i = 1; i <= DECISIONS; i++) {
		bool bad = i % 20 == 0;

		if (!gate_take(&rules.gate, &stage.tally, i, bad ? STEP_FAILED : STEP_CONFIRMED,
			    bad ? CAUSE_UNKNOWN : CAUSE_NONE))
			abort();
		engine_step(&(struct engine_view){ .rules = &rules,
				    .rollout = &rollout,
				    .stages = &stage,
				    .stage = &stage,
				    .now_ms = 1000 },
			&(struct engine_fact){ .kind = FACT_COUNTED }, &out);
		if (next.decision != GATE_OPEN)
			abort();
	}
	printf("gate_decision_us %.2f us\n", (now_s() - began) * 1e6 / DECISIONS);
}

/* Facts that are given to the engine in a second of processor time, in millions. */
static double simulation_speed(uint32_t devices)
{
	static struct simulate_out out;
	struct engine_rules rules = { .layers = 3,
		.waves = 3,
		.gate = gate_of(
			"{\"success\":{\"percent\":50},\"error\":{\"percent\":50,\"minimum\":50}}"),
		.reach_ms = 7 * 86400000LL,
		.install_ms = 3600000,
		.back_reach_ms = 3600000,
		.pace = { .back_first = 10, .back_error_ppm = 100000, .back_error_minimum = 1 } };
	struct simulate_link link = { .kind = SIMULATE_ALWAYS, .poll_ms = 60000 };
	struct simulate_layer layers[3];
	uint16_t *wave = calloc(devices, sizeof(*wave));
	double began;

	if (wave == NULL)
		abort();
	for (uint32_t i = 0; i < devices; i++)
		wave[i] = (uint16_t)(i < devices / 100 ? 0 : i < devices / 10 ? 1 : 2);
	for (int i = 0; i < 3; i++)
		layers[i] = (struct simulate_layer){ .install_ms = 120000, .fail_ppm = 1000 };
	began = now_s();
	if (simulate(&(struct simulate_in){ .rules = &rules,
			     .devices = devices,
			     .wave = wave,
			     .links = &link,
			     .layers = layers,
			     .until_ms = 30 * 86400000LL,
			     .facts_max = UINT64_MAX,
			     .seed = 1 },
		    &out, NULL) != FL_OK ||
		out.broken != NULL || !out.passed)
		abort();
	free(wave);
	return (double)out.facts / (now_s() - began) / 1e6;
}

/* The median of three runs of each size. */
static void measure_simulation(void)
{
	static const struct {
		const char *name;
		uint32_t devices;
	} sizes[] = { { "simulate_10k", 10000 }, { "simulate", 100000 },
		{ "simulate_1m", 1000000 } };

	for (size_t i = 0; i < FL_COUNT(sizes); i++) {
		double a = simulation_speed(sizes[i].devices);
		double b = simulation_speed(sizes[i].devices);
		double c = simulation_speed(sizes[i].devices);

		printf("%s_mevents_per_s %.2f M/s\n", sizes[i].name,
			fmax(fmin(a, b), fmin(fmax(a, b), c)));
	}
}

static void measure_chances(void)
{
	struct gate_rules g = gate_of("{\"sprt\":{},\"bayes\":{},\"success\":{}}");
	int64_t sizes[] = { 100, 1000, 10000, 100000, 1000000 };
	struct gate_curve *curve = NULL;
	double began = now_s();

	if (gate_curve_make(&g, sizes, FL_COUNT(sizes), &curve, NULL) != FL_OK)
		abort();
	gate_curve_free(curve);
	printf("gate_chances_ms %.1f ms\n", (now_s() - began) * 1e3);
}

int main(void)
{
	measure_decisions();
	measure_simulation();
	measure_chances();
	return 0;
}
