/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of bearer tokens. Checking a presented token is tokens.h's, from memory. */
#ifndef STORE_TOKEN_H
#define STORE_TOKEN_H

#include "server/store/store.h"

#define TOKEN_HASH_BYTES 32 /* BLAKE2b-256 of the secret */

struct token {
	int64_t id;
	const char *name;
	uint8_t hash[TOKEN_HASH_BYTES];
	unsigned roles;       /* enum who bits of http/request.h */
	const char *selector; /* RSQL over devices; NULL: everything */
	int64_t uses_left;    /* of an enrolment token; -1: no limit */
	const char *labels;   /* JSON object for devices that enrol with it; NULL: none */
	int64_t expires_at;   /* ms; 0: never */
	int64_t created_at;
	const char *created_by;
	int64_t revoked_at; /* ms; 0: in force */
	void *owned;        /* behind the texts; see copy.h */
};

/* Called per row; the texts end with the call. Another code than FL_OK ends the loop and is
 * returned. */
typedef enum fl_code (*token_fn)(void *context, const struct token *t, struct fl_err *err);

/* Free what token_get filled. Safe twice and on zeroed memory. */
void token_fini(struct token *t);
/* Insert; t->id is ignored, *id gets the new one. FL_CONFLICT if the name is taken. Write lane. */
enum fl_code token_add(
	struct store *store, const struct token *t, int64_t *id, struct fl_err *err) FL_MUST_CHECK;
/* One token by its id; FL_NOT_FOUND with a sentence. token_fini it. */
enum fl_code token_get(
	struct store *store, int64_t id, struct token *out, struct fl_err *err) FL_MUST_CHECK;
/* Up to `limit` tokens with ids above `after`, in order, revoked ones included. */
enum fl_code token_each(struct store *store, int64_t after, int64_t limit, token_fn fn,
	void *context, struct fl_err *err) FL_MUST_CHECK;
/* Mark as revoked now; a revoked one stays as it is. Write lane. */
enum fl_code token_revoke(struct store *store, int64_t id, struct fl_err *err) FL_MUST_CHECK;
/* Take one use; *left gets what remains, -1: no limit. FL_FORBIDDEN when none was left, or the token
 * is revoked or expired. Write lane. */
enum fl_code token_use(
	struct store *store, int64_t id, int64_t *left, struct fl_err *err) FL_MUST_CHECK;
/* How many tokens other than `except` hold one of `roles`, are not limited by a selector, in force and
 * not expired. */
enum fl_code token_count(struct store *store, unsigned roles, int64_t except, int64_t *n,
	struct fl_err *err) FL_MUST_CHECK;

#endif
