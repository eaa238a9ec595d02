/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/graph.h"

#include "lib/buf.h" /* FL_COUNT */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define GRAPH(nodes, list)                                               \
	(struct fl_graph)                                                \
	{                                                                \
		.n = (nodes), .edges = (list), .n_edges = FL_COUNT(list) \
	}

/* Behaviour: a node's layer is the longest path to it, not the shortest. */
static void layers_by_longest_path(void **state)
{
	static const struct fl_edge edges[] = { { 0, 1 }, { 1, 2 }, { 0, 2 }, { 2, 3 }, { 0, 3 },
		{ 0, 1 } };
	uint32_t layer[5], count = 77;

	(void)state;
	assert_int_equal(fl_graph_layers(&GRAPH(5, edges), layer, &count, NULL), FL_OK);
	assert_int_equal(count, 4);
	assert_memory_equal(layer, ((uint32_t[]){ 0, 1, 2, 3, 0 }), sizeof(layer));
}

/* Behaviour: a cycle has no layers. */
static void refuses_layers_of_a_cycle(void **state)
{
	static const struct fl_edge edges[] = { { 0, 1 }, { 1, 2 }, { 2, 1 } };
	static const struct fl_edge self[] = { { 0, 0 } };
	uint32_t layer[3], count;

	(void)state;
	assert_int_equal(fl_graph_layers(&GRAPH(3, edges), layer, &count, NULL), FL_CONFLICT);
	assert_int_equal(fl_graph_layers(&GRAPH(1, self), layer, &count, NULL), FL_CONFLICT);
}

/* Behaviour: the empty graph has neither layers nor components nor cycles. */
static void takes_the_empty_graph(void **state)
{
	struct fl_graph none = { 0 };
	uint32_t place = 7, count = 7;

	(void)state;
	assert_int_equal(fl_graph_layers(&none, &place, &count, NULL), FL_OK);
	assert_int_equal(count, 0);
	assert_int_equal(fl_graph_components(&none, &place, &count, NULL), FL_OK);
	assert_int_equal(count, 0);
	count = 7;
	assert_int_equal(fl_graph_cycle(&none, &place, &count, NULL), FL_OK);
	assert_int_equal(count, 0);
}

/* Behaviour: an edge to a node that is not there is refused by all three. */
static void refuses_foreign_nodes(void **state)
{
	static const struct fl_edge edges[] = { { 0, 3 } };
	uint32_t out[4], count;

	(void)state;
	assert_int_equal(fl_graph_layers(&GRAPH(3, edges), out, &count, NULL), FL_INVALID);
	assert_int_equal(fl_graph_components(&GRAPH(3, edges), out, &count, NULL), FL_INVALID);
	assert_int_equal(fl_graph_cycle(&GRAPH(3, edges), out, &count, NULL), FL_INVALID);
}

/* Behaviour: the shortest cycle is told, in order, starting anywhere on it. */
static void names_a_shortest_cycle(void **state)
{
	static const struct fl_edge edges[] = { { 0, 1 }, { 1, 2 }, { 2, 3 }, { 3, 0 }, { 4, 5 },
		{ 5, 6 }, { 6, 4 }, { 3, 4 } };
	static const struct fl_edge self[] = { { 0, 1 }, { 1, 0 }, { 2, 2 } };
	uint32_t cycle[7], n;

	(void)state;
	assert_int_equal(fl_graph_cycle(&GRAPH(7, edges), cycle, &n, NULL), FL_OK);
	assert_int_equal(n, 3);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(cycle[(i + 1) % n], cycle[i] == 6 ? 4 : cycle[i] + 1);
	assert_int_equal(fl_graph_cycle(&GRAPH(3, self), cycle, &n, NULL), FL_OK);
	assert_int_equal(n, 1);
	assert_int_equal(cycle[0], 2);
}

/* ---- against brute force on random graphs */

#define NODES 8

struct sample {
	struct fl_edge edges[24];
	struct fl_graph graph;
	bool reach[NODES][NODES]; /* by at least one edge */
};

