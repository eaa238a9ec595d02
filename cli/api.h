/* SPDX-License-Identifier: Apache-2.0
 *
 * The client of fleetd's REST API.
 *
 * DESIGN. One connection, one call at a time. A call that may be repeated (GET, PUT, DELETE, and
 * POST, which always carries an Idempotency-Key) is repeated when the server says "later" (503 or
 * 429, after its Retry-After) or the connection breaks. What the server refuses (an RFC 9457
 * problem) becomes an fl_err with the server's sentence, and `hint` gets the next step. */
#ifndef CLI_API_H
#define CLI_API_H

#include "cli/profile.h"
#include "cli/progress.h"
#include "lib/json.h"

#include <curl/curl.h>

/* Receives the bytes of a streamed answer. Returns false to end the call (with FL_STOPPED). */
typedef bool api_sink_fn(void *cls, const char *bytes, size_t n);

struct api {
	CURL *curl;
	const struct profile *profile; /* borrowed */
	bool quiet;                    /* no notes about repeated calls */
	char hint[256];  /* after a failure: what to do next, "" if nothing is known */
	char *missing;   /* after "not found": the path, owned; else NULL */
	json_t *problem; /* after a failure: the server's problem document, or NULL */
};

/* One call. Only method and path are needed. All borrowed. */
struct api_request {
	const char *method;
	const char *path;          /* from api_path() */
	const json_t *body;        /* sent as JSON */
	FILE *file;                /* or: bytes of a file, from its present position */
	int64_t file_bytes;        /* how many of them */
	const char *type;          /* their content type */
	const char *range;         /* a Content-Range for them */
	struct progress *progress; /* told about the file's bytes; counts from its `first` */
	const char *etag;          /* If-None-Match: 304 when nothing changed */
	int wait_s;                /* Prefer: wait=; how long the server may keep the call */
	int tries;                 /* most attempts; 0: the usual number, 1: never repeat */
	api_sink_fn *sink;         /* takes the body of a 2xx instead of the reply */
	void *sink_cls;
	const char *accept; /* NULL: JSON */
};

/* What came back. Zeroed memory is a valid empty one. */
struct api_reply {
	int status;
	json_t *json; /* owned; NULL if the body is empty */
	char etag[128];
	int retry_after_s;
};

#define API_TRIES 6

/* Begin; `profile` must live as long as `api`. FL_NOMEM. */
enum fl_code api_init(
	struct api *api, const struct profile *profile, struct fl_err *err) FL_MUST_CHECK;
/* Safe twice and on zeroed memory. */
void api_fini(struct api *api);
void api_reply_fini(struct api_reply *reply);

/* Make the call, repeating it as the design above says. `reply` (zeroed) is also filled when the
 * server refuses, so that a caller may read the problem's members. FL_OK on 2xx and 304. */
enum fl_code api_call(struct api *api, const struct api_request *rq, struct api_reply *reply,
	struct fl_err *err) FL_MUST_CHECK;

/* "/api/v1/modules/{}/versions/{}" with each {} replaced by the percent-encoded next string
 * argument. The caller frees. */
char *api_path(const char *pattern, ...);
/* Append "name=value", percent-encoded, to the query of *path; nothing if value is NULL. */
void api_query(char **path, const char *name, const char *value);
void api_query_int(char **path, const char *name, int64_t value);

/* Wait so many milliseconds. */
void api_sleep_ms(int64_t ms);

#define API_AUTO_REPLY __attribute__((cleanup(api_reply_fini)))

#endif
