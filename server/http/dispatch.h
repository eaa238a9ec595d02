/* SPDX-License-Identifier: Apache-2.0
 *
 * The callbacks that an MHD daemon of ours is given; `cls` is its struct loop. Loop thread. */
#ifndef HTTP_DISPATCH_H
#define HTTP_DISPATCH_H

#include <microhttpd.h>

/* A request line has arrived: begins the exchange. */
void *dispatch_target(void *cls, const char *target, struct MHD_Connection *connection);
/* Headers, pieces of the body, its end, and each return of a resumed connection. */
enum MHD_Result dispatch_request(void *cls, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *upload, size_t *upload_size,
	void **con_cls);
/* MHD's last word on a request. */
void dispatch_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
	enum MHD_RequestTerminationCode how);

#endif
