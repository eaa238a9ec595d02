/* SPDX-License-Identifier: Apache-2.0
 *
 * Proof of a device's key for one request: RFC 9421 over "@method", "@path" and "content-digest"
 * with created, keyid (the device's id), alg and nonce. Enrolment and session ask for it. */
#ifndef DEVICE_PROOF_H
#define DEVICE_PROOF_H

#include "lib/httpsig.h"

#define PROOF_WINDOW_S    300 /* how far `created` may be from the server's clock */
#define PROOF_NONCE_BYTES 64

struct request;

/* Read the signature's headers and check everything but the signature itself: coverage, parameters,
 * the body's digest, the window. FL_UNAUTHENTICATED; FL_CLOCK: then answer with proof_clock. Cheap
 * and without a store: any lane. */
enum fl_code proof_read(
	const struct request *rq, struct fl_httpsig *out, struct fl_err *err) FL_MUST_CHECK;
/* Verify it. About 60 µs: work lane. FL_SIGNATURE, FL_NOMEM. */
enum fl_code proof_verify(const struct request *rq, const struct fl_httpsig *s,
	const uint8_t key[FL_PUBLIC_LEN], struct fl_err *err) FL_MUST_CHECK;
/* Reply with the problem FL_CLOCK and the server's time, so that a device without a clock can set
 * its own. */
void proof_clock(struct request *rq);

#endif
