/* SPDX-License-Identifier: Apache-2.0 */
#include "server/device/proof.h"

#include "server/http/request.h"

#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 256

static enum fl_code check_params(const struct fl_httpsig *s, struct fl_err *err)
{
	static const char *const covered[] = { "@method", "@path", "content-digest" };

	for (size_t i = 0; i < FL_COUNT(covered); i++) {
		if (!fl_httpsig_covers(s, covered[i]))
			return fl_fail(err, FL_UNAUTHENTICATED, "the signature must cover \"%s\"",
				covered[i]);
	}
	if (s->created < 0 || s->keyid[0] == '\0' || s->alg[0] == '\0')
		return fl_fail(err, FL_UNAUTHENTICATED,
			"the signature needs the parameters created, keyid, alg and nonce");
	if (s->nonce[0] == '\0' || strlen(s->nonce) > PROOF_NONCE_BYTES)
		return fl_fail(err, FL_UNAUTHENTICATED,
			"the signature needs a nonce of 1 to %d bytes", PROOF_NONCE_BYTES);
	return FL_OK;
}

enum fl_code proof_read(const struct request *rq, struct fl_httpsig *out, struct fl_err *err)
{
	const char *input = request_header(rq, "signature-input");
	const char *signature = request_header(rq, "signature");
	const char *digest = request_header(rq, "content-digest");
	int64_t now_s = rq->now_ms / 1000;
	struct fl_err why = { 0 };
	enum fl_code code;

	if (input == NULL || signature == NULL || digest == NULL)
		return fl_fail(err, FL_UNAUTHENTICATED,
			"Signature-Input, Signature and Content-Digest are needed; see "
			"fleet-protocol(7)");
	code = fl_httpsig_read(input, signature, out, &why);
	if (code == FL_OK)
		code = fl_content_digest_check(digest, rq->body, &why);
	if (code != FL_OK)
		return fl_fail(err, FL_UNAUTHENTICATED, "%s", why.msg);
	code = check_params(out, err);
	if (code != FL_OK)
		return code;
	if (llabs(out->created - now_s) > PROOF_WINDOW_S ||
		(out->expires >= 0 && out->expires < now_s))
		return fl_fail(err, FL_CLOCK, "the signature was made at %lld, now it is %lld",
			(long long)out->created, (long long)now_s);
	return FL_OK;
}

struct message {
	const struct request *rq;
	char path[PATH_BYTES];
};

static const char *value_of(void *ctx, const char *component)
{
	const struct message *m = ctx;

	if (strcmp(component, "@method") == 0)
		return m->rq->method;
	if (strcmp(component, "@path") == 0)
		return m->path;
	return component[0] == '@' ? NULL : request_header(m->rq, component);
}

enum fl_code proof_verify(const struct request *rq, const struct fl_httpsig *s,
	const uint8_t key[FL_PUBLIC_LEN], struct fl_err *err)
{
	size_t n = strcspn(rq->target, "?");
	struct message m = { .rq = rq };
	struct fl_err why = { 0 };
	enum fl_code code;

	if (n >= sizeof(m.path))
		return fl_fail(err, FL_SIGNATURE, "the path is too long");
	memcpy(m.path, rq->target, n);
	code = fl_httpsig_verify(s, key, value_of, &m, &why);
	if (code == FL_INVALID)
		code = FL_SIGNATURE; /* it covers what the message does not have */
	return code == FL_OK ? FL_OK : fl_fail(err, code, "%s", why.msg);
}

void proof_clock(struct request *rq)
{
	reply_problem(rq, FL_CLOCK,
		"the signature's time is more than 300 s from the server's; take server_time (ms)",
		json_pack("{s:I}", "server_time", (json_int_t)rq->now_ms));
}
