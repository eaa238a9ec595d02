/* SPDX-License-Identifier: Apache-2.0
 *
 * The kinds of gates: thresholds, stop criteria, two sequential tests, and two that wait for a word. */
#include "server/rollout/gate_kind.h"

#include "server/rollout/gate_math.h"

#include "lib/buf.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define PPM       1000000
#define NEEDS_MAX (1LL << 40) /* a gate that asks for more never passes */

/* Everything a kind says fits into GATE_TEXT_MAX bytes. */
#define SAY(text, ...) ((void)snprintf((text), GATE_TEXT_MAX, __VA_ARGS__))

static int64_t counted(const struct gate_tally *t)
{
	return t->successes + t->failures;
}

static bool latched(int64_t bits, enum gate_kind kind)
{
	return (bits & 1 << kind) != 0;
}

/* Not decided yet: open while something can come, else a doubt. */
static enum gate_decision undecided(const struct gate_feed *feed)
{
	return feed->open > 0 ? GATE_OPEN : GATE_INCONCLUSIVE;
}

/* ---- success: a share of a number */

static bool success_holds(const struct gate_rules *r, const struct gate_tally *t, bool ended)
{
	int64_t n = counted(t);

	return n > 0 && (r->success_minimum == 0 ? ended : n >= r->success_minimum) &&
		t->successes * PPM >= r->success_ppm * n;
}

static enum gate_decision success_vote(const struct gate_rules *r, const struct gate_tally *t,
	const struct gate_feed *feed, char *text)
{
	int64_t n = counted(t), least = r->success_minimum;

	if (success_holds(r, t, feed->open == 0)) {
		SAY(text, "%" PRId64 " of %" PRId64 " confirmed, %g %% are enough", t->successes, n,
			gate_percent(r->success_ppm));
		return GATE_HOLDS;
	}
	if (feed->open > 0)
		SAY(text,
			"%" PRId64 " confirmed and %" PRId64 " failed so far, %" PRId64
			" still open",
			t->successes, t->failures, feed->open);
	else if (n == 0)
		SAY(text,
			"no more can come: nobody confirmed or failed, %" PRId64
			" without an outcome",
			feed->silent);
	else
		SAY(text,
			"no more can come: %" PRId64 " confirmed, %" PRId64 " failed, %" PRId64
			" without an outcome; %g %% of %" PRId64 " had to confirm",
			t->successes, t->failures, feed->silent, gate_percent(r->success_ppm),
			least > n ? least : n);
	return undecided(feed);
}

static void success_describe(const struct gate_rules *r, char *text)
{
	if (r->success_minimum > 0)
		SAY(text, "passes when %g %% of at least %" PRId64 " outcome%s confirmed",
			gate_percent(r->success_ppm), r->success_minimum,
			r->success_minimum == 1 ? " is" : "s are");
	else
		SAY(text, "passes when %g %% of all devices of the stage are confirmed",
			gate_percent(r->success_ppm));
}

static int64_t success_needs(const struct gate_rules *r)
{
	return r->success_minimum;
}

/* ---- error: more than a share of a number */

static enum gate_decision error_watch(const struct gate_rules *r, const struct gate_tally *t)
{
	int64_t n = counted(t);

	return t->failures > 0 && n >= r->error_minimum && t->failures * PPM > r->error_ppm * n
		? GATE_FAILED
		: GATE_OPEN;
}

static enum gate_decision error_vote(const struct gate_rules *r, const struct gate_tally *t,
	const struct gate_feed *feed, char *text)
{
	(void)feed;
	if (!latched(t->failed, GATE_ERROR))
		return GATE_HOLDS;
	SAY(text, "%" PRId64 " of %" PRId64 " failed, more than %g %% are too many", t->failures,
		counted(t), gate_percent(r->error_ppm));
	return GATE_FAILED;
}

static void error_describe(const struct gate_rules *r, char *text)
{
	SAY(text, "fails when more than %g %% of at least %" PRId64 " outcome%s failed",
		gate_percent(r->error_ppm), r->error_minimum, fl_plural(r->error_minimum));
}

/* ---- stop: criteria per type of failure */

/* Ended devices, whatever the cause; and those of a type. */
static int64_t executed(const struct gate_tally *t)
{
	return t->successes + t->types[GATE_TYPE_FAILED] + t->types[GATE_TYPE_TIMED_OUT] +
		t->types[GATE_TYPE_REJECTED];
}

static int64_t of_type(const struct gate_tally *t, enum gate_type type)
{
	return type == GATE_TYPE_ALL ? executed(t) - t->successes : t->types[type];
}

static bool stops(const struct gate_stop *s, const struct gate_tally *t)
{
	int64_t n = executed(t), bad = of_type(t, s->type);

	return bad > 0 && n >= s->minimum && bad * PPM > s->ppm * n;
}

