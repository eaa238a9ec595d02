/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/compare.h"

#include "server/rollout/rules.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MS    86400000LL
#define FACTS_MAX 50000000

static void fini_strategy(struct compare_strategy *s)
{
	free(s->name);
	free(s->wave);
	free(s->class);
	free(s->silent_s);
	free(s->gateway);
	free(s->group);
	free(s->zone);
	free(s->layers);
	free(s->frozen);
	for (size_t k = 0; k < s->n_freezes; k++)
		window_fini(&s->freezes[k]);
	free(s->freezes);
	for (size_t k = 0; k < s->n_zones; k++) {
		free(s->zones[k]);
		opening_made_fini(&s->made[k]);
	}
	strategy_fini(&s->strategy);
}

void compare_fini(struct compare *c)
{
	free(c->release);
	free(c->selector);
	free(c->link);
	for (size_t i = 0; i < c->n_strategies; i++)
		fini_strategy(&c->strategies[i]);
	for (size_t i = 0; i < c->n_cases; i++)
		free(c->cases[i].name);
	for (size_t i = 0; i < c->n_versions; i++) {
		free(c->versions[i].module);
		free(c->versions[i].version);
	}
	for (size_t i = 0; i < c->n_zones; i++)
		free(c->zones[i]);
	*c = (struct compare){ 0 };
}

enum fl_code compare_windows(
	struct compare *c, size_t i, size_t k, const struct fl_zone *zone, struct fl_err *err)
{
	struct compare_strategy *s = &c->strategies[i];
	const struct opening_windows *w = &s->strategy.windows;
	struct opening_horizon horizon = { c->start_at - DAY_MS,
		c->start_at + c->until_ms + DAY_MS };
	enum fl_code code;

	FL_BUG_IF(i >= c->n_strategies || k >= s->n_zones || !opening_some(w));
	code = opening_make(w, zone, &horizon, &s->made[k], err);
	s->hours[k] = opening_hours(w, &s->made[k]);
	return code == FL_OK ? code : fl_wrap(err, "strategies[%zu]", i);
}

/* ---- one run */

/* Nobody speaks in a simulation: gates that wait for a word let everything pass. */
static void drop_words(struct gate_rules *g)
{
	if (g->kinds == 0)
		return;
	g->kinds &= GATE_BY_OUTCOMES;
	if (g->kinds == 0)
		g->kinds = 1u << GATE_SUCCESS | 1u << GATE_ERROR;
}

static void add_run(struct compare_sum *s, const struct simulate_out *o)
{
	s->runs++;
	s->passed += o->passed;
	s->cut += o->cut;
	s->stopped += o->stopped_ms >= 0;
	s->stopped_s += o->stopped_ms >= 0 ? (double)o->stopped_ms / 1000 : 0;
	s->confirmed += o->confirmed;
	s->harmed += o->harmed;
	s->harmed_most = o->harmed > s->harmed_most ? o->harmed : s->harmed_most;
	s->delivered += o->delivered;
	s->bytes += o->bytes;
	s->bytes_full += o->bytes_full;
	s->failures += o->failures;
	s->peak = o->peak_per_s > s->peak ? o->peak_per_s : s->peak;
	s->ended_s += (double)o->ended_ms / 1000;
	if (o->confirmed == 0)
		return;
	s->timed++;
	s->mean_s += o->mean_s;
	s->p95_s += o->p95_s;
	s->max_s += o->max_s;
	for (size_t i = 0; i < SIMULATE_CURVE && o->reached_s[i] >= 0; i++) {
		s->reached_s[i] += o->reached_s[i];
		s->reached[i]++;
	}
}

/* What a run of a strategy in a case is given; the rules and the chance are the caller's. */
static struct simulate_in input_of(
	const struct compare *c, const struct compare_strategy *s, size_t in_case)
{
	bool windows = opening_some(&s->strategy.windows);

	return (struct simulate_in){ .devices = c->devices,
		.wave = s->wave,
		.link = c->link,
		.links = c->links,
		.silent_s = c->observed ? s->silent_s : NULL,
		.gateway = s->gateway,
		.group = s->group,
		.gateway_ppm = c->cases[in_case].gateway_ppm,
		.class = s->class,
		.layers = s->layers + in_case * s->classes * (size_t)c->layers,
		.hours = windows ? s->hours : NULL,
		.n_hours = windows ? s->n_zones : 0,
		.zone = s->zone,
		.freezes = s->freezes,
		.n_freezes = s->n_freezes,
		.frozen = s->frozen,
		.start_at = c->start_at,
		.until_ms = c->until_ms,
		.facts_max = FACTS_MAX };
}

