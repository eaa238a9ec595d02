/* SPDX-License-Identifier: Apache-2.0
 *
 * Downloads: bytes by digest, for devices, proxies and everybody who knows the digest. Immutable. */
#include "server/http/handlers.h"

#include <string.h>

#include "server/blobs.h"
#include "server/server.h"

enum fl_code device_blob_get(struct request *rq, struct fl_err *err)
{
	/* both must live until the answer is made */
	uint8_t *sha256 = request_alloc(rq, BLOB_DIGEST);
	char *hex = request_alloc(rq, 2 * BLOB_DIGEST + 1);
	struct reply_file file = {
		.etag = hex,
		.content_type = "application/octet-stream",
		.sha256 = sha256,
		.immutable = true,
	};
	enum fl_code code;

	if (sha256 == NULL || hex == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the request");
	code = blobs_parse(rq->param[0], sha256, err);
	if (code != FL_OK)
		return code;
	blobs_hex(sha256, hex);
	code = blobs_get(rq->server->blobs, sha256, &file.fd, &file.size, err);
	if (code == FL_OK)
		reply_file(rq, &file);
	return code;
}
