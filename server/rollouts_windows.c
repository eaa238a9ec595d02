/* SPDX-License-Identifier: Apache-2.0
 *
 * Maintenance windows of rollouts: which one is a device's, expanded from the strategy's rules in its zone.
 *
 * Windows are made for some time around now and kept with the parsed rollout, one pair per zone; they are
 * made anew once a day, which also takes up a newer tzdata. Who is turned away because its window is closed is
 * woken by its stage: the row knows when the first of them opens. */
#include "server/rollouts_in.h"

#include "server/server.h"
#include "server/store/freeze.h"
#include "server/store/stratum.h"

#include "lib/civil.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MS    (24 * 3600 * INT64_C(1000))
#define PAST_MS   (100 * DAY_MS)
#define FUTURE_MS (400 * DAY_MS)

#define STILL_MS     (10 * 60 * INT64_C(1000)) /* a freeze that holds is looked at again */
#define STAGE_SAMPLE 500                       /* devices of a stage whose zones are looked at */

struct rollouts_zone {
	struct fl_link link;
	char name[FL_ZONE_NAME_MAX];
	struct fl_zone *zone;
	struct opening_made made;
	int64_t made_at;
	bool united; /* while zones are put together */
};

static void zone_free(struct rollouts_zone *z)
{
	fl_zone_free(z->zone);
	opening_made_fini(&z->made);
	free(z);
}

void rollouts_windows_free(struct rollouts_parsed *p)
{
	fl_list_each (&p->zones, link) {
		struct rollouts_zone *z = fl_container(link, struct rollouts_zone, link);

		fl_list_remove(&p->zones, link);
		zone_free(z);
	}
	window_fini(&p->united);
	window_fini(&p->thawed);
}

/* ---- making them */

/* FL_NOT_FOUND: there is no such zone. */
static enum fl_code zone_make(const struct opening_windows *w, const char *name, int64_t now_ms,
	struct rollouts_zone **out, struct fl_err *err)
{
	struct opening_horizon horizon = { now_ms - PAST_MS, now_ms + FUTURE_MS };
	struct rollouts_zone *z = calloc(1, sizeof(*z));
	enum fl_code code;

	if (z == NULL)
		return fl_fail(err, FL_NOMEM, "there is no memory for a maintenance window");
	z->made_at = now_ms;
	(void)snprintf(z->name, sizeof(z->name), "%s", name);
	code = fl_zone_load(name, &z->zone, err);
	if (code == FL_OK)
		code = opening_make(w, z->zone, &horizon, &z->made, err);
	if (code == FL_OK)
		*out = z;
	else
		zone_free(z);
	return code;
}

/* The zone's windows, from those that are kept or new. FL_NOT_FOUND. */
static enum fl_code zone_get(struct rollouts_parsed *p, const char *name, int64_t now_ms,
	struct rollouts_zone **out, struct fl_err *err)
{
	enum fl_code code;

	fl_list_each (&p->zones, link) {
		struct rollouts_zone *z = fl_container(link, struct rollouts_zone, link);

		if (strcmp(z->name, name) != 0)
			continue;
		*out = z;
		if (now_ms >= z->made_at && now_ms - z->made_at < DAY_MS)
			return FL_OK;
		fl_list_remove(&p->zones, link);
		zone_free(z);
		break;
	}
	code = zone_make(&p->strategy.windows, name, now_ms, out, err);
	if (code == FL_OK)
		fl_list_push(&p->zones, &(*out)->link);
	return code;
}

/* Never, or only behind what can be seen. */
static enum fl_code check_opens(const struct opening_rules *r, const struct window *w,
	const char *member, int64_t now_ms, struct fl_err *err)
{
	if (r->n == 0 || window_opens(w, now_ms) >= 0)
		return FL_OK;
	return fl_fail(err, FL_REFUSED, "%s never opens within the next %d days", member,
		(int)(FUTURE_MS / DAY_MS));
}

