/* SPDX-License-Identifier: Apache-2.0
 *
 * Devices one by one and in pages. Registration in bulk is devices_bulk.c.
 *
 * What lies outside the selector of the caller's token does not exist for it: not found, not listed,
 * not changed. */
#include "server/http/handlers.h"

#include "server/api/device_json.h"
#include "server/api/list.h"
#include "server/devices.h"
#include "server/events.h"
#include "server/fleet.h"
#include "server/rollouts.h"
#include "server/store/report.h"

#include "lib/clock.h"

#include <string.h>
#include <time.h>

/* A read transaction shall not live longer than 100 ms: a page is ended early when its selector finds
 * little, and its cursor says where to go on. */
#define PAGE_MS    50
#define SLICE      8192 /* numbers looked through at once, at first */
#define SLICE_FAST 10   /* ms below which the next slice may be twice as large */

/* ---- listing */

struct page {
	struct list list;
	struct device_json json;
};

static enum fl_code add_device(void *context, const struct device *d, struct fl_err *err)
{
	struct page *p = context;
	json_t *json = NULL;
	enum fl_code code = device_json_of(&p->json, d, &json, err);

	return code != FL_OK ? code : list_add_no(&p->list, json, d->no, err);
}

/* Fill the page slice by slice of numbers until it is full, the devices end or the time is up. */
static enum fl_code fill(struct page *p, struct device_filter *f, struct fl_err *err)
{
	int64_t last = 0, slice = SLICE, began = fl_clock_ms(CLOCK_MONOTONIC), before = began;
	enum fl_code code = device_last_no(p->json.rq->store, &last, err);

	while (code == FL_OK && !p->list.more && f->after < last) {
		f->until = last - f->after > slice ? f->after + slice : last;
		f->limit = p->list.limit + 1 - (int64_t)json_array_size(p->list.items);
		code = device_select(p->json.rq->store, f, add_device, p, err);
		f->after = f->until;
		int64_t now = fl_clock_ms(CLOCK_MONOTONIC);
		if (now - before < SLICE_FAST)
			slice *= 2;
		before = now;
		if (now - began > PAGE_MS)
			break;
	}
	if (code == FL_OK && !p->list.more && f->after < last) {
		(void)snprintf(p->list.last, sizeof(p->list.last), "%lld", (long long)f->after);
		p->list.more = true;
	}
	return code;
}

static enum fl_code read_filter(struct request *rq, struct rsql **where, struct rsql **scope,
	struct device_filter *f, struct fl_err *err)
{
	const char *q = request_query(rq, "q");
	const char *retired = request_query(rq, "retired");
	enum fl_code code = q == NULL ? FL_OK : rsql_parse(q, where, err);

	if (code == FL_OK)
		code = list_scope(rq, scope, err);
	if (code != FL_OK)
		return code;
	if (retired != NULL && strcmp(retired, "true") != 0 && strcmp(retired, "false") != 0)
		return fl_fail(err, FL_INVALID, "the parameter retired is true or false");
	f->where = *where;
	f->scope = *scope;
	f->retired = retired != NULL && strcmp(retired, "true") == 0;
	return FL_OK;
}

enum fl_code api_devices_list(struct request *rq, struct fl_err *err)
{
	RSQL_AUTO struct rsql *where = NULL, *scope = NULL;
	struct page p = { .json = { .rq = rq } };
	struct device_filter f = { 0 };
	enum fl_code code = list_init(rq, &p.list, err);

	if (code == FL_OK)
		code = list_after(&p.list, &f.after, err);
	if (code == FL_OK)
		code = read_filter(rq, &where, &scope, &f, err);
	if (code == FL_OK)
		code = fill(&p, &f, err);
	if (code == FL_OK)
		list_reply(rq, &p.list);
	list_fini(&p.list);
	device_json_fini(&p.json);
	return code;
}

/* ---- one device */

