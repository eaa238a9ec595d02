/* SPDX-License-Identifier: Apache-2.0
 *
 * What one fleetd is made of. Each part is owned by its room and opaque outside of it; main.c brings
 * them up in this order and down in reverse. */
#ifndef SERVER_H
#define SERVER_H

#include "lib/err.h"
#include "server/settings.h"

struct server {
	const struct settings *_Atomic settings; /* swapped on SIGHUP; read once per use */
	struct metrics *metrics;                 /* metrics.h */
	struct database *database; /* store/batch.h: migrations, the writer, readers */
	struct identity *identity; /* identity.h: uuid, times of creation and start */
	struct lanes *lanes;       /* http/lanes.h */
	struct trust *trust;       /* trust.h: keys of the server */
	struct tokens *tokens;     /* tokens.h: bearer tokens in memory */
	struct blobs *blobs;       /* blobs.h: content-addressed files */
	struct fleet *fleet;       /* fleet.h: devices in memory: sessions, attention, last seen */
	struct seen *seen;         /* seen.c: writes when devices were last seen */
	struct kept_head
		*kept_head; /* kept_head.h: the audit trail's head, outside of the database */
	struct delta_service *deltas; /* delta_service.h */
	struct rollouts *rollouts;    /* rollouts.h: jobs and timers of running rollouts */
	struct planning *planning;    /* planning.h: plans in the making */
	_Atomic uint64_t changes;     /* planning.h: how much has changed that plans rest on */
	struct joining *joining;      /* joining.c: new devices for running rollouts */
	struct channels *channels;    /* channels.h: looks after the channels */
	struct webhooks
		*_Atomic webhooks; /* webhooks.h: sends events to others; NULL while it is down */
	struct http *http;         /* http/http.h: loops, connections */
};

#endif
