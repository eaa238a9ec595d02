/* SPDX-License-Identifier: Apache-2.0
 *
 * Versions of modules: publish, look, block. */
#include "server/http/handlers.h"

#include "lib/clock.h"
#include "lib/digest.h"
#include "lib/semver.h"
#include "server/api/list.h"
#include "server/api/publication.h"
#include "server/events.h"
#include "server/rollouts.h"
#include "server/store/artifact.h"
#include "server/store/device.h"
#include "server/store/module.h"
#include "server/store/version.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WHY_MAX       1024
#define RUNNERS_MAX   100   /* that are named */
#define RUNNERS_SLICE 16384 /* numbers looked through at once */
#define RUNNERS_MS    50    /* a read transaction shall be short */

/* ---- as JSON */

static enum fl_code add_variant(void *context, const struct variant *v, struct fl_err *err)
{
	json_t *artifact = v->sha256 == NULL
		? json_null()
		: json_pack("{s:o, s:I}", "sha256", list_hex(v->sha256, ARTIFACT_SHA256_BYTES),
			  "size", (json_int_t)v->size);

	if (json_array_append_new(context,
		    json_pack("{s:s?, s:o}", "selector", v->selector, "artifact", artifact)) != 0)
		return fl_fail(err, FL_NOMEM, "no memory for a version");
	return FL_OK;
}

static json_t *blocked_json(const struct version *v)
{
	if (v->blocked_at == 0)
		return json_null();
	return json_pack("{s:o, s:s}", "at", list_time(v->blocked_at), "why",
		v->blocked_why == NULL ? "" : v->blocked_why);
}

/* The publication, its variants with sizes, and what the server adds. */
static enum fl_code version_json(
	struct store *store, const struct version *v, json_t **out, struct fl_err *err)
{
	FL_AUTO_JSON json_t *json = NULL, *more = NULL;
	FL_AUTO_JSON json_t *variants = json_array();
	enum fl_code code = publication_load(store, v, &json, err);

	if (code == FL_OK)
		code = version_each_variant(store, v->id, add_variant, variants, err);
	if (code != FL_OK)
		return code;
	more = json_pack("{s:O, s:o, s:o, s:o, s:s}", "variants", variants, "digest",
		list_hex(v->digest, sizeof(v->digest)), "blocked", blocked_json(v), "created_at",
		list_time(v->created_at), "created_by", v->created_by);
	if (more == NULL || json_object_update(json, more) != 0)
		return fl_fail(err, FL_NOMEM, "no memory for a version");
	*out = fl_steal(&json);
	return FL_OK;
}

static enum fl_code reply_version(struct request *rq, unsigned status, struct fl_err *err)
{
	struct version v = { 0 };
	json_t *json = NULL;
	enum fl_code code = version_get(rq->store, rq->param[0], rq->param[1], &v, err);

	if (code == FL_OK)
		code = version_json(rq->store, &v, &json, err);
	if (code == FL_OK)
		reply_json(rq, status, json);
	version_fini(&v);
	return code;
}

/* ---- reading */

struct page {
	struct list list;
	struct store *store;
	int64_t after;
};

static enum fl_code add_version(void *context, const struct version *v, struct fl_err *err)
{
	struct page *p = context;
	json_t *json = NULL;

	if (v->id <= p->after || p->list.more)
		return FL_OK;
	enum fl_code code = version_json(p->store, v, &json, err);
	return code != FL_OK ? code : list_add_no(&p->list, json, v->id, err);
}

enum fl_code api_versions_list(struct request *rq, struct fl_err *err)
{
	struct page p = { .store = rq->store };
	struct module m = { 0 };
	enum fl_code code = list_init(rq, &p.list, err);

	if (code == FL_OK)
		code = list_after(&p.list, &p.after, err);
	if (code == FL_OK)
		code = module_get(rq->store, rq->param[0], &m, err);
	if (code == FL_OK)
		code = version_each(rq->store, m.id, add_version, &p, err);
	if (code == FL_OK)
		list_reply(rq, &p.list);
	module_fini(&m);
	list_fini(&p.list);
	return code;
}

enum fl_code api_version_get(struct request *rq, struct fl_err *err)
{
	return reply_version(rq, 200, err);
}

/* ---- publishing */

/* What is being published, and what of the store it needs. */
struct publish {
	struct request *rq;
	json_t *publication; /* owned */
	uint8_t digest[VERSION_DIGEST_BYTES];
	struct module module;
	int64_t version_id;
	struct fl_semver semver; /* borrows from rq->param[1] */
	bool backport;
};

