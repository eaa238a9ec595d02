/* SPDX-License-Identifier: Apache-2.0 */
#include "server/api/publication.h"

#include "lib/digest.h"
#include "lib/semver.h"
#include "server/devices.h"
#include "server/rsql.h"

#include <string.h>

#define VARIANTS_MAX 64
#define DEMANDS_MAX  256
#define NOTES_MAX    16384

/* ---- reading a body */

struct body {
	json_t *variants, *requires, *needs, *signature;
	const char *notes;
	bool floor, downgrade, backport;
};

static const struct fl_json_field fields[] = {
	FL_FIELD(struct body, variants, "variants", ARRAY, .required = true, .min = 1,
		.max = VARIANTS_MAX),
	FL_FIELD(struct body, requires, "requires", OBJECT),
	FL_FIELD(struct body, needs, "needs", OBJECT),
	FL_FIELD(struct body, signature, "signature", OBJECT),
	FL_FIELD(struct body, notes, "notes", STRING, .min = 0, .max = NOTES_MAX),
	FL_FIELD(struct body, floor, "floor", BOOL),
	FL_FIELD(struct body, downgrade, "downgrade", BOOL),
	FL_FIELD(struct body, backport, "backport", BOOL),
};

struct variant_body {
	const char *selector, *sha256;
};

static const struct fl_json_field variant_fields[] = {
	FL_FIELD(struct variant_body, selector, "selector", STRING),
	FL_FIELD(struct variant_body, sha256, "sha256", STRING),
};

static enum fl_code read_variant(
	const json_t *element, json_t *into, bool *everybody, struct fl_err *err)
{
	struct variant_body v = { 0 };
	uint8_t digest[FL_SHA256_LEN];
	enum fl_code code = fl_json_read(
		element, variant_fields, FL_COUNT(variant_fields), FL_JSON_REJECT, &v, err);

	if (code != FL_OK)
		return code;
	if (*everybody)
		return fl_fail(err, FL_INVALID,
			"it can never be chosen: the one before it has no selector and takes every "
			"device");
	if (v.sha256 != NULL && !fl_unhex(v.sha256, digest, sizeof(digest)))
		return fl_fail(err, FL_INVALID, "\"sha256\" must be 64 lower-case hex digits");
	if (v.selector != NULL && v.selector[strspn(v.selector, " ")] == '\0')
		v.selector = NULL;
	*everybody = v.selector == NULL;
	code = v.selector == NULL ? FL_OK : rsql_check(v.selector, 1u << RSQL_ATTRIBUTE, err);
	if (code == FL_OK &&
		json_array_append_new(into,
			json_pack("{s:s?, s:s?}", "selector", v.selector, "sha256", v.sha256)) != 0)
		return fl_fail(err, FL_NOMEM, "no memory for a publication");
	return code;
}

static enum fl_code read_variants(const json_t *array, json_t *into, struct fl_err *err)
{
	const json_t *element;
	bool everybody = false;
	size_t i;

	json_array_foreach (array, i, element) {
		enum fl_code code = read_variant(element, into, &everybody, err);
		if (code != FL_OK)
			return fl_wrap(err, "variants[%zu]", i);
	}
	return FL_OK;
}

static enum fl_code check_requires(const char *self, json_t *object, struct fl_err *err)
{
	struct fl_range range;
	const char *name;
	json_t *value;

	json_object_foreach (object, name, value) {
		if (!json_is_string(value))
			return fl_fail(err, FL_INVALID,
				"requires \"%s\" must be a range such as ^1.2", name);
		if (strcmp(name, self) == 0)
			return fl_fail(err, FL_INVALID, "\"%s\" cannot require itself", name);
		enum fl_code code = fl_range_parse(json_string_value(value), &range, err);
		if (code != FL_OK)
			return fl_wrap(err, "requires \"%s\"", name);
	}
	return FL_OK;
}

static enum fl_code check_needs(json_t *object, struct fl_err *err)
{
	const char *name;
	json_t *value;

	json_object_foreach (object, name, value) {
		FL_AUTO_BUF struct fl_buf ignored = { 0 };
		FL_AUTO_JSON json_t *one = json_pack("{s:O}", name, value);
		size_t n = json_string_length(value);
		enum fl_code code = one == NULL ? fl_fail(err, FL_NOMEM, "no memory for needs")
						: devices_object("need", one, &ignored, err);

		if (code != FL_OK)
			return code;
		if (n == 0 || n > FL_RANGE_TEXT_MAX)
			return fl_fail(err, FL_INVALID,
				"needs \"%s\" must be a text of 1 to %d bytes such as >=1.0", name,
				FL_RANGE_TEXT_MAX);
	}
	return FL_OK;
}

