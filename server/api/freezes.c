/* SPDX-License-Identifier: Apache-2.0
 *
 * Freezes: nothing is delivered to the devices of a selector from now or a time on, until another, or until
 * the freeze is lifted; or again and again between the two. */
#include "server/http/handlers.h"

#include "server/api/list.h"
#include "server/devices.h"
#include "server/events.h"
#include "server/freezes.h"
#include "server/rollout/opening.h"
#include "server/rollouts.h"
#include "server/rsql.h"
#include "server/store/freeze.h"
#include "server/store/rollout.h"
#include "server/store/stage.h"

#include "lib/civil.h"

#include <string.h>

#define WHY_MAX    500
#define ACTIVE_MAX 1024

/* ---- as JSON */

static bool planned(const struct freeze *f, int64_t now_ms)
{
	return f->span.from_ms > now_ms;
}

static bool holds(const struct freeze *f, int64_t now_ms)
{
	return f->span.from_ms != 0 && f->span.from_ms <= now_ms;
}

static json_t *every_json(const struct freeze *f)
{
	return f->every[0] == '\0' ? json_null() : json_loads(f->every, 0, NULL);
}

static json_t *span_json(const struct freeze_span *span)
{
	if (span->from_ms == 0)
		return json_null();
	return json_pack(
		"{s:o, s:o}", "from", list_time(span->from_ms), "until", list_time(span->until_ms));
}

static json_t *freeze_json(const struct freeze *f, int64_t now_ms)
{
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:s?, s:o, s:b, s:b, s:o, s:o, s:s}",
		"name", f->name, "selector", f->selector, "why", f->why, "from",
		list_time(f->from_ms), "until", list_time(f->until_ms), "every", every_json(f),
		"zone", f->every[0] == '\0' ? NULL : f->zone, "span", span_json(&f->span),
		"planned", (int)planned(f, now_ms), "holds", (int)holds(f, now_ms), "lifted_at",
		list_time(f->lifted_ms), "created_at", list_time(f->created_at), "created_by",
		f->created_by);
}

/* Devices that hold an order now, of all rollouts: at most so many may still switch. */
static enum fl_code count_switching(struct store *store, int64_t *out, struct fl_err *err)
{
	int64_t ids[ACTIVE_MAX];
	size_t n = 0;
	enum fl_code code = rollout_active(store, ids, ACTIVE_MAX, &n, err);

	*out = 0;
	for (size_t i = 0; i < n && code == FL_OK; i++) {
		struct stage_list list = { 0 };

		code = stage_list(store, ids[i], &list, err);
		*out += engine_in_flight(list.stages, list.n);
		stage_list_fini(&list);
	}
	return code;
}

static enum fl_code reply_freeze(struct request *rq, bool changed, struct fl_err *err)
{
	struct freeze f = { 0 };
	int64_t may_switch = 0;
	enum fl_code code = freeze_get(rq->store, rq->param[0], &f, err);

	if (code == FL_OK)
		code = count_switching(rq->store, &may_switch, err);
	if (code == FL_OK)
		reply_json(rq, 200,
			json_pack("{s:o, s:b, s:I}", "freeze", freeze_json(&f, rq->store->now_ms),
				"changed", (int)changed, "may_still_switch",
				(json_int_t)may_switch));
	freeze_fini(&f);
	return code;
}

/* ---- reading */

struct page {
	struct list list;
	int64_t now_ms;
};

static enum fl_code add_freeze(void *context, const struct freeze *f, struct fl_err *err)
{
	struct page *p = context;

	return list_add_no(&p->list, freeze_json(f, p->now_ms), f->id, err);
}

enum fl_code api_freezes_list(struct request *rq, struct fl_err *err)
{
	struct page p = { .now_ms = rq->store->now_ms };
	int64_t after = 0;
	enum fl_code code = list_init(rq, &p.list, err);

	if (code == FL_OK)
		code = list_after(&p.list, &after, err);
	if (code == FL_OK)
		code = freeze_each(rq->store, after, p.list.limit + 1, add_freeze, &p, err);
	if (code == FL_OK)
		list_reply(rq, &p.list);
	list_fini(&p.list);
	return code;
}

/* ---- making and lifting */

struct body {
	const char *selector, *why, *from, *until, *zone;
	json_t *every;
};

static const struct fl_json_field fields[] = {
	FL_FIELD(struct body, selector, "selector", STRING, .min = 0, .max = RSQL_TEXT_MAX),
	FL_FIELD(struct body, why, "why", STRING, .min = 0, .max = WHY_MAX),
	FL_FIELD(struct body, from, "from", STRING),
	FL_FIELD(struct body, until, "until", STRING),
	FL_FIELD(struct body, every, "every", ARRAY, .min = 1, .max = OPENING_RULES_MAX),
	FL_FIELD(struct body, zone, "zone", STRING, .min = 1, .max = FL_ZONE_NAME_MAX - 1),
};

static enum fl_code note(
	struct request *rq, enum event_kind kind, const struct freeze *f, struct fl_err *err)
{
	return events_write(rq->store, rq->effects,
		&(struct events_line){ .kind = kind,
			.actor = rq->who.name,
			.subject = rq->param[0],
			.data = json_pack("{s:s, s:s, s:o, s:o, s:o, s:s?}", "selector",
				f->selector, "why", f->why, "from", list_time(f->from_ms), "until",
				list_time(f->until_ms), "every", every_json(f), "zone",
				f->every[0] == '\0' ? NULL : f->zone) },
		err);
}