/* Refuse what is lower than, or cannot be told from, a version that exists. */
static enum fl_code check_order(void *context, const struct version *v, struct fl_err *err)
{
	const struct publish *p = context;
	struct fl_semver other;
	enum fl_code code = fl_semver_parse(v->version, &other, err);

	if (code != FL_OK)
		return fl_wrap(err, "stored version %s", v->version);
	int order = fl_semver_compare(&p->semver, &other);
	if (order == 0)
		return fl_fail(err, FL_CONFLICT,
			"%s has the same precedence as %s, which exists: no device could tell "
			"which is newer; "
			"raise the version",
			p->rq->param[1], v->version);
	if (order < 0 && !p->backport)
		return fl_fail(err, FL_CONFLICT,
			"%s is lower than %s, which exists; say \"backport\": true if that is "
			"meant",
			p->rq->param[1], v->version);
	return FL_OK;
}

static enum fl_code store_variants(struct publish *p, struct fl_err *err)
{
	const json_t *element;
	size_t i;

	json_array_foreach (json_object_get(p->publication, "variants"), i, element) {
		const char *hex = json_string_value(json_object_get(element, "sha256"));
		struct variant v = { .version_id = p->version_id,
			.ordinal = (int64_t)i,
			.selector = json_string_value(json_object_get(element, "selector")) };
		struct artifact a = { 0 };
		enum fl_code code = FL_OK;

		if (hex != NULL) {
			FL_BUG_IF(!fl_unhex(
				hex, a.sha256, sizeof(a.sha256))); /* publication_read looked */
			code = artifact_find(p->rq->store, a.sha256, &a, err);
		}
		if (code == FL_NOT_FOUND)
			return fl_fail(err, FL_REFUSED,
				"variants[%zu]: there is no artifact %s; upload it first", i, hex);
		v.artifact_id = a.id;
		if (code == FL_OK)
			code = version_add_variant(p->rq->store, &v, err);
		if (code != FL_OK)
			return code;
	}
	return FL_OK;
}

static enum fl_code store_requires(struct publish *p, struct fl_err *err)
{
	const char *name;
	json_t *range;

	json_object_foreach (json_object_get(p->publication, "requires"), name, range) {
		const struct version_demand d = { p->version_id, name, json_string_value(range) };
		struct module m = { 0 };
		enum fl_code code = module_get(p->rq->store, name, &m, err);

		module_fini(&m);
		if (code == FL_NOT_FOUND)
			return fl_fail(err, FL_REFUSED,
				"requires \"%s\": there is no such module; create it first", name);
		if (code == FL_OK)
			code = version_add_requirement(p->rq->store, &d, err);
		if (code != FL_OK)
			return code;
	}
	return FL_OK;
}

static enum fl_code store_needs(struct publish *p, struct fl_err *err)
{
	const char *name;
	json_t *range;

	json_object_foreach (json_object_get(p->publication, "needs"), name, range) {
		const struct version_demand d = { p->version_id, name, json_string_value(range) };
		enum fl_code code = version_add_need(p->rq->store, &d, err);

		if (code != FL_OK)
			return code;
	}
	return FL_OK;
}

static enum fl_code store_row(struct publish *p, struct fl_err *err)
{
	const json_t *j = p->publication;
	const json_t *signature = json_object_get(j, "signature");
	FL_AUTO_BUF struct fl_buf envelope = { 0 };
	struct version v = { .module_id = p->module.id,
		.version = p->rq->param[1],
		.downgrade = json_is_true(json_object_get(j, "downgrade")),
		.floor = json_is_true(json_object_get(j, "floor")),
		.notes = json_string_value(json_object_get(j, "notes")),
		.created_by = p->rq->who.name };

	if (json_is_object(signature)) {
		fl_json_write(&envelope, signature);
		enum fl_code code = fl_buf_check(&envelope, err);
		if (code != FL_OK)
			return code;
		v.signature = (const char *)envelope.p;
	}
	memcpy(v.digest, p->digest, sizeof(v.digest));
	return version_add(p->rq->store, &v, &p->version_id, err);
}

/* A new version: whatever fails, the savepoint takes all of it back. */
static enum fl_code publish_new(struct publish *p, struct fl_err *err)
{
	struct request *rq = p->rq;
	char subject[STORE_NAME_MAX + STORE_VERSION_MAX + 2];
	enum fl_code code = version_each(rq->store, p->module.id, check_order, p, err);

