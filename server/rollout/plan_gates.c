/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/plan_gates.h"

#include "server/rollout/gate_chance.h"
#include "server/rollout/gate_numbers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RATES GATE_CHANCE_RATES

/* Six digits are enough for a chance, three for a number of devices. */
static json_t *rounded(double v, double digits)
{
	return json_real(round(v * digits) / digits);
}

static json_t *chance_json(int rate, const struct gate_chance *c)
{
	return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "failure_percent",
		strategy_share_json(gate_chance_rates[rate]), "pass", rounded(c->pass, 1e6), "fail",
		rounded(c->fail, 1e6), "sample", rounded(c->sample, 1e3), "harmed",
		rounded(c->harmed, 1e3), "pass_silent", rounded(c->pass_silent, 1e6),
		"harmed_silent", rounded(c->harmed_silent, 1e3));
}

static json_t *stage_json(const struct plan_stage *s, const struct gate_chance *chances)
{
	FL_AUTO_JSON json_t *list = json_array();
	bool exact = true;
	int failed = 0;

	/* the first share is 0: only for reckoning */
	for (int i = 1; i < RATES; i++) {
		failed |= json_array_append_new(list, chance_json(i, &chances[i]));
		exact = exact && chances[i].exact;
	}
	if (failed != 0)
		return NULL;
	return json_pack("{s:I,s:I,s:I,s:b,s:O}", "layer", (json_int_t)s->layer, "wave",
		(json_int_t)s->wave, "devices", (json_int_t)s->devices, "exact", exact, "chances",
		list);
}

/* The whole rollout: every stage is reached if all before it have passed. */
static json_t *whole_json(const struct gate_chance *chances, size_t stages)
{
	FL_AUTO_JSON json_t *out = json_array();
	int failed = 0;

	for (int i = 1; i < RATES; i++) {
		struct gate_chance sum = { .pass = 1, .pass_silent = 1 };

		for (size_t k = 0; k < stages; k++) {
			const struct gate_chance *c = &chances[k * RATES + (size_t)i];

			sum.harmed += sum.pass * c->harmed;
			sum.harmed_silent += sum.pass_silent * c->harmed_silent;
			sum.pass *= c->pass;
			sum.pass_silent *= c->pass_silent;
		}
		failed |= json_array_append_new(out,
			json_pack("{s:o,s:o,s:o,s:o,s:o}", "failure_percent",
				strategy_share_json(gate_chance_rates[i]), "pass",
				rounded(sum.pass, 1e6), "harmed", rounded(sum.harmed, 1e3),
				"pass_silent", rounded(sum.pass_silent, 1e6), "harmed_silent",
				rounded(sum.harmed_silent, 1e3)));
	}
	return failed == 0 ? fl_steal(&out) : NULL;
}

/* The chances of all stages, in the plan's order. */
static void find_chances(const struct plan *p, const struct strategy *s,
	const struct gate_curve *curve, int64_t *devices, struct gate_chance *layer,
	struct gate_chance *out)
{
	for (uint32_t l = 0; l < p->n_layers; l++) {
		for (uint32_t w = 0; w < p->n_waves; w++)
			devices[w] = plan_stage(p, l, w)->devices;
		gate_curve_layer(curve, devices, p->n_waves, s->max_in_flight, layer);
		for (uint32_t w = 0; w < p->n_waves; w++)
			memcpy(&out[((size_t)w * p->n_layers + l) * RATES], &layer[w * RATES],
				RATES * sizeof(*out));
	}
}

static json_t *gates_json(
	const struct plan *p, const struct strategy *s, const struct gate_chance *chances)
{
	FL_AUTO_JSON json_t *list = json_array();
	size_t n = (size_t)p->n_waves * p->n_layers;
	int failed = 0;

	for (size_t i = 0; i < n && i < PLAN_GATES_STAGES; i++)
		failed |=
			json_array_append_new(list, stage_json(&p->stages[i], &chances[i * RATES]));
	if (failed != 0)
		return NULL;
	return json_pack("{s:o,s:I,s:b,s:O,s:b,s:o}", "demands", gate_demands(&s->gate), "needs",
		(json_int_t)gate_needs(&s->gate), "carry", s->gate.carry, "stages", list,
		"truncated", n > PLAN_GATES_STAGES, "whole", whole_json(chances, n));
}

enum fl_code plan_gates(
	const struct plan *p, const struct strategy *s, json_t **out, struct fl_err *err)
{
	size_t n = (size_t)p->n_waves * p->n_layers;
	int64_t *devices = calloc(n + 1, sizeof(*devices));
	struct gate_chance *layer = calloc(p->n_waves * RATES + 1, sizeof(*layer));
	struct gate_chance *chances = calloc(n * RATES + 1, sizeof(*chances));
	struct gate_curve *curve = NULL;
	enum fl_code code = FL_OK;

	*out = NULL;
	if (devices == NULL || layer == NULL || chances == NULL)
		code = fl_fail(err, FL_NOMEM, "there is no memory for the chances of gates");
	for (size_t i = 0; i < n && code == FL_OK; i++)
		devices[i] = p->stages[i].devices;
	if (code == FL_OK)
		code = gate_curve_make(&s->gate, devices, n, &curve, err);
	if (code == FL_OK) {
		find_chances(p, s, curve, devices, layer, chances);
		*out = gates_json(p, s, chances);
		if (*out == NULL)
			code = fl_fail(
				err, FL_NOMEM, "there is no memory for the chances of gates");
	}
	gate_curve_free(curve);
	free(devices);
	free(layer);
	free(chances);
	return code;
}