static enum gate_decision stop_watch(const struct gate_rules *r, const struct gate_tally *t)
{
	for (size_t i = 0; i < r->n_stops; i++)
		if (stops(&r->stops[i], t))
			return GATE_FAILED;
	return GATE_OPEN;
}

static const char *type_in_words(enum gate_type type)
{
	return type == GATE_TYPE_FAILED       ? "failed"
		: type == GATE_TYPE_TIMED_OUT ? "timed out"
		: type == GATE_TYPE_REJECTED  ? "rejected it"
					      : "failed, timed out or rejected it";
}

static enum gate_decision stop_vote(const struct gate_rules *r, const struct gate_tally *t,
	const struct gate_feed *feed, char *text)
{
	(void)feed;
	if (!latched(t->failed, GATE_STOP))
		return GATE_HOLDS;
	SAY(text, "a stop criterion is met");
	for (size_t i = 0; i < r->n_stops; i++)
		if (stops(&r->stops[i], t)) {
			SAY(text, "%" PRId64 " of %" PRId64 " %s, more than %g %% stop it",
				of_type(t, r->stops[i].type), executed(t),
				type_in_words(r->stops[i].type), gate_percent(r->stops[i].ppm));
			break;
		}
	return GATE_FAILED;
}

static void stop_describe(const struct gate_rules *r, char *text)
{
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < r->n_stops && n < GATE_TEXT_MAX; i++)
		n += (size_t)snprintf(text + n, GATE_TEXT_MAX - n,
			"%s more than %g %% of at least %" PRId64 " %s",
			i == 0 ? "fails when" : " or", gate_percent(r->stops[i].ppm),
			r->stops[i].minimum, type_in_words(r->stops[i].type));
}

/* ---- sprt: Wald's sequential probability ratio test */

static struct gate_math_sprt sprt(const struct gate_rules *r)
{
	return gate_math_sprt(gate_probability(r->p0_ppm), gate_probability(r->p1_ppm),
		gate_probability(r->alpha_ppm), gate_probability(r->beta_ppm));
}

double gate_kind_ratio(const struct gate_rules *r, const struct gate_tally *t)
{
	struct gate_math_sprt m = sprt(r);

	return (double)t->failures * m.failure + (double)t->successes * m.success;
}

static enum gate_decision sprt_watch(const struct gate_rules *r, const struct gate_tally *t)
{
	struct gate_math_sprt m = sprt(r);
	double ratio = (double)t->failures * m.failure + (double)t->successes * m.success;

	return ratio >= m.reject ? GATE_FAILED : ratio <= m.accept ? GATE_HOLDS : GATE_OPEN;
}

static bool sprt_holds(const struct gate_rules *r, const struct gate_tally *t, bool ended)
{
	(void)r;
	(void)ended;
	return latched(t->passed, GATE_SPRT);
}

static enum gate_decision sprt_vote(const struct gate_rules *r, const struct gate_tally *t,
	const struct gate_feed *feed, char *text)
{
	struct gate_math_sprt m = sprt(r);
	bool failed = latched(t->failed, GATE_SPRT), passed = latched(t->passed, GATE_SPRT);

	SAY(text,
		"%" PRId64 " confirmed, %" PRId64
		" failed: log-likelihood ratio %.3f, accepts at %.3f, rejects at %.3f%s",
		t->successes, t->failures, gate_kind_ratio(r, t), m.accept, m.reject,
		failed || passed || feed->open > 0 ? "" : "; no more can come");
	return failed ? GATE_FAILED : passed ? GATE_HOLDS : undecided(feed);
}

static int64_t sprt_needs(const struct gate_rules *r)
{
	struct gate_math_sprt m = sprt(r);

	return (int64_t)ceil(m.accept / m.success - 1e-9);
}

static void sprt_describe(const struct gate_rules *r, char *text)
{
	SAY(text,
		"sequential test: passes %g %% failures with %g %% error, fails %g %% with %g %%; "
		"after %" PRId64 " clean device%s at the earliest",
		gate_percent(r->p0_ppm), gate_percent(r->alpha_ppm), gate_percent(r->p1_ppm),
		gate_percent(r->beta_ppm), sprt_needs(r), fl_plural(sprt_needs(r)));
}

/* ---- bayes: how probable it is that more than a limit fail */

static double risk(const struct gate_rules *r, int64_t successes, int64_t failures)
{
	return gate_math_beta_above((double)r->prior_a_milli / 1000 + (double)failures,
		(double)r->prior_b_milli / 1000 + (double)successes,
		gate_probability(r->limit_ppm));
}

double gate_kind_risk(const struct gate_rules *r, const struct gate_tally *t)
{
	return risk(r, t->successes, t->failures);
}

