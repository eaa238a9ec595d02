/* SPDX-License-Identifier: Apache-2.0
 *
 * How devices prove themselves to http/, which calls this before a handler. */
#ifndef DEVICE_AUTH_H
#define DEVICE_AUTH_H

#include "lib/buf.h"
#include "lib/err.h"

struct request;

/* Check `Authorization: Fleet …` of a request whose body is complete and fill rq->who (roles,
 * device_no, name, session_key, nonce). Loop thread: no store, no blocking. FL_UNAUTHENTICATED. */
enum fl_code device_auth_mac(struct request *rq, struct fl_err *err) FL_MUST_CHECK;

/* Check the RFC 9421 signature by the device's own key and fill rq->who. The body is complete. Runs
 * in the lane of the route, just before its handler (rq->store is there when that lane is READ or
 * WRITE). FL_UNAUTHENTICATED, FL_SIGNATURE. */
enum fl_code device_auth_key(struct request *rq, struct fl_err *err) FL_MUST_CHECK;

/* Add the headers that prove the answer to the device (reply_header). Called once per answer of a
 * request that passed device_auth_mac, when status and body are final. Loop thread. */
void device_auth_answer(struct request *rq, unsigned status, struct fl_bytes body);

#endif