enum fl_code rollouts_windows_check(
	const struct opening_windows *w, int64_t now_ms, struct fl_err *err)
{
	struct rollouts_zone *z = NULL;
	enum fl_code code;

	if (!opening_some(w))
		return FL_OK;
	code = zone_make(w, w->zone, now_ms, &z, err);
	if (code == FL_NOT_FOUND)
		code = fl_fail(err, FL_REFUSED, "%s", err->msg);
	if (code == FL_OK)
		code = check_opens(&w->delivery, &z->made.delivery, "delivery", now_ms, err);
	if (code == FL_OK)
		code = check_opens(&w->turn, &z->made.turn, "switch", now_ms, err);
	if (z != NULL)
		zone_free(z);
	if (code != FL_OK)
		(void)fl_wrap(err, "strategy: windows");
	return code;
}

/* ---- a device's */

/* What it names, if there is such a zone; else that of the strategy. */
static enum fl_code zone_of(const struct rollouts_lane *lane, struct rollouts_parsed *p,
	int64_t device_no, struct rollouts_zone **out, struct fl_err *err)
{
	const struct opening_windows *w = &p->strategy.windows;
	FL_AUTO_BUF struct fl_buf name = { 0 };
	enum fl_code code = FL_NOT_FOUND;

	if (w->zone_of[0] != '\0') {
		code = stratum_value(lane->store, device_no, w->zone_of, &name, err);
		if (code != FL_OK)
			return code;
		code = name.n == 0
			? FL_NOT_FOUND
			: zone_get(p, (const char *)name.p, lane->store->now_ms, out, err);
	}
	return code == FL_NOT_FOUND ? zone_get(p, w->zone, lane->store->now_ms, out, err) : code;
}

static void give(
	const struct opening_windows *w, const struct rollouts_zone *z, struct rollouts_open *out)
{
	*out = (struct rollouts_open){ opening_hours(w, &z->made), z->zone };
}

enum fl_code rollouts_windows_fixed(const struct rollouts_lane *lane, struct rollouts_parsed *p,
	struct rollouts_open *out, struct fl_err *err)
{
	const struct opening_windows *w = &p->strategy.windows;
	struct rollouts_zone *z;
	enum fl_code code;

	*out = (struct rollouts_open){ 0 };
	if (!opening_some(w))
		return FL_OK;
	code = zone_get(p, w->zone, lane->store->now_ms, &z, err);
	if (code == FL_OK)
		give(w, z, out);
	return code;
}

void rollouts_windows_say(const struct fl_zone *zone, int64_t at_ms, char out[ROLLOUTS_MOMENT_MAX])
{
	int64_t at = at_ms / 1000, local, number;
	struct fl_zone_time t;
	struct fl_civil c;

	fl_zone_at(zone, at, &t);
	local = at + t.offset_s;
	number = fl_floor_div(local, FL_DAY_S);
	c = fl_civil_of(number);
	local -= number * FL_DAY_S;
	(void)snprintf(out, ROLLOUTS_MOMENT_MAX, "%04u-%02u-%02u %02u:%02u %s",
		(unsigned)c.year % 10000, (unsigned)c.month % 100, (unsigned)c.day % 100,
		(unsigned)(local / FL_HOUR_S) % 24, (unsigned)(local % FL_HOUR_S / 60), t.abbr);
}

enum fl_code rollouts_windows_of(const struct rollouts_lane *lane, struct rollouts_parsed *p,
	const struct engine_step *step, struct rollouts_open *out, struct fl_err *err)
{
	const struct opening_windows *w = &p->strategy.windows;
	struct rollouts_zone *z = NULL;
	enum fl_code code;

	*out = (struct rollouts_open){ 0 };
	if (!opening_some(w) || !pace_minds_windows(&p->rules.pace, step->back))
		return FL_OK;
	code = zone_of(lane, p, step->device_no, &z, err);
	if (code != FL_OK)
		return code;
	give(w, z, out);
	return FL_OK;
}

/* ---- a stage's */

