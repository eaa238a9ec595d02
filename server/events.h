/* SPDX-License-Identifier: Apache-2.0
 *
 * The audit trail: an operator's act, an engine's decision, a change of trust, one line each.
 *
 * DESIGN. An event is written in the same transaction as the change that it tells. Lines are chained
 * in commit order: hash = SHA-256(hash of the line before || canonical JSON of
 * {"actor","at","data","kind","seq","subject"}); before the first line stand 32 zero bytes. Seen by
 * others (SSE, waits) after COMMIT. Secrets and what a device reports about persons never go in. */
#ifndef EVENTS_H
#define EVENTS_H

#include "lib/json.h"
#include "server/effects.h"
#include "server/store/event.h"
#include "server/store/store.h"

enum event_kind {
#define EVENT(code, text, subject, summary) EVENT_##code,
#include "server/tbl/events.h"
#undef EVENT
	EVENT_KIND_MAX
};

enum event_subject {
	EVENT_OF_SERVER,
	EVENT_OF_TOKEN,
	EVENT_OF_MODULE,
	EVENT_OF_VERSION,
	EVENT_OF_ARTIFACT,
	EVENT_OF_RELEASE,
	EVENT_OF_DEVICE,
	EVENT_OF_ROLLOUT,
};

/* An event to be written. Borrowed. */
struct events_line {
	enum event_kind kind;
	const char *actor;   /* token name, device id, or "fleetd" for the engine's decisions */
	const char *subject; /* what tbl/events.h says */
	json_t *data;        /* object without real numbers; NULL: {}. A reference is TAKEN, also on
			      * failure, so that json_pack can stand in the call */
};

/* Append an event to the chain and wake who waits for events after COMMIT (e NULL: nobody waits yet,
 * at first start). FL_NOMEM also when line->data should have been made but could not. Write lane. */
enum fl_code events_write(struct store *store, struct effects *e, const struct events_line *line,
	struct fl_err *err) FL_MUST_CHECK;
/* Follow the whole chain; FL_CORRUPT names the first line that does not fit. *n counts the lines. */
enum fl_code events_verify(struct store *store, int64_t *n, struct fl_err *err) FL_MUST_CHECK;

/* Append the rows as mdoc list items for fleetd(8). */
void events_manual(struct fl_buf *b);
/* The row of the table. */
const char *events_kind_text(enum event_kind k);
/* What the subject of an event with this kind text is; EVENT_OF_SERVER for an unknown one. */
enum event_subject events_subject(const char *kind);

#endif
