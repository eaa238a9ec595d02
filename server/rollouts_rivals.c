/* SPDX-License-Identifier: Apache-2.0
 *
 * A device is in at most one running rollout per module. The plan leaves devices out that another rollout
 * has under way, unless it takes them over; and two plans may have been made before either was started.
 * Who has a device is said by rollout/rival.h: looked at when a row is made, when a device asks, and for
 * everybody who waits when a rollout starts that takes devices over. */
#include "server/rollouts_in.h"

#include "server/rollout/rival.h"
#include "server/store/rollout.h"

#include <stdio.h>
#include <stdlib.h>

static struct rival rival_of(
	const struct rollouts_parsed *p, const struct engine_rollout *r, int64_t started_at)
{
	return (struct rival){ .id = r->id,
		.started_at = started_at,
		.priority = p->strategy.priority,
		.supersede = p->strategy.supersede };
}

/* ---- one device */

/* Whether a class of one plan and a class of another change a module in common. */
static enum fl_code overlap(const struct plan *p, int class, const struct plan *q, int other,
	bool *common, struct fl_err *err)
{
	struct rollouts_changes ours, theirs;
	enum fl_code code = rollouts_changes(p, class, ROLLOUTS_WHOLE_WAY, &ours, err);

	if (code == FL_OK)
		code = rollouts_changes(q, other, ROLLOUTS_WHOLE_WAY, &theirs, err);
	*common = false;
	for (size_t i = 0; i < ours.n && code == FL_OK && !*common; i++)
		*common = rollouts_change_of(&theirs, ours.of[i].module) != NULL;
	return code;
}

/* What the claim is against one rival, whatever the two change. */
static enum engine_fit fit_of(const struct rollouts_claim *claim,
	const struct rollouts_parsed *mine, const struct rollouts_parsed *theirs,
	const struct assignment_rival *rival)
{
	const struct rival_claim ours = { .us = rival_of(
						  mine, claim->rollout, claim->rollout->started_at),
		.over = claim->rollout->ended_at != 0,
		.any = claim->any,
		.since = claim->since };
	const struct rival them = { rival->rollout_id, rival->started_at, theirs->strategy.priority,
		theirs->strategy.supersede };

	return rival_fit(&ours, &them);
}

/* How the claim stands against one rival. */
static enum fl_code compare(const struct rollouts_lane *lane, const struct rollouts_claim *claim,
	const struct assignment_rival *rival, struct rollouts_rivalry *out, struct fl_err *err)
{
	struct rollouts_borrowed mine = { 0 }, theirs = { 0 };
	enum engine_fit fit = ENGINE_FITS;
	bool same = false;
	enum fl_code code = rollouts_borrow(lane, claim->rollout->id, &mine, err);

	if (code == FL_OK)
		code = rollouts_borrow(lane, rival->rollout_id, &theirs, err);
	if (code == FL_OK)
		fit = fit_of(claim, mine.parsed, theirs.parsed, rival);
	if (code == FL_OK && fit != ENGINE_FITS)
		code = overlap(&mine.parsed->plan, claim->class, &theirs.parsed->plan, rival->class,
			&same, err);
	if (code == FL_OK && same)
		*out = (struct rollouts_rivalry){ .fit = fit,
			.by = rival->rollout_id,
			.priority = theirs.parsed->strategy.priority };
	rollouts_borrowed_fini(&mine);
	rollouts_borrowed_fini(&theirs);
	return code;
}

enum fl_code rollouts_rival(const struct rollouts_lane *lane, const struct rollouts_claim *claim,
	struct rollouts_rivalry *out, struct fl_err *err)
{
	struct assignment_rivals rivals;
	enum fl_code code =
		assignment_rivals(lane->store, claim->device_no, claim->rollout->id, &rivals, err);

	*out = (struct rollouts_rivalry){ .fit = ENGINE_FITS };
	for (size_t i = 0; i < rivals.n && code == FL_OK && out->fit == ENGINE_FITS; i++)
		code = compare(lane, claim, &rivals.of[i], out, err);
	return code;
}

/* The step that another rollout still has waiting for the device ends, if that rollout is over and wants
 * one of the same modules. */
