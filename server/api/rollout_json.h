/* SPDX-License-Identifier: Apache-2.0
 *
 * What the handlers of rollouts share: the rollout as JSON, entity tags. */
#ifndef API_ROLLOUT_JSON_H
#define API_ROLLOUT_JSON_H

#include "server/http/request.h"
#include "server/rollouts.h"
#include "server/store/assignment.h"
#include "server/store/rollout.h"

#define ROLLOUT_ETAG 33 /* bytes of a tag with its NUL */

/* The rollout as the API shows it; *out is a new reference. */
enum fl_code rollout_json(const struct rollout *r, json_t **out, struct fl_err *err) FL_MUST_CHECK;
/* The same with who has approved it: what one rollout's address shows. */
enum fl_code rollout_json_whole(struct store *store, const struct rollout *r, json_t **out,
	struct fl_err *err) FL_MUST_CHECK;
/* FL_PRECONDITION when If-Match came and names another state of the rollout. */
enum fl_code rollout_if_match(
	struct request *rq, const struct rollout *r, struct fl_err *err) FL_MUST_CHECK;
/* Compare the rollout's devices with what they were when it was planned, in parts in the read lane; then
 * `then` runs in the write lane, where rollout_drift_check can tell. The request must not have a state
 * yet. FL_NOMEM. */
enum fl_code rollout_drift_look(
	struct request *rq, int64_t rollout_id, handler_fn then, struct fl_err *err) FL_MUST_CHECK;
/* Whether that has been done. */
bool rollout_drift_known(const struct request *rq);
/* FL_REFUSED when more of the devices have changed than the strategy allows. */
enum fl_code rollout_drift_check(
	const struct request *rq, const struct rollout *r, struct fl_err *err) FL_MUST_CHECK;
/* Answer an act on the rollout: what it did, and the rollout as it is now. */
enum fl_code rollout_reply_act(struct request *rq, const char *name, const struct rollouts_verb *v,
	struct fl_err *err) FL_MUST_CHECK;
/* A tag of a text; of the value's text. */
void rollout_etag_of(struct fl_bytes text, char etag[ROLLOUT_ETAG]);
void rollout_etag(const json_t *value, char etag[ROLLOUT_ETAG]);

#endif
