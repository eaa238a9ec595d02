/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/gate_numbers.h"

#include "server/rollout/gate_kind.h"
#include "server/rollout/gate_math.h"

/* What only one kind has. Returns non-zero without memory. */
static int add_own(
	json_t *vote, const struct gate_rules *r, enum gate_kind kind, const struct gate_tally *t)
{
	struct gate_math_sprt m =
		gate_math_sprt(gate_probability(r->p0_ppm), gate_probability(r->p1_ppm),
			gate_probability(r->alpha_ppm), gate_probability(r->beta_ppm));
	json_t *own = NULL;

	if (kind == GATE_SPRT)
		own = json_pack("{s:f,s:f,s:f}", "log_likelihood_ratio", gate_kind_ratio(r, t),
			"accepts_at", m.accept, "rejects_at", m.reject);
	else if (kind == GATE_BAYES)
		own = json_pack("{s:f,s:f,s:f}", "probability_above_limit", gate_kind_risk(r, t),
			"passes_at", gate_probability(r->pass_ppm), "fails_at",
			gate_probability(r->fail_ppm));
	else
		return 0;
	if (t->at[kind] > 0 && own != NULL)
		(void)json_object_set_new(own, "decided_after", json_integer(t->at[kind]));
	return own == NULL ? -1 : json_object_update_new(vote, own);
}

static json_t *vote_json(const struct gate_rules *r, enum gate_kind kind,
	const struct gate_tally *t, const struct gate_feed *feed)
{
	char text[GATE_TEXT_MAX] = "";
	enum gate_decision d = gate_vote(r, kind, t, feed, text);
	FL_AUTO_JSON json_t *vote = json_pack("{s:s,s:s,s:s}", "kind", gate_kind_text(kind),
		"decision", gate_decision_text(d), "text", text);

	return vote == NULL || add_own(vote, r, kind, t) != 0 ? NULL : fl_steal(&vote);
}

json_t *gate_numbers(
	const struct gate_rules *rules, const struct gate_tally *t, const struct gate_feed *feed)
{
	FL_AUTO_JSON json_t *votes = json_array();
	int failed = 0;

	for (int k = 0; k < GATE_KIND_MAX; k++)
		if (gate_has(rules, (enum gate_kind)k))
			failed |= json_array_append_new(
				votes, vote_json(rules, (enum gate_kind)k, t, feed));
	if (failed != 0)
		return NULL;
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:O}", "successes",
		(json_int_t)t->successes, "failures", (json_int_t)t->failures, "failed",
		(json_int_t)t->types[GATE_TYPE_FAILED], "timed_out",
		(json_int_t)t->types[GATE_TYPE_TIMED_OUT], "rejected",
		(json_int_t)t->types[GATE_TYPE_REJECTED], "carried_successes",
		(json_int_t)t->carried_successes, "carried_failures",
		(json_int_t)t->carried_failures, "open", (json_int_t)feed->open, "silent",
		(json_int_t)feed->silent, "votes", votes);
}

json_t *gate_numbers_plain(const json_t *numbers)
{
	json_t *out = json_deep_copy(numbers), *vote, *value;
	const char *key;
	void *next;
	size_t i;

	json_array_foreach (json_object_get(out, "votes"), i, vote) {
		json_object_foreach_safe(vote, next, key, value)
		{
			if (json_is_real(value))
				(void)json_object_del(vote, key);
		}
	}
	return out;
}

json_t *gate_demands(const struct gate_rules *rules)
{
	FL_AUTO_JSON json_t *out = json_array();
	int failed = 0;

	for (int k = 0; k < GATE_KIND_MAX; k++) {
		char text[GATE_TEXT_MAX];

		if (!gate_has(rules, (enum gate_kind)k))
			continue;
		gate_describe(rules, (enum gate_kind)k, text);
		failed |= json_array_append_new(out,
			json_pack("{s:s,s:s}", "kind", gate_kind_text((enum gate_kind)k), "text",
				text));
	}
	return failed == 0 ? fl_steal(&out) : NULL;
}