static enum fl_code end_left_over(const struct rollouts_lane *lane,
	const struct rollouts_claim *claim, const struct step_place *at, struct fl_err *err)
{
	struct rollouts_borrowed mine = { 0 }, theirs = { 0 };
	struct step_view view;
	struct engine_out out;
	struct engine_fact fact = { .kind = FACT_OVERTAKEN };
	bool same = false;
	enum fl_code code = step_view(lane->store, at->stage_id, claim->device_no, &view, err);

	if (code != FL_OK || view.rollout.ended_at == 0)
		return code;
	code = rollouts_borrow(lane, claim->rollout->id, &mine, err);
	if (code == FL_OK)
		code = rollouts_borrow(lane, at->rollout_id, &theirs, err);
	if (code == FL_OK)
		code = overlap(&mine.parsed->plan, claim->class, &theirs.parsed->plan,
			view.step.class, &same, err);
	rollouts_borrowed_fini(&mine);
	rollouts_borrowed_fini(&theirs);
	return code == FL_OK && same ? rollouts_step_fact(lane, &view, &fact, &out, err) : code;
}

enum fl_code rollouts_overtake(
	const struct rollouts_lane *lane, const struct rollouts_claim *claim, struct fl_err *err)
{
	struct step_place open[ROLLOUTS_OPEN_MAX];
	size_t n = 0;
	enum fl_code code =
		step_open(lane->store, claim->device_no, open, ROLLOUTS_OPEN_MAX, &n, err);

	for (size_t i = 0; i < n && code == FL_OK; i++)
		if (open[i].rollout_id != claim->rollout->id)
			code = end_left_over(lane, claim, &open[i], err);
	return code;
}

/* ---- whole rollouts */

/* Call fn for every other rollout that was under way at `since` or later and gives way to this one. */
typedef enum fl_code (*overtaken_fn)(void *context, const struct rollouts_lane *lane,
	const struct rollouts_parsed *p, struct fl_err *err);
struct overtaking {
	struct rival us;
	int64_t since;
	overtaken_fn fn;
	void *context;
};

static enum fl_code look_at_rollout(const struct rollouts_lane *lane, const struct overtaking *o,
	int64_t id, struct fl_err *err)
{
	struct rollouts_borrowed theirs = { 0 };
	struct engine_rollout r;
	struct rival them;
	enum fl_code code = rollout_engine(lane->store, id, &r, err);

	if (code != FL_OK || id == o->us.id)
		return code;
	code = rollouts_borrow(lane, id, &theirs, err);
	if (code == FL_OK) {
		them = rival_of(theirs.parsed, &r, r.started_at);
		if (rival_yields(&them, &o->us))
			code = o->fn(o->context, lane, theirs.parsed, err);
	}
	rollouts_borrowed_fini(&theirs);
	return code;
}

static enum fl_code each_overtaken(
	const struct rollouts_lane *lane, const struct overtaking *o, struct fl_err *err)
{
	int64_t *ids = calloc(ROLLOUTS_AT_ONCE, sizeof(*ids));
	size_t n = 0;
	enum fl_code code = ids == NULL
		? fl_fail(err, FL_NOMEM, "there is no memory for the rollouts under way")
		: rollout_since(lane->store, o->since, ids, ROLLOUTS_AT_ONCE, &n, err);

	for (size_t i = 0; i < n && code == FL_OK; i++)
		code = look_at_rollout(lane, o, ids[i], err);
	free(ids);
	return code;
}

static enum fl_code review(void *context, const struct rollouts_lane *lane,
	const struct rollouts_parsed *p, struct fl_err *err)
{
	(void)context;
	return rollouts_give(lane, p->id, &(struct engine_fact){ .kind = FACT_REVIEW }, err);
}

enum fl_code rollouts_take_over(
	const struct rollouts_lane *lane, int64_t rollout_id, struct fl_err *err)
{
	struct rollouts_parsed *p;
	struct engine_rollout r;
	struct overtaking o = { .since = INT64_MAX, .fn = review };
	enum fl_code code = rollout_engine(lane->store, rollout_id, &r, err);

	if (code == FL_OK)
		code = rollouts_parsed_get(lane, rollout_id, &p, err);
	/* others that are under way have started before: without these two it takes nothing */
	if (code != FL_OK || (!p->strategy.supersede && p->strategy.priority == 0))
		return code;
	o.us = rival_of(p, &r, r.started_at);
	return each_overtaken(lane, &o, err);
}

