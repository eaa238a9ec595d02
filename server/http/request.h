/* SPDX-License-Identifier: Apache-2.0
 *
 * A request as its handler sees it.
 *
 * DESIGN. A handler is a plain synchronous function that runs in the lane that its row in
 * tbl/routes.h names: request in, reply out, store calls in between. It knows nothing of threads,
 * commits or suspended connections. It returns FL_OK after exactly one of reply_*, request_then or
 * request_park, or another code with a sentence in `err`, which becomes an RFC 9457 problem.
 *
 * lanes:  FAST    on the loop thread; must not block, no store
 *         READ    a reader thread; rq->store is a read snapshot
 *         WRITE   the writer; rq->store is the batch's transaction, rq->effects is set; the reply
 *                 leaves only after COMMIT; may be run again
 *         WORK    a worker thread; no store; hashing, signatures, plans, file reads
 *         STREAM  the handler runs in WORK as soon as the headers are there and calls
 *                 request_stream to receive the body in pieces
 *
 * To add a route: a row in tbl/routes.h, a handler in api/<noun>.c, its operation in
 * schema/openapi.yaml, its manual section. */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include "lib/json.h"
#include "server/effects.h"
#include "server/store/store.h"

struct server;
struct request;
struct route;

enum lane { LANE_FAST, LANE_READ, LANE_WRITE, LANE_WORK, LANE_STREAM, LANE_MAX };

/* Who may call a route: bits of a token's roles, and ways in which devices prove themselves. */
enum who {
	WHO_ANYONE = 0,
	WHO_VIEWER = 1 << 0,
	WHO_PUBLISHER = 1 << 1,
	WHO_OPERATOR = 1 << 2,
	WHO_APPROVER = 1 << 3,
	WHO_ADMIN = 1 << 4,
	WHO_ENROLLER = 1 << 5, /* an enrolment token */
	WHO_DEVICE = 1 << 6,   /* a session MAC */
	WHO_DEVICE_KEY =
		1 << 7, /* an RFC 9421 signature by the device's own key; the handler verifies
				  * it, since the key costs a read: for http/ the caller is anonymous */
	WHO_ANY_ROLE = WHO_VIEWER | WHO_PUBLISHER | WHO_OPERATOR | WHO_APPROVER | WHO_ADMIN,
};

/* Who calls. For tokens: id, name and roles; for devices: number and id. */
struct principal {
	unsigned roles;              /* enum who bits; 0: anonymous */
	int64_t token_id;            /* 0 for devices */
	int64_t device_no;           /* 0 for tokens */
	char name[STORE_ID_MAX + 1]; /* token name or device id: the actor of events */
	const char *selector; /* RSQL that limits what the token sees; NULL: everything. Borrowed
				   * until the request ends */
	/* of a device session (WHO_DEVICE), set by device_auth(); name is empty then: the id costs a read */
	uint8_t session_key[32]; /* keys the MAC of the answer */
	uint64_t nonce;          /* of this device request */
	int64_t manifest;        /* number of the newest manifest that the device says it has */
};

typedef enum fl_code (*handler_fn)(struct request *rq, struct fl_err *err);

#define REQUEST_PARAMS_MAX 4

struct request {
	/* set by http/ before the handler; read-only for it */
	uint64_t id; /* in logs, events and the X-Request-Id of the answer */
	struct server *server;
	const struct route *route;
	struct principal who;
	const char *method; /* as it came: "HEAD" on a GET route too */
	const char
		*target; /* path and query exactly as they came: the MAC of a device covers them */
	const char *param[REQUEST_PARAMS_MAX]; /* decoded {…} parts of the path, in order */
	struct fl_bytes body;                  /* whole body; empty in LANE_STREAM */
	json_t *json; /* parsed body when the route takes JSON and one came; owned by the request */
	int64_t now_ms; /* wall clock at arrival */
	/* set by the lane */
	struct store *store;     /* READ, WRITE */
	struct effects *effects; /* WRITE */
	/* the handler's own, kept between its parts; freed by `drop` when the request ends */
	void *state;
	void (*drop)(void *state);
};