static enum fl_code read_times(
	const struct body *b, int64_t now_ms, struct freeze *f, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	if (b->from != NULL)
		code = fl_moment_read(b->from, &f->from_ms, err);
	if (code == FL_OK && b->until != NULL)
		code = fl_moment_read(b->until, &f->until_ms, err);
	if (code != FL_OK || b->until == NULL)
		return code;
	if (f->until_ms <= now_ms)
		return fl_fail(err, FL_INVALID, "\"until\" lies in the past");
	if (f->until_ms <= f->from_ms)
		return fl_fail(err, FL_INVALID, "\"until\" does not lie behind \"from\"");
	return FL_OK;
}

/* Its rules in the one form in which they are stored and compared. */
static enum fl_code read_every(const struct body *b, struct freeze *f, struct fl_err *err)
{
	struct opening_rules rules = { 0 };
	FL_AUTO_JSON json_t *every = NULL;
	char *text;
	enum fl_code code;

	if (b->every == NULL)
		return b->zone == NULL ? FL_OK
				       : fl_fail(err, FL_INVALID, "a zone belongs to \"every\"");
	code = opening_rules_read(b->every, &rules, err);
	if (code != FL_OK)
		return fl_wrap(err, "every");
	every = opening_rules_json(&rules);
	opening_rules_fini(&rules);
	text = every == NULL ? NULL : json_dumps(every, JSON_COMPACT);
	if (text == NULL)
		return fl_fail(err, FL_NOMEM, "there is no memory for a freeze");
	f->every = f->owned = text;
	f->zone = b->zone == NULL ? "UTC" : b->zone;
	return FL_OK;
}

/* *f is to be finished, also on failure. */
static enum fl_code read_wanted(struct request *rq, struct freeze *f, struct fl_err *err)
{
	struct body b = { .selector = "", .why = "" };
	enum fl_code code = request_read(rq, fields, FL_COUNT(fields), &b, err);

	if (code == FL_OK)
		code = devices_check_name("freeze", rq->param[0], err);
	if (code == FL_OK && b.selector[0] != '\0')
		code = rsql_check(b.selector, ~0u, err);
	*f = (struct freeze){ .name = rq->param[0],
		.selector = b.selector,
		.why = b.why,
		.every = "",
		.zone = "",
		.created_by = rq->who.name };
	if (code == FL_OK)
		code = read_every(&b, f, err);
	if (code == FL_OK)
		code = read_times(&b, rq->store->now_ms, f, err);
	return code;
}

/* Without a "from", one that holds, or has begun to recur, goes on, and another one begins now. A clock that
 * ran does not stand still in retrospect: a start in the past must be the one that it has. */
static enum fl_code settle_start(
	const struct freeze *there, int64_t now_ms, struct freeze *wanted, struct fl_err *err)
{
	bool on = there->name != NULL && freezes_alike(there, wanted) && there->from_ms <= now_ms &&
		there->span.from_ms != 0;

	if (wanted->from_ms == 0)
		wanted->from_ms = on ? there->from_ms : now_ms;
	else if (wanted->from_ms <= now_ms && !(on && there->from_ms == wanted->from_ms))
		return fl_fail(err, FL_INVALID, "\"from\" lies in the past");
	return FL_OK;
}

static bool same(const struct freeze *a, const struct freeze *b)
{
	return a->from_ms == b->from_ms && a->until_ms == b->until_ms && freezes_alike(a, b) &&
		strcmp(a->why, b->why) == 0;
}

/* What is there under the name: zeroed if nothing is. */
static enum fl_code find(struct request *rq, struct freeze *there, struct fl_err *err)
{
	struct fl_err none = { 0 };
	enum fl_code code = freeze_get(rq->store, rq->param[0], there, &none);

	return code == FL_OK || code == FL_NOT_FOUND ? FL_OK : fl_fail(err, code, "%s", none.msg);
}

enum fl_code api_freeze_put(struct request *rq, struct fl_err *err)
{
	struct freeze wanted = { 0 }, there = { 0 };
	int64_t now_ms = rq->store->now_ms;
	bool changed = false;
	enum fl_code code = list_unlimited(rq, "freeze devices", err);

	if (code == FL_OK)
		code = read_wanted(rq, &wanted, err);
	if (code == FL_OK)
		code = find(rq, &there, err);
	if (code == FL_OK)
		code = settle_start(&there, now_ms, &wanted, err);
	if (code == FL_OK)
		changed = there.name == NULL || there.lifted_ms != 0 || !same(&there, &wanted);
	if (code == FL_OK && changed)
		code = freezes_put(rq->store, &wanted, &there, err);
	if (code == FL_OK && changed)
		code = note(rq, EVENT_FREEZE_CREATED, &wanted, err);
	if (code == FL_OK && changed)
		code = rollouts_freeze(rq->server, rq->store, rq->effects, err);
	if (code == FL_OK)
		code = reply_freeze(rq, changed, err);
	freeze_fini(&wanted);
	freeze_fini(&there);
	return code;
}

enum fl_code api_freeze_lift(struct request *rq, struct fl_err *err)
{
	struct freeze f = { 0 };
	bool changed = false;
	enum fl_code code = list_unlimited(rq, "lift a freeze", err);

	if (code == FL_OK)
		code = freeze_get(rq->store, rq->param[0], &f, err);
	changed = code == FL_OK && f.lifted_ms == 0;
	if (changed)
		code = freeze_lift(rq->store, f.id, err);
	if (code == FL_OK && changed)
		code = note(rq, EVENT_FREEZE_LIFTED, &f, err);
	if (code == FL_OK)
		code = reply_freeze(rq, changed, err);
	freeze_fini(&f);
	return code;
}
