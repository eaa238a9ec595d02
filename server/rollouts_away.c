/* SPDX-License-Identifier: Apache-2.0
 *
 * Absences: fleetd was not there, or stood still, or the wall clock jumped.
 *
 * A rollout's deadlines are on its own clock. After an absence every clock is shifted by the gap and a
 * poll interval, so that devices can report first. That comes before any other fact: what is written
 * after a jump must not read a clock that has not been shifted yet. */
#include "server/rollouts_in.h"

#include "server/server.h"
#include "server/store/instance.h"
#include "server/store/rollout.h"

#include "lib/clock.h"
#include "lib/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define BEAT_MS 10000 /* how often the heartbeat is written while something is under way */
#define STEP_MS 1000  /* the wall clock may be set back by so much without notice */
#define GAP_MS \
	30000 /* the tick comes every second: so much without one means that fleetd stood still */

static enum fl_code shift_one(
	const struct rollouts_lane *lane, int64_t id, void *from, struct fl_err *err)
{
	struct engine_fact fact = { .kind = FACT_AWAY,
		.from = *(const int64_t *)from,
		.grace_ms = lane->server->settings->poll_interval };
	struct rollouts_scene s;
	enum fl_code code = rollouts_scene_load(lane, id, &s, err);

	if (code == FL_OK)
		code = rollouts_scene_fact(&s, -1, &fact, NULL, err);
	if (code == FL_OK)
		code = rollouts_scene_store(&s, err);
	rollouts_scene_fini(&s);
	return code == FL_OK ? stage_look_again(lane->store, id, err) : code;
}

/* Shift the clocks of all that is under way: fleetd was away since `from`. */
static enum fl_code shift_all(const struct rollouts_lane *lane, int64_t from, struct fl_err *err)
{
	size_t n = 0;
	enum fl_code code = rollouts_each(lane, rollout_active, shift_one, &from, &n, err);

	if (n > 0 && code == FL_OK)
		fl_log_info("the clocks of rollouts go on where they were", FL_N("rollouts", n),
			FL_N("away_ms", lane->store->now_ms - from));
	return code;
}

/* ---- at start */

enum fl_code rollouts_back_again(const struct rollouts_lane *lane, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf beat = { 0 };
	enum fl_code code = instance_get(lane->store, "heartbeat", &beat, err);

	if (code == FL_NOT_FOUND)
		return FL_OK;
	if (code != FL_OK)
		return code;
	return shift_all(lane, strtoll((const char *)beat.p, NULL, 10), err);
}

enum fl_code rollouts_beat(const struct rollouts_lane *lane, struct fl_err *err)
{
	struct rollouts *r = lane->server->rollouts;
	int64_t id;
	size_t n;
	char text[24];
	enum fl_code code;

	if (lane->store->now_ms - r->beat_at < BEAT_MS && lane->store->now_ms >= r->beat_at)
		return FL_OK;
	r->beat_at = lane->store->now_ms;
	code = rollout_active(lane->store, &id, 1, &n, err);
	if (code != FL_OK || n == 0)
		return code;
	snprintf(text, sizeof(text), "%" PRId64, lane->store->now_ms);
	return instance_put(lane->store, "heartbeat", text, err);
}

/* ---- while it runs */

static enum fl_code shift(
	struct write_job *job, struct store *store, struct effects *e, struct fl_err *err)
{
	struct rollouts *r = fl_container(job, struct rollouts, shift);

	r->shifted_ms = store->now_ms;
	return shift_all(&(struct rollouts_lane){ r->server, store, e }, r->seen_ms, err);
}

static void shifted(
	struct write_job *job, struct server *server, enum fl_code code, const struct fl_err *err)
{
	struct rollouts *r = fl_container(job, struct rollouts, shift);

	(void)server;
	if (code == FL_OK)
		r->seen_ms = r->shifted_ms;
	else
		fl_log_warning(
			"the clocks of rollouts could not be shifted; the next write tries again",
			FL_S("detail", err->msg));
}

void rollouts_before_batch(struct server *server, struct fl_list *jobs)
{
	struct rollouts *r = server->rollouts;
	int64_t now = fl_clock_ms(CLOCK_REALTIME);

	if (r == NULL || r->seen_ms == 0)
		return;
	if (now >= r->seen_ms - STEP_MS && now <= r->seen_ms + GAP_MS) {
		r->seen_ms = now;
		return;
	}
	r->shift = (struct write_job){ .run = shift, .done = shifted, .internal = true };
	fl_list_push_first(jobs, &r->shift.link);
}
