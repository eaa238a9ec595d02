/* SPDX-License-Identifier: Apache-2.0
 *
 * Simulations: strategies side by side on a virtual clock.
 *
 * Every run is a piece of its own in the work lane, so that other work comes in between. A client cancels
 * by hanging up: that is looked for within the runs. Few at a time, each with a limit of time: what is
 * done by then is the answer. */
#include "server/http/handlers.h"

#include "server/planning.h"
#include "server/rollout/compare.h"
#include "server/server.h"
#include "server/settings.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define AT_A_TIME 2
#define BUDGET_MS 20000

static atomic_int running;

struct simulation {
	struct compare compare;
	struct planning_snapshot *snapshots[COMPARE_STRATEGIES_MAX];
	int64_t until_ms; /* monotonic */
	int socket;       /* the client's */
};

static int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void drop(void *state)
{
	struct simulation *s = state;

	for (size_t i = 0; i < COMPARE_STRATEGIES_MAX; i++)
		planning_free(s->snapshots[i]);
	compare_fini(&s->compare);
	if (s->socket >= 0)
		(void)close(s->socket);
	free(s);
	atomic_fetch_sub(&running, 1);
}

/* Its time is over, or nobody waits any more. */
static bool shall_end(void *arg)
{
	const struct simulation *s = arg;

	return now_ms() >= s->until_ms || request_hung_up(s->socket);
}

/* ---- running */

static enum fl_code run_some(struct request *rq, struct fl_err *err)
{
	struct simulation *s = rq->state;
	bool done = false;
	enum fl_code code = compare_next(&s->compare, shall_end, s, &done, err);

	if (code != FL_OK)
		return code;
	if (done || shall_end(s))
		reply_json(rq, 200, compare_json(&s->compare));
	else
		request_then(rq, LANE_WORK, run_some);
	return FL_OK;
}

/* ---- windows */

/* The clock of a name, or the strategy's own: what devices name may be anything. */
static enum fl_code load_zone(
	const char *own, const char *name, struct fl_zone **zone, struct fl_err *err)
{
	enum fl_code code = fl_zone_load(name, zone, err);

	if (code == FL_NOT_FOUND && name != own)
		code = fl_zone_load(own, zone, err);
	return code == FL_NOT_FOUND ? fl_fail(err, FL_REFUSED, "there is no zone \"%s\"", own)
				    : code;
}

static enum fl_code open_strategy(struct compare *c, size_t i, struct fl_err *err)
{
	const struct compare_strategy *s = &c->strategies[i];
	enum fl_code code = FL_OK;

	for (size_t k = 0; k < s->n_zones && code == FL_OK; k++) {
		struct fl_zone *zone = NULL;

		code = load_zone(s->zones[0], s->zones[k], &zone, err);
		if (code != FL_OK)
			return fl_wrap(err, "strategies[%zu]", i);
		code = compare_windows(c, i, k, zone, err);
		fl_zone_free(zone);
	}
	return code;
}

/* The windows of those strategies that have some, from now on; then the first run. */
static enum fl_code open_windows(struct request *rq, struct fl_err *err)
{
	struct compare *c = &((struct simulation *)rq->state)->compare;
	enum fl_code code = FL_OK;

	for (size_t i = 0; i < c->n_strategies && code == FL_OK; i++)
		if (opening_some(&c->strategies[i].strategy.windows))
			code = open_strategy(c, i, err);
	if (code == FL_OK)
		request_then(rq, LANE_WORK, run_some);
	return code;
}

/* ---- the real fleet */

static enum fl_code plan_all(struct request *rq, struct fl_err *err)
{
	struct simulation *s = rq->state;
	enum fl_code code = FL_OK;

	for (size_t i = 0; i < s->compare.n_strategies && code == FL_OK; i++) {
		const struct plan_input *in = planning_input(s->snapshots[i]);
		struct plan plan = { 0 };

		code = plan_make(in, &plan, err);
		if (code == FL_OK)
			code = compare_fleet(&s->compare, i, in, &plan, err);
		plan_fini(&plan);
	}
	if (code == FL_OK)
		request_then(rq, LANE_WORK, open_windows);
	return code;
}

static enum fl_code load_all(struct request *rq, struct simulation *s, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	for (size_t i = 0; i < s->compare.n_strategies && code == FL_OK; i++) {
		struct planning_request wanted = { .release = s->compare.release,
			.selector = s->compare.selector,
			.scope = rq->who.selector,
			.strategy = &s->compare.strategies[i].strategy,
			.poll_s = planning_poll_s(rq->server),
			.simulated_ms = s->compare.until_ms,
			.fleet = rq->server->fleet };

		code = planning_load(rq->store, &wanted, &s->snapshots[i], err);
	}
	if (code == FL_NOT_FOUND)
		return fl_fail(err, FL_REFUSED, "there is no release \"%s\"; create it first",
			s->compare.release);
	if (code == FL_OK)
		request_then(rq, LANE_WORK, plan_all);
	return code;
}

enum fl_code api_simulation(struct request *rq, struct fl_err *err)
{
	struct simulation *s;
	enum fl_code code;

	if (rq->json == NULL)
		return fl_fail(err, FL_INVALID, "say what to simulate: {} is a described fleet");
	if (atomic_fetch_add(&running, 1) >= AT_A_TIME) {
		atomic_fetch_sub(&running, 1);
		return fl_fail(err, FL_UNAVAILABLE, "other simulations are under way");
	}
	s = calloc(1, sizeof(*s));
	if (s == NULL) {
		atomic_fetch_sub(&running, 1);
		return fl_fail(err, FL_NOMEM, "there is no memory for a simulation");
	}
	rq->state = s;
	rq->drop = drop;
	s->until_ms = now_ms() + BUDGET_MS;
	s->socket = request_socket(rq);
	code = compare_read(rq->json, rq->server->settings->poll_interval, &s->compare, err);
	s->compare.start_at = rq->now_ms;
	if (code != FL_OK)
		return code;
	if (s->compare.release != NULL)
		return load_all(rq, s, err);
	request_then(rq, LANE_WORK, open_windows);
	return FL_OK;
}
