/* SPDX-License-Identifier: Apache-2.0
 *
 * Who agrees with the plan of a rollout, and who does not. What is approved is a digest: it covers the
 * plan, its strategy and its members. */
#include "server/http/handlers.h"

#include "server/api/idempotent.h"
#include "server/api/list.h"
#include "server/api/rollout_json.h"
#include "server/events.h"
#include "server/rollout/strategy.h"
#include "server/rollouts.h"
#include "server/server.h"
#include "server/settings.h"
#include "server/store/approval.h"
#include "server/store/rollout.h"

#include "lib/words.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

struct body {
	const char *plan_digest, *why;
};

static const struct fl_json_field approve_fields[] = {
	FL_FIELD(struct body, plan_digest, "plan_digest", STRING, .required = true, .min = 64,
		.max = 64),
	FL_FIELD(struct body, why, "why", STRING, .min = 0, .max = 200),
};
static const struct fl_json_field deny_fields[] = {
	FL_FIELD(struct body, plan_digest, "plan_digest", STRING, .min = 64, .max = 64),
	FL_FIELD(struct body, why, "why", STRING, .required = true, .min = 1, .max = 200),
};

/* One act of an approver. */
struct act {
	struct request *rq;
	bool agrees;
	struct body body;
	struct rollout rollout;
	struct strategy strategy;
	int64_t agree; /* approvers who agreed before */
	int said;      /* what the caller has said before; -1: nothing */
	struct rollouts_verb done;
	bool looking; /* it goes on in another lane first */
};

static enum fl_code load(struct act *a, struct fl_err *err)
{
	struct request *rq = a->rq;
	FL_AUTO_JSON json_t *json = NULL;
	enum fl_code code = rollout_get(rq->store, rq->param[0], &a->rollout, err);

	if (code == FL_OK)
		code = fl_json_parse((struct fl_bytes){ (const uint8_t *)a->rollout.strategy,
					     strlen(a->rollout.strategy) },
			&json, err);
	if (code == FL_OK)
		code = strategy_read(json, 0, &a->strategy, err);
	if (code == FL_OK)
		code = approval_count(
			rq->store, a->rollout.engine.id, rq->who.name, &a->agree, &a->said, err);
	return code == FL_OK ? rollout_if_match(rq, &a->rollout, err) : code;
}

/* Whether the caller may speak about this plan, in this state. */
static enum fl_code check(const struct act *a, struct fl_err *err)
{
	const struct rollout *r = &a->rollout;
	const char *name = a->rq->who.name;
	char hex[65], words[FL_WORDS];

	if (r->engine.state != ROLLOUT_WAITING_APPROVAL)
		return fl_fail(err, FL_CONFLICT, "rollout \"%s\" is %s; nothing waits for approval",
			r->name, fl_words(rollout_state_text(r->engine.state), words));
	(void)sodium_bin2hex(hex, sizeof(hex), r->plan_digest, sizeof(r->plan_digest));
	if (a->body.plan_digest != NULL && strcmp(a->body.plan_digest, hex) != 0)
		return fl_fail(err, FL_PRECONDITION, "the plan's digest is %s; read it again", hex);
	if (!strategy_has_approver(&a->strategy, name))
		return fl_fail(err, FL_FORBIDDEN,
			"%s is not one of the approvers that this rollout names", name);
	if (a->agrees && !a->rq->server->settings->approve_own && strcmp(r->created_by, name) == 0)
		return fl_fail(err, FL_FORBIDDEN,
			"%s has created this rollout; somebody else must approve it", name);
	return FL_OK;
}

static enum fl_code write_down(struct act *a, struct fl_err *err)
{
	struct request *rq = a->rq;
	struct approval row = { .actor = rq->who.name, .agrees = a->agrees, .why = a->body.why };
	char hex[65];
	enum fl_code code;

