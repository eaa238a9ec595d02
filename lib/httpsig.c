/* SPDX-License-Identifier: Apache-2.0
 *
 * The parser reads the part of RFC 8941 that signatures need: a dictionary with one member whose
 * value is an inner list of strings with parameters, and one whose value is a byte sequence. */
#include "lib/httpsig.h"

#include <inttypes.h>
#include <string.h>

/* ---- a cursor over a header's value */

struct cursor {
	const char *p; /* NUL-terminated */
};

static void skip_blanks(struct cursor *c)
{
	while (*c->p == ' ' || *c->p == '\t')
		c->p++;
}

static bool take(struct cursor *c, char wanted)
{
	if (*c->p != wanted)
		return false;
	c->p++;
	return true;
}

static bool is_key_char(char ch, bool first)
{
	if ((ch >= 'a' && ch <= 'z') || ch == '*')
		return true;
	return !first && ((ch >= '0' && ch <= '9') || ch == '_' || ch == '-' || ch == '.');
}

/* An RFC 8941 key into `out` of `size` bytes. */
static bool take_key(struct cursor *c, char *out, size_t size)
{
	size_t n = 0;

	while (is_key_char(*c->p, n == 0)) {
		if (n + 1 >= size)
			return false;
		out[n++] = *c->p++;
	}
	out[n] = '\0';
	return n > 0;
}

/* An RFC 8941 string: quotes, printable ASCII, \" and \\ escaped. */
static bool take_string(struct cursor *c, char *out, size_t size)
{
	size_t n = 0;

	if (!take(c, '"'))
		return false;
	while (*c->p != '"') {
		if (*c->p == '\\') {
			c->p++;
			if (*c->p != '"' && *c->p != '\\')
				return false;
		}
		if (*c->p < 0x20 || *c->p > 0x7e || n + 1 >= size)
			return false;
		out[n++] = *c->p++;
	}
	c->p++;
	out[n] = '\0';
	return true;
}

/* A time: digits only, at most the 15 of RFC 8941. */
static bool take_time(struct cursor *c, int64_t *out)
{
	int64_t v = 0;
	int digits = 0;

	while (*c->p >= '0' && *c->p <= '9' && digits < 15) {
		v = v * 10 + (*c->p++ - '0');
		digits++;
	}
	*out = v;
	return digits > 0;
}

/* ---- reading */

/* ("@method" "@path" …) */
static enum fl_code read_components(struct cursor *c, struct fl_httpsig *s, struct fl_err *err)
{
	if (!take(c, '('))
		return fl_fail(err, FL_INVALID, "Signature-Input has no list of components");
	for (;;) {
		char *name;

		skip_blanks(c);
		if (take(c, ')'))
			return FL_OK;
		if (s->n_components == FL_HTTPSIG_COMPONENTS_MAX)
			return fl_fail(err, FL_INVALID, "more than %d components are covered",
				FL_HTTPSIG_COMPONENTS_MAX);
		name = s->component[s->n_components];
		if (!take_string(c, name, FL_HTTPSIG_NAME_MAX + 1) || name[0] == '\0')
			return fl_fail(err, FL_INVALID, "a component's name is malformed");
		if (*c->p == ';')
			return fl_fail(err, FL_INVALID,
				"component \"%s\" has parameters, which are "
				"not understood",
				name);
		if (*c->p != ' ' && *c->p != ')')
			return fl_fail(err, FL_INVALID, "Signature-Input is malformed");
		if (fl_httpsig_covers(s, name))
			return fl_fail(err, FL_INVALID, "component \"%s\" comes twice", name);
		s->n_components++;
	}
}

enum {
	SEEN_CREATED = 1,
	SEEN_EXPIRES = 2,
	SEEN_KEYID = 4,
	SEEN_ALG = 8,
	SEEN_NONCE = 16,
	SEEN_TAG = 32
};

/* One parameter behind its ';'. Unknown ones are refused: they could change the meaning. */
static bool read_param(struct cursor *c, struct fl_httpsig *s, unsigned *seen)
{
	const struct {
		const char *name;
		unsigned bit;
		int64_t *time;
		char *text;
	} known[] = {
		{ "created", SEEN_CREATED, &s->created, NULL },
		{ "expires", SEEN_EXPIRES, &s->expires, NULL },
		{ "keyid", SEEN_KEYID, NULL, s->keyid },
		{ "alg", SEEN_ALG, NULL, s->alg },
		{ "nonce", SEEN_NONCE, NULL, s->nonce },
		{ "tag", SEEN_TAG, NULL, s->tag },
	};
	char name[FL_HTTPSIG_NAME_MAX + 1];

	skip_blanks(c);
	if (!take_key(c, name, sizeof(name)) || !take(c, '='))
		return false;
	for (size_t i = 0; i < FL_COUNT(known); i++) {
		if (strcmp(known[i].name, name) != 0)
			continue;
		if (*seen & known[i].bit)
			return false;
		*seen |= known[i].bit;
		if (known[i].time != NULL)
			return take_time(c, known[i].time);
		return take_string(c, known[i].text, FL_HTTPSIG_PARAM_MAX + 1);
	}
	return false;
}

