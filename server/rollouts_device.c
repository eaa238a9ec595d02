/* SPDX-License-Identifier: Apache-2.0
 *
 * What devices do: ask, report, leave. */
#include "server/rollouts_in.h"

#include "server/fleet.h"
#include "server/server.h"
#include "server/store/device.h"
#include "server/store/report.h"

/* ---- asking */

static bool in_flight(const struct step_place *p)
{
	return p->state >= STEP_OFFERED && p->state <= STEP_INSTALLED && p->state != STEP_REJECTED;
}

/* The stage wakes its devices when the window opens. */
static enum fl_code wake_later(const struct rollouts_lane *lane, const struct step_view *view,
	const struct rollouts_open *open, struct fl_err *err)
{
	int64_t at = window_opens(open->hours.offer, lane->store->now_ms);

	return stage_put_opens(
		lane->store, view->stage.id, at >= 0 ? at : open->hours.offer->until, err);
}

/* Ask the engine about one waiting step. *keep: it may be offered soon. */
static enum fl_code ask(const struct rollouts_lane *lane, const struct step_place *place,
	int64_t device_no, struct rollouts_offer *offer, bool *keep, struct fl_err *err)
{
	struct engine_fact fact = { .kind = FACT_POLLED };
	struct rollouts_parsed *parsed = NULL;
	ROLLOUTS_AUTO_OUTLOOK struct rollouts_outlook outlook = { 0 };
	struct step_view view;
	struct engine_out out = { 0 };
	struct rollouts_open open = { 0 };
	enum fl_code code = step_view(lane->store, place->stage_id, device_no, &view, err);

	if (code == FL_OK)
		code = rollouts_parsed_get(lane, place->rollout_id, &parsed, err);
	if (code == FL_OK)
		code = rollouts_look_ahead(lane, &view, parsed, &outlook, err);
	fact.fit = outlook.fit;
	fact.manifest = outlook.device.manifest + 1;
	if (code == FL_OK)
		code = rollouts_load(lane, &view, parsed, &fact, err);
	if (!view.step.back)
		view.step.had = outlook.device.state_id;
	if (code == FL_OK)
		code = rollouts_windows_of(lane, parsed, &view.step, &open, err);
	fact.window = open.hours.offer;
	fact.install_window = open.hours.install;
	if (code == FL_OK)
		code = rollouts_step_fact(lane, &view, &fact, &out, err);
	if (code == FL_OK)
		rollouts_slots_note(lane, &view, parsed->strategy.priority, &out);
	if (code == FL_OK && out.hold == ENGINE_HOLD_WINDOW)
		code = wake_later(lane, &view, &open, err);
	if (code != FL_OK)
		return code;
	*keep = *keep || out.keep || out.attend;
	if (!out.offer)
		return FL_OK;
	code = rollouts_issue(lane, &view, &outlook, true, err);
	if (code == FL_OK && outlook.device.manifest != fact.manifest)
		return fl_fail(err, FL_INTERNAL, "a manifest's number is not the next one");
	*offer = (struct rollouts_offer){ ROLLOUTS_OFFER, fact.manifest, place->stage_id };
	return code;
}

enum fl_code rollouts_poll(struct server *server, struct store *store, struct effects *effects,
	int64_t device_no, struct rollouts_offer *out, struct fl_err *err)
{
	struct rollouts_lane lane = { server, store, effects };
	struct rollouts_steps open;
	bool keep = false;
	struct rollouts_offer offer = { .answer = ROLLOUTS_NOTHING };
	enum fl_code code = rollouts_open_steps(&lane, device_no, &open, err);

	/* one order at a time: who has one is told again */
	for (size_t i = 0; i < open.n; i++) {
		if (in_flight(&open.at[i])) {
			struct rollouts_frost frost = { 0 };

			if (!step_switches(open.at[i].state))
				code = rollouts_frozen(store, device_no, &frost, err);
			*out = (struct rollouts_offer){ frost.name[0] != '\0' ? ROLLOUTS_HOLD
									      : ROLLOUTS_AGAIN,
				open.at[i].manifest, open.at[i].stage_id };
			return code;
		}
	}
	for (size_t i = 0; i < open.n && code == FL_OK && offer.answer == ROLLOUTS_NOTHING; i++)
		if (open.at[i].state != STEP_REJECTED)
			code = ask(&lane, &open.at[i], device_no, &offer, &keep, err);
	if (code != FL_OK)
		return code;
	if (offer.answer == ROLLOUTS_NOTHING && !keep)
		fleet_attention(effects, device_no, false);
	*out = offer;
	return FL_OK;
}