	memcpy(row.digest, a->rollout.plan_digest, sizeof(row.digest));
	(void)sodium_bin2hex(hex, sizeof(hex), row.digest, sizeof(row.digest));
	code = approval_put(rq->store, a->rollout.engine.id, &row, err);
	if (code != FL_OK)
		return code;
	return events_write(rq->store, rq->effects,
		&(struct events_line){
			.kind = a->agrees ? EVENT_ROLLOUT_APPROVED : EVENT_ROLLOUT_DENIED,
			.actor = rq->who.name,
			.subject = a->rollout.name,
			.data = json_pack("{s:s,s:s}", "plan_digest", hex, "why", a->body.why) },
		err);
}

/* The last one who had to agree did. A fleet that is no longer what was approved does not start by
 * itself. */
static enum fl_code decide(struct act *a, struct fl_err *err)
{
	struct request *rq = a->rq;
	int64_t id = a->rollout.engine.id;
	struct fl_err drift = { 0 };
	bool start = a->rollout.auto_start && rollout_drift_check(rq, &a->rollout, &drift) == FL_OK;
	enum fl_code code =
		rollouts_approved(rq->server, rq->store, rq->effects, id, start, a->done.said, err);

	if (code == FL_OK && a->rollout.auto_start && !start)
		(void)snprintf(a->done.said, sizeof(a->done.said),
			"approved, but not started: %.200s", drift.msg);
	return code;
}

/* An approval that starts the rollout is worth a look at the fleet first. */
static bool must_look(const struct act *a)
{
	return a->rollout.auto_start && a->agree + 1 >= a->strategy.approvals &&
		!rollout_drift_known(a->rq);
}

static enum fl_code approve(struct act *a, struct fl_err *err)
{
	enum fl_code code;

	if (a->said == 1) {
		(void)snprintf(a->done.said, sizeof(a->done.said),
			"you have approved it already; nothing changed");
		return FL_OK;
	}
	code = check(a, err);
	if (code == FL_OK && must_look(a)) {
		a->looking = true;
		return rollout_drift_look(a->rq, a->rollout.engine.id, api_rollout_approve, err);
	}
	if (code == FL_OK)
		code = write_down(a, err);
	a->done.changed = true;
	if (code != FL_OK)
		return code;
	(void)snprintf(a->done.said, sizeof(a->done.said), "approved by %lld of %lld",
		(long long)a->agree + 1, (long long)a->strategy.approvals);
	return a->agree + 1 >= a->strategy.approvals ? decide(a, err) : FL_OK;
}

static enum fl_code deny(struct act *a, struct fl_err *err)
{
	struct request *rq = a->rq;
	enum fl_code code;

	if (a->said == 0) {
		(void)snprintf(a->done.said, sizeof(a->done.said),
			"you have denied it already; nothing changed");
		return FL_OK;
	}
	code = check(a, err);
	if (code == FL_OK)
		code = write_down(a, err);
	a->done.changed = true;
	return code != FL_OK ? code
			     : rollouts_denied(rq->server, rq->store, rq->effects,
				       a->rollout.engine.id, a->body.why, a->done.said, err);
}

static enum fl_code act(struct request *rq, bool agrees, struct fl_err *err)
{
	struct act a = { .rq = rq, .agrees = agrees, .body = { .why = "" } };
	bool replayed = false;
	enum fl_code code = list_unlimited(rq, "approve a rollout", err);

	if (code == FL_OK)
		code = request_read(rq, agrees ? approve_fields : deny_fields,
			FL_COUNT(approve_fields), &a.body, err);
	if (code == FL_OK)
		code = idempotent_replay(rq, &replayed, err);
	if (code != FL_OK || replayed)
		return code;
	code = load(&a, err);
	if (code == FL_OK)
		code = agrees ? approve(&a, err) : deny(&a, err);
	if (code == FL_OK && !a.looking)
		code = rollout_reply_act(rq, agrees ? "approve" : "deny", &a.done, err);
	strategy_fini(&a.strategy);
	rollout_fini(&a.rollout);
	return code;
}

enum fl_code api_rollout_approve(struct request *rq, struct fl_err *err)
{
	return act(rq, true, err);
}

enum fl_code api_rollout_deny(struct request *rq, struct fl_err *err)
{
	return act(rq, false, err);
}
