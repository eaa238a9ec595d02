/* SPDX-License-Identifier: Apache-2.0
 *
 * Explanations, line by line: words for people and the same facts for programs, from one source. Pure.
 *
 * A line is {"code":…,"text":…} with a member per argument. Moments are RFC 3339 texts in UTC, lengths of
 * time whole seconds in members that end in "_s". */
#ifndef ROLLOUT_EXPLAIN_LINE_H
#define ROLLOUT_EXPLAIN_LINE_H

#include "lib/json.h"

enum explain_code {
#define EXPLAIN(code, name, words) EXPLAIN_##code,
#include "server/tbl/explain.h"
#undef EXPLAIN
	EXPLAIN_CODE_MAX
};

/* Something that the words name. */
struct explain_arg {
	const char *name;
	enum {
		EXPLAIN_IS_NUMBER,
		EXPLAIN_IS_TEXT,
		EXPLAIN_IS_STATE, /* a text; in the sentence as words */
		EXPLAIN_IS_MOMENT,
		EXPLAIN_IS_LENGTH
	} type;
	int64_t n;        /* number; ms since 1970; ms */
	const char *text; /* borrowed; NULL: "" */
};
#define EXPLAIN_N(name_, n_) \
	((struct explain_arg){ .name = name_, .type = EXPLAIN_IS_NUMBER, .n = (n_) })
#define EXPLAIN_T(name_, text_) \
	((struct explain_arg){ .name = name_, .type = EXPLAIN_IS_TEXT, .text = (text_) })
#define EXPLAIN_S(name_, state_) \
	((struct explain_arg){ .name = name_, .type = EXPLAIN_IS_STATE, .text = (state_) })
#define EXPLAIN_AT(name_, ms_) \
	((struct explain_arg){ .name = name_, .type = EXPLAIN_IS_MOMENT, .n = (ms_) })
#define EXPLAIN_FOR(name_, ms_) \
	((struct explain_arg){ .name = name_, .type = EXPLAIN_IS_LENGTH, .n = (ms_) })

/* An explanation in the making. Zeroed memory is a valid empty one. */
struct explain {
	json_t *lines; /* owned array */
	bool failed;   /* no memory */
};

/* Add a line; the arguments are those that its words name, n of them. */
void explain_say(
	struct explain *e, enum explain_code code, const struct explain_arg *args, size_t n);
/* EXPLAIN_SAY(e, SLOTS, EXPLAIN_N("in_flight", 3), EXPLAIN_N("max", 3)); */
#define EXPLAIN_SAY(e, code, ...)                                                     \
	explain_say((e), EXPLAIN_##code, (const struct explain_arg[]){ __VA_ARGS__ }, \
		sizeof((const struct explain_arg[]){ __VA_ARGS__ }) / sizeof(struct explain_arg))
#define EXPLAIN_SAY_ONLY(e, code) explain_say((e), EXPLAIN_##code, NULL, 0)

/* Whether a line of this code was said. */
bool explain_said(const struct explain *e, enum explain_code code);
/* The words of the first line, borrowed; "" without any. */
const char *explain_first(const struct explain *e);
/* The lines, a new reference; the explanation is empty afterwards. FL_NOMEM. */
enum fl_code explain_take(struct explain *e, json_t **out, struct fl_err *err) FL_MUST_CHECK;
/* Free. Safe twice. */
void explain_fini(struct explain *e);

/* The code on the wire; the words with their names in braces. For tests and manuals. */
const char *explain_code_text(enum explain_code code);
const char *explain_code_words(enum explain_code code);

/* "4 min", "2 h 5 min", "37 s"; 0 below zero. Appended. */
void explain_length(struct fl_buf *b, int64_t ms);
/* "L0.W1" of a stage. */
#define EXPLAIN_STAGE 32
void explain_stage_name(int layer, int wave, char out[EXPLAIN_STAGE]);

#endif
