/* SPDX-License-Identifier: Apache-2.0
 *
 * Plans: what a rollout would do, and what one will do. */
#include "server/http/handlers.h"

#include "server/api/list.h"
#include "server/planning.h"
#include "server/store/plan.h"
#include "server/store/rollout.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* ---- the plan of a rollout */

/* The API's form with what the store knows beside it. `view` is taken over. */
static json_t *dress(json_t *view, const char *rollout, int64_t created_at)
{
	if (view == NULL || json_object_set_new(view, "rollout", list_text(rollout)) != 0 ||
		json_object_set_new(view, "created_at", list_time(created_at)) != 0) {
		json_decref(view);
		return NULL;
	}
	return view;
}

static enum fl_code reply_plan(struct request *rq, const struct rollout *r, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf content = { 0 };
	FL_AUTO_JSON json_t *json = NULL;
	struct plan_row row;
	struct plan plan = { 0 };
	enum fl_code code = plan_get(rq->store, r->engine.id, &row, &content, err);

	if (code == FL_NOT_FOUND)
		return fl_fail(err, FL_NOT_FOUND, "rollout \"%s\" has no plan%s", r->name,
			r->engine.state == ROLLOUT_PLANNING ? " yet; ask again in a moment" : "");
	if (code == FL_OK)
		code = fl_json_parse((struct fl_bytes){ content.p, content.n }, &json, err);
	if (code == FL_OK)
		code = plan_read(json, &plan, err);
	if (code == FL_OK) {
		char hex[65];

		(void)sodium_bin2hex(hex, sizeof(hex), row.digest, sizeof(row.digest));
		reply_header(rq, "ETag", "\"%s\"", hex);
		reply_json(rq, 200, dress(plan_view(&plan), r->name, row.created_at));
	}
	plan_fini(&plan);
	return code;
}

enum fl_code api_rollout_plan(struct request *rq, struct fl_err *err)
{
	struct rollout r = { 0 };
	enum fl_code code = rollout_get(rq->store, rq->param[0], &r, err);

	if (code == FL_OK)
		code = reply_plan(rq, &r, err);
	rollout_fini(&r);
	return code;
}

/* ---- a plan that is not kept */

struct preview_body {
	const char *release, *selector, *start;
	json_t *strategy;
};

static const struct fl_json_field preview_fields[] = {
	FL_FIELD(struct preview_body, release, "release", STRING, .required = true, .min = 1,
		.max = STORE_NAME_MAX),
	FL_FIELD(struct preview_body, selector, "selector", STRING, .min = 0, .max = RSQL_TEXT_MAX),
	FL_FIELD(struct preview_body, strategy, "strategy", OBJECT),
	/* So that the body of a rollout can be sent as it is. */
	FL_FIELD(struct preview_body, start, "start", STRING),
};

/* What waits between the lanes. */
struct preview {
	struct strategy strategy;
	struct planning_snapshot *snapshot;
};

static void preview_drop(void *state)
{
	struct preview *p = state;

	planning_free(p->snapshot);
	strategy_fini(&p->strategy);
	free(p);
}

static enum fl_code preview_make(struct request *rq, struct fl_err *err)
{
	struct preview *p = rq->state;
	struct plan plan = { 0 };
	enum fl_code code = plan_make(planning_input(p->snapshot), &plan, err);

	if (code == FL_OK)
		reply_json(rq, 200, dress(plan_view(&plan), NULL, rq->now_ms));
	plan_fini(&plan);
	return code;
}

enum fl_code api_plan_preview(struct request *rq, struct fl_err *err)
{
	struct preview_body b = { .selector = "" };
	struct preview *p;
	enum fl_code code = request_read(rq, preview_fields, FL_COUNT(preview_fields), &b, err);
	struct planning_request wanted;

	if (code != FL_OK)
		return code;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return fl_fail(err, FL_NOMEM, "no memory to plan");
	rq->state = p;
	rq->drop = preview_drop;
	/* Without a seed every preview would show other machines: this one is fixed. */
	code = strategy_read(b.strategy, 0, &p->strategy, err);
	if (code != FL_OK)
		return code;
	wanted = (struct planning_request){ .release = b.release,
		.selector = b.selector,
		.scope = rq->who.selector,
		.strategy = &p->strategy };
	code = planning_load(rq->store, &wanted, &p->snapshot, err);
	if (code == FL_NOT_FOUND)
		return fl_fail(
			err, FL_REFUSED, "there is no release \"%s\"; publish it first", b.release);
	if (code == FL_OK)
		request_then(rq, LANE_WORK, preview_make);
	return code;
}
