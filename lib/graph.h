/* SPDX-License-Identifier: Apache-2.0
 *
 * Directed graphs over small integers: strongly connected components, layers by longest path, and a
 * cycle to show to a person. Duplicate edges are fine. */
#ifndef FL_GRAPH_H
#define FL_GRAPH_H

#include "lib/err.h"

#include <stdint.h>

struct fl_edge {
	uint32_t from, to; /* `from` comes before `to` */
};

struct fl_graph {
	uint32_t n;                  /* nodes 0 .. n-1 */
	const struct fl_edge *edges; /* borrowed */
	size_t n_edges;
};

/* Write the component of each node to component[0..n) and their number to *count. Components are
 * numbered in topological order: an edge between two never goes to a lower number. Does not recurse.
 * FL_NOMEM; FL_INVALID if an edge names a node that is not there. */
enum fl_code fl_graph_components(const struct fl_graph *g, uint32_t *component, uint32_t *count,
	struct fl_err *err) FL_MUST_CHECK;

/* Write to layer[0..n) the number of edges on the longest path that ends at the node, and the number
 * of layers to *count. FL_CONFLICT if there is a cycle; FL_NOMEM, FL_INVALID as above. */
enum fl_code fl_graph_layers(const struct fl_graph *g, uint32_t *layer, uint32_t *count,
	struct fl_err *err) FL_MUST_CHECK;

/* Find a shortest cycle through any node: its nodes in order to cycle[] (room for n) and their number
 * to *length; 0 if there is none. An edge from a node to itself is a cycle of one. */
enum fl_code fl_graph_cycle(const struct fl_graph *g, uint32_t *cycle, uint32_t *length,
	struct fl_err *err) FL_MUST_CHECK;

#endif
