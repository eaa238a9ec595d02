/* SPDX-License-Identifier: Apache-2.0
 *
 * Every state that two rollouts over the same two devices can reach together, breadth first: a hotfix that
 * overtakes and one that does not, started in either order, each stopped or taken back at any moment. And
 * engines that are broken on purpose, which must be found out. Prints the number of states. */
#include "tests/sim/pair.h"
#include "tests/sim/search.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define STATES 1000000 /* that there is room for */

struct exploration {
	const struct pair_setup *setup;
	struct search search;
	size_t transitions;
	const char *broken;
};

/* Print how a state was reached: the actions are found again by trying them. */
static void trace(const struct exploration *e, uint32_t state)
{
	struct pair_action actions[PAIR_ACTIONS];
	uint8_t key[PAIR_KEY];
	uint32_t from = e->search.parent[state];
	struct pair p;
	int n;

	if (state == from)
		return;
	trace(e, from);
	pair_decode(e->setup, search_key(&e->search, from), &p);
	n = pair_actions(e->setup, &p, actions);
	for (int i = 0; i < n; i++) {
		pair_decode(e->setup, search_key(&e->search, from), &p);
		if (pair_apply(e->setup, &p, &actions[i]) != NULL)
			continue;
		(void)pair_encode(e->setup, &p, key);
		if (memcmp(key, search_key(&e->search, state), e->search.key_bytes) != 0)
			continue;
		printf("  rollout %d:", actions[i].rollout);
		world_print(&actions[i].one);
		return;
	}
}

static void expand(struct exploration *e, uint32_t state, bool tell)
{
	struct pair_action actions[PAIR_ACTIONS];
	uint8_t key[PAIR_KEY];
	struct pair start, p;
	int n;

	pair_decode(e->setup, search_key(&e->search, state), &start);
	n = pair_actions(e->setup, &start, actions);
	for (int i = 0; i < n && e->broken == NULL; i++) {
		pair_copy(e->setup, &p, &start);
		e->broken = pair_apply(e->setup, &p, &actions[i]);
		e->transitions++;
		if (e->broken != NULL && tell) {
			trace(e, state);
			printf("  rollout %d:", actions[i].rollout);
			world_print(&actions[i].one);
		}
		if (e->broken != NULL)
			return;
		(void)pair_encode(e->setup, &p, key);
		if (!search_add(&e->search, key, state))
			e->broken = "there are more states than this test has room for";
	}
}

/* Explore everything; returns what is broken, NULL if nothing is. */
static const char *explore(const char *name, const struct pair_setup *setup, bool tell)
{
	struct exploration e = { .setup = setup };
	clock_t began = clock();
	uint8_t key[PAIR_KEY];
	struct pair p;

	pair_init(setup, &p);
	search_init(&e.search, pair_encode(setup, &p, key), STATES);
	(void)search_add(&e.search, key, 0);
	for (uint32_t i = 0; i < e.search.n && e.broken == NULL; i++)
		expand(&e, i, tell);
	printf("%-44s %8zu states %9zu transitions %6.1f s  %s\n", name, e.search.n, e.transitions,
		(double)(clock() - began) / CLOCKS_PER_SEC, e.broken == NULL ? "holds" : e.broken);
	(void)fflush(stdout);
	search_fini(&e.search);
	return e.broken;
}

/* The older and the newer release overtake, or do not; the priority of the newer one. */
static struct pair_setup setup(bool older, bool newer, int64_t priority, world_engine_fn engine)
{
	struct pair_setup s = { .fewer = true };

	s.rival[0] = (struct rival){ .supersede = older };
	s.rival[1] = (struct rival){ .supersede = newer, .priority = priority };
	pair_setup_init(&s, engine);
	return s;
}

/* ---- broken engines: each takes a device for what it is not */

static void takes_for_fit(const struct engine_view *v, const struct engine_fact *f,
	struct engine_out *o, enum engine_fit fit)
{
	struct engine_fact fact = *f;

	if (f->kind == FACT_POLLED && f->fit == fit)
		fact.fit = ENGINE_FITS;
	engine_step(v, &fact, o);
}

static void offers_others_devices(
	const struct engine_view *v, const struct engine_fact *f, struct engine_out *o)
{
	takes_for_fit(v, f, o, v->step == NULL || v->step->back ? ENGINE_GONE : ENGINE_NOT_OURS);
}

static void takes_back_what_is_others(
	const struct engine_view *v, const struct engine_fact *f, struct engine_out *o)
{
	struct engine_fact fact = *f;

	if ((f->kind == FACT_BACK || (f->kind == FACT_POLLED && v->step->back)) &&
		f->fit == ENGINE_NOT_OURS)
		fact.fit = ENGINE_FITS;
	engine_step(v, &fact, o);
}

static void goes_down(
	const struct engine_view *v, const struct engine_fact *f, struct engine_out *o)
{
	takes_for_fit(v, f, o, ENGINE_UNFIT);
}

static void does_not_wait(
	const struct engine_view *v, const struct engine_fact *f, struct engine_out *o)
{
	takes_for_fit(v, f, o, ENGINE_LATER);
}

static void overtakes_nobody(
	const struct engine_view *v, const struct engine_fact *f, struct engine_out *o)
{
	struct engine_fact fact = *f;

	if (f->kind == FACT_OVERTAKEN)
		fact.kind = FACT_REVIEWED;
	if (f->kind == FACT_POLLED && f->fit == ENGINE_NOT_OURS)
		fact.fit = ENGINE_FITS;
	engine_step(v, &fact, o);
}

static const struct {
	const char *name;
	world_engine_fn engine;
} mutants[] = {
	{ "offers what is another rollout's", offers_others_devices },
	{ "takes back what is another rollout's", takes_back_what_is_others },
	{ "brings an older version", goes_down },
	{ "does not wait for the gateway", does_not_wait },
	{ "lets nobody be taken over", overtakes_nobody },
};

static int try_mutants(void)
{
	int missed = 0;

	for (size_t i = 0; i < FL_COUNT(mutants); i++) {
		struct pair_setup s = setup(false, true, 0, mutants[i].engine);

		missed += explore(mutants[i].name, &s, false) == NULL;
	}
	return missed;
}

/* The same with every verb, every report and every deadline, but jobs that nothing comes between. */
static struct pair_setup with_everything(struct pair_setup s)
{
	s.fewer = false;
	s.at_once = s.late = true;
	return s;
}

int main(void)
{
	struct pair_setup hotfix = setup(false, true, 0, engine_step);
	struct pair_setup patient = setup(false, false, 0, engine_step);
	struct pair_setup urgent = setup(false, false, 10, engine_step);
	struct pair_setup rivals = setup(true, true, 0, engine_step);
	int failed = explore("a hotfix that overtakes", &hotfix, true) != NULL;

	failed += explore("a newer release that does not", &patient, true) != NULL;
	failed += explore("a newer release of a higher priority", &urgent, true) != NULL;
	failed += explore("both overtake", &rivals, true) != NULL;
	hotfix = with_everything(hotfix);
	failed += explore("a hotfix that overtakes, everything", &hotfix, true) != NULL;
	patient = with_everything(patient);
	failed += explore("a newer release that does not, everything", &patient, true) != NULL;
	failed += try_mutants();
	if (failed == 0)
		printf("all held, all broken engines were found out\n");
	else
		printf("%d failed\n", failed);
	return failed != 0;
}
