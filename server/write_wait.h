/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing from a thread that is in no lane: queue a job for the writer and wait for its COMMIT. */
#ifndef WRITE_WAIT_H
#define WRITE_WAIT_H

#include "server/effects.h"

/* What runs on the writer, as a write job does (http/lanes.h); may be run again. */
typedef enum fl_code (*write_wait_fn)(
	struct store *store, struct effects *e, void *arg, struct fl_err *err);

/* Run fn(…, arg) in the write lane and return after COMMIT (FL_OK) or its refusal. FL_UNAVAILABLE when
 * the server stops. Not on the loop's, nor on a lane's thread. */
enum fl_code write_wait(
	struct server *s, write_wait_fn fn, void *arg, struct fl_err *err) FL_MUST_CHECK;

#endif
