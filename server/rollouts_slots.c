/* SPDX-License-Identifier: Apache-2.0
 *
 * Slots of the fleet (max_in_flight of fleetd.conf): how many each rollout has in use stands in the rows of its
 * stages; that one wants more is remembered when a device of it finds none free, for as long as that device
 * needs to ask again. The latter is in memory: a restart forgets it, and learns it anew. */
#include "server/rollouts_in.h"

#include "server/metrics.h"
#include "server/rollout/share.h"
#include "server/server.h"
#include "server/store/rollout.h"

#define FRESH_POLLS 2
#define AHEAD_MS    1000 /* another lane looked at the clock a little later */

/* ---- who wants one */

void rollouts_wishes_init(struct rollouts_wishes *w)
{
	(void)pthread_mutex_init(&w->lock, NULL);
}

void rollouts_wishes_fini(struct rollouts_wishes *w)
{
	(void)pthread_mutex_destroy(&w->lock);
}

/* The rollout's, or the one that was used longest ago for it. Locked. */
static struct rollouts_wish *wish_of(struct rollouts_wishes *w, int64_t rollout_id)
{
	struct rollouts_wish *oldest = &w->of[0];

	for (size_t i = 0; i < FL_COUNT(w->of); i++) {
		struct rollouts_wish *one = &w->of[i];

		if (one->rollout_id == rollout_id)
			return one;
		if (one->noted_ms < oldest->noted_ms)
			oldest = one;
	}
	*oldest = (struct rollouts_wish){ .rollout_id = rollout_id };
	return oldest;
}

/* Who was noted then is still of interest. What lies ahead was noted before the wall clock was set back. */
static bool is_fresh(const struct rollouts_lane *lane, int64_t noted_ms)
{
	int64_t now = lane->store->now_ms;

	return noted_ms >= now - FRESH_POLLS * lane->server->settings->poll_interval &&
		noted_ms <= now + AHEAD_MS;
}

void rollouts_slots_note(const struct rollouts_lane *lane, const struct step_view *view,
	int64_t priority, const struct engine_out *out)
{
	struct rollouts_wishes *w = &lane->server->rollouts->wishes;
	bool waits = out->hold == ENGINE_HOLD_FLEET;
	struct rollouts_wish *wish;

	if (lane->server->settings->max_in_flight == 0 || (!waits && !out->offer))
		return;
	(void)pthread_mutex_lock(&w->lock);
	wish = wish_of(w, view->rollout.id);
	if (wish->noted_ms > lane->store->now_ms + AHEAD_MS)
		*wish = (struct rollouts_wish){ .rollout_id = view->rollout.id };
	wish->weight = share_weight(priority);
	wish->noted_ms = lane->store->now_ms;
	if (waits)
		wish->wanted_ms = lane->store->now_ms;
	else
		wish->served_ms = lane->store->now_ms;
	if (out->offer && view->stage.sums.steps[STEP_QUEUED] <= 1)
		wish->wanted_ms = 0; /* it was the last one */
	(void)pthread_mutex_unlock(&w->lock);
	if (waits)
		metrics_add(lane->server->metrics, METRIC_ORDER_WAITS, 1);
}

/* ---- how many there are */

struct claims {
	int64_t ids[SHARE_MAX];
	struct share_claim of[SHARE_MAX];
	size_t n;
	int64_t rest; /* in use by more rollouts than are told apart */
};

/* NULL: there is no more room. */
static struct share_claim *claim_of(struct claims *c, int64_t rollout_id, int64_t weight)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->ids[i] == rollout_id)
			return &c->of[i];
	if (c->n == SHARE_MAX)
		return NULL;
	c->ids[c->n] = rollout_id;
	c->of[c->n] = (struct share_claim){ .weight = weight };
	return &c->of[c->n++];
}

static enum fl_code add_flight(void *context, const struct stage_flight *f, struct fl_err *err)
{
	struct claims *c = context;
	struct share_claim *claim = claim_of(c, f->rollout_id, share_weight(f->priority));

	(void)err;
	if (claim != NULL)
		claim->in_use = f->in_flight;
	else
		c->rest += f->in_flight;
	return FL_OK;
}

static void add_wishes(const struct rollouts_lane *lane, struct claims *c)
{
	struct rollouts_wishes *w = &lane->server->rollouts->wishes;

	(void)pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < FL_COUNT(w->of); i++) {
		const struct rollouts_wish *wish = &w->of[i];
		struct share_claim *claim = is_fresh(lane, wish->noted_ms)
			? claim_of(c, wish->rollout_id, wish->weight)
			: NULL;

		if (claim == NULL)
			continue;
		claim->wants = claim->wants || is_fresh(lane, wish->wanted_ms);
		claim->served = wish->served_ms;
	}
	(void)pthread_mutex_unlock(&w->lock);
}

enum fl_code rollouts_slots(const struct rollouts_lane *lane, int64_t rollout_id, int64_t priority,
	struct explain_fleet *out, struct fl_err *err)
{
	int64_t limit = lane->server->settings->max_in_flight;
	struct claims c = { 0 };
	struct share_claim *mine = claim_of(&c, rollout_id, share_weight(priority));
	struct share_level level;
	enum fl_code code;

	*out = (struct explain_fleet){ .limit = limit };
	if (limit == 0)
		return FL_OK;
	mine->wants = true;
	code = stage_each_flight(lane->store, add_flight, &c, err);
	if (code != FL_OK)
		return code;
	add_wishes(lane, &c);
	limit = limit > c.rest ? limit - c.rest : 0;
	level = share_level(limit, c.of, c.n);
	out->in_use = c.rest;
	for (size_t i = 0; i < c.n; i++)
		out->in_use += c.of[i].in_use;
	out->mine = mine->in_use;
	out->share = share_of(&level, mine->weight);
	out->full = !share_may_take(limit, c.of, c.n, 0);
	return FL_OK;
}

/* ---- as figures */

enum fl_code rollouts_slots_json(struct server *server, struct store *store,
	const struct rollout *r, json_t **out, struct fl_err *err)
{
	const struct rollouts_lane lane = { server, store, NULL };
	struct explain_fleet f;
	enum fl_code code = rollouts_slots(&lane, r->engine.id, r->priority, &f, err);

	if (code != FL_OK)
		return code;
	*out = f.limit == 0 ? json_null()
			    : json_pack("{s:I, s:I, s:I, s:I}", "in_flight", (json_int_t)f.mine,
				      "share", (json_int_t)f.share, "fleet_in_flight",
				      (json_int_t)f.in_use, "fleet_max", (json_int_t)f.limit);
	return *out == NULL ? fl_fail(err, FL_NOMEM, "no memory for a rollout") : FL_OK;
}

static enum fl_code add_up(void *context, const struct stage_flight *f, struct fl_err *err)
{
	int64_t *sum = context;

	(void)err;
	*sum += f->in_flight;
	return FL_OK;
}

enum fl_code rollouts_slots_measure(const struct rollouts_lane *lane, struct fl_err *err)
{
	int64_t in_flight = 0;
	enum fl_code code = stage_each_flight(lane->store, add_up, &in_flight, err);

	metrics_set(lane->server->metrics, METRIC_ORDERS, in_flight);
	metrics_set(
		lane->server->metrics, METRIC_ORDERS_MAX, lane->server->settings->max_in_flight);
	return code;
}
