/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rollout/explain_stage.h"

#define TRY_MAX   100000 /* confirmations tried one by one */
#define MINUTE_MS 60000

const struct engine_stage *explain_cell(const struct explain_rollout *r, int layer, int wave)
{
	FL_BUG_IF(layer < 0 || layer >= r->rules->layers || wave < 0 || wave >= r->rules->waves);
	return &r->stages[wave * r->rules->layers + layer];
}

/* The first stage that it needs and that has not succeeded. */
static const struct engine_stage *needed_first(
	const struct explain_rollout *r, const struct engine_stage *stage)
{
	size_t n = (size_t)r->rules->layers * (size_t)r->rules->waves;

	for (size_t i = 0; i < n; i++)
		if (engine_needs(r->rules->order, stage, &r->stages[i], r->rules->layers) &&
			r->stages[i].state != STAGE_SUCCEEDED)
			return &r->stages[i];
	return NULL;
}

const struct engine_stage *explain_needed(
	const struct explain_rollout *r, const struct engine_stage *stage)
{
	const struct engine_stage *needed = needed_first(r, stage), *next;

	while (needed != NULL && needed->state == STAGE_PENDING &&
		(next = needed_first(r, needed)) != NULL)
		needed = next;
	return needed;
}

int64_t explain_left(const struct explain_rollout *r, int64_t clock)
{
	int64_t left = clock - engine_clock(r->rollout, r->now_ms);

	return left < 0 ? 0 : left;
}

/* The wall clock at which the rollout's clock will show that, if nothing stops it. */
static int64_t moment(const struct explain_rollout *r, int64_t clock)
{
	return window_after(r->window, r->now_ms, explain_left(r, clock));
}

static bool stands(const struct explain_rollout *r)
{
	return r->rollout->paused_at != 0;
}

static struct gate_feed feed_of(const struct explain_rollout *r, const struct engine_stage *s)
{
	return engine_feed(
		s, &r->stages[s->wave * r->rules->layers], s->wave + 1 < r->rules->waves);
}

static int64_t in_flight(const struct engine_stage *s)
{
	int64_t n = 0;

	for (int i = STEP_OFFERED; i <= STEP_INSTALLED; i++)
		n += i == STEP_REJECTED ? 0 : s->sums.steps[i];
	return n;
}

/* ---- confirmations */

/* Whether every kind that outcomes decide passes; words from outside are not waited for. */
static bool passes(
	const struct gate_rules *rules, const struct gate_tally *t, const struct gate_feed *feed)
{
	char text[GATE_TEXT_MAX];

	for (int k = 0; k < GATE_KIND_MAX; k++) {
		enum gate_kind kind = (enum gate_kind)k;

		if ((GATE_BY_OUTCOMES & 1u << k) != 0 && gate_has(rules, kind) &&
			gate_vote(rules, kind, t, feed, text) != GATE_HOLDS)
			return false;
	}
	return true;
}

int64_t explain_confirmations(const struct explain_rollout *r, const struct engine_stage *stage)
{
	const struct gate_rules *rules = &r->rules->gate;
	struct gate_feed feed = feed_of(r, stage);
	struct gate_tally t = stage->tally;
	int64_t open = feed.open, n = 0;

	/* outcomes behind the first that is open are there already, but not taken: they count as open */
	open += stage->sums.outcome_confirmed - (t.successes - t.carried_successes);
	feed.open = open;
	while (!passes(rules, &t, &feed)) {
		if (n >= open || n >= TRY_MAX)
			return -1;
		(void)gate_take(rules, &t, t.cursor + 1, STEP_CONFIRMED, CAUSE_NONE);
		feed.open--;
		n++;
	}
	return n;
}

/* ---- a stage whose gate is at work */

static void say_deadlines(
	struct explain *e, const struct explain_rollout *r, const struct engine_stage *s)
{
	int64_t queued = s->sums.steps[STEP_QUEUED];

	if (s->reach_at != 0 && queued > 0 && !stands(r))
		EXPLAIN_SAY(e, SG_REACH, EXPLAIN_FOR("left", explain_left(r, s->reach_at)),
			EXPLAIN_AT("at", moment(r, s->reach_at)));
}

