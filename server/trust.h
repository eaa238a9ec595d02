/* SPDX-License-Identifier: Apache-2.0
 *
 * The keys of this server, on disk in the data directory's keys/ (folder 0700, files 0600).
 *
 * DESIGN. trust_up (parts.h) loads them; at the first start it makes them all, durably, root.json
 * last: without root.json the first start has not ended and is done again. The root made here is
 * marked quick-start: its key lies on this machine; fleetctl replaces it. Everything is read-only
 * after that, so any thread may use it. Nothing of it is ever logged. */
#ifndef TRUST_H
#define TRUST_H

#include "lib/envelope.h"

struct server;
struct trust;

/* The Ed25519 keys; their files are keys/<name>.key. */
#define TRUST_KEYS(X)         \
	X(ROOT, "root")       \
	X(TARGETS, "targets") \
	X(SNAPSHOT, "snapshot") X(TIMESTAMP, "timestamp") X(MANIFEST, "manifest") X(AUDIT, "audit")
#define TRUST_ENUM_(code, name) TRUST_##code,
enum trust_key { TRUST_KEYS(TRUST_ENUM_) TRUST_KEY_MAX };

/* One of them, borrowed. NULL for a key that is not on this machine (an offline root). */
const struct fl_sign_key *trust_key(const struct trust *t, enum trust_key which);
/* The 32 secret bytes that session keys are derived from (keys/session.secret), borrowed. */
const uint8_t *trust_session_secret(const struct trust *t);
/* Text of the newest root envelope, borrowed. */
struct fl_bytes trust_root_text(const struct trust *t);
/* The same, read; borrowed. */
const struct fl_root *trust_root(const struct trust *t);

/* What trust_up does, for a folder of choice: load, or make what the first start makes. The caller
 * owns *out (trust_close). FL_CORRUPT, FL_FORBIDDEN (others may read a key), FL_IO, FL_FULL. */
enum fl_code trust_open(
	const char *keys_dir, int64_t now_ms, struct trust **out, struct fl_err *err) FL_MUST_CHECK;
/* Wipe and free; NULL is fine. */
void trust_close(struct trust *t);

#endif