static enum fl_code read_input(const char *value, struct fl_httpsig *s, struct fl_err *err)
{
	struct cursor c = { value };
	const char *begin;
	unsigned seen = 0;
	enum fl_code code;
	size_t n;

	skip_blanks(&c);
	if (!take_key(&c, s->label, sizeof(s->label)) || !take(&c, '='))
		return fl_fail(err, FL_INVALID, "Signature-Input is malformed");
	begin = c.p;
	code = read_components(&c, s, err);
	if (code != FL_OK)
		return code;
	while (take(&c, ';')) {
		if (!read_param(&c, s, &seen))
			return fl_fail(err, FL_INVALID,
				"a parameter of Signature-Input is malformed or not understood");
	}
	n = (size_t)(c.p - begin);
	skip_blanks(&c);
	if (*c.p != '\0')
		return fl_fail(err, FL_INVALID, "Signature-Input must hold one signature only");
	memcpy(s->params, begin, n);
	s->params[n] = '\0';
	return FL_OK;
}

static enum fl_code read_signature(const char *value, struct fl_httpsig *s, struct fl_err *err)
{
	struct cursor c = { value };
	char label[FL_HTTPSIG_NAME_MAX + 1];
	const char *end;

	skip_blanks(&c);
	if (!take_key(&c, label, sizeof(label)) || !take(&c, '=') || !take(&c, ':'))
		return fl_fail(err, FL_INVALID, "Signature is malformed");
	if (strcmp(label, s->label) != 0)
		return fl_fail(
			err, FL_INVALID, "Signature and Signature-Input name different labels");
	end = strchr(c.p, ':');
	if (end == NULL ||
		!fl_unbase64_std(c.p, (size_t)(end - c.p), s->signature, sizeof(s->signature)))
		return fl_fail(err, FL_INVALID, "Signature is not base64 of 64 bytes");
	c.p = end + 1;
	skip_blanks(&c);
	return *c.p == '\0' ? FL_OK
			    : fl_fail(err, FL_INVALID, "Signature must hold one signature only");
}

enum fl_code fl_httpsig_read(const char *signature_input, const char *signature,
	struct fl_httpsig *out, struct fl_err *err)
{
	enum fl_code code;

	memset(out, 0, sizeof(*out));
	out->created = out->expires = -1;
	if (strlen(signature_input) > FL_HTTPSIG_HEADER_MAX)
		return fl_fail(err, FL_INVALID, "Signature-Input is too long");
	code = read_input(signature_input, out, err);
	if (code == FL_OK)
		code = read_signature(signature, out, err);
	if (code == FL_OK && out->alg[0] != '\0' && strcmp(out->alg, "ed25519") != 0)
		code = fl_fail(err, FL_INVALID, "alg must be ed25519");
	return code;
}

bool fl_httpsig_covers(const struct fl_httpsig *s, const char *component)
{
	for (size_t i = 0; i < s->n_components; i++) {
		if (strcmp(s->component[i], component) == 0)
			return true;
	}
	return false;
}

/* ---- the base */

enum fl_code fl_httpsig_base(struct fl_buf *out, const struct fl_httpsig *s,
	fl_httpsig_value_fn value, void *ctx, struct fl_err *err)
{
	for (size_t i = 0; i < s->n_components; i++) {
		const char *v = value(ctx, s->component[i]);

		if (v == NULL)
			return fl_fail(err, FL_INVALID,
				"the signature covers \"%s\", which the message "
				"does not have",
				s->component[i]);
		/* A line feed in a value could forge further lines. */
		if (strpbrk(v, "\r\n") != NULL)
			return fl_fail(
				err, FL_INVALID, "\"%s\" holds a line feed", s->component[i]);
		fl_buf_printf(out, "\"%s\": %s\n", s->component[i], v);
	}
	fl_buf_printf(out, "\"@signature-params\": %s", s->params);
	return fl_buf_check(out, err);
}

enum fl_code fl_httpsig_verify(const struct fl_httpsig *s, const uint8_t key[FL_PUBLIC_LEN],
	fl_httpsig_value_fn value, void *ctx, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf base = { 0 };
	enum fl_code code = fl_httpsig_base(&base, s, value, ctx, err);

	return code == FL_OK ? fl_verify(key, fl_bytes(base.p, base.n), s->signature, err) : code;
}

