/* SPDX-License-Identifier: Apache-2.0
 *
 * Artifacts: bytes come in under the digest that the client states.
 *
 * DESIGN. An upload is a stream in the work lane: a private file grows, hashed on the way. At its end
 * the digest is held (blobs.h), the file becomes a blob, and only then the writer adds the row; the
 * hold ends with the request. If the connection is cut, what came is kept as a part; after any
 * refusal nothing is. The same upload again finds the blob and changes nothing.
 *
 * An answer that is known before the body has come is given at once to a client that waits for it
 * (Expect: 100-continue). Others read no answer before they have sent everything, and would see a
 * broken connection: for them the rest is received and dropped. */
#include "server/http/handlers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/blobs.h"
#include "server/events.h"
#include "server/server.h"
#include "server/store/artifact.h"

/* What Content-Length and Content-Range say: bytes [first, end) of `total`. */
struct extent {
	int64_t first, end, total;
};

/* One upload on its way; the request's state. */
struct incoming {
	struct blobs *blobs;
	struct blob_upload *upload; /* NULL: none, or it has become a blob */
	uint8_t sha256[BLOB_DIGEST];
	char hex[2 * BLOB_DIGEST + 1];
	struct extent extent;
	bool held;             /* the digest */
	struct fl_err refusal; /* the answer, while the rest of the body is dropped */
};

/* The request ends: a cut upload keeps its part. */
static void drop_incoming(void *state)
{
	struct incoming *in = state;

	blob_upload_keep(&in->upload);
	if (in->held)
		blobs_release(in->blobs, in->sha256);
	free(in);
}

/* ---- what the client announces */

static enum fl_code parse_extent(struct request *rq, struct extent *out, struct fl_err *err)
{
	const char *range = request_header(rq, "Content-Range");
	const char *length = request_header(rq, "Content-Length");
	int64_t first, last, total;
	char rest, *end;

	if (range == NULL && length == NULL)
		return fl_fail(err, FL_LENGTH, "say how many bytes come: send Content-Length");
	if (range == NULL) {
		total = strtoll(length, &end, 10);
		if (*end != '\0' || end == length || total < 0)
			return fl_fail(err, FL_INVALID, "Content-Length is not a number");
		*out = (struct extent){ 0, total, total };
		return FL_OK;
	}
	if (sscanf(range, "bytes %" SCNd64 "-%" SCNd64 "/%" SCNd64 "%c", &first, &last, &total,
		    &rest) != 3 ||
		first < 0 || last < first || last >= total)
		return fl_fail(err, FL_INVALID,
			"Content-Range must be \"bytes FIRST-LAST/TOTAL\", not \"%.100s\"", range);
	if (length != NULL && strtoll(length, NULL, 10) != last - first + 1)
		return fl_fail(
			err, FL_INVALID, "Content-Range and Content-Length contradict each other");
	*out = (struct extent){ first, last + 1, total };
	return FL_OK;
}

/* ---- the upload */

static void reply_artifact(struct request *rq, unsigned status, const struct incoming *in)
{
	reply_json(rq, status,
		json_pack("{ss,sI}", "sha256", in->hex, "size", (json_int_t)in->extent.total));
}

/* Write lane: the blob is durable and held. */
static enum fl_code record(struct request *rq, struct fl_err *err)
{
	const struct incoming *in = rq->state;
	struct artifact a;
	bool added = false;
	enum fl_code code = artifact_put(rq->store, in->sha256, in->extent.total, &added, &a, err);
	const struct events_line line = {
		.kind = EVENT_ARTIFACT_STORED,
		.actor = rq->who.name,
		.subject = in->hex,
	};

	if (code == FL_OK && added) {
		struct events_line with_size = line;

		with_size.data = json_pack("{sI}", "size", (json_int_t)in->extent.total);
		code = events_write(rq->store, rq->effects, &with_size, err);
	}
	if (code == FL_OK)
		reply_artifact(rq, added ? 201 : 200, in);
	return code;
}

/* Answer a refusal; that of a wrong place says how to go on. */
static enum fl_code refuse(struct request *rq, const struct fl_err *refusal, struct fl_err *err)
{
	const struct incoming *in = rq->state;

	if (refusal->code != FL_CONFLICT)
		return fl_fail(err, refusal->code, "%s", refusal->msg);
	reply_problem(rq, FL_CONFLICT, refusal->msg,
		json_pack("{sI}", "received", (json_int_t)blobs_received(in->blobs, in->sha256)));
	return FL_OK;
}

static enum fl_code receive(struct request *rq, struct fl_bytes bytes, struct fl_err *err)
{
	struct incoming *in = rq->state;

	(void)err;
	if (in->upload != NULL && blob_upload_write(in->upload, bytes, &in->refusal) != FL_OK)
		blob_upload_drop(&in->upload);
	return FL_OK;
}

static enum fl_code finish(struct request *rq, struct fl_err *err)
{
	struct incoming *in = rq->state;
	int64_t received;
	enum fl_code code;

