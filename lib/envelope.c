/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/envelope.h"

#include <string.h>
#include <time.h>

/* ---- the envelope */

static json_t *signature_json(const struct fl_sign_key *key, struct fl_bytes text)
{
	uint8_t signature[FL_SIGNATURE_LEN];
	char hex[FL_HEX_LEN(FL_SIGNATURE_LEN) + 1];

	fl_sign(key, text, signature);
	fl_hex(signature, sizeof(signature), hex);
	return json_pack("{s:s, s:s}", "keyid", key->public.keyid, "sig", hex);
}

enum fl_code fl_envelope_seal(struct fl_buf *out, const json_t *content,
	const struct fl_sign_key *const *keys, size_t n, struct fl_err *err)
{
	FL_AUTO_JSON json_t *signatures = json_array();
	FL_AUTO_BUF struct fl_buf text = { 0 };
	enum fl_code code = fl_json_canonical(&text, content, err);

	if (code == FL_OK)
		code = fl_buf_check(&text, err);
	if (code != FL_OK)
		return code;
	for (size_t i = 0; i < n; i++) {
		json_t *one = signature_json(keys[i], fl_bytes(text.p, text.n));

		if (json_array_append_new(signatures, one) != 0)
			return fl_fail(err, FL_NOMEM, "no memory for a signature");
	}
	if (signatures == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for signatures");
	/* Not the canonical text: that one is no JSON when a string holds a control character. */
	fl_buf_str(out, "{\"signatures\":");
	fl_json_write(out, signatures);
	fl_buf_str(out, ",\"signed\":");
	fl_json_write(out, content);
	fl_buf_byte(out, '}');
	return fl_buf_check(out, err);
}

struct envelope_fields {
	json_t *content, *signatures;
};

struct signature_fields {
	const char *keyid, *sig;
};

static const struct fl_public *find_key(const struct fl_role *role, const char *keyid)
{
	for (size_t i = 0; i < role->n; i++) {
		if (strcmp(role->keys[i].keyid, keyid) == 0)
			return &role->keys[i];
	}
	return NULL;
}

/* A keyid twice is refused, since stock clients refuse it: so one envelope means the same to all. */
static bool came_before(const json_t *signatures, size_t i, const char *keyid)
{
	for (size_t k = 0; k < i; k++) {
		const json_t *before = json_object_get(json_array_get(signatures, k), "keyid");

		if (strcmp(json_string_value(before), keyid) == 0)
			return true;
	}
	return false;
}

/* Count the signatures that verify. Keys that the role does not have, and signatures that are wrong,
 * are passed over: only what counts towards the threshold matters. */
static enum fl_code count_valid(const json_t *signatures, const struct fl_role *role,
	struct fl_bytes text, int64_t *valid, struct fl_err *err)
{
	static const struct fl_json_field fields[] = {
		FL_FIELD(struct signature_fields, keyid, "keyid", STRING, .required = true),
		FL_FIELD(struct signature_fields, sig, "sig", STRING, .required = true),
	};

	for (size_t i = 0; i < json_array_size(signatures); i++) {
		struct signature_fields f = { 0 };
		uint8_t signature[FL_SIGNATURE_LEN];
		const struct fl_public *key;
		enum fl_code code = fl_json_read(json_array_get(signatures, i), fields,
			FL_COUNT(fields), FL_JSON_IGNORE, &f, err);

		if (code != FL_OK) {
			fl_wrap(err, "signature %zu", i);
			return code;
		}
		if (came_before(signatures, i, f.keyid))
			return fl_fail(err, FL_SIGNATURE, "two signatures name the same key");
		key = find_key(role, f.keyid);
		if (key != NULL && fl_unhex(f.sig, signature, sizeof(signature)) &&
			fl_verify(key->key, text, signature, NULL) == FL_OK)
			++*valid;
	}
	return FL_OK;
}

static enum fl_code check_threshold(
	const struct envelope_fields *e, const struct fl_role *role, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	int64_t valid = 0;
	enum fl_code code = fl_json_canonical(&text, e->content, err);

	if (code == FL_OK)
		code = fl_buf_check(&text, err);
	if (code == FL_OK)
		code = count_valid(e->signatures, role, fl_bytes(text.p, text.n), &valid, err);
	if (code != FL_OK)
		return code;
	if (role->threshold < 1 || valid < role->threshold)
		return fl_fail(err, FL_SIGNATURE, "%lld of %lld needed signatures are right",
			(long long)valid, (long long)role->threshold);
	return FL_OK;
}

/* The two halves, unverified. *envelope owns what *out points to. */
static enum fl_code split(
	struct fl_bytes text, json_t **envelope, struct envelope_fields *out, struct fl_err *err)
{
	static const struct fl_json_field fields[] = {
		FL_FIELD(struct envelope_fields, content, "signed", OBJECT, .required = true),
		FL_FIELD(struct envelope_fields, signatures, "signatures", ARRAY, .required = true,
			.min = 1, .max = FL_SIGNATURES_MAX),
	};
	enum fl_code code;

	if (text.n > FL_ENVELOPE_MAX)
		return fl_fail(err, FL_TOO_LARGE, "an envelope has at most %d bytes, not %zu",
			FL_ENVELOPE_MAX, text.n);
	code = fl_json_parse(text, envelope, err);
	if (code == FL_OK)
		code = fl_json_read(*envelope, fields, FL_COUNT(fields), FL_JSON_IGNORE, out, err);
	if (code != FL_OK)
		fl_wrap(err, "envelope");
	return code;
}

enum fl_code fl_envelope_open(
	struct fl_bytes text, const struct fl_role *role, json_t **content, struct fl_err *err)
{
	FL_AUTO_JSON json_t *envelope = NULL;
	struct envelope_fields e = { 0 };
	enum fl_code code = split(text, &envelope, &e, err);

	if (code == FL_OK)
		code = check_threshold(&e, role, err);
	if (code == FL_OK)
		*content = json_incref(e.content);
	return code;
}

/* ---- times */

void fl_utc_write(int64_t ms, char out[21])
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;

	/* Years of five digits would not fit; nothing here lives that long. */
	FL_BUG_IF(ms < 0 || gmtime_r(&seconds, &tm) == NULL || tm.tm_year > 9999 - 1900);
	FL_BUG_IF(strftime(out, 21, "%Y-%m-%dT%H:%M:%SZ", &tm) != 20);
}

