/* SPDX-License-Identifier: Apache-2.0 */
#include "server/api/idempotent.h"

#include "lib/digest.h"
#include "server/store/idempotency.h"

#include <string.h>

/* The key: a structured-field string in quotes, or bare as most clients send it. */
static enum fl_code read_key(const struct request *rq, char out[IDEMPOTENCY_KEY_MAX + 1],
	bool *there, struct fl_err *err)
{
	const char *header = request_header(rq, "Idempotency-Key");

	*there = header != NULL;
	if (header == NULL)
		return FL_OK;
	size_t n = strlen(header);
	if (n >= 2 && header[0] == '"' && header[n - 1] == '"') {
		header++;
		n -= 2;
	}
	if (n == 0 || n > IDEMPOTENCY_KEY_MAX)
		return fl_fail(err, FL_INVALID, "an Idempotency-Key has from 1 to %d characters",
			IDEMPOTENCY_KEY_MAX);
	for (size_t i = 0; i < n; i++)
		if (header[i] <= ' ' || header[i] > '~' || header[i] == '"' || header[i] == '\\')
			return fl_fail(err, FL_INVALID,
				"an Idempotency-Key consists of visible ASCII characters");
	memcpy(out, header, n);
	out[n] = '\0';
	return FL_OK;
}

/* What makes it the same request. */
static void digest(const struct request *rq, uint8_t out[IDEMPOTENCY_DIGEST_BYTES])
{
	struct fl_sha256 h;

	fl_sha256_init(&h);
	fl_sha256_add(&h, fl_bytes(rq->method, strlen(rq->method) + 1));
	fl_sha256_add(&h, fl_bytes(rq->target, strlen(rq->target) + 1));
	fl_sha256_add(&h, rq->body);
	fl_sha256_end(&h, out);
}

enum fl_code idempotent_replay(struct request *rq, bool *replayed, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf response = { 0 };
	char key[IDEMPOTENCY_KEY_MAX + 1];
	uint8_t request[IDEMPOTENCY_DIGEST_BYTES];
	struct idempotency found;
	bool there = false;
	enum fl_code code = read_key(rq, key, &there, err);

	*replayed = false;
	if (code != FL_OK || !there)
		return code;
	code = idempotency_get(rq->store, rq->who.token_id, key, &found, &response, err);
	if (code == FL_NOT_FOUND)
		return FL_OK;
	if (code != FL_OK)
		return code;
	digest(rq, request);
	if (memcmp(request, found.request, sizeof(request)) != 0)
		return fl_fail(err, FL_REFUSED,
			"this Idempotency-Key was used for another request; take a new key");
	reply_header(rq, "Idempotency-Replayed", "true");
	reply_buf(rq, (unsigned)found.status, "application/json", &response);
	*replayed = true;
	return FL_OK;
}

enum fl_code idempotent_reply(struct request *rq, unsigned status, json_t *take_shown,
	const json_t *kept, struct fl_err *err)
{
	FL_AUTO_JSON json_t *shown = take_shown;
	FL_AUTO_BUF struct fl_buf response = { 0 };
	char key[IDEMPOTENCY_KEY_MAX + 1];
	bool there = false;
	enum fl_code code = read_key(rq, key, &there, err);

	if (code == FL_OK && shown == NULL)
		code = fl_fail(err, FL_NOMEM, "no memory for the answer");
	if (code == FL_OK && there) {
		struct idempotency row = {
			.token_id = rq->who.token_id, .key = key, .status = (int)status
		};
		digest(rq, row.request);
		fl_json_write(&response, kept);
		code = fl_buf_check(&response, err);
		if (code == FL_OK)
			code = idempotency_put(rq->store, &row, (const char *)response.p, err);
	}
	if (code == FL_OK)
		reply_json(rq, status, fl_steal(&shown));
	return code;
}
