/* SPDX-License-Identifier: Apache-2.0
 *
 * The audit trail: an operator's act, an engine's decision, a change of trust, one line each.
 *
 * DESIGN. An event is written in the same transaction as the change that it tells. Lines are chained
 * in commit order (lib/audit.h). Heads are signed when somebody asks for one (and kept, kept_head.h); pruning leaves a signed
 * checkpoint from which the rest of the chain goes on. Seen by others (SSE, webhooks, waits) after
 * COMMIT. Secrets and what a device reports about persons never go in. */
#ifndef EVENTS_H
#define EVENTS_H

#include "lib/audit.h"
#include "lib/json.h"
#include "server/effects.h"
#include "server/store/event.h"
#include "server/store/store.h"

struct rsql;

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
	EVENT_OF_WEBHOOK,
	EVENT_OF_FREEZE,
	EVENT_OF_CHANNEL,
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
/* Follow the whole chain, from the newest checkpoint; FL_CORRUPT names the first line that does not fit. *n gets the number of the last line. */
enum fl_code events_verify(struct store *store, int64_t *n, struct fl_err *err) FL_MUST_CHECK;

/* A mark of this server, without seq and hash. */
void events_mark(
	const struct server *s, int64_t now_ms, enum fl_audit_kind kind, struct fl_audit_mark *out);
/* The newest head, signed by the audit key, as a new reference to its envelope. Read or write lane. */
enum fl_code events_head(const struct server *s, struct store *store, json_t **out,
	struct fl_err *err) FL_MUST_CHECK;

/* Most lines that one call prunes: a few milliseconds of the writer. */
#define EVENTS_PRUNE_MAX 5000
struct events_prune {
	int64_t before_ms; /* lines older than this go */
	int64_t until;     /* but none with a number above this */
	const char *actor;
	int64_t lines; /* out: how many went */
	bool more;     /* out: there may be more to prune */
};
/* Delete the oldest lines, leave a signed checkpoint and write an event. The newest line always stays.
 * Write lane (one signature is made there: pruning is rare). */
enum fl_code events_prune(const struct server *s, struct store *store, struct effects *e,
	struct events_prune *prune, struct fl_err *err) FL_MUST_CHECK;

/* Append the event as the API shows it. */
void events_json(struct fl_buf *out, const struct event *e);
/* Whether somebody with this scope (NULL: everything) may see an event: one about a device only if the
 * device lies in it. */
enum fl_code events_visible(struct store *store, const struct rsql *scope, const struct event *e,
	bool *out, struct fl_err *err) FL_MUST_CHECK;

/* Append the rows as mdoc list items for fleetd(8). */
void events_manual(struct fl_buf *b);
/* The row of the table. */
const char *events_kind_text(enum event_kind k);
/* What the subject of an event with this kind text is; EVENT_OF_SERVER for an unknown one. */
enum event_subject events_subject(const char *kind);

#endif
