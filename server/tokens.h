/* SPDX-License-Identifier: Apache-2.0
 *
 * Bearer tokens in memory: a request is authenticated without SQL.
 *
 * DESIGN. A token reads flt_<id in base 36>_<32 random bytes in base64url>. The id finds the entry,
 * the BLAKE2b-256 of the secret is compared in constant time. Entries are loaded at start
 * (tokens_up, parts.h) and changed only by effects after COMMIT. An entry is never freed before
 * tokens_down (a revoked one is marked), so that what a request borrowed of it stays. Reading takes
 * a read lock for a binary search: loop threads may call it. */
#ifndef TOKENS_H
#define TOKENS_H

#include "lib/json.h"
#include "server/effects.h"
#include "server/store/store.h"

#define TOKENS_TEXT_MAX 64 /* bytes of a token's text with its NUL */

struct principal;
struct request;
struct server;
struct tokens;

/* An empty set; the caller frees it. FL_NOMEM. */
enum fl_code tokens_new(struct tokens **out, struct fl_err *err) FL_MUST_CHECK;
/* Free; NULL is fine. Nobody may hold a principal any more. */
void tokens_free(struct tokens *t);
/* Load all rows into an empty set. Before any other thread uses it. */
enum fl_code tokens_load(struct tokens *t, struct store *store, struct fl_err *err) FL_MUST_CHECK;

/* Check the text behind "Bearer " and fill rq->who. `who.selector` stays valid until the request
 * ends. Loop thread, does not block. FL_UNAUTHENTICATED: unknown, wrong, expired, revoked, used up. */
enum fl_code tokens_auth(struct request *rq, const char *bearer, struct fl_err *err) FL_MUST_CHECK;
/* The same without a request: fills *out (zeroed first). Any thread. */
enum fl_code tokens_authenticate(struct tokens *t, const char *bearer, int64_t now_ms,
	struct principal *out, struct fl_err *err) FL_MUST_CHECK;

/* The admin token that tokens_up made because the database had none, else NULL. Shown once by
 * main.c; borrowed until tokens_forget_first wipes it. Main thread. */
const char *tokens_first(const struct server *s);
void tokens_forget_first(struct server *s);

/* What a new token shall be. Borrowed. */
struct tokens_spec {
	const char *name;
	unsigned roles;       /* enum who bits; at least one */
	const char *selector; /* RSQL; NULL: everything */
	int64_t uses;         /* of WHO_ENROLLER; -1: no limit */
	const char *labels;   /* canonical JSON object; NULL: none */
	int64_t expires_at;   /* ms; 0: never */
	const char *created_by;
};

/* Create a token: row and event now, the entry in memory after COMMIT. `text` gets the only copy of
 * the secret: show it, then wipe it. FL_CONFLICT if the name is taken. Write lane. */
enum fl_code tokens_create(struct store *store, struct effects *e, const struct tokens_spec *spec,
	char text[TOKENS_TEXT_MAX], int64_t *id, struct fl_err *err) FL_MUST_CHECK;
/* Revoke, with its event: void for everybody after COMMIT. FL_REFUSED for the last admin token
 * without a selector, FL_NOT_FOUND. A revoked one stays as it is. Write lane. */
enum fl_code tokens_revoke(struct store *store, struct effects *e, int64_t id, const char *actor,
	struct fl_err *err) FL_MUST_CHECK;
/* Take one use of an enrolment token and append the labels that its device gets to `labels` (a JSON
 * object, "{}" without any). FL_FORBIDDEN when no use is left. Write lane. */
enum fl_code tokens_use(struct store *store, struct effects *e, int64_t id, struct fl_buf *labels,
	struct fl_err *err) FL_MUST_CHECK;

/* "viewer", "publisher" … -> bit of enum who; 0 if unknown. */
unsigned tokens_role_parse(const char *name);
/* `roles` as a new JSON array of their names; NULL without memory. */
json_t *tokens_roles_json(unsigned roles);
/* Append `roles` as a choice: "operator or admin". */
void tokens_roles_words(unsigned roles, struct fl_buf *out);

#endif
