/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/pair.h"

#include "server/rollout/owner.h"

#include <string.h>

/* The action that is being carried out: what a world's `look` is about. */
static struct {
	const struct pair_setup *setup;
	struct pair *p;
	const char *broken;
} now;

/* ---- whose a device is, as the runner looks at it */

static struct rival rival_of(const struct pair_setup *setup, const struct pair *p, int rollout)
{
	struct rival r = setup->rival[rollout];

	r.id = rollout + 1;
	r.started_at = p->started[rollout] == 0 ? RIVAL_NOT_STARTED : p->started[rollout];
	return r;
}

static bool ended(const struct pair *p, int rollout)
{
	return p->of[rollout].rollout.ended_at != 0;
}

static bool under_way(const struct pair *p, int rollout)
{
	return p->started[rollout] != 0 && !ended(p, rollout);
}

/* How a device stands to the rollout's claim. */
static enum engine_fit fit_claim(
	const struct pair_setup *setup, const struct pair *p, int rollout, bool any, int64_t since)
{
	const struct rival them = rival_of(setup, p, !rollout);
	const struct rival_claim claim = { .us = rival_of(setup, p, rollout),
		.over = ended(p, rollout),
		.any = any,
		.since = since };

	return under_way(p, !rollout) ? rival_fit(&claim, &them) : ENGINE_FITS;
}

/* Whether what the other rollout has brought is as good as what this one was planned on. */
static bool takes_over(const struct pair_setup *setup, const struct pair *p, int rollout)
{
	const struct rival us = rival_of(setup, p, rollout), them = rival_of(setup, p, !rollout);

	return (us.supersede || us.priority != 0) && p->started[!rollout] != 0 &&
		!p->after[rollout] && rival_yields(&them, &us);
}

static enum engine_fit fit_forward(
	const struct pair_setup *setup, const struct pair *p, int rollout, int device)
{
	int has = p->device[device].has, to = pair_brings(rollout);
	enum engine_fit fit;

	if (has == to)
		return ENGINE_ALREADY;
	if (has != PAIR_FROM &&
		!(has == pair_brings(!rollout) && has < to && takes_over(setup, p, rollout)))
		return ENGINE_UNFIT;
	fit = fit_claim(setup, p, rollout, false, 0);
	if (fit != ENGINE_FITS)
		return ENGINE_NOT_OURS;
	return device == 1 && to > p->device[0].has ? ENGINE_LATER : ENGINE_FITS;
}

/* ---- ways back */

static struct owner_order order_of(const struct pair *p, int rollout, int device)
{
	const struct engine_step *s = pair_step(p, rollout, device);

	return s == NULL ? (struct owner_order){ 0 }
			 : (struct owner_order){ .rollout_id = rollout + 1,
				   .rollout = p->of[rollout].rollout.state,
				   .manifest = s->manifest,
				   .state = s->state,
				   .back = s->back,
				   .flags = s->flags };
}

/* Whether the way back of a step goes past what the other rollout has brought. */
static bool passes_by(const struct pair *p, int rollout, int device)
{
	const struct owner_order origin = order_of(p, !rollout, device);

	return p->order[rollout][device].had == pair_brings(!rollout) &&
		p->order[!rollout][device].had != 0 &&
		origin.manifest < pair_step(p, rollout, device)->manifest &&
		owner_passed_by(&origin, rollout + 1);
}

/* The version that it leads to. */
static int way_back(const struct pair *p, int rollout, int device)
{
	int had = p->order[passes_by(p, rollout, device) ? !rollout : rollout][device].had;

	return had == 0 ? PAIR_FROM : had;
}

/* Whether everything would work after the way back. */
static bool works_back(const struct pair *p, int device, int to)
{
	int gateway = p->device[0].has, behind = p->device[1].has;

	return device == 1 ? to <= gateway : behind > gateway || behind <= to;
}

static enum engine_fit fit_back(const struct pair *p, int rollout, int device)
{
	const struct owner_order ours = order_of(p, rollout, device),
				 other = order_of(p, !rollout, device);
	const struct engine_step *behind = device == 0 ? pair_step(p, rollout, 1) : NULL;
	enum engine_fit fit = behind == NULL ? ENGINE_FITS : engine_back_fit(behind, 1);

	if (other.manifest != 0 && owner_since(&other, &ours))
		return ENGINE_NOT_OURS;
	if (fit == ENGINE_FITS && device == 0 && passes_by(p, rollout, 0)) {
		const struct owner_order other_behind = order_of(p, !rollout, 1);

		fit = owner_behind(&other_behind);
	}
	if (fit == ENGINE_FITS && !works_back(p, device, way_back(p, rollout, device)))
		return ENGINE_NO_WAY;
	return fit;
}

/* ---- jobs */

