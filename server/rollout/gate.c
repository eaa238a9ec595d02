/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/gate.h"

#include "server/rollout/gate_kind.h"

#include <stdio.h>
#include <string.h>

#define TEXT_(code, text) text,
static const char *const kind_texts[] = { GATE_KINDS(TEXT_) };
static const char *const type_texts[] = { GATE_TYPES(TEXT_) };
static const char *const verdict_texts[] = { GATE_VERDICTS(TEXT_) };
#undef TEXT_

bool gate_has(const struct gate_rules *rules, enum gate_kind kind)
{
	unsigned kinds = rules->kinds != 0 ? rules->kinds : 1u << GATE_SUCCESS | 1u << GATE_ERROR;

	return (kinds & 1u << kind) != 0;
}

/* ---- outcomes */

void gate_kind_watch(const struct gate_rules *rules, struct gate_tally *tally)
{
	for (int k = 0; k < GATE_KIND_MAX; k++) {
		const struct gate_kind_row *row = gate_kind_row((enum gate_kind)k);
		int64_t bit = 1 << k, before = tally->passed | tally->failed;
		enum gate_decision d;

		if (row->watch == NULL || !gate_has(rules, (enum gate_kind)k) ||
			(tally->failed & bit) != 0)
			continue;
		d = row->watch(rules, tally);
		if (d == GATE_FAILED)
			tally->failed |= bit;
		else if (d == GATE_HOLDS)
			tally->passed |= bit;
		if ((before & bit) == 0 && d != GATE_OPEN)
			tally->at[k] = tally->successes + tally->failures;
	}
}

bool gate_take(const struct gate_rules *rules, struct gate_tally *tally, int64_t place,
	enum step_state state, enum step_cause cause)
{
	bool bad = state == STEP_FAILED || state == STEP_TIMED_OUT;

	FL_BUG_IF(place <= tally->cursor);
	if (!step_ended(state) && state != STEP_REJECTED)
		return false;
	tally->cursor = place;
	tally->successes += state == STEP_CONFIRMED;
	tally->failures += bad && (rules->causes & 1u << cause) != 0;
	tally->types[GATE_TYPE_FAILED] += state == STEP_FAILED;
	tally->types[GATE_TYPE_TIMED_OUT] += state == STEP_TIMED_OUT;
	tally->types[GATE_TYPE_REJECTED] += state == STEP_REJECTED;
	if (bad || state == STEP_CONFIRMED || state == STEP_REJECTED)
		gate_kind_watch(rules, tally);
	return true;
}

void gate_pass_over(struct gate_tally *tally, int64_t place)
{
	FL_BUG_IF(place <= tally->cursor);
	tally->cursor = place;
}

bool gate_undecided(const struct gate_rules *rules, const struct gate_tally *tally)
{
	static const struct gate_feed nothing_more;
	bool open = false;

	for (int k = 0; k < GATE_KIND_MAX; k++) {
		char text[GATE_TEXT_MAX];
		enum gate_decision d;

		if ((GATE_BY_OUTCOMES & 1u << k) == 0 || !gate_has(rules, (enum gate_kind)k))
			continue;
		d = gate_kind_row((enum gate_kind)k)->vote(rules, tally, &nothing_more, text);
		if (d == GATE_FAILED)
			return false;
		open = open || d == GATE_INCONCLUSIVE;
	}
	return open;
}

struct gate_tally gate_carry(const struct gate_tally *ended)
{
	struct gate_tally first = *ended;

	first.cursor = 0;
	first.carried_successes = ended->successes;
	first.carried_failures = ended->failures;
	return first;
}

/* ---- judging */

/* Whether the stage had, and has, nobody to ask. */
static bool nothing_to_do(const struct gate_tally *t, const struct gate_feed *feed)
{
	return feed->open == 0 && feed->silent == 0 && t->successes == t->carried_successes &&
		t->failures == t->carried_failures;
}

/* A wave that brought something and ends undecided may leave the decision to the next one. */
static bool may_go_on(
	const struct gate_rules *rules, const struct gate_tally *t, const struct gate_feed *feed)
{
	return rules->carry && feed->onward && feed->open == 0 &&
		t->successes + t->failures > t->carried_successes + t->carried_failures;
}

