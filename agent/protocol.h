/* SPDX-License-Identifier: Apache-2.0
 *
 * The device's side of the protocol: builds requests, checks answers. No I/O, no clock of its own;
 * shared by fleet-agent (libcurl) and fleet-swarm (plain sockets). See fleet-protocol(7).
 *
 * DESIGN. A message is method, path, header lines and body, made into buffers that are used again.
 * The transport sends it and hands the answer back. An answer under a session is believed only
 * after protocol_check: its MAC covers status, nonce, manifest number and body, so an old or changed
 * answer, or one to another request, is refused. */
#ifndef AGENT_PROTOCOL_H
#define AGENT_PROTOCOL_H

#include "lib/json.h"
#include "lib/envelope.h" /* struct fl_role */
#include "lib/wire.h"

#define PROTOCOL_PATH_MAX 2048

/* One request. Zeroed memory is valid; protocol_message_fini frees. */
struct protocol_message {
	const char *method; /* static */
	char path[PROTOCOL_PATH_MAX];
	struct fl_buf headers; /* "Name: value\r\n" lines, without Host and Content-Length */
	struct fl_buf body;
	char proof[32]; /* of a handshake: the nonce that its answer must name */
	uint64_t nonce; /* under a session: what the answer's MAC must cover */
};

/* What a transport brings back. Borrowed. */
struct protocol_answer {
	int status;
	const char *mac; /* Fleet-Mac; NULL or empty: none */
	struct fl_bytes body;
};

/* Who the device is. Borrowed. */
struct protocol_device {
	const char *id;
	const char *tier;         /* "device" or "gateway" */
	const char *gateway;      /* id; NULL: none */
	const json_t *attributes; /* object */
	const json_t *installed;  /* array of {"module","version","sha256"?} */
};

/* A session, as the server gave it. Plain data, secret: wipe with fl_wipe. */
struct protocol_session {
	char id[FL_WIRE_SESSION_TEXT + 1];
	uint8_t key[FL_KEY_LEN];
	uint64_t nonce; /* of the last request */
	int64_t expires_in_s;
	int64_t poll_interval_s;
	int64_t manifest; /* newest number at the time */
	int64_t server_time_ms;
};

/* What an enrolment gives. */
struct protocol_enrolment {
	int64_t no;
	int64_t server_time_ms;
	char *root; /* text of the root envelope; owned by the caller */
};

/* One download, and what it becomes. Digests as lower hex. */
struct protocol_leg {
	char codec[32];
	char from[FL_SHA256_HEX + 1]; /* empty: needs nothing old */
	char to[FL_SHA256_HEX + 1];
	char sha256[FL_SHA256_HEX + 1];
	char url[512]; /* a path on the same server */
	int64_t size, to_size;
};

/* How to get an artifact: one download, or two of which the second starts from what the first one
 * becomes. */
struct protocol_offer {
	struct protocol_leg legs[2]; /* in the order of decoding */
	size_t n;
};

/* Free the buffers. Safe twice and on zeroed memory. */
void protocol_message_fini(struct protocol_message *m);

/* POST enrol, signed by the new key, with the token's bearer line. `now_s`: the wall clock.
 * FL_NOMEM, FL_INVALID. */
enum fl_code protocol_enrol(struct protocol_message *m, const struct protocol_device *device,
	const struct fl_sign_key *key, const char *token, int64_t now_s,
	struct fl_err *err) FL_MUST_CHECK;
/* Read its answer. FL_OK with out->root to free; else the problem's code and sentence. */
enum fl_code protocol_enrol_read(const struct protocol_answer *a, struct protocol_enrolment *out,
	struct fl_err *err) FL_MUST_CHECK;

/* POST session, signed by the device's key. */
enum fl_code protocol_handshake(struct protocol_message *m, const char *device,
	const struct fl_sign_key *key, int64_t now_s, struct fl_err *err) FL_MUST_CHECK;
