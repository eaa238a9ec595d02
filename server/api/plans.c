/* SPDX-License-Identifier: Apache-2.0
 *
 * Plans: what a rollout would do, and what one will do. */
#include "server/http/handlers.h"

#include "server/api/list.h"
#include "server/planning.h"
#include "server/rollouts.h"
#include "server/rollouts.h"
#include "server/server.h"
#include "server/rollout/plan_diff.h"
#include "server/rollout/plan_gates.h"
#include "server/store/assignment.h"
#include "server/store/channel.h"
#include "server/store/device.h"
#include "server/store/plan.h"
#include "server/store/rollout.h"

#include <stdlib.h>
#include <string.h>

/* ---- examples */

/* Replace the number of a device by its id; null where there is none, or the caller is not to see it. */
static enum fl_code name_example(struct request *rq, json_t *row, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf id = { 0 };
	struct fl_err none = { 0 };
	int64_t no = json_integer_value(json_object_get(row, "example"));
	enum fl_code code = no == 0 || rq->who.selector != NULL
		? FL_NOT_FOUND
		: device_id(rq->store, no, &id, &none);
	json_t *name;

	if (code != FL_OK && code != FL_NOT_FOUND)
		return fl_fail(err, code, "%s", none.msg);
	name = code == FL_OK ? json_stringn((const char *)id.p, id.n) : json_null();
	return json_object_set_new(row, "example", name) == 0
		? FL_OK
		: fl_fail(err, FL_NOMEM, "no memory for a plan");
}

/* Classes and refusals each name one of their devices. */
static enum fl_code name_examples(struct request *rq, json_t *view, struct fl_err *err)
{
	static const char *const lists[] = { "classes", "refusals" };
	json_t *row;
	size_t i;

	for (size_t k = 0; k < FL_COUNT(lists); k++) {
		json_array_foreach (json_object_get(view, lists[k]), i, row) {
			enum fl_code code = name_example(rq, row, err);

			if (code != FL_OK)
				return code;
		}
	}
	return FL_OK;
}

/* ---- the plan of a rollout */

/* The API's form with what the store knows beside it. `view` is taken over. */
static json_t *dress(json_t *view, const struct rollout *rollout, int64_t created_at)
{
	json_t *id = rollout == NULL ? json_null()
				     : json_sprintf("plan-%lld", (long long)rollout->engine.id);

	if (view == NULL || json_object_set_new(view, "id", id) != 0 ||
		json_object_set_new(
			view, "rollout", list_text(rollout == NULL ? NULL : rollout->name)) != 0 ||
		json_object_set_new(view, "created_at", list_time(created_at)) != 0) {
		json_decref(view);
		return NULL;
	}
	return view;
}

/* The API's form of a plan, with what its gates would do; *out is a new reference. */
static enum fl_code view_of(
	const struct plan *plan, const struct strategy *s, json_t **out, struct fl_err *err)
{
	FL_AUTO_JSON json_t *view = plan_view(plan);
	json_t *gates = NULL;
	enum fl_code code = plan_gates(plan, s, &gates, err);

	if (code != FL_OK)
		return code;
	if (view == NULL || json_object_set_new(view, "gates", gates) != 0)
		return fl_fail(err, FL_NOMEM, "no memory for a plan");
	*out = fl_steal(&view);
	return FL_OK;
}

/* The strategy of a rollout; end with strategy_fini, also after a failure. */
static enum fl_code strategy_of(const struct rollout *r, struct strategy *out, struct fl_err *err)
{
	FL_AUTO_JSON json_t *json = NULL;
	enum fl_code code = fl_json_parse(
		(struct fl_bytes){ (const uint8_t *)r->strategy, strlen(r->strategy) }, &json, err);

	return code == FL_OK ? strategy_read(json, 0, out, err) : code;
}

/* The plan of a rollout in the API's form; *out is a new reference. */
static enum fl_code load_view(
	struct store *store, const struct rollout *r, json_t **out, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf content = { 0 };
	FL_AUTO_JSON json_t *json = NULL;
	struct plan_row row;
	struct plan plan = { 0 };
	struct strategy strategy = { 0 };
	json_t *view = NULL;
	enum fl_code code = plan_get(store, r->engine.id, &row, &content, err);

	if (code == FL_NOT_FOUND)
		return fl_fail(err, FL_NOT_FOUND, "rollout \"%s\" has no plan%s", r->name,
			r->engine.state == ROLLOUT_PLANNING ? " yet; ask again in a moment" : "");
	if (code == FL_OK)
		code = fl_json_parse((struct fl_bytes){ content.p, content.n }, &json, err);
	if (code == FL_OK)
		code = plan_read(json, &plan, err);
	if (code == FL_OK)
		code = strategy_of(r, &strategy, err);
	if (code == FL_OK)
		code = view_of(&plan, &strategy, &view, err);
	if (code == FL_OK)
		*out = dress(view, r, row.created_at);
	if (code == FL_OK && *out == NULL)
		code = fl_fail(err, FL_NOMEM, "no memory for a plan");
	strategy_fini(&strategy);
	plan_fini(&plan);
	return code;
}