static void draw(struct sample *s, unsigned *seed)
{
	s->graph = (struct fl_graph){
		.n = NODES, .edges = s->edges, .n_edges = (size_t)(rand_r(seed) % 24)
	};
	memset(s->reach, 0, sizeof(s->reach));
	for (size_t i = 0; i < s->graph.n_edges; i++) {
		s->edges[i] = (struct fl_edge){ (uint32_t)(rand_r(seed) % NODES),
			(uint32_t)(rand_r(seed) % NODES) };
		s->reach[s->edges[i].from][s->edges[i].to] = true;
	}
	for (int k = 0; k < NODES; k++)
		for (int i = 0; i < NODES; i++)
			for (int j = 0; j < NODES; j++)
				s->reach[i][j] |= s->reach[i][k] && s->reach[k][j];
}

static bool cyclic(const struct sample *s)
{
	bool any = false;

	for (int i = 0; i < NODES; i++)
		any = any || s->reach[i][i];
	return any;
}

static void check_components(const struct sample *s)
{
	uint32_t c[NODES], count;

	assert_int_equal(fl_graph_components(&s->graph, c, &count, NULL), FL_OK);
	for (int i = 0; i < NODES; i++) {
		assert_true(c[i] < count);
		for (int j = 0; j < NODES; j++) {
			bool same = i == j || (s->reach[i][j] && s->reach[j][i]);

			assert_int_equal(c[i] == c[j], same);
			assert_false(s->reach[i][j] && c[i] > c[j]);
		}
	}
}

static void check_layers(const struct sample *s)
{
	uint32_t layer[NODES], count;
	enum fl_code code = fl_graph_layers(&s->graph, layer, &count, NULL);

	assert_int_equal(code, cyclic(s) ? FL_CONFLICT : FL_OK);
	if (code != FL_OK)
		return;
	for (uint32_t v = 0; v < NODES; v++) {
		uint32_t longest = 0;

		for (size_t i = 0; i < s->graph.n_edges; i++) {
			if (s->edges[i].to == v && layer[s->edges[i].from] + 1 > longest)
				longest = layer[s->edges[i].from] + 1;
		}
		assert_int_equal(layer[v], longest);
		assert_true(layer[v] < count);
	}
}

static void check_cycle(const struct sample *s)
{
	uint32_t cycle[NODES], n;

	assert_int_equal(fl_graph_cycle(&s->graph, cycle, &n, NULL), FL_OK);
	assert_int_equal(n > 0, cyclic(s));
	for (uint32_t i = 0; i < n; i++) {
		bool found = false;

		for (size_t k = 0; k < s->graph.n_edges; k++)
			found = found ||
				(s->edges[k].from == cycle[i] &&
					s->edges[k].to == cycle[(i + 1) % n]);
		assert_true(found);
	}
}

/* Behaviour: components, layers and cycles agree with reachability on random graphs. */
static void agrees_with_reachability(void **state)
{
	unsigned seed = 20;

	(void)state;
	for (int i = 0; i < 3000; i++) {
		struct sample s;

		draw(&s, &seed);
		check_components(&s);
		check_layers(&s);
		check_cycle(&s);
	}
}

/* Behaviour: a chain of a million nodes does not exhaust the stack. */
static void takes_long_chains(void **state)
{
	enum { N = 1000000 };
	struct fl_edge *edges = malloc(N * sizeof(*edges));
	uint32_t *out = malloc(N * sizeof(*out)), count;

	(void)state;
	assert_true(edges != NULL && out != NULL);
	for (uint32_t i = 0; i + 1 < N; i++)
		edges[i] = (struct fl_edge){ i, i + 1 };
	assert_int_equal(
		fl_graph_components(&(struct fl_graph){ N, edges, N - 1 }, out, &count, NULL),
		FL_OK);
	assert_int_equal(count, N);
	assert_int_equal(out[N - 1], N - 1);
	assert_int_equal(
		fl_graph_layers(&(struct fl_graph){ N, edges, N - 1 }, out, &count, NULL), FL_OK);
	assert_int_equal(out[N - 1], N - 1);
	free(edges);
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layers_by_longest_path),
		cmocka_unit_test(refuses_layers_of_a_cycle),
		cmocka_unit_test(takes_the_empty_graph),
		cmocka_unit_test(refuses_foreign_nodes),
		cmocka_unit_test(names_a_shortest_cycle),
		cmocka_unit_test(agrees_with_reachability),
		cmocka_unit_test(takes_long_chains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
