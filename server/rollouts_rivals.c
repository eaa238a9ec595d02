/* SPDX-License-Identifier: Apache-2.0
 *
 * A device is in at most one running rollout per module. The plan leaves devices out that another
 * rollout has under way, but two plans may have been made before either was started: whoever started
 * first has the device. */
#include "server/rollouts_in.h"

#include "server/store/assignment.h"

#define OPEN_MAX 64 /* steps of one device that are looked at */

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

/* Whether the other rollout changes, in its class, a module that the claim is about. */
static enum fl_code wants_the_same(const struct rollouts_lane *lane,
	const struct rollouts_claim *claim, int64_t other, int class, bool *same,
	struct fl_err *err)
{
	struct rollouts_borrowed mine = { 0 }, theirs = { 0 };
	enum fl_code code = rollouts_borrow(lane, claim->rollout->id, &mine, err);

	*same = false;
	if (code == FL_OK)
		code = rollouts_borrow(lane, other, &theirs, err);
	if (code == FL_OK)
		code = overlap(
			&mine.parsed->plan, claim->class, &theirs.parsed->plan, class, same, err);
	rollouts_borrowed_fini(&mine);
	rollouts_borrowed_fini(&theirs);
	return code;
}

/* Whether the rival comes first: it was started before, in the same millisecond made before. */
static bool comes_first(const struct assignment_rival *rival, const struct engine_rollout *ours)
{
	return rival->started_at < ours->started_at ||
		(rival->started_at == ours->started_at && rival->rollout_id < ours->id);
}

enum fl_code rollouts_rival(const struct rollouts_lane *lane, const struct rollouts_claim *claim,
	bool *taken, struct fl_err *err)
{
	struct assignment_rivals rivals;
	enum fl_code code =
		assignment_rivals(lane->store, claim->device_no, claim->rollout->id, &rivals, err);

	*taken = false;
	for (size_t i = 0; i < rivals.n && code == FL_OK && !*taken; i++)
		if (claim->any || comes_first(&rivals.of[i], claim->rollout))
			code = wants_the_same(lane, claim, rivals.of[i].rollout_id,
				rivals.of[i].class, taken, err);
	return code;
}

/* The step that another rollout still has waiting for the device ends, if that rollout is over and wants
 * one of the same modules. */
static enum fl_code end_left_over(const struct rollouts_lane *lane,
	const struct rollouts_claim *claim, const struct step_place *at, struct fl_err *err)
{
	struct step_view view;
	struct engine_out out;
	struct engine_fact fact = { .kind = FACT_OVERTAKEN };
	bool same = false;
	enum fl_code code = step_view(lane->store, at->stage_id, claim->device_no, &view, err);

	if (code == FL_OK && view.rollout.ended_at != 0)
		code = wants_the_same(lane, claim, at->rollout_id, view.step.class, &same, err);
	return code == FL_OK && same ? rollouts_step_fact(lane, &view, &fact, &out, err) : code;
}

enum fl_code rollouts_overtake(
	const struct rollouts_lane *lane, const struct rollouts_claim *claim, struct fl_err *err)
{
	struct step_place open[OPEN_MAX];
	size_t n = 0;
	enum fl_code code = step_open(lane->store, claim->device_no, open, OPEN_MAX, &n, err);

	for (size_t i = 0; i < n && code == FL_OK; i++)
		if (open[i].rollout_id != claim->rollout->id)
			code = end_left_over(lane, claim, &open[i], err);
	return code;
}