static enum gate_decision bayes_watch(const struct gate_rules *r, const struct gate_tally *t)
{
	double p = gate_kind_risk(r, t);

	if (p >= gate_probability(r->fail_ppm))
		return GATE_FAILED;
	return counted(t) >= r->bayes_minimum && p <= gate_probability(r->pass_ppm) ? GATE_HOLDS
										    : GATE_OPEN;
}

static bool bayes_holds(const struct gate_rules *r, const struct gate_tally *t, bool ended)
{
	(void)r;
	(void)ended;
	return latched(t->passed, GATE_BAYES);
}

static enum gate_decision bayes_vote(const struct gate_rules *r, const struct gate_tally *t,
	const struct gate_feed *feed, char *text)
{
	bool failed = latched(t->failed, GATE_BAYES), passed = latched(t->passed, GATE_BAYES);

	SAY(text,
		"%" PRId64 " confirmed, %" PRId64
		" failed: more than %g %% fail with probability %.4f; passes at %g, fails at %g%s",
		t->successes, t->failures, gate_percent(r->limit_ppm), gate_kind_risk(r, t),
		gate_probability(r->pass_ppm), gate_probability(r->fail_ppm),
		failed || passed || feed->open > 0 ? "" : "; no more can come");
	return failed ? GATE_FAILED : passed ? GATE_HOLDS : undecided(feed);
}

static int64_t bayes_needs(const struct gate_rules *r)
{
	int64_t low = 0, high = 1;

	while (high < NEEDS_MAX && risk(r, high, 0) > gate_probability(r->pass_ppm))
		high *= 2;
	while (high - low > 1) {
		int64_t middle = (low + high) / 2;

		if (risk(r, middle, 0) > gate_probability(r->pass_ppm))
			low = middle;
		else
			high = middle;
	}
	return high > r->bayes_minimum ? high : r->bayes_minimum;
}

static void bayes_describe(const struct gate_rules *r, char *text)
{
	SAY(text,
		"prior Beta(%g, %g): passes when more than %g %% failures have a probability of %g "
		"or "
		"less, fails at %g; after %" PRId64 " clean device%s at the earliest",
		(double)r->prior_a_milli / 1000, (double)r->prior_b_milli / 1000,
		gate_percent(r->limit_ppm), gate_probability(r->pass_ppm),
		gate_probability(r->fail_ppm), bayes_needs(r), fl_plural(bayes_needs(r)));
}

/* ---- external and manual: somebody's word */

static enum gate_decision external_vote(const struct gate_rules *r, const struct gate_tally *t,
	const struct gate_feed *feed, char *text)
{
	(void)t;
	if (feed->verdict != VERDICT_NONE) {
		SAY(text, "the verdict is %s%s%s", gate_verdict_text(feed->verdict),
			feed->said != NULL && feed->said[0] != '\0' ? ": " : "",
			feed->said != NULL ? feed->said : "");
		return feed->verdict == VERDICT_PASS    ? GATE_HOLDS
			: feed->verdict == VERDICT_FAIL ? GATE_FAILED
							: GATE_INCONCLUSIVE;
	}
	SAY(text, "waits for a verdict, at most %" PRId64 " s", r->external_ms / 1000);
	return GATE_OPEN;
}

static void external_describe(const struct gate_rules *r, char *text)
{
	SAY(text, "waits for a verdict from outside, at most %" PRId64 " s", r->external_ms / 1000);
}

static enum gate_decision manual_vote(const struct gate_rules *r, const struct gate_tally *t,
	const struct gate_feed *feed, char *text)
{
	(void)r;
	(void)t;
	(void)feed;
	SAY(text, "waits for a person to promote it");
	return GATE_OPEN;
}

static void manual_describe(const struct gate_rules *r, char *text)
{
	(void)r;
	SAY(text, "waits for a person to promote it");
}

const struct gate_kind_row *gate_kind_row(enum gate_kind kind)
{
	static const struct gate_kind_row rows[GATE_KIND_MAX] = {
		[GATE_SUCCESS] = { NULL, success_holds, success_vote, success_describe,
			success_needs },
		[GATE_ERROR] = { error_watch, NULL, error_vote, error_describe, NULL },
		[GATE_STOP] = { stop_watch, NULL, stop_vote, stop_describe, NULL },
		[GATE_SPRT] = { sprt_watch, sprt_holds, sprt_vote, sprt_describe, sprt_needs },
		[GATE_BAYES] = { bayes_watch, bayes_holds, bayes_vote, bayes_describe,
			bayes_needs },
		[GATE_EXTERNAL] = { NULL, NULL, external_vote, external_describe, NULL },
		[GATE_MANUAL] = { NULL, NULL, manual_vote, manual_describe, NULL },
	};

	FL_BUG_IF((unsigned)kind >= GATE_KIND_MAX);
	return &rows[kind];
}