/* ---- reporting */

static bool may_report(enum step_state s)
{
	return (s >= STEP_REJECTED && s <= STEP_FAILED) || s == STEP_ROLLED_BACK ||
		s == STEP_ROLLBACK_FAILED;
}

/* Move the step that the report is about. A device that has taken its order up need not be told again. */
static enum fl_code move(const struct rollouts_lane *lane, const struct rollouts_report *r,
	const struct step_view *view, struct fl_err *err)
{
	struct engine_fact fact = { .kind = FACT_REPORTED,
		.reported = r->state,
		.cause = r->cause,
		.manifest = r->manifest,
		.sent = r->sent,
		.saved = r->saved };
	struct engine_out out;
	enum fl_code code;

	/* before what the engine may want: the later effect counts */
	if (r->manifest == view->step.manifest && view->step.deadline != 0)
		fleet_attention(lane->effects, r->device_no, false);
	code = rollouts_step_fact(lane, view, &fact, &out, err);
	if (code != FL_OK || r->state != STEP_CONFIRMED || !out.step_changed || r->state_id != 0)
		return code;
	return rollouts_assume(lane, r->device_no, err);
}

enum fl_code rollouts_report(struct server *server, struct store *store, struct effects *effects,
	const struct rollouts_report *report, struct fl_err *err)
{
	struct rollouts_lane lane = { server, store, effects };
	struct step_view view;
	enum fl_code code;

	if (!may_report(report->state))
		return fl_fail(err, FL_INVALID, "a device cannot report the state \"%s\"",
			step_state_text(report->state));
	code = step_view(store, report->stage_id, report->device_no, &view, err);
	if (code == FL_OK)
		code = move(&lane, report, &view, err);
	if (code != FL_OK && code != FL_NOT_FOUND)
		return code;
	return report_add(store,
		&(struct report){ .device_no = report->device_no,
			.stage_id = report->stage_id,
			.state = step_state_text(report->state),
			.cause = report->cause == CAUSE_NONE ? "" : step_cause_text(report->cause),
			.detail = report->detail == NULL ? "" : report->detail },
		err);
}

enum fl_code rollouts_holds(struct store *store, struct effects *effects, int64_t device_no,
	bool *hold, struct fl_err *err)
{
	struct step_place open[ROLLOUTS_OPEN_MAX];
	size_t n = 0;
	struct rollouts_frost frost = { 0 };
	bool before = false;
	enum fl_code code = step_open(store, device_no, open, ROLLOUTS_OPEN_MAX, &n, err);

	for (size_t i = 0; i < n; i++)
		before = before || (in_flight(&open[i]) && !step_switches(open[i].state));
	if (code == FL_OK && before)
		code = rollouts_frozen(store, device_no, &frost, err);
	*hold = frost.name[0] != '\0';
	if (code == FL_OK && *hold)
		fleet_attention(effects, device_no, true);
	return code;
}

/* ---- leaving */

enum fl_code rollouts_device_retired(struct server *server, struct store *store,
	struct effects *effects, int64_t device_no, struct fl_err *err)
{
	struct rollouts_lane lane = { server, store, effects };
	struct engine_fact fact = { .kind = FACT_REMOVED };
	struct step_place open[ROLLOUTS_OPEN_MAX];
	size_t n = 0;
	enum fl_code code = step_open(store, device_no, open, ROLLOUTS_OPEN_MAX, &n, err);

	for (size_t i = 0; i < n && code == FL_OK; i++) {
		struct step_view view;
		struct engine_out out;

		code = step_view(store, open[i].stage_id, device_no, &view, err);
		if (code == FL_OK)
			code = rollouts_step_fact(&lane, &view, &fact, &out, err);
	}
	if (code == FL_OK)
		fleet_attention(effects, device_no, false);
	return code;
}

enum fl_code rollouts_waiting(struct store *store, void (*fn)(void *arg, int64_t device_no),
	void *arg, struct fl_err *err)
{
	return step_waiting(store, fn, arg, err);
}