enum fl_code fl_utc_read(const char *text, int64_t *ms, struct fl_err *err)
{
	struct tm tm = { 0 };
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	char again[21];
	int64_t got;

	if (end == NULL || *end != '\0' || tm.tm_year < 70 || tm.tm_year > 9999 - 1900)
		return fl_fail(
			err, FL_INVALID, "\"%.40s\" is no time as 2026-01-02T03:04:05Z", text);
	got = (int64_t)timegm(&tm) * 1000;
	/* Written back it must be the same: strptime takes blanks, short numbers and 31 February. */
	fl_utc_write(got, again);
	if (strcmp(again, text) != 0)
		return fl_fail(
			err, FL_INVALID, "\"%.40s\" is no time as 2026-01-02T03:04:05Z", text);
	*ms = got;
	return FL_OK;
}

/* ---- the root */

static json_t *role_json(const struct fl_public *key)
{
	return json_pack("{s:[s], s:i}", "keyids", key->keyid, "threshold", 1);
}

static json_t *keys_json(const struct fl_root_spec *s)
{
	const struct fl_public *keys[] = { s->root, s->targets, s->snapshot, s->timestamp,
		s->manifest };
	json_t *all = json_object();

	for (size_t i = 0; i < FL_COUNT(keys); i++) {
		if (json_object_set_new(all, keys[i]->keyid, fl_public_json(keys[i])) != 0) {
			json_decref(all);
			return NULL;
		}
	}
	return all;
}

enum fl_code fl_root_json(const struct fl_root_spec *s, json_t **out, struct fl_err *err)
{
	char expires[21];
	json_t *root;

	fl_utc_write(s->expires_ms, expires);
	root = json_pack("{s:s, s:s, s:I, s:s, s:b, s:o, s:{s:o, s:o, s:o, s:o}, s:o, s:b}",
		"_type", "root", "spec_version", "1.0.31", "version", (json_int_t)s->version,
		"expires", expires, "consistent_snapshot", 1, "keys", keys_json(s), "roles", "root",
		role_json(s->root), "targets", role_json(s->targets), "snapshot",
		role_json(s->snapshot), "timestamp", role_json(s->timestamp), "x-fleetd-manifest",
		role_json(s->manifest), "x-fleetd-quick-start", s->quick_start ? 1 : 0);
	if (root == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a root");
	*out = root;
	return FL_OK;
}

struct root_fields {
	const char *type, *expires;
	json_t *keys, *roles, *manifest;
	int64_t version;
	bool quick_start;
};

struct role_fields {
	json_t *keyids;
	int64_t threshold;
};

static enum fl_code add_key(
	struct fl_role *role, const json_t *keys, const char *keyid, struct fl_err *err)
{
	const json_t *object = keyid == NULL ? NULL : json_object_get(keys, keyid);
	struct fl_public key;
	enum fl_code code;

