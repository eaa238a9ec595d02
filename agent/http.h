/* SPDX-License-Identifier: Apache-2.0
 *
 * fleet-agent's way to the server: libcurl, one connection, one request at a time. TLS with the
 * server's name checked, no redirects, limits on time and size, downloads that resume. */
#ifndef AGENT_HTTP_H
#define AGENT_HTTP_H

#include "agent/protocol.h"
#include "agent/settings.h"

struct http;

/* An answer; its body is owned. Zeroed memory is valid. */
struct http_answer {
	int status;
	char mac[64];
	int64_t retry_after_s; /* 0: not given */
	struct fl_buf body;
};

/* Make the transport. `settings` is borrowed. `*stop` becomes non-zero when the agent shall end;
 * a transfer then ends with FL_STOPPED. FL_NOMEM, FL_INVALID (TLS). */
enum fl_code http_new(struct http **out, const struct settings *settings, const volatile int *stop,
	struct fl_err *err) FL_MUST_CHECK;
/* Close and free; NULL is fine. */
void http_free(struct http *h);

/* Send `m`, get the answer whatever its status. Bodies over 1 MiB are FL_TOO_LARGE. FL_NETWORK,
 * FL_TIMEOUT, FL_STOPPED, FL_NOMEM. */
enum fl_code http_send(struct http *h, const struct protocol_message *m, struct http_answer *a,
	struct fl_err *err) FL_MUST_CHECK;
/* Free the body. Safe twice. */
void http_answer_fini(struct http_answer *a);

/* Fetch `path` of `size` bytes into the file `to`; what lies there of an earlier try is kept and
 * the rest asked for (Range, If-Range with the tag in `to`.etag). FL_OK: the file has `size` bytes,
 * on the disk; the digest is the caller's. FL_NETWORK, FL_TIMEOUT, FL_STOPPED: what came is kept.
 * FL_NOT_FOUND, FL_UNAVAILABLE: the server's word. FL_TOO_LARGE: it sends more; the file is gone.
 * FL_FULL, FL_IO. */
enum fl_code http_fetch(struct http *h, const char *path, int64_t size, const char *to,
	struct fl_err *err) FL_MUST_CHECK;

#endif
