/* SPDX-License-Identifier: Apache-2.0
 *
 * Releases: named sets of module versions. Immutable; the same again changes nothing. */
#include "server/http/handlers.h"

#include "lib/digest.h"
#include "server/api/list.h"
#include "server/devices.h"
#include "server/events.h"
#include "server/store/module.h"
#include "server/store/release.h"
#include "server/store/version.h"

#include <string.h>

#define ENTRIES_MAX 1000
#define NOTES_MAX   16384

/* ---- as JSON */

static enum fl_code add_entry(void *context, const struct release_entry *e, struct fl_err *err)
{
	if (json_array_append_new(context,
		    json_pack("{s:s, s:s?, s:s}", "module", e->module, "version", e->version,
			    "action", e->action)) != 0)
		return fl_fail(err, FL_NOMEM, "no memory for a release");
	return FL_OK;
}

static enum fl_code release_json(
	struct store *store, const struct release *r, json_t **out, struct fl_err *err)
{
	FL_AUTO_JSON json_t *entries = json_array();
	enum fl_code code = release_each_entry(store, r->id, add_entry, entries, err);

	if (code != FL_OK)
		return code;
	*out = json_pack("{s:s, s:s, s:O, s:o, s:o, s:s}", "name", r->name, "notes", r->notes,
		"entries", entries, "digest", list_hex(r->digest, sizeof(r->digest)), "created_at",
		list_time(r->created_at), "created_by", r->created_by);
	return *out == NULL ? fl_fail(err, FL_NOMEM, "no memory for a release") : FL_OK;
}

static enum fl_code reply_release(struct request *rq, unsigned status, struct fl_err *err)
{
	struct release r = { 0 };
	json_t *json = NULL;
	enum fl_code code = release_get(rq->store, rq->param[0], &r, err);

	if (code == FL_OK)
		code = release_json(rq->store, &r, &json, err);
	if (code == FL_OK)
		reply_json(rq, status, json);
	release_fini(&r);
	return code;
}

/* ---- reading */

struct page {
	struct list list;
	struct store *store;
};

static enum fl_code add_release(void *context, const struct release *r, struct fl_err *err)
{
	struct page *p = context;
	json_t *json = NULL;
	enum fl_code code = release_json(p->store, r, &json, err);

	return code != FL_OK ? code : list_add_no(&p->list, json, r->id, err);
}

enum fl_code api_releases_list(struct request *rq, struct fl_err *err)
{
	struct page p = { .store = rq->store };
	int64_t after = 0;
	enum fl_code code = list_init(rq, &p.list, err);

	if (code == FL_OK)
		code = list_after(&p.list, &after, err);
	if (code == FL_OK)
		code = release_each(rq->store, after, p.list.limit + 1, add_release, &p, err);
	if (code == FL_OK)
		list_reply(rq, &p.list);
	list_fini(&p.list);
	return code;
}

enum fl_code api_release_get(struct request *rq, struct fl_err *err)
{
	return reply_release(rq, 200, err);
}

/* ---- creating */

struct body {
	json_t *entries;
	const char *notes;
};

static const struct fl_json_field fields[] = {
	FL_FIELD(struct body, entries, "entries", ARRAY, .required = true, .min = 1,
		.max = ENTRIES_MAX),
	FL_FIELD(struct body, notes, "notes", STRING, .min = 0, .max = NOTES_MAX),
};

struct entry_body {
	const char *module, *version, *action;
};

static const struct fl_json_field entry_fields[] = {
	FL_FIELD(struct entry_body, module, "module", STRING, .required = true),
	FL_FIELD(struct entry_body, version, "version", STRING),
	FL_FIELD(struct entry_body, action, "action", STRING),
};

static enum fl_code read_entry(const json_t *element, struct entry_body *e, struct fl_err *err)
{
	*e = (struct entry_body){ .action = "update" };
	enum fl_code code =
		fl_json_read(element, entry_fields, FL_COUNT(entry_fields), FL_JSON_REJECT, e, err);
	bool absent = strcmp(e->action, "absent") == 0;

	if (code != FL_OK)
		return code;
	if (!absent && strcmp(e->action, "update") != 0 && strcmp(e->action, "install") != 0)
		return fl_fail(err, FL_INVALID,
			"\"action\" is update, install or absent, not \"%.40s\"", e->action);
	if (absent != (e->version == NULL))
		return fl_fail(err, FL_INVALID,
			absent ? "an absent module has no \"version\"" : "\"version\" is missing");
	return FL_OK;
}

/* The entries in their one form: by module name, as {"action","module","version"}. */
static enum fl_code read_entries(const json_t *array, json_t *by_module, struct fl_err *err)
{
	const json_t *element;
	size_t i;

	json_array_foreach (array, i, element) {
		struct entry_body e;
		enum fl_code code = read_entry(element, &e, err);

		if (code != FL_OK)
			return fl_wrap(err, "entries[%zu]", i);
		if (json_object_get(by_module, e.module) != NULL)
			return fl_fail(err, FL_INVALID, "entries[%zu]: module \"%s\" comes twice",
				i, e.module);
		if (json_object_set_new(by_module, e.module,
			    json_pack("{s:s, s:s?}", "action", e.action, "version", e.version)) !=
			0)
			return fl_fail(
				err, FL_NOMEM, "no memory for a release (or a text is not UTF-8)");
	}
	return FL_OK;
}

