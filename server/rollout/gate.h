/* SPDX-License-Identifier: Apache-2.0
 *
 * The gate of a stage: counts outcomes and judges them. Pure.
 *
 * DESIGN. Outcomes are taken in the order of delivery, and the gate stops at the first that is still
 * open: silent bricks cannot hide behind quick successes. A tally is the sum up to a cursor in that
 * order, so that a gate looks at each outcome once. Only `confirmed` is a success; `failed` and
 * `timed_out` are failures when their cause counts; every other end is neutral.
 *
 * A gate is a set of *kinds* (GATE_KINDS), each with parameters in gate_rules and a vote. All must pass;
 * one failure fails. Sequential kinds watch every outcome as it is taken and keep what they decided in
 * the tally, so that a verdict does not depend on how many outcomes one commit brought.
 *
 * With `carry` a wave that ends undecided passes its evidence on to the next wave of its layer; after a
 * decision the next wave begins with none.
 *
 * To add a kind: a row in GATE_KINDS, its parameters in gate_rules, its functions in the table of
 * gate_kind.c and its JSON in the table of gate_json.c. Operating characteristics (gate_chance.h), the
 * plan, the decisions' numbers and the command line follow. */
#ifndef ROLLOUT_GATE_H
#define ROLLOUT_GATE_H

#include "server/rollout/model.h"

#include <stddef.h>

#define GATE_KINDS(X)           \
	X(SUCCESS, "success")   \
	X(ERROR, "error")       \
	X(STOP, "stop")         \
	X(SPRT, "sprt")         \
	X(BAYES, "bayes")       \
	X(EXTERNAL, "external") \
	X(MANUAL, "manual")

/* What stop criteria tell apart, whatever the cause was. */
#define GATE_TYPES(X)             \
	X(FAILED, "failed")       \
	X(TIMED_OUT, "timed_out") \
	X(REJECTED, "rejected")   \
	X(ALL, "all")

/* What CI or monitoring says of a stage. */
#define GATE_VERDICTS(X) \
	X(NONE, "none")  \
	X(PASS, "pass")  \
	X(FAIL, "fail")  \
	X(INCONCLUSIVE, "inconclusive")

#define GATE_KIND_ENUM_(code, text)    GATE_##code,
#define GATE_TYPE_ENUM_(code, text)    GATE_TYPE_##code,
#define GATE_VERDICT_ENUM_(code, text) VERDICT_##code,
enum gate_kind { GATE_KINDS(GATE_KIND_ENUM_) GATE_KIND_MAX };
enum gate_type { GATE_TYPES(GATE_TYPE_ENUM_) GATE_TYPE_MAX };
enum gate_verdict { GATE_VERDICTS(GATE_VERDICT_ENUM_) VERDICT_MAX };

#define GATE_STOPS_MAX 8
#define GATE_BY_MAX    4
#define GATE_FIELD_MAX 80
#define GATE_TEXT_MAX  200
#define GATE_SAID_MAX  120
/* The kinds that device outcomes decide; the others wait for somebody's word. */
#define GATE_BY_OUTCOMES (~(1u << GATE_EXTERNAL | 1u << GATE_MANUAL))

/* Stop when more than `ppm` of at least `minimum` ended devices ended like that. */
struct gate_stop {
	enum gate_type type;
	int64_t ppm;
	int64_t minimum; /* at least 1 */
};

/* What a stage's gate demands. Shares and probabilities are in parts per million; a share is of the
 * counted outcomes: successes and failures whose cause counts. */
struct gate_rules {
	unsigned kinds;  /* bits 1 << enum gate_kind; 0: SUCCESS and ERROR */
	unsigned causes; /* bits 1 << enum step_cause: failures that count */
	bool carry;      /* an undecided wave passes its evidence on */
	/* SUCCESS */
	int64_t success_ppm;     /* at least this share succeeds */
	int64_t success_minimum; /* of at least so many outcomes; 0: every device of the stage */
	/* ERROR; the way back of a rollback is measured by it too, whatever `kinds` says */
	int64_t error_ppm;     /* more than this share fails: the gate fails at once */
	int64_t error_minimum; /* but not before so many outcomes; at least 1 */
	/* STOP */
	size_t n_stops;
	struct gate_stop stops[GATE_STOPS_MAX];
	/* SPRT: p0 is good, p1 is bad; alpha: a good release fails; beta: a bad one passes */
	int64_t p0_ppm, p1_ppm, alpha_ppm, beta_ppm;
	/* BAYES: prior Beta(a, b) in thousandths; how probable it is that more than the limit fail */
	int64_t prior_a_milli, prior_b_milli;
	int64_t limit_ppm;
	int64_t pass_ppm, fail_ppm; /* passes at or below, fails at or above that probability */
	int64_t bayes_minimum;      /* passes not before so many outcomes */
	/* stratum.h: strata by these fields are held where failures are concentrated; 0: none */
	int n_by;
	char by[GATE_BY_MAX][GATE_FIELD_MAX]; /* "attribute.hw", "label.region", "gateway" */
	int64_t strata_ppm; /* probability of holding one although there is no reason */
	/* EXTERNAL: from the opening of the stage until there must be a verdict */
	int64_t external_ms;
};