static enum fl_code reply_plan(struct request *rq, const struct rollout *r, struct fl_err *err)
{
	FL_AUTO_JSON json_t *view = NULL;
	enum fl_code code = load_view(rq->store, r, &view, err);

	if (code == FL_OK)
		code = name_examples(rq, view, err);
	if (code != FL_OK)
		return code;
	reply_header(rq, "ETag", "\"%s\"", json_string_value(json_object_get(view, "digest")));
	reply_json(rq, 200, fl_steal(&view));
	return FL_OK;
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

/* The rollout that `text` means: by name, by the plan's id or digest. */
static enum fl_code find_rollout(
	struct store *store, const char *text, struct rollout *out, struct fl_err *err)
{
	int64_t id;
	enum fl_code code = plan_find(store, text, &id, err);

	return code == FL_OK ? rollout_by_id(store, id, out, err) : code;
}

enum fl_code api_plan_get(struct request *rq, struct fl_err *err)
{
	struct rollout r = { 0 };
	enum fl_code code = find_rollout(rq->store, rq->param[0], &r, err);

	if (code == FL_OK)
		code = reply_plan(rq, &r, err);
	rollout_fini(&r);
	return code;
}

/* ---- two plans side by side */

struct side {
	struct rollout rollout;
	json_t *view, *strategy; /* owned */
	uint16_t *wave;          /* per device number: its wave + 1; 0: none. Owned */
	size_t n;
};

static void side_fini(struct side *s)
{
	rollout_fini(&s->rollout);
	json_decref(s->view);
	json_decref(s->strategy);
	free(s->wave);
}

static enum fl_code add_member(
	void *context, int64_t rollout_id, const struct assignment *a, struct fl_err *err)
{
	struct side *s = context;
	size_t no = (size_t)a->device_no;

	(void)rollout_id;
	if (no >= s->n) {
		size_t n = no * 2 + 1024;
		uint16_t *wider = realloc(s->wave, n * sizeof(*wider));

		if (wider == NULL)
			return fl_fail(err, FL_NOMEM, "no memory to compare the devices");
		memset(wider + s->n, 0, (n - s->n) * sizeof(*wider));
		s->wave = wider;
		s->n = n;
	}
	s->wave[no] = (uint16_t)(a->wave + 1);
	return FL_OK;
}

static enum fl_code load_side(
	struct store *store, const char *text, struct side *s, struct fl_err *err)
{
	enum fl_code code = find_rollout(store, text, &s->rollout, err);

	if (code == FL_OK)
		code = load_view(store, &s->rollout, &s->view, err);
	if (code == FL_OK)
		code = fl_json_parse((struct fl_bytes){ (const uint8_t *)s->rollout.strategy,
					     strlen(s->rollout.strategy) },
			&s->strategy, err);
	return code == FL_OK ? assignment_each(store, s->rollout.engine.id, add_member, s, err)
			     : code;
}

static json_t *compare_members(const struct side *a, const struct side *b)
{
	json_int_t only_a = 0, only_b = 0, same = 0, other = 0;

	for (size_t no = 0; no < a->n || no < b->n; no++) {
		uint16_t x = no < a->n ? a->wave[no] : 0, y = no < b->n ? b->wave[no] : 0;

		only_a += x != 0 && y == 0;
		only_b += x == 0 && y != 0;
		same += x != 0 && x == y;
		other += x != 0 && y != 0 && x != y;
	}
	return json_pack("{s:I,s:I,s:I,s:I}", "only_a", only_a, "only_b", only_b, "same_wave", same,
		"other_wave", other);
}

static json_t *side_json(const struct side *s)
{
	return json_pack("{s:O,s:O,s:O}", "id", json_object_get(s->view, "id"), "rollout",
		json_object_get(s->view, "rollout"), "digest", json_object_get(s->view, "digest"));
}

enum fl_code api_plan_diff(struct request *rq, struct fl_err *err)
{
	struct side a = { 0 }, b = { 0 };
	enum fl_code code = load_side(rq->store, rq->param[0], &a, err);

