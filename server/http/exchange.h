/* SPDX-License-Identifier: Apache-2.0
 *
 * One request on its way through http/: the public struct request and everything behind it.
 *
 * DESIGN. An exchange belongs to the loop that accepted its connection. It is with one owner at a
 * time, and hand-over is by a locked queue:
 *
 *   RECEIVE -> LANE -> (LANE | PARKED | RECEIVE of a stream)* -> READY -> ANSWER -> freed
 *      ^ loop    ^ lane thread  ^ loop                          ^ loop     ^ MHD
 *
 * While it is in a lane or parked its connection is suspended, and a lane thread never touches the
 * connection: headers are copied before. When the deadline passes in a lane the loop answers 504 and
 * marks the exchange `abandoned`; it lives on until the lane gives it back. So it has two
 * references, MHD's and the lane's, both counted on the loop thread.
 *
 * Only files in server/http/ include this. */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include "server/http/lanes.h"
#include "server/http/routes.h"

#include <microhttpd.h>

struct loop;

#define EXCHANGE_MAGIC     0x45584348u
#define EXCHANGE_INLINE    1536 /* first bytes of the request's memory */
#define EXCHANGE_HEADERS   16   /* headers of one answer that handlers may set */
#define STREAM_PIECE_BYTES (128 * 1024)

enum exchange_phase {
	PHASE_NEW,     /* no call of MHD's handler yet */
	PHASE_BODY,    /* the body is being collected */
	PHASE_DISCARD, /* the answer is known; what is left of the body is read and dropped */
	PHASE_LANE,    /* in a lane; suspended */
	PHASE_PARKED,  /* waits for its topic; suspended */
	PHASE_STREAM,  /* the body goes to the handler in pieces */
	PHASE_READY,   /* the answer is complete; resumed */
	PHASE_ANSWER,  /* MHD has the answer */
};

/* A header of the request, copied before a lane; of the answer. In the exchange's memory. */
struct exchange_header {
	const char *name, *value;
};

/* The answer, written by the handler's thread, read by the loop after the hand-over. */
struct answer {
	bool set;
	unsigned status;
	const char *content_type; /* NULL: none */
	struct fl_buf body;
	bool has_file;
	struct reply_file file;
	reply_more_fn more; /* SSE */
	struct exchange_header headers[EXCHANGE_HEADERS];
	size_t n_headers;
};

/* An SSE answer. */
struct exchange_events {
	struct fl_buf fresh;  /* what `more` has made; the lane's */
	struct fl_buf out;    /* what MHD may take; loop thread */
	size_t sent;          /* of out */
	bool begun, fetching; /* loop thread */
	bool queued;          /* MHD has the response */
	int64_t quiet_us;     /* since when nothing was sent */
};

/* A body in pieces; loop thread but `ops` and the piece in the lane. */
struct exchange_stream {
	const struct request_stream *ops; /* NULL: this is no stream */
	struct fl_buf fill, piece;        /* the loop fills one while the lane has the other */
	bool begun;                       /* MHD was told to read the body */
	bool ended;                       /* all bytes are in `fill` */
	bool end_called;                  /* the end handler was started */
};

struct exchange {
	struct request rq;
	unsigned magic;
	struct loop *loop;
	struct MHD_Connection *connection; /* NULL once MHD has ended it; loop thread */
	enum exchange_phase phase;         /* loop thread */
	int refs;                          /* loop thread */
	bool in_lane;                      /* the lane has a reference */
	bool abandoned;                    /* answered 504 while the lane has it */
	bool suspended;                    /* of the connection */
	bool admitted;            /* a queue has taken it: its later parts pass the limits */
	bool proved;              /* passed device_auth_mac: the answer is proved too */
	bool closing;             /* the connection must end with this answer */
	int64_t discarded;        /* bytes of the body that were dropped */
	int64_t began_us;         /* monotonic */
	struct fl_link link;      /* of loop's active or parked list, or its pool */
	struct fl_link done_link; /* of a done list */