static void apply_to(int rollout, const struct world_action *a)
{
	const char *broken = world_apply(&now.setup->one, &now.p->of[rollout], a);

	if (now.broken == NULL)
		now.broken = broken;
}

/* What a rollout that is over still had waiting for the device ends. */
static void end_left_over(int rollout, int device)
{
	if (ended(now.p, !rollout) && pair_step(now.p, !rollout, device) != NULL)
		apply_to(!rollout,
			&(struct world_action){
				.kind = WORLD_OVERTAKE, .stage = device, .device = device });
}

static enum engine_fit look(struct world *w, const struct world_action *a)
{
	int rollout = (int)(w - now.p->of);
	struct engine_step step = w->steps[a->stage][a->device];
	enum engine_fit fit;

	switch (a->job) {
	case ENGINE_OPEN:
		fit = fit_claim(now.setup, now.p, rollout, false, 0);
		if (fit == ENGINE_FITS && a->stage == a->device)
			end_left_over(rollout, a->device);
		return fit;
	case ENGINE_BACK:
		return step.delivered == 0 ? ENGINE_FITS : fit_back(now.p, rollout, a->device);
	case ENGINE_RETRY:
		return fit_claim(now.setup, now.p, rollout, true, 0);
	case ENGINE_REVIEW:
		step.changed_at = now.p->newer[rollout][a->device] ? PAIR_ROLLOUTS + 1 : 0;
		return rival_reviews(&step)
			? fit_claim(now.setup, now.p, rollout, false, rival_since(&step))
			: ENGINE_FITS;
	default:
		return ENGINE_FITS;
	}
}

/* ---- actions */

struct choice {
	const struct pair *p;
	struct pair_action *out;
	int n;
};

static void add(struct choice *c, int rollout, struct world_action a)
{
	FL_BUG_IF(c->n >= PAIR_ACTIONS);
	c->out[c->n++] = (struct pair_action){ rollout, a };
}

static void add_verbs(const struct pair_setup *setup, struct choice *c, int rollout)
{
	enum rollout_state state = c->p->of[rollout].rollout.state;
	struct world_action a = { .kind = WORLD_VERB };

	if (state == ROLLOUT_READY || (state == ROLLOUT_PAUSED && !setup->fewer)) {
		a.fact.kind = state == ROLLOUT_READY ? FACT_START : FACT_RESUME;
		add(c, rollout, a);
	}
	if (state == ROLLOUT_READY)
		return;
	a.fact = (struct engine_fact){ .kind = FACT_ROLLBACK, .wave = ENGINE_ALL_WAVES };
	add(c, rollout, a);
	if (setup->fewer)
		return;
	a.fact = (struct engine_fact){ .kind = FACT_STOP, .cancel = true };
	add(c, rollout, a);
}

static void add_stage(const struct pair_setup *setup, struct choice *c, int rollout, int stage)
{
	const struct engine_stage *g = &c->p->of[rollout].stages[stage];

	for (unsigned b = 0; b < ENGINE_JOBS; b++)
		if ((g->jobs & 1u << b) != 0)
			add(c, rollout,
				(struct world_action){
					.kind = WORLD_SLICE, .stage = stage, .job = 1u << b });
	if (g->reach_at != 0 && !setup->fewer)
		add(c, rollout, (struct world_action){ .kind = WORLD_STAGE_DUE, .stage = stage });
}

static void add_reports(const struct pair_setup *setup, struct choice *c, int rollout, int device)
{
	static const enum step_state said[] = { STEP_CONFIRMED, STEP_INSTALLING, STEP_FAILED,
		STEP_ROLLED_BACK };
	const struct engine_step *s = pair_step(c->p, rollout, device);
	struct world_action a = { .kind = WORLD_REPORT, .stage = device, .device = device };
	bool open = s->deadline != 0;
	bool late = setup->late && (s->state == STEP_TIMED_OUT || s->state == STEP_SUPERSEDED);
	size_t n = open ? (setup->fewer ? 3 : FL_COUNT(said)) : late ? 1 : 0;

	for (size_t i = 0; i < n && s->manifest != 0; i++) {
		a.fact = (struct engine_fact){ .reported = said[i], .manifest = s->manifest };
		add(c, rollout, a);
	}
	a = (struct world_action){ .kind = WORLD_STEP_DUE, .stage = device, .device = device };
	if (open && !setup->fewer)
		add(c, rollout, a);
}

/* One order at a time: who has one is told again. */
static void add_poll(const struct pair_setup *setup, struct choice *c, int rollout, int device)
{
	const struct engine_step *s = pair_step(c->p, rollout, device);
	struct world_action a = { .kind = WORLD_POLL, .stage = device, .device = device };

	if ((s->state != STEP_QUEUED && s->state != STEP_UNREACHED) ||
		pair_holds_order(c->p, !rollout, device))
		return;
	a.fact.fit = s->back ? fit_back(c->p, rollout, device)
			     : fit_forward(setup, c->p, rollout, device);
	a.fact.manifest = c->p->device[device].manifest + 1;
	add(c, rollout, a);
}

