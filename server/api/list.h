/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers that all resources share: pages of a list, times, digests, the caller's scope.
 *
 * A list takes limit=1..1000 and cursor=OPAQUE and answers {"items":[…],"next":"…"|null} with a Link
 * header (RFC 8288). The cursor holds the key of the last row, so that a page stays right whatever is
 * added or removed meanwhile. */
#ifndef API_LIST_H
#define API_LIST_H

#include "server/http/request.h"
#include "server/rsql.h"

#define LIST_KEY_MAX 300 /* bytes of a cursor's key with its NUL */
#define LIST_LIMIT   100 /* rows when nothing is asked */

/* A page in the making. */
struct list {
	int64_t limit;            /* rows wanted */
	char after[LIST_KEY_MAX]; /* key of the cursor; "" from the start */
	char last[LIST_KEY_MAX];  /* key of the last row added */
	int64_t rows;             /* added or skipped */
	bool more;                /* there is another page */
	json_t *items;            /* owned */
};

/* Read limit and cursor. FL_INVALID; FL_NOMEM. End with list_fini, also after a failure. */
enum fl_code list_init(struct request *rq, struct list *l, struct fl_err *err) FL_MUST_CHECK;
/* Free what `l` owns. Safe twice. */
void list_fini(struct list *l);
/* The cursor's key as a number, 0 from the start; FL_INVALID when it is another list's. */
enum fl_code list_after(const struct list *l, int64_t *out, struct fl_err *err) FL_MUST_CHECK;
/* Add a row, `take` is taken over (NULL: no memory). Ask the store for limit + 1 rows: the one too
 * many is dropped and says that there is another page. */
enum fl_code list_add(
	struct list *l, json_t *take, const char *key, struct fl_err *err) FL_MUST_CHECK;
/* The same with a number as the key. */
enum fl_code list_add_no(
	struct list *l, json_t *take, int64_t key, struct fl_err *err) FL_MUST_CHECK;
/* Pass over a row that the caller may not see: the page is shorter by it, the next begins behind it. */
void list_skip(struct list *l, const char *key);
/* Pass over a row that the caller did not ask for: it takes no place on the page, but the next page
 * begins behind it. */
void list_pass(struct list *l, const char *key);
/* Answer 200 with the page; l->items is handed over. */
void list_reply(struct request *rq, struct list *l);
/* The same with one more member beside the items; `take` is taken over (NULL: no memory). */
void list_reply_with(struct request *rq, struct list *l, const char *name, json_t *take);

/* Ms since 1970 as a JSON text like "2026-11-23T08:00:00.000Z"; null for 0. A new reference. */
json_t *list_time(int64_t ms);
/* n bytes as lower-case hex. A new reference. */
json_t *list_hex(const uint8_t *p, size_t n);
/* A text, null for NULL. A new reference. */
json_t *list_text(const char *s);

/* The selector of the caller's token, parsed: *out is NULL when it sees everything. rsql_free it. */
enum fl_code list_scope(struct request *rq, struct rsql **out, struct fl_err *err) FL_MUST_CHECK;
/* FL_FORBIDDEN when the caller's token is limited by a selector; `what` completes "a token with a
 * selector cannot …". */
enum fl_code list_unlimited(
	const struct request *rq, const char *what, struct fl_err *err) FL_MUST_CHECK;
/* FL_PRECONDITION when If-Match came and does not name `etag` (without quotes). */
enum fl_code list_if_match(struct request *rq, const char *etag, struct fl_err *err) FL_MUST_CHECK;

#endif
