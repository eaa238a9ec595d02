/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/wire.h"

#include <string.h>

/* ---- sessions */

static void put_le(uint8_t *to, uint64_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		to[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get_le(const uint8_t *from, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)from[i] << (8 * i);
	return v;
}

void fl_wire_session_pack(const struct fl_wire_session *s, uint8_t out[FL_WIRE_SESSION_LEN])
{
	put_le(out, s->device_no, 8);
	put_le(out + 8, s->epoch, 4);
	put_le(out + 12, s->issued, 4);
}

void fl_wire_session_unpack(const uint8_t in[FL_WIRE_SESSION_LEN], struct fl_wire_session *s)
{
	s->device_no = get_le(in, 8);
	s->epoch = (uint32_t)get_le(in + 8, 4);
	s->issued = (uint32_t)get_le(in + 12, 4);
}

void fl_wire_session_key(const uint8_t secret[FL_KEY_LEN],
	const uint8_t session[FL_WIRE_SESSION_LEN], uint8_t out[FL_KEY_LEN])
{
	fl_derive(secret, fl_bytes(session, FL_WIRE_SESSION_LEN), out);
}

/* ---- text without printf: on the way of every poll */

static char *put_text(char *to, const char *s, size_t n)
{
	memcpy(to, s, n);
	return to + n;
}

static char *put_number(char *to, uint64_t v)
{
	char digits[20];
	size_t n = sizeof(digits);

	do {
		digits[--n] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	return put_text(to, digits + n, sizeof(digits) - n);
}

/* Read a decimal number of at most `max` without leading zeros; returns where it ends, NULL if there
 * is none. */
static const char *get_number(const char *from, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;
	const char *p = from;

	for (; *p >= '0' && *p <= '9'; p++) {
		unsigned digit = (unsigned)(*p - '0');

		if (v > (max - digit) / 10)
			return NULL;
		v = v * 10 + digit;
	}
	if (p == from || (*from == '0' && p - from > 1))
		return NULL;
	*out = v;
	return p;
}

/* ---- requests */

#define METHOD_MAX 16
/* Three numbers, line feeds and the body's digest. */
#define TAIL_MAX (3 * 21 + FL_BLAKE2_LEN)

/* NONCE "\n" MANIFEST "\n" and the digest of the body. */
static char *put_tail(char *p, uint64_t nonce, int64_t manifest, struct fl_bytes body)
{
	p = put_number(p, nonce);
	*p++ = '\n';
	p = put_number(p, (uint64_t)manifest);
	*p++ = '\n';
	if (body.n == 0)
		return p;
	fl_blake2b(body, (uint8_t *)p);
	return p + FL_BLAKE2_LEN;
}

bool fl_wire_request_mac(
	const uint8_t key[FL_KEY_LEN], const struct fl_wire_request *r, uint8_t mac[FL_MAC_LEN])
{
	char text[METHOD_MAX + FL_WIRE_PATH_MAX + 2 + TAIL_MAX], *p = text;
	size_t n_method = strlen(r->method), n_path = strlen(r->path);

	if (n_method > METHOD_MAX || n_path > FL_WIRE_PATH_MAX)
		return false;
	p = put_text(p, r->method, n_method);
	*p++ = '\n';
	p = put_text(p, r->path, n_path);
	*p++ = '\n';
	p = put_tail(p, r->nonce, r->manifest, r->body);
	fl_mac(key, fl_bytes(text, (size_t)(p - text)), mac);
	return true;
}

static const char auth_scheme[] = "Fleet ";
#define AUTH_SCHEME_LEN (sizeof(auth_scheme) - 1)

size_t fl_wire_auth_write(char out[FL_WIRE_AUTH_MAX], const struct fl_wire_auth *a)
{
	char *p = put_text(out, auth_scheme, AUTH_SCHEME_LEN);

	fl_base64(a->session, sizeof(a->session), p);
	p += FL_WIRE_SESSION_TEXT;
	*p++ = '.';
	p = put_number(p, a->nonce);
	*p++ = '.';
	p = put_number(p, (uint64_t)a->manifest);
	*p++ = '.';
	fl_base64(a->mac, sizeof(a->mac), p);
	return (size_t)(p - out) + FL_MAC_TEXT;
}

bool fl_wire_auth_read(const char *header, struct fl_wire_auth *out)
{
	const char *p = header + AUTH_SCHEME_LEN;
	uint64_t manifest;

	if (strncmp(header, auth_scheme, AUTH_SCHEME_LEN) != 0 ||
		!fl_unbase64(p, out->session, sizeof(out->session)))
		return false;
	p += FL_WIRE_SESSION_TEXT;
	if (*p++ != '.')
		return false;
	p = get_number(p, UINT64_MAX, &out->nonce);
	if (p == NULL || *p++ != '.')
		return false;
	p = get_number(p, INT64_MAX, &manifest);
	if (p == NULL || *p++ != '.')
		return false;
	out->manifest = (int64_t)manifest;
	return fl_unbase64(p, out->mac, sizeof(out->mac)) && p[FL_MAC_TEXT] == '\0';
}

bool fl_wire_authorize(char out[FL_WIRE_AUTH_MAX], const char *session,
	const uint8_t key[FL_KEY_LEN], const struct fl_wire_request *r)
{
	struct fl_wire_auth a = { .nonce = r->nonce, .manifest = r->manifest };

	if (!fl_unbase64_all(session, a.session, sizeof(a.session)))
		return false;
	if (!fl_wire_request_mac(key, r, a.mac))
		return false;
	fl_wire_auth_write(out, &a);
	return true;
}

/* ---- answers */

void fl_wire_answer_mac(
	const uint8_t key[FL_KEY_LEN], const struct fl_wire_answer *a, uint8_t mac[FL_MAC_LEN])
{
	char text[TAIL_MAX], *p = put_number(text, a->status);

	*p++ = '\n';
	p = put_tail(p, a->nonce, a->manifest, a->body);
	fl_mac(key + FL_MAC_KEY, fl_bytes(text, (size_t)(p - text)), mac);
}

size_t fl_wire_answer_write(
	char out[FL_WIRE_ANSWER_MAX], const uint8_t key[FL_KEY_LEN], const struct fl_wire_answer *a)
{
	uint8_t mac[FL_MAC_LEN];
	char *p = put_number(out, (uint64_t)a->manifest);

	*p++ = '.';
	fl_wire_answer_mac(key, a, mac);
	fl_base64(mac, sizeof(mac), p);
	return (size_t)(p - out) + FL_MAC_TEXT;
}

enum fl_code fl_wire_answer_check(const char *header, const uint8_t key[FL_KEY_LEN],
	struct fl_wire_answer *a, struct fl_err *err)
{
	uint8_t mac[FL_MAC_LEN], right[FL_MAC_LEN];
	struct fl_wire_answer seen = *a;
	uint64_t manifest;
	const char *p;

	if (header == NULL)
		return fl_fail(err, FL_SIGNATURE, "the answer %u carries no MAC", a->status);
	p = get_number(header, INT64_MAX, &manifest);
	if (p == NULL || *p++ != '.' || !fl_unbase64_all(p, mac, sizeof(mac)))
		return fl_fail(
			err, FL_SIGNATURE, "the MAC of the answer %u is malformed", a->status);
	seen.manifest = (int64_t)manifest;
	fl_wire_answer_mac(key, &seen, right);
	if (!fl_equal(mac, right, sizeof(mac)))
		return fl_fail(err, FL_SIGNATURE, "the MAC of the answer %u is wrong", a->status);
	a->manifest = seen.manifest;
	return FL_OK;
}

/* ---- signed bodies */

/* The canonical text of all members but "signature". */
static enum fl_code signed_text(const json_t *body, struct fl_buf *out, struct fl_err *err)
{
	FL_AUTO_JSON json_t *copy = json_copy((json_t *)body);
	enum fl_code code;

	if (copy == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a message");
	json_object_del(copy, "signature");
	code = fl_json_canonical(out, copy, err);
	return code == FL_OK ? fl_buf_check(out, err) : code;
}

enum fl_code fl_wire_sign(json_t *body, const struct fl_sign_key *key, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	uint8_t signature[FL_SIGNATURE_LEN];
	char base64[FL_BASE64_LEN(FL_SIGNATURE_LEN) + 1];
	enum fl_code code = signed_text(body, &text, err);

	if (code != FL_OK)
		return code;
	fl_sign(key, fl_bytes(text.p, text.n), signature);
	fl_base64(signature, sizeof(signature), base64);
	if (json_object_set_new(body, "signature", json_string(base64)) != 0)
		return fl_fail(err, FL_NOMEM, "no memory for a signature");
	return FL_OK;
}

enum fl_code fl_wire_verify(
	const json_t *body, const uint8_t key[FL_PUBLIC_LEN], struct fl_err *err)
{
	const char *base64 = json_string_value(json_object_get(body, "signature"));
	FL_AUTO_BUF struct fl_buf text = { 0 };
	uint8_t signature[FL_SIGNATURE_LEN];
	enum fl_code code;

	if (base64 == NULL || !fl_unbase64_all(base64, signature, sizeof(signature)))
		return fl_fail(err, FL_SIGNATURE, "the message is not signed");
	code = signed_text(body, &text, err);
	return code == FL_OK ? fl_verify(key, fl_bytes(text.p, text.n), signature, err) : code;
}

/* ---- reports */

static const struct {
	const char *text;
	bool ends;
} states[] = {
#define STATE_ROW(code, text, ends) { text, ends },
	FL_WIRE_STATES(STATE_ROW)
};

const char *fl_wire_state_text(enum fl_wire_state s)
{
	return states[s].text;
}

bool fl_wire_state_ends(enum fl_wire_state s)
{
	return states[s].ends;
}

bool fl_wire_state_parse(const char *text, enum fl_wire_state *out)
{
	for (size_t i = 0; i < FL_COUNT(states); i++) {
		if (strcmp(states[i].text, text) == 0) {
			*out = (enum fl_wire_state)i;
			return true;
		}
	}
	return false;
}

/* The optional fields of a report, as they come. */
struct report_fields {
	struct fl_wire_report r;
	const char *state, *signature;
};

static enum fl_code check_report(struct report_fields *f, struct fl_err *err)
{
	if (!fl_wire_state_parse(f->state, &f->r.state))
		return fl_fail(err, FL_INVALID, "\"state\" has no value \"%s\"", f->state);
	if (fl_wire_state_ends(f->r.state) && f->signature == NULL)
		return fl_fail(
			err, FL_INVALID, "\"%s\" ends a step: \"signature\" is missing", f->state);
	return FL_OK;
}

#define REPORT(member, name, kind, ...) \
	FL_FIELD(struct report_fields, r.member, name, kind, __VA_ARGS__)

enum fl_code fl_wire_report_read(const json_t *body, struct fl_wire_report *out, struct fl_err *err)
{
	static const struct fl_json_field fields[] = {
		FL_FIELD(struct report_fields, state, "state", STRING, .required = true, .max = 32),
		FL_FIELD(struct report_fields, signature, "signature", STRING, .max = 128),
		REPORT(step, "step", STRING, .max = FL_WIRE_STEP_MAX),
		REPORT(manifest, "manifest", INT, .required = true, .max = INT64_MAX),
		REPORT(cause, "cause", STRING, .max = 32),
		REPORT(wait, "wait", STRING, .max = 32),
		REPORT(detail, "detail", STRING, .max = FL_WIRE_DETAIL_MAX),
		REPORT(progress, "progress", INT, .max = 100),
		REPORT(bytes, "bytes", INT, .max = FL_WIRE_BYTES_MAX),
		REPORT(saved, "saved", INT, .max = FL_WIRE_BYTES_MAX),
		REPORT(installed, "installed", ARRAY, .max = FL_WIRE_INSTALLED_MAX),
		REPORT(time_ms, "time", INT, .max = INT64_MAX),
	};
	struct report_fields f = { .r = { .progress = -1, .bytes = -1, .saved = -1 } };
	enum fl_code code = fl_json_read(body, fields, FL_COUNT(fields), FL_JSON_IGNORE, &f, err);

	if (code == FL_OK)
		code = check_report(&f, err);
	if (code == FL_OK)
		*out = f.r;
	return code;
}
