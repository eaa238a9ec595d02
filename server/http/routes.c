/* SPDX-License-Identifier: Apache-2.0 */
#include "server/http/routes.h"

#include <stdlib.h>
#include <string.h>

/* One segment of the tree. */
struct node {
	struct fl_bytes segment; /* of its literal; borrowed of a row's path */
	struct node **children;  /* literals, sorted by segment_compare; owned */
	size_t n_children;
	struct node *any; /* the {name} child; owned */
	bool leaf;
	const struct route *by_method[METHOD_MAX];
};

struct routes {
	struct node root;
};

static const char *const method_texts[METHOD_MAX] = { "GET", "HEAD", "POST", "PUT", "PATCH",
	"DELETE", "OPTIONS" };

enum method routes_method(const char *text)
{
	size_t i = 0;

	while (i < METHOD_MAX && strcmp(text, method_texts[i]) != 0)
		i++;
	return (enum method)i;
}

const char *routes_method_text(enum method m)
{
	return m < METHOD_MAX ? method_texts[m] : "?";
}

/* Shorter ones first: most comparisons then end at the length. */
static int segment_compare(struct fl_bytes a, struct fl_bytes b)
{
	if (a.n != b.n)
		return a.n < b.n ? -1 : 1;
	return memcmp(a.p, b.p, a.n);
}

/* The place of `segment` among the children, or where it belongs. */
static size_t child_place(const struct node *node, struct fl_bytes segment, bool *found)
{
	size_t from = 0, to = node->n_children;

	*found = false;
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		int order = segment_compare(node->children[middle]->segment, segment);

		if (order == 0) {
			*found = true;
			return middle;
		}
		if (order < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

/* Take the next segment off `path` (which begins with '/'); false at its end. */
static bool next_segment(struct fl_bytes *path, struct fl_bytes *segment)
{
	const uint8_t *slash;

	if (path->n == 0)
		return false;
	path->p++;
	path->n--;
	slash = memchr(path->p, '/', path->n);
	*segment = (struct fl_bytes){ .p = path->p,
		.n = slash == NULL ? path->n : (size_t)(slash - path->p) };
	path->p += segment->n;
	path->n -= segment->n;
	return true;
}

static struct node *add_literal(struct node *node, struct fl_bytes segment)
{
	bool found;
	size_t at = child_place(node, segment, &found);
	struct node **children;
	struct node *child;

	if (found)
		return node->children[at];
	children = realloc(node->children, (node->n_children + 1) * sizeof(struct node *));
	if (children == NULL)
		return NULL;
	node->children = children;
	child = calloc(1, sizeof(*child));
	if (child == NULL)
		return NULL;
	child->segment = segment;
	memmove(&children[at + 1], &children[at], (node->n_children - at) * sizeof(struct node *));
	children[at] = child;
	node->n_children++;
	return child;
}

static struct node *add_segment(struct node *node, struct fl_bytes segment)
{
	if (segment.n == 0 || segment.p[0] != '{')
		return add_literal(node, segment);
	if (node->any == NULL)
		node->any = calloc(1, sizeof(*node->any));
	return node->any;
}

static bool add_row(struct routes *r, const struct route *row)
{
	struct fl_bytes path = { .p = (const uint8_t *)row->path, .n = strlen(row->path) };
	struct fl_bytes segment;
	struct node *node = &r->root;

	while (next_segment(&path, &segment)) {
		node = add_segment(node, segment);
		if (node == NULL)
			return false;
	}
	FL_BUG_IF(node->by_method[row->method] != NULL);
	node->leaf = true;
	node->by_method[row->method] = row;
	if (row->method == METHOD_GET)
		node->by_method[METHOD_HEAD] = row;
	return true;
}

struct routes *routes_new(const struct route *rows, size_t n)
{
	struct routes *r = calloc(1, sizeof(*r));

	for (size_t i = 0; r != NULL && i < n; i++) {
		if (!add_row(r, &rows[i])) {
			routes_free(r);
			return NULL;
		}
	}
	return r;
}

/* As deep as the longest path of the table. */
static void free_node(struct node *node)
{
	for (size_t i = 0; i < node->n_children; i++) {
		free_node(node->children[i]);
		free(node->children[i]);
	}
	if (node->any != NULL)
		free_node(node->any);
	free(node->any);
	free(node->children);
}

void routes_free(struct routes *r)
{
	if (r == NULL)
		return;
	free_node(&r->root);
	free(r);
}

/* A literal that leads to nothing does not fall back to the name beside it: no two rows of the table
 * need that, and it keeps the walk straight. */
bool routes_find(const struct routes *r, const char *path, size_t n, struct routes_match *out)
{
	struct fl_bytes rest = { .p = (const uint8_t *)path, .n = n };
	struct fl_bytes segment;
	const struct node *node = &r->root;

	out->n_params = 0;
	if (n == 0 || path[0] != '/')
		return false;
	while (next_segment(&rest, &segment)) {
		bool found;
		size_t at = child_place(node, segment, &found);

		if (found) {
			node = node->children[at];
			continue;
		}
		if (node->any == NULL || segment.n == 0 || out->n_params == REQUEST_PARAMS_MAX)
			return false;
		out->params[out->n_params++] = segment;
		node = node->any;
	}
	if (node->leaf)
		memcpy(out->by_method, node->by_method, sizeof(out->by_method));
	return node->leaf;
}

void routes_allow(const struct routes_match *m, struct fl_buf *b)
{
	for (size_t i = 0; i < METHOD_MAX; i++) {
		if (m->by_method[i] != NULL)
			fl_buf_printf(b, "%s, ", method_texts[i]);
	}
	fl_buf_str(b, "OPTIONS");
}
