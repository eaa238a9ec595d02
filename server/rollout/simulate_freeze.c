/* SPDX-License-Identifier: Apache-2.0
 *
 * Freezes of simulated devices. */
#include "server/rollout/simulate_in.h"

static uint32_t frozen_of(const struct simulate_world *w, uint32_t device)
{
	return w->in->frozen == NULL ? 0 : w->in->frozen[device];
}

int64_t simulate_thaws(const struct simulate_world *w, uint32_t device, int64_t at)
{
	uint32_t left = frozen_of(w, device);

	while (left != 0) {
		const struct window *freeze = &w->in->freezes[__builtin_ctz(left)];

		if (!window_is_open(freeze, at)) {
			left &= left - 1;
			continue;
		}
		/* when it ends another one may hold */
		at = window_closes(freeze, at);
		left = frozen_of(w, device);
	}
	return at;
}

int64_t simulate_turn(const struct simulate_world *w, uint32_t device,
	const struct engine_step *step, int64_t ready)
{
	const struct window *turn = simulate_hours(w, device, step).turn;
	int64_t at = ready, thawed;

	while ((thawed = simulate_thaws(w, device, at)) != at || !window_is_open(turn, at)) {
		at = window_opens(turn, thawed);
		if (at < 0)
			return turn->until;
	}
	return at;
}

/* Close a window while one of the freezes holds. */
static enum fl_code cut(
	const struct simulate_world *w, uint32_t frozen, struct window *to, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	for (; frozen != 0 && code == FL_OK; frozen &= frozen - 1)
		code = window_cut_all(to, &w->in->freezes[__builtin_ctz(frozen)], err);
	return code;
}

const struct window *simulate_thaw(
	struct simulate_world *w, const struct window *of, uint32_t frozen, struct window *room)
{
	const struct window *known = w->in->freezes;

	if (frozen == 0)
		return of;
	if (window_copy(of, known->from, known->until, room, NULL) != FL_OK ||
		cut(w, frozen, room, NULL) != FL_OK)
		w->nomem = true;
	return room;
}

const struct window *simulate_thaw_device(
	struct simulate_world *w, const struct window *of, uint32_t device, struct window *room)
{
	return simulate_thaw(w, of, frozen_of(w, device), room);
}

uint32_t simulate_freezes_of(const struct simulate_world *w, int wave)
{
	uint32_t all = UINT32_MAX;

	for (uint32_t i = w->first[wave]; i < w->first[wave + 1]; i++)
		all &= frozen_of(w, w->members[i]);
	return w->first[wave] == w->first[wave + 1] ? 0 : all;
}
