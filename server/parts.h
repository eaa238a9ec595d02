/* SPDX-License-Identifier: Apache-2.0
 *
 * How the parts of fleetd come up and go down.
 *
 * DESIGN. main.c has one table of these, in this order; each may use those above it. X_up fills its
 * member of struct server or explains in `err` what the operator can do; it cleans up after itself
 * when it fails. X_down ends it, safe when X_up was never called. All run on the main thread. Until
 * lanes_up the database is reached with database_run (store/batch.h); after it with lanes_*. Before the
 * first X_down the lanes' threads have ended with all their jobs done: X_down may use database_run.
 *
 * To add a part: a member in server.h, a pair here, a row in main.c. */
#ifndef PARTS_H
#define PARTS_H

#include "lib/err.h"

struct server;

#define PART(name)                                                                  \
	enum fl_code name##_up(struct server *s, struct fl_err *err) FL_MUST_CHECK; \
	void name##_down(struct server *s)

PART(database); /* store/batch.c: opens, migrates, prepares */
PART(identity); /* identity.c: uuid, tenant; makes them at the first start */
PART(trust);    /* trust.c: keys; makes them at the first start */
PART(tokens);   /* tokens.c: loads the tokens; the first start makes the admin's (tokens_first) */
PART(blobs);    /* blobs.c: folders, removes unfinished temporary files */
PART(fleet);    /* fleet.c: loads the devices and their attention */
PART(lanes);    /* http/lanes.c: loops' structures, reader, writer and worker threads */
PART(seen);     /* seen.c: writes when devices were last seen, bit by bit; all at the end */
PART(kept_head); /* kept_head.c: signs the audit trail's head now and then; the last one at the end */
PART(deltas);    /* delta_service.c */
PART(rollouts); /* rollouts.c: goes on with jobs and timers */
PART(planning); /* planning.c: goes on with plans that were not finished */
PART(channels); /* channels.c: brings devices up to the releases of their channels */
PART(joining);  /* joining.c: new devices join rollouts that allow it */
PART(webhooks); /* webhooks.c: the thread that sends events */
PART(http);     /* http/http.c: sockets; the server answers from here on */

#endif