/* Whose handshake it is, and whom it trusts. Borrowed. */
struct protocol_party {
	const char *device;            /* id */
	const struct fl_sign_key *key; /* the device's */
	const struct fl_role *trust;   /* keys that the root names for manifests and handshakes */
};
/* Read the answer to the handshake `m`: it must be signed by a trusted key and name this device and
 * this handshake's nonce; opens the sealed key. FL_SIGNATURE: somebody else made it. FL_UNAUTHENTICATED
 * and others: the server's refusal. */
enum fl_code protocol_handshake_read(const struct protocol_message *m,
	const struct protocol_answer *a, const struct protocol_party *party,
	struct protocol_session *out, struct fl_err *err) FL_MUST_CHECK;
/* The server's clock in ms that a refused handshake (401) tells, for one more try; 0: none. */
int64_t protocol_clock(const struct protocol_answer *a);

/* GET poll. `manifest` is the number of the newest manifest the device has taken. The nonce is
 * max(now_ms, last + 1). */
enum fl_code protocol_poll(struct protocol_message *m, struct protocol_session *s, int64_t manifest,
	int64_t now_ms, struct fl_err *err) FL_MUST_CHECK;
/* PUT inventory: m->body holds it already (protocol_inventory_body). */
enum fl_code protocol_inventory(struct protocol_message *m, struct protocol_session *s,
	int64_t manifest, int64_t now_ms, struct fl_err *err) FL_MUST_CHECK;
/* Replace m->body by an inventory. */
enum fl_code protocol_inventory_body(struct protocol_message *m, const json_t *attributes,
	const json_t *installed, struct fl_err *err) FL_MUST_CHECK;
/* POST report: m->body holds it already (protocol_report_body). */
enum fl_code protocol_report(struct protocol_message *m, struct protocol_session *s,
	int64_t manifest, int64_t now_ms, struct fl_err *err) FL_MUST_CHECK;
/* Replace m->body by the report (an object as state.h keeps them); one that ends a step is signed.
 * FL_INVALID if it is none. */
enum fl_code protocol_report_body(struct protocol_message *m, const json_t *report,
	const struct fl_sign_key *key, struct fl_err *err) FL_MUST_CHECK;
/* What the device can start from and take. Borrowed. */
struct protocol_wish {
	const char *sha256;      /* the artifact */
	const char *const *have; /* digests of what it has */
	size_t n_have;
	const char *codecs; /* "zstd-patch,zstd,identity" */
	int64_t memory;     /* bytes for decoding */
	bool chain;         /* it can decode twice */
};
/* GET artifacts/{sha256}. Digests that do not fit into the address any more are left out. */
enum fl_code protocol_ask(struct protocol_message *m, struct protocol_session *s,
	const struct protocol_wish *wish, int64_t manifest, int64_t now_ms,
	struct fl_err *err) FL_MUST_CHECK;
/* Read and check an offer: what was asked for, addresses on this server only. FL_INVALID. */
enum fl_code protocol_offer_read(struct fl_bytes body, const struct protocol_wish *wish,
	struct protocol_offer *out, struct fl_err *err) FL_MUST_CHECK;

/* Believe an answer to `m`, or not. FL_OK for any status whose MAC is right; *newest is then the
 * server's newest manifest number. FL_SIGNATURE: the MAC is wrong or missing, or its number is
 * below `manifest` (a replay). FL_UNAUTHENTICATED: a 401, which carries no MAC: make a new session.
 * FL_NONCE: the same, but only the nonce was not above the last one: build the message again.
 * FL_UNAVAILABLE: 429 or 5xx without a MAC: the server turned it away before it looked at it. */
enum fl_code protocol_check(const struct protocol_message *m, const struct protocol_session *s,
	const struct protocol_answer *a, int64_t manifest, int64_t *newest,
	struct fl_err *err) FL_MUST_CHECK;

/* Whether an answer to a poll or a report says that a freeze holds: the device must not switch for now. */
bool protocol_holds(const struct protocol_answer *a);

/* Turn a status that is not 2xx into an error; the sentence is the problem's detail. */
enum fl_code protocol_problem(const struct protocol_answer *a, struct fl_err *err) FL_MUST_CHECK;

#endif
