/* SPDX-License-Identifier: Apache-2.0
 *
 * Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): a POST that is sent again gets the
 * first answer again, for 24 hours and per token.
 *
 * A handler of the write lane calls idempotent_replay first and, if that did not answer, ends with
 * idempotent_reply. Answer and change are in one transaction. */
#ifndef API_IDEMPOTENT_H
#define API_IDEMPOTENT_H

#include "server/http/request.h"

/* If the request has a key that was answered before, answer it again and set *replayed. Without the
 * header nothing happens. FL_INVALID: a key that is no key; FL_REFUSED: the key came with another
 * request. Write lane. */
enum fl_code idempotent_replay(
	struct request *rq, bool *replayed, struct fl_err *err) FL_MUST_CHECK;
/* Answer with `take_shown` (taken over) and keep `kept` (borrowed; what may be stored of it) under the
 * request's key, if it has one. Write lane. */
enum fl_code idempotent_reply(struct request *rq, unsigned status, json_t *take_shown,
	const json_t *kept, struct fl_err *err) FL_MUST_CHECK;

#endif
