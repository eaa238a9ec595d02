/* SPDX-License-Identifier: Apache-2.0
 *
 * The agent's state machine as a table: from, to, why, action; one edge per turn.
 *
 * DESIGN. What a state does (ask, fetch, switch a link) is in steps.c and may be done again after
 * a kill. It ends by naming the next state. The edge's action then changes only the record in
 * memory (state.h), the invariant of the new state is asserted, and the record is saved: so the
 * file never shows half an edge. To add a state: a row in FSM_STATES, its edges and its invariant
 * in fsm.c, its work in steps.c; the tests walk the tables. */
#ifndef AGENT_FSM_H
#define AGENT_FSM_H

#include "agent/state.h"

struct fsm_edge {
	enum fsm_state from, to;
	const char *why; /* goes to the log; what is true when this edge is taken */
	/* Changes the record, nothing else; FL_NOMEM leaves the state as it was. NULL: nothing. */
	enum fl_code (*action)(struct state *s, struct fl_err *err);
};

/* All edges; static. */
const struct fsm_edge *fsm_edges(size_t *n);
/* The edge between two states, NULL if there is none. */
const struct fsm_edge *fsm_find(enum fsm_state from, enum fsm_state to);

/* Whether this edge is taken at every poll and worth nothing after a kill: it is logged for debugging
 * only, and saved only if the record has changed otherwise. Flash wears out. */
bool fsm_quiet(const struct fsm_edge *e);

/* NULL if the record fits its state, else a static sentence that says what is wrong with it. */
const char *fsm_broken(const struct state *s);

/* Take the edge from s->now to `to`: action, then the new state, then its invariant (aborts if
 * broken: our defect). `to` must be a neighbour (aborts otherwise). Does not save. FL_NOMEM. */
enum fl_code fsm_move(struct state *s, enum fsm_state to, struct fl_err *err) FL_MUST_CHECK;

/* Append the machine as a graph for graphviz. */
void fsm_graph(struct fl_buf *b);
/* Append the edges as mdoc list items, for the manual page. */
void fsm_manual(struct fl_buf *b);

#endif
