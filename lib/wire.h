/* SPDX-License-Identifier: Apache-2.0
 *
 * The devices' own protocol, as bytes: what fleetd, fleet-agent and fleet-swarm must do alike.
 * The manual is fleet-protocol(7).
 *
 * DESIGN. A session is 16 bytes that the server can check without having stored them: they say whose
 * it is, and the key of its MACs is derived from them and the server's session secret. A request
 * says `Authorization: Fleet SESSION.NONCE.MANIFEST.MAC`, its answer `Fleet-Mac: MANIFEST.MAC`.
 * Nothing on that way allocates. */
#ifndef FL_WIRE_H
#define FL_WIRE_H

#include "lib/json.h"
#include "lib/sign.h"

#define FL_WIRE_SESSION_LEN  16
#define FL_WIRE_SESSION_TEXT 22         /* base64url of it */
#define FL_WIRE_EPOCH_S      1767225600 /* 2026-01-01: `issued` counts from here */

#define FL_WIRE_AUTH_HEADER   "Authorization"
#define FL_WIRE_ANSWER_HEADER "Fleet-Mac"
/* Bytes of the two header values with their NUL. */
#define FL_WIRE_AUTH_MAX   (sizeof("Fleet ") + FL_WIRE_SESSION_TEXT + FL_MAC_TEXT + 2 * 20 + 3)
#define FL_WIRE_ANSWER_MAX (20 + 1 + FL_MAC_TEXT + 1)

/* ---- sessions */

struct fl_wire_session {
	uint64_t device_no;
	uint32_t epoch;  /* of the device when it was given */
	uint32_t issued; /* seconds since FL_WIRE_EPOCH_S */
};
/* Plain struct <-> the 16 bytes (little endian: no u64, epoch u32, issued u32). */
void fl_wire_session_pack(const struct fl_wire_session *s, uint8_t out[FL_WIRE_SESSION_LEN]);
void fl_wire_session_unpack(const uint8_t in[FL_WIRE_SESSION_LEN], struct fl_wire_session *s);
/* The session's key: BLAKE2b-256 of the server's secret and the 16 bytes. Server only. Its first half
 * is for the MACs of requests, its second half for those of answers. */
void fl_wire_session_key(const uint8_t secret[FL_KEY_LEN],
	const uint8_t session[FL_WIRE_SESSION_LEN], uint8_t out[FL_KEY_LEN]);

/* ---- signed bodies: reports that end a step (by the device), answers to a handshake (by the server)
 */

/* Sign a body: sets its member "signature", Ed25519 in base64url over the canonical JSON of all other
 * members. FL_INVALID if there are real numbers in it; FL_NOMEM, also when body is NULL. */
enum fl_code fl_wire_sign(
	json_t *body, const struct fl_sign_key *key, struct fl_err *err) FL_MUST_CHECK;
/* Verify what fl_wire_sign signed. FL_SIGNATURE, also when there is none; FL_INVALID; FL_NOMEM. */
enum fl_code fl_wire_verify(
	const json_t *body, const uint8_t key[FL_PUBLIC_LEN], struct fl_err *err) FL_MUST_CHECK;

/* ---- requests under a session */

/* What the MAC of a request covers. Borrowed. */
struct fl_wire_request {
	const char *method;
	const char *path; /* with the query, exactly as sent */
	uint64_t nonce;   /* greater than in every request of this session before */
	int64_t manifest; /* number of the newest manifest that the device has; 0: none */
	struct fl_bytes body;
};
#define FL_WIRE_PATH_MAX 4096
/* SipHash-2-4-128 keyed with the session key's first half over
 * METHOD "\n" PATH "\n" NONCE "\n" MANIFEST "\n" and, if there is a body, its BLAKE2b-256 (32 raw bytes).
 * False if the path is longer than FL_WIRE_PATH_MAX or the method than 16 bytes. */
bool fl_wire_request_mac(const uint8_t key[FL_KEY_LEN], const struct fl_wire_request *r,
	uint8_t mac[FL_MAC_LEN]) FL_MUST_CHECK;