enum fl_code compare_next(
	struct compare *c, bool (*canceled)(void *arg), void *arg, bool *done, struct fl_err *err)
{
	size_t kinds = c->n_strategies * c->n_cases, kind = (size_t)c->next % kinds;
	const struct compare_strategy *s = &c->strategies[kind / c->n_cases];
	struct engine_rules rules = rules_make(&s->strategy, c->layers, s->waves, c->poll_ms);
	struct simulate_in in = input_of(c, s, kind % c->n_cases);
	struct simulate_out out;
	enum fl_code code;

	*done = c->next >= c->runs * (int64_t)kinds;
	if (*done)
		return FL_OK;
	drop_words(&rules.gate);
	in.rules = &rules;
	in.seed = c->seed + (uint64_t)(c->next / (int64_t)kinds) * 0x9e3779b9u;
	in.canceled = canceled;
	in.arg = arg;
	code = simulate(&in, &out, err);
	if (code == FL_OK && out.broken != NULL)
		code = fl_fail(err, FL_INTERNAL, "the engine broke an invariant: %s", out.broken);
	if (code != FL_OK)
		return code;
	c->facts += out.facts;
	if (out.cut && canceled != NULL && canceled(arg)) {
		*done = true;
		return FL_OK;
	}
	c->next++;
	add_run(&c->sums[kind / c->n_cases][kind % c->n_cases], &out);
	return FL_OK;
}

/* ---- the answer */

static json_t *real_or_null(double sum, int64_t n)
{
	return n == 0 ? json_null() : json_real(round(sum / (double)n * 1e4) / 1e4);
}

/* When each part was through, in the runs that came so far; null where fewer than half of them did. */
static json_t *curve_json(const struct compare_sum *s)
{
	json_t *curve = json_array();

	for (size_t i = 0; i < SIMULATE_CURVE; i++)
		(void)json_array_append_new(curve,
			2 * s->reached[i] < s->runs ? json_null()
						    : real_or_null(s->reached_s[i], s->reached[i]));
	return curve;
}

static json_t *sum_json(const struct compare *c, size_t i, size_t k)
{
	const struct compare_sum *s = &c->sums[i][k];
	double targets = (double)c->devices * (double)s->runs;

	return json_pack("{s:s,s:s,s:I,s:o,s:o,s:o,s:o,s:I,s:o,s:I,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:I,"
			 "s:o}",
		"strategy", c->strategies[i].name, "case", c->cases[k].name, "runs",
		(json_int_t)s->runs, "passed", real_or_null((double)s->passed, s->runs), "stopped",
		real_or_null((double)s->stopped, s->runs), "stopped_s",
		real_or_null(s->stopped_s, s->stopped), "completion",
		targets > 0 ? real_or_null((double)s->confirmed, (int64_t)targets) : json_null(),
		"cut", (json_int_t)s->cut, "harmed", real_or_null((double)s->harmed, s->runs),
		"harmed_most", (json_int_t)s->harmed_most, "failures",
		real_or_null((double)s->failures, s->runs), "mean_s",
		real_or_null(s->mean_s, s->timed), "p95_s", real_or_null(s->p95_s, s->timed),
		"max_s", real_or_null(s->max_s, s->timed), "ended_s",
		real_or_null(s->ended_s, s->runs), "bytes", real_or_null((double)s->bytes, s->runs),
		"bytes_full", real_or_null((double)s->bytes_full, s->runs), "peak_requests_s",
		(json_int_t)s->peak, "curve", curve_json(s));
}

json_t *compare_json(const struct compare *c)
{
	FL_AUTO_JSON json_t *results = json_array();
	int failed = 0;

	for (size_t i = 0; i < c->n_strategies; i++)
		for (size_t k = 0; k < c->n_cases; k++)
			failed |= json_array_append_new(results, sum_json(c, i, k));
	if (failed != 0)
		return NULL;
	return json_pack("{s:I,s:i,s:I,s:I,s:I,s:b,s:s,s:I,s:O}", "devices", (json_int_t)c->devices,
		"layers", c->layers, "seed", (json_int_t)c->seed, "runs", (json_int_t)c->runs,
		"facts", (json_int_t)c->facts, "complete",
		c->next >= c->runs * (int64_t)(c->n_strategies * c->n_cases), "connections",
		c->observed          ? "observed"
			: c->observe ? "assumed"
				     : "given",
		"never_seen", (json_int_t)c->never_seen, "results", results);
}