/* The device of the path, if the caller may see it; device_fini it. */
static enum fl_code find(struct request *rq, struct device *out, struct fl_err *err)
{
	RSQL_AUTO struct rsql *scope = NULL;
	bool inside = false;
	struct device d = { 0 };
	enum fl_code code = list_scope(rq, &scope, err);

	if (code == FL_OK)
		code = device_get(rq->store, rq->param[0], &d, err);
	if (code == FL_OK)
		code = device_in_scope(rq->store, d.no, scope, &inside, err);
	if (code == FL_OK && !inside)
		code = fl_fail(err, FL_NOT_FOUND, "there is no device \"%s\"", rq->param[0]);
	if (code != FL_OK) {
		device_fini(&d);
		return code;
	}
	*out = d;
	return FL_OK;
}

static enum fl_code reply_device(struct request *rq, const struct device *d, struct fl_err *err)
{
	struct device_json j = { .rq = rq };
	json_t *json = NULL;
	char etag[17];
	enum fl_code code = device_json_full(&j, d, &json, err);

	if (code == FL_OK) {
		device_json_etag(d, etag);
		reply_header(rq, "ETag", "\"%s\"", etag);
		reply_json(rq, 200, json);
	}
	device_json_fini(&j);
	return code;
}

enum fl_code api_device_get(struct request *rq, struct fl_err *err)
{
	struct device d = { 0 };
	enum fl_code code = find(rq, &d, err);

	if (code == FL_OK)
		code = reply_device(rq, &d, err);
	device_fini(&d);
	return code;
}

/* ---- changing */

struct patch {
	json_t *labels;
	const char *gateway;
};

static const struct fl_json_field patch_fields[] = {
	FL_FIELD(struct patch, labels, "labels", OBJECT),
	FL_FIELD(struct patch, gateway, "gateway", STRING, .min = 1, .max = STORE_ID_MAX),
};

static enum fl_code note_change(
	struct request *rq, const struct device *d, const struct patch *p, struct fl_err *err)
{
	json_t *keys = json_array();
	const char *key;
	json_t *value;

	json_object_foreach (p->labels, key, value) {
		(void)value;
		if (json_array_append_new(keys, json_string(key)) != 0)
			break; /* events_write refuses what json_pack cannot make */
	}
	return events_write(rq->store, rq->effects,
		&(struct events_line){ .kind = EVENT_DEVICE_CHANGED,
			.actor = rq->who.name,
			.subject = d->id,
			.data = json_pack("{s:o, s:b}", "labels", keys, "gateway",
				json_object_get(rq->json, "gateway") != NULL) },
		err);
}

/* After the change the device must still be the caller's to see. */
static enum fl_code check_reach(struct request *rq, int64_t no, struct fl_err *err)
{
	RSQL_AUTO struct rsql *scope = NULL;
	bool inside = false;
	enum fl_code code = list_scope(rq, &scope, err);

	if (code == FL_OK)
		code = device_in_scope(rq->store, no, scope, &inside, err);
	if (code == FL_OK && !inside)
		code = fl_fail(err, FL_FORBIDDEN,
			"the change would take the device out of reach of your token");
	return code;
}

static enum fl_code apply(
	struct request *rq, const struct device *d, const struct patch *p, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf labels = { 0 };
	struct device_put in = { .id = d->id, .gateway = p->gateway };
	enum device_outcome outcome = DEVICE_UNCHANGED;
	int64_t no = 0;
	enum fl_code code = FL_OK;

	if (json_is_null(json_object_get(rq->json, "gateway")))
		in.gateway = "";
	if (p->labels != NULL) {
		code = devices_merge("label", d->labels, p->labels, &labels, err);
		in.labels = (const char *)labels.p;
	}
	if (code == FL_OK)
		code = device_put(rq->store, &in, &no, &outcome, err);
	if (code == FL_OK)
		code = check_reach(rq, d->no, err);
	if (code == FL_OK && outcome != DEVICE_UNCHANGED)
		code = note_change(rq, d, p, err);
	if (code == FL_OK && outcome != DEVICE_UNCHANGED)
		fleet_attention(rq->effects, d->no, true); /* it may be in another time zone now */
	return code;
}

