/* SPDX-License-Identifier: Apache-2.0
 *
 * Mass effects: a stage's jobs, carried out in slices through the writer.
 *
 * DESIGN. The row of a job (store/job.h) holds its kind and the device number up to which it is done.
 * A slice does some devices, moves the cursor in the same transaction, and is queued again until
 * nobody is left; then the row goes and the engine hears of it with the sums (rollouts_count). A job
 * whose row is gone was dropped. In memory a job under way is one struct, so that it is not queued
 * twice. After a slice a job pauses for twice as long as the loops have worked meanwhile: with nobody to
 * serve it goes on at once, on a busy machine it works a third of the time. */
#include "server/rollouts_in.h"

#include "server/fleet.h"
#include "server/rollout/rival.h"
#include "server/server.h"
#include "server/store/job.h"

#include "lib/clock.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SLICE    500 /* devices at a time: a few milliseconds */
#define PAUSE    2   /* times as long as the loops have worked during a slice */
#define AGAIN_MS 250 /* after a batch that could not be committed */

struct rollouts_slice {
	struct write_job job;
	struct fl_link link; /* in rollouts.slices */
	struct server *server;
	int64_t stage_id;
	enum engine_job kind;
	int64_t began_us, busy_us; /* when the slice began: monotonic, lanes_busy_us */
	bool over;                 /* set by run: nothing is left */
};

static const char *const kinds[ENGINE_JOBS] = { "open", "attend", "reach", "cancel", "back",
	"retry", "review" };

const char *rollouts_job_kind(enum engine_job job)
{
	return kinds[__builtin_ctz(job)];
}

/* One slice as it is worked on. */
struct work {
	const struct rollouts_lane *lane;
	struct rollouts_scene *scene;
	int stage; /* index */
	enum engine_job kind;
	int64_t cursor;
	size_t n; /* devices that this slice looked at */
	struct figures_sums sums;
};

/* ---- what the jobs do */

static enum fl_code open_some(struct work *w, struct fl_err *err)
{
	struct step_candidate *c = calloc(SLICE, sizeof(*c));
	enum fl_code code =
		c == NULL ? fl_fail(err, FL_NOMEM, "there is no memory for a slice") : FL_OK;

	if (code == FL_OK)
		code = step_candidates(w->lane->store, w->scene->rollout.id,
			w->scene->list.stages[w->stage].wave, w->cursor, c, SLICE, &w->n, err);
	for (size_t i = 0; i < w->n && code == FL_OK; i++) {
		struct rollouts_making m = {
			.parsed = w->scene->parsed,
			.rollout = &w->scene->rollout,
			.stages = &w->scene->list,
			.stage = w->stage,
			.device = c[i],
			.sums = &w->sums,
		};

		code = rollouts_make(w->lane, &m, err);
		w->cursor = c[i].device_no;
	}
	free(c);
	return code;
}

/* The fact that the job is to a step; false: none. */
static bool fact_for(const struct work *w, const struct engine_step *step, struct engine_fact *fact)
{
	switch (w->kind) {
	case ENGINE_REACH:
		fact->kind = FACT_REACH_DUE;
		return true;
	case ENGINE_CANCEL:
		fact->kind = FACT_CANCEL;
		return true;
	case ENGINE_BACK:
		fact->kind = FACT_BACK;
		return true;
	case ENGINE_REVIEW:
		return rival_reviews(step);
	case ENGINE_RETRY:
		fact->kind = FACT_AGAIN;
		fact->causes = w->scene->list.stages[w->stage].retry_causes;
		return true;
	default:
		return false;
	}
}

/* Whether another rollout has taken the device meanwhile. */
static enum fl_code fit_again(const struct work *w, const struct engine_step *step,
	enum engine_fit *fit, struct fl_err *err)
{
	struct rollouts_rivalry rivalry;
	enum fl_code code = rollouts_rival(w->lane,
		&(struct rollouts_claim){ .rollout = &w->scene->rollout,
			.device_no = step->device_no,
			.class = step->class,
			.any = true },
		&rivalry, err);

	*fit = rivalry.fit;
	return code;
}

/* What a review says to a step. */
static enum fl_code look_again(const struct work *w, const struct engine_step *step,
	struct engine_fact *fact, struct fl_err *err)
{
	struct rollouts_rivalry rivalry;
	bool held = false;
	enum fl_code code = rollouts_rival(w->lane,
		&(struct rollouts_claim){ .rollout = &w->scene->rollout,
			.device_no = step->device_no,
			.class = step->class,
			.since = rival_since(step) },
		&rivalry, err);

