/* SPDX-License-Identifier: Apache-2.0
 *
 * A simulated rollout with everything that a run needs; included by tests of simulations only. */
#ifndef SIMULATE_BENCH_H
#define SIMULATE_BENCH_H

#include "server/rollout/simulate.h"
#include "server/rollout/strategy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HOUR   3600000LL
#define MINUTE 60000LL

static struct gate_rules gate_of(const char *text)
{
	FL_AUTO_JSON json_t *json = json_loads(text, 0, NULL);
	struct gate_rules g = strategy_gate_default();

	assert_non_null(json);
	assert_int_equal(strategy_gate_read(json, &g, NULL), FL_OK);
	return g;
}

/* A rollout of one layer and one wave with everything that a run needs. */
struct bench {
	struct engine_rules rules;
	struct simulate_link link;
	struct simulate_layer layers[3];
	uint16_t wave[2000];
	struct simulate_in in;
	struct simulate_out out;
};

static void set_up(struct bench *b, const char *gate, uint32_t devices)
{
	*b = (struct bench){ 0 };
	b->rules = (struct engine_rules){ .layers = 1,
		.waves = 1,
		.gate = gate_of(gate),
		.reach_ms = 7 * 24 * HOUR,
		.install_ms = 24 * HOUR,
		.back_reach_ms = HOUR,
		.pace = { .back_first = 10, .back_error_ppm = 100000, .back_error_minimum = 1 } };
	b->link = (struct simulate_link){ .kind = SIMULATE_ALWAYS, .poll_ms = MINUTE };
	for (int i = 0; i < 3; i++)
		b->layers[i] = (struct simulate_layer){ .install_ms = 5 * MINUTE, .bytes = 1000 };
	b->in = (struct simulate_in){ .rules = &b->rules,
		.devices = devices,
		.wave = b->wave,
		.links = &b->link,
		.layers = b->layers,
		.each = true,
		.until_ms = 60 * 24 * HOUR,
		.facts_max = 100000000,
		.seed = 1 };
}

static void run(struct bench *b)
{
	struct fl_err err = { 0 };

	assert_int_equal(simulate(&b->in, &b->out, &err), FL_OK);
	if (b->out.broken != NULL)
		fail_msg("%s", b->out.broken);
}

#endif
