/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/protocol.h"

#include "lib/httpsig.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NONCE_BYTES 16

void protocol_message_fini(struct protocol_message *m)
{
	fl_buf_fini(&m->headers);
	fl_buf_fini(&m->body);
}

static void begin(struct protocol_message *m, const char *method, const char *path)
{
	FL_BUG_IF(strlen(path) >= sizeof(m->path));
	m->method = method;
	memmove(m->path, path, strlen(path) + 1);
	fl_buf_reset(&m->headers);
	m->nonce = 0;
	m->proof[0] = '\0';
}

static struct fl_bytes body_of(const struct protocol_message *m)
{
	return (struct fl_bytes){ m->body.p, m->body.n };
}

static enum fl_code check_buffers(const struct protocol_message *m, struct fl_err *err)
{
	enum fl_code code = fl_buf_check(&m->headers, err);

	return code == FL_OK ? fl_buf_check(&m->body, err) : code;
}

/* ---- signed by the device's key: RFC 9421 over method, path and content digest */

struct covered {
	const char *method, *path, *digest;
};

static const char *covered_value(void *ctx, const char *component)
{
	const struct covered *c = ctx;

	if (strcmp(component, "@method") == 0)
		return c->method;
	if (strcmp(component, "@path") == 0)
		return c->path;
	return strcmp(component, "content-digest") == 0 ? c->digest : NULL;
}

static void describe(struct fl_httpsig *s, const char *device, int64_t now_s)
{
	static const char *const components[] = { "@method", "@path", "content-digest" };
	uint8_t nonce[NONCE_BYTES];

	memset(s, 0, sizeof(*s));
	for (size_t i = 0; i < FL_COUNT(components); i++)
		memcpy(s->component[i], components[i], strlen(components[i]) + 1);
	s->n_components = FL_COUNT(components);
	s->created = now_s;
	s->expires = -1;
	memcpy(s->keyid, device, strlen(device) + 1);
	fl_random(nonce, sizeof(nonce));
	fl_base64(nonce, sizeof(nonce), s->nonce);
}

static enum fl_code sign(struct protocol_message *m, const char *device,
	const struct fl_sign_key *key, int64_t now_s, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf digest = { 0 }, input = { 0 }, signature = { 0 };
	struct covered covered = { .method = m->method, .path = m->path };
	struct fl_httpsig s;
	enum fl_code code;

	if (strlen(device) >= sizeof(s.keyid))
		return fl_fail(err, FL_INVALID, "the device id is too long");
	fl_content_digest(&digest, body_of(m));
	if (fl_buf_check(&digest, err) != FL_OK)
		return FL_NOMEM;
	covered.digest = (const char *)digest.p;
	describe(&s, device, now_s);
	memcpy(m->proof, s.nonce, strlen(s.nonce) + 1);
	code = fl_httpsig_sign(&s, key, covered_value, &covered, err);
	if (code != FL_OK)
		return code;
	fl_httpsig_write(&s, &input, &signature);
	code = fl_buf_check(&input, err);
	if (code == FL_OK)
		code = fl_buf_check(&signature, err);
	if (code != FL_OK)
		return code;
	fl_buf_printf(&m->headers,
		"Content-Type: application/json\r\nContent-Digest: %s\r\n"
		"Signature-Input: %s\r\nSignature: %s\r\n",
		(const char *)digest.p, (const char *)input.p, (const char *)signature.p);
	return check_buffers(m, err);
}