	if (code == FL_OK && rivalry.fit == ENGINE_FITS)
		code = rollouts_strata_held(w->lane, w->scene->parsed, step->device_no, &held, err);
	fact->kind = rivalry.fit == ENGINE_FITS ? FACT_REVIEWED : FACT_OVERTAKEN;
	fact->fit = held ? ENGINE_HELD : ENGINE_FITS;
	return code;
}

/* Whether a layer above has the device as one that took itself back. */
static enum fl_code counted_above(
	const struct work *w, const struct step_view *view, unsigned *flags, struct fl_err *err)
{
	struct step_side side = { .rollout_id = view->rollout.id,
		.device_no = view->step.device_no,
		.wave = view->stage.wave,
		.layer = view->stage.layer,
		.upper = true };
	struct engine_step above[64];
	size_t n = 0;
	enum fl_code code = step_beside(w->lane->store, &side, above, FL_COUNT(above), &n, err);

	for (size_t i = 0; i < n; i++)
		if ((above[i].flags & (ENGINE_BACK_BY_DEVICE | ENGINE_BACK_COUNTED)) != 0)
			*flags |= ENGINE_BACK_COUNTED;
	return code;
}

static enum fl_code change_step(struct work *w, const struct engine_step *step, struct fl_err *err)
{
	struct step_view *view = malloc(sizeof(*view));
	struct engine_fact fact = { 0 };
	struct engine_out out;
	enum fl_code code = FL_OK;

	if (view == NULL)
		return fl_fail(err, FL_NOMEM, "there is no memory for a slice");
	*view = (struct step_view){ w->scene->rollout, w->scene->list.stages[w->stage], *step };
	if (w->kind == ENGINE_ATTEND) {
		if (!step_ended(step->state) || step->state == STEP_UNREACHED)
			fleet_attention(w->lane->effects, step->device_no, true);
	} else if (fact_for(w, step, &fact)) {
		if (w->kind == ENGINE_BACK && step->delivered != 0) {
			code = rollouts_fit_back(w->lane, view, w->scene->parsed, &fact.fit, err);
			if (code == FL_OK)
				code = counted_above(w, view, &fact.flags, err);
		}
		if (w->kind == ENGINE_RETRY)
			code = fit_again(w, step, &fact.fit, err);
		if (w->kind == ENGINE_REVIEW)
			code = look_again(w, step, &fact, err);
		if (code == FL_OK)
			code = rollouts_step_fact(w->lane, view, &fact, &out, err);
	}
	free(view);
	return code;
}

static enum fl_code change_some(struct work *w, struct fl_err *err)
{
	struct engine_step *steps = calloc(SLICE, sizeof(*steps));
	enum fl_code code =
		steps == NULL ? fl_fail(err, FL_NOMEM, "there is no memory for a slice") : FL_OK;

	if (code == FL_OK)
		code = step_slice(w->lane->store, w->scene->list.stages[w->stage].id, w->cursor,
			steps, SLICE, &w->n, err);
	for (size_t i = 0; i < w->n && code == FL_OK; i++) {
		code = change_step(w, &steps[i], err);
		w->cursor = steps[i].device_no;
	}
	free(steps);
	return code;
}

/* ---- slices */

/* Do one slice, move the cursor or end the job. */
static enum fl_code work_some(struct work *w, int64_t stage_id, bool *over, struct fl_err *err)
{
	const char *kind = rollouts_job_kind(w->kind);
	enum fl_code code = w->kind == ENGINE_OPEN ? open_some(w, err) : change_some(w, err);

	*over = w->n < SLICE;
	if (code == FL_OK && *over)
		code = job_end(w->lane->store, kind, stage_id, err);
	else if (code == FL_OK)
		code = job_advance(w->lane->store, kind, stage_id, w->cursor, err);
	if (code == FL_OK)
		rollouts_count(w->lane->effects, stage_id, &w->sums, *over ? w->kind : 0);
	return code;
}

static enum fl_code run(
	struct write_job *job, struct store *store, struct effects *e, struct fl_err *err)
{
	struct rollouts_slice *slice = fl_container(job, struct rollouts_slice, job);
	struct rollouts_lane lane = { slice->server, store, e };
	struct rollouts_scene scene = { 0 };
	struct work w = { .lane = &lane, .scene = &scene, .kind = slice->kind };
	int64_t rollout_id = 0;
	int layer, wave;
	enum fl_code code = job_get(
		store, rollouts_job_kind(slice->kind), slice->stage_id, &w.cursor, NULL, err);

