/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/model.h"

#include <string.h>

#define TEXT_(code, text) text,
static const char *const rollout_texts[] = { ROLLOUT_STATES(TEXT_) };
static const char *const stage_texts[] = { STAGE_STATES(TEXT_) };
static const char *const step_texts[] = { STEP_STATES(TEXT_) };
static const char *const cause_texts[] = { STEP_CAUSES(TEXT_) };

/* The place of `s` in `texts`; fails with the noun and the word. */
static enum fl_code find(const char *const *texts, int n, const char *noun, const char *s, int *out,
	struct fl_err *err)
{
	for (int i = 0; i < n; i++) {
		if (strcmp(texts[i], s) == 0) {
			*out = i;
			return FL_OK;
		}
	}
	return fl_fail(err, FL_INVALID, "\"%s\" is not a %s", s, noun);
}

#define ENUM_TEXT(type, texts, noun, max)                                            \
	const char *type##_text(enum type v)                                         \
	{                                                                            \
		FL_BUG_IF((unsigned)v >= max);                                       \
		return texts[v];                                                     \
	}                                                                            \
	enum fl_code type##_parse(const char *s, enum type *out, struct fl_err *err) \
	{                                                                            \
		int i = 0;                                                           \
		enum fl_code code = find(texts, max, noun, s, &i, err);              \
                                                                                     \
		if (code == FL_OK)                                                   \
			*out = (enum type)i;                                         \
		return code;                                                         \
	}

ENUM_TEXT(rollout_state, rollout_texts, "state of a rollout", ROLLOUT_STATE_MAX)
ENUM_TEXT(stage_state, stage_texts, "state of a stage", STAGE_STATE_MAX)
ENUM_TEXT(step_state, step_texts, "state of a step", STEP_STATE_MAX)
ENUM_TEXT(step_cause, cause_texts, "cause of a failure", CAUSE_MAX)
