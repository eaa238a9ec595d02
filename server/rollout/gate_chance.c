/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/gate_chance.h"

#include "lib/buf.h"

#include "server/rollout/gate_kind.h"
#include "server/rollout/gate_math.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RATES      GATE_CHANCE_RATES
#define MASKS      4        /* which of the two sequential tests have accepted */
#define NEGLIGIBLE 1e-15    /* probability that is not followed any further */
#define NODES_MAX  400000   /* looked at: bounds the time */
#define BAYES_COST 8        /* what a node costs more with that kind */
#define CARRY_MAX  10000000 /* turns over carried evidence: likewise */

const int64_t gate_chance_rates[RATES] = { 0, 5000, 10000, 20000, 50000, 100000, 200000 };

/* Probability per share of failures. */
struct cell {
	double p[RATES];
};

/* A size of stages, and what is decided only because nothing more comes. */
struct end {
	int64_t devices;
	struct cell pass, fail;
	bool exact;
};

struct gate_curve {
	struct gate_rules rules;      /* without the kinds that wait for somebody's word */
	int n;                        /* outcomes that were followed */
	struct cell *pass, *fail;     /* with the i-th outcome, 0 … n */
	struct cell *passed, *failed; /* with it or before */
	struct cell *sample;          /* sum of i times the two first */
	struct end *ends;             /* ascending */
	size_t n_ends;
};

/* The walk: cells by failures and mask at the present number of outcomes. */
struct walk {
	struct gate_curve *c;
	struct cell *now, *next; /* [failures * MASKS + mask] */
	int low, high;           /* failures that have any probability */
	int64_t nodes;
	size_t end; /* first end that has not been reached */
};

static double rate(int i)
{
	return gate_probability(gate_chance_rates[i]);
}

static struct gate_tally tally_of(int n, int failures, int mask)
{
	return (struct gate_tally){
		.successes = n - failures,
		.failures = failures,
		.types = { [GATE_TYPE_FAILED] = failures },
		.passed = ((mask & 1) != 0 ? 1 << GATE_SPRT : 0) |
			((mask & 2) != 0 ? 1 << GATE_BAYES : 0),
	};
}

static int mask_of(const struct gate_tally *t)
{
	return ((t->passed & 1 << GATE_SPRT) != 0) | ((t->passed & 1 << GATE_BAYES) != 0) << 1;
}

/* Whether every kind agrees to pass. */
static bool all_hold(const struct gate_rules *r, const struct gate_tally *t, bool ended)
{
	for (int k = 0; k < GATE_KIND_MAX; k++) {
		const struct gate_kind_row *row = gate_kind_row((enum gate_kind)k);

		if (gate_has(r, (enum gate_kind)k) && row->holds != NULL &&
			!row->holds(r, t, ended))
			return false;
	}
	return true;
}

/* ---- one step of the walk */

/* What flows into (n, failures) with a mask; false: nothing worth following. */
static bool inflow(const struct walk *w, int failures, int mask, struct cell *out)
{
	double most = 0;

	for (int i = 0; i < RATES; i++) {
		double p = 0;

		if (failures <= w->high)
			p += w->now[failures * MASKS + mask].p[i] * (1 - rate(i));
		if (failures > w->low)
			p += w->now[(failures - 1) * MASKS + mask].p[i] * rate(i);
		out->p[i] = p;
		most = p > most ? p : most;
	}
	return most > NEGLIGIBLE;
}

static void add(struct cell *to, const struct cell *p)
{
	for (int i = 0; i < RATES; i++)
		to->p[i] += p->p[i];
}

/* Decide what the n-th outcome brings to those with so many failures. */
static void visit(struct walk *w, int n, int failures, int mask)
{
	const struct gate_rules *r = &w->c->rules;
	struct gate_tally t = tally_of(n, failures, mask);
	struct cell in;

	if (!inflow(w, failures, mask, &in))
		return;
	w->nodes++;
	gate_kind_watch(r, &t);
	if (t.failed != 0)
		add(&w->c->fail[n], &in);
	else if (all_hold(r, &t, false))
		add(&w->c->pass[n], &in);
	else
		add(&w->next[failures * MASKS + mask_of(&t)], &in);
}

