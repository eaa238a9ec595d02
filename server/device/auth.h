/* SPDX-License-Identifier: Apache-2.0
 *
 * How devices prove themselves to http/, which calls this before a handler, and how the answer
 * proves itself to them. No store, no blocking, no allocation: it is on the way of every poll.
 *
 * WHO_DEVICE_KEY has no function here: enrolment and session verify the RFC 9421 signature in their
 * handlers, since the key costs a read. */
#ifndef DEVICE_AUTH_H
#define DEVICE_AUTH_H

#include "lib/buf.h"
#include "lib/err.h"

struct request;

/* Check `Authorization: Fleet …` of a request whose body is complete against rq->method, rq->target
 * and the fleet in memory; fill rq->who (roles, device_no, session_key, nonce, manifest; the name
 * stays empty). The device counts as seen. Loop thread. FL_UNAUTHENTICATED: the device needs a new
 * session; FL_NONCE: it needs a greater nonce. rq->who is untouched on failure. */
enum fl_code device_auth_mac(struct request *rq, struct fl_err *err) FL_MUST_CHECK;

/* Add the header that proves the answer to the device (reply_header). Called once per answer of a
 * request that passed device_auth_mac, when status and body are final. Loop thread. */
void device_auth_answer(struct request *rq, unsigned status, struct fl_bytes body);

#endif
