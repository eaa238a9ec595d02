/* SPDX-License-Identifier: Apache-2.0
 *
 * A lean HTTP/1.1 client for very many requests over few connections: plain sockets, epoll,
 * keep-alive, one thread. For fleet-swarm, whose own CPU time must not show in a benchmark.
 *
 * DESIGN. A call is a whole request as bytes; it waits in a queue until one of at most C
 * connections is free. An answer is read into the connection's buffer and parsed where it lies. No
 * TLS, no chunked coding, no redirects: fleetd needs none of them with this client. While the
 * server is away calls stay in the queue and the connections back off with jitter, so a restart of
 * the server costs nobody a request that was not sent yet. All functions: one thread. Callbacks run
 * inside pool_run only. */
#ifndef AGENT_POOL_H
#define AGENT_POOL_H

#include "lib/buf.h"
#include "lib/list.h"

#include <sys/socket.h>

/* What an answer says besides its body. */
struct pool_answer {
	int status;
	int64_t length;        /* of this body */
	int64_t retry_after_s; /* 0: not given */
	char mac[64];          /* Fleet-Mac; empty: none */
	char etag[96];         /* empty: none */
};

struct pool_call {
	/* Set by the caller before pool_start, untouched until `done`. */
	struct fl_buf request; /* owned by the caller */
	/* Called once, also on failure; the call is free to be used again inside it. */
	void (*done)(struct pool_call *call);
	void *owner;
	/* Body bytes as they come; NULL: collected and given in `body`. */
	void (*piece)(struct pool_call *call, struct fl_bytes piece);
	size_t body_max;   /* larger collected bodies are FL_TOO_LARGE */
	int64_t rate;      /* read at most so many body bytes a second; 0: no limit */
	int64_t cut_after; /* close the connection behind so many body bytes; -1: never */

	/* Set by the pool before `done`. */
	enum fl_code code;         /* FL_OK: an answer came, whatever its status; else FL_NETWORK,
				    * FL_TIMEOUT, FL_TOO_LARGE, FL_INVALID */
	struct pool_answer answer; /* zero without one */
	struct fl_bytes body;      /* valid in `done` only */
	int64_t received;          /* body bytes that came */
	int64_t sent_us, ended_us; /* monotonic: first byte sent, last byte come */
	struct fl_link link;       /* the pool's */
	bool again;                /* the pool's: was sent once already on a connection that had
				    * been closed by the server meanwhile */
};

struct pool;

struct pool_options {
	struct sockaddr_storage address;
	socklen_t address_len;
	size_t connections;
	int64_t timeout_ms; /* from sending to the whole answer, slow calls excepted */
	uint64_t seed;      /* of the jitter */
};

/* Make a pool; connects lazily. FL_NOMEM, FL_IO. */
enum fl_code pool_new(
	struct pool **out, const struct pool_options *o, struct fl_err *err) FL_MUST_CHECK;
/* Close all connections. Calls that are still waiting or under way are forgotten without `done`. */
void pool_free(struct pool *p);

/* Queue a call. */
void pool_start(struct pool *p, struct pool_call *call);
/* Wait at most timeout_ms (-1: for ever) for sockets, do what there is to do, call `done`s. */
void pool_run(struct pool *p, int timeout_ms);
/* Calls that are queued or under way. */
size_t pool_busy(const struct pool *p);
/* Whether the last attempt to connect failed. */
bool pool_down(const struct pool *p);

#endif
