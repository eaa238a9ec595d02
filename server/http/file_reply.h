/* SPDX-License-Identifier: Apache-2.0
 *
 * The answer to a GET or HEAD of a file: conditions, ranges, multipart/byteranges (RFC 9110 13, 14).
 *
 * http/ calls this for reply_file; nobody else does. */
#ifndef HTTP_FILE_REPLY_H
#define HTTP_FILE_REPLY_H

#include "server/http/request.h"

struct MHD_Response;

/* Build the response to `rq` for `f`: conditions and ranges are read from the request's headers.
 * Takes f->fd over in every case. *status gets 200, 206 or 304; the caller owns *out, adds the
 * headers of every answer and queues it (MHD leaves the body out for HEAD).
 * FL_PRECONDITION, FL_RANGE, FL_NOMEM: answer with the problem of that code, to which
 * `Content-Range: bytes * /SIZE` belongs for FL_RANGE. */
enum fl_code file_reply_make(struct request *rq, const struct reply_file *f, unsigned *status,
	struct MHD_Response **out, struct fl_err *err) FL_MUST_CHECK;

#endif
