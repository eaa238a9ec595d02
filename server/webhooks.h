/* SPDX-License-Identifier: Apache-2.0
 *
 * The sender of webhooks.
 *
 * DESIGN. One thread with libcurl's multi interface and a read-only connection of its own; it never
 * holds the writer up. In a turn it reads the webhooks' rows and, for each that has nothing under way,
 * looks in the audit trail behind the webhook's cursor for the next event that is for it, and sends it.
 * What came of it goes to the writer as a small job, which moves the cursor; only then the webhook is
 * free for its next event. So each webhook gets its events in order, one at a time, at least once: after
 * a crash the event whose outcome was not committed is sent again, with the same webhook-id.
 *
 * An event that the target does not take is tried again with a growing delay until it is older than the
 * setting webhook_give_up; then it is dead and the next one's turn has come. A turn comes when an event
 * or a webhook has changed, when a transfer moves and when a delay is over.
 *
 * Brought up and down by server/parts.h. */
#ifndef WEBHOOKS_H
#define WEBHOOKS_H

#include "server/webhook_target.h"

struct server;
struct webhooks;

/* Events or webhooks have changed: look. Cheap; any thread, also before webhooks_up. */
void webhooks_wake(struct server *s);
/* What the settings allow targets to be. Any thread. */
void webhooks_limits(const struct server *s, struct webhook_limits *out);

#endif
