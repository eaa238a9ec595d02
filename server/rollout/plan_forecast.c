/* SPDX-License-Identifier: Apache-2.0
 *
 * What each stage will probably take: time, load, downtime, processor time for deltas. */
#include "server/rollout/plan_build.h"

#include <string.h>

#define BUCKETS       256 /* eight an octave, as figures.h has them */
#define REACH_PERCENT 95
#define PEAK_WINDOW_S 10 /* the load of the first seconds after a stage has opened */

/* What is taken as long as nothing has been observed. */
#define GUESS_BYTES_S    (1 << 20) /* of one device's download */
#define GUESS_SWITCH_MS  10000
#define GUESS_US_PER_KIB 100 /* ten megabytes a second */

/* How long the devices of a wave have been silent. */
struct silence {
	uint32_t buckets[BUCKETS];
	uint32_t devices, early, never; /* early: within PEAK_WINDOW_S */
};

static uint32_t bucket_of(uint32_t seconds)
{
	uint32_t octave;

	if (seconds < 8)
		return seconds;
	octave = 31 - (uint32_t)__builtin_clz(seconds);
	return (octave - 2) * 8 + (seconds >> (octave - 3) & 7);
}

/* The longest time of a bucket. */
static int64_t bucket_end(uint32_t bucket)
{
	uint32_t octave = bucket / 8 + 2;

	return bucket < 8 ? (int64_t)bucket : ((int64_t)(8 + bucket % 8 + 1) << (octave - 3)) - 1;
}

static bool collect(struct plan_builder *b, struct silence *waves)
{
	const struct plan_devices *d = &b->in->devices;

	for (size_t i = 0; i < d->n; i++) {
		struct silence *w;
		uint32_t silent = d->silent_s == NULL ? PLAN_NEVER_SEEN : d->silent_s[i];

		if (b->out->wave_of[i] == PLAN_NO_WAVE)
			continue;
		w = &waves[b->out->wave_of[i]];
		w->devices++;
		w->early += silent < PEAK_WINDOW_S;
		if (silent == PLAN_NEVER_SEEN)
			w->never++;
		else
			w->buckets[bucket_of(silent)]++;
	}
	return true;
}

/* Until REACH_PERCENT of the wave's devices have asked; `limit` if so many never do. */
static int64_t reach_s(const struct silence *w, int64_t limit)
{
	uint64_t wanted = ((uint64_t)w->devices * REACH_PERCENT + 99) / 100, seen = 0;

	for (uint32_t i = 0; i < BUCKETS; i++) {
		seen += w->buckets[i];
		if (seen >= wanted && seen > 0)
			return bucket_end(i) < limit ? bucket_end(i) : limit;
	}
	return limit;
}

/* How long one device takes from delivery to its confirmation: as others did, or as it would with an
 * ordinary line. */
static int64_t took_ms(const struct plan_builder *b, const struct plan_stage *s, int64_t observed)
{
	const struct strategy *st = b->in->strategy;
	int64_t each = s->devices == 0 ? 0 : s->bytes_full / s->devices;

	if (observed >= 0)
		return observed;
	return each * 1000 / GUESS_BYTES_S + GUESS_SWITCH_MS + st->probation_ms;
}

static int64_t ms_to_s(int64_t ms)
{
	return (ms + 999) / 1000;
}

/* `before`: devices that come before those of the stage. */
static void forecast_time(const struct plan_builder *b, int64_t before, struct plan_stage *s)
{
	const struct strategy *st = b->in->strategy;
	const struct plan_history *h = &b->in->history;
	struct plan_forecast *f = &s->forecast;
	int64_t queue_ms = 0;

	int64_t rate_ms = pace_wait_ms(&st->pace, before, s->devices);

	/* So many at a time, or a minute: the last ones wait for a place. */
	if (st->max_in_flight > 0)
		queue_ms = (s->devices - 1) / st->max_in_flight * took_ms(b, s, h->took_median_ms);
	queue_ms = queue_ms > rate_ms ? queue_ms : rate_ms;
	f->time_s = f->reach_p95_s + ms_to_s(queue_ms) + ms_to_s(took_ms(b, s, h->took_p95_ms)) +
		ms_to_s(st->soak_ms);
	f->time_max_s = ms_to_s(st->reach_ms + st->install_ms + st->soak_ms);
	if (f->time_s > f->time_max_s)
		f->time_s = f->time_max_s;
}