enum gate_decision gate_vote(const struct gate_rules *rules, enum gate_kind kind,
	const struct gate_tally *tally, const struct gate_feed *feed, char *text)
{
	enum gate_decision d;

	if (nothing_to_do(tally, feed)) {
		(void)snprintf(text, GATE_TEXT_MAX, "there was nothing to do");
		return GATE_HOLDS;
	}
	d = gate_kind_row(kind)->vote(rules, tally, feed, text);
	if (d != GATE_INCONCLUSIVE || (GATE_BY_OUTCOMES & 1u << kind) == 0 ||
		!may_go_on(rules, tally, feed))
		return d;
	(void)snprintf(text, GATE_TEXT_MAX,
		"undecided with %lld confirmed and %lld failed: the next wave adds to that",
		(long long)tally->successes, (long long)tally->failures);
	return GATE_HOLDS;
}

/* Of two votes the one that counts: a failure, then a doubt, then an open one. */
static int weight(enum gate_decision d)
{
	return d == GATE_FAILED ? 3 : d == GATE_INCONCLUSIVE ? 2 : d == GATE_OPEN ? 1 : 0;
}

/* Add the sentence of a vote that agrees with what counts so far. */
static void join(char *text, const char *more)
{
	size_t n = strlen(text);

	if (more[0] != '\0' && strstr(text, more) == NULL)
		(void)snprintf(text + n, GATE_TEXT_MAX - n, "%s%s", n == 0 ? "" : "; ", more);
}

enum gate_decision gate_judge(const struct gate_rules *rules, const struct gate_tally *tally,
	const struct gate_feed *feed, char *text)
{
	enum gate_decision all = GATE_HOLDS;

	text[0] = '\0';
	for (int k = 0; k < GATE_KIND_MAX; k++) {
		char one[GATE_TEXT_MAX] = "";
		enum gate_decision d;

		if (!gate_has(rules, (enum gate_kind)k))
			continue;
		d = gate_vote(rules, (enum gate_kind)k, tally, feed, one);
		if (weight(d) > weight(all)) {
			all = d;
			text[0] = '\0';
		}
		if (d == all)
			join(text, one);
	}
	return all;
}

bool gate_waits_for_person(const struct gate_rules *rules, const struct gate_tally *tally,
	const struct gate_feed *feed)
{
	struct gate_rules others = *rules;
	char text[GATE_TEXT_MAX];

	if (!gate_has(rules, GATE_MANUAL))
		return false;
	others.kinds &= ~(1u << GATE_MANUAL);
	return others.kinds == 0 || gate_judge(&others, tally, feed, text) == GATE_HOLDS;
}

void gate_describe(const struct gate_rules *rules, enum gate_kind kind, char *text)
{
	gate_kind_row(kind)->describe(rules, text);
}

int64_t gate_needs(const struct gate_rules *rules)
{
	int64_t most = 0;

	for (int k = 0; k < GATE_KIND_MAX; k++) {
		const struct gate_kind_row *row = gate_kind_row((enum gate_kind)k);
		int64_t n = row->needs != NULL && gate_has(rules, (enum gate_kind)k)
			? row->needs(rules)
			: 0;

		most = n > most ? n : most;
	}
	return most;
}

/* ---- words */

const char *gate_decision_text(enum gate_decision d)
{
	static const char *const texts[] = { "open", "passed", "failed", "inconclusive" };

	FL_BUG_IF((unsigned)d > GATE_INCONCLUSIVE);
	return texts[d];
}

const char *gate_kind_text(enum gate_kind k)
{
	FL_BUG_IF((unsigned)k >= GATE_KIND_MAX);
	return kind_texts[k];
}

const char *gate_type_text(enum gate_type t)
{
	FL_BUG_IF((unsigned)t >= GATE_TYPE_MAX);
	return type_texts[t];
}

const char *gate_verdict_text(enum gate_verdict v)
{
	FL_BUG_IF((unsigned)v >= VERDICT_MAX);
	return verdict_texts[v];
}

enum fl_code gate_type_parse(const char *s, enum gate_type *out, struct fl_err *err)
{
	for (int i = 0; i < GATE_TYPE_MAX; i++) {
		if (strcmp(s, type_texts[i]) == 0) {
			*out = (enum gate_type)i;
			return FL_OK;
		}
	}
	return fl_fail(err, FL_INVALID,
		"must be one of \"failed\", \"timed_out\", \"rejected\" and \"all\", not \"%.32s\"",
		s);
}

enum fl_code gate_verdict_parse(const char *s, enum gate_verdict *out, struct fl_err *err)
{
	for (int i = VERDICT_PASS; i < VERDICT_MAX; i++) {
		if (strcmp(s, verdict_texts[i]) == 0) {
			*out = (enum gate_verdict)i;
			return FL_OK;
		}
	}
	return fl_fail(err, FL_INVALID,
		"must be \"pass\", \"fail\" or \"inconclusive\", not \"%.32s\"", s);
}
