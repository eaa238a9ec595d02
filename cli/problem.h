/* SPDX-License-Identifier: Apache-2.0
 *
 * What went wrong with a call, as a sentence and a next step. */
#ifndef CLI_PROBLEM_H
#define CLI_PROBLEM_H

#include "cli/api.h"

/* Turn an answer of status >= 300 into an error; fills api->hint. Keeps a reference to the problem
 * document in api->problem. Returns the code. */
enum fl_code problem_of_reply(struct api *api, const struct api_request *rq,
	const struct api_reply *reply, struct fl_err *err) FL_MUST_CHECK;

/* Turn a failure of libcurl into an error; `detail` is libcurl's own text (may be empty). */
enum fl_code problem_of_curl(
	struct api *api, CURLcode result, const char *detail, struct fl_err *err) FL_MUST_CHECK;

#endif