/* The zones of the first devices stand for all of them. */
static enum fl_code unite_zones(const struct rollouts_lane *lane, struct rollouts_parsed *p,
	int64_t stage_id, struct fl_err *err)
{
	struct engine_step *steps = calloc(STAGE_SAMPLE, sizeof(*steps));
	size_t n = 0;
	enum fl_code code = steps == NULL
		? fl_fail(err, FL_NOMEM, "there is no memory for a maintenance window")
		: step_slice(lane->store, stage_id, 0, steps, STAGE_SAMPLE, &n, err);

	window_fini(&p->united);
	for (size_t i = 0; i < n && code == FL_OK; i++) {
		struct rollouts_zone *z;

		code = zone_of(lane, p, steps[i].device_no, &z, err);
		if (code != FL_OK)
			break;
		if (!z->united)
			code = window_unite(&p->united, &z->made.delivery, err);
		z->united = true;
	}
	fl_list_each (&p->zones, link)
		fl_container(link, struct rollouts_zone, link)->united = false;
	free(steps);
	return code;
}

enum fl_code rollouts_windows_stage(const struct rollouts_lane *lane, struct rollouts_parsed *p,
	int64_t stage_id, const struct window **out, struct fl_err *err)
{
	const struct opening_windows *w = &p->strategy.windows;
	struct rollouts_zone *z;
	enum fl_code code;

	*out = NULL;
	if (w->delivery.n == 0)
		return FL_OK;
	if (w->zone_of[0] != '\0') {
		code = unite_zones(lane, p, stage_id, err);
		*out = &p->united;
		return code;
	}
	code = zone_get(p, w->zone, lane->store->now_ms, &z, err);
	if (code == FL_OK)
		*out = &z->made.delivery;
	return code;
}

/* ---- freezes */

struct thawing {
	const struct rollouts_lane *lane;
	struct rollouts_parsed *parsed;
	const struct rollouts_thaw *of;
	struct engine_step *steps; /* some of the stage's; NULL: it is about one device */
	size_t n;
	int64_t freeze_id; /* whose spans are looked at, one after the other */
	bool covered;      /* what came of it */
};

/* Whether the freeze is about the device, or about all of the stage that are looked at. */
static enum fl_code covers(
	const struct thawing *t, const struct freeze *f, bool *all, struct fl_err *err)
{
	enum fl_code code = FL_OK;

	if (t->steps == NULL)
		return rollouts_freeze_selects(t->lane->store, f, t->of->device_no, all, err);
	*all = true;
	for (size_t i = 0; i < t->n && *all && code == FL_OK && f->selector[0] != '\0'; i++)
		code = rollouts_freeze_selects(t->lane->store, f, t->steps[i].device_no, all, err);
	return code;
}

static enum fl_code cut(void *context, const struct freeze *f, struct fl_err *err)
{
	struct thawing *t = context;
	struct window *w = &t->parsed->thawed;
	int64_t now = t->lane->store->now_ms, end = now + STILL_MS;
	enum fl_code code = f->id == t->freeze_id ? FL_OK : covers(t, f, &t->covered, err);

	t->freeze_id = f->id;
	if (code != FL_OK || !t->covered)
		return code;
	if (f->span.until_ms != 0 && f->span.until_ms < end)
		end = f->span.until_ms;
	if (*t->of->window != w) {
		window_fini(w);
		code = window_copy(
			*t->of->window, t->of->since_ms - DAY_MS, now + FUTURE_MS, w, err);
		*t->of->window = w;
	}
	return code == FL_OK ? window_cut(w, f->span.from_ms, end, err) : code;
}

enum fl_code rollouts_windows_thaw(const struct rollouts_lane *lane, struct rollouts_parsed *p,
	const struct rollouts_thaw *thaw, struct fl_err *err)
{
	struct thawing t = { .lane = lane, .parsed = p, .of = thaw };
	enum fl_code code = FL_OK;

	if (thaw->device_no == 0) {
		t.steps = calloc(STAGE_SAMPLE, sizeof(*t.steps));
		code = t.steps == NULL ? fl_fail(err, FL_NOMEM, "there is no memory for a freeze")
				       : step_slice(lane->store, thaw->stage_id, 0, t.steps,
						 STAGE_SAMPLE, &t.n, err);
	}
	if (code == FL_OK)
		code = freeze_each_since(lane->store, thaw->since_ms, cut, &t, err);
	free(t.steps);
	return code;
}