int pair_actions(const struct pair_setup *setup, const struct pair *p, struct pair_action *out)
{
	struct choice c = { .p = p, .out = out };

	for (int r = 0; r < PAIR_ROLLOUTS; r++) {
		add_verbs(setup, &c, r);
		for (int d = 0; d < PAIR_DEVICES; d++) {
			add_stage(setup, &c, r, d);
			if (pair_step(p, r, d) == NULL)
				continue;
			add_poll(setup, &c, r, d);
			add_reports(setup, &c, r, d);
		}
	}
	return c.n;
}

/* ---- what follows */

/* It has started: the other one looks again at everybody who waits, if it gives way. */
static void begin(int rollout)
{
	struct pair *p = now.p;
	const struct rival them = rival_of(now.setup, p, !rollout);
	struct rival us;

	p->started[rollout] = p->started[!rollout] != 0 ? 2 : 1;
	p->after[rollout] = ended(p, !rollout);
	memset(p->newer[!rollout], 0, sizeof(p->newer[!rollout]));
	us = rival_of(now.setup, p, rollout);
	if (under_way(p, !rollout) && (us.supersede || us.priority != 0) &&
		rival_yields(&them, &us))
		apply_to(!rollout,
			&(struct world_action){ .kind = WORLD_VERB, .fact.kind = FACT_REVIEW });
}

/* The device was given an order. */
static void deliver(const struct pair_action *a, const struct engine_step *before)
{
	struct pair *p = now.p;
	struct pair_order *order = &p->order[a->rollout][a->one.device];
	struct pair_device *device = &p->device[a->one.device];

	if (before->back) {
		order->goal = way_back(p, a->rollout, a->one.device);
	} else {
		order->goal = pair_brings(a->rollout);
		order->had = device->has;
	}
	device->manifest = a->one.fact.manifest;
	now.broken = pair_check_offer(now.setup, p, a, before);
}

/* The device has carried its order out. */
static void carry_out(const struct pair_action *a)
{
	struct pair_device *device = &now.p->device[a->one.device];

	device->has = now.p->order[a->rollout][a->one.device].goal;
	device->set_at = a->one.fact.manifest;
}

static void follow(const struct pair_action *a, const struct engine_step *before)
{
	const struct engine_step *s = pair_step(now.p, a->rollout, a->one.device);

	if (a->one.kind == WORLD_VERB && a->one.fact.kind == FACT_START)
		begin(a->rollout);
	if (a->one.kind == WORLD_POLL && s->state == STEP_OFFERED)
		deliver(a, before);
	if (a->one.kind == WORLD_REPORT && a->one.fact.reported == STEP_CONFIRMED)
		carry_out(a);
}

/* Note which steps have changed. */
static void note_newer(const struct engine_step was[PAIR_ROLLOUTS][PAIR_DEVICES])
{
	struct pair *p = now.p;

	for (int r = 0; r < PAIR_ROLLOUTS; r++)
		for (int d = 0; d < PAIR_DEVICES; d++)
			if (memcmp(&was[r][d], &p->of[r].steps[d][d], sizeof(was[r][d])) != 0)
				p->newer[r][d] = p->started[!r] != 0;
}

void pair_copy(const struct pair_setup *setup, struct pair *to, const struct pair *from)
{
	for (int r = 0; r < PAIR_ROLLOUTS; r++)
		world_copy(&setup->one, &to->of[r], &from->of[r]);
	memcpy((char *)to + sizeof(to->of), (const char *)from + sizeof(from->of),
		sizeof(*to) - sizeof(to->of));
}

/* All jobs at once. */
static void run_jobs(void)
{
	for (int i = 0; i < PAIR_ROLLOUTS * PAIR_DEVICES && now.broken == NULL; i++) {
		int r = i / PAIR_DEVICES, stage = i % PAIR_DEVICES;
		unsigned jobs = now.p->of[r].stages[stage].jobs;

		if (jobs == 0)
			continue;
		apply_to(r,
			&(struct world_action){
				.kind = WORLD_SLICE, .stage = stage, .job = jobs & -jobs });
		i = -1; /* it may have begun others */
	}
}

const char *pair_apply(const struct pair_setup *setup, struct pair *p, const struct pair_action *a)
{
	struct engine_step was[PAIR_ROLLOUTS][PAIR_DEVICES];

	for (int r = 0; r < PAIR_ROLLOUTS; r++)
		for (int d = 0; d < PAIR_DEVICES; d++)
			was[r][d] = p->of[r].steps[d][d];
	now.setup = setup;
	now.p = p;
	now.broken = NULL;
	apply_to(a->rollout, &a->one);
	if (now.broken == NULL)
		follow(a, &was[a->rollout][a->one.device]);
	if (setup->at_once)
		run_jobs();
	note_newer(was);
	return now.broken != NULL ? now.broken : pair_check(p);
}