/* What keeps those that wait from being offered it at once. */
static void say_limits(struct explain *e, const struct explain_rollout *r, int64_t queued)
{
	size_t n = (size_t)r->rules->layers * (size_t)r->rules->waves;
	struct engine_fact load = { 0 };
	int64_t rate;

	engine_load(r->stages, n, engine_clock(r->rollout, r->now_ms), &load);
	rate = pace_per_minute(&r->rules->pace, load.notified, load.succeeded);
	if (r->rules->max_in_flight > 0 && load.in_flight >= r->rules->max_in_flight && queued > 0)
		EXPLAIN_SAY(e, SG_SLOTS, EXPLAIN_N("max", r->rules->max_in_flight),
			EXPLAIN_N("in_flight", load.in_flight));
	if (r->fleet.full && queued > 0)
		EXPLAIN_SAY(e, SG_FLEET, EXPLAIN_N("max", r->fleet.limit),
			EXPLAIN_N("in_use", r->fleet.in_use), EXPLAIN_N("mine", r->fleet.mine),
			EXPLAIN_N("share", r->fleet.share));
	if (rate > 0 && queued > 0)
		EXPLAIN_SAY(e, SG_RATE, EXPLAIN_N("max", rate), EXPLAIN_N("recent", load.recent),
			EXPLAIN_N("queued", queued),
			EXPLAIN_FOR("left", (queued + rate - 1) / rate * MINUTE_MS));
}

static void say_flow(
	struct explain *e, const struct explain_rollout *r, const struct engine_stage *s)
{
	int64_t queued = s->sums.steps[STEP_QUEUED], flying = in_flight(s);

	EXPLAIN_SAY(e, SG_UNDER_WAY, EXPLAIN_N("queued", queued), EXPLAIN_N("in_flight", flying),
		EXPLAIN_N("ended", s->sums.rows - queued - flying));
	if (r->opens != NULL && r->opens_ms >= 0)
		EXPLAIN_SAY(e, SG_WINDOW, EXPLAIN_T("opens", r->opens),
			EXPLAIN_FOR("left", r->opens_ms - r->now_ms));
	say_limits(e, r, queued);
	say_deadlines(e, r, s);
}

static void say_words_wanted(
	struct explain *e, const struct explain_rollout *r, const struct engine_stage *s)
{
	if (gate_has(&r->rules->gate, GATE_EXTERNAL) && s->verdict == VERDICT_NONE &&
		s->verdict_at != 0)
		EXPLAIN_SAY(e, SG_VERDICT, EXPLAIN_FOR("left", explain_left(r, s->verdict_at)),
			EXPLAIN_AT("at", moment(r, s->verdict_at)));
	if (gate_has(&r->rules->gate, GATE_MANUAL))
		EXPLAIN_SAY_ONLY(e, SG_BY_HAND);
}

static void say_outcomes(
	struct explain *e, const struct explain_rollout *r, const struct engine_stage *s)
{
	int64_t n = explain_confirmations(r, s);
	int64_t untaken =
		s->sums.outcome_confirmed - (s->tally.successes - s->tally.carried_successes);
	struct gate_feed feed = feed_of(r, s);

	if (n > 0)
		EXPLAIN_SAY(e, SG_CONFIRMATIONS, EXPLAIN_N("n", n - untaken > 0 ? n - untaken : 0),
			EXPLAIN_N("confirmed", s->sums.outcome_confirmed),
			EXPLAIN_N("failed", s->sums.outcome_failed + s->sums.outcome_timed_out));
	else if (n < 0)
		EXPLAIN_SAY(e, SG_CANNOT_PASS, EXPLAIN_N("open", feed.open));
	if (n != 0 && untaken > 0)
		EXPLAIN_SAY(e, SG_HEAD_OF_LINE, EXPLAIN_N("n", untaken));
}

static void say_running(
	struct explain *e, const struct explain_rollout *r, const struct engine_stage *s)
{
	if ((s->jobs & ENGINE_OPEN) != 0) {
		EXPLAIN_SAY(e, SG_OPENING, EXPLAIN_N("devices", s->sums.rows));
		return;
	}
	say_outcomes(e, r, s);
	say_words_wanted(e, r, s);
	if (s->text[0] != '\0')
		EXPLAIN_SAY(e, SG_GATE, EXPLAIN_T("said", s->text));
	say_flow(e, r, s);
}

static void say_soaking(
	struct explain *e, const struct explain_rollout *r, const struct engine_stage *s)
{
	int64_t left = explain_left(r, s->soak_until);

	if (stands(r))
		EXPLAIN_SAY(e, SG_SOAK_STANDS, EXPLAIN_FOR("left", left));
	else
		EXPLAIN_SAY(e, SG_SOAK, EXPLAIN_FOR("left", left),
			EXPLAIN_AT("at", moment(r, s->soak_until)));
	EXPLAIN_SAY(e, SG_GATE, EXPLAIN_T("said", s->text));
	say_flow(e, r, s);
}

