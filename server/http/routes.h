/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding the row of tbl/routes.h that answers a request.
 *
 * DESIGN. At start the paths become a tree of segments: a node has its literal children sorted (found
 * by halving) and at most one child for a {name}. A literal goes before a name. A leaf has one row per
 * method. HEAD is answered by the row of GET. */
#ifndef HTTP_ROUTES_H
#define HTTP_ROUTES_H

#include "server/http/request.h"

enum method {
	METHOD_GET,
	METHOD_HEAD,
	METHOD_POST,
	METHOD_PUT,
	METHOD_PATCH,
	METHOD_DELETE,
	METHOD_OPTIONS,
	METHOD_MAX
};

/* One row. */
struct route {
	enum method method;
	const char *path;
	unsigned who;       /* enum who bits */
	int64_t body_limit; /* bytes; 0: takes no body */
	enum lane lane;
	handler_fn handler;
	const char *name; /* of the handler */
	const char *summary;
};

/* All rows of the table; *n gets their number. Static. */
const struct route *routes_table(size_t *n);

struct routes;

/* Build the tree of `n` rows, which must outlive it. A path that contradicts another one is our
 * defect. NULL without memory; the caller owns the result. */
struct routes *routes_new(const struct route *rows, size_t n);
void routes_free(struct routes *r);

/* What a path leads to. */
struct routes_match {
	const struct route *by_method[METHOD_MAX]; /* NULL: not taken */
	size_t n_params;
	struct fl_bytes params[REQUEST_PARAMS_MAX]; /* borrowed of the path, not decoded */
};

/* Find `path` (n bytes, without query, not decoded). False: there is no such address. Any thread. */
bool routes_find(const struct routes *r, const char *path, size_t n, struct routes_match *out);

/* The value of the Allow header for a match. */
void routes_allow(const struct routes_match *m, struct fl_buf *b);

/* METHOD_MAX for an unknown one. */
enum method routes_method(const char *text);
const char *routes_method_text(enum method m);

/* Append the rows as mdoc list items for fleetd(8). */
void routes_manual(struct fl_buf *b);

#endif