static void forecast_load(
	const struct plan_builder *b, const struct silence *w, int64_t before, struct plan_stage *s)
{
	const struct strategy *st = b->in->strategy;
	struct plan_forecast *f = &s->forecast;
	int64_t took = took_ms(b, s, b->in->history.took_median_ms);
	int64_t bytes = s->bytes_delta >= 0 ? s->bytes_delta : s->bytes_full;
	/* The share of the wave that changes something in this layer asks like the others. */
	int64_t early = w->devices == 0 ? 0 : (int64_t)w->early * s->devices / w->devices;

	f->peak_offers_s = (early + PEAK_WINDOW_S - 1) / PEAK_WINDOW_S;
	if (st->max_in_flight > 0 && f->peak_offers_s > 1) {
		int64_t most =
			took > 0 ? (st->max_in_flight * 1000 + took - 1) / took : st->max_in_flight;

		f->peak_offers_s = f->peak_offers_s < most ? f->peak_offers_s : most;
	}
	if (pace_has_rate(&st->pace)) {
		int64_t rate = pace_per_minute(&st->pace, before, before);

		f->peak_offers_s = f->peak_offers_s < rate ? f->peak_offers_s : rate;
	}
	f->peak_bytes_s = s->devices == 0 ? 0 : f->peak_offers_s * (bytes / s->devices);
}

static void forecast_stage(
	const struct plan_builder *b, const struct silence *w, int64_t before, struct plan_stage *s)
{
	const struct plan_history *h = &b->in->history;
	int64_t per_kib = h->build_us_per_kib >= 0 ? h->build_us_per_kib : GUESS_US_PER_KIB;

	if (s->devices == 0)
		return;
	s->forecast.reach_p95_s = reach_s(w, ms_to_s(b->in->strategy->reach_ms));
	s->forecast.never_seen = (int64_t)w->never * s->devices / w->devices;
	s->forecast.downtime_ms = h->downtime_ms;
	s->forecast.build_ms = (s->build_bytes >> 10) * per_kib / 1000;
	forecast_time(b, before, s);
	forecast_load(b, w, before, s);
}

/* When a stage ends if those that it needs end as forecast: `done` is per stage, in the plan's order. */
static int64_t begins_at(const struct plan *p, const int64_t *done, uint32_t wave, uint32_t layer)
{
	uint32_t layers = p->n_layers;
	int64_t below = layer > 0 ? done[(size_t)wave * layers + layer - 1] : 0;
	int64_t before = wave > 0 ? done[(size_t)(wave - 1) * layers + layer] : 0;

	if (p->order == ORDER_PIPELINED)
		return below > before ? below : before;
	if (p->order == ORDER_WAVE_FIRST)
		return layer > 0 ? below : wave > 0 ? done[(size_t)wave * layers - 1] : 0;
	return wave > 0     ? before
		: layer > 0 ? done[(size_t)(p->n_waves - 1) * layers + layer - 1]
			    : 0;
}

static bool add_up(struct plan_builder *b)
{
	struct plan *p = b->out;
	size_t n = (size_t)p->n_waves * p->n_layers;
	int64_t *done = build_get(b, n + 1, sizeof(*done));
	int64_t *done_max = build_get(b, n + 1, sizeof(*done_max));

	for (uint32_t a = 0; b->failure.code == FL_OK && a < n; a++) {
		/* Whichever order: what a stage needs comes before it. */
		bool by_layer = p->order == ORDER_LAYER_FIRST;
		uint32_t wave = by_layer ? a % p->n_waves : a / p->n_layers;
		uint32_t layer = by_layer ? a / p->n_waves : a % p->n_layers;
		size_t i = (size_t)wave * p->n_layers + layer;

		done[i] = begins_at(p, done, wave, layer) + p->stages[i].forecast.time_s;
		done_max[i] =
			begins_at(p, done_max, wave, layer) + p->stages[i].forecast.time_max_s;
		p->time_s = done[i] > p->time_s ? done[i] : p->time_s;
		p->time_max_s = done_max[i] > p->time_max_s ? done_max[i] : p->time_max_s;
	}
	return b->failure.code == FL_OK;
}

bool build_forecast(struct plan_builder *b)
{
	struct plan *p = b->out;
	struct silence *waves = build_get(b, (size_t)p->n_waves + 1, sizeof(*waves));
	int64_t before = 0;

	if (waves == NULL || !collect(b, waves))
		return false;
	p->observed = b->in->history.took_median_ms >= 0;
	for (size_t i = 0; i < (size_t)p->n_waves * p->n_layers; i++) {
		forecast_stage(b, &waves[p->stages[i].wave], before, &p->stages[i]);
		before += p->stages[i].devices;
	}
	return add_up(b);
}