/* ---- the others */

static void say_pending(
	struct explain *e, const struct explain_rollout *r, const struct engine_stage *s)
{
	const struct engine_stage *needed = explain_needed(r, s);
	char name[EXPLAIN_STAGE];

	if (r->rollout->started_at == 0 || needed == NULL) {
		EXPLAIN_SAY(e, SG_NOT_STARTED,
			EXPLAIN_S("state", rollout_state_text(r->rollout->state)));
		return;
	}
	explain_stage_name(needed->layer, needed->wave, name);
	EXPLAIN_SAY(e, SG_NEEDS, EXPLAIN_T("needed", name),
		EXPLAIN_S("state", stage_state_text(needed->state)));
	explain_what_is_needed(e, r, needed);
}

static void say_decision(
	struct explain *e, const struct explain_rollout *r, const struct engine_stage *s)
{
	if (s->decision != GATE_FAILED && s->decision != GATE_INCONCLUSIVE)
		EXPLAIN_SAY_ONLY(e, SG_CUT_SHORT);
	else if (s->state == STAGE_FAILED)
		EXPLAIN_SAY(e, SG_FAILED, EXPLAIN_T("said", s->text));
	else
		EXPLAIN_SAY(e, SG_INCONCLUSIVE, EXPLAIN_T("said", s->text));
	if (r->rollout->state == ROLLOUT_PAUSED)
		EXPLAIN_SAY_ONLY(e, SG_DECIDE);
}

static void say_back(struct explain *e, const struct engine_stage *s)
{
	const struct figures_sums *f = &s->sums;

	if (s->state == STAGE_ROLLING_BACK)
		EXPLAIN_SAY(e, SG_GOES_BACK, EXPLAIN_N("back", f->back),
			EXPLAIN_N("done", f->steps[STEP_ROLLED_BACK]),
			EXPLAIN_N("failed", f->steps[STEP_ROLLBACK_FAILED]));
	else
		EXPLAIN_SAY(e, SG_IS_BACK, EXPLAIN_N("done", f->steps[STEP_ROLLED_BACK]),
			EXPLAIN_N("failed", f->steps[STEP_ROLLBACK_FAILED]),
			EXPLAIN_N("held", f->steps[STEP_HELD]));
}

static void say_paused(struct explain *e, const struct explain_rollout *r)
{
	if (r->rollout->state == ROLLOUT_PAUSED)
		EXPLAIN_SAY(e, PAUSED, EXPLAIN_AT("at", r->rollout->paused_at),
			EXPLAIN_T("reason", r->rollout->reason));
}

void explain_what_is_needed(
	struct explain *e, const struct explain_rollout *r, const struct engine_stage *needed)
{
	struct explain theirs = { 0 };
	char name[EXPLAIN_STAGE];

	if (needed->state == STAGE_PENDING)
		return;
	explain_stage_name(needed->layer, needed->wave, name);
	explain_stage(&theirs, r, needed->layer, needed->wave);
	EXPLAIN_SAY(e, NEEDED_SAYS, EXPLAIN_T("needed", name),
		EXPLAIN_T("said", explain_first(&theirs)));
	e->failed = e->failed || theirs.failed;
	explain_fini(&theirs);
}

void explain_stage(struct explain *e, const struct explain_rollout *r, int layer, int wave)
{
	const struct engine_stage *s = explain_cell(r, layer, wave);

	if (s->state == STAGE_RUNNING || s->state == STAGE_SOAKING ||
		s->state == STAGE_ROLLING_BACK)
		say_paused(e, r);
	switch (s->state) {
	case STAGE_PENDING:
		say_pending(e, r, s);
		break;
	case STAGE_RUNNING:
		say_running(e, r, s);
		break;
	case STAGE_SOAKING:
		say_soaking(e, r, s);
		break;
	case STAGE_SUCCEEDED:
		EXPLAIN_SAY(e, SG_SUCCEEDED, EXPLAIN_FOR("ago", r->now_ms - s->ended_at),
			EXPLAIN_T("said", s->text));
		break;
	case STAGE_FAILED:
	case STAGE_INCONCLUSIVE:
		say_decision(e, r, s);
		break;
	case STAGE_SKIPPED:
		EXPLAIN_SAY_ONLY(e, SG_SKIPPED);
		break;
	default:
		say_back(e, s);
	}
}