	if (object == NULL)
		return fl_fail(err, FL_INVALID, "it names a key that the root does not hold");
	code = fl_public_read(object, &key, err);
	if (code != FL_OK)
		return code;
	if (strcmp(key.keyid, keyid) != 0)
		return fl_fail(err, FL_INVALID, "key %.16s has another keyid", keyid);
	if (find_key(role, keyid) != NULL)
		return fl_fail(err, FL_INVALID, "it names key %.16s twice", keyid);
	role->keys[role->n++] = key;
	return FL_OK;
}

static enum fl_code read_role(
	const json_t *object, const json_t *keys, struct fl_role *out, struct fl_err *err)
{
	static const struct fl_json_field fields[] = {
		FL_FIELD(struct role_fields, keyids, "keyids", ARRAY, .required = true, .min = 1,
			.max = FL_ROLE_KEYS_MAX),
		FL_FIELD(struct role_fields, threshold, "threshold", INT, .required = true,
			.min = 1, .max = FL_ROLE_KEYS_MAX),
	};
	struct role_fields f = { 0 };
	enum fl_code code = fl_json_read(object, fields, FL_COUNT(fields), FL_JSON_IGNORE, &f, err);

	out->n = 0;
	for (size_t i = 0; code == FL_OK && i < json_array_size(f.keyids); i++)
		code = add_key(out, keys, json_string_value(json_array_get(f.keyids, i)), err);
	if (code == FL_OK && f.threshold > (int64_t)out->n)
		return fl_fail(err, FL_INVALID, "its threshold is above its number of keys");
	out->threshold = f.threshold;
	return code;
}

static enum fl_code read_root(const json_t *content, struct fl_root *out, struct fl_err *err)
{
	static const struct fl_json_field fields[] = {
		FL_FIELD(struct root_fields, type, "_type", STRING, .required = true),
		FL_FIELD(struct root_fields, version, "version", INT, .required = true, .min = 1,
			.max = INT64_MAX),
		FL_FIELD(struct root_fields, expires, "expires", STRING, .required = true),
		FL_FIELD(struct root_fields, keys, "keys", OBJECT, .required = true),
		FL_FIELD(struct root_fields, roles, "roles", OBJECT, .required = true),
		FL_FIELD(struct root_fields, manifest, "x-fleetd-manifest", OBJECT,
			.required = true),
		FL_FIELD(struct root_fields, quick_start, "x-fleetd-quick-start", BOOL),
	};
	struct root_fields f = { 0 };
	enum fl_code code =
		fl_json_read(content, fields, FL_COUNT(fields), FL_JSON_IGNORE, &f, err);

	if (code == FL_OK && strcmp(f.type, "root") != 0)
		code = fl_fail(err, FL_INVALID, "it is of type \"%.32s\", not \"root\"", f.type);
	if (code == FL_OK)
		code = fl_utc_read(f.expires, &out->expires_ms, err);
	if (code == FL_OK)
		code = read_role(json_object_get(f.roles, "root"), f.keys, &out->root, err);
	if (code == FL_OK)
		code = read_role(f.manifest, f.keys, &out->manifest, err);
	if (code != FL_OK) {
		fl_wrap(err, "root");
		return code;
	}
	out->version = f.version;
	out->quick_start = f.quick_start;
	return FL_OK;
}

enum fl_code fl_root_first(struct fl_bytes text, struct fl_root *out, struct fl_err *err)
{
	FL_AUTO_JSON json_t *envelope = NULL;
	struct envelope_fields e = { 0 };
	struct fl_root root;
	enum fl_code code = split(text, &envelope, &e, err);

	if (code == FL_OK)
		code = read_root(e.content, &root, err);
	if (code == FL_OK)
		code = check_threshold(&e, &root.root, err);
	if (code == FL_OK)
		*out = root;
	return code;
}

enum fl_code fl_root_next(struct fl_root *root, struct fl_bytes text, struct fl_err *err)
{
	FL_AUTO_JSON json_t *envelope = NULL;
	struct envelope_fields e = { 0 };
	struct fl_root next;
	enum fl_code code = split(text, &envelope, &e, err);

	if (code == FL_OK)
		code = check_threshold(&e, &root->root, err);
	if (code == FL_OK)
		code = read_root(e.content, &next, err);
	if (code == FL_OK)
		code = check_threshold(&e, &next.root, err);
	if (code != FL_OK)
		return code;
	if (next.version != root->version + 1)
		return fl_fail(err, FL_REFUSED, "root %lld cannot follow root %lld",
			(long long)next.version, (long long)root->version);
	*root = next;
	return FL_OK;
}