static enum fl_code set_body(struct protocol_message *m, json_t *value, struct fl_err *err)
{
	fl_buf_reset(&m->body);
	if (value == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a request");
	fl_json_write(&m->body, value);
	json_decref(value);
	return fl_buf_check(&m->body, err);
}

enum fl_code protocol_enrol(struct protocol_message *m, const struct protocol_device *device,
	const struct fl_sign_key *key, const char *token, int64_t now_s, struct fl_err *err)
{
	char public[FL_BASE64_LEN(FL_PUBLIC_LEN) + 1];
	enum fl_code code;

	begin(m, "POST", "/device/v1/enrol");
	fl_base64(key->public.key, FL_PUBLIC_LEN, public);
	code = set_body(m,
		json_pack("{s:s, s:s, s:s, s:s*, s:O, s:O}", "device", device->id, "public_key",
			public, "tier", device->tier, "gateway", device->gateway, "attributes",
			device->attributes, "installed", device->installed),
		err);
	if (code != FL_OK)
		return code;
	fl_buf_printf(&m->headers, "Authorization: Bearer %s\r\n", token);
	return sign(m, device->id, key, now_s, err);
}

struct enrolled {
	int64_t no, server_time;
	json_t *root;
};

enum fl_code protocol_enrol_read(
	const struct protocol_answer *a, struct protocol_enrolment *out, struct fl_err *err)
{
	static const struct fl_json_field fields[] = {
		FL_FIELD(struct enrolled, no, "no", INT, .required = true),
		FL_FIELD(struct enrolled, server_time, "server_time", INT, .required = true),
		FL_FIELD(struct enrolled, root, "root", OBJECT, .required = true),
	};
	FL_AUTO_JSON json_t *j = NULL;
	struct enrolled e = { 0 };
	enum fl_code code;

	if (a->status != 200 && a->status != 201)
		return protocol_problem(a, err);
	code = fl_json_parse(a->body, &j, err);
	if (code == FL_OK)
		code = fl_json_read(j, fields, FL_COUNT(fields), FL_JSON_IGNORE, &e, err);
	if (code != FL_OK)
		return code;
	out->root = json_dumps(e.root, JSON_COMPACT);
	if (out->root == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the root");
	out->no = e.no;
	out->server_time_ms = e.server_time;
	return FL_OK;
}

enum fl_code protocol_handshake(struct protocol_message *m, const char *device,
	const struct fl_sign_key *key, int64_t now_s, struct fl_err *err)
{
	enum fl_code code;

	begin(m, "POST", "/device/v1/session");
	code = set_body(m, json_pack("{s:s}", "device", device), err);
	return code == FL_OK ? sign(m, device, key, now_s, err) : code;
}

struct session_answer {
	const char *device, *nonce, *session, *sealed_key;
	int64_t expires_in_s, poll_interval_s, manifest, server_time;
};

static enum fl_code open_key(const struct session_answer *s, const struct fl_sign_key *key,
	uint8_t out[FL_KEY_LEN], struct fl_err *err)
{
	uint8_t sealed[FL_KEY_LEN + FL_SEAL_EXTRA];

	if (!fl_unbase64_all(s->sealed_key, sealed, sizeof(sealed)))
		return fl_fail(err, FL_INVALID, "the sealed key is not base64 of %zu bytes",
			sizeof(sealed));
	return fl_unseal(key, fl_bytes(sealed, sizeof(sealed)), out, err);
}

int64_t protocol_clock(const struct protocol_answer *a)
{
	FL_AUTO_JSON json_t *j = NULL;

	if (a->status != 401 || fl_json_parse(a->body, &j, NULL) != FL_OK)
		return 0;
	return json_integer_value(json_object_get(j, "server_time"));
}

/* Signed by a key that the root trusts, for this device, in answer to this very handshake. */
static enum fl_code check_handshake(const json_t *body, const struct session_answer *s,
	const struct protocol_message *m, const struct protocol_party *party, struct fl_err *err)
{
	enum fl_code code = fl_fail(err, FL_SIGNATURE, "no key is trusted for handshakes");

	for (size_t i = 0; i < party->trust->n && code != FL_OK; i++)
		code = fl_wire_verify(body, party->trust->keys[i].key, err);
	if (code != FL_OK) {
		(void)fl_wrap(err, "the answer to the handshake");
		return FL_SIGNATURE;
	}
	if (strcmp(s->device, party->device) != 0 || strcmp(s->nonce, m->proof) != 0)
		return fl_fail(err, FL_SIGNATURE, "the answer belongs to another handshake");
	return FL_OK;
}

static enum fl_code read_session(const struct session_answer *s, const struct fl_sign_key *key,
	struct protocol_session *out, struct fl_err *err)
{
	struct protocol_session made = { 0 };
	enum fl_code code;

	if (strlen(s->session) != sizeof(made.id) - 1)
		return fl_fail(err, FL_INVALID, "the session's id has a wrong length");
	code = open_key(s, key, made.key, err);
	if (code != FL_OK)
		return code;
	memcpy(made.id, s->session, sizeof(made.id));
	made.expires_in_s = s->expires_in_s;
	made.poll_interval_s = s->poll_interval_s;
	made.manifest = s->manifest;
	made.server_time_ms = s->server_time;
	*out = made;
	return FL_OK;
}

enum fl_code protocol_handshake_read(const struct protocol_message *m,
	const struct protocol_answer *a, const struct protocol_party *party,
	struct protocol_session *out, struct fl_err *err)
{
	static const struct fl_json_field fields[] = {
		FL_FIELD(struct session_answer, device, "device", STRING, .required = true),
		FL_FIELD(struct session_answer, nonce, "nonce", STRING, .required = true),
		FL_FIELD(struct session_answer, session, "session", STRING, .required = true),
		FL_FIELD(struct session_answer, sealed_key, "sealed_key", STRING, .required = true),
		FL_FIELD(
			struct session_answer, expires_in_s, "expires_in_s", INT, .required = true),
		FL_FIELD(struct session_answer, poll_interval_s, "poll_interval_s", INT),
		FL_FIELD(struct session_answer, manifest, "manifest", INT),
		FL_FIELD(struct session_answer, server_time, "server_time", INT),
	};
	FL_AUTO_JSON json_t *j = NULL;
	struct session_answer s = { .poll_interval_s = 60 };
	enum fl_code code;

	if (a->status != 200)
		return protocol_problem(a, err);
	code = fl_json_parse(a->body, &j, err);
	if (code == FL_OK)
		code = fl_json_read(j, fields, FL_COUNT(fields), FL_JSON_IGNORE, &s, err);
	if (code == FL_OK)
		code = check_handshake(j, &s, m, party, err);
	return code == FL_OK ? read_session(&s, party->key, out, err) : code;
}

/* ---- under a session */

static enum fl_code authorize(struct protocol_message *m, struct protocol_session *s,
	int64_t manifest, int64_t now_ms, struct fl_err *err)
{
	struct fl_wire_request request = {
		.method = m->method,
		.path = m->path,
		.manifest = manifest,
		.body = body_of(m),
	};
	char value[FL_WIRE_AUTH_MAX];

	s->nonce = now_ms > 0 && (uint64_t)now_ms > s->nonce ? (uint64_t)now_ms : s->nonce + 1;
	m->nonce = request.nonce = s->nonce;
	if (!fl_wire_authorize(value, s->id, s->key, &request))
		return fl_fail(err, FL_INVALID, "the session's id is malformed");
	fl_buf_printf(&m->headers, FL_WIRE_AUTH_HEADER ": %s\r\n", value);
	if (m->body.n > 0)
		fl_buf_str(&m->headers, "Content-Type: application/json\r\n");
	return check_buffers(m, err);
}

enum fl_code protocol_poll(struct protocol_message *m, struct protocol_session *s, int64_t manifest,
	int64_t now_ms, struct fl_err *err)
{
	begin(m, "GET", "/device/v1/poll");
	fl_buf_reset(&m->body);
	return authorize(m, s, manifest, now_ms, err);
}

enum fl_code protocol_inventory_body(struct protocol_message *m, const json_t *attributes,
	const json_t *installed, struct fl_err *err)
{
	return set_body(
		m, json_pack("{s:O, s:O}", "attributes", attributes, "installed", installed), err);
}

enum fl_code protocol_inventory(struct protocol_message *m, struct protocol_session *s,
	int64_t manifest, int64_t now_ms, struct fl_err *err)
{
	begin(m, "PUT", "/device/v1/inventory");
	return authorize(m, s, manifest, now_ms, err);
}

enum fl_code protocol_report_body(struct protocol_message *m, const json_t *report,
	const struct fl_sign_key *key, struct fl_err *err)
{
	const char *word = json_string_value(json_object_get(report, "state"));
	FL_AUTO_JSON json_t *copy = json_copy((json_t *)report);
	enum fl_wire_state state;
	enum fl_code code = FL_OK;

	if (word == NULL || !fl_wire_state_parse(word, &state))
		return fl_fail(err, FL_INVALID, "a report without a state");
	if (copy != NULL && fl_wire_state_ends(state))
		code = fl_wire_sign(copy, key, err);
	return code == FL_OK ? set_body(m, fl_steal(&copy), err) : code;
}

enum fl_code protocol_report(struct protocol_message *m, struct protocol_session *s,
	int64_t manifest, int64_t now_ms, struct fl_err *err)
{
	begin(m, "POST", "/device/v1/report");
	return authorize(m, s, manifest, now_ms, err);
}

/* ---- artifacts */

enum fl_code protocol_ask(struct protocol_message *m, struct protocol_session *s,
	const struct protocol_wish *wish, int64_t manifest, int64_t now_ms, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf path = { 0 };

	fl_buf_printf(&path, "/device/v1/artifacts/%s?codecs=%s&memory=%" PRId64 "%s", wish->sha256,
		wish->codecs, wish->memory, wish->chain ? "&chain=1" : "");
	for (size_t i = 0; i < wish->n_have; i++) {
		if (path.n + FL_SHA256_HEX + 8 >= sizeof(m->path))
			break;
		fl_buf_printf(&path, "%s%s", i == 0 ? "&have=" : ",", wish->have[i]);
	}
	if (fl_buf_check(&path, err) != FL_OK)
		return FL_NOMEM;
	begin(m, "GET", (const char *)path.p);
	fl_buf_reset(&m->body);
	return authorize(m, s, manifest, now_ms, err);
}

static bool is_digest(const char *text)
{
	uint8_t raw[FL_SHA256_LEN];

	return fl_unhex(text, raw, sizeof(raw));
}

static bool is_had(const struct protocol_wish *wish, const char *sha256)
{
	for (size_t i = 0; i < wish->n_have; i++)
		if (strcmp(sha256, wish->have[i]) == 0)
			return true;
	return false;
}

struct leg_answer {
	const char *codec, *from, *sha256, *url, *to;
	int64_t size, to_size;
};

static enum fl_code check_leg(const struct leg_answer *l, struct fl_err *err)
{
	if (!is_digest(l->sha256) || !is_digest(l->to))
		return fl_fail(err, FL_INVALID, "the digest of the download is none");
	if (l->url[0] != '/' || l->url[1] == '/' || strpbrk(l->url, " \r\n\t#") != NULL)
		return fl_fail(err, FL_INVALID, "it does not lead to a place on this server");
	return FL_OK;
}

static enum fl_code read_leg(const json_t *j, struct protocol_leg *out, struct fl_err *err)
{
	static const struct fl_json_field fields[] = {
		FL_FIELD(struct leg_answer, codec, "codec", STRING, .required = true, .min = 1,
			.max = sizeof(out->codec) - 1),
		FL_FIELD(struct leg_answer, from, "from", STRING, .min = FL_SHA256_HEX,
			.max = FL_SHA256_HEX),
		FL_FIELD(struct leg_answer, sha256, "sha256", STRING, .required = true,
			.min = FL_SHA256_HEX, .max = FL_SHA256_HEX),
		FL_FIELD(struct leg_answer, url, "url", STRING, .required = true, .min = 1,
			.max = sizeof(out->url) - 1),
		FL_FIELD(struct leg_answer, to, "to", STRING, .required = true,
			.min = FL_SHA256_HEX, .max = FL_SHA256_HEX),
		FL_FIELD(struct leg_answer, size, "size", INT, .required = true, .min = 0,
			.max = INT64_MAX / 8),
		FL_FIELD(struct leg_answer, to_size, "to_size", INT, .required = true, .min = 0,
			.max = INT64_MAX / 8),
	};
	struct leg_answer l = { 0 };
	enum fl_code code = fl_json_read(j, fields, FL_COUNT(fields), FL_JSON_IGNORE, &l, err);

	if (code == FL_OK)
		code = check_leg(&l, err);
	if (code != FL_OK)
		return code;
	*out = (struct protocol_leg){ .size = l.size, .to_size = l.to_size };
	memcpy(out->codec, l.codec, strlen(l.codec) + 1);
	memcpy(out->sha256, l.sha256, sizeof(out->sha256));
	memcpy(out->to, l.to, sizeof(out->to));
	memcpy(out->url, l.url, strlen(l.url) + 1);
	if (l.from != NULL)
		memcpy(out->from, l.from, sizeof(out->from));
	return FL_OK;
}

/* It begins with what is here, ends with what was asked for, and fits together. */
static enum fl_code check_offer(
	const struct protocol_offer *o, const struct protocol_wish *wish, struct fl_err *err)
{
	const struct protocol_leg *first = &o->legs[0], *last = &o->legs[o->n - 1];

	if (strcmp(last->to, wish->sha256) != 0)
		return fl_fail(err, FL_INVALID, "it is for another artifact");
	if (first->from[0] != '\0' && !is_had(wish, first->from))
		return fl_fail(err, FL_INVALID, "it starts from bytes that are not here");
	if (o->n == 2 && (!wish->chain || strcmp(first->to, last->from) != 0))
		return fl_fail(err, FL_INVALID, "its two parts do not fit together");
	return FL_OK;
}

enum fl_code protocol_offer_read(struct fl_bytes body, const struct protocol_wish *wish,
	struct protocol_offer *out, struct fl_err *err)
{
	FL_AUTO_JSON json_t *j = NULL;
	struct protocol_offer o = { 0 };
	const json_t *via;
	enum fl_code code = fl_json_parse(body, &j, err);

	via = json_object_get(j, "via");
	if (code == FL_OK && via != NULL)
		code = read_leg(via, &o.legs[o.n++], err);
	if (code == FL_OK)
		code = read_leg(j, &o.legs[o.n++], err);
	if (code == FL_OK)
		code = check_offer(&o, wish, err);
	if (code != FL_OK) {
		(void)fl_wrap(err, "the offer of %.12s", wish->sha256);
		return code;
	}
	*out = o;
	return FL_OK;
}

/* ---- answers */

static enum fl_code check_refusal(const struct protocol_answer *a, struct fl_err *err)
{
	FL_AUTO_JSON json_t *j = NULL;
	const char *type = NULL, *nonce = fl_problem_type(FL_NONCE);
	size_t n;

	if (fl_json_parse(a->body, &j, NULL) == FL_OK)
		type = json_string_value(json_object_get(j, "type"));
	n = type == NULL ? 0 : strlen(type);
	if (n >= strlen(nonce) && strcmp(type + n - strlen(nonce), nonce) == 0)
		return fl_fail(err, FL_NONCE, "the nonce is not above the last one");
	return fl_fail(err, FL_UNAUTHENTICATED, "the session is not known to the server");
}

enum fl_code protocol_check(const struct protocol_message *m, const struct protocol_session *s,
	const struct protocol_answer *a, int64_t manifest, int64_t *newest, struct fl_err *err)
{
	struct fl_wire_answer answer = {
		.status = (unsigned)a->status,
		.nonce = m->nonce,
		.body = a->body,
	};
	bool proof = a->mac != NULL && a->mac[0] != '\0';
	enum fl_code code;

	if (a->status == 401)
		return check_refusal(a, err);
	if (!proof && (a->status == 429 || a->status >= 500))
		return fl_fail(err, FL_UNAVAILABLE, "the server answered %d", a->status);
	code = fl_wire_answer_check(proof ? a->mac : NULL, s->key, &answer, err);
	if (code != FL_OK) {
		(void)fl_wrap(err, "the answer %d", a->status);
		return code;
	}
	if (answer.manifest < manifest)
		return fl_fail(err, FL_SIGNATURE,
			"the answer is of manifest %" PRId64 ", older than %" PRId64
			" which is here",
			answer.manifest, manifest);
	*newest = answer.manifest;
	return FL_OK;
}

static enum fl_code code_of_status(int status)
{
	static const enum fl_code exact[] = { FL_INVALID, FL_UNAUTHENTICATED, FL_FORBIDDEN,
		FL_NOT_FOUND, FL_CONFLICT, FL_GONE, FL_TOO_LARGE, FL_REFUSED, FL_BUSY };

	for (size_t i = 0; i < FL_COUNT(exact); i++) {
		if (fl_http_status(exact[i]) == status)
			return exact[i];
	}
	return status >= 500 ? FL_UNAVAILABLE : FL_INVALID;
}

bool protocol_holds(const struct protocol_answer *a)
{
	FL_AUTO_JSON json_t *body = NULL;

	return a->status == 200 && fl_json_parse(a->body, &body, NULL) == FL_OK &&
		json_is_true(json_object_get(body, "hold"));
}

enum fl_code protocol_problem(const struct protocol_answer *a, struct fl_err *err)
{
	FL_AUTO_JSON json_t *j = NULL;
	const char *detail = NULL;

	if (fl_json_parse(a->body, &j, NULL) == FL_OK) {
		detail = json_string_value(json_object_get(j, "detail"));
		if (detail == NULL)
			detail = json_string_value(json_object_get(j, "title"));
	}
	return fl_fail(err, code_of_status(a->status), "the server answered %d: %.200s", a->status,
		detail != NULL ? detail : "no reason given");
}
