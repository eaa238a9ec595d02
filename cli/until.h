/* SPDX-License-Identifier: Apache-2.0
 *
 * What `rollout watch` waits for, and whether it has come. Pure: figures in, verdict out. */
#ifndef CLI_UNTIL_H
#define CLI_UNTIL_H

#include "lib/json.h"

enum until_kind { UNTIL_COMPLETE, UNTIL_WAVE, UNTIL_STAGE, UNTIL_NEXT_STAGE };

struct until {
	enum until_kind kind;
	int64_t layer, wave;
	bool chosen; /* UNTIL_NEXT_STAGE: the stage has been fixed */
};

enum until_verdict {
	UNTIL_GOING,   /* wait on */
	UNTIL_REACHED, /* what was waited for has come */
	UNTIL_FAILED,  /* it will never come */
	UNTIL_PERSON,  /* it will not come unless a person decides */
};

/* "complete" (or NULL), "stage", "stage:L,W", "wave:N". FL_INVALID. */
enum fl_code until_parse(const char *text, struct until *out, struct fl_err *err) FL_MUST_CHECK;

/* Judge the API's stats. The first call fixes which stage "stage" means: the first, wave by wave,
 * that has not ended. FL_NOT_FOUND when there are stages, but not the one asked for. */
enum fl_code until_judge(struct until *u, const json_t *stats, enum until_verdict *out,
	struct fl_err *err) FL_MUST_CHECK;

#endif
