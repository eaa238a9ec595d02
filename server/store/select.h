/* SPDX-License-Identifier: Apache-2.0
 *
 * RSQL as SQL over devices: the one place that composes text.
 *
 * DESIGN. A WHERE clause is put together from constant fragments; everything that a user wrote is a
 * bound value. The text depends on the shape of the expression alone, so the engine's cache of
 * statements (db_query_text) serves all expressions of one shape. A comparison of installed versions
 * is first resolved against the few distinct versions there are, and becomes a set of states. The
 * clause speaks of `d` (device) and `p` (device_profile). Only store/ includes this. */
#ifndef STORE_SELECT_H
#define STORE_SELECT_H

#include "server/rsql.h"
#include "server/store/db.h"
#include "server/store/store.h"

#define SELECT_ARGS_MAX 2048

/* A statement being composed. Zeroed memory is empty. */
struct select {
	struct fl_buf sql;
	struct db_arg *args; /* owned, grows */
	size_t n, cap;
	void **texts; /* owned memory behind some args */
	size_t n_texts;
	bool failed; /* no memory, or too many arguments */
};

/* Free what `s` owns and zero it. Safe twice and on zeroed memory. */
void select_fini(struct select *s);
/* Append a constant fragment. */
void select_add(struct select *s, const char *fragment);
/* Append "$n" and bind `arg` to it; its memory must live until the query ends. */
void select_bind(struct select *s, struct db_arg arg);
/* Append `r` (NULL: true) as one condition in parentheses; never NULL in SQL's sense. Reads the
 * distinct versions where installed.<module> occurs. */
enum fl_code select_where(struct select *s, struct store *store, const struct rsql *r,
	struct fl_err *err) FL_MUST_CHECK;
/* Begin the query. */
enum fl_code select_query(struct select *s, struct store *store, struct db_rows *rows,
	struct fl_err *err) FL_MUST_CHECK;

#endif