enum fl_code api_device_patch(struct request *rq, struct fl_err *err)
{
	struct patch p = { 0 };
	struct device d = { 0 }, after = { 0 };
	char etag[17];
	enum fl_code code = request_read(rq, patch_fields, FL_COUNT(patch_fields), &p, err);

	if (code == FL_OK)
		code = find(rq, &d, err);
	if (code != FL_OK)
		goto out;
	device_json_etag(&d, etag);
	code = list_if_match(rq, etag, err);
	if (code == FL_OK)
		code = apply(rq, &d, &p, err);
	if (code == FL_OK)
		code = device_by_no(rq->store, d.no, &after, err);
	if (code == FL_OK)
		code = reply_device(rq, &after, err);
out:
	device_fini(&d);
	device_fini(&after);
	return code;
}

/* ---- retiring */

static enum fl_code refuse_one_behind(
	void *context, const struct device *behind, struct fl_err *err)
{
	const struct device *gateway = context;

	if (behind->retired_at != 0)
		return FL_OK;
	return fl_fail(err, FL_CONFLICT,
		"\"%s\" and perhaps others are behind gateway \"%s\"; move or retire them first",
		behind->id, gateway->id);
}

static enum fl_code retire(struct request *rq, struct device *d, struct fl_err *err)
{
	int64_t epoch = 0;
	enum fl_code code = FL_OK;

	if (d->retired_at != 0)
		return FL_OK;
	if (d->gateway)
		code = device_each_behind(rq->store, d->no, refuse_one_behind, d, err);
	if (code == FL_OK)
		code = device_retire(rq->store, d->no, &epoch, err);
	if (code == FL_OK)
		code = rollouts_device_retired(rq->server, rq->store, rq->effects, d->no, err);
	if (code != FL_OK)
		return code;
	fleet_put(rq->effects, d->no, epoch, true);
	return events_write(rq->store, rq->effects,
		&(struct events_line){
			.kind = EVENT_DEVICE_RETIRED, .actor = rq->who.name, .subject = d->id },
		err);
}

enum fl_code api_device_retire(struct request *rq, struct fl_err *err)
{
	struct device d = { 0 };
	enum fl_code code = find(rq, &d, err);

	if (code == FL_OK)
		code = retire(rq, &d, err);
	if (code == FL_OK)
		reply_empty(rq, 204);
	device_fini(&d);
	return code;
}

/* ---- reports */

static enum fl_code add_report(void *context, const struct report *r, struct fl_err *err)
{
	return list_add_no(context,
		json_pack("{s:o, s:s, s:s, s:s, s:o}", "at", list_time(r->at), "state", r->state,
			"cause", r->cause, "detail", r->detail, "step",
			r->stage_id == 0 ? json_null()
					 : json_sprintf("%lld", (long long)r->stage_id)),
		r->id, err);
}

enum fl_code api_device_reports(struct request *rq, struct fl_err *err)
{
	struct list l = { 0 };
	struct device d = { 0 };
	int64_t before = 0;
	enum fl_code code = find(rq, &d, err);

	if (code == FL_OK)
		code = list_init(rq, &l, err);
	if (code == FL_OK)
		code = list_after(&l, &before, err);
	if (code == FL_OK)
		code = report_each(rq->store, d.no, before, l.limit + 1, add_report, &l, err);
	if (code == FL_OK)
		list_reply(rq, &l);
	list_fini(&l);
	device_fini(&d);
	return code;
}

/* ---- explanations */

enum fl_code api_device_explain(struct request *rq, struct fl_err *err)
{
	struct device d = { 0 };
	json_t *json = NULL;
	enum fl_code code = find(rq, &d, err);

	if (code == FL_OK)
		code = rollouts_explain_device(
			rq->server, rq->store, &d, request_query(rq, "rollout"), &json, err);
	if (code == FL_OK)
		reply_json(rq, 200, json);
	device_fini(&d);
	return code;
}