	if (code == FL_OK)
		code = store_row(p, err);
	if (code == FL_OK)
		code = store_variants(p, err);
	if (code == FL_OK)
		code = store_requires(p, err);
	if (code == FL_OK)
		code = store_needs(p, err);
	if (code != FL_OK)
		return code;
	(void)snprintf(subject, sizeof(subject), "%s@%s", rq->param[0], rq->param[1]);
	code = events_write(rq->store, rq->effects,
		&(struct events_line){ .kind = EVENT_VERSION_PUBLISHED,
			.actor = rq->who.name,
			.subject = subject,
			.data = json_pack(
				"{s:o}", "digest", list_hex(p->digest, sizeof(p->digest))) },
		err);
	return code != FL_OK ? code : reply_version(rq, 201, err);
}

/* It is there: the same changes nothing, anything else is refused. */
static enum fl_code publish_again(struct publish *p, const struct version *v, struct fl_err *err)
{
	FL_AUTO_JSON json_t *stored = NULL;
	FL_AUTO_BUF struct fl_buf differ = { 0 };

	if (memcmp(v->digest, p->digest, sizeof(p->digest)) == 0)
		return reply_version(p->rq, 200, err);
	enum fl_code code = publication_load(p->rq->store, v, &stored, err);
	if (code != FL_OK)
		return code;
	publication_differences(stored, p->publication, &differ);
	return fl_fail(err, FL_CONFLICT,
		"version %s of \"%s\" exists and differs in %s; a published version never changes: "
		"raise the "
		"version",
		v->version, v->module, differ.p == NULL ? "something" : (const char *)differ.p);
}

static enum fl_code publish(struct publish *p, struct fl_err *err)
{
	struct request *rq = p->rq;
	struct version v = { 0 };
	struct fl_err none = { 0 };
	enum fl_code code = publication_read(rq, &p->publication, &p->backport, err);

	if (code == FL_OK)
		code = publication_digest(p->publication, p->digest, err);
	if (code == FL_OK)
		code = fl_semver_parse(rq->param[1], &p->semver, err);
	if (code == FL_OK)
		code = module_get(rq->store, rq->param[0], &p->module, err);
	if (code != FL_OK)
		return code;
	code = version_get(rq->store, rq->param[0], rq->param[1], &v, &none);
	if (code == FL_OK)
		code = publish_again(p, &v, err);
	else if (code == FL_NOT_FOUND)
		code = publish_new(p, err);
	else
		code = fl_fail(err, code, "%s", none.msg);
	version_fini(&v);
	return code;
}

enum fl_code api_version_put(struct request *rq, struct fl_err *err)
{
	struct publish p = { .rq = rq };
	enum fl_code code = publish(&p, err);

	json_decref(p.publication);
	module_fini(&p.module);
	return code;
}

/* ---- blocking */

struct block_body {
	bool blocked;
	const char *why;
};

static const struct fl_json_field block_fields[] = {
	FL_FIELD(struct block_body, blocked, "blocked", BOOL, .required = true),
	FL_FIELD(struct block_body, why, "why", STRING, .min = 0, .max = WHY_MAX),
};

/* What a block did, told together with who runs the version once it is durable. */
struct blocking {
	struct rollouts_blocked b;
	bool changed;
	json_t *runners; /* owned: ids */
	int64_t devices;
};

static void drop_blocking(void *state)
{
	struct blocking *k = state;

	json_decref(k->b.paused);
	json_decref(k->b.waiting);
	json_decref(k->runners);
	free(k);
}

static enum fl_code note_block(
	struct request *rq, const struct version *v, const struct block_body *b, struct fl_err *err)
{
	char subject[STORE_NAME_MAX + STORE_VERSION_MAX + 2];
	const char *why = b->why == NULL ? "" : b->why;
	enum fl_code code = version_block(rq->store, v->id, b->blocked ? why : NULL, err);

	if (code != FL_OK)
		return code;
	(void)snprintf(subject, sizeof(subject), "%s@%s", v->module, v->version);
	return events_write(rq->store, rq->effects,
		&(struct events_line){
			.kind = b->blocked ? EVENT_VERSION_BLOCKED : EVENT_VERSION_UNBLOCKED,
			.actor = rq->who.name,
			.subject = subject,
			.data = json_pack("{s:s}", "why", why) },
		err);
}