	if (code == FL_OK)
		code = load_side(rq->store, rq->param[1], &b, err);
	if (code == FL_OK)
		reply_json(rq, 200,
			json_pack("{s:o,s:o,s:b,s:o,s:o}", "a", side_json(&a), "b", side_json(&b),
				"same",
				json_equal(json_object_get(a.view, "digest"),
					json_object_get(b.view, "digest")),
				"changes", plan_diff(a.view, b.view, a.strategy, b.strategy),
				"members", compare_members(&a, &b)));
	side_fini(&a);
	side_fini(&b);
	return code;
}

/* ---- a plan that is not kept */

struct preview_body {
	const char *release, *selector, *start, *channel;
	json_t *strategy;
};

static const struct fl_json_field preview_fields[] = {
	FL_FIELD(struct preview_body, release, "release", STRING, .required = true, .min = 1,
		.max = STORE_NAME_MAX),
	FL_FIELD(struct preview_body, selector, "selector", STRING, .min = 0, .max = RSQL_TEXT_MAX),
	FL_FIELD(struct preview_body, strategy, "strategy", OBJECT),
	/* So that the body of a rollout can be sent as it is. */
	FL_FIELD(struct preview_body, start, "start", STRING),
	FL_FIELD(struct preview_body, channel, "channel", STRING, .min = 1, .max = STORE_NAME_MAX),
};

/* What waits between the lanes: read, plan, read again for the names of the examples. */
struct preview {
	struct strategy strategy;
	struct planning_snapshot *snapshot;
	json_t *view; /* owned */
};

static void preview_drop(void *state)
{
	struct preview *p = state;

	planning_free(p->snapshot);
	strategy_fini(&p->strategy);
	json_decref(p->view);
	free(p);
}

static enum fl_code preview_reply(struct request *rq, struct fl_err *err)
{
	struct preview *p = rq->state;
	enum fl_code code = name_examples(rq, p->view, err);

	if (code == FL_OK)
		reply_json(rq, 200, dress(fl_steal(&p->view), NULL, rq->now_ms));
	return code;
}

static enum fl_code preview_make(struct request *rq, struct fl_err *err)
{
	struct preview *p = rq->state;
	struct plan plan = { 0 };
	enum fl_code code = plan_make(planning_input(p->snapshot), &plan, err);

	if (code == FL_OK)
		code = view_of(&plan, &p->strategy, &p->view, err);
	if (code == FL_OK)
		request_then(rq, LANE_READ, preview_reply);
	plan_fini(&plan);
	return code;
}

/* The devices of a channel. */
static enum fl_code read_channel(struct request *rq, struct preview_body *b, struct fl_err *err)
{
	struct channel c = { 0 };
	enum fl_code code;

	if (b->channel == NULL)
		return FL_OK;
	code = channel_get(rq->store, b->channel, &c, err);
	if (code == FL_NOT_FOUND)
		return fl_fail(err, FL_REFUSED, "there is no channel \"%.128s\"", b->channel);
	if (code == FL_OK)
		b->selector = request_strdup(rq, c.selector);
	channel_fini(&c);
	if (code == FL_OK && b->selector == NULL)
		code = fl_fail(err, FL_NOMEM, "no memory to plan");
	return code;
}

enum fl_code api_plan_preview(struct request *rq, struct fl_err *err)
{
	struct preview_body b = { .selector = "" };
	struct preview *p;
	enum fl_code code = request_read(rq, preview_fields, FL_COUNT(preview_fields), &b, err);
	struct planning_request wanted;

	if (code == FL_OK)
		code = read_channel(rq, &b, err);
	if (code != FL_OK)
		return code;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return fl_fail(err, FL_NOMEM, "no memory to plan");
	rq->state = p;
	rq->drop = preview_drop;
	/* Without a seed every preview would show other machines: this one is fixed. */
	code = strategy_read(b.strategy, 0, &p->strategy, err);
	if (code == FL_OK)
		code = rollouts_windows_check(&p->strategy.windows, rq->now_ms, err);
	if (code != FL_OK)
		return code;
	wanted = (struct planning_request){ .release = b.release,
		.selector = b.selector,
		.scope = rq->who.selector,
		.strategy = &p->strategy,
		.fleet = rq->server->fleet,
		.poll_s = planning_poll_s(rq->server) };
	code = planning_load(rq->store, &wanted, &p->snapshot, err);
	if (code == FL_NOT_FOUND)
		return fl_fail(
			err, FL_REFUSED, "there is no release \"%s\"; create it first", b.release);
	if (code == FL_OK)
		request_then(rq, LANE_WORK, preview_make);
	return code;
}
