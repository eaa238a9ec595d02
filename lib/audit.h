/* SPDX-License-Identifier: Apache-2.0
 *
 * The audit trail's mathematics: how a line is chained to the one before, and signed marks that say
 * where the chain stood. Shared by fleetd, which writes it, and fleetctl, which checks it offline.
 *
 * DESIGN. hash = SHA-256(hash of the line before || canonical JSON of
 * {"actor","at","data","kind","seq","subject"}), `at` in ms since 1970; before line 1 stand 32 zero
 * bytes. A mark is an envelope (envelope.h) over {"_type","at","hash","seq","tenant","uuid"}, signed
 * by the audit key: a head says that the chain had this hash after line seq, a checkpoint that all
 * lines up to and including seq were pruned. Pure; any thread. */
#ifndef FL_AUDIT_H
#define FL_AUDIT_H

#include "lib/envelope.h"

#define FL_AUDIT_HASH FL_SHA256_LEN
#define FL_AUDIT_NAME 129 /* bytes of a tenant with its NUL */

/* One line. Borrowed texts. */
struct fl_audit_line {
	int64_t seq;
	int64_t at_ms;
	const char *actor, *kind, *subject;
	const json_t *data;
	uint8_t hash[FL_AUDIT_HASH]; /* as stored */
};

/* The hash that `line` must have behind a line with hash `before`. FL_INVALID if the data holds real
 * numbers or a text is no UTF-8; FL_NOMEM. */
enum fl_code fl_audit_hash(const struct fl_audit_line *line, const uint8_t before[FL_AUDIT_HASH],
	uint8_t out[FL_AUDIT_HASH], struct fl_err *err) FL_MUST_CHECK;
/* Read a line as the API and exports show it. It borrows from `event`. FL_CORRUPT. */
enum fl_code fl_audit_line_read(
	const json_t *event, struct fl_audit_line *out, struct fl_err *err) FL_MUST_CHECK;

/* ms since 1970 as lines show it: "2026-11-23T08:00:00.123Z". */
#define FL_AUDIT_TIME 25
void fl_audit_time(int64_t ms, char out[FL_AUDIT_TIME]);

/* How far a chain has been followed. Zeroed: from its very beginning. */
struct fl_audit_walk {
	int64_t seq; /* of the last line that was followed */
	uint8_t hash[FL_AUDIT_HASH];
};
/* Follow one more line. FL_CORRUPT names the line that is missing, out of order or changed; the walk
 * stays where it was. */
enum fl_code fl_audit_follow(struct fl_audit_walk *walk, const struct fl_audit_line *line,
	struct fl_err *err) FL_MUST_CHECK;

enum fl_audit_kind { FL_AUDIT_HEAD, FL_AUDIT_CHECKPOINT };

/* Where the chain of a server stood. */
struct fl_audit_mark {
	enum fl_audit_kind kind;
	int64_t seq;
	int64_t at_ms; /* when it was signed */
	uint8_t hash[FL_AUDIT_HASH];
	char tenant[FL_AUDIT_NAME];
	char uuid[37];
};
/* Append the signed envelope. FL_NOMEM. */
enum fl_code fl_audit_seal(struct fl_buf *out, const struct fl_audit_mark *mark,
	const struct fl_sign_key *key, struct fl_err *err) FL_MUST_CHECK;
/* Verify an envelope with the audit key. FL_SIGNATURE; FL_INVALID also for the other kind. */
enum fl_code fl_audit_open(const json_t *envelope, enum fl_audit_kind kind,
	const struct fl_public *key, struct fl_audit_mark *out, struct fl_err *err) FL_MUST_CHECK;
/* Whether a walk that has reached mark->seq agrees with it; FL_CORRUPT says how it does not. */
enum fl_code fl_audit_agree(const struct fl_audit_walk *walk, const struct fl_audit_mark *mark,
	struct fl_err *err) FL_MUST_CHECK;

#endif
