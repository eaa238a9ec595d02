/* SPDX-License-Identifier: Apache-2.0
 *
 * The audit trail as evidence: signed heads and checkpoints, pruning. Its lines are events.c. */
#include "server/http/handlers.h"

#include "server/api/list.h"
#include "server/events.h"
#include "server/kept_head.h"
#include "server/server.h"
#include "server/store/webhook.h"
#include "server/trust.h"

#include <string.h>

/* The newest checkpoint's envelope; null when the trail is whole. A new reference. */
static enum fl_code checkpoint_json(struct store *store, json_t **out, struct fl_err *err)
{
	struct fl_err none = { 0 };
	struct event_checkpoint c = { 0 };
	enum fl_code code = event_checkpoint(store, &c, &none);

	if (code == FL_NOT_FOUND) {
		*out = json_null();
		return FL_OK;
	}
	if (code != FL_OK)
		return fl_fail(err, code, "%s", none.msg);
	code = fl_json_parse(fl_bytes(c.envelope, strlen(c.envelope)), out, err);
	event_checkpoint_fini(&c);
	return code;
}

enum fl_code api_audit_head(struct request *rq, struct fl_err *err)
{
	const struct server *s = rq->server;
	FL_AUTO_JSON json_t *head = NULL, *checkpoint = NULL, *kept = NULL;
	enum fl_code code = list_unlimited(rq, "verify the audit trail", err);

	if (code == FL_OK)
		code = kept_head_json(rq->server, &kept, err);
	if (code == FL_OK)
		code = events_head(s, rq->store, &head, err);
	if (code == FL_OK)
		code = checkpoint_json(rq->store, &checkpoint, err);
	if (code == FL_OK)
		reply_json(rq, 200,
			json_pack("{s:O, s:O, s:O, s:o}", "head", head, "checkpoint", checkpoint,
				"kept", kept, "key",
				fl_public_json(&trust_key(s->trust, TRUST_AUDIT)->public)));
	return code;
}

/* ---- pruning */

struct prune_body {
	const char *before;
};

static const struct fl_json_field prune_fields[] = {
	FL_FIELD(struct prune_body, before, "before", STRING, .required = true),
};

enum fl_code api_audit_prune(struct request *rq, struct fl_err *err)
{
	struct prune_body b = { 0 };
	struct events_prune prune = { .until = INT64_MAX, .actor = rq->who.name };
	FL_AUTO_JSON json_t *checkpoint = NULL;
	enum fl_code code = list_unlimited(rq, "prune the audit trail", err);

	if (code == FL_OK)
		code = request_read(rq, prune_fields, FL_COUNT(prune_fields), &b, err);
	if (code == FL_OK)
		code = fl_utc_read(b.before, &prune.before_ms, err);
	if (code == FL_OK && prune.before_ms > rq->now_ms)
		code = fl_fail(err, FL_INVALID, "\"before\" lies in the future");
	if (code == FL_OK) /* what a webhook has not had yet stays */
		code = webhook_least_cursor(rq->store, &prune.until, err);
	if (code == FL_OK)
		code = events_prune(rq->server, rq->store, rq->effects, &prune, err);
	if (code == FL_OK)
		code = checkpoint_json(rq->store, &checkpoint, err);
	if (code == FL_OK)
		reply_json(rq, 200,
			json_pack("{s:I, s:b, s:O}", "pruned", (json_int_t)prune.lines, "more",
				prune.more, "checkpoint", checkpoint));
	return code;
}
