/* SPDX-License-Identifier: Apache-2.0
 *
 * When devices ask, and the world's chance (xorshift64*). */
#include "server/rollout/simulate_in.h"

#include <math.h>

static uint64_t next(struct simulate_world *w)
{
	w->chance ^= w->chance >> 12;
	w->chance ^= w->chance << 25;
	w->chance ^= w->chance >> 27;
	return w->chance * 0x2545f4914f6cdd1du;
}

double simulate_even(struct simulate_world *w)
{
	return (double)(next(w) >> 11) / 9007199254740992.0; /* 2^53 */
}

uint64_t simulate_below(struct simulate_world *w, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)next(w) * n) >> 64);
}

static const struct simulate_link *link_of(const struct simulate_world *w, uint32_t device)
{
	return &w->in->links[w->in->link == NULL ? 0 : w->in->link[device]];
}

/* Some time within the poll interval. */
static int64_t within(struct simulate_world *w, const struct simulate_link *l)
{
	return (int64_t)simulate_below(w, (uint64_t)l->poll_ms);
}

/* The phase of a device in its duty cycle: always the same. */
static int64_t phase_of(const struct simulate_world *w, uint32_t device, int64_t cycle)
{
	uint64_t h = (w->in->seed ^ device) * 0x9e3779b97f4a7c15u;

	h ^= h >> 32;
	return (int64_t)((h * 0xd6e8feb86659fd93u) % (uint64_t)cycle);
}

/* How far a device is in its duty cycle at `t`. */
static int64_t in_cycle(
	const struct simulate_world *w, uint32_t device, const struct simulate_link *l, int64_t t)
{
	int64_t cycle = l->on_ms + l->off_ms;

	return (t + phase_of(w, device, cycle)) % cycle;
}

/* A time at or after `t` at which the device is there. */
static int64_t when_there(struct simulate_world *w, uint32_t device, int64_t t)
{
	const struct simulate_link *l = link_of(w, device);

	if (l->kind == SIMULATE_DUTY) {
		int64_t in = in_cycle(w, device, l, t);

		if (in >= l->on_ms)
			t += l->on_ms + l->off_ms - in + (int64_t)simulate_below(w, 1000);
	}
	for (size_t i = 0; i < w->in->n_sleeps; i++)
		if (t >= w->in->sleeps[i].from_ms && t < w->in->sleeps[i].to_ms)
			t = w->in->sleeps[i].to_ms + within(w, l);
	return t;
}

/* How long a device with random times is away from now on; 0: it is there. */
static int64_t away(struct simulate_world *w, const struct simulate_link *l, double chance)
{
	if (l->kind != SIMULATE_RANDOM || simulate_even(w) >= chance)
		return 0;
	return (int64_t)(-log(1 - simulate_even(w)) * (double)l->off_ms);
}

/* When a device asks of which it is known how long it has been silent; who never spoke does not before
 * the end. */
static int64_t observed_poll(struct simulate_world *w, uint32_t device, int times)
{
	const struct simulate_link *l = link_of(w, device);
	uint32_t silent_s = w->in->silent_s[device];
	int64_t wait = (int64_t)silent_s * 1000 * times;

	if (silent_s == SIMULATE_NEVER)
		return w->in->until_ms + 1000;
	if (times > 1 && wait < l->poll_ms)
		wait = l->poll_ms;
	return when_there(w, device, w->t_ms + wait + 1000);
}

int64_t simulate_silence(const struct simulate_world *w, uint32_t device)
{
	const struct simulate_link *l = link_of(w, device);
	int64_t silent_ms, period, in;

	if (w->in->silent_s == NULL) {
		in = l->kind == SIMULATE_DUTY ? in_cycle(w, device, l, w->t_ms) : 0;
		return in < l->on_ms ? 0 : in - l->on_ms;
	}
	if (w->in->silent_s[device] == SIMULATE_NEVER)
		return INT64_MAX;
	silent_ms = (int64_t)w->in->silent_s[device] * 1000;
	period = 2 * silent_ms > l->poll_ms ? 2 * silent_ms : l->poll_ms;
	/* as observed at the start; then it asks, and again after each period */
	return w->t_ms < silent_ms ? silent_ms + w->t_ms : (w->t_ms - silent_ms) % period;
}

int64_t simulate_first_poll(struct simulate_world *w, uint32_t device)
{
	const struct simulate_link *l = link_of(w, device);
	double off =
		l->kind == SIMULATE_RANDOM ? (double)l->off_ms / (double)(l->on_ms + l->off_ms) : 0;

	if (w->in->silent_s != NULL)
		return observed_poll(w, device, 1);
	return when_there(w, device, w->t_ms + 1000 + within(w, l) + away(w, l, off));
}

int64_t simulate_next_poll(struct simulate_world *w, uint32_t device)
{
	const struct simulate_link *l = link_of(w, device);
	double leaves =
		l->kind == SIMULATE_RANDOM ? 1 - exp(-(double)l->poll_ms / (double)l->on_ms) : 0;

	if (w->in->silent_s != NULL)
		return observed_poll(w, device, 2);
	return when_there(w, device, w->t_ms + l->poll_ms + away(w, l, leaves));
}