static enum fl_code check_sizes(const struct body *b, struct fl_err *err)
{
	if (json_object_size(b->requires) > DEMANDS_MAX || json_object_size(b->needs) > DEMANDS_MAX)
		return fl_fail(err, FL_INVALID,
			"\"requires\" and \"needs\" have at most %d members", DEMANDS_MAX);
	return FL_OK;
}

/* An object that was given, or a new empty one. */
static json_t *or_empty(json_t *object)
{
	return object != NULL ? json_incref(object) : json_object();
}

enum fl_code publication_read(struct request *rq, json_t **out, bool *backport, struct fl_err *err)
{
	struct body b = { .notes = "", .downgrade = true };
	FL_AUTO_JSON json_t *variants = json_array();
	struct fl_semver semver;
	enum fl_code code = fl_semver_parse(rq->param[1], &semver, err);

	if (code != FL_OK)
		return fl_wrap(err, "version \"%.80s\"", rq->param[1]);
	if (strlen(rq->param[1]) > STORE_VERSION_MAX)
		return fl_fail(
			err, FL_INVALID, "a version has at most %d bytes", STORE_VERSION_MAX);
	code = request_read(rq, fields, FL_COUNT(fields), &b, err);
	if (code == FL_OK)
		code = check_sizes(&b, err);
	if (code == FL_OK)
		code = read_variants(b.variants, variants, err);
	if (code == FL_OK)
		code = check_requires(rq->param[0], b.requires, err);
	if (code == FL_OK)
		code = check_needs(b.needs, err);
	if (code != FL_OK)
		return code;
	*backport = b.backport;
	*out = json_pack("{s:b, s:b, s:s, s:o, s:s, s:o, s:O?, s:O, s:s}", "downgrade",
		(int)b.downgrade, "floor", (int)b.floor, "module", rq->param[0], "needs",
		or_empty(b.needs), "notes", b.notes, "requires", or_empty(b.requires), "signature",
		b.signature, "variants", variants, "version", rq->param[1]);
	return *out == NULL ? fl_fail(err, FL_NOMEM, "no memory for a publication") : FL_OK;
}

/* ---- from the store */

static enum fl_code load_variant(void *context, const struct variant *v, struct fl_err *err)
{
	char hex[FL_SHA256_HEX + 1];

	if (v->sha256 != NULL)
		fl_hex(v->sha256, FL_SHA256_LEN, hex);
	if (json_array_append_new(context,
		    json_pack("{s:s?, s:s?}", "selector", v->selector, "sha256",
			    v->sha256 == NULL ? NULL : hex)) != 0)
		return fl_fail(err, FL_NOMEM, "no memory for a publication");
	return FL_OK;
}

static enum fl_code load_demand(void *context, const struct version_demand *d, struct fl_err *err)
{
	if (json_object_set_new(context, d->name, json_string(d->range)) != 0)
		return fl_fail(err, FL_NOMEM, "no memory for a publication");
	return FL_OK;
}

enum fl_code publication_load(
	struct store *store, const struct version *v, json_t **out, struct fl_err *err)
{
	FL_AUTO_JSON json_t *variants = json_array(), *requires = json_object(),
			    *needs = json_object();
	json_t *signature = v->signature == NULL ? NULL : json_loads(v->signature, 0, NULL);
	enum fl_code code = version_each_variant(store, v->id, load_variant, variants, err);

	if (code == FL_OK)
		code = version_each_requirement(store, v->id, load_demand, requires, err);
	if (code == FL_OK)
		code = version_each_need(store, v->id, load_demand, needs, err);
	if (code != FL_OK) {
		json_decref(signature);
		return code;
	}
	*out = json_pack("{s:b, s:b, s:s, s:O, s:s, s:O, s:o?, s:O, s:s}", "downgrade",
		(int)v->downgrade, "floor", (int)v->floor, "module", v->module, "needs", needs,
		"notes", v->notes, "requires", requires, "signature", signature, "variants",
		variants, "version", v->version);
	return *out == NULL ? fl_fail(err, FL_NOMEM, "no memory for a publication") : FL_OK;
}

/* ---- comparing */

enum fl_code publication_digest(
	const json_t *publication, uint8_t out[VERSION_DIGEST_BYTES], struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };
	enum fl_code code = fl_json_canonical(&b, publication, err);

	if (code == FL_OK)
		code = fl_buf_check(&b, err);
	if (code == FL_OK)
		fl_sha256(fl_bytes(b.p, b.n), out);
	return code;
}

void publication_differences(const json_t *a, const json_t *b, struct fl_buf *out)
{
	const char *key, *comma = "";
	json_t *value;

	json_object_foreach ((json_t *)(uintptr_t)a, key, value) {
		if (json_equal(value, json_object_get(b, key)))
			continue;
		fl_buf_printf(out, "%s%s", comma, key);
		comma = ", ";
	}
}