/* Leave out the failures at both ends that nothing is left of. */
static void narrow(struct walk *w)
{
	while (w->low < w->high) {
		double most = 0;

		for (int k = 0; k < MASKS * RATES; k++) {
			double p = w->now[w->low * MASKS + k / RATES].p[k % RATES];

			most = p > most ? p : most;
		}
		if (most > NEGLIGIBLE)
			return;
		w->low++;
	}
}

static void step(struct walk *w, int n)
{
	struct cell *swap = w->now;
	size_t first = (size_t)w->low * MASKS;

	memset(w->next + first, 0, ((size_t)(w->high + 2) * MASKS - first) * sizeof(*w->next));
	for (int f = w->low; f <= w->high + 1; f++)
		for (int mask = 0; mask < MASKS; mask++)
			visit(w, n, f, mask);
	w->now = w->next;
	w->next = swap;
	w->high++;
	narrow(w);
}

/* ---- the end of a stage */

/* Probability that at most `most` of `devices` fail, given `failures` of the first n. */
static double at_most(double most, int64_t devices, int n, int failures, double q)
{
	double left = (double)(devices - n), sd = sqrt(left * q * (1 - q));
	double x = most + 0.5 - failures - left * q;

	return sd > 0 ? gate_math_normal_below(x / sd) : x >= 0 ? 1 : 0;
}

/* Those that are undecided after n outcomes of a stage of so many devices: all of them, or, of a larger
 * stage, as many as the normal distribution has it. */
static void finish(const struct walk *w, int n, struct end *e)
{
	const struct gate_rules *r = &w->c->rules;

	for (int f = w->low; f <= w->high; f++) {
		for (int mask = 0; mask < MASKS; mask++) {
			const struct cell *c = &w->now[f * MASKS + mask];
			struct gate_tally t = tally_of(n, f, mask);
			double allowed = floor(
				(1 - gate_probability(r->success_ppm)) * (double)e->devices + 1e-9);
			double bad = gate_probability(r->error_ppm) * (double)e->devices;
			struct gate_tally clean = t;

			clean.successes += r->success_minimum + 1;
			clean.failures = 0;
			if (e->devices == n) {
				if (all_hold(r, &t, true))
					add(&e->pass, c);
				continue;
			}
			for (int i = 0; i < RATES; i++) {
				bool may = gate_has(r, GATE_SUCCESS) && all_hold(r, &clean, true) &&
					r->success_minimum <= e->devices;

				e->pass.p[i] += may
					? c->p[i] * at_most(allowed, e->devices, n, f, rate(i))
					: 0;
				e->fail.p[i] += gate_has(r, GATE_ERROR)
					? c->p[i] * (1 - at_most(bad, e->devices, n, f, rate(i)))
					: 0;
			}
		}
	}
}

static void reach_ends(struct walk *w, int n)
{
	struct gate_curve *c = w->c;

	for (; w->end < c->n_ends && c->ends[w->end].devices == n; w->end++)
		finish(w, n, &c->ends[w->end]);
}

/* What is left at the end of the walk is estimated for larger stages. */
static void estimate(struct walk *w)
{
	struct gate_curve *c = w->c;
	double left = 0;

	for (int f = w->low; f <= w->high; f++)
		for (int k = 0; k < MASKS * RATES; k++)
			left = fmax(left, w->now[f * MASKS + k / RATES].p[k % RATES]);
	for (; w->end < c->n_ends; w->end++) {
		c->ends[w->end].exact = left < 1e-9;
		if (!c->ends[w->end].exact)
			finish(w, c->n, &c->ends[w->end]);
	}
}

static void walk(struct walk *w, int most)
{
	struct gate_curve *c = w->c;
	int64_t budget = gate_has(&c->rules, GATE_BAYES) ? NODES_MAX / BAYES_COST : NODES_MAX;

	for (int i = 0; i < RATES; i++)
		w->now[0].p[i] = 1;
	for (c->n = 0; c->n < most && w->nodes < budget;) {
		step(w, ++c->n);
		reach_ends(w, c->n);
	}
	estimate(w);
	for (int n = 1; n <= c->n; n++) {
		for (int i = 0; i < RATES; i++) {
			double p = c->pass[n].p[i], f = c->fail[n].p[i];

			c->passed[n].p[i] = c->passed[n - 1].p[i] + p;
			c->failed[n].p[i] = c->failed[n - 1].p[i] + f;
			c->sample[n].p[i] = c->sample[n - 1].p[i] + n * (p + f);
		}
	}
}

