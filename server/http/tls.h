/* SPDX-License-Identifier: Apache-2.0
 *
 * The server's certificate and key, exchangeable while connections are open. Only for server/http/. */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include "lib/err.h"

#include <microhttpd.h>

struct tls;

/* Read certificate chain and key (PEM files) and check that they belong together. The caller owns
 * *out. FL_INVALID, FL_NOT_FOUND, FL_IO, FL_NOMEM. */
enum fl_code tls_new(const char *certificate, const char *key, struct tls **out,
	struct fl_err *err) FL_MUST_CHECK;
/* No connection may be left. NULL is fine. */
void tls_free(struct tls *t);
/* Exchange them for the handshakes to come; on failure the old ones stay. Any thread. */
enum fl_code tls_load(
	struct tls *t, const char *certificate, const char *key, struct fl_err *err) FL_MUST_CHECK;
/* Write MHD's options (at most 4) and return their number. */
size_t tls_options(struct tls *t, struct MHD_OptionItem *out);
/* Prepare the session of a new connection: tickets. Loop thread. */
void tls_session(struct tls *t, struct MHD_Connection *connection);

#endif