	if (in->refusal.code != FL_OK)
		return refuse(rq, &in->refusal, err);
	if (in->upload == NULL) { /* it was here before */
		code = blobs_settle(in->blobs, in->sha256, err);
		if (code == FL_OK)
			request_then(rq, LANE_WRITE, record);
		return code;
	}
	received = blob_upload_received(in->upload);
	if (received != in->extent.end)
		return fl_fail(err, FL_INVALID,
			"%" PRId64 " bytes are here, %" PRId64 " were announced", received,
			in->extent.end);
	if (in->extent.end < in->extent.total) { /* one part of several */
		blob_upload_keep(&in->upload);
		reply_json(rq, 202,
			json_pack("{ss,sI,sI}", "sha256", in->hex, "size",
				(json_int_t)in->extent.total, "received", (json_int_t)received));
		return FL_OK;
	}
	code = blobs_hold(in->blobs, in->sha256, err);
	if (code != FL_OK)
		return code;
	in->held = true;
	code = blob_upload_finish(&in->upload, err);
	if (code != FL_OK)
		blob_upload_drop(&in->upload);
	if (code == FL_CORRUPT) {
		char got[FL_ERR_MSG_MAX];

		(void)snprintf(got, sizeof(got), "%s", err->msg);
		return fl_fail(err, FL_REFUSED, "%.200s, not %s; nothing was kept", got, in->hex);
	}
	if (code == FL_OK)
		request_then(rq, LANE_WRITE, record);
	return code;
}

/* Whether the bytes are here already; then they are held. */
static enum fl_code find_blob(struct incoming *in, bool *found, struct fl_err *err)
{
	struct fl_err none = { 0 };
	enum fl_code code = blobs_hold(in->blobs, in->sha256, err);
	int64_t size;

	if (code != FL_OK)
		return code;
	in->held = true;
	code = blobs_size(in->blobs, in->sha256, &size, &none);
	*found = code == FL_OK;
	if (code == FL_OK && size != in->extent.total)
		return fl_fail(err, FL_CONFLICT,
			"the bytes of this digest are here and are %" PRId64 ", not %" PRId64, size,
			in->extent.total);
	if (code != FL_OK && code != FL_NOT_FOUND)
		return fl_fail(err, code, "%s", none.msg);
	if (!*found) {
		blobs_release(in->blobs, in->sha256);
		in->held = false;
	}
	return FL_OK;
}

static enum fl_code new_incoming(struct request *rq, struct incoming **out, struct fl_err *err)
{
	struct incoming *in = calloc(1, sizeof(*in));
	enum fl_code code;

	if (in == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for an upload");
	in->blobs = rq->server->blobs;
	rq->state = in;
	rq->drop = drop_incoming;
	code = blobs_parse(rq->param[0], in->sha256, err);
	if (code != FL_OK)
		return code;
	blobs_hex(in->sha256, in->hex);
	*out = in;
	return parse_extent(rq, &in->extent, err);
}

enum fl_code api_artifact_put(struct request *rq, struct fl_err *err)
{
	static const struct request_stream stream = { LANE_WORK, receive, finish };
	struct fl_err refusal = { 0 };
	struct incoming *in = NULL;
	bool found = false;
	enum fl_code code = new_incoming(rq, &in, err);

	if (code != FL_OK)
		return code;
	code = find_blob(in, &found, &refusal);
	if (code == FL_OK && !found)
		code = blobs_upload(in->blobs, in->sha256, in->extent.first, in->extent.total,
			&in->upload, &refusal);
	if (code != FL_OK)
		in->refusal = refusal;
	if (in->upload == NULL && request_header(rq, "Expect") != NULL)
		return finish(rq, err);
	request_stream(rq, &stream);
	return FL_OK;
}

/* ---- looking at one */

static enum fl_code add_use(
	void *context, const char *module, const char *version, struct fl_err *err)
{
	if (json_array_append_new(
		    context, json_pack("{ss,ss}", "module", module, "version", version)) != 0)
		return fl_fail(err, FL_NOMEM, "no memory for the answer");
	return FL_OK;
}

/* There is no artifact: perhaps a part of an upload. */
static enum fl_code reply_missing(struct request *rq, const uint8_t *sha256, const char *hex)
{
	char detail[160];
	int64_t received = blobs_received(rq->server->blobs, sha256);

	(void)snprintf(detail, sizeof(detail), "there is no artifact %s%s", hex,
		received > 0 ? "; a part of it has been received" : "");
	reply_problem(rq, FL_NOT_FOUND, detail,
		received > 0 ? json_pack("{sI}", "received", (json_int_t)received) : NULL);
	return FL_OK;
}

enum fl_code api_artifact_get(struct request *rq, struct fl_err *err)
{
	uint8_t sha256[BLOB_DIGEST];
	char hex[2 * BLOB_DIGEST + 1];
	struct artifact a;
	enum fl_code code = blobs_parse(rq->param[0], sha256, err);
	FL_AUTO_JSON json_t *uses = json_array();

	if (code != FL_OK)
		return code;
	blobs_hex(sha256, hex);
	code = artifact_find(rq->store, sha256, &a, err);
	if (code == FL_NOT_FOUND)
		return reply_missing(rq, sha256, hex);
	if (code == FL_OK)
		code = artifact_each_use(rq->store, a.id, add_use, uses, err);
	if (code == FL_OK)
		reply_json(rq, 200,
			json_pack("{ss,sI,sO}", "sha256", hex, "size", (json_int_t)a.size,
				"used_by", uses));
	return code;
}