/* The value of a query parameter or header, decoded, borrowed; NULL if absent. Any lane. */
const char *request_query(const struct request *rq, const char *name);
const char *request_header(const struct request *rq, const char *name);
/* A query parameter as an integer in [min, max], `otherwise` if absent. */
enum fl_code request_query_int(const struct request *rq, const char *name, int64_t min, int64_t max,
	int64_t otherwise, int64_t *out, struct fl_err *err) FL_MUST_CHECK;
/* Read the JSON body by a table, unknown keys as the route's side demands (management: rejected,
 * device: ignored). FL_INVALID when there is none. */
enum fl_code request_read(struct request *rq, const struct fl_json_field *fields, size_t n,
	void *out, struct fl_err *err) FL_MUST_CHECK;
/* Memory that lives as long as the request; NULL if there is none. */
void *request_alloc(struct request *rq, size_t size);
char *request_strdup(struct request *rq, const char *s);

/* For long work: a duplicate of the client's socket, to look at with request_hung_up and to close; -1: there
 * is none. In a lane that has the request. */
int request_socket(const struct request *rq);
/* Whether the client has closed its end: nobody waits for the answer. -1: no. Any thread. */
bool request_hung_up(int socket);

/* The answer. Bodies are taken over; each may be called once. `json`/`body` failed allocations turn
 * into 503. */
void reply_json(struct request *rq, unsigned status, json_t *take);
void reply_buf(struct request *rq, unsigned status, const char *content_type, struct fl_buf *take);
void reply_empty(struct request *rq, unsigned status);
/* Answer with a problem that has members of its own (`take_extra`: an object, taken over; NULL: none).
 * Unlike a returned error it keeps what a WRITE handler has stored. */
void reply_problem(struct request *rq, enum fl_code code, const char *detail, json_t *take_extra);
/* Add a header to the answer (before or after the body is set). */
void reply_header(struct request *rq, const char *name, const char *fmt, ...) FL_PRINTF(3, 4);
/* Send the open file `fd` (taken over): ranges, multi-ranges, HEAD, conditional requests and
 * Content-Length are done by http/. `etag` is the strong tag without quotes. */
struct reply_file {
	int fd;
	int64_t size;
	const char *etag;
	const char *content_type;
	const uint8_t *sha256; /* 32 bytes for Repr-Digest; NULL: none */
	bool immutable;        /* Cache-Control: public, max-age=31536000, immutable */
};
void reply_file(struct request *rq, const struct reply_file *f);

/* Go on with `fn` in another lane once this part is done (from WRITE: after COMMIT). */
void request_then(struct request *rq, enum lane lane, handler_fn fn);

/* Wait without a thread until `topic` is woken or `wait_ms` have passed, then run fn in `lane`. */
void request_park(
	struct request *rq, uint64_t topic, int64_t wait_ms, enum lane lane, handler_fn fn);
/* Wake all requests parked on `topic`. Any thread. */
void request_wake(struct server *server, uint64_t topic);
/* Topics are a kind and a number. */
enum topic_kind { TOPIC_DEVICE = 1, TOPIC_DELTA, TOPIC_ROLLOUT, TOPIC_EVENTS };
#define TOPIC(kind, no) ((uint64_t)(kind) << 56 | (uint64_t)(no))

/* Receive the body in pieces. Each function runs in its lane, one at a time; a piece may hand over to
 * WRITE with request_then, the next piece comes after that. */
struct request_stream {
	enum lane lane; /* of piece and end: WORK or WRITE */
	enum fl_code (*piece)(struct request *rq, struct fl_bytes bytes, struct fl_err *err);
	handler_fn end; /* all is there: replies */
};
void request_stream(struct request *rq, const struct request_stream *ops);

/* Answer with a body that goes on: SSE. `next` runs in READ whenever `topic` is woken and at least
 * every keepalive; it appends what is new to `out`. */
typedef enum fl_code (*reply_more_fn)(struct request *rq, struct fl_buf *out, struct fl_err *err);
void reply_events(struct request *rq, uint64_t topic, reply_more_fn next);

#endif
