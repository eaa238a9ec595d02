/* SPDX-License-Identifier: Apache-2.0 */
#include "server/api/list.h"

#include "lib/digest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- the page */

static enum fl_code bad_cursor(struct fl_err *err)
{
	return fl_fail(
		err, FL_INVALID, "this cursor is not one of this list; begin without a cursor");
}

static enum fl_code read_cursor(const char *cursor, char out[LIST_KEY_MAX], struct fl_err *err)
{
	size_t n = strlen(cursor) * 3 / 4;

	if (n == 0 || n >= LIST_KEY_MAX || FL_BASE64_LEN(n) != strlen(cursor) ||
		!fl_unbase64_all(cursor, out, n))
		return bad_cursor(err);
	out[n] = '\0';
	return strlen(out) == n ? FL_OK : bad_cursor(err);
}

enum fl_code list_init(struct request *rq, struct list *l, struct fl_err *err)
{
	const char *cursor = request_query(rq, "cursor");

	*l = (struct list){ 0 };
	enum fl_code code =
		request_query_int(rq, "limit", 1, STORE_PAGE_MAX, LIST_LIMIT, &l->limit, err);
	if (code == FL_OK && cursor != NULL)
		code = read_cursor(cursor, l->after, err);
	if (code != FL_OK)
		return code;
	l->items = json_array();
	return l->items == NULL ? fl_fail(err, FL_NOMEM, "no memory for a list") : FL_OK;
}

void list_fini(struct list *l)
{
	json_decref(l->items);
	l->items = NULL;
}

enum fl_code list_after(const struct list *l, int64_t *out, struct fl_err *err)
{
	char *end;

	if (l->after[0] == '\0') {
		*out = 0;
		return FL_OK;
	}
	errno = 0;
	long long n = strtoll(l->after, &end, 10);
	if (*end != '\0' || errno != 0 || n < 0)
		return bad_cursor(err);
	*out = n;
	return FL_OK;
}

/* Whether the page takes one more row; then its key is the last. */
static bool take_row(struct list *l, const char *key)
{
	if (l->rows == l->limit) {
		l->more = true;
		return false;
	}
	l->rows++;
	(void)snprintf(l->last, sizeof(l->last), "%s", key);
	return true;
}

enum fl_code list_add(struct list *l, json_t *take, const char *key, struct fl_err *err)
{
	FL_AUTO_JSON json_t *row = take;

	if (row == NULL || (take_row(l, key) && json_array_append(l->items, row) != 0))
		return fl_fail(err, FL_NOMEM, "no memory for a list");
	return FL_OK;
}

void list_skip(struct list *l, const char *key)
{
	(void)take_row(l, key);
}

void list_pass(struct list *l, const char *key)
{
	if (!l->more)
		(void)snprintf(l->last, sizeof(l->last), "%s", key);
}

enum fl_code list_add_no(struct list *l, json_t *take, int64_t key, struct fl_err *err)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRId64, key);
	return list_add(l, take, text, err);
}

/* The request's own address with another cursor. */
static void add_link(struct request *rq, const char *cursor)
{
	const char *query = strchr(rq->target, '?');
	size_t path = query == NULL ? strlen(rq->target) : (size_t)(query - rq->target);
	FL_AUTO_BUF struct fl_buf b = { .max = 8192 };
	const char *joint = "?";

	fl_buf_add(&b, rq->target, path);
	while (query != NULL && *query != '\0') {
		const char *pair = query + 1;
		size_t n = strcspn(pair, "&");

		if (n > 0 && strncmp(pair, "cursor=", 7) != 0) {
			fl_buf_printf(&b, "%s%.*s", joint, (int)n, pair);
			joint = "&";
		}
		query = pair + n;
	}
	fl_buf_printf(&b, "%scursor=%s", joint, cursor);
	if (!b.failed)
		reply_header(rq, "Link", "<%s>; rel=\"next\"", (const char *)b.p);
}

void list_reply_with(struct request *rq, struct list *l, const char *name, json_t *take)
{
	char cursor[FL_BASE64_LEN(LIST_KEY_MAX) + 1];
	json_t *page;

	if (l->more) {
		fl_base64(l->last, strlen(l->last), cursor);
		add_link(rq, cursor);
	}
	page = json_pack(
		"{s:o, s:s?}", "items", fl_steal(&l->items), "next", l->more ? cursor : NULL);
	if (name != NULL && json_object_set_new(page, name, take) != 0) {
		json_decref(page);
		page = NULL;
	}
	reply_json(rq, 200, page);
}

void list_reply(struct request *rq, struct list *l)
{
	list_reply_with(rq, l, NULL, NULL);
}

/* ---- values */

json_t *list_time(int64_t ms)
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;
	char date[24];

	if (ms <= 0)
		return json_null();
	(void)gmtime_r(&seconds, &tm);
	(void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	return json_sprintf("%s.%03dZ", date, (int)(ms % 1000));
}

json_t *list_hex(const uint8_t *p, size_t n)
{
	char hex[2 * 64 + 1];

	FL_BUG_IF(n > 64);
	fl_hex(p, n, hex);
	return json_string(hex);
}

json_t *list_text(const char *s)
{
	return s == NULL ? json_null() : json_string(s);
}

/* ---- the caller */

enum fl_code list_scope(struct request *rq, struct rsql **out, struct fl_err *err)
{
	if (rq->who.selector == NULL) {
		*out = NULL;
		return FL_OK;
	}
	enum fl_code code = rsql_parse(rq->who.selector, out, err);
	return code == FL_OK ? code : fl_wrap(err, "the selector of token \"%s\"", rq->who.name);
}

enum fl_code list_unlimited(const struct request *rq, const char *what, struct fl_err *err)
{
	if (rq->who.selector == NULL)
		return FL_OK;
	return fl_fail(err, FL_FORBIDDEN, "a token with a selector cannot %s", what);
}

enum fl_code list_if_match(struct request *rq, const char *etag, struct fl_err *err)
{
	const char *header = request_header(rq, "If-Match");
	size_t n = strlen(etag);

	if (header == NULL || strcmp(header, "*") == 0)
		return FL_OK;
	for (const char *at = header; (at = strstr(at, etag)) != NULL; at += n)
		if (at > header && at[-1] == '"' && at[n] == '"')
			return FL_OK;
	return fl_fail(err, FL_PRECONDITION,
		"it has changed since you read it; read it again and repeat the change");
}