/* ---- making */

static int by_devices(const void *a, const void *b)
{
	const struct end *x = a, *y = b;

	return (x->devices > y->devices) - (x->devices < y->devices);
}

static size_t sort_ends(struct end *ends, size_t n)
{
	size_t kept = 0;

	if (n > 0)
		qsort(ends, n, sizeof(*ends), by_devices);
	for (size_t i = 0; i < n; i++)
		if (ends[i].devices > 0 && (kept == 0 || ends[i].devices != ends[kept - 1].devices))
			ends[kept++] = ends[i];
	return kept;
}

static bool allocate(struct gate_curve *c, struct walk *w, size_t sizes)
{
	struct cell **all[] = { &c->pass, &c->fail, &c->passed, &c->failed, &c->sample };
	bool ok = true;

	for (size_t i = 0; i < FL_COUNT(all); i++) {
		*all[i] = calloc(GATE_CHANCE_MAX + 1, sizeof(struct cell));
		ok = ok && *all[i] != NULL;
	}
	c->ends = calloc(sizes + 1, sizeof(*c->ends));
	w->now = calloc((GATE_CHANCE_MAX + 3) * MASKS, sizeof(struct cell));
	w->next = calloc((GATE_CHANCE_MAX + 3) * MASKS, sizeof(struct cell));
	return ok && c->ends != NULL && w->now != NULL && w->next != NULL;
}

enum fl_code gate_curve_make(const struct gate_rules *rules, const int64_t *sizes, size_t n,
	struct gate_curve **out, struct fl_err *err)
{
	struct gate_curve *c = calloc(1, sizeof(*c));
	struct walk w = { .c = c };
	int64_t most = 0;

	if (c == NULL || !allocate(c, &w, n)) {
		free(w.now);
		free(w.next);
		gate_curve_free(c);
		return fl_fail(err, FL_NOMEM, "there is no memory for the chances of a gate");
	}
	c->rules = *rules;
	c->rules.kinds =
		(rules->kinds != 0 ? rules->kinds : 1u << GATE_SUCCESS | 1u << GATE_ERROR) &
		GATE_BY_OUTCOMES;
	for (size_t i = 0; i < n; i++) {
		c->ends[i] = (struct end){ .devices = sizes[i], .exact = true };
		most = rules->carry ? most + sizes[i] : sizes[i] > most ? sizes[i] : most;
	}
	c->n_ends = sort_ends(c->ends, n);
	walk(&w, most < GATE_CHANCE_MAX ? (int)most : GATE_CHANCE_MAX);
	free(w.now);
	free(w.next);
	*out = c;
	return FL_OK;
}

void gate_curve_free(struct gate_curve *c)
{
	if (c == NULL)
		return;
	free(c->pass);
	free(c->fail);
	free(c->passed);
	free(c->failed);
	free(c->sample);
	free(c->ends);
	free(c);
}

/* ---- asking */

static const struct end *end_of(const struct gate_curve *c, int64_t devices)
{
	struct end key = { .devices = devices };
	const struct end *e = bsearch(&key, c->ends, c->n_ends, sizeof(key), by_devices);

	FL_BUG_IF(e == NULL);
	return e;
}

/* Expected number of devices that have got it when the gate decides, with so many in flight. */
static double exposed(const struct gate_curve *c, int n, int64_t devices, int64_t ahead, int i)
{
	double sum = 0, decided = c->passed[n].p[i] + c->failed[n].p[i];

	if (ahead == 0)
		return (double)devices;
	for (int k = 1; k <= n; k++) {
		int64_t sent = k + ahead < devices ? k + ahead : devices;

		sum += (c->pass[k].p[i] + c->fail[k].p[i]) * (double)sent;
	}
	return sum + (1 - decided) * (double)devices;
}

