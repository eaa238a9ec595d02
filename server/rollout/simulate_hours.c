/* SPDX-License-Identifier: Apache-2.0
 *
 * Maintenance windows of simulated devices, each by its own clock. */
#include "server/rollout/simulate_in.h"

#include <stdlib.h>

static const struct opening_hours *hours_of(const struct simulate_world *w, uint32_t device)
{
	return &w->in->hours[w->in->zone == NULL ? 0 : w->in->zone[device]];
}

/* When the first of the windows opens after now, -1: none does. */
static int64_t opens_again(const struct simulate_world *w)
{
	int64_t first = -1;

	for (size_t i = 0; i < w->in->n_hours; i++) {
		const struct window *offer = w->in->hours[i].offer;
		int64_t at = offer == NULL ? -1 : window_opens_again(offer, simulate_wall(w));

		if (at >= 0 && (first < 0 || at < first))
			first = at;
	}
	return first;
}

/* The windows of all devices of a wave in one. */
static bool unite(const struct simulate_world *w, int wave, struct window *out)
{
	bool has[UINT8_MAX + 1] = { false };

	for (uint32_t i = w->first[wave]; i < w->first[wave + 1]; i++) {
		size_t zone = (size_t)(hours_of(w, w->members[i]) - w->in->hours);

		if (!has[zone] && window_unite(out, w->in->hours[zone].offer, NULL) != FL_OK)
			return false;
		has[zone] = true;
	}
	return true;
}

/* What counts for the deadlines of a wave. */
static bool make_united(struct simulate_world *w, int wave)
{
	bool windows = w->in->hours != NULL && w->in->hours[0].offer != NULL;
	struct window all = { 0 };

	if (windows && !unite(w, wave, &all))
		return false;
	if (simulate_thaw(w, windows ? &all : NULL, simulate_freezes_of(w, wave),
		    &w->united[wave]) == &w->united[wave])
		window_fini(&all);
	else
		w->united[wave] = all;
	w->closes[wave] = windows || simulate_freezes_of(w, wave) != 0;
	return !w->nomem;
}

bool simulate_hours_init(struct simulate_world *w)
{
	size_t waves = (size_t)w->in->rules->waves;

	w->opens_at = opens_again(w);
	w->united = calloc(waves + 1, sizeof(*w->united));
	w->closes = calloc(waves + 1, sizeof(*w->closes));
	if (w->united == NULL || w->closes == NULL)
		return false;
	for (int i = 0; i < (int)waves; i++)
		if (!make_united(w, i))
			return false;
	return true;
}

const struct window *simulate_united(const struct simulate_world *w, int wave)
{
	return w->closes[wave] ? &w->united[wave] : NULL;
}

void simulate_hours_fini(struct simulate_world *w)
{
	for (int i = 0; i < w->in->rules->waves && w->united != NULL; i++)
		window_fini(&w->united[i]);
	free(w->united);
	free(w->closes);
}

struct opening_hours simulate_hours(
	const struct simulate_world *w, uint32_t device, const struct engine_step *step)
{
	return w->in->hours == NULL || !pace_minds_windows(&w->in->rules->pace, step->back)
		? (struct opening_hours){ 0 }
		: *hours_of(w, device);
}

bool simulate_has_opened(struct simulate_world *w)
{
	bool opened = w->opens_at >= 0 && w->opens_at <= simulate_wall(w);

	if (opened)
		w->opens_at = opens_again(w);
	return opened;
}
