/* SPDX-License-Identifier: Apache-2.0
 *
 * The prototypes of all handlers, from the rows of tbl/routes.h. Every file with a handler includes
 * this. */
#ifndef HTTP_HANDLERS_H
#define HTTP_HANDLERS_H

#include "server/http/request.h"

/* Each answers the row of tbl/routes.h that names it, in the lane of that row (request.h). */
#define ROUTE(method, path, who, limit, lane, handler, summary) \
	enum fl_code handler(struct request *rq, struct fl_err *err);
#include "server/tbl/routes.h"
#undef ROUTE

#endif
