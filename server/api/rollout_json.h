/* SPDX-License-Identifier: Apache-2.0
 *
 * What the handlers of rollouts share: the rollout as JSON, entity tags. */
#ifndef API_ROLLOUT_JSON_H
#define API_ROLLOUT_JSON_H

#include "server/http/request.h"
#include "server/store/rollout.h"

#define ROLLOUT_ETAG 33 /* bytes of a tag with its NUL */

/* The rollout as the API shows it; *out is a new reference. */
enum fl_code rollout_json(const struct rollout *r, json_t **out, struct fl_err *err) FL_MUST_CHECK;
/* A tag of the value's text. */
void rollout_etag(const json_t *value, char etag[ROLLOUT_ETAG]);
/* Answer with `take` (taken over) and its ETag. */
void rollout_reply(struct request *rq, unsigned status, json_t *take);

#endif
