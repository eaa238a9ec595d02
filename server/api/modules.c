/* SPDX-License-Identifier: Apache-2.0
 *
 * Modules: named units of software. */
#include "server/http/handlers.h"

#include "lib/digest.h"
#include "lib/semver.h"
#include "server/api/list.h"
#include "server/devices.h"
#include "server/events.h"
#include "server/store/module.h"
#include "server/store/version.h"

#include <string.h>

#define DESCRIPTION_MAX 4096

/* ---- as JSON */

/* The newest version of a module: by semver, whatever the order of publication. */
struct newest {
	char text[STORE_VERSION_MAX + 1];
	int64_t n;
};

static enum fl_code look(void *context, const struct version *v, struct fl_err *err)
{
	struct newest *newest = context;
	struct fl_semver a, b;

	newest->n++;
	if (newest->n > 1 && fl_semver_parse(newest->text, &a, err) == FL_OK &&
		fl_semver_parse(v->version, &b, err) == FL_OK && fl_semver_order(&a, &b) >= 0)
		return FL_OK;
	(void)snprintf(newest->text, sizeof(newest->text), "%s", v->version);
	return FL_OK;
}

static enum fl_code module_json(
	struct store *store, const struct module *m, json_t **out, struct fl_err *err)
{
	struct newest newest = { 0 };
	enum fl_code code = version_each(store, m->id, look, &newest, err);

	if (code != FL_OK)
		return code;
	*out = json_pack("{s:s, s:s, s:s, s:s, s:o, s:I, s:s?}", "name", m->name, "kind", m->kind,
		"tier", m->tier, "description", m->description, "created_at",
		list_time(m->created_at), "versions", (json_int_t)newest.n, "newest",
		newest.n == 0 ? NULL : newest.text);
	return *out == NULL ? fl_fail(err, FL_NOMEM, "no memory for module %s", m->name) : FL_OK;
}

/* What If-Match compares: all that can change. */
static void etag_of(const struct module *m, char out[17])
{
	uint8_t digest[FL_SHA256_LEN];

	fl_sha256(fl_bytes(m->description, strlen(m->description)), digest);
	fl_hex(digest, 8, out);
}

static enum fl_code reply_module(
	struct request *rq, unsigned status, const struct module *m, struct fl_err *err)
{
	json_t *json = NULL;
	char etag[17];
	enum fl_code code = module_json(rq->store, m, &json, err);

	if (code != FL_OK)
		return code;
	etag_of(m, etag);
	reply_header(rq, "ETag", "\"%s\"", etag);
	reply_json(rq, status, json);
	return FL_OK;
}

/* ---- reading */

struct page {
	struct list list;
	struct store *store;
};

static enum fl_code add_module(void *context, const struct module *m, struct fl_err *err)
{
	struct page *p = context;
	json_t *json = NULL;
	enum fl_code code = module_json(p->store, m, &json, err);

	return code != FL_OK ? code : list_add(&p->list, json, m->name, err);
}

enum fl_code api_modules_list(struct request *rq, struct fl_err *err)
{
	struct page p = { .store = rq->store };
	enum fl_code code = list_init(rq, &p.list, err);

	if (code == FL_OK)
		code = module_each(rq->store, p.list.after, p.list.limit + 1, add_module, &p, err);
	if (code == FL_OK)
		list_reply(rq, &p.list);
	list_fini(&p.list);
	return code;
}

enum fl_code api_module_get(struct request *rq, struct fl_err *err)
{
	struct module m = { 0 };
	enum fl_code code = module_get(rq->store, rq->param[0], &m, err);

	if (code == FL_OK)
		code = reply_module(rq, 200, &m, err);
	module_fini(&m);
	return code;
}

/* ---- writing */

struct body {
	const char *kind, *tier, *description;
};

static const struct fl_json_field fields[] = {
	FL_FIELD(struct body, kind, "kind", STRING, .required = true),
	FL_FIELD(struct body, tier, "tier", STRING),
	FL_FIELD(struct body, description, "description", STRING, .min = 0, .max = DESCRIPTION_MAX),
};