/* ---- who runs it */

static enum fl_code add_runner(void *context, const struct device *d, struct fl_err *err)
{
	struct blocking *k = context;

	k->devices++;
	if (json_array_size(k->runners) < RUNNERS_MAX &&
		json_array_append_new(k->runners, json_string(d->id)) != 0)
		return fl_fail(err, FL_NOMEM, "no memory for a list of devices");
	return FL_OK;
}

/* Look through the devices by number until the time for a read is up; *whole: all were looked at. */
static enum fl_code find_runners(
	struct request *rq, struct blocking *k, const char *q, bool *whole, struct fl_err *err)
{
	RSQL_AUTO struct rsql *where = NULL, *scope = NULL;
	struct device_filter f = { .limit = -1 };
	int64_t last = 0, until = fl_clock_ms(CLOCK_MONOTONIC) + RUNNERS_MS;
	enum fl_code code = rsql_parse(q, &where, err);

	if (code == FL_OK)
		code = list_scope(rq, &scope, err);
	if (code == FL_OK)
		code = device_last_no(rq->store, &last, err);
	f.where = where;
	f.scope = scope;
	for (; code == FL_OK && f.after < last && fl_clock_ms(CLOCK_MONOTONIC) < until;
		f.after = f.until) {
		f.until = last - f.after > RUNNERS_SLICE ? f.after + RUNNERS_SLICE : last;
		code = device_select_narrow(rq->store, &f, add_runner, k, err);
	}
	*whole = f.after >= last;
	return code;
}

/* The block is durable; in the read lane. */
static enum fl_code reply_block(struct request *rq, struct fl_err *err)
{
	struct blocking *k = rq->state;
	struct version v = { 0 };
	json_t *version = NULL;
	bool whole = false;
	char q[STORE_NAME_MAX + STORE_VERSION_MAX + 32];
	enum fl_code code = version_get(rq->store, rq->param[0], rq->param[1], &v, err);

	(void)snprintf(q, sizeof(q), "installed.%s=='%s'", rq->param[0], rq->param[1]);
	if (code == FL_OK)
		code = version_json(rq->store, &v, &version, err);
	version_fini(&v);
	if (code == FL_OK)
		code = find_runners(rq, k, q, &whole, err);
	if (code != FL_OK) {
		json_decref(version);
		return code;
	}
	reply_json(rq, 200,
		json_pack("{s:o, s:b, s:O, s:O, s:I, s:{s:I, s:b, s:O, s:s}}", "version", version,
			"changed", (int)k->changed, "paused", k->b.paused, "waiting", k->b.waiting,
			"may_still_switch", (json_int_t)k->b.may_switch, "runs_on", "devices",
			(json_int_t)k->devices, "whole", (int)whole, "first", k->runners, "q", q));
	return FL_OK;
}

static enum fl_code block(
	struct request *rq, struct blocking *k, const struct block_body *b, struct fl_err *err)
{
	struct version v = { 0 };
	enum fl_code code = version_get(rq->store, rq->param[0], rq->param[1], &v, err);

	if (code == FL_OK && (v.blocked_at != 0) != b->blocked) {
		k->changed = true;
		code = note_block(rq, &v, b, err);
	}
	k->b.module = rq->param[0];
	k->b.version = rq->param[1];
	k->b.why = b->why == NULL ? "" : b->why;
	k->b.actor = rq->who.name;
	if (code == FL_OK && b->blocked)
		code = rollouts_version_blocked(rq->server, rq->store, rq->effects, &k->b, err);
	version_fini(&v);
	return code;
}

enum fl_code api_version_block(struct request *rq, struct fl_err *err)
{
	struct block_body b = { 0 };
	struct blocking *k = NULL;
	enum fl_code code = request_read(rq, block_fields, FL_COUNT(block_fields), &b, err);

	if (code != FL_OK)
		return code;
	k = calloc(1, sizeof(*k));
	if (k == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a block");
	if (rq->state != NULL) /* the batch runs again */
		rq->drop(rq->state);
	rq->state = k;
	rq->drop = drop_blocking;
	k->b.paused = json_array();
	k->b.waiting = json_array();
	k->runners = json_array();
	if (k->b.paused == NULL || k->b.waiting == NULL || k->runners == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a block");
	code = block(rq, k, &b, err);
	if (code == FL_OK)
		request_then(rq, LANE_READ, reply_block);
	return code;
}