/* ---- begin */

void pair_setup_init(struct pair_setup *setup, world_engine_fn engine)
{
	setup->one = (struct world_setup){
		.rules = { .layers = 2,
			.waves = 1,
			.gate = { .success_ppm = 600000,
				.error_ppm = 500000,
				.error_minimum = 1,
				.causes = 1u << CAUSE_RELEASE | 1u << CAUSE_UNKNOWN },
			.reach_ms = 1000,
			.install_ms = 1000,
			.back_reach_ms = 1000,
			.pace = { .back_first = 1,
				.back_error_ppm = 500000,
				.back_error_minimum = 1 } },
		.devices = PAIR_DEVICES,
		.distinct = true,
		.parts = { 1 << 0, 1 << 1 },
		.look = look,
		.engine = engine,
	};
}

void pair_init(const struct pair_setup *setup, struct pair *p)
{
	memset((char *)p + sizeof(p->of), 0, sizeof(*p) - sizeof(p->of));
	for (int r = 0; r < PAIR_ROLLOUTS; r++)
		world_init(&setup->one, &p->of[r]);
	for (int d = 0; d < PAIR_DEVICES; d++)
		p->device[d].has = PAIR_FROM;
}

/* ---- as bytes */

/* A manifest's number among those of its device that still matter. */
static uint8_t rank_of(const struct pair *p, int device, int64_t number)
{
	int64_t all[PAIR_ROLLOUTS + 1] = { p->device[device].set_at };
	uint8_t n = 0;

	for (int r = 0; r < PAIR_ROLLOUTS; r++)
		all[r + 1] =
			pair_step(p, r, device) == NULL ? 0 : pair_step(p, r, device)->manifest;
	/* those that are equal count as one */
	for (size_t i = 0; i < FL_COUNT(all); i++) {
		bool again = all[i] == 0 || all[i] > number;

		for (size_t k = 0; k < i; k++)
			again = again || all[k] == all[i];
		n = (uint8_t)(n + !again);
	}
	return n;
}

size_t pair_encode(const struct pair_setup *setup, const struct pair *p, uint8_t *key)
{
	uint8_t one[WORLD_KEY];
	size_t n = 0;

	for (int r = 0; r < PAIR_ROLLOUTS; r++) {
		size_t bytes = world_encode(&setup->one, &p->of[r], one);

		memcpy(key + n, one, bytes);
		n += bytes;
		key[n++] = (uint8_t)(p->started[r] | p->after[r] << 2);
		for (int d = 0; d < PAIR_DEVICES; d++) {
			const struct engine_step *s = pair_step(p, r, d);

			key[n++] = s == NULL ? 0 : rank_of(p, d, s->manifest);
			key[n++] = (uint8_t)(s != NULL && s->back && p->newer[r][d]);
			key[n++] = (uint8_t)(setup->late || pair_holds_order(p, r, d)
					? p->order[r][d].goal
					: 0);
			key[n++] = (uint8_t)p->order[r][d].had;
		}
	}
	for (int d = 0; d < PAIR_DEVICES; d++) {
		key[n++] = (uint8_t)p->device[d].has;
		key[n++] = rank_of(p, d, p->device[d].set_at);
	}
	FL_BUG_IF(n > PAIR_KEY);
	return n;
}

void pair_decode(const struct pair_setup *setup, const uint8_t *key, struct pair *out)
{
	size_t n = 0;

	pair_init(setup, out);
	for (int r = 0; r < PAIR_ROLLOUTS; r++) {
		uint8_t one[WORLD_KEY];

		world_decode(&setup->one, key + n, &out->of[r]);
		n += world_encode(&setup->one, &out->of[r], one);
		out->started[r] = key[n] & 3;
		out->after[r] = key[n++] >> 2 != 0;
		for (int d = 0; d < PAIR_DEVICES; d++, n += 4) {
			out->of[r].steps[d][d].manifest = key[n];
			out->newer[r][d] = key[n + 1] != 0;
			out->order[r][d] = (struct pair_order){ key[n + 2], key[n + 3] };
			if (key[n] > out->device[d].manifest)
				out->device[d].manifest = key[n];
		}
	}
	for (int d = 0; d < PAIR_DEVICES; d++, n += 2) {
		out->device[d].has = key[n];
		out->device[d].set_at = key[n + 1];
		if (key[n + 1] > out->device[d].manifest)
			out->device[d].manifest = key[n + 1];
	}
}
