/* SPDX-License-Identifier: Apache-2.0
 *
 * Devices that have to do with each other: those behind a gateway, and those of a group of which only so many
 * may be under way. */
#include "server/rollout/loss.h"
#include "server/rollout/simulate_in.h"

#include <stdlib.h>

static uint32_t gateway_of(const struct simulate_world *w, uint32_t device)
{
	return w->in->gateway == NULL ? SIMULATE_NOBODY : w->in->gateway[device];
}

/* The devices of each gateway, side by side. */
static void list_behind(struct simulate_world *w)
{
	uint32_t n = w->in->devices, sum = 0;

	for (uint32_t d = 0; d < n; d++)
		if (gateway_of(w, d) != SIMULATE_NOBODY)
			w->first_behind[gateway_of(w, d)]++;
	for (uint32_t d = 0; d <= n; d++) {
		uint32_t own = w->first_behind[d];

		w->first_behind[d] = sum;
		sum += own;
	}
	for (uint32_t d = 0; d < n; d++)
		if (gateway_of(w, d) != SIMULATE_NOBODY)
			w->behind[w->first_behind[gateway_of(w, d)]++] = d;
	for (uint32_t d = n; d > 0; d--)
		w->first_behind[d] = w->first_behind[d - 1];
	w->first_behind[0] = 0;
}

bool simulate_groups_init(struct simulate_world *w)
{
	size_t n = (size_t)w->in->devices + 1;

	if (w->in->group != NULL && (w->group_n = calloc(n, sizeof(*w->group_n))) == NULL)
		return false;
	if (w->in->gateway == NULL)
		return true;
	w->behind = calloc(n, sizeof(*w->behind));
	w->first_behind = calloc(n, sizeof(*w->first_behind));
	w->lost = calloc(n, sizeof(*w->lost));
	if (w->behind == NULL || w->first_behind == NULL || w->lost == NULL)
		return false;
	list_behind(w);
	return true;
}

void simulate_groups_fini(struct simulate_world *w)
{
	free(w->group_n);
	free(w->behind);
	free(w->first_behind);
	free(w->lost);
}

bool simulate_is_gateway(const struct simulate_world *w, uint32_t device)
{
	return w->behind != NULL && w->first_behind[device + 1] > w->first_behind[device];
}

bool simulate_is_dead(const struct simulate_world *w, uint32_t device)
{
	uint32_t gateway = gateway_of(w, device);

	return w->device[device].dead || (gateway != SIMULATE_NOBODY && w->device[gateway].dead);
}

/* ---- who comes first */

/* Whether the gateway has what it gets in lower layers. */
static enum engine_fit look_below(struct simulate_world *w, uint32_t gateway, int layer)
{
	for (int l = 0; l < layer; l++)
		if (!simulate_layer_of(w, l, gateway)->absent &&
			!engine_ready_for_next(simulate_step(w, l, gateway)))
			return ENGINE_LATER;
	return ENGINE_FITS;
}

/* Whether the layers above of a device let a step go back. */
static enum engine_fit look_above(struct simulate_world *w, uint32_t device, int layer)
{
	struct engine_step above[SIMULATE_LAYERS_MAX];
	size_t n = 0;

	for (int l = layer + 1; l < w->in->rules->layers; l++)
		if (simulate_step(w, l, device)->stage_id != 0)
			above[n++] = *simulate_step(w, l, device);
	return engine_back_fit(above, n);
}

/* The same of the devices behind it: of those only what goes back counts. */
static enum engine_fit look_behind(struct simulate_world *w, uint32_t gateway, int layer)
{
	enum engine_fit fit = ENGINE_FITS;

	for (uint32_t i = w->first_behind[gateway]; i < w->first_behind[gateway + 1]; i++)
		for (int l = layer + 1; l < w->in->rules->layers && fit != ENGINE_NO_WAY; l++) {
			const struct engine_step *s = simulate_step(w, l, w->behind[i]);

			if (s->stage_id != 0 && s->back && engine_back_fit(s, 1) != ENGINE_FITS)
				fit = engine_back_fit(s, 1);
		}
	return fit;
}

static enum engine_fit fit_of(struct simulate_world *w, uint32_t device, int layer)
{
	uint32_t gateway = gateway_of(w, device);
	enum engine_fit fit;

	if (w->device[device].back == 0)
		return gateway == SIMULATE_NOBODY ? ENGINE_FITS : look_below(w, gateway, layer);
	fit = look_above(w, device, layer);
	return fit == ENGINE_FITS && simulate_is_gateway(w, device) ? look_behind(w, device, layer)
								    : fit;
}

/* ---- groups */

void simulate_look_around(
	struct simulate_world *w, uint32_t device, int layer, struct engine_fact *fact)
{
	fact->fit = fit_of(w, device, layer);
	if (w->in->group != NULL && w->in->group[device] != SIMULATE_NOBODY)
		fact->in_group = w->group_n[w->in->group[device]];
}

void simulate_group_add(struct simulate_world *w, uint32_t device, int by)
{
	if (w->in->group != NULL && w->in->group[device] != SIMULATE_NOBODY)
		w->group_n[w->in->group[device]] += by;
}

/* ---- losses */

bool simulate_lost_with_gateway(struct simulate_world *w, uint32_t device)
{
	uint32_t gateway = gateway_of(w, device);

	return gateway != SIMULATE_NOBODY &&
		loss_with_gateway(w->in->rules,
			&(struct loss_gateway){ .silent_ms = simulate_silence(w, gateway),
				.steps = simulate_step(w, 0, gateway),
				.n = (size_t)w->in->rules->layers });
}

bool simulate_lost_before(struct simulate_world *w, int layer, const struct engine_step *failed)
{
	uint32_t *lost;
	bool before;

	if (w->lost == NULL)
		return false;
	lost = &w->lost[loss_of(failed, gateway_of(w, (uint32_t)failed->device_no))];
	before = (*lost & 1u << layer) != 0;
	*lost |= 1u << layer;
	return before;
}