struct bringing {
	const struct state_entry *what;
	bool found;
};

static enum fl_code look_at_plan(void *context, const struct rollouts_lane *lane,
	const struct rollouts_parsed *p, struct fl_err *err)
{
	struct bringing *b = context;

	(void)lane;
	(void)err;
	for (uint32_t s = 0; s < p->plan.n_sets && !b->found; s++) {
		const struct plan_set *set = &p->plan.sets[s];

		for (uint32_t i = 0; i < set->n; i++)
			if (rollouts_same_version(set->items[i].module->name, b->what->module) &&
				rollouts_same_version(set->items[i].version, b->what->version))
				b->found = true;
	}
	return FL_OK;
}

enum fl_code rollouts_overtakes(const struct rollouts_lane *lane,
	const struct rollouts_parsed *parsed, const struct state_entry *what, bool *brought,
	struct fl_err *err)
{
	struct bringing b = { .what = what };
	struct engine_rollout r;
	struct overtaking o = { .fn = look_at_plan, .context = &b };
	enum fl_code code = rollout_engine(lane->store, parsed->id, &r, err);

	*brought = false;
	if (code != FL_OK || (!parsed->strategy.supersede && parsed->strategy.priority == 0))
		return code;
	o.since = r.started_at == 0 ? INT64_MAX : r.started_at;
	o.us = rival_of(parsed, &r, r.started_at == 0 ? RIVAL_NOT_STARTED : r.started_at);
	code = each_overtaken(lane, &o, err);
	*brought = b.found;
	return code;
}

/* ---- who is asked first */

enum fl_code rollouts_open_steps(const struct rollouts_lane *lane, int64_t device_no,
	struct rollouts_steps *out, struct fl_err *err)
{
	enum fl_code code =
		step_open(lane->store, device_no, out->at, ROLLOUTS_OPEN_MAX, &out->n, err);

	for (size_t i = 0; i < out->n && code == FL_OK; i++) {
		struct step_place at = out->at[i];
		struct rollouts_borrowed b = { 0 };
		int64_t priority;
		size_t k = i;

		if (out->n == 1)
			return FL_OK;
		code = rollouts_borrow(lane, at.rollout_id, &b, err);
		priority = code == FL_OK ? b.parsed->strategy.priority : 0;
		rollouts_borrowed_fini(&b);
		/* ways back come first, as they are */
		for (; k > 0 && !at.back && !out->at[k - 1].back && out->priority[k - 1] < priority;
			k--) {
			out->at[k] = out->at[k - 1];
			out->priority[k] = out->priority[k - 1];
		}
		out->at[k] = at;
		out->priority[k] = priority;
	}
	return code;
}

/* ---- for explanations */

static enum fl_code name_of(const struct rollouts_lane *lane, int64_t rollout_id,
	struct rollouts_ahead_of *out, struct fl_err *err)
{
	struct rollouts_borrowed b = { 0 };
	enum fl_code code = rollouts_borrow(lane, rollout_id, &b, err);

	if (code == FL_OK) {
		(void)snprintf(out->name, sizeof(out->name), "%s", b.parsed->name);
		out->priority = b.parsed->strategy.priority;
	}
	rollouts_borrowed_fini(&b);
	return code;
}

enum fl_code rollouts_ahead(const struct rollouts_lane *lane, const struct rollouts_claim *claim,
	struct rollouts_ahead_of *rival, struct rollouts_ahead_of *before, struct fl_err *err)
{
	struct rollouts_rivalry rivalry;
	struct rollouts_steps open;
	enum fl_code code = rollouts_rival(lane, claim, &rivalry, err);

	rival->name[0] = before->name[0] = '\0';
	if (code == FL_OK && rivalry.fit != ENGINE_FITS)
		code = name_of(lane, rivalry.by, rival, err);
	if (code == FL_OK)
		code = rollouts_open_steps(lane, claim->device_no, &open, err);
	for (size_t i = 0;
		code == FL_OK && i < open.n && open.at[i].rollout_id != claim->rollout->id; i++)
		if (before->name[0] == '\0' && open.at[i].state != STEP_REJECTED)
			code = name_of(lane, open.at[i].rollout_id, before, err);
	return code;
}
