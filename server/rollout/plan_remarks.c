/* SPDX-License-Identifier: Apache-2.0
 *
 * What a plan says beside its figures: why it is refused, and what the reader should notice. */
#include "server/rollout/plan_build.h"

#include <stdio.h>
#include <string.h>

#define REFUSALS_MAX 100 /* more than that nobody reads */
#define NOTES_MORE   2   /* beside one per layer: empty, coarse waves */

/* ---- for all parts of the planner */

bool build_refuse(struct plan_builder *b, const char *reason, const struct build_reason *from,
	uint32_t devices)
{
	struct plan *p = b->out;

	if (p->refusals == NULL)
		p->refusals = build_out(b, REFUSALS_MAX, sizeof(*p->refusals));
	if (p->refusals == NULL)
		return false;
	if (p->n_refusals == REFUSALS_MAX)
		return true;
	p->refusals[p->n_refusals++] = (struct plan_refusal){ .reason = build_text(b, reason),
		.chain = from == NULL ? NULL : from->chain,
		.n_chain = from == NULL ? 0 : from->n_chain,
		.devices = devices,
		.example_no = from == NULL ? 0 : from->example_no };
	return b->failure.code == FL_OK;
}

bool build_note(struct plan_builder *b, const char *text)
{
	struct plan *p = b->out;

	/* One of each kind at most, and one per layer. */
	if (p->notes == NULL)
		p->notes = build_out(b, (size_t)p->n_layers + NOTES_MORE, sizeof(*p->notes));
	if (p->notes == NULL)
		return false;
	FL_BUG_IF(p->n_notes == p->n_layers + NOTES_MORE);
	p->notes[p->n_notes++] = build_text(b, text);
	return b->failure.code == FL_OK;
}

/* ---- refusals */

bool build_conflicts(struct plan_builder *b)
{
	for (uint32_t i = 0; i < b->n_reasons && b->in->strategy->conflicts == CONFLICTS_REFUSE;
		i++) {
		const struct build_reason *r = &b->reasons[i];

		if (r->conflict && r->devices > 0 && !build_refuse(b, r->text, r, r->devices))
			return false;
	}
	return true;
}

/* Devices of a layer in all waves. */
static int64_t layer_devices(const struct plan *p, uint32_t layer)
{
	int64_t n = 0;

	for (uint32_t w = 0; w < p->n_waves; w++)
		n += plan_stage(p, layer, w)->devices;
	return n;
}

/* A gate that needs more outcomes than its stage has devices would wait for ever. Where evidence is
 * carried it must come together over the waves of the layer. */
static bool refuse_hungry_gates(struct plan_builder *b)
{
	const struct gate_rules *g = &b->in->strategy->gate;
	int64_t needs = gate_needs(g);
	struct plan *p = b->out;

	for (size_t i = 0; i < (size_t)p->n_waves * p->n_layers; i++) {
		const struct plan_stage *s = &p->stages[i];
		int64_t has = g->carry ? layer_devices(p, s->layer) : s->devices;
		char text[256];

		if (s->devices == 0 || needs <= has || (g->carry && s->wave > 0))
			continue;
		if (g->carry)
			(void)snprintf(text, sizeof(text),
				"the gate of layer %u needs %lld outcome%s, but all its waves "
				"have %lld",
				s->layer, (long long)needs, fl_plural(needs), (long long)has);
		else
			(void)snprintf(text, sizeof(text),
				"the gate of layer %u needs %lld outcome%s, but wave %u has %u "
				"device%s in it",
				s->layer, (long long)needs, fl_plural(needs), s->wave, s->devices,
				fl_plural(s->devices));
		if (!build_refuse(b, text, NULL, s->devices))
			return false;
	}
	return true;
}

/* All that is to be done is under way elsewhere: a rollout that would end at once, as if it were done. */
static bool refuse_all_held(struct plan_builder *b)
{
	const struct plan *p = b->out;
	char text[300];

	if (p->totals[PLAN_HELD] == 0 || p->totals[PLAN_UPDATE] > 0 || p->n_refusals > 0)
		return true;
	for (uint32_t c = 0; c < p->n_classes; c++) {
		if (p->classes[c].kind != PLAN_HELD)
			continue;
		(void)snprintf(text, sizeof(text),
			"nobody is left to it (%.150s): take the devices over with "
			"\"supersede\": true, stop the other rollout, or wait for its end",
			p->classes[c].reason);
		return build_refuse(b, text, NULL, p->totals[PLAN_HELD]);
	}
	return true;
}

/* ---- what the reader should notice */

/* Nobody is to be updated: says why. */
static bool note_empty(struct plan_builder *b)
{
	static const char *const words[PLAN_KIND_MAX] = { [PLAN_NOOP] = "have all of it already",
		[PLAN_INCOMPATIBLE] = "are incompatible",
		[PLAN_HELD] = "are held by another rollout" };
	const uint32_t *totals = b->out->totals;
	char text[160] = "nothing would happen: the selector matches no device";
	int n = 0;

	if (totals[PLAN_UPDATE] > 0 || b->out->n_refusals > 0)
		return true;
	for (int k = 0; k < PLAN_KIND_MAX; k++) {
		if (totals[k] > 0)
			n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%u %s%s",
				n == 0 ? "nothing would happen: " : ", ", totals[k],
				n > 0                    ? ""
					: totals[k] == 1 ? "device "
							 : "devices ",
				words[k]);
	}
	return build_note(b, text);
}

/* How many devices the strategy asks for in wave `w` of it; 0: as many as a selector matches, or the rest. */
static int64_t wanted(const struct plan_builder *b, size_t w)
{
	const struct strategy *s = b->in->strategy;

	if (w + 1 == s->n_waves || s->waves[w].kind == WAVE_SELECTOR)
		return 0;
	if (s->waves[w].kind == WAVE_COUNT)
		return s->waves[w].count;
	return (b->out->totals[PLAN_UPDATE] * s->waves[w].ppm + STRATEGY_PPM - 1) / STRATEGY_PPM;
}

/* The first wave is the one that limits the harm: if whole gateways make it much larger than asked, that
 * is worth a line. */
static bool note_coarse(struct plan_builder *b)
{
	int64_t asked = wanted(b, 0), has = b->out->n_waves == 0 ? 0 : b->out->waves[0].devices;
	char text[200];

	if (asked == 0 || has <= 2 * asked)
		return true;
	(void)snprintf(text, sizeof(text),
		"wave 0 has %lld device%s, not %lld: a gateway and the devices behind it come "
		"together",
		(long long)has, fl_plural(has), (long long)asked);
	return build_note(b, text);
}

bool build_remarks(struct plan_builder *b)
{
	return refuse_hungry_gates(b) && refuse_all_held(b) && note_empty(b) && note_coarse(b);
}
