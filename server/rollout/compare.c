/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/compare.h"

#include "server/rollout/rules.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MS    86400000LL
#define FACTS_MAX 50000000

void compare_fini(struct compare *c)
{
	free(c->release);
	free(c->selector);
	free(c->link);
	for (size_t i = 0; i < c->n_strategies; i++) {
		free(c->strategies[i].name);
		free(c->strategies[i].wave);
		free(c->strategies[i].class);
		free(c->strategies[i].silent_s);
		free(c->strategies[i].layers);
		window_fini(&c->strategies[i].window);
		window_fini(&c->strategies[i].turn);
		strategy_fini(&c->strategies[i].strategy);
	}
	for (size_t i = 0; i < c->n_cases; i++)
		free(c->cases[i].name);
	for (size_t i = 0; i < c->n_versions; i++) {
		free(c->versions[i].module);
		free(c->versions[i].version);
	}
	*c = (struct compare){ 0 };
}

enum fl_code compare_windows(struct compare *c, size_t i, const struct fl_zone *zone,
	int64_t start_at, struct fl_err *err)
{
	struct compare_strategy *s = &c->strategies[i];
	const struct opening_windows *w = &s->strategy.windows;
	struct opening_horizon horizon = { start_at - DAY_MS, start_at + c->until_ms + DAY_MS };
	enum fl_code code;

	FL_BUG_IF(i >= c->n_strategies || !opening_some(w));
	c->start_at = start_at;
	code = opening_expand(&w->delivery, zone, &horizon, &s->window, err);
	if (code == FL_OK)
		code = opening_expand(&w->turn, zone, &horizon, &s->turn, err);
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
	s->confirmed += o->confirmed;
	s->harmed += o->harmed;
	s->harmed_most = o->harmed > s->harmed_most ? o->harmed : s->harmed_most;
	s->delivered += o->delivered;
	s->bytes += o->bytes;
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

enum fl_code compare_next(
	struct compare *c, bool (*canceled)(void *arg), void *arg, bool *done, struct fl_err *err)
{
	size_t kinds = c->n_strategies * c->n_cases, kind;
	const struct compare_strategy *s;
	struct engine_rules rules;
	struct simulate_out out;
	enum fl_code code;

	*done = c->next >= c->runs * (int64_t)kinds;
	if (*done)
		return FL_OK;
	kind = (size_t)c->next % kinds;
	s = &c->strategies[kind / c->n_cases];
	rules = rules_make(&s->strategy, c->layers, s->waves, c->poll_ms);
	drop_words(&rules.gate);
	code = simulate(
		&(struct simulate_in){ .rules = &rules,
			.devices = c->devices,
			.wave = s->wave,
			.link = c->link,
			.links = c->links,
			.silent_s = c->observed ? s->silent_s : NULL,
			.class = s->class,
			.layers = s->layers + kind % c->n_cases * s->classes * (size_t)c->layers,
			.window = s->strategy.windows.delivery.n > 0 ? &s->window : NULL,
			.turn = s->strategy.windows.turn.n > 0 ? &s->turn : NULL,
			.start_at = c->start_at,
			.until_ms = c->until_ms,
			.facts_max = FACTS_MAX,
			.seed = c->seed + (uint64_t)(c->next / (int64_t)kinds) * 0x9e3779b9u,
			.canceled = canceled,
			.arg = arg },
		&out, err);
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

	return json_pack("{s:s,s:s,s:I,s:o,s:o,s:I,s:o,s:I,s:o,s:o,s:o,s:o,s:o,s:I,s:o}",
		"strategy", c->strategies[i].name, "case", c->cases[k].name, "runs",
		(json_int_t)s->runs, "passed", real_or_null((double)s->passed, s->runs),
		"completion",
		targets > 0 ? real_or_null((double)s->confirmed, (int64_t)targets) : json_null(),
		"cut", (json_int_t)s->cut, "harmed", real_or_null((double)s->harmed, s->runs),
		"harmed_most", (json_int_t)s->harmed_most, "mean_s",
		real_or_null(s->mean_s, s->timed), "p95_s", real_or_null(s->p95_s, s->timed),
		"max_s", real_or_null(s->max_s, s->timed), "ended_s",
		real_or_null(s->ended_s, s->runs), "bytes", real_or_null((double)s->bytes, s->runs),
		"peak_requests_s", (json_int_t)s->peak, "curve", curve_json(s));
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