/* A stage that begins without evidence. */
static void stage_chances(
	const struct gate_curve *c, int64_t devices, int64_t ahead, struct gate_chance *out)
{
	const struct end *e = devices > 0 ? end_of(c, devices) : NULL;
	int n = devices < c->n ? (int)devices : c->n;
	bool counts = (c->rules.causes & 1u << CAUSE_UNKNOWN) != 0;

	for (int i = 0; i < RATES; i++) {
		double decided = c->passed[n].p[i] + c->failed[n].p[i];
		double sample = c->sample[n].p[i] + (1 - decided) * (double)devices;

		out[i] = (struct gate_chance){ .pass = 1, .pass_silent = 1, .exact = true };
		if (devices == 0)
			continue;
		out[i].pass = c->passed[n].p[i] + e->pass.p[i];
		out[i].fail = c->failed[n].p[i] + e->fail.p[i];
		out[i].exact = e->exact;
		out[i].sample = sample;
		out[i].harmed = sample * rate(i);
		out[i].harmed_silent =
			rate(i) * (counts ? exposed(c, n, devices, ahead, i) : (double)devices);
		out[i].pass_silent = counts ? out[i].pass : out[0].pass;
	}
}

/* The part of a chain of waves, begun without evidence before wave k, that is decided in wave w. */
struct part {
	double pass, fail, left, sample;
};

static struct part part_of(const struct gate_curve *c, int64_t from, int64_t to, int i)
{
	int a = from < c->n ? (int)from : c->n, b = to < c->n ? (int)to : c->n;
	struct part p = { .pass = c->passed[b].p[i] - c->passed[a].p[i],
		.fail = c->failed[b].p[i] - c->failed[a].p[i] };

	p.left = 1 - c->passed[b].p[i] - c->failed[b].p[i];
	p.sample = c->sample[b].p[i] - c->sample[a].p[i] - (p.pass + p.fail) * a +
		p.left * (double)(to - from);
	return p;
}

/* Waves that hand their evidence on: every wave may be the one where a test begins anew. */
static void carried_chances(const struct gate_curve *c, const int64_t *devices, size_t n,
	int64_t ahead, double *anew, struct gate_chance *out)
{
	for (int i = 0; i < RATES; i++) {
		for (size_t w = 0; w < n; w++)
			anew[w] = w == 0;
		for (size_t w = 0; w < n; w++) {
			struct gate_chance *o = &out[w * RATES + (size_t)i];
			double opened = 0, pass = 0, fail = 0, left = 0, sample = 0;
			int64_t from = 0;

			for (size_t k = w + 1; k-- > 0; from += k > 0 ? devices[k - 1] : 0) {
				struct part p = part_of(c, from, from + devices[w], i);

				opened += anew[k] * (p.pass + p.fail + p.left);
				pass += anew[k] * p.pass;
				fail += anew[k] * p.fail;
				left += anew[k] * p.left;
				sample += anew[k] * p.sample;
			}
			if (w + 1 < n)
				anew[w + 1] = pass;
			opened = opened > 0 ? opened : 1;
			o->pass = (pass + (w + 1 < n ? left : 0)) / opened;
			o->fail = fail / opened;
			o->sample = sample / opened;
			o->harmed = o->sample * rate(i);
			o->harmed_silent = rate(i) *
				fmin((double)devices[w],
					ahead == 0 ? (double)devices[w]
						   : o->sample + (double)ahead);
			o->pass_silent = (c->rules.causes & 1u << CAUSE_UNKNOWN) != 0
				? o->pass
				: out[w * RATES].pass;
			o->exact = left < 1e-9 || from <= c->n;
		}
	}
}

/* Whether waves may be followed through: a test that only ends with its stage has nothing to carry. */
static bool carries(const struct gate_curve *c, size_t n)
{
	return c->rules.carry && n > 1 && (double)n * (double)n * RATES < CARRY_MAX &&
		!(gate_has(&c->rules, GATE_SUCCESS) && c->rules.success_minimum == 0);
}

void gate_curve_layer(const struct gate_curve *c, const int64_t *devices, size_t n, int64_t ahead,
	struct gate_chance *out)
{
	double *anew = carries(c, n) ? calloc(n, sizeof(*anew)) : NULL;

	if (anew != NULL) {
		carried_chances(c, devices, n, ahead, anew, out);
		free(anew);
		return;
	}
	for (size_t w = 0; w < n; w++)
		stage_chances(c, devices[w], ahead, out + w * RATES);
	for (size_t i = 0; i < n * RATES && c->rules.carry && n > 1; i++)
		out[i].exact = false;
}