	/* where it is or goes; the handler's thread sets `then` and `park` */
	enum lane lane;
	handler_fn fn;
	struct {
		bool set;
		enum lane lane;
		handler_fn fn;
	} then;
	struct {
		bool set;
		uint64_t topic;
		int64_t wait_ms, deadline_us;
		enum lane lane;
		handler_fn fn;
	} park;
	uint64_t wakes_seen; /* the count of wakes when the handler began */
	union {
		struct write_job write;
		struct read_job read;
		struct work_job work;
	} job;

	struct fl_buf body;
	struct exchange_stream stream;
	struct exchange_events events;
	struct answer answer;
	struct exchange_header *headers; /* of the request; NULL: not copied yet */
	size_t n_headers;

	/* memory of the request: the inline part, then chunks */
	struct exchange_chunk *chunks;
	size_t used;
	_Alignas(16) char memory[EXCHANGE_INLINE];
};

/* ---- exchange.c */

static inline struct exchange *exchange_of(struct request *rq)
{
	return fl_container(rq, struct exchange, rq);
}

/* A fresh exchange with MHD's reference for a request to `target` (copied). NULL without memory.
 * Loop thread. */
struct exchange *exchange_new(
	struct loop *loop, struct MHD_Connection *connection, const char *target);
/* Drop one reference; the last one frees everything. Loop thread. */
void exchange_unref(struct exchange *x);
/* Go into a lane with `fn`: suspends the connection if it is not. FAST runs here and now. A full
 * queue becomes the answer 503. Loop thread; exchange_advance is due when it is back. */
void exchange_submit(struct exchange *x, enum lane lane, handler_fn fn);
/* Decide what comes after a part has ended: the next lane, a wait, a piece, the answer. Loop thread. */
void exchange_advance(struct exchange *x);
/* The answer is complete: let MHD ask for it. Loop thread. */
void exchange_ready(struct exchange *x);
/* Suspend and resume the connection, if it is not already. Loop thread. */
void exchange_suspend(struct exchange *x);
void exchange_resume(struct exchange *x);
/* Parse the JSON body if there is one and it was not parsed. Any lane. */
enum fl_code exchange_parse(struct exchange *x, struct fl_err *err) FL_MUST_CHECK;
/* Run the present part; the thread of its lane. A failure becomes the answer. */
enum fl_code exchange_run(struct exchange *x, struct fl_err *err);
/* Answer 504 for a request that is still in its lane. Loop thread. */
void exchange_abandon(struct exchange *x);

/* ---- request.c */

/* Undo the %-encoding of `n` bytes into `to` (n + 1 bytes); `plus` is a blank in queries. False: it is
 * malformed or holds a NUL. */
bool request_decode(const char *from, size_t n, bool plus, char *to);

/* ---- reply.c */

/* Make the failure the answer, in place of what was set. */
void answer_problem(struct exchange *x, enum fl_code code, const char *detail);
/* Forget the answer and what it owns. */
void answer_reset(struct answer *a);
/* Hand the answer to MHD. Loop thread, inside of MHD's handler call. */
enum MHD_Result answer_queue(struct exchange *x);

/* ---- park.c */

/* Wait as x->park says, or go on at once when its topic was woken meanwhile. Loop thread. */
void park_add(struct exchange *x);
/* Wake what waits on `topic`, or everything whose time has come. Loop thread. */
void park_wake(struct loop *loop, uint64_t topic);
void park_expire(struct loop *loop, int64_t now_us);
/* Answer 503 to all that wait. Loop thread, at stop. */
void park_stop(struct loop *loop);

/* ---- stream.c */

/* Take body bytes (0: the body has ended) and return how many were used. A connection that must wait
 * is suspended. Loop thread, in MHD's handler call. */
size_t stream_take(struct exchange *x, const char *bytes, size_t n);
/* A piece or the end handler is back without an answer: go on. Loop thread. */
void stream_advance(struct exchange *x);

/* ---- events.c */

/* The response of an SSE answer; bytes are asked for by MHD. Loop thread. */
struct MHD_Response *events_response(struct exchange *x);
/* `more` is back from its lane, or its wait has ended. Loop thread. */
void events_advance(struct exchange *x);

#endif