/* ---- signing */

static void add_string(struct fl_buf *b, const char *name, const char *value)
{
	if (value[0] == '\0')
		return;
	fl_buf_printf(b, ";%s=\"", name);
	for (; *value != '\0'; value++) {
		if (*value == '"' || *value == '\\')
			fl_buf_byte(b, '\\');
		fl_buf_byte(b, (uint8_t)*value);
	}
	fl_buf_byte(b, '"');
}

static enum fl_code write_params(struct fl_httpsig *s, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf b = { .max = FL_HTTPSIG_HEADER_MAX };
	enum fl_code code;

	fl_buf_byte(&b, '(');
	for (size_t i = 0; i < s->n_components; i++)
		fl_buf_printf(&b, "%s\"%s\"", i > 0 ? " " : "", s->component[i]);
	fl_buf_byte(&b, ')');
	if (s->created >= 0)
		fl_buf_printf(&b, ";created=%" PRId64, s->created);
	if (s->expires >= 0)
		fl_buf_printf(&b, ";expires=%" PRId64, s->expires);
	add_string(&b, "keyid", s->keyid);
	add_string(&b, "alg", s->alg);
	add_string(&b, "nonce", s->nonce);
	add_string(&b, "tag", s->tag);
	code = fl_buf_check(&b, err);
	if (code == FL_OK)
		memcpy(s->params, b.p, b.n + 1);
	return code;
}

enum fl_code fl_httpsig_sign(struct fl_httpsig *s, const struct fl_sign_key *key,
	fl_httpsig_value_fn value, void *ctx, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf base = { 0 };
	enum fl_code code;

	if (s->label[0] == '\0')
		memcpy(s->label, "sig1", sizeof("sig1"));
	memcpy(s->alg, "ed25519", sizeof("ed25519"));
	code = write_params(s, err);
	if (code == FL_OK)
		code = fl_httpsig_base(&base, s, value, ctx, err);
	if (code == FL_OK)
		fl_sign(key, fl_bytes(base.p, base.n), s->signature);
	return code;
}

void fl_httpsig_write(
	const struct fl_httpsig *s, struct fl_buf *signature_input, struct fl_buf *signature)
{
	fl_buf_printf(signature_input, "%s=%s", s->label, s->params);
	fl_buf_printf(signature, "%s=:", s->label);
	fl_base64_std(signature, s->signature, sizeof(s->signature));
	fl_buf_byte(signature, ':');
}

/* ---- content digests */

void fl_content_digest_of(struct fl_buf *out, const uint8_t sha256[FL_SHA256_LEN])
{
	fl_buf_str(out, "sha-256=:");
	fl_base64_std(out, sha256, FL_SHA256_LEN);
	fl_buf_byte(out, ':');
}

void fl_content_digest(struct fl_buf *out, struct fl_bytes bytes)
{
	uint8_t digest[FL_SHA256_LEN];

	fl_sha256(bytes, digest);
	fl_content_digest_of(out, digest);
}

/* One `name=:base64:`; *found is set when it is a sha-256, whose bytes go to `digest`. */
static bool read_digest(struct cursor *c, uint8_t digest[FL_SHA256_LEN], bool *found)
{
	char name[FL_HTTPSIG_NAME_MAX + 1];
	const char *end;

	skip_blanks(c);
	if (!take_key(c, name, sizeof(name)) || !take(c, '=') || !take(c, ':'))
		return false;
	end = strchr(c->p, ':');
	if (end == NULL)
		return false;
	if (strcmp(name, "sha-256") == 0) {
		if (*found || !fl_unbase64_std(c->p, (size_t)(end - c->p), digest, FL_SHA256_LEN))
			return false;
		*found = true;
	}
	c->p = end + 1;
	skip_blanks(c);
	return true;
}

enum fl_code fl_content_digest_check(const char *header, struct fl_bytes bytes, struct fl_err *err)
{
	uint8_t said[FL_SHA256_LEN], right[FL_SHA256_LEN];
	struct cursor c = { header };
	bool found = false;

	do {
		if (!read_digest(&c, said, &found))
			return fl_fail(err, FL_INVALID, "Content-Digest is malformed");
	} while (take(&c, ','));
	if (*c.p != '\0')
		return fl_fail(err, FL_INVALID, "Content-Digest is malformed");
	if (!found)
		return fl_fail(err, FL_INVALID, "Content-Digest holds no sha-256");
	fl_sha256(bytes, right);
	if (!fl_equal(said, right, sizeof(right)))
		return fl_fail(
			err, FL_CORRUPT, "the body has another digest than Content-Digest says");
	return FL_OK;
}