static bool one_of(const char *s, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(s, words[i]) == 0)
			return true;
	return false;
}

static enum fl_code read_body(struct request *rq, struct body *b, struct fl_err *err)
{
	static const char *const kinds[] = { "wasm", "container", "firmware", "file" };
	static const char *const tiers[] = { "device", "gateway" };
	enum fl_code code = devices_check_name("module", rq->param[0], err);

	if (code == FL_OK)
		code = request_read(rq, fields, FL_COUNT(fields), b, err);
	if (code != FL_OK)
		return code;
	if (!one_of(b->kind, kinds, FL_COUNT(kinds)))
		return fl_fail(err, FL_INVALID,
			"\"kind\" is wasm, container, firmware or file, not \"%.40s\"", b->kind);
	if (b->tier != NULL && !one_of(b->tier, tiers, FL_COUNT(tiers)))
		return fl_fail(
			err, FL_INVALID, "\"tier\" is device or gateway, not \"%.40s\"", b->tier);
	return FL_OK;
}

static enum fl_code note(struct request *rq, enum event_kind kind, json_t *data, struct fl_err *err)
{
	return events_write(rq->store, rq->effects,
		&(struct events_line){ .kind = kind,
			.actor = rq->who.name,
			.subject = rq->param[0],
			.data = data },
		err);
}

static enum fl_code create(struct request *rq, const struct body *b, struct fl_err *err)
{
	struct module m = { .name = rq->param[0],
		.kind = b->kind,
		.tier = b->tier == NULL ? "device" : b->tier,
		.description = b->description == NULL ? "" : b->description,
		.created_at = rq->store->now_ms };
	enum fl_code code = module_add(rq->store, &m, &m.id, err);

	if (code == FL_OK)
		code = note(rq, EVENT_MODULE_CREATED,
			json_pack("{s:s, s:s}", "kind", m.kind, "tier", m.tier), err);
	return code != FL_OK ? code : reply_module(rq, 201, &m, err);
}

static enum fl_code change(
	struct request *rq, struct module *m, const struct body *b, struct fl_err *err)
{
	char etag[17];

	if (strcmp(m->kind, b->kind) != 0)
		return fl_fail(err, FL_CONFLICT,
			"module \"%s\" is of kind %s and stays so; publish the %s under another "
			"name",
			m->name, m->kind, b->kind);
	if (b->tier != NULL && strcmp(m->tier, b->tier) != 0)
		return fl_fail(err, FL_CONFLICT,
			"module \"%s\" is of tier %s and stays so; publish the other under another "
			"name",
			m->name, m->tier);
	etag_of(m, etag);
	enum fl_code code = list_if_match(rq, etag, err);
	if (code == FL_OK && b->description != NULL &&
		strcmp(b->description, m->description) != 0) {
		code = module_describe(rq->store, m->id, b->description, err);
		if (code == FL_OK)
			code = note(rq, EVENT_MODULE_CHANGED, NULL, err);
		m->description = b->description;
	}
	return code != FL_OK ? code : reply_module(rq, 200, m, err);
}

enum fl_code api_module_put(struct request *rq, struct fl_err *err)
{
	struct fl_err none = { 0 };
	struct module m = { 0 };
	struct body b = { 0 };
	enum fl_code code = read_body(rq, &b, err);

	if (code != FL_OK)
		return code;
	code = module_get(rq->store, rq->param[0], &m, &none);
	if (code == FL_OK)
		code = change(rq, &m, &b, err);
	else if (code == FL_NOT_FOUND)
		code = create(rq, &b, err);
	else
		code = fl_fail(err, code, "%s", none.msg);
	module_fini(&m);
	return code;
}

enum fl_code api_module_delete(struct request *rq, struct fl_err *err)
{
	struct module m = { 0 };
	enum fl_code code = module_get(rq->store, rq->param[0], &m, err);

	if (code == FL_OK)
		code = module_delete(rq->store, &m, err);
	if (code == FL_OK)
		code = note(rq, EVENT_MODULE_DELETED, NULL, err);
	if (code == FL_OK)
		reply_empty(rq, 204);
	module_fini(&m);
	return code;
}
