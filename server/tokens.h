/* SPDX-License-Identifier: Apache-2.0
 *
 * Bearer tokens in memory: a request is authenticated without SQL. */
#ifndef TOKENS_H
#define TOKENS_H

#include "lib/err.h"

struct server;
struct request;

/* Check the text behind "Bearer " and fill rq->who. `who.selector` stays valid until the request
 * ends. Loop thread, does not block. FL_UNAUTHENTICATED: unknown, wrong, expired, revoked, used up. */
enum fl_code tokens_auth(struct request *rq, const char *bearer, struct fl_err *err) FL_MUST_CHECK;

/* The admin token that tokens_up made because the database had none, else NULL. Shown once by
 * main.c; borrowed until tokens_forget_first wipes it. Main thread. */
const char *tokens_first(const struct server *s);
void tokens_forget_first(struct server *s);

#endif