static enum fl_code digest_of(const json_t *by_module, const char *notes,
	uint8_t out[RELEASE_DIGEST_BYTES], struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };
	FL_AUTO_JSON json_t *all = json_pack("{s:O, s:s}", "entries", by_module, "notes", notes);

	if (all == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a release");
	enum fl_code code = fl_json_canonical(&b, all, err);
	if (code == FL_OK)
		code = fl_buf_check(&b, err);
	if (code == FL_OK)
		fl_sha256(fl_bytes(b.p, b.n), out);
	return code;
}

static enum fl_code store_entry(struct request *rq, int64_t release_id, const char *module,
	const json_t *entry, struct fl_err *err)
{
	const char *version = json_string_value(json_object_get(entry, "version"));
	struct release_entry e = { .release_id = release_id,
		.action = json_string_value(json_object_get(entry, "action")) };
	struct module m = { 0 };
	struct version v = { 0 };
	enum fl_code code = module_get(rq->store, module, &m, err);

	if (code == FL_OK && version != NULL)
		code = version_get(rq->store, module, version, &v, err);
	if (code == FL_NOT_FOUND)
		code = fl_fail(err, FL_REFUSED, "%s; publish it first", err->msg);
	if (code == FL_OK && v.blocked_at != 0)
		code = fl_fail(err, FL_REFUSED, "version %s of \"%s\" is blocked: %s", version,
			module, v.blocked_why == NULL ? "" : v.blocked_why);
	e.module_id = m.id;
	e.version_id = v.id;
	if (code == FL_OK)
		code = release_add_entry(rq->store, &e, err);
	version_fini(&v);
	module_fini(&m);
	return code;
}

static enum fl_code create(
	struct request *rq, const json_t *by_module, const struct release *r, struct fl_err *err)
{
	int64_t id = 0;
	const char *module;
	json_t *entry;
	enum fl_code code = release_add(rq->store, r, &id, err);

	json_object_foreach ((json_t *)(uintptr_t)by_module, module, entry) {
		if (code == FL_OK)
			code = store_entry(rq, id, module, entry, err);
	}
	if (code == FL_OK)
		code = events_write(rq->store, rq->effects,
			&(struct events_line){ .kind = EVENT_RELEASE_CREATED,
				.actor = rq->who.name,
				.subject = r->name,
				.data = json_pack("{s:o}", "digest",
					list_hex(r->digest, sizeof(r->digest))) },
			err);
	return code != FL_OK ? code : reply_release(rq, 201, err);
}

struct compare {
	const json_t *by_module;
	size_t same;
	char differs[STORE_NAME_MAX + 1];
};

static enum fl_code compare_entry(void *context, const struct release_entry *e, struct fl_err *err)
{
	struct compare *c = context;
	const json_t *entry = json_object_get(c->by_module, e->module);
	const char *version = json_string_value(json_object_get(entry, "version"));
	bool same = entry != NULL &&
		strcmp(e->action, json_string_value(json_object_get(entry, "action"))) == 0 &&
		(e->version == NULL) == (version == NULL) &&
		(version == NULL || strcmp(version, e->version) == 0);

	(void)err;
	c->same += same;
	if (!same && c->differs[0] == '\0')
		(void)snprintf(c->differs, sizeof(c->differs), "%s", e->module);
	return FL_OK;
}

static enum fl_code refuse_other(
	struct request *rq, const struct release *had, const json_t *by_module, struct fl_err *err)
{
	struct compare c = { .by_module = by_module };
	enum fl_code code = release_each_entry(rq->store, had->id, compare_entry, &c, err);
	bool entries = c.differs[0] != '\0' || c.same != json_object_size(by_module);

	if (code != FL_OK)
		return code;
	return fl_fail(err, FL_CONFLICT,
		"release \"%s\" exists and differs in %s%s%s; a release never changes: take "
		"another name",
		had->name, !entries ? "its notes" : "its entries",
		c.differs[0] != '\0' ? ", first in " : "", c.differs);
}

static enum fl_code put(
	struct request *rq, const json_t *by_module, const char *notes, struct fl_err *err)
{
	struct fl_err none = { 0 };
	struct release had = { 0 };
	struct release r = { .name = rq->param[0], .notes = notes, .created_by = rq->who.name };
	enum fl_code code = digest_of(by_module, notes, r.digest, err);

	if (code != FL_OK)
		return code;
	code = release_get(rq->store, rq->param[0], &had, &none);
	if (code == FL_NOT_FOUND)
		code = create(rq, by_module, &r, err);
	else if (code != FL_OK)
		code = fl_fail(err, code, "%s", none.msg);
	else if (memcmp(had.digest, r.digest, sizeof(r.digest)) == 0)
		code = reply_release(rq, 200, err);
	else
		code = refuse_other(rq, &had, by_module, err);
	release_fini(&had);
	return code;
}

enum fl_code api_release_put(struct request *rq, struct fl_err *err)
{
	FL_AUTO_JSON json_t *by_module = json_object();
	struct body b = { .notes = "" };
	enum fl_code code = devices_check_name("release", rq->param[0], err);

	if (code == FL_OK)
		code = request_read(rq, fields, FL_COUNT(fields), &b, err);
	if (code == FL_OK)
		code = read_entries(b.entries, by_module, err);
	return code != FL_OK ? code : put(rq, by_module, b.notes, err);
}
