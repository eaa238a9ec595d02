/* SPDX-License-Identifier: Apache-2.0
 *
 * The agent's state machine: the table is whole, every edge can be taken, no other can. */
#include "agent/fsm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A record that fits `at`: enrolled, generation 2 good, 1 before it, 3 on trial where one is. */
static void make(struct state *s, enum fsm_state at)
{
	json_t *module = json_pack("{s:s, s:s, s:s, s:s}", "module", "app", "version", "1.0.0",
		"kind", "file", "sha256", "aa");

	memset(s, 0, sizeof(*s));
	assert_int_equal(state_init(s, NULL), FL_OK);
	s->now = at;
	s->now_ms = 1000;
	if (at == FSM_ENROLLING) {
		json_decref(module);
		return;
	}
	assert_int_equal(state_set(&s->device, "d1", NULL), FL_OK);
	s->root = json_object();
	s->good = 2;
	s->previous = 1;
	s->last = 3;
	s->accepted = 7;
	(void)json_array_append(s->good_modules, module);
	(void)json_array_append_new(s->trial_modules, module);
	assert_int_equal(state_set(&s->step, "stage-1", NULL), FL_OK);
	if (at == FSM_IDLE || at == FSM_REPORTING)
		return;
	if (at == FSM_VERIFYING) {
		assert_int_equal(state_set(&s->offer, "{}", NULL), FL_OK);
		return;
	}
	assert_int_equal(state_set(&s->order, "{}", NULL), FL_OK);
	s->trial = 3;
	if (at == FSM_WAITING)
		s->wait.on = state_wait_word("battery");
	if (at == FSM_CONFIRMED) {
		s->trial = 0;
		s->good = 3;
		s->previous = 2;
		s->verdict.state = "confirmed";
	}
	if (at == FSM_ROLLING_BACK)
		s->verdict = (struct verdict){ .state = "failed", .cause = "release" };
}

/* What the work of a state leaves in the record before it names `to`. */
static void work(struct state *s, enum fsm_state to)
{
	if (to == FSM_VERIFYING)
		assert_int_equal(state_set(&s->offer, "{}", NULL), FL_OK);
	if (to == FSM_IDLE && s->now == FSM_ENROLLING) {
		assert_int_equal(state_set(&s->device, "d1", NULL), FL_OK);
		s->root = json_object();
	}
	if (to == FSM_WAITING)
		s->wait.on = state_wait_word("window");
	if (s->now == FSM_POLLING && (to == FSM_IDLE || to == FSM_REPORTING)) {
		free(fl_steal(&s->order));
		s->trial = 0;
	}
	if ((to == FSM_REPORTING || to == FSM_ROLLING_BACK) && s->verdict.state == NULL)
		s->verdict = (struct verdict){ .state = "failed", .cause = "device" };
}

static void every_edge_can_be_taken_and_keeps_the_invariant(void **unused)
{
	const struct fsm_edge *edges;
	size_t n;

	(void)unused;
	edges = fsm_edges(&n);
	for (size_t i = 0; i < n; i++) {
		struct state s;

		make(&s, edges[i].from);
		assert_null(fsm_broken(&s));
		work(&s, edges[i].to);
		assert_int_equal(fsm_move(&s, edges[i].to, NULL), FL_OK);
		assert_int_equal(s.now, edges[i].to);
		assert_null(fsm_broken(&s));
		state_fini(&s);
	}
}

static void all_pairs_are_an_edge_or_refused(void **unused)
{
	size_t n, found = 0;

	(void)unused;
	(void)fsm_edges(&n);
	for (int from = 0; from < FSM_STATE_MAX; from++) {
		for (int to = 0; to < FSM_STATE_MAX; to++) {
			const struct fsm_edge *e =
				fsm_find((enum fsm_state)from, (enum fsm_state)to);

			if (e == NULL)
				continue;
			found++;
			assert_true(from != to);
			assert_true(strlen(e->why) > 10);
		}
	}
	/* No pair is listed twice: the second row could never be taken. */
	assert_int_equal(found, n);
}

static void every_state_can_be_reached_and_left(void **unused)
{
	const struct fsm_edge *edges;
	size_t n;

	(void)unused;
	edges = fsm_edges(&n);
	for (int s = 0; s < FSM_STATE_MAX; s++) {
		bool in = s == FSM_ENROLLING, out = false;

		for (size_t i = 0; i < n; i++) {
			in = in || edges[i].to == (enum fsm_state)s;
			out = out || edges[i].from == (enum fsm_state)s;
		}
		assert_true(in && out);
	}
}

static void nothing_is_switched_without_an_accepted_order(void **unused)
{
	static const enum fsm_state at[] = { FSM_DOWNLOADING, FSM_PATCHING, FSM_INSTALLING,
		FSM_SWITCHING, FSM_CHECKING, FSM_PROBATION };

	(void)unused;
	for (size_t i = 0; i < FL_COUNT(at); i++) {
		struct state s;

		make(&s, at[i]);
		free(fl_steal(&s.order));
		assert_non_null(fsm_broken(&s));
		state_fini(&s);
		make(&s, at[i]);
		s.trial = s.good; /* would overwrite what runs */
		assert_non_null(fsm_broken(&s));
		state_fini(&s);
	}
}

static void confirming_keeps_the_generation_before_as_the_way_back(void **unused)
{
	struct state s;

	(void)unused;
	make(&s, FSM_PROBATION);
	assert_int_equal(fsm_move(&s, FSM_CONFIRMED, NULL), FL_OK);
	assert_int_equal(s.good, 3);
	assert_int_equal(s.previous, 2);
	assert_int_equal(s.trial, 0);
	assert_int_equal(json_array_size(s.good_modules), 1);
	assert_int_equal(fsm_move(&s, FSM_REPORTING, NULL), FL_OK);
	assert_int_equal(json_array_size(s.outbox), 1);
	assert_null(s.order);
	state_fini(&s);
}

static void a_failed_trial_reports_the_cause_and_what_runs_now(void **unused)
{
	const json_t *report, *installed;
	struct state s;

	(void)unused;
	make(&s, FSM_ROLLING_BACK);
	(void)json_array_clear(s.trial_modules);
	assert_int_equal(fsm_move(&s, FSM_REPORTING, NULL), FL_OK);
	report = json_array_get(s.outbox, 0);
	installed = json_object_get(report, "installed");
	assert_string_equal(json_string_value(json_object_get(report, "state")), "failed");
	assert_string_equal(json_string_value(json_object_get(report, "cause")), "release");
	assert_int_equal(json_array_size(installed), 1); /* the good generation's */
	assert_int_equal(s.good, 2);
	state_fini(&s);
}

static void the_graph_shows_every_edge(void **unused)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };
	const struct fsm_edge *edges;
	size_t n;

	(void)unused;
	edges = fsm_edges(&n);
	fsm_graph(&b);
	assert_non_null(b.p);
	for (size_t i = 0; i < n; i++)
		assert_non_null(strstr((const char *)b.p, edges[i].why));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_edge_can_be_taken_and_keeps_the_invariant),
		cmocka_unit_test(all_pairs_are_an_edge_or_refused),
		cmocka_unit_test(every_state_can_be_reached_and_left),
		cmocka_unit_test(nothing_is_switched_without_an_accepted_order),
		cmocka_unit_test(confirming_keeps_the_generation_before_as_the_way_back),
		cmocka_unit_test(a_failed_trial_reports_the_cause_and_what_runs_now),
		cmocka_unit_test(the_graph_shows_every_edge),
	};

	return cmocka_run_group_tests_name("fsm", tests, NULL, NULL);
}
