/* SPDX-License-Identifier: Apache-2.0
 *
 * Handlers and parts that are still being built answer 503; goes away with the last of them. */
#include "server/device/auth.h"
#include "server/delta_worker.h"
#include "server/http/file_reply.h"
#include "server/http/handlers.h"
#include "server/http/request.h"
#include "server/parts.h"
#include "server/tokens.h"
#include "server/trust.h"
#include "server/verify.h"

#include <unistd.h>

static enum fl_code missing(struct fl_err *err)
{
	return fl_fail(err, FL_UNAVAILABLE, "not built yet");
}

#define ROUTE(method, path, who, limit, lane, handler, summary)                            \
	__attribute__((weak)) enum fl_code handler(struct request *rq, struct fl_err *err) \
	{                                                                                  \
		(void)rq;                                                                  \
		return missing(err);                                                       \
	}
#include "server/tbl/routes.h"
#undef ROUTE

#define MISSING_PART(name)                                                                 \
	__attribute__((weak)) enum fl_code name##_up(struct server *s, struct fl_err *err) \
	{                                                                                  \
		(void)s;                                                                   \
		(void)err;                                                                 \
		return FL_OK;                                                              \
	}                                                                                  \
	__attribute__((weak)) void name##_down(struct server *s)                           \
	{                                                                                  \
		(void)s;                                                                   \
	}

MISSING_PART(identity)
MISSING_PART(trust)
MISSING_PART(seen)
MISSING_PART(tokens)
MISSING_PART(blobs)
MISSING_PART(fleet)
MISSING_PART(deltas)
MISSING_PART(rollouts)

__attribute__((weak)) enum fl_code tokens_auth(
	struct request *rq, const char *bearer, struct fl_err *err)
{
	(void)rq;
	(void)bearer;
	return missing(err);
}

__attribute__((weak)) const char *tokens_first(const struct server *s)
{
	(void)s;
	return NULL;
}

__attribute__((weak)) void tokens_forget_first(struct server *s)
{
	(void)s;
}

__attribute__((weak)) enum fl_code device_auth_mac(struct request *rq, struct fl_err *err)
{
	(void)rq;
	return missing(err);
}

__attribute__((weak)) void device_auth_answer(
	struct request *rq, unsigned status, struct fl_bytes body)
{
	(void)rq;
	(void)status;
	(void)body;
}

__attribute__((weak)) enum fl_code file_reply_make(struct request *rq, const struct reply_file *f,
	unsigned *status, struct MHD_Response **out, struct fl_err *err)
{
	(void)rq;
	(void)status;
	(void)out;
	(void)close(f->fd);
	return missing(err);
}

__attribute__((weak)) bool delta_worker_asked(int argc, char *const *argv)
{
	(void)argc;
	(void)argv;
	return false;
}

__attribute__((weak)) int delta_worker_main(int argc, char *const *argv)
{
	(void)argc;
	(void)argv;
	return 1;
}

__attribute__((weak)) enum fl_code verify_run(
	struct store *store, const struct verify_options *o, int64_t *wrong, struct fl_err *err)
{
	(void)store;
	(void)o;
	(void)wrong;
	return missing(err);
}

__attribute__((weak)) const struct fl_root *trust_root(const struct trust *t)
{
	(void)t;
	return NULL;
}