	slice->began_us = fl_clock_us(CLOCK_MONOTONIC);
	slice->busy_us = lanes_busy_us(slice->server);
	slice->over = true;
	if (code == FL_NOT_FOUND)
		return FL_OK; /* dropped */
	if (code == FL_OK)
		code = stage_place(store, slice->stage_id, &rollout_id, &layer, &wave, err);
	if (code == FL_OK)
		code = rollouts_scene_load(&lane, rollout_id, &scene, err);
	if (code == FL_OK) {
		w.stage = rollouts_scene_index(&scene, slice->stage_id);
		FL_BUG_IF(w.stage < 0);
		code = work_some(&w, slice->stage_id, &slice->over, err);
	}
	rollouts_scene_fini(&scene);
	return code;
}

static void queue(struct rollouts_slice *slice);

static void queue_later(struct server *server, void *arg)
{
	(void)server;
	queue(arg);
}

/* How long to leave the machine to requests after a slice, in milliseconds. */
static int64_t pause_ms(const struct rollouts_slice *slice)
{
	int64_t took = fl_clock_us(CLOCK_MONOTONIC) - slice->began_us;
	int64_t busy = lanes_busy_us(slice->server) - slice->busy_us;

	return (PAUSE * (busy < took ? busy : took) + 500) / 1000;
}

/* The next slice is queued now or after the pause. */
static void go_on(struct rollouts_slice *slice)
{
	int64_t pause = pause_ms(slice);

	if (pause > 0)
		loop_after(slice->server, pause, queue_later, slice);
	else
		queue(slice);
}

static void done(
	struct write_job *job, struct server *server, enum fl_code code, const struct fl_err *err)
{
	struct rollouts_slice *slice = fl_container(job, struct rollouts_slice, job);

	if (code == FL_OK && !slice->over) {
		go_on(slice);
	} else if (code == FL_OK || code == FL_INTERNAL || code == FL_CORRUPT) {
		if (code != FL_OK)
			fl_log_error("a job of a stage is given up; its rollout must be looked at",
				FL_S("job", rollouts_job_kind(slice->kind)),
				FL_N("stage", slice->stage_id), FL_S("detail", err->msg));
		fl_list_remove(&server->rollouts->slices, &slice->link);
		free(slice);
	} else if (code == FL_STOPPED) {
		fl_list_remove(&server->rollouts->slices, &slice->link);
		free(slice);
	} else {
		loop_after(server, AGAIN_MS, queue_later, slice);
	}
}

/* When the server stops, the job goes on from its cursor at the next start. */
static void queue(struct rollouts_slice *slice)
{
	if (lanes_write(slice->server, &slice->job) == FL_OK)
		return;
	slice->job.done(&slice->job, slice->server, FL_STOPPED, NULL);
}

struct kick {
	int64_t stage_id;
	int64_t kind;
};

/* Queue a job unless it is under way: then its next slice sees the row as it is now. */
static void start(struct server *server, const struct kick *k)
{
	struct rollouts *r = server->rollouts;
	struct rollouts_slice *slice;

	fl_list_each (&r->slices, link) {
		slice = fl_container(link, struct rollouts_slice, link);
		if (slice->stage_id == k->stage_id && slice->kind == (enum engine_job)k->kind) {
			slice->over = false;
			return;
		}
	}
	slice = calloc(1, sizeof(*slice));
	if (slice == NULL) {
		fl_log_error("no memory for a job of a stage; it goes on at the next start",
			FL_N("stage", k->stage_id));
		return;
	}
	slice->job = (struct write_job){ .run = run, .done = done, .internal = true };
	slice->server = server;
	slice->stage_id = k->stage_id;
	slice->kind = (enum engine_job)k->kind;
	fl_list_push(&r->slices, &slice->link);
	queue(slice);
}

static void kick(struct server *server, const void *payload)
{
	start(server, payload);
}

void rollouts_kick(struct effects *e, int64_t stage_id, enum engine_job job)
{
	struct kick k = { stage_id, (int64_t)job };

	effects_after_commit(e, kick, &k, sizeof(k));
}

static enum fl_code resume_one(void *context, const char *kind, int64_t subject, struct fl_err *err)
{
	(void)err;
	for (int b = 0; b < ENGINE_JOBS; b++)
		if (strcmp(kinds[b], kind) == 0)
			rollouts_kick(context, subject, (enum engine_job)(1u << b));
	return FL_OK;
}

enum fl_code rollouts_slices_resume(struct store *store, struct effects *e, struct fl_err *err)
{
	return job_each(store, resume_one, e, err);
}

void rollouts_slices_free(struct rollouts *r)
{
	fl_list_each (&r->slices, link) {
		fl_list_remove(&r->slices, link);
		free(fl_container(link, struct rollouts_slice, link));
	}
}
