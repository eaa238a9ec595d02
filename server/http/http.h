/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP server as main.c sees it: sockets, loops, stop and reload. Its parts: loop.h (a uv loop
 * with its MHD daemon), exchange.h (one request on its way), routes.h (the table), lanes.h. */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "lib/err.h"

#include <stdbool.h>

struct http;
struct routes;
struct server;

/* Called on SIGHUP, on the main thread. */
typedef void (*http_reload_fn)(struct server *s);

/* Write the port file, if one is wanted; whoever waits for it finds all else of a start done. Main thread,
 * after http_up. */
enum fl_code http_announce(const struct server *s, struct fl_err *err) FL_MUST_CHECK;

/* Serve until http_stop has been obeyed: requests in flight ended or the limit passed. Main thread,
 * after http_up. Returns FL_OK after a wanted stop, FL_IO after an I/O error of the database. */
enum fl_code http_run(struct server *s, http_reload_fn reload, struct fl_err *err) FL_MUST_CHECK;

/* Begin to stop: no new connections, parked requests get 503, what is in flight ends. Any thread,
 * also before http_run; more calls do nothing. */
void http_stop(struct server *s);
/* Likewise after an I/O error: the process ends with a failure and recovers by starting again. */
void http_stop_broken(struct server *s);
bool http_stopping(const struct server *s);

/* Read certificate and key anew for the connections to come. The old ones stay when it fails. Main
 * thread. */
enum fl_code http_reload_tls(struct server *s, struct fl_err *err) FL_MUST_CHECK;

/* The port that the server listens on. */
int http_port(const struct server *s);
/* The tree of all routes; lives as long as the server. */
const struct routes *http_routes(const struct server *s);

#endif