/* The Authorization header taken apart. */
struct fl_wire_auth {
	uint8_t session[FL_WIRE_SESSION_LEN];
	uint64_t nonce;
	int64_t manifest;
	uint8_t mac[FL_MAC_LEN];
};
/* Write the header's value with a NUL; returns its length. */
size_t fl_wire_auth_write(char out[FL_WIRE_AUTH_MAX], const struct fl_wire_auth *a);
/* Read one; false if it has any other form. */
bool fl_wire_auth_read(const char *header, struct fl_wire_auth *out);
/* For the device: MAC `r` and write the whole value. `session` is the text from the handshake
 * (FL_WIRE_SESSION_TEXT characters); false if it is none or the path is too long. */
bool fl_wire_authorize(char out[FL_WIRE_AUTH_MAX], const char *session,
	const uint8_t key[FL_KEY_LEN], const struct fl_wire_request *r);

/* ---- their answers */

/* What the MAC of an answer covers. Borrowed. */
struct fl_wire_answer {
	unsigned status;
	uint64_t nonce;   /* of the request */
	int64_t manifest; /* number of the device's newest manifest */
	struct fl_bytes body;
};
/* SipHash-2-4-128 keyed with the session key's second half over
 * STATUS "\n" NONCE "\n" MANIFEST "\n" and, if there is a body, its BLAKE2b-256 (32 raw bytes). */
void fl_wire_answer_mac(
	const uint8_t key[FL_KEY_LEN], const struct fl_wire_answer *a, uint8_t mac[FL_MAC_LEN]);
/* For the server: MAC `a` and write the value of Fleet-Mac; returns its length. */
size_t fl_wire_answer_write(char out[FL_WIRE_ANSWER_MAX], const uint8_t key[FL_KEY_LEN],
	const struct fl_wire_answer *a);
/* For the device: whether `header` (NULL: there was none) proves the answer; a->manifest is read from
 * it. FL_SIGNATURE. The caller then refuses a number below its own. */
enum fl_code fl_wire_answer_check(const char *header, const uint8_t key[FL_KEY_LEN],
	struct fl_wire_answer *a, struct fl_err *err) FL_MUST_CHECK;

/* ---- reports */

/* The states that a device reports; ENDS are the ones that end a step and carry a signature. */
/* clang-format off */
#define FL_WIRE_STATES(X)                           \
	X(DOWNLOADING, "downloading", false)        \
	X(DOWNLOADED, "downloaded", false)          \
	X(INSTALLING, "installing", false)          \
	X(REBOOTING, "rebooting", false)            \
	X(INSTALLED, "installed", false)            \
	X(WAITING, "waiting", false)                \
	X(CONFIRMED, "confirmed", true)             \
	X(FAILED, "failed", true)                   \
	X(REJECTED, "rejected", true)               \
	X(ROLLED_BACK, "rolled_back", true)         \
	X(ROLLBACK_FAILED, "rollback_failed", true)
/* clang-format on */

#define FL_WIRE_ENUM_(code, text, ends) FL_WIRE_##code,
enum fl_wire_state { FL_WIRE_STATES(FL_WIRE_ENUM_) FL_WIRE_STATE_MAX };

/* The word on the wire; whether it ends a step; the state of a word (false: unknown). */
const char *fl_wire_state_text(enum fl_wire_state s);
bool fl_wire_state_ends(enum fl_wire_state s);
bool fl_wire_state_parse(const char *text, enum fl_wire_state *out);

#define FL_WIRE_DETAIL_MAX    1000
#define FL_WIRE_STEP_MAX      64
#define FL_WIRE_BYTES_MAX     (1LL << 40) /* of one step; a sum over millions of them fits */
#define FL_WIRE_INSTALLED_MAX 256

/* A report as it was read. Texts are borrowed from the JSON value. */
struct fl_wire_report {
	const char *step; /* id from the manifest; NULL: about no step */
	int64_t manifest; /* number of the manifest that it is about */
	enum fl_wire_state state;
	const char *cause;    /* release, device, network, server, unknown; NULL: not said */
	const char *wait;     /* of WAITING: window, consent, network, battery; NULL */
	const char *detail;   /* NULL: none */
	int64_t progress;     /* 0 to 100; -1: not said */
	int64_t bytes, saved; /* downloaded, and full sizes minus that; -1: not said */
	json_t *installed;    /* what runs now; NULL: not said */
	int64_t time_ms;      /* the device's clock; 0: it has none */
};
/* Read a body; unknown keys are ignored. FL_INVALID, also if it ends a step and has no
 * signature (which fl_wire_verify verifies). */
enum fl_code fl_wire_report_read(
	const json_t *body, struct fl_wire_report *out, struct fl_err *err) FL_MUST_CHECK;

#endif