/* Sum over the outcomes in the order of delivery up to `cursor`. Zeroed: nothing taken yet. Only
 * int64_t members: stored as one vector. */
struct gate_tally {
	int64_t cursor; /* place of the last outcome that was taken */
	int64_t successes;
	int64_t failures;                            /* whose cause counts */
	int64_t types[GATE_TYPE_ALL];                /* ends by type, whatever the cause */
	int64_t carried_successes, carried_failures; /* of them from earlier waves */
	int64_t passed, failed;    /* bits 1 << enum gate_kind: what sequential kinds decided */
	int64_t at[GATE_KIND_MAX]; /* after how many counted outcomes */
};
#define GATE_TALLY_N (sizeof(struct gate_tally) / sizeof(int64_t))

/* What the stage can still bring, and what was said about it. */
struct gate_feed {
	int64_t open; /* steps that may still have an outcome */
	int64_t silent; /* ends without an outcome that leave a doubt: unreached, rejected, ineligible,
			 * held, superseded, and failures whose cause does not count */
	bool onward;    /* a later wave of the layer can take the evidence on */
	enum gate_verdict verdict;
	const char *said; /* who gave the verdict and why; NULL: nothing */
};

enum gate_decision {
	GATE_OPEN,         /* not enough is known yet */
	GATE_HOLDS,        /* the success condition holds now */
	GATE_FAILED,       /* the error condition holds */
	GATE_INCONCLUSIVE, /* nothing more can come and neither condition holds */
};

/* Whether a kind is part of the gate. */
bool gate_has(const struct gate_rules *rules, enum gate_kind kind);

/* Take the outcome at `place`, the next in the order of delivery: a step in that state (forward) with
 * that cause. False if it is still open: nothing is taken and the walk ends here. */
bool gate_take(const struct gate_rules *rules, struct gate_tally *tally, int64_t place,
	enum step_state state, enum step_cause cause);

/* Pass over the outcome at `place`: it is one with an earlier one, as of devices that were lost together
 * with their gateway. */
void gate_pass_over(struct gate_tally *tally, int64_t place);

/* Whether a tally, if nothing is added to it, leaves the gate undecided: neither passed nor failed by
 * outcomes. Then, with `carry`, the next wave goes on from it. */
bool gate_undecided(const struct gate_rules *rules, const struct gate_tally *tally);

/* What a wave that ended undecided hands to the next one: its tally as that wave's first one. */
struct gate_tally gate_carry(const struct gate_tally *ended);

/* Whether a manual gate has all but a person's word: every other kind agrees. */
bool gate_waits_for_person(const struct gate_rules *rules, const struct gate_tally *tally,
	const struct gate_feed *feed);

/* Judge. `text` (GATE_TEXT_MAX bytes) gets the decision with the numbers that led to it. */
enum gate_decision gate_judge(const struct gate_rules *rules, const struct gate_tally *tally,
	const struct gate_feed *feed, char *text);

/* The vote of one kind of the gate, with its own sentence. */
enum gate_decision gate_vote(const struct gate_rules *rules, enum gate_kind kind,
	const struct gate_tally *tally, const struct gate_feed *feed, char *text);

/* What a kind of the gate demands, as a sentence of GATE_TEXT_MAX bytes. */
void gate_describe(const struct gate_rules *rules, enum gate_kind kind, char *text);

/* Fewest outcomes, all of them successes, after which the gate can pass; 0: it asks for no number. */
int64_t gate_needs(const struct gate_rules *rules);

/* "open", "passed", "failed", "inconclusive": the words of the API. GATE_HOLDS is "passed". */
const char *gate_decision_text(enum gate_decision d);
const char *gate_kind_text(enum gate_kind k);
const char *gate_type_text(enum gate_type t);
const char *gate_verdict_text(enum gate_verdict v);
/* FL_INVALID on an unknown word, and on "none" for a verdict. */
enum fl_code gate_type_parse(const char *s, enum gate_type *out, struct fl_err *err) FL_MUST_CHECK;
enum fl_code gate_verdict_parse(
	const char *s, enum gate_verdict *out, struct fl_err *err) FL_MUST_CHECK;

#endif
