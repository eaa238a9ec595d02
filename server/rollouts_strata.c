/* SPDX-License-Identifier: Apache-2.0
 *
 * Strata of a rollout: outcomes are counted by hardware, region or gateway; where failures are
 * concentrated (rollout/stratum.h) the stratum is held: the steps of its devices that wait become `held`,
 * and nothing more is offered to them until a person releases it; the others go on. */
#include "server/rollouts_in.h"

#include "server/events.h"
#include "server/server.h"
#include "server/store/stratum.h"

#include <stdio.h>

static enum fl_code write_event(const struct rollouts_lane *lane, const struct rollouts_parsed *p,
	const char *name, const char *why, struct fl_err *err)
{
	return events_write(lane->store, lane->effects,
		&(struct events_line){ .kind = EVENT_STRATUM_HELD,
			.actor = "fleetd",
			.subject = p->name,
			.data = json_pack("{s:s,s:s}", "stratum", name, "why", why) },
		err);
}

/* A failure in a stratum: look whether the failures are concentrated there. */
static enum fl_code look(const struct rollouts_lane *lane, const struct rollouts_parsed *p,
	const char *field, const char *value, bool *holds, struct fl_err *err)
{
	struct stratum_look l = { .fields = p->rules.gate.n_by,
		.alpha = (double)p->rules.gate.strata_ppm / STRATEGY_PPM };
	char why[256], name[192];
	double chance, limit;
	bool held = false;
	enum fl_code code = stratum_get(lane->store, p->id, field, value, &l.own, &held, err);

	if (code == FL_OK)
		code = stratum_sum(lane->store, p->id, field, &l.all, &l.strata, err);
	if (code != FL_OK || held || !stratum_suspicious(&l, &chance, &limit))
		return code;
	snprintf(name, sizeof(name), "%s==%s", field, value);
	snprintf(why, sizeof(why),
		"%lld of %lld failed there, %lld of %lld in all: chance does that with %.2g, less "
		"than "
		"%.2g",
		(long long)l.own.failures, (long long)(l.own.successes + l.own.failures),
		(long long)l.all.failures, (long long)(l.all.successes + l.all.failures), chance,
		limit);
	*holds = true;
	code = stratum_hold(lane->store, p->id, field, value, why, err);
	return code == FL_OK ? write_event(lane, p, name, why, err) : code;
}

enum fl_code rollouts_strata_outcome(const struct rollouts_lane *lane,
	const struct rollouts_parsed *p, const struct engine_step *step, struct fl_err *err)
{
	const struct gate_rules *g = &p->rules.gate;
	bool success = step->outcome == STEP_CONFIRMED, holds = false;
	enum fl_code code = FL_OK;

	if (!success && (g->causes & 1u << step->cause) == 0)
		return FL_OK;
	for (int i = 0; i < g->n_by && code == FL_OK; i++) {
		FL_AUTO_BUF struct fl_buf value = { 0 };

		code = stratum_value(lane->store, step->device_no, g->by[i], &value, err);
		if (code != FL_OK || value.n == 0)
			continue;
		code = stratum_add(
			lane->store, p->id, g->by[i], (const char *)value.p, success, err);
		if (code == FL_OK && !success)
			code = look(lane, p, g->by[i], (const char *)value.p, &holds, err);
	}
	if (holds)
		rollouts_count_review(lane->effects, step->stage_id);
	return code;
}

enum fl_code rollouts_strata_held(const struct rollouts_lane *lane, const struct rollouts_parsed *p,
	int64_t device_no, bool *held, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	*held = false;
	for (int i = 0; i < p->rules.gate.n_by && code == FL_OK && !*held; i++) {
		FL_AUTO_BUF struct fl_buf value = { 0 };
		struct stratum_count count;

		code = stratum_value(lane->store, device_no, p->rules.gate.by[i], &value, err);
		if (code != FL_OK || value.n == 0)
			continue;
		code = stratum_get(lane->store, p->id, p->rules.gate.by[i], (const char *)value.p,
			&count, held, err);
		code = code == FL_NOT_FOUND ? FL_OK : code;
	}
	return code;
}

enum fl_code rollouts_stratum_released(struct server *server, struct store *store,
	struct effects *effects, int64_t rollout_id, struct fl_err *err)
{
	const struct rollouts_lane lane = { server, store, effects };

	return rollouts_give(&lane, rollout_id, &(struct engine_fact){ .kind = FACT_REVIEW }, err);
}
